/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "comparison.h"

#include <math.h>

#include "environment.h"
#include "random.h"
#include "stats.h"

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

void duet_run_values(const DuetRun *run, guint arm, DuetMetric metric, DuetMark headline_to,
    GArray *out_values, GArray *out_blocks)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        double value;
        if (sample->arm != arm || sample->discarded || sample->status != DUET_SAMPLE_OK ||
            !duet_metric_value(sample, metric, headline_to, &value))
            continue;
        g_array_append_val(out_values, value);
        if (out_blocks)
            g_array_append_val(out_blocks, sample->block);
    }
}

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
    Side *side, const DuetMatch *match, const DuetRun *run, guint arm, DuetMetric metric)
{
    side->run = run;
    side->arm = arm;
    side->values = g_array_new(FALSE, FALSE, sizeof(double));
    side->blocks = g_array_new(FALSE, FALSE, sizeof(guint));
    duet_run_values(run, arm, metric, match->headline_to, side->values, side->blocks);
}

static DuetSeries series_of(const Side *side, gboolean blocked)
{
    return (DuetSeries){ (const double *)(void *)side->values->data,
        blocked ? (const guint *)(void *)side->blocks->data : NULL, side->values->len };
}

static gboolean any_failed(const Side *side)
{
    for (guint i = 0; i < side->run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(side->run, i);
        if (sample->arm == side->arm && !sample->discarded && sample->status != DUET_SAMPLE_OK)
            return TRUE;
    }
    return FALSE;
}

gboolean duet_match_nested(const DuetMatch *match)
{
    return duet_environment_under_tcg(match->a->host) || duet_environment_under_tcg(match->b->host);
}

static DuetVerdict contrast_sides(
    const DuetMatch *match, const Side *a, const Side *b, guint64 seed, DuetContrast *contrast)
{
    gboolean blocked = a->run == b->run;
    DuetSeries series_a = series_of(a, blocked), series_b = series_of(b, blocked);

    if (!match->ratio_with_failures && (any_failed(a) || any_failed(b)))
        return DUET_VERDICT_FAILURES;
    if (duet_match_nested(match))
        return DUET_VERDICT_NESTED;
    if (!duet_contrast(&series_a, &series_b, seed, DUET_STATS_RESAMPLES, contrast, NULL))
        return DUET_VERDICT_NO_DATA;
    return MIN(series_a.n, series_b.n) < DUET_STATS_INTERVAL_MIN ? DUET_VERDICT_TOO_FEW
                                                                 : DUET_VERDICT_SAME;
}

void duet_match_add(
    const DuetMatch *match, guint a, guint b, DuetMetric metric, GArray *comparisons)
{
    DuetComparison comparison = { .a = a, .b = b, .metric = metric, .contrast.p = NAN };
    guint64 stream = 1000000 * (metric + 1) + 1000 * (a + 1) + b;
    g_auto(Side) side_a = { 0 }, side_b = { 0 };

    side_init(&side_a, match, match->a, a, metric);
    side_init(&side_b, match, match->b, b, metric);
    comparison.verdict = contrast_sides(
        match, &side_a, &side_b, duet_random_derive(match->seed, stream), &comparison.contrast);
    g_array_append_val(comparisons, comparison);
}

/* Emulation slows the VM and nothing else: that a VM is slower then proves nothing. */
static gboolean tcg_favours(const DuetMatch *match, const DuetComparison *comparison)
{
    const DuetRunArm *a = duet_run_arm(match->a, comparison->a);
    const DuetRunArm *b = duet_run_arm(match->b, comparison->b);
    gboolean tcg_a = g_strcmp0(duet_run_arm_accel(a), "tcg") == 0;
    gboolean tcg_b = g_strcmp0(duet_run_arm_accel(b), "tcg") == 0;

    if (tcg_a == tcg_b)
        return FALSE;
    return tcg_a ? comparison->contrast.difference > 0 : comparison->contrast.difference < 0;
}

static void judge(const DuetMatch *match, DuetComparison *comparison, double p_holm)
{
    comparison->contrast.p_holm = p_holm;
    if (comparison->verdict != DUET_VERDICT_SAME)
        return;
    double ratio = comparison->contrast.ratio;
    double effect = fmax(ratio, 1 / ratio) - 1;
    if (!(p_holm < SIGNIFICANT) || !(effect > match->floor))
        return;
    comparison->verdict =
        tcg_favours(match, comparison) ? DUET_VERDICT_NO_KVM : DUET_VERDICT_DIFFERS;
}

void duet_match_judge(const DuetMatch *match, GArray *comparisons)
{
    guint n = comparisons->len;
    g_autofree double *p = g_new(double, n + 1), *adjusted = g_new(double, n + 1);

    for (guint i = 0; i < n; i++)
        p[i] = g_array_index(comparisons, DuetComparison, i).contrast.p;
    duet_holm(p, n, adjusted);
    for (guint i = 0; i < n; i++)
        judge(match, &g_array_index(comparisons, DuetComparison, i), adjusted[i]);
}
