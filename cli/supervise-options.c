/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `run` and `create` can ask the monitor to do by itself: start again, bound the log, check
 * the payload's health. */
#include "cli/cli.h"

#include <duet/error.h>

#include <string.h>

void duet_cli_supervise_options(DuetSuperviseOptions *options, GArray *entries)
{
    const GOptionEntry rows[] = {
        { "restart", 0, 0, G_OPTION_ARG_FILENAME, &options->restart,
            "start it again when it ends: no, on-failure[:TIMES], always", "POLICY" },
    };
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
}

void duet_cli_supervise_options_clear(DuetSuperviseOptions *options)
{
    g_free(options->restart);
}

/* Docker's unless-stopped differs from always after the daemon's start only; there is none. */
static gboolean apply_restart(DuetSpec *spec, const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    g_autofree char *name = colon ? g_strndup(text, (gsize)(colon - text)) : g_strdup(text);
    guint64 retries = 0;
    if (g_str_equal(name, "on-failure"))
        spec->restart = DUET_RESTART_ON_FAILURE;
    else if (g_str_equal(name, "always") || g_str_equal(name, "unless-stopped"))
        spec->restart = DUET_RESTART_ALWAYS;
    else if (!g_str_equal(name, "no"))
        return duet_cli_invalid(error,
            "is no restart policy: use no, on-failure, on-failure:TIMES, always or unless-stopped",
            text);
    if (colon && spec->restart != DUET_RESTART_ON_FAILURE)
        return duet_cli_invalid(error, "is no restart policy: only on-failure takes a count", text);
    if (colon && !g_ascii_string_to_unsigned(colon + 1, 10, 0, G_MAXINT, &retries, NULL))
        return duet_cli_invalid(
            error, "is no restart policy: TIMES is a number, as in on-failure:5", text);
    spec->restart_retries = (int)retries;
    if (spec->restart != DUET_RESTART_NO && spec->remove_at_exit) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--restart '%s' and --rm contradict each other: leave one of them out", text);
        return FALSE;
    }
    return TRUE;
}

gboolean duet_cli_apply_supervise(
    DuetSpec *spec, const DuetSuperviseOptions *options, GError **error)
{
    return !options->restart || apply_restart(spec, options->restart, error);
}
