/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "analysis.h"

#include <math.h>

#include "notes.h"
#include "random.h"

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
static double censored_median(const DuetSeries *series, guint timeouts)
{
    gsize n = series->n, all = n + timeouts;

    if (n == 0 || all / 2 >= n)
        return NAN;
    g_autofree double *sorted = duet_stats_sorted(series->values, n);
    return (sorted[(all - 1) / 2] + sorted[all / 2]) / 2;
}

/* What of the tail lies, or may lie, among the time-outs, is not known. */
static void censor_tail(const DuetSeries *series, guint timeouts, DuetSummary *summary)
{
    gsize n = series->n, all = n + timeouts;
    g_autofree double *padded = g_new(double, all);

    for (gsize i = 0; i < all; i++)
        padded[i] = i < n ? series->values[i] : INFINITY;
    g_autofree double *sorted = duet_stats_sorted(padded, all);
    struct {
        double *value, share;
        gsize least;
    } tail[] = {
        { &summary->p95, 0.95, DUET_STATS_P95_MIN },
        { &summary->p99, 0.99, DUET_STATS_P99_MIN },
        { &summary->max, 1, 1 },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(tail); i++) {
        gboolean known = all >= tail[i].least && ceil((all - 1) * tail[i].share) < n;
        *tail[i].value = known ? duet_stats_percentile(sorted, all, tail[i].share) : NAN;
    }
}

static void analyse_arm(const DuetRun *run, guint arm, DuetMark headline_to, DuetArmAnalysis *out)
{
    out->exits = duet_analysis_exits(run, arm, &out->ok, &out->failed, &out->timeouts);
    out->censored_median_ns = NAN;
    for (guint metric = 0; metric < DUET_METRIC_COUNT; metric++) {
        g_auto(DuetColumn) column = { 0 };
        guint64 seed = duet_random_derive(run->plan->seed, 1000 * (arm + 1) + metric);
        duet_run_values(run, arm, metric, headline_to, &column);
        DuetSeries series = duet_column_series(&column);
        if (series.n == 0 ||
            !duet_stats_summary(series.values, series.n, seed, &out->summary[metric], NULL))
            continue;
        if (out->timeouts > 0)
            censor_tail(&series, out->timeouts, &out->summary[metric]);
        if (metric == duet_metric_main(run, arm))
            out->censored_median_ns = censored_median(&series, out->timeouts);
    }
}

static void compare_arms(const DuetRun *run, gboolean ratio_with_failures, DuetAnalysis *analysis)
{
    analysis->match = (DuetMatch){
        .measure = &duet_measure_boot,
        .a = run,
        .b = run,
        .headline_to = analysis->headline_to,
        .ratio_with_failures = ratio_with_failures,
        .seed = run->plan->seed,
        .floor = run->plan->floor,
    };
    analysis->nested = duet_match_nested(&analysis->match);
    analysis->comparisons = duet_match_pairs(&analysis->match);
}

DuetAnalysis *duet_analysis_new(const DuetRun *run, gboolean ratio_with_failures)
{
    DuetAnalysis *analysis = g_new0(DuetAnalysis, 1);

    analysis->n_arms = run->arms->len;
    analysis->headline_to = duet_metric_headline(run);
    analysis->tcg = duet_run_tcg(run);
    analysis->arms = g_new0(DuetArmAnalysis, analysis->n_arms + 1);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        analyse_arm(run, arm, analysis->headline_to, &analysis->arms[arm]);
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

GArray *duet_analysis_comparisons(const DuetAnalysis *analysis, DuetMetric metric)
{
    GArray *found = g_array_new(FALSE, FALSE, sizeof(DuetComparison));

    for (guint i = 0; i < analysis->comparisons->len; i++) {
        DuetComparison *row = &g_array_index(analysis->comparisons, DuetComparison, i);
        if (row->metric == metric)
            g_array_append_val(found, *row);
    }
    return found;
}

gboolean duet_analysis_bad_arm(const DuetAnalysis *analysis)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (analysis->arms[arm].ok == 0)
            return TRUE;
    }
    return FALSE;
}
