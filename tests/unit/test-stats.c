/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include <duet/error.h>

#include "bench/inference.h"
#include "bench/random.h"
#include "bench/stats.h"

/*
 * Reference values are Python's (statistics module of 3.11), with x a list:
 *   mean(x) median(x) stdev(x) stdev(x) / len(x) ** 0.5 median([abs(v - median(x)) for v in x])
 *   quantiles(x, n=4, method='inclusive')  quantiles(x, n=20, method='inclusive')[-1]
 */

#define assert_near(a, b) g_assert_cmpfloat_with_epsilon((a), (b), 1e-9 * (1 + fabs((double)(b))))

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

/* A value near normal: twelve uniform ones. */
static double noise(DuetRandom *random)
{
    double sum = 0;

    for (guint i = 0; i < 12; i++)
        sum += duet_random_below(random, 1u << 30) / (double)(1u << 30);
    return sum - 6;
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
            values[i] = 100 + noise(&random);
        g_assert_true(duet_stats_summary(values, 30, trial, &s, NULL));
        covered += s.low <= 100 && 100 <= s.high;
    }
    /* 95 % of 200 is 190, with a standard error of 3. */
    g_assert_cmpuint(covered, >=, 180);
    g_assert_cmpuint(covered, <=, 199);
}

static void test_cliffs_delta(void)
{
    static const double low[] = { 1, 2, 3 }, high[] = { 4, 5, 6 }, mixed[] = { 2, 3, 4 };
    DuetSeries a = { low, NULL, 3 }, b = { high, NULL, 3 }, c = { mixed, NULL, 3 };
    DuetContrast contrast;

    g_assert_true(duet_contrast(&a, &b, 1, 99, &contrast, NULL));
    assert_near(contrast.cliffs_delta, -1);
    g_assert_true(duet_contrast(&b, &a, 1, 99, &contrast, NULL));
    assert_near(contrast.cliffs_delta, 1);
    /* Of nine pairs, one above, six below, two equal. */
    g_assert_true(duet_contrast(&a, &c, 1, 99, &contrast, NULL));
    assert_near(contrast.cliffs_delta, -5.0 / 9);
    g_assert_true(isnan(contrast.ratio_low));
    assert_near(contrast.ratio, 2.0 / 3);
    assert_near(contrast.difference, -1);
}

static void test_permutation_exact(void)
{
    /* Three against three, all of a below all of b. Of the 20 arrangements four are as far apart
     * (medians 2 and 5: 3 and 4 may change places), and none further: p = 0.2. */
    static const double low[] = { 1, 2, 3 }, high[] = { 4, 5, 6 };
    static const guint blocks[] = { 0, 1, 2 };
    DuetSeries a = { low, NULL, 3 }, b = { high, NULL, 3 };
    DuetContrast contrast;

    g_assert_true(duet_contrast(&a, &b, 5, DUET_STATS_RESAMPLES, &contrast, NULL));
    g_assert_cmpfloat_with_epsilon(contrast.p, 0.2, 0.015);
    /* Swapped within pairs there are 8, of which 2 are as far apart. */
    a.blocks = b.blocks = blocks;
    g_assert_true(duet_contrast(&a, &b, 5, DUET_STATS_RESAMPLES, &contrast, NULL));
    g_assert_cmpfloat_with_epsilon(contrast.p, 0.25, 0.015);
}

static void test_equal_values(void)
{
    double values[30];
    DuetSeries series = { values, NULL, 30 };
    DuetContrast contrast;

    for (guint i = 0; i < 30; i++)
        values[i] = 10;
    g_assert_true(duet_contrast(&series, &series, 1, 999, &contrast, NULL));
    assert_near(contrast.p, 1);
    assert_near(contrast.ratio, 1);
    assert_near(contrast.ratio_low, 1);
    assert_near(contrast.difference_high, 0);
    assert_near(contrast.cliffs_delta, 0);
    assert_near(contrast.detectable, 0);
    for (guint i = 0; i < 30; i++)
        values[i] = 0;
    g_assert_true(duet_contrast(&series, &series, 1, 999, &contrast, NULL));
    g_assert_true(isnan(contrast.ratio) && isnan(contrast.ratio_low));
}

