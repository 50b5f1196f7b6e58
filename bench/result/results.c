/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/results.h>

#include <duet/error.h>

#include "bench/against/against.h"
#include "bench/benchmark.h"
#include "bench/check.h"
#include "bench/format.h"
#include "import.h"
#include "result.h"

static const char *const check_formats[] = { "table", "json", NULL };

static const char *const compare_formats[] = { "table", "json", "md", NULL };
static char *(*const compare_renders[])(
    const DuetAgainst *) = { duet_against_table, duet_against_json, duet_against_markdown };

static gboolean show(const char *path, const char *format, gboolean ratio_with_failures,
    char **out_text, GError **error)
{
    g_autoptr(DuetRun) run = duet_result_load(path, error);
    int row = run ? duet_format_find(run->benchmark->formats, format, error) : -1;

    if (row < 0)
        return FALSE;
    *out_text = run->benchmark->show(run, row, ratio_with_failures);
    return TRUE;
}

static gboolean unsupported(const char *verb, const char *path, const DuetRun *run, GError **error)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "cannot %s '%s': there is no such thing yet for results of `duet bench %s`", verb, path,
        run->benchmark->name);
    return FALSE;
}

static gboolean check(
    const char *path, const char *format, char **out_text, gboolean *out_weak, GError **error)
{
    int row = duet_format_find(check_formats, format, error);
    g_autoptr(DuetRun) run = row >= 0 ? duet_result_load(path, error) : NULL;

    if (!run)
        return FALSE;
    if (!run->benchmark->check)
        return unsupported("check", path, run, error);
    g_autoptr(GPtrArray) notes = run->benchmark->check(run);
    *out_text = row == 1 ? duet_bench_check_json(run, notes) : duet_bench_check_text(run, notes);
    *out_weak = notes->len > 0;
    return TRUE;
}

static gboolean compare(const DuetResultsCompare *request, char **out_text, GError **error)
{
    int row = duet_format_find(compare_formats, request->format, error);
    g_autoptr(DuetRun) first = row >= 0 ? duet_result_load(request->first, error) : NULL;
    g_autoptr(DuetRun) second = first ? duet_result_load(request->second, error) : NULL;
    DuetAgainstOptions options = {
        .metrics = request->metrics,
        .floor = request->floor,
        .force = request->force,
        .ratio_with_failures = request->ratio_with_failures,
    };

    if (!second)
        return FALSE;
    const DuetBenchmark *benchmark = first->benchmark;
    if (second->benchmark != benchmark) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot compare '%s' with '%s': the one is of `duet bench %s`, the other of `duet "
            "bench %s`",
            request->first, request->second, benchmark->name, second->benchmark->name);
        return FALSE;
    }
    if (!benchmark->measure)
        return unsupported("compare", request->first, first, error);
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
    .import = duet_import,
};
