/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A result file of anybody's: read, described, checked, shown in every format. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/against.h"
#include "bench/check.h"
#include "bench/export/export.h"
#include "bench/result.h"
#include "bench/table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What goes to a terminal is text, and moves no cursor. */
static void assert_harmless(const char *text)
{
    if (!g_utf8_validate(text, -1, NULL) || strchr(text, '\x1b') || strchr(text, '\r'))
        abort();
}

static void show(const DuetRun *run)
{
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, TRUE);
    g_autoptr(GPtrArray) notes = duet_bench_check_new(run, analysis);
    g_autofree char *table = duet_bench_table(run, analysis);
    g_autofree char *weak = duet_bench_check_text(run, analysis, notes);
    g_autofree char *markdown = duet_export_markdown(run, analysis);
    g_autofree char *csv = duet_export_csv(run, analysis);
    g_autofree char *metrics = duet_export_openmetrics(run, analysis);
    g_autofree char *go = duet_export_benchstat(run, analysis);
    g_autofree char *json = duet_result_to_json(run, analysis);
    g_autoptr(DuetRun) again = duet_result_parse(json, -1, NULL);
    DuetAgainstOptions options = { .floor = -1, .force = TRUE, .ratio_with_failures = TRUE };

    assert_harmless(table);
    assert_harmless(weak);
    assert_harmless(markdown);
    assert_harmless(go);
    if (!again || !g_utf8_validate(csv, -1, NULL) || !g_utf8_validate(metrics, -1, NULL))
        abort();
    g_autoptr(DuetAgainst) against = duet_against_new(run, "a", again, "b", &options, NULL);
    g_autofree char *both = against ? duet_against_table(against) : g_strdup("");
    assert_harmless(both);
    if (!against)
        return;
    g_autofree char *both_markdown = duet_against_markdown(against);
    g_autofree char *both_json = duet_against_json(against);
    assert_harmless(both_markdown);
    if (!g_utf8_validate(both_json, -1, NULL))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) run = duet_result_parse(text, size, &error);

    if (!run == !error)
        abort();
    if (error)
        assert_harmless(error->message);
    /* Resampling is slow, and reads no foreign bytes. */
    if (run && run->arms->len <= 3 && run->samples->len <= 8)
        show(run);
    return 0;
}
