/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * The guard is forked, so that it knows all that we know, in a session of its own, so that no
 * signal of a terminal reaches it, with those signals blocked that we hold back. It sleeps on a
 * pipe whose other end is ours: the kernel closes the pipe of a process that was killed. A byte on
 * it says that all is done. The pipe is not inherited by what the engines execute.
 *
 * What comes and goes while it stands is not sent through that pipe, as this would wake it beside a
 * command that is timed. It is put where the guard looks once it needs it: names into a file that
 * has none itself, the session of the command under way into memory that both share. What it must
 * know beyond this takes a new guard, which is there before the old one goes.
 */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "stopwatch.h"

#define NAME_BYTES 56

typedef struct {
    gint32 who;
    gint32 is_there;
    char name[NAME_BYTES];
} Word;

struct _DuetPeerGuard {
    const DuetPeerGuardOps *ops;
    gpointer data;
    pid_t pid; /* 0: none yet */
    int fd;
    int words_fd;
    gint *session;
};

/* ---- in the guard ---- */

static gboolean all_is_done(int fd)
{
    char byte;
    ssize_t n;

    do
        n = read(fd, &byte, 1);
    while (n < 0 && errno == EINTR);
    return n != 0;
}

static void remove_names(const DuetPeerGuard *guard)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer name, who;
    Word word;

    for (off_t at = 0; pread(guard->words_fd, &word, sizeof word, at) == sizeof word;
         at += sizeof word) {
        if (word.is_there)
            g_hash_table_insert(names, g_strdup(word.name), GINT_TO_POINTER(word.who));
        else
            g_hash_table_remove(names, word.name);
    }
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, &who))
        guard->ops->remove(GPOINTER_TO_INT(who), name, guard->data);
}

static void stand_guard(const DuetPeerGuard *guard, int fd)
{
    setsid();
    if (all_is_done(fd))
        return;
    gint session = g_atomic_int_get(guard->session);
    if (session > 0)
        duet_lap_end(session);
    remove_names(guard);
    guard->ops->undo(guard->data);
}

/* ---- in ours ---- */

static void dismiss(DuetPeerGuard *guard)
{
    if (guard->pid == 0)
        return;
    /* One that somebody killed hears nothing. */
    duet_write_all(guard->fd, "", 1);
    duet_fd_clear(&guard->fd);
    while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    guard->pid = 0;
}

gboolean duet_peer_guard_renew(DuetPeerGuard *guard, GError **error)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return duet_error_set_errno(error, errno, "cannot guard what is made for peers");
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[1]);
        stand_guard(guard, ends[0]);
        _exit(0);
    }
    close(ends[0]);
    if (pid < 0) {
        duet_error_set_errno(error, errno, "cannot guard what is made for peers");
        close(ends[1]);
        return FALSE;
    }
    dismiss(guard);
    guard->pid = pid;
    guard->fd = ends[1];
    return TRUE;
}

static gboolean share(DuetPeerGuard *guard, GError **error)
{
    void *page =
        mmap(NULL, sizeof(gint), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    guard->session = page == MAP_FAILED ? NULL : page;
    guard->words_fd = guard->session ? memfd_create("duet-peers", MFD_CLOEXEC) : -1;
    return guard->words_fd >= 0 ||
        duet_error_set_errno(error, errno, "cannot guard what is made for peers");
}

DuetPeerGuard *duet_peer_guard_new(const DuetPeerGuardOps *ops, gpointer data, GError **error)
{
    g_autoptr(DuetPeerGuard) guard = g_new0(DuetPeerGuard, 1);

    *guard = (DuetPeerGuard){ .ops = ops, .data = data, .fd = -1, .words_fd = -1 };
    if (!share(guard, error) || !duet_peer_guard_renew(guard, error))
        return NULL;
    return g_steal_pointer(&guard);
}

void duet_peer_guard_tell(DuetPeerGuard *guard, gint who, const char *name, gboolean is_there)
{
    Word word = { .who = who, .is_there = is_there };

    g_strlcpy(word.name, name, sizeof word.name);
    duet_write_all(guard->words_fd, &word, sizeof word);
}

gint *duet_peer_guard_session(DuetPeerGuard *guard)
{
    return guard->session;
}

void duet_peer_guard_free(DuetPeerGuard *guard)
{
    if (!guard)
        return;
    dismiss(guard);
    if (guard->session)
        munmap(guard->session, sizeof(gint));
    duet_fd_clear(&guard->words_fd);
    g_free(guard);
}
