/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lines through points, and two of them compared. */
#include <glib.h>

#include <duet/error.h>

#include "bench/inference.h"
#include "bench/stats.h"
#include "stats-fixture.h"

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
            x[i] = counts[i % 4];
            y[i] = 40 + 125 * x[i] + 10 * stats_noise(&random);
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
    for (guint i = 0; i < 12; i++)
        y[i] = 40 + slope * x[i] + 10 * stats_noise(random);
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
    g_test_add_func("/line/contrast", test_line_contrast);
    g_test_add_func("/line/contrast-rates", test_line_contrast_rates);
    g_test_add_func("/line/fit", test_line);
    g_test_add_func("/line/refused", test_line_refused);
    g_test_add_func("/line/covers", test_line_covers);
    return g_test_run();
}
