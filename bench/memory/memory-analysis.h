/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "memory-metric.h"
#include "bench/comparison.h"
#include "bench/stats.h"

G_BEGIN_DECLS

/* Estimators further apart than this are said to disagree. */
#define DUET_MEMORY_DISAGREEMENT 0.10

/* What is told of instances that were shrunk: what each gave back, by each estimator, and these. */
enum {
    DUET_SHRUNK_RAM = DUET_MEMORY_ESTIMATORS,
    DUET_SHRUNK_TOOK,
    DUET_SHRUNK_TOTAL_BEFORE,
    DUET_SHRUNK_TOTAL,
    DUET_SHRUNK_AVAILABLE,
    DUET_SHRUNK_COUNT,
};

/**
 * DuetMemoryRow: one count of one arm.
 * @median: of the estimators and MemFree; NAN: not known
 * @ksm_saved_bytes, @ksm_waited_ns, @ksm_cpu_ns: medians of what KSM saved, how long it took to
 *     settle, and what ksmd used from before the first start on; NAN: not known, or it was not on
 * @ksm_settled: in how many samples it did
 * @shrunk: `--balloon`: medians of what one instance freed, how long that took, and what its guest
 *     has; NAN: not known
 * @n_shrunk: in how many samples all took it
 */
typedef struct {
    guint count;
    guint ok, failed;
    double median[DUET_MEMORY_FREE + 1];
    double ksm_saved_bytes, ksm_waited_ns, ksm_cpu_ns;
    guint ksm_settled;
    double shrunk[DUET_SHRUNK_COUNT];
    guint n_shrunk;
} DuetMemoryRow;

/**
 * DuetMemoryArm: one arm's samples, described.
 * @exits: (element-type utf8): how the failed ones ended, with counts
 * @rows: one for each count of the plan, ascending
 * @lines: of each metric over the number of instances, from samples with one at least; a slope of
 *     NAN: there are no two different numbers. Intervals are of the estimators only.
 * @most, @least: the estimators with the largest and the smallest slope; equal: none or one known
 */
typedef struct {
    guint ok, failed;
    GPtrArray *exits;
    DuetMemoryRow *rows;
    DuetLine lines[DUET_MEMORY_METRIC_COUNT];
    DuetMemoryMetric most, least;
} DuetMemoryArm;

/**
 * DuetMemoryAnalysis: all that a report shows, computed from the samples alone.
 * @tcg, @nested: as in #DuetAnalysis; nested: no line is to be shown
 * @noise_bytes: how far MemAvailable of the idle host moved before the first sample
 * @zero_noise_bytes: the same during samples of 0 instances, the most; NAN: there are none
 * @match, @comparisons: (element-type DuetComparison): each pair of arms by each estimator's slope
 * @notes: (element-type DuetNote): what a reader must know of these figures
 */
typedef struct {
    gboolean tcg, nested;
    guint n_arms, n_rows;
    DuetMemoryArm *arms;
    double noise_bytes, zero_noise_bytes;
    DuetMatch match;
    GArray *comparisons;
    GPtrArray *notes;
} DuetMemoryAnalysis;

/** duet_memory_analysis_new: @ratio_with_failures: compare arms although samples of theirs failed.
 */
DuetMemoryAnalysis *duet_memory_analysis_new(const DuetRun *run, gboolean ratio_with_failures);
void duet_memory_analysis_free(DuetMemoryAnalysis *analysis);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetMemoryAnalysis, duet_memory_analysis_free)

/** duet_memory_analysis_bad_arm: Returns: %TRUE if an arm has no good sample at all. */
gboolean duet_memory_analysis_bad_arm(const DuetMemoryAnalysis *analysis);

/** duet_measure_memory: what one more instance takes; metrics are those of #DuetMemoryMetric. */
extern const DuetMeasure duet_measure_memory;

/**
 * duet_memory_points: one metric of an arm's good samples over how many instances they had.
 * @count: of samples with that many; G_MAXUINT: of all with at least one. The host without an
 *     instance is what use is measured against: a point there would say nothing of fixed costs.
 * @out_x, @out_y: (transfer full) (element-type double)
 */
void duet_memory_points(const DuetRun *run, guint arm, DuetMemoryMetric metric, guint count,
    GArray **out_x, GArray **out_y);

/** duet_memory_ksm_rows: fills in the members of KSM of all rows of an arm. */
void duet_memory_ksm_rows(const DuetRun *run, guint arm, DuetMemoryRow *rows, guint n_rows);

/** duet_memory_balloon_rows, duet_memory_balloon_notes: the same of `--balloon`. */
void duet_memory_balloon_rows(const DuetRun *run, guint arm, DuetMemoryRow *rows, guint n_rows);
void duet_memory_balloon_notes(
    GPtrArray *notes, const DuetRun *run, const DuetMemoryAnalysis *analysis);

/** duet_memory_ksm_notes: what a reader must know of them. */
void duet_memory_ksm_notes(
    GPtrArray *notes, const DuetRun *run, const DuetMemoryAnalysis *analysis);

/** duet_memory_check: Returns: (transfer full) (element-type DuetNote): all that makes a run weak.
 */
GPtrArray *duet_memory_check(const DuetRun *run);

/** duet_memory_notes_new: Returns: (transfer full): see #DuetMemoryAnalysis. */
GPtrArray *duet_memory_notes_new(const DuetRun *run, const DuetMemoryAnalysis *analysis);

/**
 * duet_memory_disagreement: the larger slope over the smaller, less 1; infinite if one is not above
 * 0, NAN if one is not known.
 */
double duet_memory_disagreement(const DuetMemoryArm *arm, DuetMemoryMetric a, DuetMemoryMetric b);

/** duet_memory_managing_share: Returns: what of one more instance's PSS is monitor and worker; NAN:
 * not known. */
double duet_memory_managing_share(const DuetMemoryArm *arm);

/** duet_memory_noise: Returns: the most that MemAvailable of the idle host moved, before the run or
 * during samples of 0 instances; NAN: not known. */
double duet_memory_noise(const DuetMemoryAnalysis *analysis);

/** duet_memory_estimator_name: Returns: what people call one of the three. */
const char *duet_memory_estimator_name(DuetMemoryMetric estimator);

/**
 * duet_memory_parts: by what the slopes of two estimators of an arm differ, and why each does.
 * Returns: (transfer full): "file 45.0 MiB (...), kernel -3.1 MiB (...)": what @a has more than @b;
 *     what is below a tenth of the gap is left out.
 */
char *duet_memory_parts(
    const DuetMemoryAnalysis *analysis, guint arm, DuetMemoryMetric a, DuetMemoryMetric b);

/** duet_memory_estimator_notes: adds where the estimators of an arm disagree. */
void duet_memory_estimator_notes(
    GPtrArray *notes, const DuetRun *run, const DuetMemoryAnalysis *analysis, guint arm);

G_END_DECLS
