/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/run.h"
#include "peer.h"
#include "stopwatch.h"

G_BEGIN_DECLS

/**
 * DuetPeerArm: a peer that takes part in a run.
 * @values: (element-type utf8 utf8): its placeholders; {name} is another one in each sample
 * @argv: the payload
 * @version: what it said of itself, in a line; (nullable)
 * @session: (nullable): as of duet_lap_take()
 * @many: other instances of it may be there: what a key without {name} finds is no more taken for
 *     {name}'s
 * @began: in ticks since the host's boot: what had begun by then is none of its processes
 */
typedef struct {
    DuetPeer *peer;
    GHashTable *values;
    char *const *argv;
    char *version;
    gint *session;
    gboolean many;
    guint64 began;
} DuetPeerArm;

void duet_peer_arm_free(DuetPeerArm *arm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPeerArm, duet_peer_arm_free)

/**
 * duet_peer_arm_begin: before its first command: whatever runs now is none of its processes, and
 * is neither measured nor killed as one. Waits until a later one is told from these, a tick.
 */
void duet_peer_arm_begin(DuetPeerArm *arm);

/** duet_peer_arm_needs: Returns: %FALSE with @error, which says what of its needs is not there. */
gboolean duet_peer_arm_needs(DuetPeerArm *arm, GError **error);

/** duet_peer_arm_name: the instance's name from now on; writes its files anew. */
gboolean duet_peer_arm_name(DuetPeerArm *arm, const char *name, GError **error);

/** duet_peer_arm_do: all commands of a verb, one after the other, until one fails.
 * @out_text: (nullable) (out) (transfer full): what the last one printed */
gboolean duet_peer_arm_do(DuetPeerArm *arm, DuetPeerVerb verb, char **out_text, GError **error);

/** duet_peer_arm_timed: the same. @out_ns: what the commands took, each from its fork to its end */
gboolean duet_peer_arm_timed(
    DuetPeerArm *arm, DuetPeerVerb verb, char **out_text, gint64 *out_ns, GError **error);

/** duet_peer_arm_run: the whole command, timed. Returns: %FALSE with @error: it did not start. */
gboolean duet_peer_arm_run(DuetPeerArm *arm, gint64 timeout_ms, DuetLap *out_lap, GError **error);

/**
 * duet_peer_arm_left: waits for what is about to end, then looks what of {name} is still there.
 * No signal ends this or the removal.
 * Returns: (transfer full): what is left, in words, or NULL.
 */
char *duet_peer_arm_left(DuetPeerArm *arm);

/** duet_peer_arm_remove: removes what is left of {name}, and kills what of it still runs. */
void duet_peer_arm_remove(DuetPeerArm *arm);

/**
 * duet_peer_arm_members: its processes that belong to {name} and to no other instance of the peer;
 * what is below them does so, too.
 * Returns: (transfer full) (element-type gint)
 */
GArray *duet_peer_arm_members(DuetPeerArm *arm);

/** duet_peer_has_members: Returns: whether the file says how to find these. */
gboolean duet_peer_has_members(const DuetPeer *peer);

/** duet_peer_cgroup_processes: Returns: (transfer full) (element-type gint): those in the cgroups
 * that @pattern matches. */
GArray *duet_peer_cgroup_processes(const char *pattern);
/** duet_peer_wait_gone: until all have ended, 3 s at most. Returns: one that has not, or 0. */
gint duet_peer_wait_gone(const GArray *pids);

/** duet_lap_status: how a whole command ended, as a sample's status. */
DuetSampleStatus duet_lap_status(const DuetLap *lap);
/** duet_lap_complaint: Returns: (transfer full): the same in words; NULL if it is good. */
char *duet_lap_complaint(const DuetLap *lap);

G_END_DECLS
