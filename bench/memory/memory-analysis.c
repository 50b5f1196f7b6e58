/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-analysis.h"

#include <math.h>
#include <stdlib.h>

#include "bench/analysis.h"
#include "bench/host/environment.h"
#include "bench/random.h"

void duet_memory_points(const DuetRun *run, guint arm, DuetMemoryMetric metric, guint count,
    GArray **out_x, GArray **out_y)
{
    *out_x = g_array_new(FALSE, FALSE, sizeof(double));
    *out_y = g_array_new(FALSE, FALSE, sizeof(double));
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        double y;
        if (sample->arm != arm || sample->discarded || !sample->memory ||
            !duet_memory_metric_value(sample, metric, &y))
            continue;
        double x = sample->memory->count;
        if (count == G_MAXUINT ? x == 0 : x != count)
            continue;
        g_array_append_val(*out_x, x);
        g_array_append_val(*out_y, y);
    }
}

static DuetLine line_of(const DuetRun *run, guint arm, DuetMemoryMetric metric)
{
    g_autoptr(GArray) x = NULL, y = NULL;
    DuetLine line = { 0, NAN, NAN, NAN, NAN, NAN, NAN };
    guint64 seed = duet_random_derive(run->plan->seed, 1000 * (arm + 1) + metric);

    duet_memory_points(run, arm, metric, G_MAXUINT, &x, &y);
    line.n = x->len;
    duet_stats_line(duet_stats_doubles(x), duet_stats_doubles(y), x->len, seed,
        metric < DUET_MEMORY_ESTIMATORS ? DUET_STATS_RESAMPLES : 0, &line, NULL);
    return line;
}

static double median_at(const DuetRun *run, guint arm, DuetMemoryMetric metric, guint count)
{
    g_autoptr(GArray) x = NULL, y = NULL;

    duet_memory_points(run, arm, metric, count, &x, &y);
    return duet_stats_array_median(y);
}

static void describe_count(const DuetRun *run, guint arm, DuetMemoryRow *row)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm != arm || sample->discarded || !sample->memory ||
            sample->memory->count != row->count)
            continue;
        row->ok += sample->status == DUET_SAMPLE_OK;
        row->failed += sample->status != DUET_SAMPLE_OK;
    }
    for (guint metric = 0; metric <= DUET_MEMORY_FREE; metric++)
        row->median[metric] = median_at(run, arm, metric, row->count);
}

static int by_count(const void *a, const void *b)
{
    guint left = ((const DuetMemoryRow *)a)->count, right = ((const DuetMemoryRow *)b)->count;

    return (left > right) - (left < right);
}

double duet_memory_disagreement(const DuetMemoryArm *arm, DuetMemoryMetric a, DuetMemoryMetric b)
{
    double low = fmin(arm->lines[a].slope, arm->lines[b].slope);
    double high = fmax(arm->lines[a].slope, arm->lines[b].slope);

    if (isnan(arm->lines[a].slope) || isnan(arm->lines[b].slope))
        return NAN;
    return low > 0 ? high / low - 1 : INFINITY;
}

double duet_memory_noise(const DuetMemoryAnalysis *analysis)
{
    return fmax(analysis->noise_bytes, analysis->zero_noise_bytes);
}

double duet_memory_managing_share(const DuetMemoryArm *arm)
{
    double all = arm->lines[DUET_MEMORY_PSS].slope;

    return all > 0 ? arm->lines[DUET_MEMORY_MANAGING].slope / all : NAN;
}

static void find_extremes(DuetMemoryArm *arm)
{
    gboolean any = FALSE;

    for (guint metric = 0; metric < DUET_MEMORY_ESTIMATORS; metric++) {
        double slope = arm->lines[metric].slope;
        if (isnan(slope))
            continue;
        if (!any || slope > arm->lines[arm->most].slope)
            arm->most = metric;
        if (!any || slope < arm->lines[arm->least].slope)
            arm->least = metric;
        any = TRUE;
    }
}

