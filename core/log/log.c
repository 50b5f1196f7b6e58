/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log.h"
#include "log-parts.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRESH "log.new"

static int create(int dir_fd, const char *name)
{
    return openat(dir_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static void remove_parts(int dir_fd, guint64 last)
{
    g_autoptr(GArray) parts = duet_log_parts(dir_fd, 0);
    for (guint i = 0; i < parts->len && g_array_index(parts, guint64, i) <= last; i++) {
        g_autofree char *name = duet_log_part_name(g_array_index(parts, guint64, i));
        unlinkat(dir_fd, name, 0);
    }
}

static gboolean go_on(DuetLog *log, GError **error)
{
    g_autoptr(GArray) parts = duet_log_parts(log->dir_fd, 0);
    if (parts->len > 0)
        log->sequence = g_array_index(parts, guint64, parts->len - 1) + 1;
    log->fd = openat(log->dir_fd, DUET_LOG, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    off_t end = log->fd < 0 ? -1 : lseek(log->fd, 0, SEEK_END);
    log->bytes = (guint64)MAX(end, 0);
    return end >= 0 || duet_error_set_errno(error, errno, "cannot open the log");
}

gboolean duet_log_open(
    DuetLog *log, int dir_fd, const DuetSpec *spec, gboolean goes_on, GError **error)
{
    *log = (DuetLog){ .dir_fd = dir_fd, .fd = -1, .sequence = 1 };
    if (spec->no_log)
        return TRUE;
    /* One file that is emptied when it is full would keep nothing then: two halves keep a half. */
    gboolean halves = spec->log_max_files <= 1;
    log->parts = halves ? 2 : (guint)spec->log_max_files;
    log->part_bytes = halves ? spec->log_max_bytes / 2 : spec->log_max_bytes;
    if (goes_on)
        return go_on(log, error);
    if (log->part_bytes)
        remove_parts(dir_fd, G_MAXUINT64);
    log->fd = create(dir_fd, DUET_LOG);
    return log->fd >= 0 || duet_error_set_errno(error, errno, "cannot create the log");
}

void duet_log_close(DuetLog *log)
{
    duet_fd_clear(&log->fd);
}

/* Returns: %FALSE with errno; the part goes on as it was. */
static gboolean rotate(DuetLog *log)
{
    g_autofree char *name = duet_log_part_name(log->sequence);
    /* Makes room for what follows, within the bound. */
    if (log->sequence + 1 > log->parts)
        remove_parts(log->dir_fd, log->sequence + 1 - log->parts);
    DUET_AUTO_FD fd = create(log->dir_fd, FRESH);
    if (fd < 0)
        return FALSE;
    if ((linkat(log->dir_fd, DUET_LOG, log->dir_fd, name, 0) < 0 && errno != EEXIST) ||
        renameat(log->dir_fd, FRESH, log->dir_fd, DUET_LOG) < 0) {
        int err = errno;
        unlinkat(log->dir_fd, FRESH, 0);
        errno = err;
        return FALSE;
    }
    close(log->fd);
    log->fd = duet_fd_steal(&fd);
    log->sequence++;
    log->bytes = 0;
    return TRUE;
}

static gboolean append_record(DuetLog *log, guint channel, const guint8 *bytes, guint32 length)
{
    guint8 header[DUET_LOG_HEADER_BYTES];
    duet_put_u32(header, length);
    duet_put_u32(header + 4, channel);
    duet_put_u64(header + 8, (guint64)g_get_real_time());
    struct iovec parts[] = { { header, sizeof header }, { (void *)bytes, length } };
    ssize_t n = writev(log->fd, parts, 2);
    if (n == (ssize_t)(sizeof header + length)) {
        log->bytes += (guint64)n;
        return TRUE;
    }
    int err = n < 0 ? errno : ENOSPC;
    off_t end = n > 0 ? lseek(log->fd, 0, SEEK_END) : -1;
    if (end >= n && ftruncate(log->fd, end - n) == 0)
        lseek(log->fd, 0, SEEK_END);
    errno = err;
    return FALSE;
}

gboolean duet_log_append(DuetLog *log, guint channel, gconstpointer bytes, guint32 length)
{
    if (log->fd < 0)
        return TRUE;
    if (!log->part_bytes)
        return append_record(log, channel, bytes, length);
    /* What is longer than a part becomes several records. */
    for (guint32 at = 0, n; at < length; at += n) {
        n = (guint32)MIN(length - at, log->part_bytes - DUET_LOG_HEADER_BYTES);
        if (log->bytes > 0 && log->bytes + DUET_LOG_HEADER_BYTES + n > log->part_bytes &&
            !rotate(log))
            return FALSE;
        if (!append_record(log, channel, (const guint8 *)bytes + at, n))
            return FALSE;
    }
    return TRUE;
}
