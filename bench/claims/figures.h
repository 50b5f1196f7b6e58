/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/memory/memory-analysis.h"
#include "bench/metric.h"
#include "finding.h"

G_BEGIN_DECLS

/** DuetFigureFunc: Returns: %FALSE: the sample does not tell. */
typedef gboolean (*DuetFigureFunc)(
    const DuetSample *sample, DuetMark headline_to, double *out_value);

/** duet_figure_start: from request to the first output. */
gboolean duet_figure_start(const DuetSample *sample, DuetMark headline_to, double *out_ns);
/** duet_figure_total: from request until all is released. */
gboolean duet_figure_total(const DuetSample *sample, DuetMark headline_to, double *out_ns);

/**
 * duet_figure_contrast: two arms of a run against each other.
 * @out_n: samples of the arm that has less
 * Returns: %FALSE: an arm has no such value.
 */
gboolean duet_figure_contrast(const DuetRun *run, guint a, guint b, DuetFigureFunc value,
    guint stream, DuetContrast *out_contrast, gsize *out_n);

/**
 * DuetSlopes: what an estimator says of the memory of one more instance, of one arm over another:
 * the ratio of the slopes, and its 95 % interval. NAN: not known.
 */
typedef struct {
    double ratio, low, high;
} DuetSlopes;

DuetSlopes duet_figure_slopes(
    const DuetMemoryAnalysis *analysis, guint a, guint b, DuetMemoryMetric metric);

/**
 * DuetReached: how many instances of one arm over how many of another were reached.
 * @low, @high: what that may be by these numbers: a limit at N tells that N fit and one more did
 *     not; an arm that no limit ended might have gone on. No interval: one run of each has none
 */
typedef struct {
    double ratio, low, high;
} DuetReached;

/** duet_figure_reached: at least one of each. */
DuetReached duet_figure_reached(const DuetDensityOutcome *a, const DuetDensityOutcome *b);

/** duet_figure_arm: Returns: the first arm of a kind, or -1. */
int duet_figure_arm(const DuetRun *run, const char *kind);

/** duet_figure_failed: Returns: (transfer full) (nullable): how samples of an arm failed. */
char *duet_figure_failed(const DuetRun *run, guint arm);

G_END_DECLS
