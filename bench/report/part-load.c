/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench boot --parallel` and `--rate`: many starts at once. */
#include "part.h"

#include <math.h>

#include "bench/benchmark.h"
#include "bench/load/load-analysis.h"
#include "bench/text.h"
#include "bench/words.h"

/* What of a row is drawn against the levels. */
static const DuetSummary *latency_of(const DuetLoadRow *row)
{
    return &row->latency;
}

static const DuetSummary *rate_of(const DuetLoadRow *row)
{
    return &row->per_second;
}

/* Medians of all levels, by arm. @unit: of a value. Returns: (transfer full) (nullable): NULL:
 * there are none. */
static DuetChart *chart_of(const DuetReport *report, const DuetRun *run,
    const DuetLoadAnalysis *analysis, const char *id,
    const DuetSummary *(*of)(const DuetLoadRow *row), double unit)
{
    g_autoptr(DuetChart) chart = duet_chart_new("course", id);
    g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) arms = g_array_new(FALSE, FALSE, sizeof(guint));
    GString *dots = duet_chart_data(chart, "dots");
    guint n = 0;

    for (guint variant = 0; variant < analysis->n_levels; variant++)
        g_ptr_array_add(places, duet_load_variant_text(run->plan, variant));
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        DUET_CHART_ROW(dots, NAN, NAN, NAN, NAN);
        for (guint variant = 0; variant < analysis->n_levels; variant++) {
            const DuetSummary *s = of(duet_load_row(analysis, arm, variant));
            if (!(s->n > 0 && s->median > 0))
                continue;
            DUET_CHART_ROW(dots, variant + 1, s->median / unit, s->low / unit, s->high / unit);
            n++;
        }
        duet_chart_next_block(dots);
        g_array_append_val(arms, arm);
    }
    if (n == 0)
        return NULL;
    duet_report_arms(report, chart, run, arms);
    duet_chart_set_texts(chart, "place", places);
    duet_chart_set_text(chart, "xlabel",
        duet_load_by_rate(run->plan) ? _("starts that are due per second")
                                     : _("starts at the same time"));
    return g_steal_pointer(&chart);
}

static void add_latency_figure(
    DuetReport *report, const DuetRun *run, const DuetLoadAnalysis *analysis, const char *id)
{
    double least = INFINITY;

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint variant = 0; variant < analysis->n_levels; variant++) {
            const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
            least = row->latency.n > 0 ? MIN(least, row->latency.median) : least;
        }
    }
    DuetUnit unit = duet_unit_for(isfinite(least) ? least : NAN);
    g_autofree char *name = g_strdup_printf("%s-latency", id);
    g_autofree char *axis = g_strdup_printf(_("time of one start, %s"), unit.name);
    DuetChart *chart = chart_of(report, run, analysis, name, latency_of, unit.ns);
    if (!chart)
        return;
    duet_chart_set_text(chart, "ylabel", axis);
    duet_report_figure(report, chart, _("How long a start takes when many come"),
        _("The higher, the longer one start takes. A line that rises as fast as the number of "
          "starts means that they wait for each other."),
        _("Medians of all starts of a level, with their intervals (95 %). The scale is "
          "logarithmic."));
}

static void add_rate_figure(
    DuetReport *report, const DuetRun *run, const DuetLoadAnalysis *analysis, const char *id)
{
    g_autofree char *name = g_strdup_printf("%s-rate", id);
    DuetChart *chart = chart_of(report, run, analysis, name, rate_of, 1);

    if (!chart)
        return;
    duet_chart_set_text(chart, "ylabel", _("starts per second"));
    duet_report_figure(report, chart, _("How many starts are done in a second"),
        _("The higher, the more. Where a line does not rise any more, more starts at once only "
          "make each of them longer."),
        _("Medians over the batches of a level, with their intervals (95 %). The scale is "
          "logarithmic."));
}

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

    add_latency_figure(report, run, analysis, id);
    add_rate_figure(report, run, analysis, id);
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
