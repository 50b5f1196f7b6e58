/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* Fewer values than this have no 95 % bootstrap interval: not even [min, max] covers the median of
 * five values 95 times in 100 (1 - 2 * 0.5^5 = 0.9375). */
#define DUET_STATS_INTERVAL_MIN 6
#define DUET_STATS_P95_MIN 20
#define DUET_STATS_P99_MIN 200
#define DUET_STATS_DRIFT_MIN 10
#define DUET_STATS_RESAMPLES 9999
/* What is called a difference has a p below this, after Holm. */
#define DUET_STATS_SIGNIFICANT 0.05
/* How often the smallest detectable effect is found. */
#define DUET_STATS_POWER 0.8

/**
 * DuetSummary: one series of values, described. A member that is not defined for the series (the
 * deviation of one value, p95 of ten) is NAN here and null in JSON.
 * @q1, @q3: quartiles, as all percentiles here by duet_stats_percentile()
 * @mad: median of the absolute deviations from the median, not scaled
 * @sd: sample standard deviation (n - 1)
 * @standard_error: of the mean, sd / sqrt(n)
 * @low, @high: 95 % bootstrap interval of the median (percentile method, 9,999 resamples)
 * @outliers: how many values lie outside Tukey's fences, [q1 - 1.5 iqr, q3 + 1.5 iqr]; they stay
 *     in every other figure
 * @autocorrelation: lag 1, in the order of the series
 * @drift: median of the last fifth over that of the first fifth, less 1 (n >= 10)
 * @trend: how far the series rises or falls as a whole, in standard deviations (n >= 10, and at
 * most DUET_STATS_LARGE): Mann's test of 1945 (Econometrica 13, 245), by Kendall's statistic with
 *     its variance for equal values
 * @slow_first: the first value lies above the upper fence; of a rate, where less is slow, the
 *     benchmark puts @low_first here
 * @low_first: it lies below the lower one
 */
typedef struct {
    gsize n;
    double mean, median, q1, q3, min, max, mad;
    double sd, standard_error;
    double p95, p99;
    double low, high;
    gsize outliers;
    double autocorrelation, drift, trend;
    gboolean slow_first, low_first;
} DuetSummary;

/**
 * duet_stats_summary:
 * @values: finite numbers in the order they were measured
 * @seed: of the resampling
 *
 * Returns: %FALSE with %DUET_ERROR_INVALID for no value at all or one that is not finite.
 */
gboolean duet_stats_summary(
    const double *values, gsize n, guint64 seed, DuetSummary *out_summary, GError **error);

/**
 * duet_stats_percentile:
 * @sorted: ascending, @n >= 1
 * @share: 0 to 1
 *
 * Linear interpolation between the order statistics around (n - 1) * share (Hyndman and Fan,
 * type 7: the default of R and NumPy, `inclusive` in Python's statistics module).
 */
double duet_stats_percentile(const double *sorted, gsize n, double share);

/** duet_stats_doubles: Returns: (transfer none): the numbers of an array of doubles. */
const double *duet_stats_doubles(const GArray *array);

/** duet_stats_median: of @values in any order. Returns: NaN if @n is 0. */
double duet_stats_median(const double *values, gsize n);
/** duet_stats_array_median: of an array of doubles, as duet_stats_median(). */
double duet_stats_array_median(const GArray *values);

/**
 * duet_stats_take_median: the same, to the last bit, of @values that get into another order. They
 * are neither copied nor sorted: the time grows with @n as long as they are in no order that was
 * made to be slow.
 */
double duet_stats_take_median(double *values, gsize n);

/** duet_stats_interval: what 95 % of a bootstrap's @values lie in (percentile method); they get
 * sorted. */
void duet_stats_interval(double *values, gsize n, double *out_low, double *out_high);

/**
 * DuetLine: a straight line through points, y = @intercept + @slope * x, by Theil and Sen.
 * @slope: median of the slopes between all pairs of points whose x differ
 * @intercept: median of y - @slope * x (Conover; `joint` of scipy's theilslopes)
 * @slope_low, @slope_high, @intercept_low, @intercept_high: 95 % bootstrap intervals (points drawn
 *     with replacement, percentile method); NAN below DUET_STATS_INTERVAL_MIN points
 */
typedef struct {
    gsize n;
    double slope, slope_low, slope_high;
    double intercept, intercept_low, intercept_high;
} DuetLine;

/* More points than a plan of `bench memory` can have: all pairs of them are formed. */
#define DUET_STATS_LINE_MAX 4096

/**
 * duet_stats_line: fits a line.
 * @x, @y: @n finite numbers each, DUET_STATS_LINE_MAX at most
 * @resamples: DUET_STATS_RESAMPLES, or 0: no intervals
 *
 * Returns: %FALSE with %DUET_ERROR_INVALID where no two x differ, a number is not finite, or there
 *     are too many.
 */
gboolean duet_stats_line(const double *x, const double *y, gsize n, guint64 seed, guint resamples,
    DuetLine *out_line, GError **error);

/** duet_stats_sd: Returns: the sample standard deviation; 0 of less than two values. */
double duet_stats_sd(const double *values, gsize n);

/**
 * duet_stats_detectable: the smallest relative effect that a run finds 8 times in 10.
 * @log_sd: standard deviation of the logarithm of the ratio that it measures; NAN gives NAN
 * @tests: over so many tests Holm's method goes; its first step, the hardest, asks each for a p
 *     below 0.05 / @tests
 * @floor: the smallest effect that is called one
 *
 * Such a ratio's logarithm is normal around the true one. It is found where it is beyond both
 * z(0.05 / @tests) * @log_sd and ln(1 + @floor), and 8 times in 10 it falls short of the true one
 * by 0.84 * @log_sd at most:
 *
 *     exp(max(z(0.05 / @tests) * @log_sd, ln(1 + @floor)) + 0.84 * @log_sd) - 1
 *
 * z(a): beyond which a share of a of the normal distribution lies, on both sides: 1.96 of 0.05.
 * This is Bloom's minimum detectable effect (1995, Evaluation Review 19, 547) with the level that
 * Holm's first step leaves (1979, Scandinavian Journal of Statistics 6, 65), and with the floor.
 */
double duet_stats_detectable(double log_sd, guint tests, double floor);

/* Of series longer than this, medians of resamples are not counted out but drawn: see
 * duet_stats_drawn_median(). */
#define DUET_STATS_LARGE 2000

/**
 * duet_stats_drawn_median: the median of a bootstrap resample, drawn by its rank.
 * @sorted: ascending, @n > DUET_STATS_LARGE
 * @z: a number of the standard normal distribution
 *
 * How many of a resample's n values are at most the original's value of rank k is binomial, so the
 * rank of its median is, for large n, normal around n / 2 with a variance of n / 4 (de Moivre and
 * Laplace).
 */
double duet_stats_drawn_median(const double *sorted, gsize n, double z);

/** duet_stats_sorted: Returns: (transfer full): an ascending copy. */
double *duet_stats_sorted(const double *values, gsize n);

/**
 * duet_stats_counted_median: the median of the multiset that holds @counts[i] times @sorted[i].
 * @total: sum of @counts, at least 1
 */
double duet_stats_counted_median(const double *sorted, const guint *counts, gsize total);

G_END_DECLS
