/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "log-lines.h"
#include "core/util.h"

#include <duet/protocol.h>

#include <string.h>

/* As docker and podman write it. */
static void add_time(GByteArray *out, gint64 us)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(us / G_USEC_PER_SEC);
    g_autofree char *seconds = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%S") : NULL;
    g_autofree char *text =
        g_strdup_printf("%s.%06d000Z ", seconds ? seconds : "?", (int)(us % G_USEC_PER_SEC));
    g_byte_array_append(out, (const guint8 *)text, (guint)strlen(text));
}

static void begin_line(DuetLogLines *lines, guint channel, gint64 us, GByteArray *out)
{
    const DuetLogQuery *query = lines->query;
    gboolean wanted = us >= query->since_us && (query->until_us == 0 || us <= query->until_us);
    lines->line[channel].open = TRUE;
    lines->line[channel].shown = wanted && lines->begun++ >= lines->skip;
    if (lines->line[channel].shown && query->timestamps)
        add_time(out, us);
}

static gboolean is_plain(const DuetLogLines *lines)
{
    const DuetLogQuery *query = lines->query;
    return !lines->counting && lines->skip == 0 && !query->timestamps && query->since_us == 0 &&
        query->until_us == 0;
}

gboolean duet_log_lines_record(
    guint channel, gint64 us, const guint8 *bytes, guint32 length, gpointer data)
{
    DuetLogLines *lines = data;
    channel = channel == DUET_CHANNEL_STDERR ? DUET_CHANNEL_STDERR : DUET_CHANNEL_STDOUT;
    int fd = lines->fds[channel];
    if (is_plain(lines))
        return fd < 0 || duet_write_all(fd, bytes, length);
    if (lines->query->until_us && us > lines->query->until_us)
        lines->done = TRUE;
    g_autoptr(GByteArray) out = g_byte_array_new();
    for (const guint8 *end = bytes + length, *next; bytes < end; bytes = next) {
        const guint8 *newline = memchr(bytes, '\n', (gsize)(end - bytes));
        next = newline ? newline + 1 : end;
        if (!lines->line[channel].open)
            begin_line(lines, channel, us, out);
        if (lines->line[channel].shown)
            g_byte_array_append(out, bytes, (guint)(next - bytes));
        lines->line[channel].open = !newline;
    }
    return lines->counting || fd < 0 || out->len == 0 || duet_write_all(fd, out->data, out->len);
}
