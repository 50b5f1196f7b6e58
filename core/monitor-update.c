/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An instance that gets other limits, or another name, while it lives. */
#include "core/monitor-private.h"
#include "core/spec-limits.h"
#include "core/update.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <string.h>

static gboolean differs(GVariant *changes, const char *key)
{
    g_autoptr(GVariant) value = g_variant_lookup_value(changes, key, NULL);
    return value != NULL;
}

static gboolean unsupported(GError **error, const char *text)
{
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, text);
    return FALSE;
}

/* What QEMU and the guest got at their start is theirs. */
static gboolean check_vm(
    const Monitor *monitor, const DuetSpec *to, GVariant *changes, GError **error)
{
    if (to->connect)
        return unsupported(error,
            "what runs by a libvirt daemon has its limits, and its name, from its start: stop it "
            "first");
    if (differs(changes, "memory-bytes"))
        return unsupported(error,
            "the memory of a running VM can't be changed yet: stop it first, and it counts at the "
            "next start");
    if (differs(changes, "pids-limit"))
        return unsupported(error,
            "--pids-limit of a running VM can't be changed yet: stop it first, and it counts at "
            "the next start");
    if (to->cpus <= monitor->vcpus)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "the VM runs with %u vCPUs, and can't have %g CPUs: stop it first, and it counts at the "
        "next start",
        monitor->vcpus, to->cpus);
    return FALSE;
}

static gboolean check_state(const Monitor *monitor, GError **error)
{
    const char *why = monitor->stopping || monitor->payload_gone || monitor->over ? "it is stopping"
        : !monitor->started ? "it is starting; try again in a moment"
                            : NULL;
    if (!why)
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, why);
    return FALSE;
}

/* The kernel would make room, for v2's memory.max by a kill. */
static gboolean check_use(const Monitor *monitor, const DuetSpec *to, GError **error)
{
    DuetCgroupUsage usage = { 0 };
    if (to->kind == DUET_KIND_VM || !to->memory_bytes)
        return TRUE;
    duet_cgroup_usage(monitor->cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_MEMORY, &usage);
    /* Pages of files can be dropped, the others only swapped. */
    guint64 used = usage.anon_bytes + usage.shmem_bytes;
    guint64 most = MAX(to->memory_bytes, (guint64)MAX(to->memory_swap_bytes, 0));
    if (used <= most || to->memory_swap_bytes < 0)
        return TRUE;
    g_autofree char *in_use = duet_format_bytes(used);
    g_autofree char *wanted = duet_format_bytes(to->memory_bytes);
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE, "cannot set --memory to %s: %s are in use",
        wanted, in_use);
    return FALSE;
}

/* Writes down where to find what is made of it, before and after. */
static gboolean tell_path(Monitor *monitor, GError **error)
{
    const char *path = duet_cgroup_path(monitor->cgroup);
    if (g_strcmp0(path, monitor->info->cgroup) == 0)
        return TRUE;
    if (!duet_live_mark(monitor->context, monitor->spec->id, path, monitor->borrowed, error))
        return FALSE;
    g_free(monitor->info->cgroup);
    monitor->info->cgroup = g_strdup(path);
    monitor_save_state(monitor);
    return TRUE;
}

static gboolean change_limits(
    Monitor *monitor, const DuetLimits *from, const DuetLimits *to, GError **error)
{
    if (!duet_cgroup_change_plan(monitor->cgroup, to, error))
        return FALSE;
    if (!tell_path(monitor, error)) {
        duet_cgroup_change_cancel(monitor->cgroup);
        return FALSE;
    }
    gboolean ok = duet_cgroup_change(monitor->cgroup, from, to, error);
    tell_path(monitor, NULL);
    return ok;
}

/* Returns: whether @changes are of limits. */
static gboolean has_limits(GVariant *changes)
{
    return g_variant_n_children(changes) > (differs(changes, "name") ? 1u : 0u);
}

/* @asked: what of @changes is not so already */
static gboolean update(Monitor *monitor, const DuetSpec *to, GVariant *asked, GError **error)
{
    DuetLimits before = duet_spec_limits(monitor->spec), after = duet_spec_limits(to);
    gboolean limits = has_limits(asked);
    if (to->kind == DUET_KIND_VM && !monitor->resting) {
        if (g_variant_n_children(asked) > 0 && !check_vm(monitor, to, asked, error))
            return FALSE;
        /* What QEMU may use beyond the RAM depends on how many vCPUs it was started with. */
        after.memory_bytes = before.memory_bytes;
    }
    /* Between two runs it counts from the next on. */
    if (limits && !monitor->resting &&
        (!check_state(monitor, error) || !check_use(monitor, to, error) ||
            !change_limits(monitor, &before, &after, error)))
        return FALSE;
    if (duet_spec_replace(monitor->context, monitor->dir_fd, monitor->spec, to, error))
        return TRUE;
    if (limits && !monitor->resting)
        duet_cgroup_change(monitor->cgroup, &after, &before, NULL);
    return FALSE;
}

/* Whoever has the spec keeps it: it changes member by member. */
static void take_over(Monitor *monitor, GVariant *changes)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;
    g_variant_iter_init(&iter, changes);
    while (g_variant_iter_loop(&iter, "{&sv}", &key, &value))
        duet_spec_change(monitor->spec, key, value);
    if (differs(changes, "name"))
        monitor_show_name(monitor);
}

gboolean monitor_update(Monitor *monitor, const char *text, gsize length, GError **error)
{
    /* Its spec is not the one that is written down. */
    if (monitor->borrowed) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE,
            "files are being copied from or to it; try again when that is done");
        return FALSE;
    }
    if (monitor->lock_fd < 0) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, "it is stopping");
        return FALSE;
    }
    g_autoptr(GVariant) changes =
        g_variant_parse(G_VARIANT_TYPE_VARDICT, text, text + length, NULL, NULL);
    if (!changes) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID, "these are no changes");
        return FALSE;
    }
    g_autoptr(DuetSpec) to = duet_spec_with(monitor->spec, changes, error);
    if (!to)
        return FALSE;
    g_autoptr(GVariant) asked = g_variant_ref_sink(duet_spec_changes(monitor->spec, to));
    if (!update(monitor, to, asked, error))
        return FALSE;
    take_over(monitor, asked);
    return TRUE;
}
