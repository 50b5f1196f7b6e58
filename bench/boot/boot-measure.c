/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/comparison.h"

#include <math.h>

#include "bench/text.h"

/* Blocks pair samples of one run only. */
static gboolean contrast(const DuetMatch *match, guint a, guint b, guint metric, guint64 seed,
    DuetContrast *out_contrast, gsize *out_n)
{
    g_auto(DuetColumn) of_a = { 0 }, of_b = { 0 };

    duet_run_values(match->a, a, metric, match->headline_to, &of_a);
    duet_run_values(match->b, b, metric, match->headline_to, &of_b);
    gboolean blocked = match->a == match->b && duet_plan_is_blocked(match->a->plan);
    return duet_column_contrast(&of_a, &of_b, blocked, seed, out_contrast, out_n);
}

static char *id(const DuetMatch *match, guint metric)
{
    return duet_metric_id(metric, match->headline_to);
}

static double median(const DuetMatch *match, const DuetRun *run, guint arm, guint metric)
{
    g_auto(DuetColumn) column = { 0 };

    duet_run_values(run, arm, metric, match->headline_to, &column);
    return duet_column_median(&column);
}

char *duet_measure_time_text(guint metric, double ns)
{
    (void)metric;
    return duet_text_time(ns);
}

char *duet_measure_time_difference(guint metric, const DuetContrast *c)
{
    (void)metric;
    /* Of the largest: a difference near 0 has an interval that is not. */
    DuetUnit unit = duet_unit_for(
        fmax(fabs(c->difference), fmax(fabs(c->difference_low), fabs(c->difference_high))));
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
    .headline = duet_metric_headline,
    .id = id,
    .value = median,
    .text = duet_measure_time_text,
    .difference = duet_measure_time_difference,
    .pair = pair,
    .contrast = contrast,
};
