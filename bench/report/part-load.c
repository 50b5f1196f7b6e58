/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench boot --parallel` and `--rate`: many starts at once. */
#include "part.h"

#include "bench/benchmark.h"
#include "bench/load/load-analysis.h"
#include "bench/text.h"
#include "bench/words.h"

static void add_latency(DuetReport *report, const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    g_autofree char *caption = g_strdup_printf(_("From %s to %s"),
        duet_load_by_rate(run->plan) ? _("when a start was due") : "request",
        duet_mark_to_string(analysis->headline_to));
    DuetReportTable *table = duet_report_time_table(report, caption);

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint variant = 0; variant < analysis->n_levels; variant++) {
            const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
            g_autofree char *level = duet_load_variant_text(run->plan, variant);
            g_autofree char *name = g_strdup_printf("%s, %s", duet_run_arm(run, arm)->name, level);
            duet_report_cells(table,
                duet_report_time_cells(name, row->ok, row->failed + row->timeouts, &row->latency));
        }
    }
}

static void add_rate(DuetReport *report, const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    DuetReportTable *table = duet_report_table(report, _("Starts per second"), "lrrrrr");

    duet_report_row(
        table, _("arm"), _("starts per second"), _("95 %"), _("waiting"), _("late"), _("latest"));
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint variant = 0; variant < analysis->n_levels; variant++) {
            const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
            if (row->per_second.n == 0)
                continue;
            g_autofree char *level = duet_load_variant_text(run->plan, variant);
            g_autofree char *name = g_strdup_printf("%s, %s", duet_run_arm(run, arm)->name, level);
            g_autofree char *median = duet_text_ratio(row->per_second.median);
            g_autofree char *interval =
                duet_text_ratio_interval(row->per_second.low, row->per_second.high);
            g_autofree char *waiting = g_strdup_printf("%u", row->waiting);
            g_autofree char *late = g_strdup_printf("%u", row->late);
            g_autofree char *latest = duet_text_time((double)row->latest_ns);
            duet_report_row(table, name, median, interval, waiting, late, latest);
        }
    }
}

static void add(DuetReport *report, const DuetRun *run, const char *id)
{
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(run, FALSE);

    (void)id;
    add_latency(report, run, analysis);
    add_rate(report, run, analysis);
    duet_report_comparisons(report, _("Arms against each other: medians of batches"),
        &analysis->match, analysis->comparisons);
    duet_report_notes(report, analysis->notes);
}

static void options(GString *command, const DuetRun *run)
{
    const DuetPlan *plan = run->plan;
    gboolean rate = duet_load_by_rate(plan);

    g_string_append(command, rate ? " --rate " : " --parallel ");
    for (guint i = 0; i < plan->n_variants; i++)
        g_string_append_printf(
            command, "%s%g", i > 0 ? "," : "", rate ? plan->counts[i] / 1000.0 : plan->counts[i]);
    g_string_append_printf(command, " -n %u", plan->n);
    if (rate)
        g_string_append_printf(command, " --starts %u", plan->load_starts);
}

const DuetReportPart duet_report_load = {
    .benchmark = "load",
    .title = N_("Many starts at once"),
    .add = add,
    .options = options,
};
