/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetPeerGuard: a process that outlives ours, also a SIGKILL, and then ends and removes what ours
 * would have: nothing of a foreign engine ends with us by itself.
 */
typedef struct _DuetPeerGuard DuetPeerGuard;

/**
 * DuetPeerGuardOps: what that process does after our death, in this order.
 * @remove: for each name that is there; @who: whose it is, as duet_peer_guard_tell() said
 * @undo: once: all else
 */
typedef struct {
    void (*remove)(gint who, const char *name, gpointer data);
    void (*undo)(gpointer data);
} DuetPeerGuardOps;

/**
 * duet_peer_guard_new:
 * Returns: (transfer full): or NULL with @error.
 *
 * It knows all that we know now, and holds what is open now, so that what a dead run is told by is
 * there until it is done.
 */
DuetPeerGuard *duet_peer_guard_new(const DuetPeerGuardOps *ops, gpointer data, GError **error);

/**
 * duet_peer_guard_renew: has it know all that we know now.
 * Returns: %FALSE with @error: it stands as it was.
 */
gboolean duet_peer_guard_renew(DuetPeerGuard *guard, GError **error);

/** duet_peer_guard_tell: before an instance of that name is started, and after it was removed. */
void duet_peer_guard_tell(DuetPeerGuard *guard, gint who, const char *name, gboolean is_there);

/** duet_peer_guard_session: Returns: (transfer none): where the session of the command under way is
 * put, or 0; it is ended first. */
gint *duet_peer_guard_session(DuetPeerGuard *guard);

/** duet_peer_guard_free: ends it: all was removed. */
void duet_peer_guard_free(DuetPeerGuard *guard);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPeerGuard, duet_peer_guard_free)

G_END_DECLS
