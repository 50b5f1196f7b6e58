/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>

#include "peers.h"
#include "supply.h"

G_BEGIN_DECLS

/* @arms: (element-type DuetPeerArm); @skipped: (element-type utf8) */
struct _DuetPeers {
    const DuetBenchRequest *request;
    DuetPeersUse use;
    DuetInstanceSampler *ours;
    DuetPeerSupply supply;
    DuetPeerGuard *guard;
    DuetPeerPool *pool; /* which the guard knows of */
    GPtrArray *arms;
    GPtrArray *skipped;
    guint n_names;
    gboolean interrupted;
    sigset_t old_signals;
};

/** duet_peers_wants_end: whether the user wants an end; takes the signal that says so. */
gboolean duet_peers_wants_end(DuetPeers *peers);

/** duet_peers_remove_ours: ends and removes the instance of ours that has that name. Returns:
 * whether there was one. */
gboolean duet_peers_remove_ours(DuetPeers *peers, const char *name);

G_END_DECLS
