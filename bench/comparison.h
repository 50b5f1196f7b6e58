/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "inference.h"
#include "metric.h"

G_BEGIN_DECLS

/**
 * DuetVerdict:
 * @DUET_VERDICT_TOO_FEW: less than DUET_STATS_INTERVAL_MIN samples on a side; there is a contrast,
 *     but neither intervals nor a chance for the test to find anything
 * @DUET_VERDICT_NESTED: measured on emulated CPUs: not to be published
 */
typedef enum {
    DUET_VERDICT_DIFFERS,
    DUET_VERDICT_SAME,
    DUET_VERDICT_NO_KVM,
    DUET_VERDICT_TOO_FEW,
    DUET_VERDICT_FAILURES,
    DUET_VERDICT_NESTED,
    DUET_VERDICT_NO_DATA,
} DuetVerdict;

const char *duet_verdict_to_string(DuetVerdict verdict);
/** duet_verdict_withholds: Returns: whether no figure is shown beside this verdict. */
gboolean duet_verdict_withholds(DuetVerdict verdict);

/**
 * DuetComparison: one metric of an arm against that of another, of the same run or of two.
 * @a: index of an arm of the one run, @b: of the other (or the same) run
 * @contrast: to be shown unless duet_verdict_withholds() it
 */
typedef struct {
    guint a, b;
    DuetMetric metric;
    DuetContrast contrast;
    DuetVerdict verdict;
} DuetComparison;

/**
 * DuetMatch: what all comparisons of one report share.
 * @a, @b: whose arms are compared; the same run twice: its blocks pair the samples
 * @headline_to: where the headline ends
 * @ratio_with_failures: compare arms although samples of theirs failed
 * @seed: of all resampling
 * @floor: the smallest relative effect that may be called a difference
 */
typedef struct {
    const DuetRun *a, *b;
    DuetMark headline_to;
    gboolean ratio_with_failures;
    guint64 seed;
    double floor;
} DuetMatch;

/** duet_match_nested: Returns: whether one of the hosts was itself emulated. */
gboolean duet_match_nested(const DuetMatch *match);

/**
 * duet_match_add: appends the comparison of two arms to @comparisons (element-type
 * DuetComparison). Its verdict stands only after duet_match_judge().
 */
void duet_match_add(
    const DuetMatch *match, guint a, guint b, DuetMetric metric, GArray *comparisons);

/** duet_match_judge: corrects the p-values of a whole report by Holm and gives the verdicts. */
void duet_match_judge(const DuetMatch *match, GArray *comparisons);

/** duet_run_values: the values of one metric of an arm's good samples, in the order of measuring.
 * @out_values: (element-type double), @out_blocks: (nullable) (element-type guint): empty arrays
 */
void duet_run_values(const DuetRun *run, guint arm, DuetMetric metric, DuetMark headline_to,
    GArray *out_values, GArray *out_blocks);

G_END_DECLS
