/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "bench/instance/group.h"
#include "bench/peers/peers.h"
#include "density-probe.h"

G_BEGIN_DECLS

typedef struct DuetDensityCrowd DuetDensityCrowd;

/**
 * DuetDensityCrowdOps: how instances of an arm are started, looked at and ended. All are mandatory.
 * @start: one more. @sample: gets what is known of it beside its status; @out_ns: what it took.
 *     After a failure `drop_failed` must be called
 * @drop_failed: removes what the start that failed left; tells @sample what ended it
 * @find_ended: Returns: (transfer full) (nullable): that one is no more, for people
 * @used_bytes: what all use together
 * @read_memory: appends to @point those that run
 * @ask: @out_answers: one for each
 * @clear: ends and removes all, and checks that nothing is left
 */
typedef struct {
    gboolean (*start)(
        DuetDensityCrowd *crowd, DuetRun *run, DuetSample *sample, gint64 *out_ns, GError **error);
    void (*drop_failed)(DuetDensityCrowd *crowd, DuetSample *sample);
    char *(*find_ended)(DuetDensityCrowd *crowd, gboolean *out_oom);
    guint64 (*used_bytes)(DuetDensityCrowd *crowd);
    void (*read_memory)(DuetDensityCrowd *crowd, DuetMemoryPoint *point);
    void (*ask)(DuetDensityCrowd *crowd, guint timeout_ms, DuetDensityAnswer *out_answers);
    void (*clear)(DuetDensityCrowd *crowd, GPtrArray *warnings);
} DuetDensityCrowdOps;

/**
 * DuetDensityCrowd: the instances of one arm that run at the same time.
 * @group: waits and takes the user's signals; of our own arms it holds the instances, too
 * @count: how many run
 * @pool_bytes: the limit of the cgroup that all are in, which the kernel keeps; 0: there is none
 * @no_pool: (nullable): why there is none, where one was wanted
 * @reserved_bytes: what each may use; 0: there is no such limit
 */
struct DuetDensityCrowd {
    const DuetDensityCrowdOps *ops;
    DuetGroup group;
    guint count;
    guint64 pool_bytes;
    char *no_pool;
    guint64 reserved_bytes;
};

/**
 * duet_density_own_new: of an arm of ours.
 * @limit_bytes: what the kernel shall hold all of them to, where it can; 0: nothing
 * Returns: (transfer full): or NULL with @error.
 */
DuetDensityCrowd *duet_density_own_new(
    const DuetBenchRequest *request, guint arm, guint64 limit_bytes, GError **error);
/** duet_density_peer_new: the same of a foreign engine; @peer: its number among @peers. */
DuetDensityCrowd *duet_density_peer_new(const DuetBenchRequest *request, DuetPeers *peers,
    guint peer, guint64 limit_bytes, GError **error);

/** duet_density_crowd_free: clears and frees. Returns: whether the user interrupted. */
gboolean duet_density_crowd_free(DuetDensityCrowd *crowd, GPtrArray *warnings);

G_END_DECLS
