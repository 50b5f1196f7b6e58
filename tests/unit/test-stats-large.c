/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is computed in another way for more than DUET_STATS_LARGE samples must say the same. */
#include <glib.h>
#include <math.h>

#include "bench/inference.h"
#include "bench/random.h"
#include "bench/stats.h"

#define LARGE (DUET_STATS_LARGE + 1)
#define SMALL DUET_STATS_LARGE
#define MANY 20000

/* The bounds of the bootstrap's percentile interval of a median are, for many samples, the order
 * statistics n / 2 -+ 0.98 sqrt(n): quantiles of the binomial distribution. */
static void test_interval(void)
{
    g_autofree double *ranks = g_new(double, MANY);
    DuetSummary s;

    for (guint i = 0; i < MANY; i++)
        ranks[i] = i;
    g_assert_true(duet_stats_summary(ranks, MANY, 5, &s, NULL));
    double half = 0.98 * sqrt(MANY);
    g_assert_cmpfloat_with_epsilon(s.low, MANY / 2 - half, 0.05 * half);
    g_assert_cmpfloat_with_epsilon(s.high, MANY / 2 + half, 0.05 * half);
}

/* Two arms whose blocks have something in common, b @ratio times as slow. */
static void fill(double *a, double *b, guint *blocks, guint n, double common, double ratio)
{
    DuetRandom random;
    double z[4];

    duet_random_init(&random, 7);
    for (guint i = 0; i < n; i++) {
        duet_random_normal(&random, z);
        duet_random_normal(&random, z + 2);
        a[i] = exp(0.05 * (common * z[0] + (1 - common) * z[1]));
        b[i] = ratio * exp(0.05 * (common * z[0] + (1 - common) * z[2]));
        blocks[i] = i;
    }
}

static DuetContrast contrast_of(guint n, double common, double ratio, gboolean blocked)
{
    g_autofree double *a = g_new(double, n), *b = g_new(double, n);
    g_autofree guint *blocks = g_new(guint, n);
    DuetContrast contrast;

    fill(a, b, blocks, n, common, ratio);
    DuetSeries series_a = { a, blocked ? blocks : NULL, n };
    DuetSeries series_b = { b, blocked ? blocks : NULL, n };
    g_assert_true(duet_contrast(&series_a, &series_b, 11, DUET_STATS_RESAMPLES, &contrast, NULL));
    return contrast;
}

/* With one sample more than the limit, so that both ways meet nearly the same data. */
static void assert_same(double common, double ratio, gboolean blocked)
{
    DuetContrast counted = contrast_of(SMALL, common, ratio, blocked);
    DuetContrast drawn = contrast_of(LARGE, common, ratio, blocked);
    double width = counted.ratio_high - counted.ratio_low;

    g_test_message("common %g ratio %g blocked %d: [%g, %g] p %g, [%g, %g] p %g", common, ratio,
        blocked, counted.ratio_low, counted.ratio_high, counted.p, drawn.ratio_low,
        drawn.ratio_high, drawn.p);
    g_assert_cmpfloat_with_epsilon(drawn.ratio_low, counted.ratio_low, 0.12 * width);
    g_assert_cmpfloat_with_epsilon(drawn.ratio_high, counted.ratio_high, 0.12 * width);
    g_assert_cmpfloat_with_epsilon(drawn.log_sd / counted.log_sd, 1, 0.08);
    /* Where the medians are alike, one sample more moves them by as much as they differ. */
    g_assert_cmpfloat_with_epsilon(drawn.p, counted.p, counted.p > 0.5 ? 0.2 : 0.04);
}

static void test_contrast(void)
{
    static const double commons[] = { 0, 0.5, 0.9 };
    static const double ratios[] = { 1, 1.001, 1.5 };

    for (gsize i = 0; i < G_N_ELEMENTS(commons); i++) {
        for (gsize k = 0; k < G_N_ELEMENTS(ratios); k++) {
            assert_same(commons[i], ratios[k], TRUE);
            assert_same(commons[i], ratios[k], FALSE);
        }
    }
}

/* What the arms of a block have in common cancels here, too. */
static void test_blocks(void)
{
    DuetContrast apart = contrast_of(LARGE, 0, 1.2, TRUE);
    DuetContrast joined = contrast_of(LARGE, 1, 1.2, TRUE);

    g_assert_cmpfloat(apart.ratio_high - apart.ratio_low, >, 0.001);
    g_assert_cmpfloat(joined.ratio_high - joined.ratio_low, <, 1e-9);
    g_assert_cmpfloat(joined.p, <, 0.002);
}

/* Of two series from one distribution p is below 0.05 in one run of twenty. */
static void test_same(void)
{
    guint below = 0;
    DuetRandom random;
    double z[2];

    duet_random_init(&random, 3);
    g_autofree double *a = g_new(double, LARGE), *b = g_new(double, LARGE);
    for (guint run = 0; run < 100; run++) {
        for (guint i = 0; i < LARGE; i++) {
            duet_random_normal(&random, z);
            a[i] = 10 + z[0];
            b[i] = 10 + z[1];
        }
        DuetSeries series_a = { a, NULL, LARGE }, series_b = { b, NULL, LARGE };
        DuetContrast contrast;
        g_assert_true(duet_contrast(&series_a, &series_b, run, 399, &contrast, NULL));
        below += contrast.p < 0.05;
    }
    g_test_message("%u of 100 below 0.05", below);
    g_assert_cmpuint(below, <=, 12);
    g_assert_cmpuint(below, >=, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stats-large/interval", test_interval);
    g_test_add_func("/stats-large/contrast", test_contrast);
    g_test_add_func("/stats-large/blocks", test_blocks);
    g_test_add_func("/stats-large/same-distribution", test_same);
    return g_test_run();
}
