/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-pool.h"

#include <glob.h>
#include <signal.h>
#include <unistd.h>

#include <duet/error.h>

#include "bench/instance/instance-sampler.h"

#define PLACEHOLDER "pool"

DuetPeerPool *duet_peer_pool_new(
    DuetPeerArm *arm, const DuetSpec *spec, guint64 memory_bytes, GError **error)
{
    if (!duet_peer_uses(arm->peer, PLACEHOLDER)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "%s is not told in which cgroup to run ({" PLACEHOLDER "} is not in its file)",
            arm->peer->name);
        return NULL;
    }
    DuetSpec *fresh = duet_bench_spec_copy(spec, error);
    if (!fresh)
        return NULL;
    DuetLimits limits = { .pool = fresh->id, .pool_memory_bytes = memory_bytes };
    DuetCgroup *cgroup = duet_cgroup_new(fresh->id, &limits, error);
    duet_spec_free(fresh);
    if (!cgroup)
        return NULL;
    DuetPeerPool *pool = g_new0(DuetPeerPool, 1);
    *pool = (DuetPeerPool){ cgroup, duet_cgroup_pool_path(cgroup), arm };
    g_hash_table_insert(arm->values, g_strdup(PLACEHOLDER), g_strdup(pool->path));
    return pool;
}

guint64 duet_peer_pool_used(const DuetPeerPool *pool)
{
    DuetPool usage;

    return duet_cgroup_pool_usage(pool->cgroup, &usage)
        ? usage.charged_bytes - usage.reclaimable_bytes
        : 0;
}

/* Of what is found, the kernel removes only what is empty. */
static void remove_dirs(const char *path, const char *below)
{
    g_autofree char *pattern = g_strdup_printf("/sys/fs/cgroup/{*/,}%s%s", path + 1, below);
    glob_t found = { 0 };

    if (glob(pattern, GLOB_ONLYDIR | GLOB_BRACE, NULL, &found) == 0) {
        for (gsize i = 0; i < found.gl_pathc; i++)
            rmdir(found.gl_pathv[i]);
    }
    globfree(&found);
}

/* Whatever is in there is ours to end: that of an engine that could not remove it itself. */
static void kill_rest(DuetPeerPool *pool)
{
    g_autofree char *pattern = g_strdup_printf("/sys/fs/cgroup/{*/,}%s/*", pool->path + 1);
    g_autoptr(GArray) pids = duet_peer_cgroup_processes(pattern);

    for (guint i = 0; i < pids->len; i++)
        kill(g_array_index(pids, gint, i), SIGKILL);
    duet_peer_wait_gone(pids);
}

/* Engines make the directory in hierarchies that we did not ask for, and leave it there. */
void duet_peer_pool_free(DuetPeerPool *pool)
{
    if (!pool)
        return;
    g_hash_table_remove(pool->arm->values, PLACEHOLDER);
    kill_rest(pool);
    remove_dirs(pool->path, "/*");
    duet_cgroup_remove(pool->cgroup, NULL);
    remove_dirs(pool->path, "");
    duet_cgroup_free(pool->cgroup);
    g_free(pool->path);
    g_free(pool);
}
