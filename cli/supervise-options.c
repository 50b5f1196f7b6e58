/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `run` and `create` can ask the monitor to do by itself: start again, bound the log, check
 * the payload's health. */
#include "cli/cli.h"
#include "core/util.h"

#include <duet/error.h>

#include <string.h>

#define LOG_FILES_MAX 1000

void duet_cli_supervise_options(DuetSuperviseOptions *options, GArray *entries)
{
    const GOptionEntry rows[] = {
        { "restart", 0, 0, G_OPTION_ARG_FILENAME, &options->restart,
            "start it again when it ends: no, on-failure[:TIMES], always", "POLICY" },
        { "log-driver", 0, 0, G_OPTION_ARG_FILENAME, &options->log_driver,
            "none: keep no log; k8s-file, json-file and local: duet's own file, as without",
            "DRIVER" },
        { "log-opt", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->log_options,
            "bound the log: max-size=SIZE of a file, such as 10m, and max-file=N files (1)",
            "KEY=VALUE" },
        { "health-cmd", 0, 0, G_OPTION_ARG_FILENAME, &options->health_cmd,
            "how to find out whether the payload is well: a line for the shell, a JSON list of "
            "words, or none",
            "COMMAND" },
        { "health-interval", 0, 0, G_OPTION_ARG_FILENAME, &options->health_interval,
            "time between two checks (30s), or disable", "TIME" },
        { "health-timeout", 0, 0, G_OPTION_ARG_FILENAME, &options->health_timeout,
            "a check that takes longer has failed (30s)", "TIME" },
        { "health-retries", 0, 0, G_OPTION_ARG_INT64, &options->health_retries,
            "how many failures in a row make it unhealthy (3)", "N" },
        { "health-start-period", 0, 0, G_OPTION_ARG_FILENAME, &options->health_start_period,
            "failures do not count so long (0s)", "TIME" },
        { "health-start-interval", 0, 0, G_OPTION_ARG_FILENAME, &options->health_start_interval,
            "time between two checks meanwhile (5s)", "TIME" },
        { "health-on-failure", 0, 0, G_OPTION_ARG_FILENAME, &options->health_on_failure,
            "what to do with an unhealthy one: none, kill, restart, stop", "ACTION" },
        { "no-healthcheck", 0, 0, G_OPTION_ARG_NONE, &options->no_health,
            "no check, whatever the image says", NULL },
    };
    options->health_retries = DUET_RETRIES_NONE;
    g_array_append_vals(entries, rows, G_N_ELEMENTS(rows));
}

void duet_cli_supervise_options_clear(DuetSuperviseOptions *options)
{
    g_free(options->restart);
    g_free(options->log_driver);
    g_strfreev(options->log_options);
    char *texts[] = { options->health_cmd, options->health_interval, options->health_timeout,
        options->health_start_period, options->health_start_interval, options->health_on_failure };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(texts[i]);
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

static gboolean apply_log_option(DuetSpec *spec, const char *text, GError **error)
{
    guint64 files;
    if (g_str_equal(text, "max-size=-1")) /* docker's word for no bound */
        return TRUE;
    if (g_str_has_prefix(text, "max-size=")) {
        if (!duet_parse_bytes(text + strlen("max-size="), &spec->log_max_bytes, error)) {
            g_prefix_error(error, "--log-opt max-size: ");
            return FALSE;
        }
        return spec->log_max_bytes >= DUET_LOG_MIN_BYTES ||
            duet_cli_invalid(error, "is no size for a log: give it 1k at least", text);
    }
    if (g_str_has_prefix(text, "max-file=")) {
        if (!g_ascii_string_to_unsigned(
                text + strlen("max-file="), 10, 1, LOG_FILES_MAX, &files, NULL))
            return duet_cli_invalid(error, "is no number of files: 1 to 1000", text);
        spec->log_max_files = (int)files;
        return TRUE;
    }
    return duet_cli_invalid(
        error, "is no log option that duet knows: max-size=SIZE, max-file=N", text);
}

static gboolean apply_log(DuetSpec *spec, const DuetSuperviseOptions *options, GError **error)
{
    static const char *const ours[] = { "k8s-file", "json-file", "local", NULL };
    const char *driver = options->log_driver;
    spec->no_log = g_strcmp0(driver, "none") == 0;
    if (driver && !spec->no_log && !g_strv_contains(ours, driver))
        return duet_cli_invalid(error,
            "is no log driver that duet has: none, or k8s-file, json-file or local for the file "
            "that `duet logs` reads",
            driver);
    for (char **option = options->log_options; option && *option; option++)
        if (!apply_log_option(spec, *option, error))
            return FALSE;
    if (spec->no_log && options->log_options)
        return duet_cli_invalid(
            error, "bounds a log that --log-driver none does not keep", options->log_options[0]);
    if (spec->log_max_files > 1 && !spec->log_max_bytes)
        return duet_cli_invalid(
            error, "needs a max-size: without one there is one file", "--log-opt max-file");
    return TRUE;
}

gboolean duet_cli_apply_supervise(
    DuetSpec *spec, const DuetSuperviseOptions *options, GError **error)
{
    return (!options->restart || apply_restart(spec, options->restart, error)) &&
        apply_log(spec, options, error) && duet_cli_apply_health(spec, options, error);
}
