/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/**
 * DuetLogLines: which lines of a log are shown, and how. A line has the time of its first byte; the
 * two channels have lines of their own.
 * @counting: nothing is written: @begun tells how many lines there are
 * @skip: how many of the first lines are left out
 * @begun: how many there were that the query wants
 * @done: what follows is later than the query wants
 */
typedef struct {
    const DuetLogQuery *query;
    int fds[3];
    gboolean counting;
    gint64 skip;
    gint64 begun;
    gboolean done;
    struct {
        gboolean open, shown;
    } line[3];
} DuetLogLines;

/** duet_log_lines_record: a #DuetLogRecord; @data is a #DuetLogLines. */
gboolean duet_log_lines_record(
    guint channel, gint64 us, const guint8 *bytes, guint32 length, gpointer data);

G_END_DECLS
