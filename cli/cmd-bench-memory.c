/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

#include <duet/error.h>

static gboolean check_options(const DuetBenchCli *options, GError **error)
{
    const char *what = NULL;

    if (options->equal_memory && options->run.limits.memory)
        what = "--equal-memory sets the limits of memory itself: leave -m out";
    else if (!(options->ksm_limit_s >= 10 && options->ksm_limit_s <= 86400))
        what = "--ksm-limit must be from 10 to 86400 seconds";
    if (!what)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "%s; try `duet bench memory --help`", what);
    return FALSE;
}

int duet_bench_memory(DuetCli *cli, int argc, char **argv)
{
    g_auto(DuetBenchCli) options = { 0 };
    g_autoptr(GError) error = NULL;

    duet_bench_cli_init(&options, "vm,container", NULL);
    const char *unasked = options.counts = g_strdup("0,1,2,4,8,16");
    options.n = DUET_BENCH_ROUNDS_DEFAULT;
    options.idle = TRUE;
    const GOptionEntry entries[] = {
        { "arms", 0, 0, G_OPTION_ARG_FILENAME, &options.kinds,
            "what to compare: vm, container, native (default: the first two)", "KIND,..." },
        { "counts", 0, 0, G_OPTION_ARG_FILENAME, &options.counts,
            "how many at the same time (default 0,1,2,4,8,16; of VMs "
            "as many of these as the host has RAM for)",
            "N,..." },
        { "rounds", 0, 0, G_OPTION_ARG_INT, &options.n,
            "how often each of these is measured (default 3)", "N" },
        { "age", 0, 0, G_OPTION_ARG_DOUBLE, &options.age_s,
            "how old the youngest is when memory is read (default 10)", "SECONDS" },
        { "equal-memory", 0, 0, G_OPTION_ARG_FILENAME, &options.equal_memory,
            "leave each kind's payload so much: a container by its limit, a VM by the RAM for that",
            "SIZE" },
        { "balloon", 0, 0, G_OPTION_ARG_FILENAME, &options.balloon,
            "then leave each instance so much, a VM by its balloon, and read again what it gave "
            "back",
            "SIZE" },
        { "ksm", 0, 0, G_OPTION_ARG_FILENAME, &options.ksm,
            "on: merge equal pages (KSM) for the run, and wait for it; off: see that it is off "
            "(default: leave it as it is)",
            "on|off" },
        { "ksm-limit", 0, 0, G_OPTION_ARG_DOUBLE, &options.ksm_limit_s,
            "how long one sample waits for KSM at most (default 300)", "SECONDS" },
        G_OPTION_ENTRY_NULL,
    };
    if (!duet_bench_cli_parse(
            &options, "bench memory", entries, DUET_BENCH_CLI_ALL, argc, argv, &error) ||
        !check_options(&options, &error))
        return duet_cli_fail(error);
    options.counts_unasked = options.counts == unasked;
    return duet_bench_cli_run(cli, &options, DUET_BENCH_MEMORY);
}
