/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench overhead`: what work costs inside. */
#include "part.h"

#include <math.h>

#include "bench/benchmark.h"
#include "bench/overhead/overhead-view.h"
#include "bench/words.h"

/* Which kinds a run's arms are of: one each. Returns: (transfer full) (element-type guint). */
static GArray *kinds_of(const DuetRun *run)
{
    GArray *first = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint arm = 0; arm < run->arms->len; arm++) {
        gboolean known = FALSE;
        for (guint i = 0; i < first->len; i++)
            known |= g_str_equal(duet_run_arm(run, g_array_index(first, guint, i))->kind,
                duet_run_arm(run, arm)->kind);
        if (!known)
            g_array_append_val(first, arm);
    }
    return first;
}

static guint kind_row(const DuetRun *run, const GArray *kinds, guint arm)
{
    guint i = 0;

    while (!g_str_equal(
        duet_run_arm(run, g_array_index(kinds, guint, i))->kind, duet_run_arm(run, arm)->kind))
        i++;
    return i + 1;
}

static void kind_names(DuetChart *chart, const DuetRun *run, const GArray *kinds)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new(), colors = g_ptr_array_new();

    for (guint i = 0; i < kinds->len; i++) {
        guint arm = g_array_index(kinds, guint, i);
        g_ptr_array_add(names, duet_run_arm(run, arm)->kind);
        const char *color = duet_report_kind_color(duet_run_arm(run, arm)->kind);
        g_ptr_array_add(colors, (gpointer)(color ? color : "#666666"));
    }
    duet_chart_set_texts(chart, "arm", names);
    duet_chart_set_texts(chart, "color", colors);
}

/* The main value of each test, against its baseline. Where more is better the ratio is turned, so
 * that further right is more overhead in each row. */
static void add_relative(
    DuetReport *report, const DuetRun *run, const DuetOverheadAnalysis *analysis, const char *id)
{
    g_autoptr(GArray) kinds = kinds_of(run);
    g_autoptr(GPtrArray) tests = g_ptr_array_new();
    g_autofree char *name = g_strdup_printf("%s-relative", id);
    g_autoptr(DuetChart) chart = duet_chart_new("relative", name);
    GString *rows = duet_chart_data(chart, "rows");

    for (const DuetOverheadTest *test = duet_overhead_tests(); test->name; test++) {
        gboolean listed = FALSE;
        for (guint arm = 0; arm < analysis->n_arms; arm++) {
            const DuetComparison *c = duet_overhead_comparison(analysis, arm, 0);
            if (duet_overhead_arm_test(duet_run_arm(run, arm)) != test || !c ||
                duet_verdict_withholds(c->verdict) || isnan(c->contrast.ratio))
                continue;
            if (!listed)
                g_ptr_array_add(tests, (gpointer)test->name);
            listed = TRUE;
            gboolean turn = test->values[0].higher_is_better;
            const DuetContrast *k = &c->contrast;
            DUET_CHART_ROW(rows, tests->len, kind_row(run, kinds, arm),
                turn ? 1 / k->ratio : k->ratio, turn ? 1 / k->ratio_high : k->ratio_low,
                turn ? 1 / k->ratio_low : k->ratio_high);
        }
    }
    if (tests->len == 0)
        return;
    kind_names(chart, run, kinds);
    duet_chart_set_texts(chart, "test", tests);
    const char *baseline = duet_run_arm(run, duet_overhead_baseline(run, 0))->kind;
    g_autofree char *axis = g_strdup_printf(_("cost over that of %s (ratio)"), baseline);
    g_autofree char *says = g_strdup_printf(
        _("At 1 the work costs what it costs in %s; at 2 twice as much. Further right is more "
          "overhead in every row."),
        baseline);
    duet_chart_set_text(chart, "xlabel", axis);
    duet_report_figure(report, g_steal_pointer(&chart), _("What work costs inside"), says,
        _("Ratios of medians, with intervals (95 %), of the main value of each tool; where more of "
          "it is better, the ratio is turned over."));
}

static void add_rows(DuetReportTable *table, const DuetRun *run,
    const DuetOverheadAnalysis *analysis, const DuetOverheadTest *test, guint value)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetOverheadArm *of = &analysis->arms[arm];
        const DuetSummary *s = &of->summary[value];
        if (duet_overhead_arm_test(duet_run_arm(run, arm)) != test)
            continue;
        g_autofree char *what = g_strdup_printf(
            "%s: %s, %s", test->name, test->values[value].label, test->values[value].unit);
        g_autofree char *ok = g_strdup_printf("%u", of->ok);
        g_autofree char *median =
            duet_overhead_figure(&test->values[value], s->n > 0 ? s->median : NAN);
        g_autofree char *low = duet_overhead_figure(&test->values[value], s->n > 0 ? s->low : NAN);
        g_autofree char *high =
            duet_overhead_figure(&test->values[value], s->n > 0 ? s->high : NAN);
        g_autofree char *interval =
            g_str_equal(low, "n/a") ? g_strdup("n/a") : g_strdup_printf(_("%s to %s"), low, high);
        duet_report_row(table, what, duet_run_arm(run, arm)->kind, ok, median, interval,
            test->values[value].higher_is_better ? _("more") : _("less"));
    }
}

static void add(DuetReport *report, const DuetRun *run, const char *id)
{
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);

    add_relative(report, run, analysis, id);
    DuetReportTable *table = duet_report_table(report, _("What each tool measured"), "llrrrl");
    duet_report_row(
        table, _("test"), _("arm"), _("ok"), _("median"), _("median, 95 %"), _("better is"));
    for (const DuetOverheadTest *test = duet_overhead_tests(); test->name; test++) {
        for (guint value = 0; duet_overhead_run_has(run, test) && test->values[value].id; value++)
            add_rows(table, run, analysis, test, value);
    }
    DuetMatch match = {
        .measure = &duet_measure_overhead,
        .a = run,
        .b = run,
        .seed = run->plan->seed,
        .floor = run->plan->floor,
    };
    duet_report_comparisons(
        report, _("Against the baseline: ratios of medians"), &match, analysis->comparisons);
    duet_report_notes(report, analysis->notes);
}

static void options(GString *command, const DuetRun *run)
{
    gboolean first = TRUE;

    g_string_append_printf(
        command, " -n %u --duration %u --tests ", run->plan->n, run->plan->duration_s);
    for (const DuetOverheadTest *test = duet_overhead_tests(); test->name; test++) {
        if (duet_overhead_run_has(run, test))
            g_string_append_printf(command, "%s%s", first ? "" : ",", test->name);
        first &= !duet_overhead_run_has(run, test);
    }
}

const DuetReportPart duet_report_overhead = {
    .benchmark = "overhead",
    .title = N_("Overhead on work"),
    .add = add,
    .options = options,
};
