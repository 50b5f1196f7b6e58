/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/mark.h>

#include "core/util.h"

gboolean duet_process_wait_gone(pid_t pid, gint64 until_ns)
{
    DUET_AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd wait = { .fd = pidfd, .events = POLLIN };
    int ready;

    if (pidfd < 0)
        return errno == ESRCH;
    do
        ready = poll(&wait, 1, (int)MAX((until_ns - duet_now_ns()) / 1000000, 0));
    while (ready < 0 && errno == EINTR);
    return ready == 1;
}

int duet_child_wait(pid_t pid, gint64 deadline_ns)
{
    int status = 0;

    if (pid < 0)
        return -1;
    DUET_AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd wait = { .fd = pidfd, .events = POLLIN };
    int ready;
    do {
        gint64 left_ms = MAX((deadline_ns - duet_now_ns()) / 1000000, 0);
        ready = poll(&wait, 1, (int)left_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready != 1)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return ready == 1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
