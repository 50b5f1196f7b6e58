/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/bench.h>

#include <math.h>

#include "bench/text.h"
#include "load-analysis.h"

/* The median latency of each batch of an arm at a level: what starts of one batch did to each other
 * is in one value then, not in many that look independent. */
static void batch_medians(
    const DuetMatch *match, const DuetRun *run, guint arm, guint variant, DuetColumn *out_column)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (!duet_load_is_of(run, sample, arm, variant))
            continue;
        g_auto(DuetColumn) latencies = { 0 };
        for (guint k = 0; k < sample->load->starts->len; k++) {
            const DuetLoadStart *start = duet_load_point_start(sample->load, k);
            double latency = duet_load_latency(start, sample->load->rate, match->headline_to);
            if (start->status == DUET_SAMPLE_OK)
                duet_column_add(&latencies, latency, sample->block);
        }
        double median = duet_column_median(&latencies);
        if (!isnan(median))
            duet_column_add(out_column, median, sample->block);
    }
}

static gboolean contrast(const DuetMatch *match, guint a, guint b, guint variant, guint64 seed,
    DuetContrast *out_contrast, gsize *out_n)
{
    g_auto(DuetColumn) of_a = { 0 }, of_b = { 0 };

    batch_medians(match, match->a, a, variant, &of_a);
    batch_medians(match, match->b, b, variant, &of_b);
    return duet_column_contrast(&of_a, &of_b, match->a == match->b, seed, out_contrast, out_n);
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
