/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetSeries: the values of one arm.
 * @blocks: (nullable): which block each value was taken in; both series of a contrast have them
 *     or neither has
 */
typedef struct {
    const double *values;
    const guint *blocks;
    gsize n;
} DuetSeries;

/**
 * DuetContrast: two series compared, a against b. NAN: not defined (null in JSON).
 * @ratio: median of a over median of b, with its 95 % bootstrap interval
 * @difference: median of a less median of b, with its 95 % bootstrap interval
 * @p: two-sided permutation test, (1 + hits) / (1 + resamples), of the sum of a's places among all
 *     values (Wilcoxon 1945, Mann and Whitney 1947; without blocks, that of @cliffs_delta): every
 *     value has its part in it, and a wild one no more than the others
 * @p_least: below this @p can't be, however far the series are apart
 * @p_holm: @p after duet_holm() over all comparisons of a report; @p until then
 * @cliffs_delta: how often a value of a exceeds one of b, less how often it is below: -1 to 1
 * @log_sd: the bootstrap's standard deviation of ln(@ratio)
 * @detectable: the smallest relative effect that a run like this one finds 8 times in 10, by
 *     duet_stats_detectable(): of this comparison alone, without a floor; duet_match_judge() makes
 *     it that of a report
 *
 * With blocks, the bootstrap draws whole blocks and the permutation swaps within blocks only:
 * what drifts over the run is common to both arms of a block and cancels.
 */
typedef struct {
    double ratio, ratio_low, ratio_high;
    double difference, difference_low, difference_high;
    double p, p_least, p_holm;
    double cliffs_delta;
    double log_sd, detectable;
} DuetContrast;

/**
 * duet_contrast:
 * @resamples: of bootstrap and permutation each; DUET_STATS_RESAMPLES but for tests
 *
 * Returns: %FALSE with %DUET_ERROR_INVALID when a series is empty or has a value that is not
 *     finite.
 */
gboolean duet_contrast(const DuetSeries *a, const DuetSeries *b, guint64 seed, guint resamples,
    DuetContrast *out_contrast, GError **error);

/** DuetPoints: @n points, all numbers finite. */
typedef struct {
    const double *x, *y;
    gsize n;
} DuetPoints;

/**
 * duet_contrast_lines: the slopes of duet_stats_line() through two sets of points, a against b.
 * Ratio and difference are those of the slopes; a ratio of what is not above 0 is NAN, and so is
 * Cliff's delta. The bootstrap draws points of each set with replacement. The permutation test is
 * of the difference of the slopes: what a line of each set, both with one slope, leaves of the
 * points is permuted over all of them (Freedman and Lane 1983).
 *
 * Returns: %FALSE with %DUET_ERROR_INVALID where there is no line through one of them.
 */
gboolean duet_contrast_lines(const DuetPoints *a, const DuetPoints *b, guint64 seed,
    guint resamples, DuetContrast *out_contrast, GError **error);

/**
 * duet_contrast_effect: how far the ratio is from 1: 0.25 of 0.8 as of 1.25. Where there is none,
 * as to a slope that is not above 0, nothing is too small: infinite.
 */
double duet_contrast_effect(const DuetContrast *contrast);

/** duet_holm: Holm's step-down adjustment of @n p-values; a NAN is no test and stays NAN. */
void duet_holm(const double *p, gsize n, double *out_adjusted);

G_END_DECLS
