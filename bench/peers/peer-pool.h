/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

#include "core/cgroup/cgroup.h"
#include "peer-run.h"

G_BEGIN_DECLS

/**
 * DuetPeerPool: a cgroup that holds all instances of a foreign engine to an amount of memory
 * together, like the pools of ours: the same kind of directory, made by the same code.
 * @cgroup: a member of ours in it, without processes, so that it is there before the first instance
 */
typedef struct {
    DuetCgroup *cgroup;
    char *path;
    DuetPeerArm *arm;
} DuetPeerPool;

/**
 * duet_peer_pool_new: makes it, as `{pool}` of @arm.
 * @spec: for an id of its own
 * Returns: (transfer full): or NULL with @error, which says why there can't be one.
 */
DuetPeerPool *duet_peer_pool_new(
    DuetPeerArm *arm, const DuetSpec *spec, guint64 memory_bytes, GError **error);

/** duet_peer_pool_used: Returns: what all in it use; of files only what the kernel would not give
 * back at once. */
guint64 duet_peer_pool_used(const DuetPeerPool *pool);

/** duet_peer_pool_free: removes it and what the engine made in it; the processes must be gone. */
void duet_peer_pool_free(DuetPeerPool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPeerPool, duet_peer_pool_free)

G_END_DECLS
