/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>

#include <duet/bench.h>

#include "bench/runner.h"
#include "ksm.h"

G_BEGIN_DECLS

/**
 * DuetMemorySampler: takes the samples of `bench memory`: each one is so many instances of an arm
 * at the same time, read when the youngest is old enough, and gone again. From init to clear
 * signals that end a process are held back: what was measured must reach the file.
 * @run: its arms get their driver's facts
 * @ksm: (nullable): to be waited for: it is switched on for the run
 * @interrupted: the user wanted an end
 * @read_host: duet_host_memory_read(), but for tests
 * @block: the last one that was begun, and 1; 0: none yet
 * @too_many: per arm, the smallest count that the host had no room for; 0: none yet
 */
typedef struct {
    const DuetBenchRequest *request;
    DuetRun *run;
    DuetKsm *ksm;
    gboolean interrupted;
    gboolean (*read_host)(DuetHostMemory *out_memory, GError **error);
    guint block;
    guint *too_many;
    sigset_t old_signals;
} DuetMemorySampler;

void duet_memory_sampler_init(
    DuetMemorySampler *sampler, const DuetBenchRequest *request, DuetRun *run);
void duet_memory_sampler_clear(DuetMemorySampler *sampler);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetMemorySampler, duet_memory_sampler_clear)

/**
 * duet_memory_sampler_begin: refuses where the host has no room, then reads it for as long as a
 * sample takes, with nothing of ours running: how much of a difference is noise.
 * Returns: %FALSE with @error; a wish of the user to end is none, but in @interrupted.
 */
gboolean duet_memory_sampler_begin(DuetMemorySampler *sampler, GError **error);

/** duet_memory_sampler_take: a #DuetSampleFunc; @data is the sampler. */
gboolean duet_memory_sampler_take(DuetSample *sample, gpointer data, GError **error);
/** duet_memory_sampler_interrupted: for the runner. */
gboolean duet_memory_sampler_interrupted(const DuetSample *sample, gpointer data);

G_END_DECLS
