/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Kernel parameters of a container's namespaces. They are written from outside, by a process that
 * moves into these namespaces: the container's /proc/sys is read-only, and kernels before Linux
 * 6.10, where it was not carried back, do not let its root write those of its IPC namespace. It
 * happens once the agent is there, and before that is told to start anything.
 *
 * An ordinary user's process has no more rights to them than the container's root.
 */

#include "container-private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/attributes.h"
#include "core/util.h"

/* What the process tells: which one it could not write, and why; @index -1: none yet. */
typedef struct {
    int index;
    int err;
} Failure;

/* The file of this one is the first user namespace's alone. */
static int write_domainname(const char *value)
{
    return setdomainname(value, strlen(value)) == 0 ? 0 : errno;
}

static int write_one(const char *sysctl)
{
    const char *value = strchr(sysctl, '=') + 1;
    if (g_str_has_prefix(sysctl, "kernel.domainname="))
        return write_domainname(value);
    g_autofree char *path = duet_sysctl_path(sysctl);
    DUET_AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && duet_write_all(fd, value, strlen(value)) ? 0 : errno;
}

/* Newer kernels let the container's root write to those of IPC and nobody else, older ones the
 * host's. */
static int write_as_either(const char *sysctl, guint32 id_base)
{
    int err = write_one(sysctl);
    if ((err != EACCES && err != EPERM) || id_base == 0 || seteuid(id_base) != 0)
        return err;
    err = write_one(sysctl);
    return seteuid(0) == 0 ? err : errno;
}

static G_NORETURN void writer_main(int pidfd, guint32 id_base, int report_fd, char *const *sysctls)
{
    Failure failure = { .index = -1 };
    /* It has the lock of an instance whose monitor may be killed. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (setns(pidfd, CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
        failure.err = errno;
    for (int i = 0; failure.err == 0 && sysctls[i] != NULL; i++)
        failure = (Failure){ .index = i, .err = write_as_either(sysctls[i], id_base) };
    if (failure.err != 0)
        (void)!write(report_fd, &failure, sizeof failure);
    _exit(failure.err != 0);
}

static gboolean tell(const Failure *failure, char *const *sysctls, GError **error)
{
    if (failure->index < 0)
        return duet_error_set_errno(
            error, failure->err, "cannot enter the container's namespaces to set sysctls");
    g_autofree char *name =
        g_strndup(sysctls[failure->index], strcspn(sysctls[failure->index], "="));
    const char *advice = failure->err == ENOENT
        ? " (the kernel has none of that name in a container)"
        : failure->err == EACCES || failure->err == EPERM
        ? " (this kernel lets nobody but the host's root set it)"
        : failure->err == EINVAL ? " (its value is none that the kernel takes)"
                                 : "";
    return duet_error_set_errno(error, failure->err, "cannot set the sysctl '%s'%s", name, advice);
}

gboolean duet_sysctls_write(int pidfd, guint32 id_base, char *const *sysctls, GError **error)
{
    int ends[2] = { -1, -1 };
    if (sysctls == NULL || sysctls[0] == NULL)
        return TRUE;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return duet_error_set_errno(error, errno, "cannot make a pipe");
    pid_t pid = fork();
    if (pid == 0)
        writer_main(pidfd, id_base, ends[1], sysctls);
    int err = errno, status = 0;
    close(ends[1]);
    DUET_AUTO_FD report_fd = ends[0];
    if (pid < 0)
        return duet_error_set_errno(error, err, "cannot make a process to set sysctls");
    Failure failure = { .index = -1, .err = ECHILD };
    gssize bytes;
    do
        bytes = read(report_fd, &failure, sizeof failure);
    while (bytes < 0 && errno == EINTR);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status == 0 || tell(&failure, sysctls, error);
}
