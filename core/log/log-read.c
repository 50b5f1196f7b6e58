/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-parts.h"
#include "log.h"
#include "core/util.h"

#include <duet/protocol.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX DUET_LOG "."
/* How often the writer may be faster between two looks at the directory. */
#define TRIES 1000

char *duet_log_part_name(guint64 sequence)
{
    return g_strdup_printf(PREFIX "%" G_GUINT64_FORMAT, sequence);
}

static gint by_number(gconstpointer a, gconstpointer b)
{
    guint64 first = *(const guint64 *)a, second = *(const guint64 *)b;
    return (first > second) - (first < second);
}

GArray *duet_log_parts(int dir_fd, guint64 first)
{
    GArray *parts = g_array_new(FALSE, FALSE, sizeof(guint64));
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        guint64 number;
        if (g_str_has_prefix(entry->d_name, PREFIX) &&
            g_ascii_string_to_unsigned(
                entry->d_name + strlen(PREFIX), 10, 1, G_MAXUINT64, &number, NULL) &&
            number >= first)
            g_array_append_val(parts, number);
    }
    if (dir)
        closedir(dir);
    g_array_sort(parts, by_number);
    return parts;
}

/*
 * Opens the oldest part from the number @first on: a numbered one, or `log`. That one has the
 * number after all the others, if there still is none when it is open. Returns: -1 with errno.
 */
static int open_from(int dir_fd, guint64 first, guint64 *out_sequence)
{
    for (int tries = 0; tries < TRIES; tries++) {
        g_autoptr(GArray) before = duet_log_parts(dir_fd, first);
        if (before->len > 0) {
            *out_sequence = g_array_index(before, guint64, 0);
            g_autofree char *name = duet_log_part_name(*out_sequence);
            int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
            if (fd >= 0 || errno != ENOENT)
                return fd;
            continue;
        }
        DUET_AUTO_FD fd = openat(dir_fd, DUET_LOG, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            return -1;
        g_autoptr(GArray) after = duet_log_parts(dir_fd, first);
        *out_sequence = first;
        if (after->len == 0)
            return duet_fd_steal(&fd);
    }
    errno = EAGAIN;
    return -1;
}

gboolean duet_log_reader_open(DuetLogReader *reader, int dir_fd)
{
    *reader = (DuetLogReader){ .dir_fd = dir_fd };
    reader->fd = open_from(dir_fd, 1, &reader->sequence);
    reader->first = reader->sequence;
    return reader->fd >= 0;
}

void duet_log_reader_close(DuetLogReader *reader)
{
    duet_fd_clear(&reader->fd);
}

static gboolean read_part(DuetLogReader *reader, DuetLogRecord record, gpointer data)
{
    g_autofree guint8 *buffer = g_malloc(DUET_FRAME_MAX_BYTES);
    guint8 header[DUET_LOG_HEADER_BYTES];
    while (pread(reader->fd, header, sizeof header, reader->offset) == (ssize_t)sizeof header) {
        guint32 length = duet_get_u32(header);
        if (length > DUET_FRAME_MAX_BYTES ||
            pread(reader->fd, buffer, length, reader->offset + DUET_LOG_HEADER_BYTES) !=
                (ssize_t)length)
            break;
        if (!record(
                duet_get_u32(header + 4), (gint64)duet_get_u64(header + 8), buffer, length, data))
            return FALSE;
        reader->offset += DUET_LOG_HEADER_BYTES + length;
    }
    return TRUE;
}

/* Whether the writer has gone on to another part: nothing will be added to this one. */
static gboolean is_full(const DuetLogReader *reader)
{
    g_autoptr(GArray) parts = duet_log_parts(reader->dir_fd, reader->sequence);
    return parts->len > 0;
}

/* Returns: whether there is a next part. Between the writer's two steps it is this one. */
static gboolean go_on(DuetLogReader *reader)
{
    struct stat old, next;
    guint64 sequence;
    DUET_AUTO_FD fd = open_from(reader->dir_fd, reader->sequence + 1, &sequence);
    if (fd < 0 || fstat(fd, &next) < 0 || fstat(reader->fd, &old) < 0 ||
        (old.st_ino == next.st_ino && old.st_dev == next.st_dev))
        return FALSE;
    close(reader->fd);
    reader->fd = duet_fd_steal(&fd);
    reader->sequence = sequence;
    reader->offset = 0;
    return TRUE;
}

gboolean duet_log_read(DuetLogReader *reader, DuetLogRecord record, gpointer data)
{
    for (;;) {
        /* Asked before it is read: what is in it then is all. */
        gboolean full = is_full(reader);
        if (!read_part(reader, record, data))
            return FALSE;
        if (!full || !go_on(reader))
            return TRUE;
    }
}
