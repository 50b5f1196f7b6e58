/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/comparison.h"

G_BEGIN_DECLS

/**
 * DuetAgainst: a second run against a first one, arm by arm.
 * @first_path, @second_path: where they were read from, as shown
 * @match: its a is the second run, its b the first: ratios tell what became of the first
 * @mismatches: (element-type utf8): why they should not be compared; empty unless forced
 * @changes: (element-type utf8): what else is not the same
 * @unmatched: (element-type utf8): arms that only one of them has
 * @tcg: an arm of either ran under QEMU's TCG
 * @comparisons: (element-type DuetComparison)
 * @notes: (element-type DuetNote)
 */
typedef struct {
    char *first_path, *second_path;
    DuetMatch match;
    GPtrArray *mismatches;
    GPtrArray *changes;
    GPtrArray *unmatched;
    gboolean tcg;
    GArray *comparisons;
    GPtrArray *notes;
} DuetAgainst;

/**
 * DuetAgainstOptions:
 * @metrics: (nullable): comma-separated ids as in the result file; NULL: the headline
 * @floor: negative: the larger one of both plans
 * @force: compare what is not alike
 */
typedef struct {
    const char *metrics;
    double floor;
    gboolean force;
    gboolean ratio_with_failures;
} DuetAgainstOptions;

/**
 * duet_against_new:
 * @first, @second: of one benchmark, which has a measure; must outlive the result
 *
 * Returns: (transfer full): or NULL with %DUET_ERROR_INVALID if the runs are not alike, have no
 *     arm in common, or a metric is unknown.
 */
DuetAgainst *duet_against_new(const DuetRun *first, const char *first_path, const DuetRun *second,
    const char *second_path, const DuetAgainstOptions *options, GError **error);
void duet_against_free(DuetAgainst *against);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetAgainst, duet_against_free)

/** The views of it. Returns: (transfer full). The table fits 80 columns. */
char *duet_against_table(const DuetAgainst *against);
char *duet_against_markdown(const DuetAgainst *against);
char *duet_against_json(const DuetAgainst *against);

/**
 * duet_likeness: what two runs do not have in common.
 * @out_mismatches: (element-type utf8): what makes a ratio of them meaningless: host, cache mode,
 *     and of arms with the same name kind, accelerator, image and command
 * @out_changes: (element-type utf8): what may be the very thing that one wants to compare
 */
void duet_likeness(
    const DuetRun *first, const DuetRun *second, GPtrArray *out_mismatches, GPtrArray *out_changes);

/** duet_run_find_arm: Returns: the index of the first arm of that name, or -1. */
int duet_run_find_arm(const DuetRun *run, const char *name);

G_END_DECLS
