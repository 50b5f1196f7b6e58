/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>

#include <duet/bench.h>

#include "bench/result/journal.h"
#include "bench/peers/peers.h"
#include "bench/result/run.h"
#include "density-crowd.h"

G_BEGIN_DECLS

typedef struct DuetDensitySampler DuetDensitySampler;

/**
 * DuetDensitySampler: takes the samples of `bench density`: starts instances of an arm until a
 * rule forbids one more, asks all that run, and ends them. From init to clear signals that end a
 * process are held back: what was measured must reach the file.
 * @run: gets samples, outcomes and the drivers' facts
 * @peers: (nullable): whose arms come behind ours in @run
 * @journal: (nullable): gets each start, between two, and each arm's outcome before its instances
 * end
 * @read_host: duet_density_host_read(), but for tests
 * @new_crowd: (transfer full): of an arm of @run, ours or a peer's, but for tests
 */
struct DuetDensitySampler {
    const DuetBenchRequest *request;
    DuetRun *run;
    DuetPeers *peers;
    DuetJournal *journal;
    gboolean (*read_host)(DuetDensityHost *out_host, GError **error);
    DuetDensityCrowd *(*new_crowd)(
        DuetDensitySampler *sampler, guint arm, guint64 limit_bytes, GError **error);
    sigset_t old_signals;
};

/** duet_density_sampler_init: @run: (nullable): to be set before the sampler runs. */
void duet_density_sampler_init(
    DuetDensitySampler *sampler, const DuetBenchRequest *request, DuetRun *run);
void duet_density_sampler_clear(DuetDensitySampler *sampler);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetDensitySampler, duet_density_sampler_clear)

/**
 * duet_density_sampler_run: the warm-ups of all arms, so that one that can't run shows before time
 * is spent on another; then all arms, in the plan's order. What the user's signal ended is in
 * @run->interrupted. A run that was resumed has arms that are over: it goes on with the others. An
 * arm that could not be brought to an end has no bound, and a warning says
 * why. Returns: %FALSE with @error when nothing could be measured: the warm-up of an arm failed in
 * a way that each start would, or no arm came to an end.
 */
gboolean duet_density_sampler_run(DuetDensitySampler *sampler, GError **error);

G_END_DECLS
