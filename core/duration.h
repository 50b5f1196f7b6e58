/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_parse_duration: "1m30s", "500ms", "1.5h" as Go has them (h, m, s, ms, us, ns), without sign;
 * "0" needs no unit.
 * Returns: %FALSE with %DUET_ERROR_INVALID.
 */
gboolean duet_parse_duration(const char *text, gint64 *out_us, GError **error);

/**
 * duet_parse_time: an instant: RFC 3339 ("2026-11-27T12:00:00.5Z"; without a zone it is local, a
 * date alone is its midnight), seconds since 1970 ("1136073600.5"), or a duration before @now_us.
 * @out_us: wall clock, microseconds since 1970
 */
gboolean duet_parse_time(const char *text, gint64 now_us, gint64 *out_us, GError **error);

/** duet_format_duration: Returns: (transfer full): "1m30s", "500ms", as Go writes it. */
char *duet_format_duration(gint64 us);

G_END_DECLS
