/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "analysis.h"

#include <math.h>

#include "environment.h"
#include "notes.h"
#include "random.h"

#define SIGNIFICANT 0.05

static const char *const verdict_names[] = {
    [DUET_VERDICT_DIFFERS] = "differs",
    [DUET_VERDICT_SAME] = "no difference shown",
    [DUET_VERDICT_NO_KVM] = "undecided (no KVM)",
    [DUET_VERDICT_TOO_FEW] = "too few samples",
    [DUET_VERDICT_FAILURES] = "withheld: samples failed",
    [DUET_VERDICT_NESTED] = "withheld: nested under TCG",
    [DUET_VERDICT_NO_DATA] = "no data",
};

const char *duet_verdict_to_string(DuetVerdict verdict)
{
    g_return_val_if_fail((gsize)verdict < G_N_ELEMENTS(verdict_names), "no data");
    return verdict_names[verdict];
}

gboolean duet_verdict_withholds(DuetVerdict verdict)
{
    return verdict == DUET_VERDICT_FAILURES || verdict == DUET_VERDICT_NESTED ||
        verdict == DUET_VERDICT_NO_DATA;
}

/* The values of one metric of one arm's good samples, in the order of measuring. */
typedef struct {
    GArray *values;
    GArray *blocks;
} Values;

static void values_clear(Values *values)
{
    g_array_unref(values->values);
    g_array_unref(values->blocks);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Values, values_clear)

static void collect(
    const DuetRun *run, guint arm, DuetMetric metric, DuetMark headline_to, Values *values)
{
    values->values = g_array_new(FALSE, FALSE, sizeof(double));
    values->blocks = g_array_new(FALSE, FALSE, sizeof(guint));
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        double value;
        if (sample->arm != arm || sample->discarded || sample->status != DUET_SAMPLE_OK ||
            !duet_metric_value(sample, metric, headline_to, &value))
            continue;
        g_array_append_val(values->values, value);
        g_array_append_val(values->blocks, sample->block);
    }
}

static char *how_it_ended(const DuetSample *sample)
{
    if (sample->status == DUET_SAMPLE_TIMEOUT)
        return g_strdup("timed out");
    if (sample->oom)
        return g_strdup("out of memory");
    if (sample->exit_signal > 0)
        return g_strdup_printf("signal %d", sample->exit_signal);
    /* 125 to 127 are duet's own words for "it did not run"; the error says why. */
    if (sample->exit_code > 0 && (!sample->error || sample->exit_code < 125))
        return g_strdup_printf("exit %d", sample->exit_code);
    return g_strdup(sample->error ? sample->error : "did not start");
}

GPtrArray *duet_analysis_exits(
    const DuetRun *run, guint arm, guint *out_ok, guint *out_failed, guint *out_timeouts)
{
    g_autoptr(GHashTable) counts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) order = g_ptr_array_new();
    guint by_status[] = { 0, 0, 0 };

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm != arm || sample->discarded)
            continue;
        by_status[sample->status]++;
        if (sample->status == DUET_SAMPLE_OK)
            continue;
        char *end = how_it_ended(sample);
        guint count = GPOINTER_TO_UINT(g_hash_table_lookup(counts, end));
        if (count == 0)
            g_ptr_array_add(order, end);
        /* insert() frees the new key, not the one in the table, if it is there already. */
        g_hash_table_insert(counts, end, GUINT_TO_POINTER(count + 1));
    }
    *out_ok = by_status[DUET_SAMPLE_OK];
    *out_failed = by_status[DUET_SAMPLE_FAILED];
    *out_timeouts = by_status[DUET_SAMPLE_TIMEOUT];
    GPtrArray *exits = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < order->len; i++) {
        const char *end = g_ptr_array_index(order, i);
        g_ptr_array_add(exits,
            g_strdup_printf("%s (%u)", end, GPOINTER_TO_UINT(g_hash_table_lookup(counts, end))));
    }
    return exits;
}

/* A time-out tells that the value is larger than all that were measured, and no more. */
static double censored_median(const Values *values, guint timeouts)
{
    gsize n = values->values->len, all = n + timeouts;

    if (n == 0 || all / 2 >= n)
        return NAN;
    g_autofree double *sorted = duet_stats_sorted((const double *)(void *)values->values->data, n);
    return (sorted[(all - 1) / 2] + sorted[all / 2]) / 2;
}

static void analyse_arm(const DuetRun *run, guint arm, DuetMark headline_to, DuetArmAnalysis *out)
{
    out->exits = duet_analysis_exits(run, arm, &out->ok, &out->failed, &out->timeouts);
    out->censored_median_ns = NAN;
    for (guint metric = 0; metric < DUET_METRIC_COUNT; metric++) {
        g_auto(Values) values = { 0 };
        guint64 seed = duet_random_derive(run->plan->seed, 1000 * (arm + 1) + metric);
        collect(run, arm, metric, headline_to, &values);
        if (values.values->len == 0 ||
            !duet_stats_summary((const double *)(void *)values.values->data, values.values->len,
                seed, &out->summary[metric], NULL))
            continue;
        if (metric == DUET_METRIC_HEADLINE)
            out->censored_median_ns = censored_median(&values, out->timeouts);
    }
}

