/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies of trees are the work of cp(1), which every system has: it keeps owners, times, hard
 * links, holes and all extended attributes, overlayfs' own and ACLs among them, makes whiteouts,
 * which are devices, anew, and shares blocks where the file system can (FICLONE). Its options name
 * what must be kept: with `-a` alone it would leave out attributes in silence.
 */
#include "core/layer.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COMPLAINT_MAX_BYTES 4096

typedef struct {
    int dir_fd;
    const char *from;
    const char *to;
    int lock_fd;
    const sigset_t *mask;
} Request;

static G_NORETURN void child_main(const Request *request, int complaint_fd, pid_t parent)
{
    char *const argv[] = { (char *)"cp", (char *)"-dR", (char *)"--reflink=auto",
        (char *)"--sparse=auto", (char *)"--preserve=mode,ownership,timestamps,links,xattr",
        (char *)"-T", (char *)"--", (char *)request->from, (char *)request->to, NULL };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    /* It may write for an instant after we were killed: nobody may clean up before its end. */
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fchdir(request->dir_fd) < 0 || fcntl(request->lock_fd, F_SETFD, 0) < 0 ||
        dup2(null_fd, STDIN_FILENO) < 0 || dup2(null_fd, STDOUT_FILENO) < 0 ||
        dup2(complaint_fd, STDERR_FILENO) < 0)
        _exit(1);
    sigprocmask(SIG_SETMASK, request->mask, NULL);
    setenv("LC_ALL", "C", 1);
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "cannot run cp (package coreutils): %s\n", g_strerror(errno));
    _exit(127);
}

/* Until it ends, complains, or we are asked to end. Returns: whether to let it end by itself. */
static gboolean watch(int complaint_fd, int signal_fd, GString *complaint)
{
    for (;;) {
        struct pollfd ready[] = { { .fd = complaint_fd, .events = POLLIN },
            { .fd = signal_fd, .events = POLLIN } };
        char chunk[512];
        if (poll(ready, G_N_ELEMENTS(ready), -1) < 0)
            continue;
        /* Not read: it is pending, and ours when we have cleaned up. */
        if (ready[1].revents)
            return FALSE;
        ssize_t n = read(complaint_fd, chunk, sizeof chunk);
        if (n == 0)
            return TRUE;
        if (n > 0)
            g_string_append_len(complaint, chunk, n);
        /* It would go on, and complain of each file that does not fit any more. */
        if (strchr(complaint->str, '\n') || complaint->len > COMPLAINT_MAX_BYTES)
            return FALSE;
    }
}

static int reap(pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

static gboolean judge(int status, gboolean ended, GString *complaint, GError **error)
{
    complaint->str[strcspn(complaint->str, "\n")] = '\0';
    if (ended && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "%s",
        *complaint->str ? complaint->str
            : ended     ? "cp was killed"
                        : "interrupted");
    return FALSE;
}

gboolean duet_tree_copy(
    int dir_fd, const char *from, const char *to, int lock_fd, const sigset_t *mask, GError **error)
{
    const Request request = { dir_fd, from, to, lock_fd, mask };
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGHUP);
    sigaddset(&ending, SIGQUIT);
    int fds[2];
    DUET_AUTO_FD signal_fd = signalfd(-1, &ending, SFD_CLOEXEC);
    if (signal_fd < 0 || pipe2(fds, O_CLOEXEC) < 0)
        return duet_error_set_errno(error, errno, "cannot make a pipe");
    pid_t parent = getpid(), pid = fork();
    if (pid == 0)
        child_main(&request, fds[1], parent);
    DUET_AUTO_FD complaint_fd = fds[0];
    close(fds[1]);
    if (pid < 0)
        return duet_error_set_errno(error, errno, "cannot fork");
    g_autoptr(GString) complaint = g_string_new(NULL);
    gboolean ended = watch(complaint_fd, signal_fd, complaint);
    if (!ended)
        kill(pid, SIGKILL);
    return judge(reap(pid), ended, complaint, error);
}

/* An inode of several names has its blocks once. */
static gboolean is_first(GHashTable *seen, const struct stat *st)
{
    gint64 inode = (gint64)st->st_ino;
    return S_ISDIR(st->st_mode) || st->st_nlink < 2 ||
        g_hash_table_add(seen, g_memdup2(&inode, sizeof inode));
}

guint64 duet_tree_bytes(const char *path)
{
    char *const roots[] = { (char *)path, NULL };
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
    guint64 bytes = 0;
    FTS *tree = fts_open(roots, FTS_PHYSICAL | FTS_XDEV, NULL);
    FTSENT *entry;
    while (tree && (entry = fts_read(tree))) {
        if (entry->fts_info == FTS_DP || entry->fts_info == FTS_NS)
            continue;
        if (is_first(seen, entry->fts_statp))
            bytes += (guint64)entry->fts_statp->st_blocks * 512;
    }
    if (tree)
        fts_close(tree);
    return bytes;
}
