/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/cli.h"

#include <stdio.h>

#include <duet/error.h>

#include "core/module.h"

/* The viewer outlives us, and what it says is its own affair. */
static gboolean open_page(const char *path, GError **error)
{
    const char *argv[] = { "xdg-open", path, NULL };
    g_autoptr(GError) failure = NULL;

    if (g_spawn_async(NULL, (char **)argv, NULL,
            G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL, NULL,
            NULL, NULL, &failure))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "cannot open '%s': %s; open it in a browser, or install xdg-utils", path, failure->message);
    return FALSE;
}

gboolean duet_cli_report(const DuetReportRequest *request, gboolean open, GError **error)
{
    g_autofree char *text = NULL;
    const DuetReportOps *ops = duet_module_symbol("duet-tools", "duet_report", error);

    if (!ops || !ops->report(request, &text, error))
        return FALSE;
    fputs(text, stdout);
    return !open || open_page(request->output, error);
}

int duet_cmd_report(DuetCli *cli, int argc, char **argv)
{
    g_autofree char *format = NULL, *language = NULL, *output = NULL;
    g_autoptr(GError) error = NULL;
    gboolean keep = FALSE, open = FALSE;
    const GOptionEntry entries[] = {
        { "output", 'o', 0, G_OPTION_ARG_FILENAME, &output,
            "write to FILE; of svg, pdf and png to a directory (default: standard output)",
            "FILE" },
        { "format", 0, 0, G_OPTION_ARG_FILENAME, &format,
            "text, html, md, tex, svg, pdf or png (default: by FILE's suffix, else text)",
            "FORMAT" },
        { "lang", 0, 0, G_OPTION_ARG_FILENAME, &language,
            "language of the report: en or ko (default: yours)", "LANGUAGE" },
        { "keep", 0, 0, G_OPTION_ARG_NONE, &keep,
            "leave gnuplot's scripts and data beside FILE, to draw the pictures anew", NULL },
        { "open", 0, 0, G_OPTION_ARG_NONE, &open, "show FILE with xdg-open", NULL },
        G_OPTION_ENTRY_NULL,
    };

    (void)cli;
    if (!duet_cli_options("report", entries, &argc, &argv, &error))
        return duet_cli_fail(error);
    if (argc < 2)
        return duet_cli_usage("report", "give result files, as `duet bench boot -o FILE` writes");
    if ((open || keep) && !output)
        return duet_cli_usage("report", "--%s wants a file: add -o FILE", open ? "open" : "keep");
    DuetReportRequest request = {
        .results = argv + 1,
        .format = format,
        .language = language,
        .output = output,
        .keep = keep,
        .notice = duet_cli_say,
    };
    if (!duet_cli_report(&request, open, &error))
        return duet_cli_fail(error);
    return duet_cli_print("", 0);
}