/* Emulation slows the VM and nothing else: that a VM is slower then proves nothing. */
static gboolean tcg_favours(const DuetRun *run, const DuetComparison *comparison)
{
    const DuetRunArm *a = duet_run_arm(run, comparison->a), *b = duet_run_arm(run, comparison->b);
    gboolean tcg_a = g_strcmp0(duet_run_arm_accel(a), "tcg") == 0;
    gboolean tcg_b = g_strcmp0(duet_run_arm_accel(b), "tcg") == 0;

    if (tcg_a == tcg_b)
        return FALSE;
    return tcg_a ? comparison->contrast.difference > 0 : comparison->contrast.difference < 0;
}

static void contrast_arms(const DuetRun *run, const DuetAnalysis *analysis,
    gboolean ratio_with_failures, DuetComparison *comparison)
{
    const DuetArmAnalysis *a = &analysis->arms[comparison->a], *b = &analysis->arms[comparison->b];
    g_auto(Values) values_a = { 0 }, values_b = { 0 };

    comparison->contrast.p = NAN;
    collect(run, comparison->a, DUET_METRIC_HEADLINE, analysis->headline_to, &values_a);
    collect(run, comparison->b, DUET_METRIC_HEADLINE, analysis->headline_to, &values_b);
    if (!ratio_with_failures && a->failed + a->timeouts + b->failed + b->timeouts > 0) {
        comparison->verdict = DUET_VERDICT_FAILURES;
        return;
    }
    if (analysis->nested) {
        comparison->verdict = DUET_VERDICT_NESTED;
        return;
    }
    DuetSeries series_a = { (const double *)(void *)values_a.values->data,
        (const guint *)(void *)values_a.blocks->data, values_a.values->len };
    DuetSeries series_b = { (const double *)(void *)values_b.values->data,
        (const guint *)(void *)values_b.blocks->data, values_b.values->len };
    guint64 stream = 1000000 + 1000 * (comparison->a + 1) + comparison->b;
    if (!duet_contrast(&series_a, &series_b, duet_random_derive(run->plan->seed, stream),
            DUET_STATS_RESAMPLES, &comparison->contrast, NULL))
        comparison->verdict = DUET_VERDICT_NO_DATA;
    else if (MIN(series_a.n, series_b.n) < DUET_STATS_INTERVAL_MIN)
        comparison->verdict = DUET_VERDICT_TOO_FEW;
    else
        comparison->verdict = DUET_VERDICT_SAME;
}

static void judge(const DuetRun *run, DuetComparison *comparison, double p_holm)
{
    comparison->contrast.p_holm = p_holm;
    if (comparison->verdict != DUET_VERDICT_SAME)
        return;
    double ratio = comparison->contrast.ratio;
    double effect = fmax(ratio, 1 / ratio) - 1;
    if (!(p_holm < SIGNIFICANT) || !(effect > run->plan->floor))
        return;
    comparison->verdict = tcg_favours(run, comparison) ? DUET_VERDICT_NO_KVM : DUET_VERDICT_DIFFERS;
}

static void compare_arms(const DuetRun *run, gboolean ratio_with_failures, DuetAnalysis *analysis)
{
    for (guint a = 0; a < analysis->n_arms; a++) {
        for (guint b = a + 1; b < analysis->n_arms; b++) {
            DuetComparison comparison = { .a = a, .b = b };
            contrast_arms(run, analysis, ratio_with_failures, &comparison);
            g_array_append_val(analysis->comparisons, comparison);
        }
    }

    guint n = analysis->comparisons->len;
    g_autofree double *p = g_new(double, n + 1), *adjusted = g_new(double, n + 1);
    for (guint i = 0; i < n; i++)
        p[i] = g_array_index(analysis->comparisons, DuetComparison, i).contrast.p;
    duet_holm(p, n, adjusted);
    for (guint i = 0; i < n; i++)
        judge(run, &g_array_index(analysis->comparisons, DuetComparison, i), adjusted[i]);
}

DuetAnalysis *duet_analysis_new(const DuetRun *run, gboolean ratio_with_failures)
{
    DuetAnalysis *analysis = g_new0(DuetAnalysis, 1);

    analysis->n_arms = run->arms->len;
    analysis->nested = duet_environment_under_tcg(run->host);
    analysis->headline_to = duet_metric_headline(run);
    analysis->arms = g_new0(DuetArmAnalysis, analysis->n_arms + 1);
    analysis->comparisons = g_array_new(FALSE, FALSE, sizeof(DuetComparison));
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        analyse_arm(run, arm, analysis->headline_to, &analysis->arms[arm]);
        analysis->tcg |= g_strcmp0(duet_run_arm_accel(duet_run_arm(run, arm)), "tcg") == 0;
    }
    compare_arms(run, ratio_with_failures, analysis);
    analysis->notes = duet_notes_new(run, analysis);
    return analysis;
}

void duet_analysis_free(DuetAnalysis *analysis)
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

gboolean duet_analysis_bad_arm(const DuetAnalysis *analysis)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].ok == 0)
            return TRUE;
    }
    return FALSE;
}
