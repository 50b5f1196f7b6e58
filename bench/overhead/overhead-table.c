/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-view.h"

#include <math.h>

#include "bench/table.h"
#include "bench/text.h"

/* The longest verdict beside a ratio, "undecided (other kernel)", ends in column 80. */
#define ARM_COLUMNS 12
#define MEDIAN_COLUMNS 9
#define RATIO_COLUMNS 7
#define INTERVAL_COLUMNS 15
#define VERDICT_INDENT 3

char *duet_overhead_figure(const DuetOverheadValue *of, double value)
{
    double shown = value * of->scale;
    int digits = shown < 10 ? 3 : shown < 100 ? 2 : shown < 1000 ? 1 : 0;

    return isfinite(shown) ? g_strdup_printf("%.*f", digits, shown) : g_strdup("n/a");
}

/* What measured it, if all good samples of the test agree. */
static char *tool_of(const DuetRun *run, const DuetOverheadTest *test)
{
    const char *tool = NULL, *mode = NULL;

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        const DuetOverheadPoint *point = sample->overhead;
        if (!point || point->test != test)
            continue;
        if (tool && (g_strcmp0(tool, point->tool) != 0 || g_strcmp0(mode, point->mode) != 0))
            return g_strdup("tools or modes differ");
        tool = point->tool;
        mode = point->mode;
    }
    return g_strdup_printf("%s%s%s", tool ? tool : "no sample", mode ? ", " : "", mode ? mode : "");
}

char *duet_overhead_title(const DuetRun *run, const DuetOverheadTest *test, guint value)
{
    const DuetOverheadValue *of = &test->values[value];
    g_autofree char *tool = tool_of(run, test);
    g_autofree char *line = duet_text_line(tool);

    return g_strdup_printf("%s: %s, %s; %s is better (%s)", test->name, of->label, of->unit,
        of->higher_is_better ? "more" : "less", line);
}

char *duet_overhead_command(const DuetRun *run)
{
    return g_strdup_printf(
        "one tool a sample, for %u s, bound to one CPU of the instance", run->plan->duration_s);
}

static void head(GString *out, const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    g_autofree char *command = duet_overhead_command(run);
    g_autofree char *plan = duet_bench_table_plan(run);

    duet_bench_table_banner(out, analysis->nested, analysis->tcg);
    duet_bench_table_head(out, run, command, plan);
}

static void comparison_cells(GString *out, const DuetComparison *comparison)
{
    const DuetContrast *c = &comparison->contrast;
    const char *verdict = duet_verdict_to_string(comparison->verdict);

    if (duet_verdict_withholds(comparison->verdict)) {
        g_string_append_printf(out, "%*s%s", VERDICT_INDENT, "", verdict);
        return;
    }
    g_autofree char *ratio = duet_text_ratio(c->ratio);
    g_autofree char *interval = duet_text_ratio_interval(c->ratio_low, c->ratio_high);
    duet_text_append_figure(out, ratio, RATIO_COLUMNS);
    duet_text_append_figure(out, interval, INTERVAL_COLUMNS);
    g_string_append_printf(out, "  %s", verdict);
}

static void arm_row(GString *out, const DuetRun *run, const DuetOverheadAnalysis *analysis,
    guint index, guint value)
{
    const DuetOverheadArm *arm = &analysis->arms[index];
    const DuetComparison *comparison = duet_overhead_comparison(analysis, index, value);
    g_autofree char *kind = duet_text_line(duet_run_arm(run, index)->kind);
    double middle = arm->summary[value].n > 0 ? arm->summary[value].median : NAN;
    g_autofree char *median = duet_overhead_figure(
        &duet_overhead_arm_test(duet_run_arm(run, index))->values[value], middle);

    g_string_append(out, "  ");
    duet_text_append_padded(out, kind, ARM_COLUMNS - 2);
    g_string_append_printf(out, "%4u%7u", arm->ok, arm->failed + arm->timeouts);
    duet_text_append_figure(out, median, MEDIAN_COLUMNS);
    if (comparison)
        comparison_cells(out, comparison);
    g_string_append_c(out, '\n');
    if (!comparison || duet_verdict_withholds(comparison->verdict))
        return;
    g_autofree char *details = duet_bench_table_details(&duet_measure_overhead, comparison);
    duet_text_append_wrapped(out, "    ", "    ", details);
}

static void test_rows(GString *out, const DuetRun *run, const DuetOverheadAnalysis *analysis,
    const DuetOverheadTest *test)
{
    for (guint value = 0; test->values[value].id; value++) {
        g_autofree char *title = duet_overhead_title(run, test, value);
        g_string_append_c(out, '\n');
        duet_text_append_wrapped(out, "", "  ", title);
        for (guint arm = 0; arm < analysis->n_arms; arm++) {
            if (duet_overhead_arm_test(duet_run_arm(run, arm)) == test)
                arm_row(out, run, analysis, arm, value);
        }
    }
}

char *duet_overhead_table(const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    head(out, run, analysis);
    g_string_append_c(out, '\n');
    duet_text_append_padded(out, "test, arm", ARM_COLUMNS);
    g_string_append_printf(out, "%4s%7s%*s%*s%*s  %s\n", "ok", "failed", MEDIAN_COLUMNS, "median",
        RATIO_COLUMNS, "ratio", INTERVAL_COLUMNS, "95 %", "verdict");
    for (const DuetOverheadTest *test = duet_overhead_tests(); test->name; test++) {
        if (duet_overhead_run_has(run, test))
            test_rows(out, run, analysis, test);
    }
    duet_bench_table_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}
