/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "comparison.h"
#include "stats.h"
#include "text.h"

/* One side of a comparison. Blocks pair samples of one run only. */
typedef struct {
    const DuetRun *run;
    guint arm;
    GArray *values, *blocks;
} Side;

static void side_clear(Side *side)
{
    g_array_unref(side->values);
    g_array_unref(side->blocks);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Side, side_clear)

static void side_init(
    Side *side, const DuetMatch *match, const DuetRun *run, guint arm, guint metric)
{
    side->run = run;
    side->arm = arm;
    side->values = g_array_new(FALSE, FALSE, sizeof(double));
    side->blocks = g_array_new(FALSE, FALSE, sizeof(guint));
    duet_run_values(run, arm, metric, match->headline_to, side->values, side->blocks);
}

static DuetSeries series_of(const Side *side, gboolean blocked)
{
    return (DuetSeries){ duet_stats_doubles(side->values),
        blocked ? (const guint *)(void *)side->blocks->data : NULL, side->values->len };
}

static gboolean contrast(const DuetMatch *match, guint a, guint b, guint metric, guint64 seed,
    DuetContrast *out_contrast, gsize *out_n)
{
    gboolean blocked = match->a == match->b;
    g_auto(Side) side_a = { 0 }, side_b = { 0 };

    side_init(&side_a, match, match->a, a, metric);
    side_init(&side_b, match, match->b, b, metric);
    DuetSeries series_a = series_of(&side_a, blocked), series_b = series_of(&side_b, blocked);
    *out_n = MIN(series_a.n, series_b.n);
    return duet_contrast(&series_a, &series_b, seed, DUET_STATS_RESAMPLES, out_contrast, NULL);
}

static char *id(const DuetMatch *match, guint metric)
{
    return duet_metric_id(metric, match->headline_to);
}

static double median(const DuetMatch *match, const DuetRun *run, guint arm, guint metric)
{
    g_auto(Side) side = { 0 };

    side_init(&side, match, run, arm, metric);
    return duet_stats_median(duet_stats_doubles(side.values), side.values->len);
}

char *duet_measure_time_text(guint metric, double ns)
{
    (void)metric;
    return duet_text_time(ns);
}

char *duet_measure_time_difference(guint metric, const DuetContrast *c)
{
    (void)metric;
    DuetUnit unit = duet_unit_for(c->difference);
    g_autofree char *number = duet_unit_format(unit, c->difference);
    g_autofree char *interval = duet_text_interval(unit, c->difference_low, c->difference_high);

    return g_strdup_printf("%s %s (%s)", number, unit.name, interval);
}

/* A peer is known by the times of whole commands alone, and is compared with ours that have such,
 * not with other peers; with itself in another run. */
static gboolean pair(const DuetMatch *match, guint a, guint b, guint *inout_metric)
{
    const DuetRunArm *arm_a = duet_run_arm(match->a, a), *arm_b = duet_run_arm(match->b, b);
    gboolean peer_a = duet_run_arm_is_peer(arm_a), peer_b = duet_run_arm_is_peer(arm_b);
    gboolean native = g_str_equal(arm_a->kind, "native") || g_str_equal(arm_b->kind, "native");

    if (*inout_metric != DUET_METRIC_HEADLINE || (!peer_a && !peer_b))
        return TRUE;
    if (native || (peer_a && peer_b && match->a == match->b))
        return FALSE;
    *inout_metric = MAX(duet_metric_command(match->a, a), duet_metric_command(match->b, b));
    return TRUE;
}

const DuetMeasure duet_measure_boot = {
    .n_metrics = DUET_METRIC_COUNT,
    .n_default = 1,
    .beside = DUET_METRIC_MANAGING_CPU,
    .unit = "ns",
    .estimate = "median",
    .id = id,
    .value = median,
    .text = duet_measure_time_text,
    .difference = duet_measure_time_difference,
    .pair = pair,
    .contrast = contrast,
};
