/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How an instance's health is checked: what its image says, and what options say in its place. */
#include "cli/cli.h"
#include "core/duration.h"

#include <duet/error.h>

#include <string.h>

/* Docker's and podman's. */
#define INTERVAL_US (30 * G_USEC_PER_SEC)
#define TIMEOUT_US (30 * G_USEC_PER_SEC)
#define START_INTERVAL_US (5 * G_USEC_PER_SEC)
#define RETRIES 3
/* What a timer of 32 bits takes; shorter would be all that a payload does. */
#define TIME_MIN_US 1000
#define TIME_MAX_US (G_GINT64_CONSTANT(40) * 86400 * G_USEC_PER_SEC)

/* For the shell of the instance. */
static char **shell_line(const char *line)
{
    const char *const words[] = { "/bin/sh", "-c", line, NULL };
    return g_strdupv((char **)words);
}

/* "CMD", words; "CMD-SHELL", a line; or words alone. */
static char **words_of_test(char **test)
{
    if (g_str_equal(test[0], "CMD-SHELL"))
        return shell_line(test[1]);
    return g_strdupv(g_str_equal(test[0], "CMD") ? test + 1 : test);
}

static void set_defaults(DuetHealthCheck *check)
{
    check->interval_us = INTERVAL_US;
    check->timeout_us = TIMEOUT_US;
    check->start_interval_us = START_INTERVAL_US;
    check->retries = RETRIES;
}

static void set_given(gint64 *place, gint64 us)
{
    if (us)
        *place = CLAMP(us, TIME_MIN_US, TIME_MAX_US);
}

void duet_cli_image_health(DuetSpec *spec, const DuetImage *image)
{
    DuetHealthCheck *check = &spec->health;
    if (!image->health_test)
        return;
    check->test = words_of_test(image->health_test);
    set_defaults(check);
    set_given(&check->interval_us, image->health_interval_us);
    set_given(&check->timeout_us, image->health_timeout_us);
    set_given(&check->start_period_us, image->health_start_period_us);
    set_given(&check->start_interval_us, image->health_start_interval_us);
    if (image->health_retries)
        check->retries = (int)image->health_retries;
}

/* A JSON list of strings reads as one of GVariant's; what is no list is a line for the shell: "[ -e
 * /ready ]" is one. Returns: (nullable). */
static char **list_of(const char *text)
{
    g_autoptr(GVariant) list =
        *text == '[' ? g_variant_parse(G_VARIANT_TYPE_STRING_ARRAY, text, NULL, NULL, NULL) : NULL;
    return list ? g_variant_dup_strv(list, NULL) : NULL;
}

/* Returns: %TRUE with no test for "none". */
static gboolean apply_command(DuetSpec *spec, const char *text, GError **error)
{
    g_auto(GStrv) list = list_of(text);
    const char *first = list ? (list[0] ? list[0] : "") : text;
    guint words = list ? g_strv_length(list) : 1;
    g_clear_pointer(&spec->health.test, g_strfreev);
    if (g_ascii_strcasecmp(first, "none") == 0 && words == 1)
        return TRUE;
    gboolean is_form = list && (g_str_equal(first, "CMD") || g_str_equal(first, "CMD-SHELL"));
    if (!*first || (is_form && words < 2) || (g_str_equal(first, "CMD-SHELL") && words != 2))
        return duet_cli_invalid(
            error, "is no health check: use a line for the shell, or [\"PROGRAM\",\"ARG\"]", text);
    spec->health.test = list ? words_of_test(list) : shell_line(text);
    if (!spec->health.interval_us)
        set_defaults(&spec->health);
    return TRUE;
}

static gboolean apply_time(
    const char *option, const char *text, gint64 min_us, gint64 *place, GError **error)
{
    gint64 us;
    if (!text)
        return TRUE;
    if (!duet_parse_duration(text, &us, error)) {
        g_prefix_error(error, "%s: ", option);
        return FALSE;
    }
    if (us < min_us || us > TIME_MAX_US) {
        g_autofree char *min = duet_format_duration(min_us);
        g_set_error(
            error, DUET_ERROR, DUET_ERROR_INVALID, "%s '%s': use %s to 960h", option, text, min);
        return FALSE;
    }
    *place = us;
    return TRUE;
}

static gboolean apply_times(
    DuetHealthCheck *check, const DuetSuperviseOptions *options, GError **error)
{
    /* podman: no checks but those that somebody asks for */
    gboolean disable = g_strcmp0(options->health_interval, "disable") == 0;
    if (disable)
        check->interval_us = 0;
    return (disable ||
               apply_time("--health-interval", options->health_interval, TIME_MIN_US,
                   &check->interval_us, error)) &&
        apply_time(
            "--health-timeout", options->health_timeout, TIME_MIN_US, &check->timeout_us, error) &&
        apply_time("--health-start-period", options->health_start_period, 0,
            &check->start_period_us, error) &&
        apply_time("--health-start-interval", options->health_start_interval, TIME_MIN_US,
            &check->start_interval_us, error);
}

static gboolean apply_retries(DuetHealthCheck *check, gint64 retries, GError **error)
{
    if (retries == DUET_RETRIES_NONE)
        return TRUE;
    if (retries < 1 || retries > G_MAXINT) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--health-retries %" G_GINT64_FORMAT ": use a number above 0", retries);
        return FALSE;
    }
    check->retries = (int)retries;
    return TRUE;
}

static gboolean apply_action(DuetSpec *spec, const char *text, GError **error)
{
    if (!text)
        return TRUE;
    if (!duet_health_action_from_string(text, &spec->health.on_failure))
        return duet_cli_invalid(
            error, "is no action (--health-on-failure): use none, kill, restart or stop", text);
    if (spec->health.on_failure != DUET_HEALTH_RESTART || !spec->remove_at_exit)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--health-on-failure 'restart' and --rm contradict each other: leave one of them out");
    return FALSE;
}

/* Which option needs a check to be there. */
static const char *first_given(const DuetSuperviseOptions *options)
{
    return options->health_interval                    ? "--health-interval"
        : options->health_timeout                      ? "--health-timeout"
        : options->health_start_period                 ? "--health-start-period"
        : options->health_start_interval               ? "--health-start-interval"
        : options->health_retries != DUET_RETRIES_NONE ? "--health-retries"
        : options->health_on_failure                   ? "--health-on-failure"
                                                       : NULL;
}

gboolean duet_cli_apply_health(DuetSpec *spec, const DuetSuperviseOptions *options, GError **error)
{
    const char *given = first_given(options);
    if (options->no_health && (options->health_cmd || given))
        return duet_cli_invalid(error, "and --no-healthcheck contradict each other",
            options->health_cmd ? "--health-cmd" : given);
    if (options->no_health)
        g_clear_pointer(&spec->health.test, g_strfreev);
    if (options->health_cmd && !apply_command(spec, options->health_cmd, error))
        return FALSE;
    if (!spec->health.test) {
        spec->health = (DuetHealthCheck){ 0 };
        return !given ||
            duet_cli_invalid(
                error, "is of no use without a check: give one with --health-cmd", given);
    }
    return apply_retries(&spec->health, options->health_retries, error) &&
        apply_times(&spec->health, options, error) &&
        apply_action(spec, options->health_on_failure, error);
}
