/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/analysis.h"
#include "idle.h"
#include "bench/instance/instance-sampler.h"

G_BEGIN_DECLS

/* How old an idle instance is when its memory is read: METHOD's 10 s are for `bench memory`. */
#define DUET_COMPARE_AGE_MS 2000

/**
 * DuetCompareView: all that `duet compare` shows.
 * @idle: one per arm
 */
typedef struct {
    const DuetRun *run;
    const DuetAnalysis *analysis;
    const DuetInstanceSampler *sampler;
    const DuetIdle *idle;
    gboolean color;
    gboolean ratio_with_failures;
} DuetCompareView;

/** duet_compare_text: Returns: (transfer full): the view for a terminal of 80 columns. */
char *duet_compare_text(const DuetCompareView *view);

/**
 * duet_compare_json: Returns: (transfer full): the result file of the run, with "outputs" and
 *     "idle_memory" beside its members.
 */
char *duet_compare_json(const DuetCompareView *view);

/** duet_compare_sample: Returns: (nullable): the one sample of an arm that counts. */
const DuetSample *duet_compare_sample(const DuetRun *run, guint arm);

G_END_DECLS
