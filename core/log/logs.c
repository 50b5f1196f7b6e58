/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `logs`: what an instance wrote, and what it goes on to write. */
#include "core/control.h"
#include "log-lines.h"
#include "log.h"
#include "core/session.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <errno.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

/* How often a log may lose its oldest part while its lines are counted. */
#define TRIES 20

typedef struct {
    DuetLogReader reader;
    DuetLogLines lines;
    int watch_fd;
    int watch;
    guint64 watched;
} Logs;

static void logs_clear(Logs *logs)
{
    duet_log_reader_close(&logs->reader);
    duet_fd_clear(&logs->watch_fd);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Logs, logs_clear)

/* How many lines come before the last that are wanted. Returns: %FALSE with errno. */
static gboolean count_lines(DuetLogReader *reader, int dir_fd, DuetLogLines *lines)
{
    DuetLogLines counted = { .query = lines->query, .fds = { -1, -1, -1 }, .counting = TRUE };
    DuetLogReader counter;
    if (!duet_log_reader_open(&counter, dir_fd))
        return FALSE;
    gboolean ok = duet_log_read(&counter, duet_log_lines_record, &counted);
    duet_log_reader_close(&counter);
    lines->skip = MAX(0, counted.begun - lines->query->tail);
    return ok && duet_log_reader_open(reader, dir_fd) && reader->first == counter.first;
}

static gboolean open_reader(Logs *logs, DuetInstance *instance)
{
    if (logs->lines.query->tail < 0)
        return duet_log_reader_open(&logs->reader, instance->dir_fd);
    for (int tries = 0; tries < TRIES; tries++) {
        duet_log_reader_close(&logs->reader);
        if (count_lines(&logs->reader, instance->dir_fd, &logs->lines))
            return TRUE;
        if (logs->reader.fd < 0)
            return FALSE;
    }
    /* A writer that is so fast: some lines too few are shown. */
    return TRUE;
}

/* The part that the reader is at. IN_ATTRIB: it got a number. */
static gboolean watch_part(Logs *logs)
{
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", logs->reader.fd);
    if (logs->watch >= 0)
        inotify_rm_watch(logs->watch_fd, logs->watch);
    logs->watch = inotify_add_watch(logs->watch_fd, path, IN_MODIFY | IN_ATTRIB);
    logs->watched = logs->reader.sequence;
    return logs->watch >= 0;
}

/* In ms, for poll(): when all that comes will be too late; -1: never. */
static int patience_ms(const DuetLogQuery *query)
{
    if (!query->until_us)
        return -1;
    return (int)CLAMP((query->until_us - g_get_real_time()) / 1000 + 1, 0, G_MAXINT);
}

/* Returns: whether there is more to come. @over: the monitor is gone. */
static gboolean wait_for_more(Logs *logs, int monitor_fd)
{
    struct pollfd fds[] = { { logs->watch_fd, POLLIN, 0 }, { monitor_fd, POLLIN, 0 },
        /* nothing is asked of them: poll() tells when their readers are gone */
        { logs->lines.fds[DUET_CHANNEL_STDOUT], 0, 0 } };
    char events[4096];
    int ready = poll(fds, G_N_ELEMENTS(fds), patience_ms(logs->lines.query));
    if (ready == 0)
        logs->lines.done = TRUE;
    if (ready <= 0)
        return TRUE;
    if (fds[0].revents)
        (void)!read(logs->watch_fd, events, sizeof events);
    logs->lines.done |= (fds[2].revents & (POLLERR | POLLNVAL)) != 0;
    /* RELEASED, or the monitor's death: nothing will be added after what is there now. */
    return fds[1].revents == 0;
}

static gboolean pump(Logs *logs, int monitor_fd, GError **error)
{
    for (gboolean more = monitor_fd >= 0;; more = more && wait_for_more(logs, monitor_fd)) {
        do {
            if (!duet_log_read(&logs->reader, duet_log_lines_record, &logs->lines))
                return errno == EPIPE || duet_error_set_errno(error, errno, "cannot write the log");
            if (!more || logs->lines.done)
                return TRUE;
            if (logs->watched == logs->reader.sequence)
                break;
            if (!watch_part(logs))
                return duet_error_set_errno(error, errno, "cannot watch the log");
            /* What was added before it was watched. */
        } while (TRUE);
    }
}

gboolean duet_instance_logs_query(
    DuetInstance *instance, int stdout_fd, int stderr_fd, const DuetLogQuery *query, GError **error)
{
    const DuetSpec *spec = instance->spec;
    g_auto(Logs) logs = { .reader.fd = -1,
        .lines = { .query = query, .fds = { -1, stdout_fd, stderr_fd } },
        .watch_fd = -1,
        .watch = -1 };
    if (spec->no_log) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "the instance '%s' keeps no log (--log-driver none)", spec->name);
        return FALSE;
    }
    if (!open_reader(&logs, instance)) {
        if (errno == ENOENT && !query->follow)
            return TRUE;
        return duet_error_set_errno(error, errno, "no log of '%s'", spec->name);
    }
    DUET_AUTO_FD monitor_fd = query->follow ? duet_instance_connect(instance) : -1;
    if (monitor_fd >= 0) {
        logs.watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (logs.watch_fd < 0)
            return duet_error_set_errno(error, errno, "cannot watch the log");
        duet_frame_write(monitor_fd, DUET_FRAME_WAIT, 0, NULL, 0);
    }
    return pump(&logs, monitor_fd, error);
}

gboolean duet_instance_logs(
    DuetInstance *instance, int stdout_fd, int stderr_fd, gboolean follow, GError **error)
{
    const DuetLogQuery all = { .follow = follow, .tail = -1 };
    return duet_instance_logs_query(instance, stdout_fd, stderr_fd, &all, error);
}
