/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>

#include "peers.h"
#include "supply.h"

G_BEGIN_DECLS

struct _DuetPeers {
    const DuetBenchRequest *request;
    DuetPeersUse use;
    DuetInstanceSampler *ours;
    DuetPeerSupply supply;
    DuetPeerPool *pool; /* the guard's: that of the arm under way */
    GPtrArray *arms;
    GPtrArray *skipped;
    guint n_names;
    gboolean interrupted;
    sigset_t old_signals;
};

/** duet_peers_wants_end: whether the user wants an end; takes the signal that says so. */
gboolean duet_peers_wants_end(DuetPeers *peers);

G_END_DECLS
