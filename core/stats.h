/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetProcessTimes: of /proc/PID/stat.
 * @ticks: CPU time, that of children that were waited for among it
 * @began: since the host's boot, in ticks; 0: not told
 */
typedef struct {
    guint64 ticks;
    guint64 threads;
    guint64 began;
} DuetProcessTimes;

/** duet_stat_parse: Returns: %FALSE for a text that is none. */
gboolean duet_stat_parse(const char *text, DuetProcessTimes *out_times);
/** duet_io_parse: of /proc/PID/io. Returns: %FALSE for a text that is none. */
gboolean duet_io_parse(const char *text, guint64 *out_read_bytes, guint64 *out_write_bytes);

G_END_DECLS
