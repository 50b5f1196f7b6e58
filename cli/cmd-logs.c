/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"
#include "core/duration.h"

#include <duet/error.h>

#include <unistd.h>

typedef struct {
    char *tail, *since, *until;
} LogsArguments;

static void logs_arguments_clear(LogsArguments *arguments)
{
    g_free(arguments->tail);
    g_free(arguments->since);
    g_free(arguments->until);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LogsArguments, logs_arguments_clear)

static gboolean apply(const LogsArguments *arguments, DuetLogQuery *query, GError **error)
{
    const char *tail = arguments->tail;
    gint64 now_us = g_get_real_time();
    query->tail = -1;
    if (tail && !g_str_equal(tail, "all") && !g_str_equal(tail, "-1") &&
        !g_ascii_string_to_signed(tail, 10, 0, G_MAXINT64, &query->tail, NULL))
        return duet_cli_invalid(error, "is no number of lines (--tail)", tail);
    return (!arguments->since ||
               duet_parse_time(arguments->since, now_us, &query->since_us, error)) &&
        (!arguments->until || duet_parse_time(arguments->until, now_us, &query->until_us, error));
}

int duet_cmd_logs(DuetCli *cli, int argc, char **argv)
{
    g_auto(LogsArguments) arguments = { 0 };
    DuetLogQuery query = { 0 };
    const GOptionEntry entries[] = {
        { "follow", 'f', 0, G_OPTION_ARG_NONE, &query.follow, "go on until it ends", NULL },
        { "tail", 'n', 0, G_OPTION_ARG_FILENAME, &arguments.tail, "the last lines only", "LINES" },
        { "since", 0, 0, G_OPTION_ARG_FILENAME, &arguments.since,
            "lines from then on: 2026-11-27T12:00:00Z, seconds since 1970, or how long ago: 10m",
            "TIME" },
        { "until", 0, 0, G_OPTION_ARG_FILENAME, &arguments.until, "lines up to then", "TIME" },
        { "timestamps", 't', 0, G_OPTION_ARG_NONE, &query.timestamps,
            "begin each line with when it was written", NULL },
        G_OPTION_ENTRY_NULL,
    };
    g_autoptr(GError) error = NULL;
    if (!duet_cli_options(argv[0], entries, &argc, &argv, &error) ||
        !apply(&arguments, &query, &error))
        return duet_cli_fail(error);
    if (argc != 2)
        return duet_cli_usage("logs", "give one instance");
    if (!duet_cli_context(cli, &error))
        return duet_cli_fail(error);
    g_autoptr(DuetInstance) instance = duet_instance_open(cli->context, argv[1], &error);
    if (!instance ||
        !duet_instance_logs_query(instance, STDOUT_FILENO, STDERR_FILENO, &query, &error))
        return duet_cli_fail(error);
    return 0;
}
