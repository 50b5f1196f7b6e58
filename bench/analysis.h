/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "comparison.h"
#include "stats.h"

G_BEGIN_DECLS

/**
 * DuetArmAnalysis: one arm's samples, described.
 * @ok, @failed, @timeouts: how many of each; all figures are over the @ok ones
 * @summary: one per metric; an n of 0: no good sample has it
 * @censored_median_ns: median of the headline with time-outs counted as slower than all;
 *     NAN when it would fall among them
 * @exits: (element-type utf8): how the bad ones ended ("exit 1", "timed out"), with counts
 */
typedef struct {
    guint ok, failed, timeouts;
    DuetSummary summary[DUET_METRIC_COUNT];
    double censored_median_ns;
    GPtrArray *exits;
} DuetArmAnalysis;

/**
 * DuetAnalysis: all that a report shows, computed from the samples alone.
 * @headline_to: where the headline ends
 * @tcg: an arm ran under QEMU's TCG, without hardware virtualization
 * @nested: the host's own CPUs were emulated
 * @match, @comparisons: (element-type DuetComparison): each pair of arms, in the order of the arms,
 *     by the headline, and after them by the CPU time of the managing processes; of ours with peers
 *     by the times of whole commands, of peers among themselves none
 * @notes: (element-type DuetNote): what a reader must know of these figures
 */
typedef struct {
    DuetMark headline_to;
    gboolean tcg, nested;
    guint n_arms;
    DuetArmAnalysis *arms;
    DuetMatch match;
    GArray *comparisons;
    GPtrArray *notes;
} DuetAnalysis;

/**
 * duet_analysis_new:
 * @ratio_with_failures: compare arms although samples of theirs failed
 */
DuetAnalysis *duet_analysis_new(const DuetRun *run, gboolean ratio_with_failures);
void duet_analysis_free(DuetAnalysis *analysis);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetAnalysis, duet_analysis_free)

/**
 * duet_analysis_exits: counts an arm's samples by how they ended, discarded ones left out.
 * Returns: (transfer full) (element-type utf8): how the bad ones did, with counts.
 */
GPtrArray *duet_analysis_exits(
    const DuetRun *run, guint arm, guint *out_ok, guint *out_failed, guint *out_timeouts);

/** duet_analysis_comparisons: Returns: (transfer full) (element-type DuetComparison): those of one
 * metric. */
GArray *duet_analysis_comparisons(const DuetAnalysis *analysis, DuetMetric metric);

/** duet_analysis_bad_arm: Returns: %TRUE if an arm has no good sample at all. */
gboolean duet_analysis_bad_arm(const DuetAnalysis *analysis);

G_END_DECLS
