/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/bench-cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LAST "compare.json"
#define SUFFIX ".json"

/* Where the result goes if the user names no file: beside the images, one, the last. */
static char *last_result(DuetCli *cli, GError **error)
{
    DuetContext *context = duet_cli_context(cli, error);
    g_autofree char *root = context ? g_path_get_dirname(duet_context_store_dir(context)) : NULL;

    /* The comparison does without. */
    return root && access(root, W_OK) == 0 ? g_build_filename(root, LAST, NULL) : NULL;
}

/* The page beside the result. The comparison stands whether there is one or not. */
static void write_page(const char *result, gboolean open)
{
    g_autoptr(GError) error = NULL;
    const char *const results[] = { result, NULL };
    g_autofree char *stem = g_str_has_suffix(result, SUFFIX)
        ? g_strndup(result, strlen(result) - strlen(SUFFIX))
        : g_strdup(result);
    g_autofree char *page = g_strconcat(stem, ".html", NULL);
    DuetReportRequest request = { .results = (char *const *)results, .output = page };

    if (duet_cli_report(&request, open, &error))
        printf("page: %s\n", page);
    else
        duet_cli_fail(error);
}

static int compare(DuetCli *cli, const DuetBenchCli *options, gboolean open)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *text = NULL;
    int code = 0;

    if (!duet_bench_cli_measure(cli, options, DUET_BENCH_COMPARE, &text, &code, &error))
        return duet_cli_fail(error);
    code = duet_cli_print(text, code);
    if (options->output && code != DUET_BENCH_EXIT_INTERRUPTED && code != DUET_BENCH_EXIT_UNSAVED &&
        (!options->format || !g_str_equal(options->format, "json")))
        write_page(options->output, open);
    return code;
}

int duet_cmd_compare(DuetCli *cli, int argc, char **argv)
{
    /* Short, in every image, and the one answer that must differ: the kernel. */
    static char *uname[] = { (char *)"uname", (char *)"-srm", NULL };
    g_auto(DuetBenchCli) options = { 0 };
    g_autoptr(GError) error = NULL;
    gboolean open = FALSE;

    duet_bench_cli_init(&options, "vm,container", uname);
    const GOptionEntry entries[] = {
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &options.output,
            "write the result as JSON, and the page beside it", "FILE" },
        { "open", 0, 0, G_OPTION_ARG_NONE, &open, "show the page with xdg-open", NULL },
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
    if (open && options.format && g_str_equal(options.format, "json"))
        return duet_cli_usage("compare", "--open shows a page, and --format json makes none");
    if (!options.output)
        options.output = last_result(cli, &error);
    if (error)
        return duet_cli_fail(error);
    return compare(cli, &options, open);
}
