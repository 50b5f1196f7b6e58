/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-analysis.h"

#include <math.h>
#include <string.h>

#include "bench/analysis.h"
#include "bench/random.h"

const DuetOverheadTest *duet_overhead_arm_test(const DuetRunArm *arm)
{
    const char *end = strchr(arm->name, ':');
    g_autofree char *name = g_strndup(arm->name, end ? (gsize)(end - arm->name) : 0);

    return duet_overhead_test_find(name);
}

guint duet_overhead_baseline(const DuetRun *run, guint arm)
{
    const DuetOverheadTest *test = duet_overhead_arm_test(duet_run_arm(run, arm));
    guint first = run->arms->len;

    for (guint i = 0; i < run->arms->len; i++) {
        if (duet_overhead_arm_test(duet_run_arm(run, i)) != test)
            continue;
        if (g_str_equal(duet_run_arm(run, i)->kind, "native"))
            return i;
        first = MIN(first, i);
    }
    return first;
}

gboolean duet_overhead_run_has(const DuetRun *run, const DuetOverheadTest *test)
{
    for (guint arm = 0; arm < run->arms->len; arm++) {
        if (duet_overhead_arm_test(duet_run_arm(run, arm)) == test)
            return TRUE;
    }
    return FALSE;
}

const char *duet_overhead_mode(const DuetRun *run, guint arm, gboolean *out_differ)
{
    const char *mode = NULL;
    gboolean any = FALSE, differ = FALSE;

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm != arm || sample->discarded || sample->status != DUET_SAMPLE_OK ||
            !sample->overhead)
            continue;
        differ |= any && g_strcmp0(mode, sample->overhead->mode) != 0;
        mode = sample->overhead->mode;
        any = TRUE;
    }
    if (out_differ)
        *out_differ = differ;
    return differ ? NULL : mode;
}

char *duet_overhead_series_name(const DuetRun *run, guint arm, guint value)
{
    const DuetRunArm *of = duet_run_arm(run, arm);
    const DuetOverheadValue *values = duet_overhead_arm_test(of)->values;

    return values[1].id ? g_strdup_printf("%s %s", of->name, values[value].id) : g_strdup(of->name);
}

static void analyse_arm(const DuetRun *run, guint index, DuetOverheadArm *arm)
{
    const DuetOverheadTest *test = duet_overhead_arm_test(duet_run_arm(run, index));

    arm->exits = duet_analysis_exits(run, index, &arm->ok, &arm->failed, &arm->timeouts);
    for (guint value = 0; test->values[value].id; value++) {
        g_auto(DuetColumn) column = { 0 };
        guint64 seed = duet_random_derive(run->plan->seed, 1000 * (index + 1) + value);
        duet_overhead_values(run, index, value, &column);
        DuetSeries series = duet_column_series(&column);
        if (series.n > 0)
            duet_stats_summary(series.values, series.n, seed, &arm->summary[value], NULL);
        if (test->values[value].higher_is_better)
            arm->summary[value].slow_first = arm->summary[value].low_first;
    }
    arm->mode = duet_overhead_mode(run, index, &arm->modes_differ);
}

static void compare_arms(
    const DuetRun *run, gboolean ratio_with_failures, DuetOverheadAnalysis *analysis)
{
    DuetMatch match = {
        .measure = &duet_measure_overhead,
        .a = run,
        .b = run,
        .ratio_with_failures = ratio_with_failures,
        .seed = run->plan->seed,
        .floor = run->plan->floor,
    };

    analysis->nested = duet_match_nested(&match);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetOverheadTest *test = duet_overhead_arm_test(duet_run_arm(run, arm));
        guint baseline = duet_overhead_baseline(run, arm);
        for (guint value = 0; arm != baseline && test->values[value].id; value++)
            duet_match_add(analysis->comparisons, arm, baseline, duet_overhead_metric(test, value));
    }
    duet_match_judge(&match, analysis->comparisons);
}

DuetOverheadAnalysis *duet_overhead_analysis_new(const DuetRun *run, gboolean ratio_with_failures)
{
    DuetOverheadAnalysis *analysis = g_new0(DuetOverheadAnalysis, 1);

    analysis->n_arms = run->arms->len;
    analysis->tcg = duet_run_tcg(run);
    analysis->arms = g_new0(DuetOverheadArm, analysis->n_arms + 1);
    analysis->comparisons = g_array_new(FALSE, FALSE, sizeof(DuetComparison));
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        analyse_arm(run, arm, &analysis->arms[arm]);
    compare_arms(run, ratio_with_failures, analysis);
    analysis->notes = duet_overhead_notes_new(run, analysis);
    return analysis;
}

void duet_overhead_analysis_free(DuetOverheadAnalysis *analysis)
{
    if (!analysis)
        return;
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        g_ptr_array_unref(analysis->arms[arm].exits);
    g_free(analysis->arms);
    g_array_unref(analysis->comparisons);
    g_ptr_array_unref(analysis->notes);
    g_free(analysis);
}

gboolean duet_overhead_analysis_bad_arm(const DuetOverheadAnalysis *analysis)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].ok == 0)
            return TRUE;
    }
    return FALSE;
}

const DuetComparison *duet_overhead_comparison(
    const DuetOverheadAnalysis *analysis, guint arm, guint value)
{
    for (guint i = 0; i < analysis->comparisons->len; i++) {
        const DuetComparison *c = &g_array_index(analysis->comparisons, DuetComparison, i);
        if (c->a == arm && duet_overhead_metric_value(c->metric) == value)
            return c;
    }
    return NULL;
}
