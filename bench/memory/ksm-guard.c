/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ksm-guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

struct _DuetKsmGuard {
    pid_t pid;
    int word_fd;
};

static char current(int fd)
{
    char value = 0;

    return pread(fd, &value, 1, 0) == 1 ? value : 0;
}

static gboolean put(int fd, char value)
{
    return pwrite(fd, &value, 1, 0) == 1;
}

/* In the child. @word_fd: the parent's word to go; a monitor that inherited the other end may keep
 * it open, so the parent's death is seen by @parent_fd. */
static int keep(int setting_fd, int word_fd, int parent_fd, char wanted, char before)
{
    struct pollfd ends[] = { { word_fd, POLLIN, 0 }, { parent_fd, POLLIN, 0 } };

    while (poll(ends, G_N_ELEMENTS(ends), -1) < 0 && errno == EINTR)
        ;
    if (current(setting_fd) != wanted)
        return 0;
    return put(setting_fd, before) ? 0 : 1;
}

static void become_guard(int setting_fd, int word_fd, int parent_fd, char wanted, char before)
{
    static const int terminal[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE };

    for (gsize i = 0; i < G_N_ELEMENTS(terminal); i++)
        signal(terminal[i], SIG_IGN);
    setsid();
    prctl(PR_SET_NAME, "duet-ksm-guard");
    /* Above all that is kept, then down in order: a reader of our standard output waits for its
     * end. */
    int kept[] = { fcntl(setting_fd, F_DUPFD, 100), fcntl(word_fd, F_DUPFD, 101),
        fcntl(parent_fd, F_DUPFD, 102) };
    for (int i = 0; i < 3; i++)
        dup2(kept[i], i);
    close_range(3, ~0u, 0);
    /* Until here a signal for the terminal's processes was for this one, too. */
    if (!duet_write_all(1, "", 1))
        _exit(1);
    _exit(keep(0, 1, 2, wanted, before));
}

static gboolean is_ready(int fd)
{
    char byte;
    ssize_t n;

    while ((n = read(fd, &byte, 1)) < 0 && errno == EINTR)
        ;
    if (n == 0)
        errno = ECHILD;
    return n == 1;
}

DuetKsmGuard *duet_ksm_guard_new(const char *path, char wanted, char before, GError **error)
{
    int ends[2];
    DUET_AUTO_FD setting_fd = open(path, O_RDWR | O_CLOEXEC);

    if (setting_fd < 0) {
        duet_error_set_errno(error, errno, "cannot set '%s'", path);
        return NULL;
    }
    DUET_AUTO_FD self_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (self_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        duet_error_set_errno(error, errno, "cannot guard '%s'", path);
        return NULL;
    }
    DUET_AUTO_FD theirs = ends[0];
    DUET_AUTO_FD ours = ends[1];
    pid_t pid = fork();
    if (pid == 0)
        become_guard(setting_fd, theirs, self_fd, wanted, before);
    duet_fd_clear(&theirs);
    /* The guard first: from here on nothing can be forgotten. */
    if (pid < 0 || !is_ready(ours) || !put(setting_fd, wanted)) {
        duet_error_set_errno(error, errno, "cannot set '%s'", path);
        duet_fd_clear(&ours);
        while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return NULL;
    }
    DuetKsmGuard *guard = g_new0(DuetKsmGuard, 1);
    guard->pid = pid;
    guard->word_fd = duet_fd_steal(&ours);
    return guard;
}

gboolean duet_ksm_guard_free(DuetKsmGuard *guard)
{
    int status = 0;

    if (!guard)
        return TRUE;
    /* A byte, as another may hold the pipe's end. */
    gboolean told = duet_write_all(guard->word_fd, "", 1);
    duet_fd_clear(&guard->word_fd);
    pid_t pid = guard->pid, ended;
    g_free(guard);
    while ((ended = waitpid(pid, &status, 0)) < 0 && errno == EINTR)
        ;
    return told && ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
