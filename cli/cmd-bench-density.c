/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

#include <duet/error.h>

int duet_bench_density(DuetCli *cli, int argc, char **argv)
{
    static char *sleep[] = { (char *)"sleep", (char *)"1000000", NULL };
    g_auto(DuetBenchCli) options = { 0 };
    g_autoptr(GError) error = NULL;

    duet_bench_cli_init(&options, "vm,container", NULL);
    options.age_s = DUET_BENCH_DENSITY_AGE_DEFAULT_MS / 1000.0;
    options.idle = TRUE;
    const GOptionEntry entries[] = {
        { "arms", 0, 0, G_OPTION_ARG_FILENAME, &options.kinds,
            "what to compare: vm, container, native (default: the first two)", "KIND,..." },
        { "max", 0, 0, G_OPTION_ARG_INT, &options.max, "end an arm with so many instances", "N" },
        { "memory-budget", 0, 0, G_OPTION_ARG_FILENAME, &options.budget,
            "end an arm before its instances need more together", "SIZE" },
        { "max-latency", 0, 0, G_OPTION_ARG_DOUBLE, &options.max_latency_s,
            "end an arm when p95 of its last 20 starts is over this", "SECONDS" },
        { "time-limit", 0, 0, G_OPTION_ARG_DOUBLE, &options.time_limit_s,
            "end an arm's starts after this time (default 600)", "SECONDS" },
        { "age", 0, 0, G_OPTION_ARG_DOUBLE, &options.age_s,
            "how old the youngest is when memory is read (default 2)", "SECONDS" },
        { "peers", 0, 0, G_OPTION_ARG_FILENAME, &options.peers,
            "foreign engines to measure beside: podman, crun, ... or all", "NAME,..." },
        { "peer", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.peer_files,
            "one that a key file of yours describes", "FILE" },
        G_OPTION_ENTRY_NULL,
    };
    if (!duet_bench_cli_parse(&options, "bench density", entries,
            DUET_BENCH_CLI_RESULT | DUET_BENCH_CLI_RESUME, argc, argv, &error))
        return duet_cli_fail(error);
    if (options.peers || options.peer_files) {
        /* Foreign engines know no instance without a payload, and all must have the same. */
        options.idle = FALSE;
        options.default_argv = sleep;
    }
    return duet_bench_cli_run(cli, &options, DUET_BENCH_DENSITY);
}
