/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

#include <string.h>

#include <duet/error.h>
#include <duet/results.h>

#include "core/module.h"

/* Returns: %FALSE unless there are exactly @n files. */
static gboolean parse(const char *verb, const GOptionEntry *entries, int argc, char **argv,
    const char **out_files, int n, GError **error)
{
    const char *words[3];
    int found = duet_cli_words(verb, entries, argc, argv, words, n + 1, error);

    if (found == n)
        memcpy(out_files, words, n * sizeof *words);
    else if (found >= 0)
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "%s: %s result file%s, as `duet bench boot -o FILE` writes; try `duet %s --help`", verb,
            n == 1 ? "give one" : "give two", n == 1 ? "" : "s", verb);
    return found == n;
}

static const DuetResultsOps *results(GError **error)
{
    return duet_module_symbol("duet-tools", "duet_results", error);
}

int duet_bench_show(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL, *text = NULL;
    g_autoptr(GError) error = NULL;
    const char *file = NULL;
    gboolean ratio_with_failures = FALSE;
    const GOptionEntry entries[] = {
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format,
            "table (default), json, csv, md, openmetrics, benchstat or phoronix", "FORMAT" },
        { "ratio-with-failures", 0, 0, G_OPTION_ARG_NONE, &ratio_with_failures,
            "compare arms although samples of theirs failed", NULL },
        G_OPTION_ENTRY_NULL,
    };

    (void)cli;
    if (!parse("bench show", entries, argc, argv, &file, 1, &error))
        return duet_cli_fail(error);
    const DuetResultsOps *ops = results(&error);
    if (!ops || !ops->show(file, format, ratio_with_failures, &text, &error))
        return duet_cli_fail(error);
    return duet_cli_print(text, 0);
}

int duet_bench_check(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL, *text = NULL;
    g_autoptr(GError) error = NULL;
    const char *file = NULL;
    gboolean weak = FALSE;
    const GOptionEntry entries[] = {
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "table (default) or json", "FORMAT" },
        G_OPTION_ENTRY_NULL,
    };

    (void)cli;
    if (!parse("bench check", entries, argc, argv, &file, 1, &error))
        return duet_cli_fail(error);
    const DuetResultsOps *ops = results(&error);
    if (!ops || !ops->check(file, format, &text, &weak, &error))
        return duet_cli_fail(error);
    return duet_cli_print(text, weak ? 1 : 0);
}

int duet_bench_import(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *unit = NULL, *kind = NULL, *output = NULL;
    g_autoptr(GError) error = NULL;
    gint column = 1;
    DuetKind of = DUET_KIND_VM;
    const GOptionEntry entries[] = {
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output, "write the result to FILE", "FILE" },
        { "unit", 0, 0, G_OPTION_ARG_FILENAME, &unit,
            "unit of the numbers: ns, us, ms (default) or s", "UNIT" },
        { "column", 0, 0, G_OPTION_ARG_INT, &column, "which number of each line (default 1)", "N" },
        { "kind", 0, 0, G_OPTION_ARG_FILENAME, &kind,
            "what was measured: vm (default), container or native", "KIND" },
        G_OPTION_ENTRY_NULL,
    };

    (void)cli;
    if (!duet_cli_options("bench import", entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc < 2 || !output)
        return duet_cli_usage("bench import",
            "give NAME=FILE of numbers, or a JSON export of hyperfine, and -o FILE");
    if (column < 1)
        return duet_cli_usage("bench import", "--column counts from 1");
    if (kind && !duet_kind_from_string(kind, &of))
        return duet_cli_usage("bench import", "'%s' is no kind: vm, container or native", kind);
    DuetResultsImport request = {
        .arms = argv + 1,
        .unit = unit,
        .column = (guint)column,
        .kind = duet_kind_to_string(of),
        .output = output,
    };
    const DuetResultsOps *ops = results(&error);
    if (!ops || !ops->import(&request, &error))
        return duet_cli_fail(error);
    return 0;
}

int duet_bench_compare(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL, *metrics = NULL, *text = NULL;
    g_autoptr(GError) error = NULL;
    const char *files[2] = { NULL };
    double floor_percent = -1;
    DuetResultsCompare request = { 0 };
    const GOptionEntry entries[] = {
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format, "table (default), json or md", "FORMAT" },
        { "metric", 0, 0, G_OPTION_ARG_FILENAME, &metrics,
            "what to compare: names as in the result file (default: the headline)", "NAME,..." },
        { "floor", 0, 0, G_OPTION_ARG_DOUBLE, &floor_percent,
            "a smaller effect is never called a difference (default: as measured)", "PERCENT" },
        { "force", 0, 0, G_OPTION_ARG_NONE, &request.force,
            "compare runs of other hosts, images, accelerators or cache modes", NULL },
        { "ratio-with-failures", 0, 0, G_OPTION_ARG_NONE, &request.ratio_with_failures,
            "compare arms although samples of theirs failed", NULL },
        G_OPTION_ENTRY_NULL,
    };

    (void)cli;
    if (!parse("bench compare", entries, argc, argv, files, 2, &error))
        return duet_cli_fail(error);
    if (floor_percent != -1 && !(floor_percent >= 0 && floor_percent <= 1000))
        return duet_cli_usage("bench compare", "--floor must be from 0 to 1000 percent");
    request.first = files[0];
    request.second = files[1];
    request.format = format;
    request.metrics = metrics;
    request.floor = floor_percent / 100;
    const DuetResultsOps *ops = results(&error);
    if (!ops || !ops->compare(&request, &text, &error))
        return duet_cli_fail(error);
    return duet_cli_print(text, 0);
}
