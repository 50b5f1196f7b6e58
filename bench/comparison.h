/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "column.h"
#include "metric.h"

G_BEGIN_DECLS

/**
 * DuetVerdict:
 * @DUET_VERDICT_OTHER_KERNEL: they differ, and so do their kernels, which may be all of it
 * @DUET_VERDICT_TOO_FEW: less than DUET_STATS_INTERVAL_MIN samples on a side, or so few that among
 *     as many comparisons the test has no chance to find anything: there is a contrast, but no
 * effect is large enough
 * @DUET_VERDICT_NESTED: measured on emulated CPUs: not to be published
 * @DUET_VERDICT_MODES: the arms were not measured in one way: a ratio would compare the ways
 */
typedef enum {
    DUET_VERDICT_DIFFERS,
    DUET_VERDICT_SAME,
    DUET_VERDICT_NO_KVM,
    DUET_VERDICT_OTHER_KERNEL,
    DUET_VERDICT_TOO_FEW,
    DUET_VERDICT_FAILURES,
    DUET_VERDICT_NESTED,
    DUET_VERDICT_MODES,
    DUET_VERDICT_NO_DATA,
} DuetVerdict;

const char *duet_verdict_to_string(DuetVerdict verdict);
/** duet_verdict_withholds: Returns: whether no figure is shown beside this verdict. */
gboolean duet_verdict_withholds(DuetVerdict verdict);

typedef struct DuetMatch DuetMatch;

/**
 * DuetMeasure: what of a benchmark's arms is compared. Metrics are numbered from 0.
 * @n_default: so many of the first are compared where none is asked for
 * @beside: one more that is compared between arms of one run wherever both have a value, after the
 * others; 0: none
 * @unit, @estimate: of a value, as in names of a file's members: "ns", "median"
 * @headline: (nullable): where a run's headline ends; NULL: at its output, if it has one
 * @id: Returns: (transfer full) (nullable): a metric's name in files; NULL: not to be compared, or
 * not in both runs
 * @value: what stands for an arm; NAN: not known
 * @text: Returns: (transfer full): a value for people, with its unit
 * @difference: Returns: (transfer full): that of a contrast for people, with its interval
 * @pair: (nullable): @inout_metric: one of the first @n_default: what two arms are compared by in
 * its place. Returns: %FALSE where they are not to be compared
 * @alike: (nullable): Returns: whether two arms were measured in one way; NULL: all are
 * @confounded: (nullable): Returns: whether a difference of two arms may be that of their kernels;
 * NULL: none is
 * @contrast: @out_n: samples of the smaller side. Returns: %FALSE where there are no data
 * @higher_is_better: (nullable): whether a metric is a rate; NULL: all are times or costs
 * @tell: (nullable): adds to @notes what of two arms of two runs is no metric
 */
typedef struct {
    guint n_metrics, n_default;
    guint beside;
    const char *unit, *estimate;
    DuetMark (*headline)(const DuetRun *run);
    char *(*id)(const DuetMatch *match, guint metric);
    double (*value)(const DuetMatch *match, const DuetRun *run, guint arm, guint metric);
    char *(*text)(guint metric, double value);
    char *(*difference)(guint metric, const DuetContrast *contrast);
    gboolean (*pair)(const DuetMatch *match, guint a, guint b, guint *inout_metric);
    gboolean (*alike)(const DuetMatch *match, guint a, guint b);
    gboolean (*confounded)(const DuetMatch *match, guint a, guint b);
    gboolean (*contrast)(const DuetMatch *match, guint a, guint b, guint metric, guint64 seed,
        DuetContrast *out_contrast, gsize *out_n);
    gboolean (*higher_is_better)(const DuetRunArm *arm, guint metric);
    void (*tell)(const DuetMatch *match, guint a, guint b, GPtrArray *notes);
} DuetMeasure;

/** duet_measure_time_text, duet_measure_time_difference: #DuetMeasure.text and difference of times.
 */
char *duet_measure_time_text(guint metric, double ns);
char *duet_measure_time_difference(guint metric, const DuetContrast *contrast);

/** duet_measure_boot: medians of times; metrics are those of #DuetMetric. */
extern const DuetMeasure duet_measure_boot;

/**
 * DuetComparison: one metric of an arm against that of another, of the same run or of two.
 * @a: index of an arm of the one run, @b: of the other (or the same) run
 * @contrast: to be shown unless duet_verdict_withholds() it
 */
typedef struct {
    guint a, b;
    guint metric;
    DuetContrast contrast;
    DuetVerdict verdict;
} DuetComparison;

/**
 * DuetMatch: what all comparisons of one report share.
 * @measure: what is compared
 * @a, @b: whose arms are compared; the same run twice: its blocks pair the samples
 * @headline_to: where the headline ends
 * @ratio_with_failures: compare arms although samples of theirs failed
 * @seed: of all resampling
 * @floor: the smallest relative effect that may be called a difference
 */
struct DuetMatch {
    const DuetMeasure *measure;
    const DuetRun *a, *b;
    DuetMark headline_to;
    gboolean ratio_with_failures;
    guint64 seed;
    double floor;
};

/** duet_match_nested: Returns: whether one of the hosts was itself emulated. */
gboolean duet_match_nested(const DuetMatch *match);

/**
 * duet_match_add: appends the comparison of two arms to @comparisons (element-type
 * DuetComparison), for duet_match_judge().
 */
void duet_match_add(GArray *comparisons, guint a, guint b, guint metric);

/**
 * duet_match_judge: makes the contrasts of a whole report, on all processors, corrects their
 * p-values by Holm and gives the verdicts. What is detectable becomes that of a report of so many
 * tests, and of its floor.
 */
void duet_match_judge(const DuetMatch *match, GArray *comparisons);

/** duet_match_pair: Returns: (transfer full): "a / b", and the metric where a pair has several. */
char *duet_match_pair(const DuetMatch *match, const DuetComparison *comparison);
/** duet_match_pair_of: Returns: (transfer full): the same with other names, @a and @b. */
char *duet_match_pair_of(
    const DuetMatch *match, const DuetComparison *comparison, const char *a, const char *b);

/** duet_match_pairs: Returns: (transfer full) (element-type DuetComparison): each pair of the arms
 * of one run, judged. */
GArray *duet_match_pairs(const DuetMatch *match);

/** duet_run_values: adds one metric of an arm's good samples. */
void duet_run_values(
    const DuetRun *run, guint arm, DuetMetric metric, DuetMark headline_to, DuetColumn *out_column);

G_END_DECLS
