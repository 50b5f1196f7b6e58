/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/bench.h>

#include "bench/text.h"
#include "load-analysis.h"

/* The median latency of each batch of an arm at a level: what starts of one batch did to each other
 * is in one value then, not in many that look independent. */
static void batch_medians(const DuetMatch *match, const DuetRun *run, guint arm, guint variant,
    GArray *out_values, GArray *out_blocks)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (!duet_load_is_of(run, sample, arm, variant))
            continue;
        g_autoptr(GArray) latencies = g_array_new(FALSE, FALSE, sizeof(double));
        for (guint k = 0; k < sample->load->starts->len; k++) {
            const DuetLoadStart *start = duet_load_point_start(sample->load, k);
            double latency = duet_load_latency(start, sample->load->rate, match->headline_to);
            if (start->status == DUET_SAMPLE_OK)
                g_array_append_val(latencies, latency);
        }
        if (latencies->len == 0)
            continue;
        double median = duet_stats_median(duet_stats_doubles(latencies), latencies->len);
        g_array_append_val(out_values, median);
        g_array_append_val(out_blocks, sample->block);
    }
}

static gboolean contrast(const DuetMatch *match, guint a, guint b, guint variant, guint64 seed,
    DuetContrast *out_contrast, gsize *out_n)
{
    g_autoptr(GArray) values_a = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) values_b = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) blocks_a = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(GArray) blocks_b = g_array_new(FALSE, FALSE, sizeof(guint));

    batch_medians(match, match->a, a, variant, values_a, blocks_a);
    batch_medians(match, match->b, b, variant, values_b, blocks_b);
    DuetSeries series_a = { duet_stats_doubles(values_a), (const guint *)(void *)blocks_a->data,
        values_a->len };
    DuetSeries series_b = { duet_stats_doubles(values_b), (const guint *)(void *)blocks_b->data,
        values_b->len };
    *out_n = MIN(series_a.n, series_b.n);
    return duet_contrast(&series_a, &series_b, seed, DUET_STATS_RESAMPLES, out_contrast, NULL);
}

static char *id(const DuetMatch *match, guint variant)
{
    const DuetPlan *plan = match->a->plan;

    return duet_load_level_text(plan->counts[variant], plan->load_starts > 0);
}

/* Between arms of one run only: which level a number means depends on the plan. */
const DuetMeasure duet_measure_load = {
    .n_metrics = DUET_BENCH_COUNTS_MAX,
    .n_default = DUET_BENCH_COUNTS_MAX,
    .unit = "ns",
    .estimate = "median",
    .id = id,
    .text = duet_measure_time_text,
    .difference = duet_measure_time_difference,
    .contrast = contrast,
};
