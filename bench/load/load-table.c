/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"
#include "load-analysis.h"

#define LEVEL_COLUMNS 14

char *duet_load_plan_text(const DuetRun *run)
{
    const DuetPlan *plan = run->plan;
    g_autoptr(GString) out = g_string_new(NULL);

    for (guint i = 0; i < plan->n_variants; i++) {
        g_autofree char *level = duet_load_variant_text(plan, i);
        g_string_append_printf(out, "%s%s", i > 0 ? ", " : "", level);
    }
    if (duet_load_by_rate(run->plan))
        g_string_append_printf(
            out, _(" (Poisson arrivals, %u starts in a batch)"), plan->load_starts);
    else
        g_string_append(out, _(" starts at once"));
    g_autofree char *seed = g_strdup_printf("%" G_GUINT64_FORMAT, plan->seed);
    g_string_append_printf(out,
        _(", %u batches of each per arm, mode %s (1 start discarded), seed %s, interleaved in "
          "random blocks"),
        plan->n, plan->mode, seed);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static void latency_row(GString *out, const char *level, const DuetLoadRow *row, gboolean nested)
{
    const DuetSummary *s = &row->latency;

    g_string_append(out, "  ");
    duet_text_append_padded(out, level, LEVEL_COLUMNS - 2);
    g_string_append_printf(out, "%6u%7u", row->ok, row->failed + row->timeouts);
    if (s->n == 0 || nested) {
        g_string_append(
            out, nested ? "   withheld: nested under TCG\n" : "   no good start: no figures\n");
        return;
    }
    DuetUnit unit = duet_unit_for(s->median);
    unit.digits++;
    g_autofree char *median = duet_unit_format(unit, s->median);
    g_autofree char *interval = duet_text_interval(unit, s->low, s->high);
    g_autofree char *p95 = duet_unit_format(unit, s->p95);
    g_autofree char *p99 = duet_unit_format(unit, s->p99);
    duet_text_append_figure(out, median, 10);
    duet_text_append_figure(out, interval, 19);
    duet_text_append_figure(out, p95, 9);
    duet_text_append_figure(out, p99, 9);
    duet_text_append_right(out, unit.name, 4);
    g_string_append_c(out, '\n');
}

static void rate_row(GString *out, const char *level, const DuetLoadRow *row)
{
    const DuetSummary *s = &row->per_second;

    if (s->n == 0)
        return;
    g_autofree char *median = duet_text_ratio(s->median);
    g_autofree char *interval = duet_text_ratio_interval(s->low, s->high);
    g_autofree char *latest = duet_text_time((double)row->latest_ns);
    g_string_append(out, "  ");
    duet_text_append_padded(out, level, LEVEL_COLUMNS - 2);
    duet_text_append_figure(out, median, 13);
    duet_text_append_figure(out, interval, 19);
    g_string_append_printf(out, "%10u%7u", row->waiting, row->late);
    duet_text_append_figure(out, latest, 13);
    g_string_append_c(out, '\n');
}

static void arm_rows(GString *out, const DuetRun *run, const DuetLoadAnalysis *analysis, guint arm)
{
    g_string_append_c(out, '\n');
    duet_bench_table_arm(out, run, arm, LEVEL_COLUMNS);
    g_string_append_printf(
        out, "%6s%7s%10s%19s%9s%9s\n", "ok", "failed", "median", "95 %", "p95", "p99");
    for (guint variant = 0; variant < analysis->n_levels; variant++) {
        g_autofree char *level = duet_load_variant_text(run->plan, variant);
        latency_row(out, level, duet_load_row(analysis, arm, variant), analysis->nested);
    }
    if (analysis->nested)
        return;
    duet_text_append_padded(out, "", LEVEL_COLUMNS);
    g_string_append_printf(
        out, "%13s%19s%10s%7s%13s\n", "starts/s", "95 %", "waiting", "late", "latest");
    for (guint variant = 0; variant < analysis->n_levels; variant++) {
        g_autofree char *level = duet_load_variant_text(run->plan, variant);
        rate_row(out, level, duet_load_row(analysis, arm, variant));
    }
}

char *duet_load_table(const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    GString *out = g_string_new(NULL);
    g_autofree char *command = duet_text_command(duet_run_arm(run, 0)->argv);
    g_autofree char *plan = duet_load_plan_text(run);
    g_autofree char *times = g_strdup_printf("from %s to %s",
        duet_load_by_rate(run->plan) ? "when a start was due" : "its request",
        duet_mark_to_string(analysis->headline_to));

    duet_bench_table_banner(out, analysis->nested, analysis->tcg);
    duet_bench_table_head(out, run, command, plan);
    duet_text_append_wrapped(out, "times    ", "         ", times);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        arm_rows(out, run, analysis, arm);
    duet_bench_table_comparisons(
        out, "medians of batches", &analysis->match, analysis->comparisons);
    duet_bench_table_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}
