/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/inference.h"

#include <glib.h>
#include <string.h>

#include <duet/error.h>

#include "bench/stats.h"
#include "stats-fixture.h"

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
    /* Three against three, all of a below all of b: of the 20 arrangements 2 are as far apart, as R
     * has it (wilcox.test(1:3, 4:6)$p.value is 0.1). */
    static const double low[] = { 1, 2, 3 }, high[] = { 4, 5, 6 };
    static const guint blocks[] = { 0, 1, 2 };
    DuetSeries a = { low, NULL, 3 }, b = { high, NULL, 3 };
    DuetContrast contrast;

    g_assert_true(duet_contrast(&a, &b, 5, DUET_STATS_RESAMPLES, &contrast, NULL));
    g_assert_cmpfloat_with_epsilon(contrast.p, 0.1, 0.01);
    assert_near(contrast.p_least, 0.1);
    /* Swapped within pairs there are 8, of which 2 are as far apart. */
    a.blocks = b.blocks = blocks;
    g_assert_true(duet_contrast(&a, &b, 5, DUET_STATS_RESAMPLES, &contrast, NULL));
    g_assert_cmpfloat_with_epsilon(contrast.p, 0.25, 0.015);
    assert_near(contrast.p_least, 0.25);
}

/*
 * By counting all arrangements, with equal values among them. In Python, with the places of a
 * sorted list s as (s.index(x) + 1 + s.index(x) + s.count(x)) / 2: of the sums of a's places over
 * itertools.combinations(range(15), 8), or of the signed differences over
 * itertools.product((1, -1), repeat=10), how many are as far from their mean as what was seen.
 */
static void test_permutation_ties(void)
{
    static const double a[] = { 12, 15, 11, 14, 13, 90, 15, 16 };
    static const double b[] = { 10, 12, 9, 13, 11, 12, 14 };
    static const double left[] = { 31, 28, 35, 40, 29, 33, 38, 30, 36, 90 };
    static const double right[] = { 30, 28, 30, 35, 30, 31, 33, 29, 34, 41 };
    static const guint blocks[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    const DuetSeries loose_a = { a, NULL, 8 }, loose_b = { b, NULL, 7 };
    const DuetSeries paired_a = { left, blocks, 10 }, paired_b = { right, blocks, 10 };
    DuetContrast contrast;

    g_assert_true(duet_contrast(&loose_a, &loose_b, 5, DUET_STATS_RESAMPLES, &contrast, NULL));
    g_assert_cmpfloat_with_epsilon(contrast.p, 0.03357, 0.006);
    g_assert_cmpfloat_with_epsilon(contrast.p_least, 2.0 / 6435, 1e-9);
    g_assert_true(duet_contrast(&paired_a, &paired_b, 5, DUET_STATS_RESAMPLES, &contrast, NULL));
    g_assert_cmpfloat_with_epsilon(contrast.p, 0.03125, 0.006);
    g_assert_cmpfloat_with_epsilon(contrast.p_least, 2.0 / 1024, 1e-9);
    /* As many arrangements as there are resamples can't be told apart further. */
    g_assert_true(duet_contrast(&paired_a, &paired_b, 5, 99, &contrast, NULL));
    assert_near(contrast.p_least, 0.01);
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
        a_values[i] = 100 + stats_noise(&random);
        b_values[i] = 101 + stats_noise(&random);
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
        carried = 0.5 * carried + stats_noise(random);
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

/*
 * Against an independent computation in Python of the first 500 and the next: statistics.median()
 * of 9,999 draws with random.choices(), bounds from statistics.quantiles(n=40, method="inclusive").
 */
static void test_recorded_ratio(void)
{
    gsize n = 0;
    g_autofree double *recorded = recorded_boots(&n);
    guint blocks[500];
    DuetContrast c;

    for (guint i = 0; i < 500; i++)
        blocks[i] = i;
    DuetSeries a = { recorded, NULL, 500 }, b = { recorded + 500, NULL, 500 };
    g_assert_true(duet_contrast(&a, &b, 23, DUET_STATS_RESAMPLES, &c, NULL));
    assert_near(c.ratio, 13704.5 / 14699.5);
    g_assert_cmpfloat_with_epsilon(c.ratio_low, 0.8655, 0.004);
    g_assert_cmpfloat_with_epsilon(c.ratio_high, 1.0248, 0.004);
    a.blocks = b.blocks = blocks;
    g_assert_true(duet_contrast(&a, &b, 23, DUET_STATS_RESAMPLES, &c, NULL));
    g_assert_cmpfloat_with_epsilon(c.ratio_low, 0.8671, 0.004);
    g_assert_cmpfloat_with_epsilon(c.ratio_high, 1.0217, 0.004);
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
            double delay = shares[s] * duet_stats_median(values[1], 30);
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
            left[i] = 100 + sd * stats_noise(&random);
            right[i] = 100 + sd * stats_noise(&random);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/inference/detectable", test_detectable);
    g_test_add_func("/inference/detectable-is-found", test_detectable_is_found);
    g_test_add_func("/inference/cliffs-delta", test_cliffs_delta);
    g_test_add_func("/inference/permutation-exact", test_permutation_exact);
    g_test_add_func("/inference/permutation-ties", test_permutation_ties);
    g_test_add_func("/inference/equal-values", test_equal_values);
    g_test_add_func("/inference/recorded-ratio", test_recorded_ratio);
    g_test_add_func("/inference/refused", test_contrast_refused);
    g_test_add_func("/inference/seeded", test_seeded);
    g_test_add_func("/inference/holm", test_holm);
    g_test_add_func("/inference/same-arm-twice", test_same_arm_twice);
    g_test_add_func("/inference/injected-delay", test_injected_delay);
    g_test_add_func("/inference/recorded-twice", test_recorded_twice);
    g_test_add_func("/inference/recorded-delay", test_recorded_delay);
    return g_test_run();
}
