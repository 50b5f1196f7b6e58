/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/inference.h"

G_BEGIN_DECLS

/**
 * DuetFindingVerdict: what became of a claim.
 * @DUET_FINDING_UNDECIDED: tried, and nothing follows from it
 */
typedef enum {
    DUET_FINDING_HOLDS,
    DUET_FINDING_FAILS,
    DUET_FINDING_UNDECIDED,
    DUET_FINDING_NOT_RUN,
} DuetFindingVerdict;

/** duet_finding_verdict_to_string: "holds", "does not hold", "undecided", "not run". */
const char *duet_finding_verdict_to_string(DuetFindingVerdict verdict);

/**
 * DuetFinding: one claim tried.
 * @why: (nullable): what was seen, or why there is no other verdict
 * @unit: (nullable): what @value is: "vm / container", "CPUs"; NULL: there is no figure
 * @value, @low, @high: the figure and its 95 % interval; NAN: not known
 * @contrasted: @contrast, of a VM against a container, has yet to become a verdict, which is
 *     duet_finding_judge()'s
 * @seen: (nullable): what such a verdict tells before its p
 * @tcg: the VM ran without hardware virtualization
 * @is_bound: but for that it would hold: the figure is an upper bound
 * @floor: the smallest relative effect that is called one
 */
typedef struct {
    DuetFindingVerdict verdict;
    char *why;
    const char *unit;
    double value, low, high;
    gboolean contrasted, tcg, is_bound;
    char *seen;
    double floor;
    DuetContrast contrast;
} DuetFinding;

void duet_finding_init(DuetFinding *finding);
void duet_finding_clear(DuetFinding *finding);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetFinding, duet_finding_clear)

void duet_finding_set(DuetFinding *finding, DuetFindingVerdict verdict, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
/** duet_finding_figure: NAN where there is no interval. @unit: a constant. */
void duet_finding_figure(
    DuetFinding *finding, const char *unit, double value, double low, double high);

/**
 * duet_finding_direction: the verdict on a claim that a ratio is above 1.
 * @low, @high: of its interval
 * @tcg: emulation makes the ratio larger: then only the contrary can be shown
 */
void duet_finding_direction(
    DuetFinding *finding, double low, double high, gboolean tcg, const char *seen);

/** duet_finding_judge: the verdict of a finding that is contrasted, by its p-value after Holm. */
void duet_finding_judge(DuetFinding *finding, double p_holm);

G_END_DECLS
