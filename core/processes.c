/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What runs inside of an instance. The agent's list comes as the output of an `exec` and is kept in
 * memory that can't grow: however much a hostile guest writes, no more is taken.
 */
#include "core/processes.h"
#include "core/state.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LIST_MAX_BYTES (16u << 20)
#define NS_PER_S G_GUINT64_CONSTANT(1000000000)
/* Seconds or bytes beyond these are nobody's. */
#define SECONDS_MAX (G_GUINT64_CONSTANT(1) << 33)
#define BYTES_MAX (G_GUINT64_CONSTANT(1) << 60)

typedef struct {
    guint64 now_ns, ticks, page_bytes;
} Clock;

void duet_process_free(DuetProcess *process)
{
    g_free(process->user);
    g_free(process->name);
    g_free(process->args);
    g_free(process);
}

/* The next string up to a NUL; NULL: there is none. */
static const char *next_string(const char **cursor, const char *end)
{
    const char *begin = *cursor;
    const char *stop = begin < end ? memchr(begin, '\0', (gsize)(end - begin)) : NULL;
    if (!stop)
        return NULL;
    *cursor = stop + 1;
    return begin;
}

static gboolean read_number(const char *text, guint64 max, guint64 *out)
{
    return g_ascii_string_to_unsigned(text, 10, 0, max, out, NULL);
}

static gboolean parse_clock(const char *text, Clock *out)
{
    g_auto(GStrv) words = g_strsplit(text, " ", 4);
    return g_strv_length(words) == 3 &&
        read_number(words[0], SECONDS_MAX * NS_PER_S, &out->now_ns) &&
        read_number(words[1], NS_PER_S, &out->ticks) && out->ticks > 0 &&
        read_number(words[2], 1u << 30, &out->page_bytes);
}

/* A number of ticks of at most some centuries: no product of it is too large. */
static gboolean read_ticks(const char *text, const Clock *clock, guint64 *out_ns)
{
    guint64 ticks;
    if (!read_number(text, SECONDS_MAX * clock->ticks, &ticks))
        return FALSE;
    *out_ns = ticks / clock->ticks * NS_PER_S + ticks % clock->ticks * NS_PER_S / clock->ticks;
    return TRUE;
}

enum { PID, STATE, PPID, TTY, UTIME, STIME, NICE, START, VSIZE, RSS, UID, FIELDS };

static gboolean parse_numbers(const char *text, const Clock *clock, DuetProcess *process)
{
    g_auto(GStrv) words = g_strsplit(text, " ", FIELDS + 1);
    guint64 pid, ppid, tty, user_ns, system_ns, start_ns, pages, uid;
    gint64 nice;
    if (g_strv_length(words) != FIELDS || !read_number(words[PID], G_MAXINT32, &pid) ||
        !read_number(words[PPID], G_MAXINT32, &ppid) ||
        !read_number(words[TTY], G_MAXUINT32, &tty) || !read_ticks(words[UTIME], clock, &user_ns) ||
        !read_ticks(words[STIME], clock, &system_ns) ||
        !g_ascii_string_to_signed(words[NICE], 10, -20, 19, &nice, NULL) ||
        !read_ticks(words[START], clock, &start_ns) ||
        !read_number(words[VSIZE], BYTES_MAX, &process->virtual_bytes) ||
        !read_number(words[RSS], BYTES_MAX / MAX(clock->page_bytes, 1), &pages) ||
        !read_number(words[UID], G_MAXUINT32, &uid) || !g_ascii_isalpha(words[STATE][0]) ||
        words[STATE][1])
        return FALSE;
    process->pid = (guint32)pid;
    process->ppid = (guint32)ppid;
    process->tty = (guint32)tty;
    process->uid = (guint32)uid;
    process->state = words[STATE][0];
    process->nice = (int)nice;
    process->cpu_ns = user_ns + system_ns;
    process->elapsed_ns = clock->now_ns - MIN(clock->now_ns, start_ns);
    process->resident_bytes = pages * clock->page_bytes;
    return TRUE;
}

GPtrArray *duet_processes_parse(const char *bytes, gsize length, GError **error)
{
    g_autoptr(GPtrArray) list = g_ptr_array_new_with_free_func((GDestroyNotify)duet_process_free);
    const char *cursor = bytes, *end = bytes + length;
    const char *text = next_string(&cursor, end);
    Clock clock;
    gboolean ok = text && parse_clock(text, &clock);
    while (ok && cursor < end) {
        DuetProcess *process = g_new0(DuetProcess, 1);
        g_ptr_array_add(list, process);
        text = next_string(&cursor, end);
        const char *user = text ? next_string(&cursor, end) : NULL;
        const char *name = user ? next_string(&cursor, end) : NULL;
        const char *args = name ? next_string(&cursor, end) : NULL;
        ok = args && parse_numbers(text, &clock, process);
        process->user = g_strdup(user);
        process->name = g_strdup(name);
        process->args = g_strdup(args);
    }
    if (ok)
        return g_steal_pointer(&list);
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_BROKEN, "what its agent says is no list of processes");
    return NULL;
}

/* Returns: memory of LIST_MAX_BYTES that can't have more, or -1 with @error. */
static int open_list(GError **error)
{
    DUET_AUTO_FD fd = memfd_create("duet-processes", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, LIST_MAX_BYTES) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0) {
        duet_error_set_errno(error, errno, "cannot get memory for a list of processes");
        return -1;
    }
    return duet_fd_steal(&fd);
}

GPtrArray *duet_instance_processes(DuetInstance *instance, GError **error)
{
    const char *name = instance->spec->name;
    DUET_AUTO_FD fd = open_list(error);
    if (fd < 0)
        return NULL;
    DuetExec exec = { .processes = TRUE };
    DuetIo io = { .stdin_fd = -1, .stdout_fd = fd, .stderr_fd = -1 };
    g_autoptr(GError) failure = NULL;
    int code = duet_instance_exec(instance, &exec, &io, &failure);
    off_t length = lseek(fd, 0, SEEK_CUR);
    if (code != 0 && length + 65536 > (off_t)LIST_MAX_BYTES) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "the instance '%s' has a longer list of processes than %u MiB", name,
            LIST_MAX_BYTES >> 20);
        return NULL;
    }
    if (code < 0) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    char *bytes = code == 0 && length > 0 ? mmap(NULL, (gsize)length, PROT_READ, MAP_PRIVATE, fd, 0)
                                          : MAP_FAILED;
    if (bytes == MAP_FAILED) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "the instance '%s': its agent cannot list processes: is its /proc still there?", name);
        return NULL;
    }
    GPtrArray *list = duet_processes_parse(bytes, (gsize)length, error);
    munmap(bytes, (gsize)length);
    if (!list)
        g_prefix_error(error, "the instance '%s': ", name);
    return list;
}
