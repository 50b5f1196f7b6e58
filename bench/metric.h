/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * DuetMetric: what can be read off a sample. The first is the headline, `request` to `output`, or
 * to `exec` for a payload that prints nothing. Then one phase for each later mark: the time since
 * the mark before it *that the sample has*, so that the phases of a sample add up to its whole.
 * Last, in a run with peers, the arm as a whole command: from the fork to its first byte, and to
 * its end.
 */
typedef enum {
    DUET_METRIC_HEADLINE,
    DUET_METRIC_PHASE_FIRST,
    DUET_METRIC_PHASE_LAST = DUET_METRIC_PHASE_FIRST + DUET_MARK_RELEASED - 1,
    DUET_METRIC_TOTAL,
    DUET_METRIC_MANAGING_CPU,
    DUET_METRIC_PAYLOAD_CPU,
    DUET_METRIC_GUEST_KERNEL,
    DUET_METRIC_GUEST_AGENT,
    DUET_METRIC_READY,
    DUET_METRIC_STOPPING,
    DUET_METRIC_BARE_SPAWN,
    DUET_METRIC_CLONE,
    DUET_METRIC_COMMAND_OUTPUT,
    DUET_METRIC_COMMAND_EXIT,
    DUET_METRIC_COUNT,
    /* Those before are read off our own marks and counters, which no peer has. */
    DUET_METRIC_OWN_COUNT = DUET_METRIC_COMMAND_OUTPUT,
} DuetMetric;

/** duet_metric_of_phase: the phase that ends with @mark, which is not `request`. */
DuetMetric duet_metric_of_phase(DuetMark mark);
/** duet_metric_mark: the mark that a phase ends with; a metric that is no phase: `request`. */
DuetMark duet_metric_mark(DuetMetric metric);

/** duet_metric_id: Returns: (transfer full): its name in the result file ("phase_init"). */
char *duet_metric_id(DuetMetric metric, DuetMark headline_to);

/**
 * duet_metric_value:
 * Returns: %FALSE when the sample has no such value: not applicable to its kind, or not known.
 */
gboolean duet_metric_value(
    const DuetSample *sample, DuetMetric metric, DuetMark headline_to, double *out_ns);

/**
 * duet_metric_headline: `output` if every good sample has it, else `exec`.
 */
DuetMark duet_metric_headline(const DuetRun *run);

/** duet_metric_command: what a peer is compared by: its output if every good sample of it has some,
 * else its end. */
DuetMetric duet_metric_command(const DuetRun *run, guint arm);
/** duet_metric_main: Returns: what an arm is judged by: the headline, or duet_metric_command(). */
DuetMetric duet_metric_main(const DuetRun *run, guint arm);

G_END_DECLS
