/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/** DuetDensityAnswer: what became of a probe. */
typedef enum {
    DUET_DENSITY_ANSWERED,
    DUET_DENSITY_ENDED,
    DUET_DENSITY_SILENT,
} DuetDensityAnswer;

/**
 * duet_density_probe: whether each instance still runs and answers: an exec of `true`, or where the
 * image has none, the word of the instance's agent that it has none.
 * @instances: (element-type DuetInstance)
 * @timeout_ms: for each
 * @out_answers: one for each
 *
 * Each is asked by a child of ours: an exec waits for ever for an instance that hangs. A signal
 * that is held back ends the asking: those that were not asked are silent.
 */
void duet_density_probe(GPtrArray *instances, guint timeout_ms, DuetDensityAnswer *out_answers);

G_END_DECLS
