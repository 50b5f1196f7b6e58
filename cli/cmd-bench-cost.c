/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

int duet_bench_cost(DuetCli *cli, int argc, char **argv)
{
    g_auto(DuetBenchCli) options = { 0 };
    g_autoptr(GError) error = NULL;

    duet_bench_cli_init(&options, "native", NULL);
    const GOptionEntry entries[] = {
        { "samples", 'n', 0, G_OPTION_ARG_INT, &options.n,
            "samples (default 30; below 10 are too few to rest on)", "N" },
        { "timeout", 0, 0, G_OPTION_ARG_DOUBLE, &options.timeout_s,
            "give a sample up after this time (default 60)", "SECONDS" },
        G_OPTION_ENTRY_NULL,
    };
    if (!duet_bench_cli_parse(
            &options, "bench cost", entries, DUET_BENCH_CLI_ALL, argc, argv, &error))
        return duet_cli_fail(error);
    if (!options.command && !options.run.entrypoint)
        options.run.entrypoint = g_strdup(DUET_BENCH_CLI_EMPTY);
    return duet_bench_cli_run(cli, &options, DUET_BENCH_COST);
}
