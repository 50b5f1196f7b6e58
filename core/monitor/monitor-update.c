/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An instance that gets other limits, or another name, while it lives. */
#include "monitor-private.h"
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

static gboolean state_error(GError **error, const char *text)
{
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, text);
    return FALSE;
}

/* The balloon takes from the guest what it had at the start, and gives it back. */
static gboolean check_memory(const Monitor *monitor, const DuetSpec *to, GError **error)
{
    guint64 wanted = duet_vm_memory_bytes(to);
    if (wanted <= monitor->memory_max_bytes)
        return TRUE;
    g_autofree char *had = duet_format_bytes(monitor->memory_max_bytes);
    g_autofree char *more = duet_format_bytes(wanted);
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "the VM was started with %s of RAM, and can't have %s while it runs: stop it first, and it "
        "counts at the next start",
        had, more);
    return FALSE;
}

static gboolean check_vcpus(const Monitor *monitor, const DuetSpec *to, GError **error)
{
    guint wanted = duet_vm_vcpus(to);
    if (to->cpus <= (wanted <= monitor->vcpus_max ? MAX(wanted, monitor->vcpus) : monitor->vcpus))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "the VM runs with %u vCPUs%s, and can't have %g CPUs: stop it first, and it counts at the "
        "next start; --vcpus N,maxvcpus=M gives a VM room for more",
        monitor->vcpus_max, monitor->vcpus_max > monitor->vcpus ? " at most" : "", to->cpus);
    return FALSE;
}

static gboolean gets_vcpus(const Monitor *monitor, const DuetSpec *to)
{
    guint wanted = duet_vm_vcpus(to);
    return wanted > monitor->vcpus && wanted <= monitor->vcpus_max;
}

/* Whether it is more than a change of its cgroup. */
static gboolean asks_guest(const Monitor *monitor, const DuetSpec *to, GVariant *changes)
{
    return gets_vcpus(monitor, to) || differs(changes, "memory-bytes") ||
        differs(changes, "pids-limit") || differs(changes, "disks");
}

