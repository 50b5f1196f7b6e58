/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/duration.h"

#include <duet/error.h>

#include <string.h>

/* Far beyond any use, and far from the end of 64 bits: 100 years. */
#define DURATION_MAX_US (G_GINT64_CONSTANT(100) * 366 * 86400 * G_USEC_PER_SEC)

static const struct {
    const char *name;
    double us;
} units[] = {
    /* the longer name first: "ms" is no "m" */
    { "ns", 0.001 },
    { "us", 1 },
    { "\302\265s", 1 }, /* U+00B5 */
    { "\316\274s", 1 }, /* U+03BC */
    { "ms", 1e3 },
    { "s", 1e6 },
    { "m", 60e6 },
    { "h", 3600e6 },
};

/* Digits with at most one point among them. Returns: the first character behind. */
static const char *skip_number(const char *at)
{
    const char *start = at;
    guint points = 0, digits = 0;
    for (; g_ascii_isdigit(*at) || *at == '.'; at++) {
        points += *at == '.';
        digits += *at != '.';
    }
    return points <= 1 && digits > 0 ? at : start;
}

static gboolean take_part(const char **at, double *us)
{
    const char *end = skip_number(*at);
    if (end == *at)
        return FALSE;
    double value = g_ascii_strtod(*at, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(units); i++)
        if (g_str_has_prefix(end, units[i].name)) {
            *us += value * units[i].us;
            *at = end + strlen(units[i].name);
            return TRUE;
        }
    return FALSE;
}

gboolean duet_parse_duration(const char *text, gint64 *out_us, GError **error)
{
    const char *at = text;
    double us = 0;
    gboolean ok = *text != '\0';
    if (g_str_equal(text, "0"))
        at++;
    while (ok && *at)
        ok = take_part(&at, &us);
    if (!ok || us > (double)DURATION_MAX_US) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no duration: use numbers with ms, s, m or h behind them, as in 1m30s", text);
        return FALSE;
    }
    *out_us = (gint64)(us + 0.5);
    return TRUE;
}

static gboolean parse_seconds(const char *text, gint64 *out_us)
{
    const char *end = skip_number(text);
    double seconds = g_ascii_strtod(text, NULL);
    if (end == text || *end || seconds > 1e11)
        return FALSE;
    *out_us = (gint64)(seconds * G_USEC_PER_SEC);
    return TRUE;
}

gboolean duet_parse_time(const char *text, gint64 now_us, gint64 *out_us, GError **error)
{
    gint64 ago_us;
    if (parse_seconds(text, out_us))
        return TRUE;
    if (duet_parse_duration(text, &ago_us, NULL)) {
        *out_us = now_us - ago_us;
        return TRUE;
    }
    g_autoptr(GTimeZone) local = g_time_zone_new_local();
    g_autofree char *whole = strpbrk(text, "Tt ") ? NULL : g_strconcat(text, "T00:00:00", NULL);
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(whole ? whole : text, local);
    if (!time) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no time: use 2026-11-27T12:00:00Z, seconds since 1970, or how long ago, as in "
            "10m",
            text);
        return FALSE;
    }
    *out_us = g_date_time_to_unix(time) * G_USEC_PER_SEC + g_date_time_get_microsecond(time);
    return TRUE;
}

char *duet_format_duration(gint64 us)
{
    gint64 seconds = us / G_USEC_PER_SEC, rest_us = us % G_USEC_PER_SEC;
    g_autoptr(GString) text = g_string_new(NULL);
    if (us > 0 && us < G_USEC_PER_SEC) {
        g_string_printf(text, "%gms", (double)us / 1000);
        return g_string_free(g_steal_pointer(&text), FALSE);
    }
    if (seconds >= 3600)
        g_string_append_printf(text, "%" G_GINT64_FORMAT "h", seconds / 3600);
    if (seconds >= 60)
        g_string_append_printf(text, "%dm", (int)(seconds / 60 % 60));
    g_string_append_printf(text, "%gs", (double)(seconds % 60) + (double)rest_us / G_USEC_PER_SEC);
    return g_string_free(g_steal_pointer(&text), FALSE);
}
