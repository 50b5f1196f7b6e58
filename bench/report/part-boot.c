/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench boot`: start and end of an instance. */
#include "part.h"

#include <math.h>

#include "bench/analysis.h"
#include "bench/benchmark.h"
#include "bench/cost/cost.h"
#include "bench/cost/share.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"

/* Above this ratio of the largest to the smallest value an axis is logarithmic. */
#define LOG_FROM 20
#define STEPS_MAX 500

/* What the figures of one metric have in common. */
typedef struct {
    const DuetRun *run;
    const DuetAnalysis *analysis;
    DuetMetric metric;
    GArray *arms; /* (element-type guint): those with a value */
    DuetColumn *columns; /* of each of @arms */
    DuetUnit unit;
    gboolean log;
} Series;

static void series_clear(Series *series)
{
    for (guint i = 0; i < series->arms->len; i++)
        duet_column_clear(&series->columns[i]);
    g_free(series->columns);
    g_array_unref(series->arms);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Series, series_clear)

static const DuetSummary *summary_of(const Series *series, guint i)
{
    guint arm = g_array_index(series->arms, guint, i);

    return &series->analysis->arms[arm].summary[series->metric];
}

static void series_init(
    Series *series, const DuetRun *run, const DuetAnalysis *analysis, DuetMetric metric)
{
    double least = INFINITY, most = 0;

    *series = (Series){
        .run = run,
        .analysis = analysis,
        .metric = metric,
        .arms = g_array_new(FALSE, FALSE, sizeof(guint)),
    };
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetSummary *s = &analysis->arms[arm].summary[metric];
        if (s->n == 0)
            continue;
        g_array_append_val(series->arms, arm);
        least = MIN(least, s->min);
        most = MAX(most, s->max);
    }
    series->columns = g_new0(DuetColumn, series->arms->len);
    for (guint i = 0; i < series->arms->len; i++)
        duet_run_values(run, g_array_index(series->arms, guint, i), metric, analysis->headline_to,
            &series->columns[i]);
    series->log = least > 0 && most / least > LOG_FROM;
    series->unit = duet_unit_for(series->log ? least : most);
}

static double in_unit(const Series *series, double ns)
{
    return ns / series->unit.ns;
}

/* Returns: (transfer full): what a metric is, in words: "from request to output". */
static char *words_of(const Series *series)
{
    const char *to = duet_mark_to_string(series->analysis->headline_to);

    if (!duet_plan_is_blocked(series->run->plan))
        return g_strdup(_("imported time"));
    switch (series->metric) {
    case DUET_METRIC_HEADLINE:
        return g_strdup_printf(_("from request to %s"), to);
    case DUET_METRIC_STOPPING:
        return g_strdup(_("from stop to released"));
    case DUET_METRIC_COMMAND_EXIT:
        return g_strdup(_("from the command to its end"));
    default:
        return g_strdup(_("from the command to its first output"));
    }
}

/* Returns: (transfer full): an axis' text: "from request to output, ms". */
static char *axis_text(const Series *series)
{
    g_autofree char *words = words_of(series);

    return series->log ? g_strdup_printf(_("%s, %s, logarithmic"), words, series->unit.name)
                       : g_strdup_printf(_("%s, %s"), words, series->unit.name);
}

/* Returns: (transfer full): a figure's title, with what it is of where others are of the start. */
static char *titled(const Series *series, const char *title)
{
    g_autofree char *words = words_of(series);

    return series->metric == DUET_METRIC_HEADLINE ? g_strdup(title)
                                                  : g_strdup_printf(_("%s, %s"), title, words);
}

static DuetChart *chart_new(
    const DuetReport *report, const Series *series, const char *script, const char *id)
{
    g_autofree char *name = g_strdup_printf("%s-%s", id, script);
    g_autofree char *axis = axis_text(series);
    DuetChart *chart = duet_chart_new(script, name);

    duet_report_arms(report, chart, series->run, series->arms);
    duet_chart_set_text(chart, "xlabel", axis);
    duet_chart_set_number(chart, "log", series->log);
    return chart;
}

static void add_ecdf(DuetReport *report, const Series *series, const char *id)
{
    DuetChart *chart = chart_new(report, series, "ecdf", id);
    GString *steps = duet_chart_data(chart, "steps");

    duet_chart_set_text(chart, "ylabel", _("share of samples"));
    for (guint i = 0; i < series->arms->len; i++) {
        DuetSeries s = duet_column_series(&series->columns[i]);
        g_autofree double *sorted = duet_stats_sorted(s.values, s.n);
        gsize step = duet_report_every(s.n, STEPS_MAX);
        for (gsize k = step - 1; k < s.n; k += step)
            DUET_CHART_ROW(steps, in_unit(series, sorted[k]), (k + 1.0) / s.n);
        if (s.n % step != 0)
            DUET_CHART_ROW(steps, in_unit(series, sorted[s.n - 1]), 1);
        duet_chart_next_block(steps);
    }
    g_autofree char *title = titled(series, _("How the samples are distributed"));
    duet_report_figure(report, chart, title,
        _("Each curve tells what share of the samples took at most as long as the time below it. "
          "The further left, the faster; the steeper, the more alike the samples are."),
        _("Empirical distribution of all good samples. Above 500 of them only some steps are "
          "drawn, evenly chosen."));
}

static void add_box(DuetReport *report, const Series *series, const char *id)
{
    DuetChart *chart = chart_new(report, series, "box", id);
    GString *dots = duet_chart_data(chart, "dots"), *boxes = duet_chart_data(chart, "boxes");
    gboolean thinned = FALSE;

    for (guint i = 0; i < series->arms->len; i++) {
        const DuetSummary *s = summary_of(series, i);
        DuetSeries values = duet_column_series(&series->columns[i]);
        gsize step = duet_report_every(values.n, DUET_REPORT_DOTS_MAX);
        double fence = 1.5 * (s->q3 - s->q1);
        double low = s->max, high = s->min;
        for (gsize k = 0; k < values.n; k++) {
            double y = values.values[k];
            if (y >= s->q1 - fence)
                low = MIN(low, y);
            if (y <= s->q3 + fence)
                high = MAX(high, y);
            /* multiples of the golden ratio are spread evenly, however many there are */
            if (k % step == 0)
                DUET_CHART_ROW(dots, in_unit(series, y), fmod(k / step * 0.6180339887, 1));
        }
        thinned |= step > 1;
        duet_chart_next_block(dots);
        DUET_CHART_ROW(boxes, i + 1, in_unit(series, low), in_unit(series, s->q1),
            in_unit(series, s->median), in_unit(series, s->q3), in_unit(series, high));
    }
    g_autofree char *how = g_strconcat(
        _("The box is from the first to the third quartile, the line in it the median; whiskers "
          "reach to the last sample within 1.5 of the box's length."),
        thinned ? " " : "",
        thinned ? _("Of many samples only some are drawn as dots, evenly chosen; box and whiskers "
                    "are of all.")
                : "",
        NULL);
    g_autofree char *title = titled(series, _("All samples, and the middle half of them"));
    DuetReportFigure *figure = duet_report_figure(report, chart, title,
        _("Each dot is one sample. Half of all samples lie in the box."), how);
    for (guint i = 0; i < series->arms->len; i++) {
        guint arm = g_array_index(series->arms, guint, i);
        double median = summary_of(series, i)->median;
        g_autofree char *text = duet_text_time(median);
        duet_report_bar(figure, duet_run_arm(series->run, arm)->name, text, median);
    }
}

static void add_order(DuetReport *report, const Series *series, const char *id)
{
    DuetChart *chart = chart_new(report, series, "order", id);
    GString *dots = duet_chart_data(chart, "dots");

    duet_chart_set_text(chart, "xlabel", _("sample, in the order of measuring"));
    duet_chart_set_text(chart, "ylabel", _("over the arm's median"));
    for (guint i = 0; i < series->arms->len; i++) {
        DuetSeries s = duet_column_series(&series->columns[i]);
        double median = summary_of(series, i)->median;
        gsize step = duet_report_every(s.n, DUET_REPORT_DOTS_MAX);
        for (gsize k = 0; k < s.n; k += step)
            DUET_CHART_ROW(dots, k + 1, s.values[k] / median);
        duet_chart_next_block(dots);
    }
    duet_report_figure(report, chart, _("Whether the host changed while it was measured"),
        _("Dots that stay around 1 from left to right mean that the host was as fast at the end as "
          "at the beginning. A slope or a step would mean that something else was measured too."),
        _("Each sample over the median of its arm, in the order in which they were taken."));
}

static void add_summary(DuetReport *report, const Series *series)
{
    const DuetRun *run = series->run;
    g_autofree char *words = words_of(series);
    DuetReportTable *table = duet_report_time_table(report, words);

    for (guint arm = 0; arm < series->analysis->n_arms; arm++) {
        const DuetArmAnalysis *a = &series->analysis->arms[arm];
        if (duet_run_arm_is_peer(duet_run_arm(run, arm)) && series->metric < DUET_METRIC_OWN_COUNT)
            continue;
        duet_report_cells(table,
            duet_report_time_cells(duet_run_arm(run, arm)->name, a->ok, a->failed + a->timeouts,
                &a->summary[series->metric]));
    }
}

static void add_phases(DuetReport *report, const DuetRun *run, const DuetAnalysis *analysis)
{
    GPtrArray *head = g_ptr_array_new();

    g_ptr_array_add(head, g_strdup(_("phase")));
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (!duet_run_arm_is_peer(duet_run_arm(run, arm)))
            g_ptr_array_add(head, g_strdup(duet_run_arm(run, arm)->name));
    }
    DuetReportTable *table = duet_report_table_with(
        report, _("Medians of all phases; a phase begins with the mark before it"), "l", 'r', head);
    for (guint metric = DUET_METRIC_PHASE_FIRST; metric < DUET_METRIC_OWN_COUNT; metric++) {
        if (!duet_bench_table_has(analysis, metric))
            continue;
        GPtrArray *cells = g_ptr_array_new();
        g_ptr_array_add(cells, g_strstrip(duet_bench_table_label(metric)));
        for (guint arm = 0; arm < analysis->n_arms; arm++) {
            const DuetSummary *s = &analysis->arms[arm].summary[metric];
            if (!duet_run_arm_is_peer(duet_run_arm(run, arm)))
                g_ptr_array_add(cells, s->n > 0 ? duet_text_time(s->median) : g_strdup("n/a"));
        }
        duet_report_cells(table, cells);
    }
}

/* ---- */

static void add_metric(DuetReport *report, const DuetRun *run, const DuetAnalysis *analysis,
    DuetMetric metric, const char *id)
{
    g_autofree char *metric_id = duet_metric_id(metric, analysis->headline_to);
    g_autofree char *name =
        metric == DUET_METRIC_HEADLINE ? g_strdup(id) : g_strdup_printf("%s-%s", id, metric_id);
    g_auto(Series) series = { 0 };

    series_init(&series, run, analysis, metric);
    /* Of the headline it is told where there is none. */
    if (series.arms->len == 0 && metric != DUET_METRIC_HEADLINE)
        return;
    if (series.arms->len > 0) {
        add_ecdf(report, &series, name);
        add_box(report, &series, name);
    }
    /* Of what others measured the order is not known. */
    if (series.arms->len > 0 && metric == DUET_METRIC_HEADLINE && run->plan->n > 1 &&
        duet_plan_is_blocked(run->plan))
        add_order(report, &series, name);
    add_summary(report, &series);
    g_autoptr(GArray) rows = duet_analysis_comparisons(analysis, metric);
    duet_report_comparisons(
        report, _("Arms against each other: ratios of medians"), &analysis->match, rows);
}

static void add(DuetReport *report, const DuetRun *run, const char *id)
{
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    static const DuetMetric metrics[] = { DUET_METRIC_HEADLINE, DUET_METRIC_STOPPING,
        DUET_METRIC_COMMAND_OUTPUT, DUET_METRIC_COMMAND_EXIT };
    g_autoptr(GArray) cpu = duet_analysis_comparisons(analysis, DUET_METRIC_MANAGING_CPU);

    duet_report_compared(report, run);
    duet_report_waterfall(report, run, analysis, id);
    for (gsize i = 0; i < G_N_ELEMENTS(metrics); i++)
        add_metric(report, run, analysis, metrics[i], id);
    duet_report_comparisons(
        report, _("CPU time of the managing processes: ratios of medians"), &analysis->match, cpu);
    if (duet_bench_table_has(analysis, DUET_METRIC_TOTAL))
        add_phases(report, run, analysis);
    g_autofree char *share = duet_share_line(run, analysis);
    g_autofree char *cost = duet_cost_line(analysis);
    g_autofree char *managing = share ? g_strdup_printf(_("Managing: %s."), share) : NULL;
    g_autofree char *own = cost ? g_strdup_printf(_("What duet itself costs: %s."), cost) : NULL;
    if (managing)
        duet_report_text(report, managing);
    if (own)
        duet_report_text(report, own);
    duet_report_notes(report, analysis->notes);
}

static void samples(GString *command, const DuetRun *run)
{
    g_string_append_printf(
        command, " -n %u --timeout %g", run->plan->n, run->plan->timeout_ms / 1000.0);
}

static void options(GString *command, const DuetRun *run)
{
    const DuetPlan *plan = run->plan;

    samples(command, run);
    duet_report_option(command, "cache", plan->mode);
    if (plan->ready)
        duet_report_option(command, "ready", plan->ready);
    if (plan->from)
        duet_report_option(command, "from", plan->from);
}

const DuetReportPart duet_report_boot = {
    .benchmark = "boot",
    .title = N_("Start and end"),
    .add = add,
    .options = options,
};

const DuetReportPart duet_report_cost = {
    .benchmark = "cost",
    .title = N_("What duet itself costs"),
    .add = add,
    .options = samples,
};
