/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * DuetSampleFunc: takes one sample. Arm, block and seq of @sample are set; the rest is filled in.
 * A payload that fails is a sample with that status, not an error.
 *
 * Returns: %FALSE with @error when no sample of this arm can ever succeed (there is no such
 *     command in the image): the runner then gives up if it was the arm's warm-up, else counts a
 *     failure.
 */
typedef gboolean (*DuetSampleFunc)(DuetSample *sample, gpointer data, GError **error);

/**
 * DuetRunner: what carries out a plan.
 * @take: the seam between the plan and what is measured: an instance, a foreign engine, a test
 * @interrupted: (nullable): asked after each sample whether the user wants an end
 * @progress: (nullable): one line before each sample; NULL at the end
 * @record: (nullable): called after each sample, which is the run's latest; may end the run
 */
typedef struct {
    DuetSampleFunc take;
    gboolean (*interrupted)(const DuetSample *sample, gpointer data);
    gpointer data;
    void (*progress)(const char *line, gpointer data);
    gpointer progress_data;
    gboolean (*record)(const DuetRun *run, gpointer data, GError **error);
    gpointer record_data;
} DuetRunner;

/**
 * duet_runner_run: one discarded sample of each arm, then the plan's order; all go into
 * @run->samples. Never repeats and never drops one. A run that was resumed has some: it goes on
 * with the next of the plan, after a warm-up of each arm.
 */
gboolean duet_runner_run(const DuetRunner *runner, DuetRun *run, GError **error);

G_END_DECLS
