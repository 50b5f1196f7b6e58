/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

#include <stdio.h>

#include <duet/error.h>

/* It is made, not pulled. */
gboolean duet_bench_cli_overhead_image(DuetCli *cli, const char *name, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(DuetImage) image = duet_cli_image(cli, name, &failure);

    if (image)
        return TRUE;
    if (g_error_matches(failure, DUET_ERROR, DUET_ERROR_NOT_FOUND) &&
        g_str_equal(name, DUET_BENCH_CLI_OVERHEAD_IMAGE))
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "there is no image '" DUET_BENCH_CLI_OVERHEAD_IMAGE
            "', which holds the tools; in duet's sources: "
            "images/recipes/bench /tmp/bench.tar && duet image import "
            "--name " DUET_BENCH_CLI_OVERHEAD_IMAGE " /tmp/bench.tar");
    else
        g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

static gboolean check_options(const DuetBenchCli *options, GError **error)
{
    const char *what = options->command ? "it runs its own tools and takes no command"
        : options->run.entrypoint       ? "it runs its own tools and takes no --entrypoint"
        : options->duration_s < 1 || options->duration_s > DUET_BENCH_DURATION_MAX_S
        ? "--duration must be from 1 to 3600 whole seconds"
        : options->timeout_s <= options->duration_s
        ? "--timeout must be longer than --duration, with time to start and end"
        : NULL;

    if (what)
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "bench overhead: %s; try `duet bench overhead --help`", what);
    return !what;
}

int duet_bench_overhead(DuetCli *cli, int argc, char **argv)
{
    /* Of each test there is another; this one stands in their place until then. */
    static char *nothing[] = { (char *)"sh", NULL };
    g_auto(DuetBenchCli) options = { 0 };
    g_autoptr(GError) error = NULL;

    duet_bench_cli_init(&options, "native,container,vm", nothing);
    options.default_image = DUET_BENCH_CLI_OVERHEAD_IMAGE;
    options.n = DUET_BENCH_OVERHEAD_N_DEFAULT;
    options.duration_s = DUET_BENCH_DURATION_DEFAULT_S;
    const GOptionEntry entries[] = {
        { "arms", 0, 0, G_OPTION_ARG_FILENAME, &options.kinds,
            "what to compare: native, container, vm (default: all three)", "KIND,..." },
        { "tests", 0, 0, G_OPTION_ARG_FILENAME, &options.tests,
            "cpu, syscall, switch, memory, disk, network, process (default: all)", "TEST,..." },
        { "samples", 'n', 0, G_OPTION_ARG_INT, &options.n,
            "samples of each test and arm (default 15; below 10 are too few to rest on)", "N" },
        { "duration", 0, 0, G_OPTION_ARG_INT, &options.duration_s,
            "how long the tool of a sample works (default 3)", "SECONDS" },
        { "timeout", 0, 0, G_OPTION_ARG_DOUBLE, &options.timeout_s,
            "give a sample up after this time (default 60)", "SECONDS" },
        G_OPTION_ENTRY_NULL,
    };
    if (!duet_bench_cli_parse(
            &options, "bench overhead", entries, DUET_BENCH_CLI_ALL, argc, argv, &error) ||
        !check_options(&options, &error) ||
        !duet_bench_cli_overhead_image(cli, options.image, &error))
        return duet_cli_fail(error);
    return duet_bench_cli_run(cli, &options, DUET_BENCH_OVERHEAD);
}