static void analyse_arm(const DuetRun *run, guint index, DuetMemoryArm *arm)
{
    guint timeouts = 0;

    arm->exits = duet_analysis_exits(run, index, &arm->ok, &arm->failed, &timeouts);
    arm->failed += timeouts;
    arm->rows = g_new0(DuetMemoryRow, run->plan->n_variants + 1);
    for (guint i = 0; i < run->plan->n_variants; i++) {
        arm->rows[i].count = run->plan->counts[i];
        describe_count(run, index, &arm->rows[i]);
    }
    duet_memory_ksm_rows(run, index, arm->rows, run->plan->n_variants);
    duet_memory_balloon_rows(run, index, arm->rows, run->plan->n_variants);
    qsort(arm->rows, run->plan->n_variants, sizeof *arm->rows, by_count);
    for (guint metric = 0; metric < DUET_MEMORY_METRIC_COUNT; metric++)
        arm->lines[metric] = line_of(run, index, metric);
    find_extremes(arm);
}

static double noise_of(const DuetRun *run)
{
    guint64 low = G_MAXUINT64, high = 0;

    for (guint i = 0; run->idle_noise && i < run->idle_noise->len; i++) {
        guint64 available = g_array_index(run->idle_noise, DuetHostMemory, i).available_bytes;
        low = MIN(low, available);
        high = MAX(high, available);
    }
    return high >= low ? (double)(high - low) : NAN;
}

static double zero_noise_of(const DuetRun *run)
{
    double most = NAN;

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        double moved;
        if (!sample->discarded && sample->memory && sample->memory->count == 0 &&
            duet_memory_metric_value(sample, DUET_MEMORY_HOST, &moved))
            most = fmax(most, fabs(moved));
    }
    return most;
}

DuetMemoryAnalysis *duet_memory_analysis_new(const DuetRun *run, gboolean ratio_with_failures)
{
    DuetMemoryAnalysis *analysis = g_new0(DuetMemoryAnalysis, 1);

    analysis->n_arms = run->arms->len;
    analysis->n_rows = run->plan->n_variants;
    analysis->nested = duet_environment_under_tcg(run->host);
    analysis->noise_bytes = noise_of(run);
    analysis->zero_noise_bytes = zero_noise_of(run);
    analysis->arms = g_new0(DuetMemoryArm, analysis->n_arms + 1);
    analysis->tcg = duet_run_tcg(run);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        analyse_arm(run, arm, &analysis->arms[arm]);
    analysis->match = (DuetMatch){
        .measure = &duet_measure_memory,
        .a = run,
        .b = run,
        .ratio_with_failures = ratio_with_failures,
        .seed = run->plan->seed,
        .floor = run->plan->floor,
    };
    analysis->comparisons = duet_match_pairs(&analysis->match);
    analysis->notes = duet_memory_notes_new(run, analysis);
    return analysis;
}

void duet_memory_analysis_free(DuetMemoryAnalysis *analysis)
{
    if (!analysis)
        return;
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        g_ptr_array_unref(analysis->arms[arm].exits);
        g_free(analysis->arms[arm].rows);
    }
    g_free(analysis->arms);
    g_array_unref(analysis->comparisons);
    g_ptr_array_unref(analysis->notes);
    g_free(analysis);
}

/* Of no instance at all a sample is always good. */
static gboolean is_bad(const DuetMemoryArm *arm, guint n_rows)
{
    guint ok = 0;

    for (guint i = 0; i < n_rows; i++)
        ok += arm->rows[i].count > 0 || arm->failed == 0 ? arm->rows[i].ok : 0;
    return ok == 0;
}

gboolean duet_memory_analysis_bad_arm(const DuetMemoryAnalysis *analysis)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (is_bad(&analysis->arms[arm], analysis->n_rows))
            return TRUE;
    }
    return FALSE;
}
