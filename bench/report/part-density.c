/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench density`: how many run at the same time. */
#include "part.h"

#include <math.h>

#include "bench/benchmark.h"
#include "bench/density/density-analysis.h"
#include "bench/text.h"
#include "bench/words.h"

/* Returns: (transfer full): why no more were started, in words. */
static char *why(const DuetDensityOutcome *outcome)
{
    const char *bound = duet_density_bound_to_string(outcome->bound);

    return g_strdup_printf(_("%u, bound by %s%s%s"), outcome->reached, bound,
        outcome->detail ? ": " : "", outcome->detail ? outcome->detail : "");
}

/* Returns: (transfer full) (element-type guint). */
static GArray *measured(const DuetDensityAnalysis *analysis)
{
    GArray *arms = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].latency.n > 0)
            g_array_append_val(arms, arm);
    }
    return arms;
}

static void dots_of(GString *dots, const DuetRun *run, guint arm, gsize step, DuetUnit unit)
{
    gsize nth = 0;
    double ns;

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm == arm && !sample->discarded && sample->status == DUET_SAMPLE_OK &&
            sample->density && duet_density_start_ns(sample, &ns) && nth++ % step == 0)
            DUET_CHART_ROW(dots, sample->density->running, ns / unit.ns);
    }
}

static void add_curve(
    DuetReport *report, const DuetRun *run, const DuetDensityAnalysis *analysis, const char *id)
{
    g_autoptr(GArray) arms = measured(analysis);
    g_autoptr(GPtrArray) whys = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *name = g_strdup_printf("%s-density", id);
    double least = INFINITY;

    if (arms->len == 0)
        return;
    for (guint i = 0; i < arms->len; i++)
        least = MIN(least, analysis->arms[g_array_index(arms, guint, i)].latency.min);
    DuetUnit unit = duet_unit_for(least);
    g_autofree char *ylabel = g_strdup_printf(_("time of one start, %s"), unit.name);
    DuetChart *chart = duet_chart_new("density", name);
    GString *dots = duet_chart_data(chart, "dots");
    duet_report_arms(report, chart, run, arms);
    duet_chart_set_text(chart, "xlabel", _("instances that run at the same time"));
    duet_chart_set_text(chart, "ylabel", ylabel);
    for (guint i = 0; i < arms->len; i++) {
        guint arm = g_array_index(arms, guint, i);
        const DuetDensityArm *of = &analysis->arms[arm];
        dots_of(dots, run, arm, duet_report_every(of->latency.n, DUET_REPORT_DOTS_MAX), unit);
        duet_chart_next_block(dots);
        g_ptr_array_add(whys, why(of->outcome));
    }
    duet_chart_set_texts(chart, "why", whys);
    DuetReportFigure *figure = duet_report_figure(report, chart,
        _("How long a start takes while others run, and how many there can be"),
        _("Further right means more instances at the same time. Beside each arm's name stands "
          "where it ended, and why."),
        _("Each dot is a start, while all instances before it still run. Of more than 400 only "
          "some are drawn, evenly chosen."));
    for (guint i = 0; i < arms->len; i++) {
        guint arm = g_array_index(arms, guint, i);
        const DuetDensityOutcome *outcome = analysis->arms[arm].outcome;
        g_autofree char *text = g_strdup_printf("%u", outcome->reached);
        duet_report_bar(figure, duet_run_arm(run, arm)->name, text, outcome->reached);
    }
}

static void add_table(DuetReport *report, const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    DuetReportTable *table = duet_report_table(report, _("What was reached"), "lrlrrrr");

    duet_report_row(table, _("arm"), _("reached"), _("bound by"), _("answered"), _("median start"),
        "p95", _("starts per second"));
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetDensityArm *of = &analysis->arms[arm];
        g_autofree char *reached = g_strdup_printf("%u", of->outcome->reached);
        g_autofree char *answered = g_strdup_printf("%u", of->outcome->answered);
        g_autofree char *bound = g_strconcat(duet_density_bound_to_string(of->outcome->bound),
            of->outcome->detail ? ": " : "", of->outcome->detail, NULL);
        g_autofree char *median = duet_text_time(of->latency.n > 0 ? of->latency.median : NAN);
        g_autofree char *p95 = duet_text_time(of->latency.n > 0 ? of->latency.p95 : NAN);
        g_autofree char *rate =
            isnan(of->starts_per_s) ? g_strdup("n/a") : duet_text_ratio(of->starts_per_s);
        duet_report_row(table, duet_run_arm(run, arm)->name, reached, bound,
            duet_density_was_asked(of->outcome) ? answered : _("not asked"), median, p95, rate);
    }
}

static void add_memory(DuetReport *report, const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    static const char *const names[] = {
        [DUET_DENSITY_BY_PSS] = N_("sum of PSS"),
        [DUET_DENSITY_BY_CGROUP] = N_("cgroups"),
        [DUET_DENSITY_BY_HOST] = N_("host, MemAvailable"),
        [DUET_DENSITY_BY_RESERVED] = N_("reserved"),
    };
    DuetReportTable *table =
        duet_report_table(report, _("Memory of one of them, and how many a GiB holds"), "llrr");

    duet_report_row(table, _("arm"), _("by"), _("one instance"), _("in a GiB"));
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint meter = 0; meter < DUET_DENSITY_METERS; meter++) {
            const DuetDensityArm *of = &analysis->arms[arm];
            g_autofree char *each = duet_text_bytes(of->each_bytes[meter]);
            g_autofree char *per =
                isnan(of->per_gib[meter]) ? g_strdup("n/a") : duet_text_ratio(of->per_gib[meter]);
            duet_report_row(
                table, meter == 0 ? duet_run_arm(run, arm)->name : "", _(names[meter]), each, per);
        }
    }
}

static void add(DuetReport *report, const DuetRun *run, const char *id)
{
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);

    add_curve(report, run, analysis, id);
    add_table(report, run, analysis);
    add_memory(report, run, analysis);
    duet_report_notes(report, analysis->notes);
}

static void options(GString *command, const DuetRun *run)
{
    const DuetDensityLimits *limits = run->plan->density;

    if (limits->max > 0)
        g_string_append_printf(command, " --max %u", limits->max);
    if (limits->budget_bytes > 0)
        g_string_append_printf(
            command, " --memory-budget %" G_GUINT64_FORMAT, limits->budget_bytes);
    if (limits->max_latency_ns > 0)
        g_string_append_printf(command, " --max-latency %g", limits->max_latency_ns / 1e9);
    g_string_append_printf(command, " --time-limit %g --age %g", limits->time_limit_ns / 1e9,
        run->plan->age_ms / 1000.0);
}

const DuetReportPart duet_report_density = {
    .benchmark = "density",
    .title = N_("Density"),
    .add = add,
    .options = options,
};
