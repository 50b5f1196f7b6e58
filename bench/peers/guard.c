/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * The guard is forked, so that it knows all that we know, in a session of its own, so that no
 * signal of a terminal reaches it, with those signals blocked that we hold back. A pipe tells it
 * which names there are. Its end is ours: the kernel closes the pipe of a process that was killed.
 * A word on the pipe says that all is done. The pipe is not inherited by what the engines execute.
 */
#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

#define NAME_BYTES 60

/* One write of so few bytes is whole, or is not. No name: all is done. */
typedef struct {
    gint32 is_there;
    char name[NAME_BYTES];
} Word;

struct _DuetPeerGuard {
    pid_t pid;
    int fd;
};

static gboolean read_word(int fd, Word *word)
{
    ssize_t n;

    do
        n = read(fd, word, sizeof *word);
    while (n < 0 && errno == EINTR);
    return n == sizeof *word;
}

static void stand_guard(DuetPeerArm *arm, int fd, void (*undo)(gpointer data), gpointer data)
{
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer name;
    Word word;

    while (read_word(fd, &word)) {
        if (word.name[0] == '\0')
            return;
        if (word.is_there)
            g_hash_table_add(names, g_strdup(word.name));
        else
            g_hash_table_remove(names, word.name);
    }
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        if (!duet_peer_arm_name(arm, name, NULL))
            continue;
        duet_peer_arm_remove(arm);
        /* Waits until its processes are gone. */
        g_free(duet_peer_arm_left(arm));
    }
    duet_peer_arm_do(arm, DUET_PEER_CLEANUP, NULL, NULL);
    undo(data);
}

DuetPeerGuard *duet_peer_guard_new(
    DuetPeerArm *arm, void (*undo)(gpointer data), gpointer data, GError **error)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0) {
        duet_error_set_errno(error, errno, "cannot guard the instances of '%s'", arm->peer->name);
        return NULL;
    }
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        close(ends[1]);
        stand_guard(arm, ends[0], undo, data);
        _exit(0);
    }
    close(ends[0]);
    if (pid < 0) {
        duet_error_set_errno(error, errno, "cannot guard the instances of '%s'", arm->peer->name);
        close(ends[1]);
        return NULL;
    }
    DuetPeerGuard *guard = g_new0(DuetPeerGuard, 1);
    *guard = (DuetPeerGuard){ pid, ends[1] };
    return guard;
}

static void write_word(const DuetPeerGuard *guard, const Word *word)
{
    /* A guard that somebody killed must not end us as well. */
    duet_write_all(guard->fd, (const char *)word, sizeof *word);
}

void duet_peer_guard_tell(DuetPeerGuard *guard, const char *name, gboolean is_there)
{
    Word word = { .is_there = is_there };

    g_strlcpy(word.name, name, sizeof word.name);
    write_word(guard, &word);
}

void duet_peer_guard_free(DuetPeerGuard *guard)
{
    static const Word done = { 0 };

    if (!guard)
        return;
    write_word(guard, &done);
    close(guard->fd);
    while (waitpid(guard->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    g_free(guard);
}
