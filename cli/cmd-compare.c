/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

int duet_cmd_compare(DuetCli *cli, int argc, char **argv)
{
    /* Short, in every image, and the one answer that must differ: the kernel. */
    static char *uname[] = { (char *)"uname", (char *)"-srm", NULL };
    g_auto(DuetBenchCli) options = { 0 };
    g_autoptr(GError) error = NULL;

    duet_bench_cli_init(&options, "vm,container", uname);
    const GOptionEntry entries[] = {
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output, "write the result as JSON",
            "FILE" },
        { "timeout", 0, 0, G_OPTION_ARG_DOUBLE, &options.timeout_s,
            "give up a run after this time (default 60)", "SECONDS" },
        { "ratio-with-failures", 0, 0, G_OPTION_ARG_NONE, &options.ratio_with_failures,
            "show the ratio although the command failed", NULL },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &options.format, "table (default) or json",
            "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };
    if (!duet_bench_cli_parse(&options, "compare", entries, 0, argc, argv, &error))
        return duet_cli_fail(error);
    return duet_bench_cli_run(cli, &options, DUET_BENCH_COMPARE);
}