/* Refuses what a VM can't have while it runs. */
static gboolean check_vm(
    const Monitor *monitor, const DuetSpec *to, GVariant *changes, GError **error)
{
    if (to->connect && differs(changes, "name"))
        return unsupported(
            error, "what runs by a libvirt daemon has its name from its start: stop it first");
    return (!differs(changes, "memory-bytes") || check_memory(monitor, to, error)) &&
        check_vcpus(monitor, to, error) &&
        (!asks_guest(monitor, to, changes) || monitor->info->state != DUET_STATE_PAUSED ||
            state_error(error, "it is paused, and its guest has a part in this; unpause it first"));
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

/* A daemon keeps these two alone, see check_kind() of spec-limits.c. */
static gboolean change_elsewhere(
    Monitor *monitor, const DuetLimits *from, const DuetLimits *to, GError **error)
{
    if ((from->memory_bytes == to->memory_bytes && from->cpus == to->cpus) ||
        monitor_live_limits(monitor, to, error))
        return TRUE;
    monitor_live_limits(monitor, from, NULL);
    return FALSE;
}

static gboolean change_limits(
    Monitor *monitor, const DuetLimits *from, const DuetLimits *to, GError **error)
{
    if (monitor->spec->connect)
        return change_elsewhere(monitor, from, to, error);
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

DuetLimits monitor_limits(const Monitor *monitor, const DuetSpec *spec)
{
    DuetLimits limits = duet_spec_limits(spec);
    if (spec->kind != DUET_KIND_VM || spec->connect || monitor->vcpus == duet_vm_vcpus(spec))
        return limits;
    g_autoptr(DuetSpec) now = duet_spec_copy(spec);
    now->topology.vcpus = (int)monitor->vcpus;
    limits.memory_bytes = duet_spec_limits(now).memory_bytes;
    return limits;
}

/* The same, of whoever keeps them. */
static DuetLimits limits_of(const Monitor *monitor, const DuetSpec *spec)
{
    DuetLimits limits = monitor_limits(monitor, spec);
    if (!spec->connect)
        return limits;
    g_autoptr(DuetSpec) own = duet_spec_copy(spec);
    g_clear_pointer(&own->connect, g_free);
    limits.memory_bytes = monitor_limits(monitor, own).memory_bytes;
    limits.cpus = spec->cpus;
    limits.cpus_is_guard =
        spec->cpus == (gets_vcpus(monitor, spec) ? duet_vm_vcpus(spec) : monitor->vcpus);
    return limits;
}

/* The guest's part: what it is most likely to refuse comes first. */
static gboolean change_guest(
    Monitor *monitor, const DuetSpec *from, const DuetSpec *to, GVariant *asked, GError **error)
{
    gboolean memory = differs(asked, "memory-bytes");
    if (memory && !monitor_live_memory(monitor, from, to, error))
        return FALSE;
    if ((!gets_vcpus(monitor, to) || monitor_live_vcpus(monitor, duet_vm_vcpus(to), error)) &&
        (!differs(asked, "pids-limit") || monitor_live_pids(monitor, to->pids_limit, error)) &&
        (!differs(asked, "disks") || monitor_live_disks(monitor, from, to, error)))
        return TRUE;
    if (memory)
        monitor_live_memory(monitor, to, from, NULL);
    return FALSE;
}

/* Its cgroup has room for whichever is more until the guest has done its part. */
static gboolean change_vm(
    Monitor *monitor, const DuetSpec *from, const DuetSpec *to, GVariant *asked, GError **error)
{
    DuetLimits before = limits_of(monitor, from), between = limits_of(monitor, to);
    if (gets_vcpus(monitor, to))
        between.memory_bytes += DUET_VM_VCPU_BYTES * (duet_vm_vcpus(to) - monitor->vcpus);
    between.memory_bytes = MAX(between.memory_bytes, before.memory_bytes);
    g_clear_pointer(&monitor->change_notice, g_free);
    if (!change_limits(monitor, &before, &between, error))
        return FALSE;
    if (!asks_guest(monitor, to, asked))
        return TRUE;
    monitor->changing = TRUE;
    gboolean ok = change_guest(monitor, from, to, asked, error);
    monitor->changing = FALSE;
    /* It may have ended meanwhile, and its cgroup be as good as gone. */
    if (!check_state(monitor, NULL))
        return ok;
    DuetLimits after = limits_of(monitor, ok ? to : from);
    return change_limits(monitor, &between, &after, ok ? error : NULL) && ok;
}

static gboolean change_now(
    Monitor *monitor, const DuetSpec *from, const DuetSpec *to, GVariant *asked, GError **error)
{
    DuetLimits before = duet_spec_limits(from), after = duet_spec_limits(to);
    if (!check_use(monitor, to, error))
        return FALSE;
    return to->kind == DUET_KIND_VM ? change_vm(monitor, from, to, asked, error)
                                    : change_limits(monitor, &before, &after, error);
}

/* @asked: what of @changes is not so already */
static gboolean update(Monitor *monitor, const DuetSpec *to, GVariant *asked, GError **error)
{
    const DuetSpec *from = monitor->spec;
    gboolean is_same = g_variant_n_children(asked) == 0;
    /* What went on from a saved state may have fewer than its spec says. */
    gboolean is_short = is_same && to->kind == DUET_KIND_VM && gets_vcpus(monitor, to);
    /* Between two runs it counts from the next on. */
    gboolean now = (has_limits(asked) || is_short) && !monitor->resting;
    /* Before it has started nothing is known of what it can have. */
    if (now && !check_state(monitor, error))
        return FALSE;
    if (to->kind == DUET_KIND_VM && !monitor->resting && (!is_same || is_short) &&
        !check_vm(monitor, to, asked, error))
        return FALSE;
    if (now && !change_now(monitor, from, to, asked, error))
        return FALSE;
    if (duet_spec_replace(monitor->context, monitor->dir_fd, from, to, error))
        return TRUE;
    if (now && check_state(monitor, NULL))
        change_now(monitor, to, from, asked, NULL);
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
    if (monitor->lock_fd < 0)
        return state_error(error, "it is stopping");
    if (monitor->saving || monitor->saved)
        return state_error(error, BEING_SAVED);
    if (monitor->changing)
        return state_error(error, "another change of it is under way; try again in a moment");
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
