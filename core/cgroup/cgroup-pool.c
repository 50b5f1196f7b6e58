/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * Instances of one pool are held to an amount of memory together: their cgroups lie in one,
 * `duet-pool-<pool>`, which lies where each of them would lie otherwise. Nobody owns it. Whoever
 * starts makes it if there is none and sets its limit; whoever ends last removes it, which follows
 * from the path alone, so that the sweep after a killed monitor does so as well. A scope of systemd
 * is in no directory of ours, so there is no pool where systemd makes the cgroups.
 */
#include "cgroup-private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/instance.h>

#include "core/state.h"
#include "core/util.h"

#define POOL_PREFIX "duet-pool-"

char *duet_cgroup_pool_base(const char *base, const char *pool)
{
    if (pool == NULL)
        return g_strdup(base);
    return g_strconcat(base, base[0] != '\0' ? "/" : "", POOL_PREFIX, pool, NULL);
}

/* Returns: (nullable): the name of the pool's directory, if @member is in one. */
static const char *pool_dir(const DuetCgroupMember *member)
{
    const char *slash = strrchr(member->base, '/');
    const char *name = slash != NULL ? slash + 1 : member->base;
    return g_str_has_prefix(name, POOL_PREFIX) ? name : NULL;
}

gboolean duet_cgroup_pool_is_kept(const DuetCgroup *cgroup, GError **error)
{
    for (guint i = 0; i < cgroup->members_count; i++)
        if (!cgroup->members[i].in_scope &&
            (cgroup->members[i].controllers & DUET_CONTROLLER_MEMORY) != 0)
            return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "cannot hold instances to an amount of memory together: %s",
        cgroup->unit != NULL ? "systemd makes their cgroups, each a scope of its own"
                             : "no memory controller of cgroups can be used here");
    return FALSE;
}

gboolean duet_cgroup_pool_limit(
    const DuetCgroupMember *member, const DuetLimits *limits, GError **error)
{
    DuetLimits limit = { .memory_bytes = limits->pool_memory_bytes };
    if (pool_dir(member) == NULL ||
        duet_limits_apply(&limit, member->version, member->controllers, member->base_fd, error))
        return TRUE;
    g_prefix_error(error, "the pool of instances: ");
    return FALSE;
}

void duet_cgroup_pool_leave(const DuetCgroupMember *member)
{
    const char *name = pool_dir(member);
    DUET_AUTO_FD above =
        name != NULL ? openat(member->base_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    /* it is only empty for the last */
    if (above >= 0)
        unlinkat(above, name, AT_REMOVEDIR);
}

static guint64 limit_of(const DuetCgroupMember *member)
{
    return duet_cgroup_file_number(member->base_fd,
        member->version == DUET_CGROUP_V2 ? "memory.max" : "memory.limit_in_bytes");
}

gboolean duet_pool_check(const DuetSpec *spec, GError **error)
{
    DuetLimits limits = { .pool = "check", .pool_memory_bytes = 1 };
    if (spec->connect) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot hold instances to an amount of memory together: a libvirt daemon makes the "
            "cgroups of its VMs");
        return FALSE;
    }
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_plan(spec->id, "check", &limits, error);
    return cgroup != NULL;
}

gboolean duet_cgroup_pool_usage(const DuetCgroup *cgroup, DuetPool *out_pool)
{
    for (guint i = 0; i < cgroup->members_count; i++) {
        const DuetCgroupMember *member = &cgroup->members[i];
        DuetCgroupUsage usage = { 0 };
        if (member->base_fd < 0 || pool_dir(member) == NULL)
            continue;
        member->backend->usage(
            member->base_fd, DUET_CONTROLLER_MEMORY, DUET_CGROUP_WANT_ALL, &usage);
        if (usage.memory_bytes == 0)
            continue;
        *out_pool = (DuetPool){
            .limit_bytes = limit_of(member),
            .charged_bytes = usage.memory_bytes,
            .reclaimable_bytes = MIN(usage.inactive_file_bytes, usage.memory_bytes),
        };
        return TRUE;
    }
    return FALSE;
}

char *duet_cgroup_pool_path(const DuetCgroup *cgroup)
{
    for (guint i = 0; i < cgroup->members_count; i++) {
        const DuetCgroupMember *member = &cgroup->members[i];
        if ((member->controllers & DUET_CONTROLLER_MEMORY) != 0 && pool_dir(member) != NULL)
            return g_strconcat("/", member->base, NULL);
    }
    return NULL;
}

gboolean duet_instance_pool(DuetInstance *instance, DuetPool *out_pool, GError **error)
{
    g_autoptr(DuetInfo) info = duet_instance_info(instance, error);
    if (!info)
        return FALSE;
    g_autoptr(DuetCgroup) cgroup =
        info->cgroup ? duet_cgroup_open(info->cgroup, instance->spec->id, error) : NULL;
    if (info->cgroup && !cgroup)
        return FALSE;
    if (cgroup && duet_cgroup_pool_usage(cgroup, out_pool))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE, "the instance '%s' %s", instance->spec->name,
        cgroup ? "is in no pool" : "is not running");
    return FALSE;
}
