/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/export/export.h"
#include "bench/text.h"
#include "load-analysis.h"

static void level_row(
    GString *out, const DuetRun *run, const DuetLoadAnalysis *analysis, guint arm, guint variant)
{
    const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
    const DuetSummary *s = &row->latency, *rate = &row->per_second;
    g_autofree char *name = duet_text_markdown(duet_run_arm(run, arm)->name);
    g_autofree char *level = duet_load_variant_text(run->plan, variant);
    g_autofree char *ok = g_strdup_printf("%u", row->ok);
    g_autofree char *failed = g_strdup_printf("%u", row->failed + row->timeouts);

    if (s->n == 0 || rate->n == 0 || analysis->nested) {
        duet_export_markdown_row(out, name, level, ok, failed,
            analysis->nested ? "withheld: nested under TCG" : "n/a", "", "", "", "", "", "", "",
            NULL);
        return;
    }
    DuetUnit unit = duet_unit_for(s->median);
    unit.digits++;
    g_autofree char *median = duet_text_time(s->median);
    g_autofree char *interval = duet_text_time_range(unit, s->low, s->high);
    g_autofree char *p95 = duet_text_time(s->p95);
    g_autofree char *p99 = duet_text_time(s->p99);
    g_autofree char *per_second = duet_text_ratio(rate->median);
    g_autofree char *per_seconds = duet_text_ratio_interval(rate->low, rate->high);
    g_autofree char *waiting = g_strdup_printf("%u", row->waiting);
    g_autofree char *late = g_strdup_printf("%u", row->late);
    duet_export_markdown_row(out, name, level, ok, failed, median, interval, p95, p99, per_second,
        per_seconds, waiting, late, NULL);
}

char *duet_load_markdown(const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_export_markdown_banner(out, analysis->nested, analysis->tcg);
    duet_export_markdown_head(out, run, NULL);
    g_string_append_printf(out,
        "\n## Many starts, from %s to %s\n\n| arm | load | ok | failed | median | 95 %% of median "
        "| "
        "p95 | p99 | starts/s | 95 %% | waiting | late |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        duet_load_by_rate(run->plan) ? "when a start was due" : "its request",
        duet_mark_to_string(analysis->headline_to));
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint variant = 0; variant < analysis->n_levels; variant++)
            level_row(out, run, analysis, arm, variant);
    }
    duet_export_markdown_comparisons(
        out, "Medians of batches", &analysis->match, analysis->comparisons);
    duet_export_markdown_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}
