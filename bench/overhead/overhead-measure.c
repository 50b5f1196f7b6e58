/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-analysis.h"

#include <math.h>

void duet_overhead_values(
    const DuetRun *run, guint arm, guint value, GArray *out_values, GArray *out_blocks)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm != arm || sample->discarded || sample->status != DUET_SAMPLE_OK ||
            !sample->overhead || isnan(sample->overhead->values[value]))
            continue;
        g_array_append_val(out_values, sample->overhead->values[value]);
        if (out_blocks)
            g_array_append_val(out_blocks, sample->block);
    }
}

static gboolean contrast(const DuetMatch *match, guint a, guint b, guint metric, guint64 seed,
    DuetContrast *out_contrast, gsize *out_n)
{
    g_autoptr(GArray) values_a = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) values_b = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) blocks_a = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GArray) blocks_b = g_array_new(FALSE, FALSE, sizeof(guint));

    duet_overhead_values(match->a, a, metric, values_a, blocks_a);
    duet_overhead_values(match->b, b, metric, values_b, blocks_b);
    DuetSeries series_a = { (const double *)(void *)values_a->data,
        (const guint *)(void *)blocks_a->data, values_a->len };
    DuetSeries series_b = { (const double *)(void *)values_b->data,
        (const guint *)(void *)blocks_b->data, values_b->len };
    *out_n = MIN(series_a.n, series_b.n);
    return duet_contrast(&series_a, &series_b, seed, DUET_STATS_RESAMPLES, out_contrast, NULL);
}

static gboolean higher_is_better(const DuetRunArm *arm, guint metric)
{
    return duet_overhead_arm_test(arm)->values[metric].higher_is_better;
}

/* Between arms of one run only: which metric a number means depends on the arm. */
const DuetMeasure duet_measure_overhead = {
    .unit = "value",
    .estimate = "median",
    .contrast = contrast,
    .higher_is_better = higher_is_better,
};
