/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "peer-run.h"

G_BEGIN_DECLS

/**
 * DuetPeerGuard: a process that outlives ours, also a SIGKILL, and then removes the instances of a
 * foreign engine that ours would have removed: nothing of them ends with us by itself.
 */
typedef struct _DuetPeerGuard DuetPeerGuard;

/**
 * duet_peer_guard_new:
 * @undo: called in that process after it removed them, if ours died
 * Returns: (transfer full): or NULL with @error.
 *
 * It holds what is open now, so that what a dead run is told by is there until it is done.
 */
DuetPeerGuard *duet_peer_guard_new(
    DuetPeerArm *arm, void (*undo)(gpointer data), gpointer data, GError **error);

/** duet_peer_guard_tell: before an instance of that name is started, and after it was removed. */
void duet_peer_guard_tell(DuetPeerGuard *guard, const char *name, gboolean is_there);

/** duet_peer_guard_free: ends it: all was removed. */
void duet_peer_guard_free(DuetPeerGuard *guard);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPeerGuard, duet_peer_guard_free)

G_END_DECLS
