/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/results.h>

#include <duet/error.h>

#include "against.h"
#include "check.h"
#include "export/export.h"
#include "result.h"
#include "table.h"

static const char *const show_formats[] = { "table", "json", "csv", "md", "openmetrics",
    "benchstat", NULL };
static char *(*const show_renders[])(const DuetRun *, const DuetAnalysis *) = { duet_bench_table,
    duet_result_to_json, duet_export_csv, duet_export_markdown, duet_export_openmetrics,
    duet_export_benchstat };

static const char *const check_formats[] = { "table", "json", NULL };

static const char *const compare_formats[] = { "table", "json", "md", NULL };
static char *(*const compare_renders[])(
    const DuetAgainst *) = { duet_against_table, duet_against_json, duet_against_markdown };

/* Returns: which of @formats, which end with NULL, @format is; the first if it is NULL; or -1. */
static int find_format(const char *const *formats, const char *format, GError **error)
{
    for (int i = 0; formats[i]; i++) {
        if (!format || g_str_equal(format, formats[i]))
            return i;
    }
    g_autofree char *known = g_strjoinv(", ", (char **)formats);
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' is no format: use one of %s", format, known);
    return -1;
}

/* Returns: (transfer full): a run of `bench boot`; what one of `bench memory` holds is no time. */
static DuetRun *load(const char *path, GError **error)
{
    g_autoptr(DuetRun) run = duet_result_load(path, error);

    if (!run || run->plan->n_counts == 0)
        return g_steal_pointer(&run);
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "'%s' is a result of `duet bench memory`; give one of `duet bench boot`", path);
    return NULL;
}

static gboolean show(const char *path, const char *format, gboolean ratio_with_failures,
    char **out_text, GError **error)
{
    int row = find_format(show_formats, format, error);
    g_autoptr(DuetRun) run = row >= 0 ? load(path, error) : NULL;

    if (!run)
        return FALSE;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, ratio_with_failures);
    *out_text = show_renders[row](run, analysis);
    return TRUE;
}

static gboolean check(
    const char *path, const char *format, char **out_text, gboolean *out_weak, GError **error)
{
    int row = find_format(check_formats, format, error);
    g_autoptr(DuetRun) run = row >= 0 ? load(path, error) : NULL;

    if (!run)
        return FALSE;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autoptr(GPtrArray) notes = duet_bench_check_new(run, analysis);
    *out_text =
        row == 1 ? duet_bench_check_json(run, notes) : duet_bench_check_text(run, analysis, notes);
    *out_weak = notes->len > 0;
    return TRUE;
}

static gboolean compare(const DuetResultsCompare *request, char **out_text, GError **error)
{
    int row = find_format(compare_formats, request->format, error);
    g_autoptr(DuetRun) first = row >= 0 ? load(request->first, error) : NULL;
    g_autoptr(DuetRun) second = first ? load(request->second, error) : NULL;
    DuetAgainstOptions options = {
        .metrics = request->metrics,
        .floor = request->floor,
        .force = request->force,
        .ratio_with_failures = request->ratio_with_failures,
    };

    if (!second)
        return FALSE;
    g_autoptr(DuetAgainst) against =
        duet_against_new(first, request->first, second, request->second, &options, error);
    if (!against)
        return FALSE;
    *out_text = compare_renders[row](against);
    return TRUE;
}

__attribute__((visibility("default"))) const DuetResultsOps duet_results = {
    .show = show,
    .check = check,
    .compare = compare,
};
