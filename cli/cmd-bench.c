/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

#include <stdio.h>

static const DuetCommand benchmarks[] = {
    { "boot", "[OPTION...] IMAGE [-- COMMAND [ARG...]]", "measure start and end", duet_bench_boot },
    { "memory", "[OPTION...] IMAGE [-- COMMAND [ARG...]]", "measure memory of many at a time",
        duet_bench_memory },
    { "density", "[OPTION...] IMAGE [-- COMMAND [ARG...]]", "measure how many run at a time",
        duet_bench_density },
    { "overhead", "[OPTION...] [IMAGE]", "measure work in each kind", duet_bench_overhead },
    { "all", "[OPTION...] IMAGE [-- COMMAND [ARG...]]", "measure all of it within a budget of time",
        duet_bench_all },
    { "quick", "[OPTION...] IMAGE [-- COMMAND [ARG...]]",
        "the same within a lecture's three minutes", duet_bench_quick },
    { "show", "[OPTION...] RESULT", "show a result in another format", duet_bench_show },
    { "check", "[OPTION...] RESULT", "tell all that makes a result weak", duet_bench_check },
    { "compare", "[OPTION...] RESULT RESULT", "compare two results arm by arm",
        duet_bench_compare },
    { "claims", "[OPTION...] [IMAGE] [--results FILE...]", "try what is said of VMs and containers",
        duet_bench_claims },
    { "reproduce", "[ID --results FILE...]", "set published figures beside ours",
        duet_bench_reproduce },
    { NULL, NULL, NULL, NULL },
};

static void help(void)
{
    printf("Usage: duet bench COMMAND [OPTION...] ARG...\n");
    duet_help_print_below(benchmarks);
    printf("\n`duet bench COMMAND --help` explains one.\n");
}

int duet_cmd_bench(DuetCli *cli, int argc, char **argv)
{
    if (argc < 2 || g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h")) {
        help();
        return argc < 2 ? 125 : 0;
    }
    const DuetCommand *row = duet_command_find(benchmarks, "benchmark", argv[1]);
    return row ? row->run(cli, argc - 1, argv + 1) : 125;
}
