/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/userns.h"
#include "core/util.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static gboolean write_map(pid_t pid, const char *name, const char *text)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, name);
    DUET_AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Its one process waits for the end of the pipe, which comes with our own end too; there are
 * threads, so it makes system calls alone. */
int duet_vm_userns_make(const char *users, const char *groups)
{
    int gate[2];
    char byte;
    if (pipe2(gate, O_CLOEXEC) < 0)
        return -1;
    DUET_AUTO_FD waits = gate[0];
    DUET_AUTO_FD holds = gate[1];
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0) {
        syscall(SYS_close, holds);
        while (syscall(SYS_read, waits, &byte, 1) < 0)
            ;
        syscall(SYS_exit_group, 0);
    }
    if (pid < 0)
        return -1;
    g_autofree char *path = g_strdup_printf("/proc/%d/ns/user", (int)pid);
    gboolean ok = write_map(pid, "uid_map", users) && write_map(pid, "gid_map", groups);
    DUET_AUTO_FD fd = ok ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    int err = errno;
    duet_fd_clear(&holds);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    errno = err;
    return duet_fd_steal(&fd);
}
