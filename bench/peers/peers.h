/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "bench/instance/instance-sampler.h"
#include "guard.h"
#include "peer-pool.h"

G_BEGIN_DECLS

/**
 * DuetPeers: the foreign engines of a run. While there are any, signals that end a process are held
 * back, as engines and what they were given must be removed; where this process is killed all the
 * same, a guard does that (#DuetPeerGuard).
 */
typedef struct _DuetPeers DuetPeers;

/**
 * DuetPeersUse: what their samples are.
 * @DUET_PEERS_COMMANDS: whole commands that end
 * @DUET_PEERS_INSTANCES: instances that stay
 */
typedef enum {
    DUET_PEERS_COMMANDS,
    DUET_PEERS_INSTANCES,
} DuetPeersUse;

/**
 * duet_peers_open: finds those that the request names, checks what they need, gives them the image
 * and lets each run the payload once. One that can't is left out, and said so.
 *
 * Returns: (transfer full): or NULL with @error: a file is wrong, there is no such peer, or the
 *     request has what peers can't be given.
 */
DuetPeers *duet_peers_open(const DuetBenchRequest *request, DuetPeersUse use, GError **error);
guint duet_peers_count(const DuetPeers *peers);

/** duet_peers_join: adds their arms to @run, behind ours, and whom it was left without. */
void duet_peers_join(DuetPeers *peers, DuetRun *run);
/** duet_peers_measure: @ours: what takes samples of our own arms from now on. */
void duet_peers_measure(DuetPeers *peers, DuetInstanceSampler *ours);

/**
 * duet_peers_take: a #DuetSampleFunc, @data the #DuetPeers: a whole command of any arm; of ours
 * then a sample of an instance, too.
 */
gboolean duet_peers_take(DuetSample *sample, gpointer data, GError **error);

/** duet_peers_arm: Returns: (transfer none): one of them, from 0, for its instances. */
DuetPeerArm *duet_peers_arm(DuetPeers *peers, guint i);
/** duet_peers_name: Returns: (transfer full): a name for an instance that nothing else has; none
 * begins with another. */
char *duet_peers_name(DuetPeers *peers);
/**
 * duet_peers_tell: before an instance of that name is started, and after it was removed: what is
 * there is removed also if this process dies, and so is all that the peers were given; see
 * #DuetPeerGuard.
 * @arm: (nullable): whose it is; NULL: ours
 */
void duet_peers_tell(DuetPeers *peers, const DuetPeerArm *arm, const char *name, gboolean is_there);
/**
 * duet_peers_use_pool: the same for a pool.
 * @pool: (nullable): that the instances are in from now on; NULL: in none
 * Returns: %FALSE with @error: it would stay.
 */
gboolean duet_peers_use_pool(DuetPeers *peers, DuetPeerPool *pool, GError **error);

/** duet_peers_interrupted: whether the user wants an end. */
gboolean duet_peers_interrupted(const DuetSample *sample, gpointer data);

/** duet_peers_close: undoes what was prepared and frees. Adds to @warnings what could not be. */
void duet_peers_close(DuetPeers *peers, GPtrArray *warnings);
void duet_peers_free(DuetPeers *peers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPeers, duet_peers_free)

G_END_DECLS
