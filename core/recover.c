/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a driver left outside of the instance's cgroup: a domain in a libvirt daemon. Its driver is
 * asked in a child: the caller is a short command, or a monitor whose worker died, and neither
 * loads libvirt or waits without end for a daemon that does not answer.
 */
#include "core/recover.h"
#include "core/rootless.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_MS (30 * 1000)
#define MESSAGE_MAX_BYTES 4096

static G_NORETURN void child_main(
    int fd, const DuetDriverEntry *entry, const DuetSpec *spec, pid_t pid, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* Libraries that talk to the terminal are not for the user's eyes: the message is. */
    DUET_AUTO_FD null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int std = 0; std <= 2 && null_fd >= 0; std++)
        dup2(null_fd, std);
    g_autoptr(GError) failure = NULL;
    /* libvirt asks who it is, as in a worker. */
    gboolean left = duet_rootless_leave(&failure);
    /* A daemon that hangs would keep this process, and the lock that it inherited, for ever. Not
     * sooner: the kernel forgets it with a change of ids. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    const DuetDriverOps *ops = left ? duet_driver_load(entry, &failure) : NULL;
    if (ops && (!ops->recover || ops->recover(spec, pid, &failure)))
        _exit(0);
    duet_write_all(fd, failure->message, MIN(strlen(failure->message), MESSAGE_MAX_BYTES - 1));
    _exit(1);
}

/* Returns: what the child wrote until it closed its end; NULL: it took too long. */
static char *read_message(int fd)
{
    gint64 deadline_us = g_get_monotonic_time() + TIMEOUT_MS * G_GINT64_CONSTANT(1000);
    g_autofree char *text = g_malloc0(MESSAGE_MAX_BYTES);
    gsize length = 0;
    for (;;) {
        gint64 left_ms = (deadline_us - g_get_monotonic_time()) / 1000;
        struct pollfd ready = { .fd = fd, .events = POLLIN };
        if (left_ms <= 0)
            return NULL;
        if (poll(&ready, 1, (int)left_ms) <= 0)
            continue;
        ssize_t n = read(fd, text + length, MESSAGE_MAX_BYTES - 1 - length);
        if (n == 0 || (n < 0 && errno != EINTR))
            return g_utf8_make_valid(text, -1);
        length += n > 0 ? (gsize)n : 0;
    }
}

gboolean duet_driver_recover(
    const DuetDriverEntry *drivers, const DuetSpec *spec, pid_t pid, GError **error)
{
    const DuetDriverEntry *entry = spec->connect ? duet_driver_find(drivers, spec->kind) : NULL;
    int fds[2];
    if (!entry)
        return TRUE;
    if (pipe2(fds, O_CLOEXEC) < 0)
        return duet_error_set_errno(error, errno, "cannot make a pipe");
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        close(fds[0]);
        child_main(fds[1], entry, spec, pid, parent);
    }
    close(fds[1]);
    g_autofree char *message = child > 0 ? read_message(fds[0]) : NULL;
    close(fds[0]);
    if (child < 0)
        return duet_error_set_errno(error, errno, "cannot fork");
    if (!message)
        kill(child, SIGKILL);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (message && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, message ? DUET_ERROR_FAILED : DUET_ERROR_TIMEOUT,
        "cannot take the VM of '%s' from '%s': %s", spec->name, spec->connect,
        !message       ? "it does not answer"
            : *message ? message
                       : "the helper that asked it died");
    return FALSE;
}
