/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Theil and Sen's line: one wild point in four moves it little, so no point is ever dropped. */
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <duet/error.h>

#include "inference.h"
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
    double *slopes; /* theirs */
} Points;

static void points_clear(Points *points)
{
    g_clear_pointer(&points->pairs, g_array_unref);
    g_free(points->slopes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Points, points_clear)

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
    points->slopes = g_new(double, points->pairs->len + 1);
    for (guint p = 0; p < points->pairs->len; p++)
        points->slopes[p] = g_array_index(points->pairs, Pair, p).slope;
}

/* Median slope where point i is there counts[i] times: its pairs are so many times as many.
 * Returns: NAN if all that is left has one x. */
static double counted_slope(const Points *points, const guint *counts, guint *weights)
{
    gsize total = 0;

    for (guint p = 0; p < points->pairs->len; p++) {
        const Pair *pair = &g_array_index(points->pairs, Pair, p);
        weights[p] = counts[pair->i] * counts[pair->k];
        total += weights[p];
    }
    return total > 0 ? duet_stats_counted_median(points->slopes, weights, total) : NAN;
}

static double counted_intercept(
    const Points *points, const guint *counts, double slope, double *residuals)
{
    gsize n = 0;

    for (gsize i = 0; i < points->n; i++)
        for (guint c = 0; c < counts[i]; c++)
            residuals[n++] = points->y[i] - slope * points->x[i];
    return duet_stats_take_median(residuals, n);
}

/* Draws n points with replacement, again if all that are drawn have one x: there is no line through
 * them. Returns: the slope. */
static double drawn_slope(const Points *points, DuetRandom *random, guint *counts, guint *weights)
{
    double slope;

    do {
        memset(counts, 0, points->n * sizeof *counts);
        for (gsize i = 0; i < points->n; i++)
            counts[duet_random_below(random, points->n)]++;
        slope = counted_slope(points, counts, weights);
    } while (isnan(slope));
    return slope;
}

static void bootstrap(const Points *points, guint64 seed, guint resamples, DuetLine *line)
{
    g_autofree guint *weights = g_new(guint, points->pairs->len);
    g_autofree double *residuals = g_new(double, points->n);
    g_autofree guint *counts = g_new(guint, points->n);
    g_autofree double *slope = g_new(double, resamples), *intercept = g_new(double, resamples);
    DuetRandom random;

    duet_random_init(&random, seed);
    for (guint r = 0; r < resamples; r++) {
        slope[r] = drawn_slope(points, &random, counts, weights);
        intercept[r] = counted_intercept(points, counts, slope[r], residuals);
    }
    duet_stats_interval(slope, resamples, &line->slope_low, &line->slope_high);
    duet_stats_interval(intercept, resamples, &line->intercept_low, &line->intercept_high);
}

static void fit(const Points *points, guint64 seed, guint resamples, DuetLine *line)
{
    g_autofree guint *weights = g_new(guint, points->pairs->len);
    g_autofree double *residuals = g_new(double, points->n);
    g_autofree guint *once = g_new(guint, points->n);

    for (gsize i = 0; i < points->n; i++)
        once[i] = 1;
    line->slope = counted_slope(points, once, weights);
    line->intercept = counted_intercept(points, once, line->slope, residuals);
    if (points->n >= DUET_STATS_INTERVAL_MIN && resamples > 0)
        bootstrap(points, seed, resamples, line);
}

static gboolean check_points(const double *x, const double *y, gsize n, GError **error)
{
    if (n > DUET_STATS_LINE_MAX) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot fit a line through %" G_GSIZE_FORMAT " points: more than %d", n,
            DUET_STATS_LINE_MAX);
        return FALSE;
    }
    for (gsize i = 0; i < n; i++) {
        if (!isfinite(x[i]) || !isfinite(y[i])) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "cannot fit a line: point %" G_GSIZE_FORMAT " is not finite", i + 1);
            return FALSE;
        }
    }
    return TRUE;
}

gboolean duet_stats_line(const double *x, const double *y, gsize n, guint64 seed, guint resamples,
    DuetLine *out_line, GError **error)
{
    g_auto(Points) points = { .x = x, .y = y, .n = n };
    DuetLine line = { n, NAN, NAN, NAN, NAN, NAN, NAN };

    if (!check_points(x, y, n, error))
        return FALSE;
    make_pairs(&points);
    if (points.pairs->len == 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot fit a line through %" G_GSIZE_FORMAT " points: no two have different x", n);
        return FALSE;
    }
    fit(&points, seed, resamples, &line);
    *out_line = line;
    return TRUE;
}

/* ---- two lines ---- */

/* One set of points with room for its resamples. */
typedef struct {
    Points points;
    guint *weights, *counts;
} Side;

static gboolean side_init(Side *side, const DuetPoints *points, GError **error)
{
    side->points = (Points){ .x = points->x, .y = points->y, .n = points->n };
    if (!check_points(points->x, points->y, points->n, error))
        return FALSE;
    make_pairs(&side->points);
    gsize pairs = side->points.pairs->len;
    side->weights = g_new(guint, pairs + 1);
    side->counts = g_new(guint, points->n + 1);
    if (pairs == 0)
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot compare lines: through %" G_GSIZE_FORMAT " points there is none", points->n);
    return pairs > 0;
}

