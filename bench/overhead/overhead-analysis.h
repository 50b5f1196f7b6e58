/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/comparison.h"
#include "bench/stats.h"

#include "overhead-test.h"

G_BEGIN_DECLS

/**
 * DuetOverheadArm: one arm's samples, described. An arm is one test in one kind of instance.
 * @exits: (element-type utf8): how the failed ones ended, with counts
 * @summary: one per value of the test; an n of 0: no good sample has it
 * @mode: (nullable): how its tool measured, where it had a choice; NULL also if samples differ
 * @modes_differ: they do
 */
typedef struct {
    guint ok, failed, timeouts;
    GPtrArray *exits;
    DuetSummary summary[DUET_OVERHEAD_VALUES_MAX];
    const char *mode;
    gboolean modes_differ;
} DuetOverheadArm;

/**
 * DuetOverheadAnalysis: all that a report shows, computed from the samples alone.
 * @tcg, @nested: as in #DuetAnalysis
 * @arms: as many as the run has
 * @comparisons: (element-type DuetComparison): of each test and value, each other arm against the
 *     baseline
 * @notes: (element-type DuetNote): what a reader must know of these figures
 */
typedef struct {
    gboolean tcg, nested;
    guint n_arms;
    DuetOverheadArm *arms;
    GArray *comparisons;
    GPtrArray *notes;
} DuetOverheadAnalysis;

DuetOverheadAnalysis *duet_overhead_analysis_new(const DuetRun *run, gboolean ratio_with_failures);
void duet_overhead_analysis_free(DuetOverheadAnalysis *analysis);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetOverheadAnalysis, duet_overhead_analysis_free)

/**
 * duet_overhead_arm_test: which test an arm is; its name tells ("cpu:vm").
 * Returns: NULL for an arm of another benchmark; never of a run that was read or made.
 */
const DuetOverheadTest *duet_overhead_arm_test(const DuetRunArm *arm);

/** duet_overhead_analysis_bad_arm: Returns: %TRUE if an arm has no good sample at all. */
gboolean duet_overhead_analysis_bad_arm(const DuetOverheadAnalysis *analysis);

/**
 * duet_overhead_baseline: what arm number @arm is compared with: the native arm of its test, else
 * the first arm of its test.
 */
guint duet_overhead_baseline(const DuetRun *run, guint arm);

/** duet_overhead_values: adds one value of an arm's good samples. */
void duet_overhead_values(const DuetRun *run, guint arm, guint value, DuetColumn *out_column);

/**
 * duet_overhead_series_name: Returns: (transfer full): whose values these are: an arm's, and where
 * its test has several, which ("disk-read:vm latency_mean_ns").
 */
char *duet_overhead_series_name(const DuetRun *run, guint arm, guint value);

/**
 * duet_overhead_mode: @out_differ: (nullable): whether good samples of an arm had not all the same.
 * Returns: (nullable): theirs, as in #DuetOverheadArm.
 */
const char *duet_overhead_mode(const DuetRun *run, guint arm, gboolean *out_differ);

/* Of at most 16 tests. */
#define DUET_OVERHEAD_METRICS (16 * DUET_OVERHEAD_VALUES_MAX)
/** duet_overhead_metric: Returns: the number by which comparisons know a value of @test. */
guint duet_overhead_metric(const DuetOverheadTest *test, guint value);
/** duet_overhead_metric_value: Returns: the value's number again. */
guint duet_overhead_metric_value(guint metric);

/** duet_measure_overhead: medians; metrics are those of duet_overhead_metric(). */
extern const DuetMeasure duet_measure_overhead;

/** duet_overhead_run_has: Returns: whether an arm of @run is @test. */
gboolean duet_overhead_run_has(const DuetRun *run, const DuetOverheadTest *test);

/** duet_overhead_comparison: Returns: (nullable): @arm against its baseline by value @value. */
const DuetComparison *duet_overhead_comparison(
    const DuetOverheadAnalysis *analysis, guint arm, guint value);

/** duet_overhead_notes_new: Returns: (transfer full): see #DuetOverheadAnalysis. */
GPtrArray *duet_overhead_notes_new(const DuetRun *run, const DuetOverheadAnalysis *analysis);

G_END_DECLS
