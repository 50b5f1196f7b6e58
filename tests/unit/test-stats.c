/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/stats.h"

#include <glib.h>
#include <string.h>
#include <time.h>

#include <duet/error.h>

#include "stats-fixture.h"

/*
 * Reference values are Python's (statistics module of 3.11), with x a list:
 *   mean(x) median(x) stdev(x) stdev(x) / len(x) ** 0.5 median([abs(v - median(x)) for v in x])
 *   quantiles(x, n=4, method='inclusive')  quantiles(x, n=20, method='inclusive')[-1]
 */

static DuetSummary summarise(const double *values, gsize n)
{
    DuetSummary summary;
    GError *error = NULL;

    g_assert_true(duet_stats_summary(values, n, 42, &summary, &error));
    g_assert_no_error(error);
    return summary;
}

static void test_outlier(void)
{
    static const double values[] = { 10, 10, 10, 10, 10, 10, 10, 10, 10, 1000 };
    DuetSummary s = summarise(values, G_N_ELEMENTS(values));

    assert_near(s.mean, 109);
    assert_near(s.median, 10);
    assert_near(s.sd, 313.06548835666956);
    assert_near(s.standard_error, 99.0);
    assert_near(s.mad, 0);
    assert_near(s.q1, 10);
    assert_near(s.q3, 10);
    g_assert_cmpuint(s.outliers, ==, 1);
    g_assert_false(s.slow_first);
    assert_near(s.low, 10);
    assert_near(s.max, 1000);
    g_assert_true(isfinite(s.high));
    g_assert_true(isnan(s.p95));
}

static void test_small(void)
{
    static const double values[] = { 12, 15, 11, 14, 13, 90 };
    DuetSummary s = summarise(values, G_N_ELEMENTS(values));

    assert_near(s.mean, 25.833333333333332);
    assert_near(s.median, 13.5);
    assert_near(s.sd, 31.46691384083712);
    assert_near(s.standard_error, 12.846313781695425);
    assert_near(s.mad, 1.5);
    assert_near(s.q1, 12.25);
    assert_near(s.q3, 14.75);
    g_assert_cmpuint(s.outliers, ==, 1);
    g_assert_cmpfloat(s.low, >=, 11);
    g_assert_cmpfloat(s.low, <, 13.5);
    g_assert_cmpfloat(s.high, >, 13.5);
    g_assert_cmpfloat(s.high, <=, 90);
}

static void test_single(void)
{
    static const double value = 7;
    DuetSummary s = summarise(&value, 1);

    assert_near(s.mean, 7);
    assert_near(s.median, 7);
    assert_near(s.mad, 0);
    g_assert_true(isnan(s.sd));
    g_assert_true(isnan(s.standard_error));
    g_assert_true(isnan(s.low) && isnan(s.high));
    g_assert_true(isnan(s.autocorrelation) && isnan(s.drift));
}

