/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

const DuetCommand duet_bench_commands[] = {
    { "boot", "[OPTION...] IMAGE [-- COMMAND [ARG...]]", "measure start and end", duet_bench_boot },
    { "cost", "[OPTION...] IMAGE [-- COMMAND [ARG...]]", "measure what duet itself costs",
        duet_bench_cost },
    { "memory", "[OPTION...] IMAGE [-- COMMAND [ARG...]]", "measure memory of many at a time",
        duet_bench_memory },
    { "density", "[OPTION...] IMAGE [-- COMMAND [ARG...]]", "measure how many run at a time",
        duet_bench_density },
    { "overhead", "[OPTION...] [IMAGE]", "measure work in each kind", duet_bench_overhead },
    { "all", "[OPTION...] IMAGE [-- COMMAND [ARG...]]", "measure all of it within a budget of time",
        duet_bench_all },
    { "quick", "[OPTION...] IMAGE [-- COMMAND [ARG...]]",
        "measure boot and memory and try the claims, in about three minutes", duet_bench_quick },
    { "show", "[OPTION...] RESULT", "show a result in another format", duet_bench_show },
    { "check", "[OPTION...] RESULT", "tell all that makes a result weak", duet_bench_check },
    { "compare", "[OPTION...] RESULT RESULT", "compare two results arm by arm",
        duet_bench_compare },
    { "import", "[OPTION...] NAME=FILE... -o RESULT", "make a result of times that others measured",
        duet_bench_import },
    { "claims", "[OPTION...] [IMAGE] [--results FILE...]", "try what is said of VMs and containers",
        duet_bench_claims },
    { "reproduce", "[ID --results FILE...]", "set published figures beside ours",
        duet_bench_reproduce },
    { NULL, NULL, NULL, NULL },
};
