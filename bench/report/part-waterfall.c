/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a start is made of: each phase as a bar that begins where the one before it ended. */
#include "part.h"

#include "bench/analysis.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"

/* Those that were released. Returns: (transfer full) (element-type guint). */
static GArray *arms_of(const DuetAnalysis *analysis)
{
    GArray *arms = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].summary[DUET_METRIC_TOTAL].n > 0)
            g_array_append_val(arms, arm);
    }
    return arms;
}

static const DuetSummary *total_of(const DuetAnalysis *analysis, const GArray *arms, guint i)
{
    return &analysis->arms[g_array_index(arms, guint, i)].summary[DUET_METRIC_TOTAL];
}

/* Of one arm and mark: when it was, since the request. Returns: %FALSE: it has no such mark. */
static gboolean when(const DuetRun *run, guint arm, DuetMark mark, double *out_q1,
    double *out_median, double *out_q3)
{
    g_autoptr(GArray) values = g_array_new(FALSE, FALSE, sizeof(double));

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        const gint64 *ns = sample->marks.ns;
        if (sample->arm != arm || sample->discarded || sample->status != DUET_SAMPLE_OK ||
            ns[mark] == 0)
            continue;
        double since = (double)(ns[mark] - ns[DUET_MARK_REQUEST]);
        g_array_append_val(values, since);
    }
    if (values->len == 0)
        return FALSE;
    g_autofree double *sorted = duet_stats_sorted(duet_stats_doubles(values), values->len);
    *out_q1 = duet_stats_percentile(sorted, values->len, 0.25);
    *out_median = duet_stats_percentile(sorted, values->len, 0.5);
    *out_q3 = duet_stats_percentile(sorted, values->len, 0.75);
    return TRUE;
}

/* The guest's own clock tells how long its kernel and our process 1 had run at `init`. */
static void guest_rows(
    GString *data, const DuetAnalysis *analysis, guint arm, guint row, double init, DuetUnit unit)
{
    const DuetSummary *kernel = &analysis->arms[arm].summary[DUET_METRIC_GUEST_KERNEL];
    const DuetSummary *agent = &analysis->arms[arm].summary[DUET_METRIC_GUEST_AGENT];
    double up = kernel->n > 0 ? kernel->median : 0, ours = agent->n > 0 ? agent->median : 0;

    if (up <= 0)
        return;
    DUET_CHART_ROW(data, row, MAX(0, init - up - ours) / unit.ns, MAX(0, init - ours) / unit.ns, 1);
    DUET_CHART_ROW(data, row, MAX(0, init - ours) / unit.ns, init / unit.ns, 2);
}

typedef struct {
    GString *totals, *bars, *guest;
    GPtrArray *units;
    DuetUnit total_unit;
} Waterfall;

static void waterfall_arm(Waterfall *w, const DuetRun *run, const DuetAnalysis *analysis, guint arm,
    guint row, const DuetMark *marks, guint n_marks)
{
    const DuetSummary *total = &analysis->arms[arm].summary[DUET_METRIC_TOTAL];
    DuetUnit unit = duet_unit_for(total->median);
    double before = 0, init = 0;

    for (guint i = 0; i < n_marks; i++) {
        double q1, median, q3;
        if (!when(run, arm, marks[i], &q1, &median, &q3))
            continue;
        DUET_CHART_ROW(
            w->bars, row, i + 1, before / unit.ns, median / unit.ns, q1 / unit.ns, q3 / unit.ns);
        before = median;
        if (marks[i] == DUET_MARK_INIT)
            init = median;
    }
    if (init > 0)
        guest_rows(w->guest, analysis, arm, row, init, unit);
    DUET_CHART_ROW(w->totals, row, total->median / w->total_unit.ns, total->q1 / w->total_unit.ns,
        total->q3 / w->total_unit.ns);
    g_ptr_array_add(w->units, g_strdup_printf(_("since request, %s"), unit.name));
}

static guint marks_of(const DuetAnalysis *analysis, DuetMark *out_marks, GPtrArray *out_names)
{
    guint n = 0;

    for (DuetMark mark = DUET_MARK_REQUEST + 1; mark < DUET_MARK_COUNT; mark++) {
        if (!duet_bench_table_has(analysis, duet_metric_of_phase(mark)))
            continue;
        out_marks[n++] = mark;
        g_ptr_array_add(out_names, (gpointer)duet_mark_to_string(mark));
    }
    return n;
}

void duet_report_waterfall(
    DuetReport *report, const DuetRun *run, const DuetAnalysis *analysis, const char *id)
{
    g_autoptr(GArray) arms = arms_of(analysis);
    g_autofree char *name = g_strdup_printf("%s-waterfall", id);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(GPtrArray) units = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) guest = g_ptr_array_new();
    g_autoptr(GPtrArray) totals = g_ptr_array_new_with_free_func(g_free);
    DuetMark marks[DUET_MARK_COUNT];
    guint n_marks = marks_of(analysis, marks, names);

    if (arms->len == 0)
        return;
    DuetChart *chart = duet_chart_new("waterfall", name);
    double longest = 0;
    for (guint i = 0; i < arms->len; i++) {
        longest = MAX(longest, total_of(analysis, arms, i)->median);
        g_ptr_array_add(totals, duet_text_time(total_of(analysis, arms, i)->median));
    }
    Waterfall w = { .units = units, .total_unit = duet_unit_for(longest) };
    g_autofree char *total_unit =
        g_strdup_printf(_("from request until all is released, %s"), w.total_unit.name);
    duet_report_arms(report, chart, run, arms);
    duet_chart_set_texts(chart, "phase", names);
    duet_chart_set_text(chart, "total_unit", total_unit);
    duet_chart_set_texts(chart, "total_text", totals);
    g_ptr_array_add(guest, (gpointer)_("guest's kernel, by its own clock"));
    g_ptr_array_add(guest, (gpointer)_("process 1 in it"));
    w.totals = duet_chart_data(chart, "totals");
    w.bars = duet_chart_data(chart, "bars");
    w.guest = duet_chart_data(chart, "guest");
    for (guint i = 0; i < arms->len; i++)
        waterfall_arm(&w, run, analysis, g_array_index(arms, guint, i), i + 1, marks, n_marks);
    duet_chart_set_texts(chart, "arm_unit", units);
    if (w.guest->len > 0)
        duet_chart_set_texts(chart, "guest_part", guest);
    DuetReportFigure *figure = duet_report_figure(report, chart,
        _("What a start is made of, and its end"),
        _("Above, all arms on one scale. Below, each on a scale of its own: every bar begins where "
          "the one before it ended, and its name is what had happened when it ended. Hatched: what "
          "a guest's kernel and process 1 took by the guest's own clock."),
        _("Medians of when each mark was; whiskers from the first to the third quartile of that. "
          "All marks are read from one clock of the host."));
    for (guint i = 0; i < arms->len; i++) {
        guint arm = g_array_index(arms, guint, i);
        duet_report_bar(figure, duet_run_arm(run, arm)->name, totals->pdata[i],
            total_of(analysis, arms, i)->median);
    }
}
