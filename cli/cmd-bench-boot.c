/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

#include <stdio.h>

int duet_bench_boot(DuetCli *cli, int argc, char **argv)
{
    /* It prints a byte, so that `output` exists, and hardly anything else. */
    static char *echo[] = { (char *)"echo", NULL };
    g_auto(DuetBenchCli) options = { 0 };
    g_autoptr(GError) error = NULL;

    duet_bench_cli_init(&options, DUET_BENCH_CLI_ARMS, echo);
    const GOptionEntry entries[] = {
        { "arms", 0, 0, G_OPTION_ARG_FILENAME, &options.kinds,
            "what to compare: vm, container, native (default: all three)", "KIND,..." },
        { "samples", 'n', 0, G_OPTION_ARG_INT, &options.n,
            "samples of each arm (default 30; below 10 are too few to rest on)", "N" },
        { "parallel", 0, 0, G_OPTION_ARG_FILENAME, &options.parallel,
            "each sample is so many starts at once", "N,..." },
        { "rate", 0, 0, G_OPTION_ARG_FILENAME, &options.rate,
            "each sample is starts that arrive at this rate, whatever became of those before",
            "PER_SECOND,..." },
        { "starts", 0, 0, G_OPTION_ARG_INT, &options.starts,
            "with --rate: how many a sample has (default 20)", "N" },
        { "cache", 0, 0, G_OPTION_ARG_FILENAME, &options.cache_mode,
            "before each sample: warm (default), cold-guest (put the image out of the page cache), "
            "cold-host (drop all caches of the host)",
            "MODE" },
        { "ready", 0, 0, G_OPTION_ARG_FILENAME, &options.ready,
            "stop each instance when it is ready: exec, output, log:REGEX, cmd:COMMAND, tcp:PORT",
            "PROBE" },
        { "from", 0, 0, G_OPTION_ARG_FILENAME, &options.from,
            "what VMs start from: cold (default), saved (each is a clone of one that was saved "
            "with its memory), or saved,cold",
            "STATE,..." },
        { "timeout", 0, 0, G_OPTION_ARG_DOUBLE, &options.timeout_s,
            "give a sample up after this time (default 60)", "SECONDS" },
        { "peers", 0, 0, G_OPTION_ARG_FILENAME, &options.peers,
            "foreign engines to measure beside: podman, crun, ... or all", "NAME,..." },
        { "peer", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options.peer_files,
            "one that a key file of yours describes", "FILE" },
        G_OPTION_ENTRY_NULL,
    };
    if (!duet_bench_cli_parse(
            &options, "bench boot", entries, DUET_BENCH_CLI_ALL, argc, argv, &error) ||
        !duet_bench_cli_check_load(&options, &error) ||
        !duet_bench_cli_check_from(&options, &error))
        return duet_cli_fail(error);
    if (options.n < DUET_BENCH_N_MIN)
        fprintf(stderr, "duet: %d samples are too few to rest on; take %d or more\n", options.n,
            DUET_BENCH_N_MIN);
    return duet_bench_cli_run(
        cli, &options, duet_bench_cli_load(&options) ? DUET_BENCH_LOAD : DUET_BENCH_BOOT);
}