static void test_contrast_refused(void)
{
    static const double one = 1, bad = NAN;
    DuetSeries good = { &one, NULL, 1 }, empty = { NULL, NULL, 0 }, nan = { &bad, NULL, 1 };
    DuetContrast contrast;
    g_autoptr(GError) first = NULL, second = NULL;

    g_assert_false(duet_contrast(&good, &empty, 1, 99, &contrast, &first));
    g_assert_error(first, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_false(duet_contrast(&nan, &good, 1, 99, &contrast, &second));
    g_assert_error(second, DUET_ERROR, DUET_ERROR_INVALID);
}

static void test_seeded(void)
{
    double a_values[30], b_values[30];
    DuetSeries a = { a_values, NULL, 30 }, b = { b_values, NULL, 30 };
    DuetContrast first = { 0 }, again = { 0 }, other = { 0 };
    DuetRandom random;

    duet_random_init(&random, 3);
    for (guint i = 0; i < 30; i++) {
        a_values[i] = 100 + noise(&random);
        b_values[i] = 101 + noise(&random);
    }
    g_assert_true(duet_contrast(&a, &b, 9, 999, &first, NULL));
    g_assert_true(duet_contrast(&a, &b, 9, 999, &again, NULL));
    g_assert_true(duet_contrast(&a, &b, 10, 999, &other, NULL));
    g_assert_cmpmem(&first, sizeof first, &again, sizeof again);
    g_assert_cmpfloat(first.difference, ==, other.difference);
    g_assert_cmpfloat(first.difference_low, !=, other.difference_low);
}

static void test_holm(void)
{
    /* By hand: 0.01 * 4, 0.02 * 3, then 0.03 * 2 = 0.06 and 0.04 * 1, lifted to 0.06. */
    static const double p[] = { 0.04, 0.01, NAN, 0.03, 0.02 };
    double adjusted[5];

    duet_holm(p, 5, adjusted);
    assert_near(adjusted[0], 0.06);
    assert_near(adjusted[1], 0.04);
    g_assert_true(isnan(adjusted[2]));
    assert_near(adjusted[3], 0.06);
    assert_near(adjusted[4], 0.06);
    static const double large[] = { 0.9, 0.8 };
    duet_holm(large, 2, adjusted);
    assert_near(adjusted[0], 1);
    assert_near(adjusted[1], 1);
}

/* Drifting, autocorrelated series as real machines give: level + slope + AR(1) noise. */
static void machine(DuetRandom *random, double *values, gsize n)
{
    double carried = 0;

    for (gsize i = 0; i < n; i++) {
        carried = 0.5 * carried + noise(random);
        values[i] = 220 - 10.0 * i / n + 4 * carried;
    }
}

/* One arm twice: contiguous windows in their order, dealt out to two arms within blocks of two. */
static void test_same_arm_twice(void)
{
    const guint windows = 1000, pairs = 30;
    g_autofree double *recorded = g_new(double, windows + 2 * pairs);
    guint alarms = 0;
    DuetRandom random;

    duet_random_init(&random, 11);
    machine(&random, recorded, windows + 2 * pairs);
    for (guint window = 0; window < windows; window++) {
        double values[2][30];
        guint blocks[30];
        DuetContrast contrast;
        for (guint pair = 0; pair < pairs; pair++) {
            guint first = duet_random_below(&random, 2);
            values[first][pair] = recorded[window + 2 * pair];
            values[!first][pair] = recorded[window + 2 * pair + 1];
            blocks[pair] = pair;
        }
        DuetSeries a = { values[0], blocks, pairs }, b = { values[1], blocks, pairs };
        g_assert_true(duet_contrast(&a, &b, window, 499, &contrast, NULL));
        alarms += contrast.p < 0.05;
    }
    g_assert_cmpuint(alarms, <=, 65);
    g_assert_cmpuint(alarms, >=, 10);
}

static void test_injected_delay(void)
{
    static const double delays[] = { 5, 20, 100 };
    const guint trials = 40;
    DuetRandom random;

    duet_random_init(&random, 13);
    for (guint d = 0; d < G_N_ELEMENTS(delays); d++) {
        guint inside = 0, found = 0, large = 0;
        for (guint trial = 0; trial < trials; trial++) {
            double all[60], values[2][30];
            guint blocks[30];
            DuetContrast contrast;
            machine(&random, all, 60);
            for (guint pair = 0; pair < 30; pair++) {
                guint first = duet_random_below(&random, 2);
                values[first][pair] = all[2 * pair];
                values[!first][pair] = all[2 * pair + 1];
                blocks[pair] = pair;
            }
            for (guint i = 0; i < 30; i++)
                values[0][i] += delays[d];
            DuetSeries a = { values[0], blocks, 30 }, b = { values[1], blocks, 30 };
            g_assert_true(duet_contrast(&a, &b, trial, 999, &contrast, NULL));
            inside += contrast.difference_low <= delays[d] && delays[d] <= contrast.difference_high;
            if (contrast.detectable * 220 < delays[d]) {
                large++;
                found += contrast.difference_low > 0;
            }
        }
        g_assert_cmpuint(inside, >=, trials * 85 / 100);
        /* 80 % power is what "detectable" promises; well above it nothing is missed. */
        g_assert_cmpuint(found, >=, large * 80 / 100);
        if (delays[d] >= 20)
            g_assert_cmpuint(found, ==, trials);
    }
}

#define RECORDED_WINDOW 60
#define RECORDED_WINDOWS 1000

/* Returns: (transfer full): a real series, in the order of measuring. */
static double *recorded_boots(gsize *out_n)
{
    g_autofree char *path =
        g_build_filename(g_getenv("DUET_SOURCE_DIR"), "tests/unit/recorded-boots.txt", NULL);
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    double *values = g_new(double, g_strv_length(lines));
    *out_n = 0;
    for (char **line = lines; *line; line++) {
        if (g_ascii_isdigit(**line))
            values[(*out_n)++] = g_ascii_strtod(*line, NULL);
    }
    g_assert_cmpuint(*out_n, >=, RECORDED_WINDOW + 2 * RECORDED_WINDOWS);
    return values;
}

/* Deals a window of a series out to two arms, within blocks of two neighbours. */
static void deal(DuetRandom *random, const double *window, double values[2][30], guint *blocks)
{
    for (guint pair = 0; pair < 30; pair++) {
        guint first = duet_random_below(random, 2);
        values[first][pair] = window[2 * pair];
        values[!first][pair] = window[2 * pair + 1];
        blocks[pair] = pair;
    }
}

/* The A/A rule: one arm twice says "no difference" 95 times in 100, with real samples, too. */
static void test_recorded_twice(void)
{
    gsize n = 0;
    g_autofree double *recorded = recorded_boots(&n);
    guint alarms = 0, loose_alarms = 0, apart_alarms = 0;
    DuetRandom random;

    duet_random_init(&random, 17);
    for (guint window = 0; window < RECORDED_WINDOWS; window++) {
        double values[2][30];
        guint blocks[30];
        DuetContrast paired, loose, apart;
        deal(&random, recorded + 2 * window, values, blocks);
        DuetSeries a = { values[0], blocks, 30 }, b = { values[1], blocks, 30 };
        g_assert_true(duet_contrast(&a, &b, window, 499, &paired, NULL));
        alarms += paired.p < 0.05;
        a.blocks = b.blocks = NULL;
        g_assert_true(duet_contrast(&a, &b, window, 499, &loose, NULL));
        loose_alarms += loose.p < 0.05;
        /* One after the other, as two runs are taken. */
        a.values = recorded + 2 * window;
        b.values = recorded + 2 * window + 30;
        g_assert_true(duet_contrast(&a, &b, window, 499, &apart, NULL));
        apart_alarms += apart.p < 0.05;
    }
    g_test_message("%u alarms, %u without blocks, %u apart", alarms, loose_alarms, apart_alarms);
    g_assert_cmpuint(alarms, <=, 65);
    g_assert_cmpuint(alarms, >=, 10);
    g_assert_cmpuint(loose_alarms, <=, 65);
    /* Why arms are interleaved, and why `bench compare` warns: no test can tell drift from cause.
     */
    g_assert_cmpuint(apart_alarms, >, 2 * alarms);
}

/* A delay that is larger than what the run calls detectable is found, and lies in the interval. */
static void test_recorded_delay(void)
{
    gsize n = 0;
    g_autofree double *recorded = recorded_boots(&n);
    static const double shares[] = { 0.3, 1, 3 };
    guint trials = 0, inside = 0, above = 0, found = 0;
    DuetRandom random;

    duet_random_init(&random, 19);
    for (guint window = 0; window + RECORDED_WINDOW <= n; window += 20) {
        for (guint s = 0; s < G_N_ELEMENTS(shares); s++) {
            double values[2][30];
            guint blocks[30];
            DuetContrast contrast;
            deal(&random, recorded + window, values, blocks);
            double delay = shares[s] * summarise(values[1], 30).median;
            for (guint i = 0; i < 30; i++)
                values[0][i] += delay;
            DuetSeries a = { values[0], blocks, 30 }, b = { values[1], blocks, 30 };
            g_assert_true(duet_contrast(&a, &b, window, 999, &contrast, NULL));
            trials++;
            inside += contrast.difference_low <= delay && delay <= contrast.difference_high;
            if (shares[s] > contrast.detectable) {
                above++;
                found += contrast.difference_low > 0;
            }
        }
    }
    g_test_message("of %u inside %u; of %u above, found %u", trials, inside, above, found);
    g_assert_cmpuint(inside, >=, trials * 90 / 100);
    g_assert_cmpuint(above, >=, trials / 4);
    g_assert_cmpuint(found, >=, above * 95 / 100);
}

static void test_detectable(void)
{
    /* statistics.NormalDist().inv_cdf() of Python: of 1 - 0.05 / 2 1.959964, of 1 - 0.05 / 12
     * 2.638257, of 0.8 0.841621. */
    assert_near(duet_stats_detectable(0.01, 1, 0), 0.028411986865);
    assert_near(duet_stats_detectable(0.01, 6, 0), 0.035411347616);
    /* What is below the floor is never called a difference, however small the noise. */
    assert_near(duet_stats_detectable(0, 1, 0.02), 0.02);
    assert_near(duet_stats_detectable(0.001, 6, 0.02), 0.020858815006);
    g_assert_true(isnan(duet_stats_detectable(NAN, 6, 0.02)));
}

/* How many of 100 in which @tests comparisons are made find an effect that is called detectable
 * then, by the rule of the verdicts: the first step of Holm's, and the floor. */
static guint found_of_100(guint tests, double floor, double sd, gsize n)
{
    g_autofree double *left = g_new(double, n), *right = g_new(double, n);
    const DuetSeries a = { left, NULL, n }, b = { right, NULL, n };
    const guint trials = 200;
    guint found = 0;
    DuetRandom random;

    duet_random_init(&random, 31);
    for (guint trial = 0; trial < trials; trial++) {
        DuetContrast contrast;
        for (gsize i = 0; i < n; i++) {
            left[i] = 100 + sd * noise(&random);
            right[i] = 100 + sd * noise(&random);
        }
        g_assert_true(duet_contrast(&a, &b, trial, 999, &contrast, NULL));
        double effect = duet_stats_detectable(contrast.log_sd, tests, floor);
        for (gsize i = 0; i < n; i++)
            left[i] *= 1 + effect;
        g_assert_true(duet_contrast(&a, &b, trial, 999, &contrast, NULL));
        found += contrast.p * tests < 0.05 && contrast.ratio - 1 > floor;
    }
    return found * 100 / trials;
}

static void test_detectable_is_found(void)
{
    guint one = found_of_100(1, 0, 5, 30), six = found_of_100(6, 0, 5, 30);
    guint of_floor = found_of_100(1, 0.02, 1, 30);

    g_test_message("found of 100: alone %u, among six %u, near the floor %u", one, six, of_floor);
    g_assert_cmpuint(one, >=, 70);
    g_assert_cmpuint(six, >=, 70);
    g_assert_cmpuint(of_floor, >=, 70);
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

/*
 * Of Theil and Sen's line, by scipy 1.10 (Debian's python3-scipy):
 *   from scipy.stats import theilslopes
 *   r = theilslopes(y, x, method='joint'); r.slope, r.intercept
 */
static void assert_line(const double *x, const double *y, gsize n, double slope, double intercept)
{
    g_autoptr(GError) error = NULL;
    DuetLine line;

    g_assert_true(duet_stats_line(x, y, n, 42, 499, &line, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(line.n, ==, n);
    assert_near(line.slope, slope);
    assert_near(line.intercept, intercept);
    g_assert_cmpint(isnan(line.slope_low), ==, n < DUET_STATS_INTERVAL_MIN);
    if (n < DUET_STATS_INTERVAL_MIN)
        return;
    g_assert_cmpfloat(line.slope_low, <=, slope);
    g_assert_cmpfloat(line.slope_high, >=, slope);
    g_assert_cmpfloat(line.intercept_low, <=, intercept);
    g_assert_cmpfloat(line.intercept_high, >=, intercept);
}

static void test_line(void)
{
    static const double one[] = { 1, 2, 3, 4, 5 }, wild[] = { 2, 4, 6, 8, 100 };
    static const double ties[] = { 1, 1, 2, 2, 4, 4, 8, 8 };
    static const double tied[] = { 10.5, 9.5, 20.25, 19, 41, 38.5, 79, 400 };
    static const double sweep[] = { 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8 };
    static const double use[] = { 211.3, 424.1, 838.2, 1699.7, 214.9, 420.6, 851.4, 1672.5, 209.2,
        431.7, 846.9, 1688.3 };
    static const double two_x[] = { 3, 1 }, two_y[] = { 7, 1 };

    assert_line(one, wild, 5, 2, 0);
    assert_line(ties, tied, 8, 10.0625, -0.21875);
    assert_line(sweep, use, 12, 211.14166666666665, 0.9875000000000398);
    assert_line(two_x, two_y, 2, 3, -2);
}

static void test_line_refused(void)
{
    static const double same[] = { 4, 4, 4 }, y[] = { 1, 2, 3 }, bad[] = { 1, NAN, 3 };
    g_autoptr(GError) flat = NULL, nan = NULL, none = NULL;
    DuetLine line = { .n = 77 };

    g_assert_false(duet_stats_line(same, y, 3, 1, 99, &line, &flat));
    g_assert_error(flat, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_false(duet_stats_line(y, bad, 3, 1, 99, &line, &nan));
    g_assert_error(nan, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_false(duet_stats_line(NULL, NULL, 0, 1, 99, &line, &none));
    g_assert_error(none, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_cmpuint(line.n, ==, 77);
}

/* The interval must hold the true slope about 95 times in 100, of points with noise. */
static void test_line_covers(void)
{
    static const double counts[] = { 1, 2, 4, 8 };
    guint slopes = 0, intercepts = 0;
    DuetRandom random;

    duet_random_init(&random, 11);
    for (guint run = 0; run < 200; run++) {
        double x[20], y[20];
        DuetLine line;
        for (guint i = 0; i < 20; i++) {
            double noise = 0;
            for (guint k = 0; k < 12; k++)
                noise += duet_random_below(&random, 1000) / 1000.0 - 0.4995;
            x[i] = counts[i % 4];
            y[i] = 40 + 125 * x[i] + 10 * noise;
        }
        g_assert_true(duet_stats_line(x, y, 20, run, 499, &line, NULL));
        slopes += line.slope_low <= 125 && line.slope_high >= 125;
        intercepts += line.intercept_low <= 40 && line.intercept_high >= 40;
    }
    /* 95 % of 200 with three standard deviations below, and what a percentile interval of 20
     * points lacks. */
    g_assert_cmpuint(slopes, >=, 176);
    g_assert_cmpuint(intercepts, >=, 176);
    /* And be worth something: the same seed, the same interval. */
    static const double x[] = { 1, 2, 3, 4, 5, 6 }, y[] = { 1, 2.2, 2.9, 4.1, 5, 6.3 };
    DuetLine first, second;
    duet_stats_line(x, y, 6, 3, 499, &first, NULL);
    duet_stats_line(x, y, 6, 3, 499, &second, NULL);
    g_assert_cmpfloat(first.slope_low, ==, second.slope_low);
    g_assert_cmpfloat(first.slope_low, <, first.slope_high);
}

/*
 * Against an independent computation in Python: slopes as medians of (y2 - y1) / (x2 - x1) over
 * itertools.combinations, 9,999 draws with random.choices of each set, bounds from
 * statistics.quantiles(n=40, method="inclusive"), p from 9,999 shuffles of what one slope and an
 * intercept for each set leave.
 */
static void test_line_contrast(void)
{
    static const double x[] = { 1, 2, 4, 8, 1, 2, 4, 8 };
    static const double y_a[] = { 14.1, 17.3, 22.0, 33.2, 13.8, 16.5, 23.1, 31.9 };
    static const double y_b[] = { 11.9, 14.2, 18.1, 25.5, 12.3, 13.7, 17.6, 26.4 };
    const DuetPoints a = { x, y_a, 8 }, b = { x, y_b, 8 }, short_b = { x, y_b, 4 };
    const DuetPoints point = { x, y_b, 1 };
    DuetContrast c, again;
    g_autoptr(GError) error = NULL;

    g_assert_true(duet_contrast_lines(&a, &b, 42, DUET_STATS_RESAMPLES, &c, NULL));
    g_assert_cmpfloat_with_epsilon(c.ratio, 1.391941391941391, 1e-12);
    g_assert_cmpfloat_with_epsilon(c.difference, 0.7642857142857129, 1e-12);
    g_assert_cmpfloat_with_epsilon(c.ratio_low, 1.234, 0.02);
    g_assert_cmpfloat_with_epsilon(c.ratio_high, 1.556, 0.02);
    g_assert_cmpfloat_with_epsilon(c.difference_low, 0.478, 0.02);
    g_assert_cmpfloat_with_epsilon(c.difference_high, 1.067, 0.02);
    g_assert_cmpfloat_with_epsilon(c.detectable, 0.175, 0.01);
    g_assert_cmpfloat(c.p, <=, 0.001);
    g_assert_true(isnan(c.cliffs_delta));
    g_assert_true(duet_contrast_lines(&a, &b, 42, DUET_STATS_RESAMPLES, &again, NULL));
    g_assert_cmpfloat(c.ratio_low, ==, again.ratio_low);
    /* Few points have no interval, one has no line. */
    g_assert_true(duet_contrast_lines(&a, &short_b, 42, 99, &c, NULL));
    g_assert_true(isnan(c.ratio_low) && isnan(c.difference_low) && isfinite(c.ratio));
    g_assert_false(duet_contrast_lines(&a, &point, 42, 99, &c, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
}

static void noisy_line(DuetRandom *random, double slope, const double *x, double *y)
{
    for (guint i = 0; i < 12; i++) {
        double noise = 0;
        for (guint k = 0; k < 12; k++)
            noise += duet_random_below(random, 1000) / 1000.0 - 0.4995;
        y[i] = 40 + slope * x[i] + 10 * noise;
    }
}

/* One line twice is no difference 95 times in 100, and a difference lies in its interval. */
static void test_line_contrast_rates(void)
{
    static const double x[] = { 1, 2, 4, 8, 1, 2, 4, 8, 1, 2, 4, 8 };
    double y_a[12], y_b[12];
    const DuetPoints a = { x, y_a, 12 }, b = { x, y_b, 12 };
    guint alarms = 0, held = 0;
    DuetContrast c;
    DuetRandom random;

    duet_random_init(&random, 5);
    for (guint run = 0; run < 300; run++) {
        noisy_line(&random, 125, x, y_a);
        noisy_line(&random, run % 2 == 0 ? 125 : 100, x, y_b);
        g_assert_true(duet_contrast_lines(&a, &b, run, 199, &c, NULL));
        if (run % 2 == 0)
            alarms += c.p < 0.05;
        else
            held += c.ratio_low <= 1.25 && c.ratio_high >= 1.25;
    }
    /* Of 150: what is expected, with three standard deviations, and what a percentile interval of
     * 12 points lacks. */
    g_assert_cmpuint(alarms, <=, 15);
    g_assert_cmpuint(held, >=, 129);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/stats/outlier", test_outlier);
    g_test_add_func("/stats/line-contrast", test_line_contrast);
    g_test_add_func("/stats/line-contrast-rates", test_line_contrast_rates);
    g_test_add_func("/stats/small", test_small);
    g_test_add_func("/stats/single", test_single);
    g_test_add_func("/stats/refused", test_refused);
    g_test_add_func("/stats/one-to-ten", test_one_to_ten);
    g_test_add_func("/stats/tails-need-samples", test_tails_need_samples);
    g_test_add_func("/stats/order", test_order);
    g_test_add_func("/stats/counted-median", test_counted_median);
    g_test_add_func("/stats/take-median", test_take_median);
    g_test_add_func("/stats/median-is-quick", test_median_is_quick);
    g_test_add_func("/stats/interval-covers", test_interval_covers);
    g_test_add_func("/stats/random", test_random);
    g_test_add_func("/stats/line", test_line);
    g_test_add_func("/stats/line-refused", test_line_refused);
    g_test_add_func("/stats/line-covers", test_line_covers);
    g_test_add_func("/inference/detectable", test_detectable);
    g_test_add_func("/inference/detectable-is-found", test_detectable_is_found);
    g_test_add_func("/inference/cliffs-delta", test_cliffs_delta);
    g_test_add_func("/inference/permutation-exact", test_permutation_exact);
    g_test_add_func("/inference/equal-values", test_equal_values);
    g_test_add_func("/inference/refused", test_contrast_refused);
    g_test_add_func("/inference/seeded", test_seeded);
    g_test_add_func("/inference/holm", test_holm);
    g_test_add_func("/inference/same-arm-twice", test_same_arm_twice);
    g_test_add_func("/inference/injected-delay", test_injected_delay);
    g_test_add_func("/inference/recorded-twice", test_recorded_twice);
    g_test_add_func("/inference/recorded-delay", test_recorded_delay);
    return g_test_run();
}
