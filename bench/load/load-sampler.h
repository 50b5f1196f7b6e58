/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>

#include "bench/instance/instance-sampler.h"
#include "load-batch.h"

G_BEGIN_DECLS

/**
 * DuetLoadSampler: takes the samples of `bench boot --parallel` and `--rate`: each one is a batch
 * of starts, each of which runs an instance to its end as a sample of `bench boot` does. From init
 * to clear signals that end a process are held back: what was measured must reach the file.
 * @one: takes an arm's warm-up, and in a process of its own each start
 * @too_much: per arm, the smallest level that the host could not bear; 0: none yet
 */
typedef struct {
    DuetInstanceSampler one;
    const DuetBenchRequest *request;
    DuetRun *run;
    gboolean interrupted;
    guint *too_much;
    sigset_t old_signals;
} DuetLoadSampler;

void duet_load_sampler_init(
    DuetLoadSampler *sampler, const DuetBenchRequest *request, DuetRun *run);
void duet_load_sampler_clear(DuetLoadSampler *sampler);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetLoadSampler, duet_load_sampler_clear)

/** duet_load_sampler_check: Returns: %FALSE with %DUET_ERROR_STATE where so many guests at once
 * might use up the host's memory. */
gboolean duet_load_sampler_check(const DuetLoadSampler *sampler, GError **error);

/** duet_load_sampler_take: a #DuetSampleFunc; @data is the sampler. */
gboolean duet_load_sampler_take(DuetSample *sample, gpointer data, GError **error);
/** duet_load_sampler_interrupted: for the runner. */
gboolean duet_load_sampler_interrupted(const DuetSample *sample, gpointer data);

G_END_DECLS
