/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/*
 * The log: what the payload wrote, byte for byte, in the order in which it came. A record is 16
 * bytes of header, little-endian (u32 length, u32 channel, u64 wall clock in us), then the bytes.
 *
 * It is the file `log` of the instance's directory. With a bound its older parts are `log.<n>`,
 * n counting up from 1 since the start: `log` would be the next number. A part that is full gets
 * its number by a link, then a new file is renamed over `log`: at every instant `log` is there, and
 * no record is in no file. Between the two, or after a kill there, both names are one file.
 */

/**
 * DuetLog: the writer's.
 * @fd: -1: no log is kept
 * @part_bytes: how long a part may get; 0: there is one, without bound
 * @parts: how many there may be, `log` among them
 */
typedef struct {
    int dir_fd;
    int fd;
    guint64 part_bytes;
    guint parts;
    guint64 bytes;
    guint64 sequence;
} DuetLog;

/**
 * duet_log_open: begins a new one; older parts go.
 * @dir_fd: the instance's directory; must stay open
 * @goes_on: no: what is there stays, and is added to
 */
gboolean duet_log_open(
    DuetLog *log, int dir_fd, const DuetSpec *spec, gboolean goes_on, GError **error);
void duet_log_close(DuetLog *log);

/** duet_log_append: Returns: %FALSE with errno; a part of a record is cut off again. */
gboolean duet_log_append(DuetLog *log, guint channel, gconstpointer bytes, guint32 length);

/**
 * DuetLogReader: reads from the oldest part on, and follows the writer from part to part.
 * @first: number of the part that it began with
 */
typedef struct {
    int dir_fd;
    int fd;
    goffset offset;
    guint64 sequence;
    guint64 first;
} DuetLogReader;

/** DuetLogRecord: gets each record. Returns: %FALSE with errno: reading ends. */
typedef gboolean (*DuetLogRecord)(
    guint channel, gint64 us, const guint8 *bytes, guint32 length, gpointer data);

/** duet_log_reader_open: Returns: %FALSE with errno: ENOENT: there is no log. */
gboolean duet_log_reader_open(DuetLogReader *reader, int dir_fd);
void duet_log_reader_close(DuetLogReader *reader);
/**
 * duet_log_read: all whole records that are there by now.
 * Returns: %FALSE with errno, if @record did
 */
gboolean duet_log_read(DuetLogReader *reader, DuetLogRecord record, gpointer data);

G_END_DECLS
