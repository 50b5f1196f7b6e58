/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Theil and Sen's line: one wild point in four moves it little, so no point is ever dropped. */
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <duet/error.h>

#include "random.h"

/* The slope between two points. */
typedef struct {
    double slope;
    guint i, k;
} Pair;

typedef struct {
    const double *x, *y;
    gsize n;
    GArray *pairs; /* by slope */
} Points;

static int compare_pairs(const void *a, const void *b)
{
    double left = ((const Pair *)a)->slope, right = ((const Pair *)b)->slope;

    return (left > right) - (left < right);
}

static void make_pairs(Points *points)
{
    points->pairs = g_array_new(FALSE, FALSE, sizeof(Pair));
    for (guint i = 0; i < points->n; i++) {
        for (guint k = i + 1; k < points->n; k++) {
            double run = points->x[k] - points->x[i];
            Pair pair = { (points->y[k] - points->y[i]) / run, i, k };
            if (run != 0)
                g_array_append_val(points->pairs, pair);
        }
    }
    if (points->pairs->len > 0)
        qsort(points->pairs->data, points->pairs->len, sizeof(Pair), compare_pairs);
}

/* Median slope where point i is there counts[i] times: its pairs are so many times as many.
 * Returns: NAN if all that is left has one x. */
static double counted_slope(
    const Points *points, const guint *counts, double *slopes, guint *weights)
{
    gsize total = 0;

    for (guint p = 0; p < points->pairs->len; p++) {
        const Pair *pair = &g_array_index(points->pairs, Pair, p);
        slopes[p] = pair->slope;
        weights[p] = counts[pair->i] * counts[pair->k];
        total += weights[p];
    }
    return total > 0 ? duet_stats_counted_median(slopes, weights, total) : NAN;
}

static double counted_intercept(
    const Points *points, const guint *counts, double slope, double *residuals)
{
    gsize n = 0;

    for (gsize i = 0; i < points->n; i++)
        for (guint c = 0; c < counts[i]; c++)
            residuals[n++] = points->y[i] - slope * points->x[i];
    g_autofree double *sorted = duet_stats_sorted(residuals, n);
    return duet_stats_percentile(sorted, n, 0.5);
}

static void interval(const double *values, gsize n, double *out_low, double *out_high)
{
    g_autofree double *sorted = duet_stats_sorted(values, n);

    *out_low = duet_stats_percentile(sorted, n, 0.025);
    *out_high = duet_stats_percentile(sorted, n, 0.975);
}

static void bootstrap(const Points *points, guint64 seed, guint resamples, DuetLine *line)
{
    g_autofree double *slopes = g_new(double, points->pairs->len);
    g_autofree guint *weights = g_new(guint, points->pairs->len);
    g_autofree double *residuals = g_new(double, points->n);
    g_autofree guint *counts = g_new(guint, points->n);
    g_autofree double *slope = g_new(double, resamples), *intercept = g_new(double, resamples);
    DuetRandom random;

    duet_random_init(&random, seed);
    for (guint r = 0; r < resamples;) {
        memset(counts, 0, points->n * sizeof *counts);
        for (gsize i = 0; i < points->n; i++)
            counts[duet_random_below(&random, points->n)]++;
        slope[r] = counted_slope(points, counts, slopes, weights);
        /* All drawn points have one x: there is no line through them, draw again. */
        if (isnan(slope[r]))
            continue;
        intercept[r] = counted_intercept(points, counts, slope[r], residuals);
        r++;
    }
    interval(slope, resamples, &line->slope_low, &line->slope_high);
    interval(intercept, resamples, &line->intercept_low, &line->intercept_high);
}

static void fit(const Points *points, guint64 seed, guint resamples, DuetLine *line)
{
    g_autofree double *slopes = g_new(double, points->pairs->len);
    g_autofree guint *weights = g_new(guint, points->pairs->len);
    g_autofree double *residuals = g_new(double, points->n);
    g_autofree guint *once = g_new(guint, points->n);

    for (gsize i = 0; i < points->n; i++)
        once[i] = 1;
    line->slope = counted_slope(points, once, slopes, weights);
    line->intercept = counted_intercept(points, once, line->slope, residuals);
    if (points->n >= DUET_STATS_INTERVAL_MIN && resamples > 0)
        bootstrap(points, seed, resamples, line);
}

gboolean duet_stats_line(const double *x, const double *y, gsize n, guint64 seed, guint resamples,
    DuetLine *out_line, GError **error)
{
    Points points = { x, y, n, NULL };
    DuetLine line = { n, NAN, NAN, NAN, NAN, NAN, NAN };

    for (gsize i = 0; i < n; i++) {
        if (!isfinite(x[i]) || !isfinite(y[i])) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "cannot fit a line: point %" G_GSIZE_FORMAT " is not finite", i + 1);
            return FALSE;
        }
    }
    make_pairs(&points);
    gboolean fits = points.pairs->len > 0;
    if (fits)
        fit(&points, seed, resamples, &line);
    else
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot fit a line through %" G_GSIZE_FORMAT " points: no two have different x", n);
    g_array_unref(points.pairs);
    if (fits)
        *out_line = line;
    return fits;
}
