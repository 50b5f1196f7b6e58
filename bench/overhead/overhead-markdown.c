/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-view.h"

#include <math.h>

#include "bench/export/export.h"
#include "bench/table.h"
#include "bench/text.h"

static char *interval_of(const DuetOverheadValue *of, const DuetSummary *summary)
{
    g_autofree char *low = duet_overhead_figure(of, summary->low);
    g_autofree char *high = duet_overhead_figure(of, summary->high);

    return summary->n > 0 && isfinite(summary->low) ? g_strdup_printf("%s to %s", low, high)
                                                    : g_strdup("n/a");
}

static void arm_row(GString *out, const DuetRun *run, const DuetOverheadAnalysis *analysis,
    guint index, guint value)
{
    const DuetOverheadArm *arm = &analysis->arms[index];
    const DuetOverheadValue *of = &duet_overhead_arm_test(duet_run_arm(run, index))->values[value];
    const DuetSummary *s = &arm->summary[value];
    const DuetComparison *c = duet_overhead_comparison(analysis, index, value);
    gboolean shown = c && !duet_verdict_withholds(c->verdict);
    g_autofree char *kind = duet_text_markdown(duet_run_arm(run, index)->kind);
    g_autofree char *ok = g_strdup_printf("%u", arm->ok);
    g_autofree char *failed = g_strdup_printf("%u", arm->failed + arm->timeouts);
    g_autofree char *median = duet_overhead_figure(of, s->n > 0 ? s->median : NAN);
    g_autofree char *interval = interval_of(of, s);
    g_autofree char *ratio = shown ? duet_text_ratio(c->contrast.ratio) : g_strdup("");
    g_autofree char *ratios = shown
        ? duet_text_ratio_interval(c->contrast.ratio_low, c->contrast.ratio_high)
        : g_strdup("");
    g_autofree char *details =
        shown ? duet_bench_table_details(&duet_measure_overhead, c) : g_strdup("");
    g_autofree char *escaped = duet_text_markdown(details);

    duet_export_markdown_row(out, kind, ok, failed, median, interval, ratio, ratios,
        c ? duet_verdict_to_string(c->verdict) : "baseline", escaped, NULL);
}

static void tests(GString *out, const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    for (const DuetOverheadTest *test = duet_overhead_tests(); test->name; test++) {
        for (guint value = 0; duet_overhead_run_has(run, test) && test->values[value].id; value++) {
            g_autofree char *title = duet_overhead_title(run, test, value);
            g_autofree char *escaped = duet_text_markdown(title);
            g_string_append_printf(out,
                "\n## %s\n\n| arm | ok | failed | median | 95 %% of median | ratio | 95 %% | "
                "verdict | details |\n|---|--:|--:|--:|--:|--:|--:|---|---|\n",
                escaped);
            for (guint arm = 0; arm < analysis->n_arms; arm++) {
                if (duet_overhead_arm_test(duet_run_arm(run, arm)) == test)
                    arm_row(out, run, analysis, arm, value);
            }
        }
    }
}

char *duet_overhead_markdown(const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    GString *out = g_string_new(NULL);
    g_autofree char *command = duet_overhead_command(run);

    duet_export_markdown_banner(out, analysis->nested, analysis->tcg);
    duet_export_markdown_head(out, run, command);
    tests(out, run, analysis);
    duet_export_markdown_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}