static void side_clear(Side *side)
{
    points_clear(&side->points);
    g_free(side->weights);
    g_free(side->counts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Side, side_clear)

static double slope_of(Side *side, const guint *counts)
{
    return counted_slope(&side->points, counts, side->weights);
}

static double whole_slope(Side *side)
{
    for (gsize i = 0; i < side->points.n; i++)
        side->counts[i] = 1;
    return slope_of(side, side->counts);
}

static double resampled_slope(Side *side, DuetRandom *random)
{
    return drawn_slope(&side->points, random, side->counts, side->weights);
}

static void bootstrap_sides(Side *a, Side *b, guint64 seed, guint resamples, DuetContrast *contrast)
{
    g_autofree double *differences = g_new(double, resamples);
    g_autofree double *ratios = g_new(double, resamples), *logs = g_new(double, resamples);
    gboolean positive = TRUE;
    DuetRandom random;

    if (MIN(a->points.n, b->points.n) < DUET_STATS_INTERVAL_MIN)
        return;
    duet_random_init(&random, seed);
    for (guint r = 0; r < resamples; r++) {
        double slope_a = resampled_slope(a, &random), slope_b = resampled_slope(b, &random);
        gboolean above = slope_a > 0 && slope_b > 0;
        differences[r] = slope_a - slope_b;
        ratios[r] = above ? slope_a / slope_b : 0;
        logs[r] = above ? log(ratios[r]) : 0;
        positive &= above;
    }
    duet_stats_interval(
        differences, resamples, &contrast->difference_low, &contrast->difference_high);
    if (positive) {
        duet_stats_interval(ratios, resamples, &contrast->ratio_low, &contrast->ratio_high);
        contrast->log_sd = duet_stats_sd(logs, resamples);
        contrast->detectable = duet_stats_detectable(contrast->log_sd, 1, 0);
    }
}

/* Appends the slopes between all pairs of @points, with @y in place of theirs. */
static gsize append_slopes(const Points *points, const double *y, double *slopes)
{
    for (guint p = 0; p < points->pairs->len; p++) {
        const Pair *pair = &g_array_index(points->pairs, Pair, p);
        slopes[p] = (y[pair->k] - y[pair->i]) / (points->x[pair->k] - points->x[pair->i]);
    }
    return points->pairs->len;
}

/* What is left of both sets' y, a's first, once each has a line of its own and all the slope of
 * all pairs within the sets. */
static double *residuals_of(Side *a, Side *b, double *slopes)
{
    Side *const sides[] = { a, b };
    double *residuals = g_new(double, a->points.n + b->points.n), *at = residuals;
    gsize n = append_slopes(&a->points, a->points.y, slopes);

    n += append_slopes(&b->points, b->points.y, slopes + n);
    double slope = duet_stats_take_median(slopes, n);
    for (gsize s = 0; s < G_N_ELEMENTS(sides); s++) {
        const Points *points = &sides[s]->points;
        g_autofree double *above = g_new(double, points->n);
        for (gsize i = 0; i < points->n; i++)
            above[i] = at[i] = points->y[i] - slope * points->x[i];
        double intercept = duet_stats_take_median(above, points->n);
        for (gsize i = 0; i < points->n; i++)
            at[i] -= intercept;
        at += points->n;
    }
    return residuals;
}

static double slopes_apart(Side *a, Side *b, const double *residuals, double *slopes)
{
    double of_a = duet_stats_take_median(slopes, append_slopes(&a->points, residuals, slopes));

    return fabs(of_a -
        duet_stats_take_median(slopes, append_slopes(&b->points, residuals + a->points.n, slopes)));
}

static double permutation(Side *a, Side *b, guint64 seed, guint resamples)
{
    gsize n = a->points.n + b->points.n;
    g_autofree double *slopes = g_new(double, a->points.pairs->len + b->points.pairs->len);
    g_autofree double *residuals = residuals_of(a, b, slopes), *drawn = g_new(double, n);
    g_autofree guint *order = g_new(guint, n);
    /* Equal arrangements must count as hits although sums of doubles round. */
    double threshold = slopes_apart(a, b, residuals, slopes) * (1 - 1e-12);
    guint hits = 0;
    DuetRandom random;

    for (gsize i = 0; i < n; i++)
        order[i] = i;
    duet_random_init(&random, seed);
    for (guint r = 0; r < resamples; r++) {
        duet_random_shuffle(&random, order, n);
        for (gsize i = 0; i < n; i++)
            drawn[i] = residuals[order[i]];
        hits += slopes_apart(a, b, drawn, slopes) >= threshold;
    }
    return (1.0 + hits) / (1.0 + resamples);
}

gboolean duet_contrast_lines(const DuetPoints *a, const DuetPoints *b, guint64 seed,
    guint resamples, DuetContrast *out_contrast, GError **error)
{
    g_auto(Side) side_a = { 0 }, side_b = { 0 };

    if (!side_init(&side_a, a, error) || !side_init(&side_b, b, error))
        return FALSE;
    double slope_a = whole_slope(&side_a), slope_b = whole_slope(&side_b);
    DuetContrast contrast = {
        .ratio = slope_a > 0 && slope_b > 0 ? slope_a / slope_b : NAN,
        .ratio_low = NAN,
        .ratio_high = NAN,
        .difference = slope_a - slope_b,
        .difference_low = NAN,
        .difference_high = NAN,
        .cliffs_delta = NAN,
        .log_sd = NAN,
        .detectable = NAN,
        .p = permutation(&side_a, &side_b, duet_random_derive(seed, 1), resamples),
    };
    contrast.p_least = 1 / (1.0 + resamples);
    contrast.p_holm = contrast.p;
    bootstrap_sides(&side_a, &side_b, duet_random_derive(seed, 2), resamples, &contrast);
    *out_contrast = contrast;
    return TRUE;
}