static void test_refused(void)
{
    static const double bad[] = { 1, NAN }, infinite[] = { INFINITY };
    DuetSummary s = { .n = 77 };
    g_autoptr(GError) none = NULL, nan = NULL, inf = NULL;

    g_assert_false(duet_stats_summary(NULL, 0, 1, &s, &none));
    g_assert_error(none, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_false(duet_stats_summary(bad, 2, 1, &s, &nan));
    g_assert_error(nan, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_false(duet_stats_summary(infinite, 1, 1, &s, &inf));
    g_assert_error(inf, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_cmpuint(s.n, ==, 77);
}

static void test_one_to_ten(void)
{
    static const double values[] = { 3, 1, 2, 10, 5, 4, 7, 6, 9, 8 };
    DuetSummary s = summarise(values, G_N_ELEMENTS(values));
    g_autofree double *sorted = duet_stats_sorted(values, G_N_ELEMENTS(values));

    assert_near(s.sd, 3.0276503540974917);
    assert_near(s.median, 5.5);
    assert_near(s.mad, 2.5);
    assert_near(s.q1, 3.25);
    assert_near(s.q3, 7.75);
    g_assert_cmpuint(s.outliers, ==, 0);
    assert_near(duet_stats_percentile(sorted, 10, 0.95), 9.55);
    assert_near(duet_stats_percentile(sorted, 10, 0), 1);
    assert_near(duet_stats_percentile(sorted, 10, 1), 10);
}

static void test_tails_need_samples(void)
{
    double values[200];

    for (guint i = 0; i < G_N_ELEMENTS(values); i++)
        values[i] = i + 1;
    g_assert_true(isnan(summarise(values, 19).p95));
    /* quantiles(range(1, 21), n=20, method='inclusive')[-1] */
    assert_near(summarise(values, 20).p95, 19.05);
    g_assert_true(isnan(summarise(values, 199).p99));
    /* quantiles(range(1, 201), n=100, method='inclusive')[98] */
    assert_near(summarise(values, 200).p99, 198.01);
    g_assert_true(isnan(summarise(values, DUET_STATS_INTERVAL_MIN - 1).low));
    g_assert_true(isfinite(summarise(values, DUET_STATS_INTERVAL_MIN).low));
}

static void test_order(void)
{
    /* By hand: mean 3, deviations -2 -1 0 1 2; (2 + 0 + 0 + 2) / 10. */
    static const double rising[] = { 1, 2, 3, 4, 5 };
    double drifting[20];

    assert_near(summarise(rising, 5).autocorrelation, 0.4);
    g_assert_true(isnan(summarise(rising, 5).drift));
    for (guint i = 0; i < G_N_ELEMENTS(drifting); i++)
        drifting[i] = 100 + i;
    /* Fifths of four: medians 101.5 and 117.5. */
    assert_near(summarise(drifting, 20).drift, 117.5 / 101.5 - 1);
    g_assert_false(summarise(drifting, 20).slow_first);
    drifting[0] = 1000;
    g_assert_true(summarise(drifting, 20).slow_first);
    g_assert_false(summarise(drifting, 20).low_first);
    drifting[0] = 1;
    g_assert_true(summarise(drifting, 20).low_first);
    g_assert_false(summarise(drifting, 20).slow_first);
}

/* By hand: of 10 rising values all 45 pairs rise, the variance is 10 * 9 * 25 / 18 = 125; where
 * five and five are equal 25 rise, and 2 * 5 * 4 * 15 / 18 of the variance are lost. */
static void test_trend(void)
{
    static const double rising[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    static const double steps[] = { 1, 1, 1, 1, 1, 2, 2, 2, 2, 2 };
    static const double flat[10] = { 0 };

    assert_near(summarise(rising, 10).trend, 45 / sqrt(125));
    assert_near(summarise(steps, 10).trend, 25 / sqrt(125 - 600.0 / 18));
    assert_near(summarise(flat, 10).trend, 0);
    g_assert_true(isnan(summarise(rising, 9).trend));
}

static void test_counted_median(void)
{
    static const double sorted[] = { 1, 2, 4, 8 };
    static const guint odd[] = { 0, 3, 1, 1 }, even[] = { 2, 0, 1, 1 }, last[] = { 0, 0, 0, 4 };

    assert_near(duet_stats_counted_median(sorted, odd, 5), 2);
    assert_near(duet_stats_counted_median(sorted, even, 4), 2.5);
    assert_near(duet_stats_counted_median(sorted, last, 4), 8);
}

/* Orders and ties that a selection may stumble over. */
static double awkward(guint kind, DuetRandom *random, gsize i, gsize n)
{
    switch (kind) {
    case 0:
        return duet_random_below(random, 1u << 30) / 7.0 - 1e7;
    case 1:
        return duet_random_below(random, 4);
    case 2:
        return i;
    case 3:
        return n - i;
    case 4:
        return MIN(i, n - i);
    case 5:
        return duet_random_below(random, 2) == 0 ? -0.0 : 0.0;
    case 6:
        return duet_random_below(random, 3) * -1e-320;
    default:
        return i == n / 2 ? INFINITY : 7;
    }
}

/* Selected, the median is to the bit what it is sorted, and no value is lost on the way. */
static void test_take_median(void)
{
    DuetRandom random;

    duet_random_init(&random, 23);
    g_assert_true(isnan(duet_stats_take_median(NULL, 0)));
    for (guint round = 0; round < 4000; round++) {
        gsize n = 1 + duet_random_below(&random, round < 3000 ? 40 : 2000);
        g_autofree double *values = g_new(double, n);
        for (gsize i = 0; i < n; i++)
            values[i] = awkward(round % 8, &random, i, n);
        g_autofree double *sorted = duet_stats_sorted(values, n);
        double expected = duet_stats_percentile(sorted, n, 0.5);
        double median = duet_stats_median(values, n);
        g_assert_cmpmem(&median, sizeof median, &expected, sizeof expected);
        median = duet_stats_take_median(values, n);
        g_assert_cmpmem(&median, sizeof median, &expected, sizeof expected);
        g_autofree double *again = duet_stats_sorted(values, n);
        for (gsize i = 0; i < n; i++)
            g_assert_cmpfloat(again[i], ==, sorted[i]);
    }
}

/* Slopes of all pairs of 400 points, as each of 9,999 permutations needs their median. */
static void test_median_is_quick(void)
{
    const gsize n = 400 * 399 / 2;
    g_autofree double *values = g_new(double, n);
    DuetRandom random;

    duet_random_init(&random, 29);
    for (gsize i = 0; i < n; i++)
        values[i] = duet_random_below(&random, 1u << 30);
    clock_t start = clock();
    for (guint i = 0; i < 10; i++)
        g_free(duet_stats_sorted(values, n));
    clock_t sorting = clock() - start;
    start += sorting;
    for (guint i = 0; i < 10; i++)
        duet_stats_median(values, n);
    clock_t selecting = clock() - start;
    g_test_message("10 medians of %" G_GSIZE_FORMAT ": %.1f ms of CPU time, sorted %.1f ms", n,
        1e3 * selecting / CLOCKS_PER_SEC, 1e3 * sorting / CLOCKS_PER_SEC);
    g_assert_cmpint(selecting, <, sorting / 2);
}

static void test_interval_covers(void)
{
    guint covered = 0;
    const guint trials = 200;
    DuetRandom random;

    duet_random_init(&random, 7);
    for (guint trial = 0; trial < trials; trial++) {
        double values[30];
        DuetSummary s;
        for (guint i = 0; i < 30; i++)
            values[i] = 100 + stats_noise(&random);
        g_assert_true(duet_stats_summary(values, 30, trial, &s, NULL));
        covered += s.low <= 100 && 100 <= s.high;
    }
    /* 95 % of 200 is 190, with a standard error of 3. */
    g_assert_cmpuint(covered, >=, 180);
    g_assert_cmpuint(covered, <=, 199);
}

static void test_random(void)
{
    guint counts[3] = { 0 }, items[] = { 0, 1, 2, 3, 4 };
    DuetRandom random, same;

    /* splitmix64's published test vector for seed 1234567 begins with 6457827717110365317. */
    duet_random_init(&random, 1234567);
    g_assert_cmpuint(random.state[0], ==, G_GUINT64_CONSTANT(6457827717110365317));
    g_assert_cmpuint(random.state[1], ==, G_GUINT64_CONSTANT(3203168211198807973));
    duet_random_init(&same, 1234567);
    for (guint i = 0; i < 3000; i++)
        counts[duet_random_below(&random, 3)]++;
    for (guint i = 0; i < 3; i++) {
        g_assert_cmpuint(counts[i], >, 880);
        g_assert_cmpuint(counts[i], <, 1120);
    }
    g_assert_cmpuint(duet_random_below(&same, 1), ==, 0);
    duet_random_shuffle(&same, items, 5);
    g_assert_cmpuint(items[0] + items[1] + items[2] + items[3] + items[4], ==, 10);
    g_assert_cmpuint(duet_random_derive(1, 1), !=, duet_random_derive(1, 2));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stats/outlier", test_outlier);
    g_test_add_func("/stats/small", test_small);
    g_test_add_func("/stats/single", test_single);
    g_test_add_func("/stats/refused", test_refused);
    g_test_add_func("/stats/one-to-ten", test_one_to_ten);
    g_test_add_func("/stats/tails-need-samples", test_tails_need_samples);
    g_test_add_func("/stats/order", test_order);
    g_test_add_func("/stats/trend", test_trend);
    g_test_add_func("/stats/counted-median", test_counted_median);
    g_test_add_func("/stats/take-median", test_take_median);
    g_test_add_func("/stats/median-is-quick", test_median_is_quick);
    g_test_add_func("/stats/interval-covers", test_interval_covers);
    g_test_add_func("/stats/random", test_random);
    return g_test_run();
}
