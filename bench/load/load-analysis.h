/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/comparison.h"
#include "bench/stats.h"
#include "load-point.h"

G_BEGIN_DECLS

/* A start that was requested so long after it was due, or after the first of those that were to be
 * at once with it, is late. */
#define DUET_LOAD_LATE_NS G_GINT64_CONSTANT(10000000)

/**
 * DuetLoadRow: one level of one arm, described.
 * @ok, @failed, @timeouts: starts; all figures are over the @ok ones
 * @first_error: (nullable): of the ones that are not
 * @latency: n of 0: none. Its interval is of whole batches drawn with replacement: starts of one
 *     batch disturb each other, and are not independent
 * @batches: the median latency of each batch, in the order of measuring, which may count as
 *     independent; n of 0: none
 * @per_second: starts per second of each batch: those that succeeded, over the time from the first
 *     request (with a rate: from when the first was due) to the last one's headline; n of 0: none
 * @late: how many were requested over DUET_LOAD_LATE_NS too late
 * @latest_ns: the most that one was; 0: none
 * @waiting: the most at the same time that were due and had not reached their headline
 * @cut: batches that were cut short, or not tried, to keep the host alive
 */
typedef struct {
    guint ok, failed, timeouts;
    const char *first_error;
    DuetSummary latency;
    DuetSummary batches;
    DuetSummary per_second;
    guint late;
    gint64 latest_ns;
    guint waiting;
    guint cut;
} DuetLoadRow;

/**
 * DuetLoadAnalysis: all that a report shows, computed from the samples alone.
 * @headline_to: where a latency ends: `output` if every good start has it, else `exec`
 * @rows: of arm a and variant v: rows[a * n_levels + v]
 * @comparisons: (element-type DuetComparison): each pair of arms at each level, by medians of whole
 *     batches; the metric is the variant
 */
typedef struct {
    gboolean tcg, nested;
    DuetMark headline_to;
    guint n_arms, n_levels;
    DuetLoadRow *rows;
    DuetMatch match;
    GArray *comparisons;
    GPtrArray *notes;
} DuetLoadAnalysis;

DuetLoadAnalysis *duet_load_analysis_new(const DuetRun *run, gboolean ratio_with_failures);
void duet_load_analysis_free(DuetLoadAnalysis *analysis);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetLoadAnalysis, duet_load_analysis_free)

/** DuetLoadTotal: how the starts of an arm ended, at all levels together. */
typedef struct {
    guint ok, failed, timeouts;
} DuetLoadTotal;

DuetLoadTotal duet_load_total(const DuetLoadAnalysis *analysis, guint arm);
const DuetLoadRow *duet_load_row(const DuetLoadAnalysis *analysis, guint arm, guint variant);

/** duet_load_analysis_bad_arm: Returns: %TRUE if at a level of an arm no start succeeded. */
gboolean duet_load_analysis_bad_arm(const DuetLoadAnalysis *analysis);

/** duet_load_headline: see #DuetLoadAnalysis. */
DuetMark duet_load_headline(const DuetRun *run);

/** duet_load_latency: of a start that succeeded: from its request; with a rate from when it was
 * due, whatever kept it from being requested then. */
double duet_load_latency(const DuetLoadStart *start, gboolean rate, DuetMark headline_to);

/**
 * duet_load_take_batch: adds a batch to @row, and its latencies to @latencies as of block @batch.
 * Returns: starts per second; NaN: not known.
 */
double duet_load_take_batch(const DuetLoadPoint *point, DuetMark headline_to, guint batch,
    DuetLoadRow *row, DuetColumn *latencies);

/** duet_load_latencies: adds those of a batch's starts that succeeded, as of the batch's block. */
void duet_load_latencies(const DuetSample *sample, DuetMark headline_to, DuetColumn *latencies);

/** duet_load_batch_medians: adds the median latency of each batch of an arm at @level: what starts
 * of one batch did to each other is in one value then, not in many that look independent. */
void duet_load_batch_medians(
    const DuetRun *run, guint arm, guint level, DuetMark headline_to, DuetColumn *out_column);

/** duet_load_is_of: Returns: whether a sample is a batch of that arm and level that counts. */
gboolean duet_load_is_of(const DuetSample *sample, guint arm, guint level);

/** duet_load_by_rate: Returns: %TRUE if starts arrive at a rate, %FALSE if so many are at once. */
gboolean duet_load_by_rate(const DuetPlan *plan);

/** duet_load_variant_text: Returns: (transfer full): a level of a plan: "x4", or "0.5/s". */
char *duet_load_variant_text(const DuetPlan *plan, guint variant);

/** duet_load_has: Returns: whether a plan has that level. */
gboolean duet_load_has(const DuetPlan *plan, guint level, gboolean rate);

/**
 * duet_load_interval: 95 % bootstrap interval of the median of all values, whole batches drawn with
 * replacement (percentile method).
 * @batch: of each value; 0 to @n_batches - 1
 * Leaves both as they are below DUET_STATS_INTERVAL_MIN batches.
 */
void duet_load_interval(const double *values, const guint *batch, gsize n, guint n_batches,
    guint64 seed, double *out_low, double *out_high);

/** duet_measure_load: medians of batches; a metric is a level, by its place in the plan of a. */
extern const DuetMeasure duet_measure_load;

/** duet_load_notes_new: Returns: (transfer full): what a reader must know. */
GPtrArray *duet_load_notes_new(const DuetRun *run, const DuetLoadAnalysis *analysis);

/** Renderings. Returns: (transfer full). */
char *duet_load_plan_text(const DuetRun *run);
char *duet_load_table(const DuetRun *run, const DuetLoadAnalysis *analysis);
char *duet_load_result(const DuetRun *run, const DuetLoadAnalysis *analysis);
char *duet_load_csv(const DuetRun *run, const DuetLoadAnalysis *analysis);
char *duet_load_markdown(const DuetRun *run, const DuetLoadAnalysis *analysis);
char *duet_load_openmetrics(const DuetRun *run, const DuetLoadAnalysis *analysis);
char *duet_load_benchstat(const DuetRun *run, const DuetLoadAnalysis *analysis);
char *duet_load_phoronix(const DuetRun *run, const DuetLoadAnalysis *analysis);

G_END_DECLS
