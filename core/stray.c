/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/stray.h"
#include "core/util.h"

#include <duet/mark.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEATH_MS 5000

static pid_t holder(int fd)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    return fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK ? lock.l_pid : 0;
}

void duet_stray_kill_holder(const char *run_dir)
{
    g_autofree char *path = g_build_filename(run_dir, DUET_STRAY_LOCK, NULL);
    DUET_AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    pid_t pid = fd < 0 ? 0 : holder(fd);
    DUET_AUTO_FD pidfd = pid > 1 ? pidfd_open(pid, 0) : -1;
    /* Only a holder that was alive afterwards proves that the number was still its own. */
    if (pidfd < 0 || holder(fd) != pid || pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0)
        return;
    struct pollfd gone = { .fd = pidfd, .events = POLLIN };
    while (poll(&gone, 1, DEATH_MS) < 0 && errno == EINTR)
        continue;
}

static void kill_listed(const char *pids)
{
    for (char *end; *pids; pids = end) {
        pid_t pid = (pid_t)strtol(pids, &end, 10);
        if (end == pids)
            return;
        kill(pid, SIGKILL);
    }
}

void duet_stray_kill_children(guint timeout_ms)
{
    g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", (int)gettid());
    gint64 deadline_ns = duet_now_ns() + (gint64)timeout_ms * 1000000;
    pid_t reaped;
    while ((reaped = waitpid(-1, NULL, WNOHANG)) >= 0 && duet_now_ns() < deadline_ns) {
        g_autofree char *pids = duet_file_read(AT_FDCWD, path, 1 << 20, NULL, NULL);
        if (reaped > 0)
            continue;
        kill_listed(pids ? pids : "");
        g_usleep(1000);
    }
}
