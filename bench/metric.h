/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "run.h"

G_BEGIN_DECLS

/**
 * DuetMetric: what can be read off a sample. The first is the headline, `request` to `output`, or
 * to `exec` for a payload that prints nothing. Then one phase for each later mark: the time since
 * the mark before it *that the sample has*, so that the phases of a sample add up to its whole.
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
    DUET_METRIC_COUNT,
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

G_END_DECLS
