/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

#include "peer.h"

G_BEGIN_DECLS

/**
 * DuetPeerSupply: what peers are given: the image in forms that they can take, made on demand.
 * @context: whose store has the image
 * @spec: whose image, payload and limits they get
 * @dir: an own directory of this run on the file system of the store, so that no engine has a
 *     faster disk than ours
 * @lock_fd: held while the run lives: a directory without is a dead run's
 * @shared: (element-type utf8 utf8): placeholders that are the same for all peers
 */
typedef struct {
    DuetContext *context;
    const DuetSpec *spec;
    char *dir;
    int lock_fd;
    GHashTable *shared;
} DuetPeerSupply;

/** duet_peer_supply_init: makes the directory; removes those of runs that were killed. */
gboolean duet_peer_supply_init(
    DuetPeerSupply *supply, DuetContext *context, const DuetSpec *spec, GError **error);
/** duet_peer_supply_clear: removes the directory and what is mounted in it. @error is in the way of
 * nothing else. */
gboolean duet_peer_supply_clear(DuetPeerSupply *supply, GError **error);

/**
 * duet_peer_supply_values: makes what @peer's placeholders stand for.
 * Returns: (transfer full) (element-type utf8 utf8): all but {name}.
 */
GHashTable *duet_peer_supply_values(DuetPeerSupply *supply, const DuetPeer *peer, GError **error);

/** duet_peer_uses_guest: Returns: whether @peer boots what our VMs boot. */
gboolean duet_peer_uses_guest(const DuetPeer *peer);
/** duet_peer_supply_guest: learns from a VM of ours, once, what foreign ones boot, and on what. */
gboolean duet_peer_supply_guest(DuetPeerSupply *supply, GError **error);

/** duet_peer_bundle_write: config.json of an OCI runtime for @spec, rootfs beside it. */
gboolean duet_peer_bundle_write(const char *dir, const DuetSpec *spec, GError **error);

G_END_DECLS
