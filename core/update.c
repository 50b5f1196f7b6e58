/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What of an instance may change after it was made, and the client's side of that. */
#include "core/update.h"
#include "core/control.h"
#include "core/disk-list.h"
#include "core/spec-limits.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <math.h>
#include <string.h>

/* As in a spec's file. */
static const char *const changeable[] = { "name", "memory-bytes", "memory-swap-bytes",
    "memory-reservation-bytes", "cpus", "cpu-period-us", "cpu-shares", "cpuset-cpus", "cpuset-mems",
    "pids-limit", "blkio-weight", "io-limits", "hugetlb", NULL };
/* What follows from others, or from the two below. */
static const char *const following[] = { "vcpus", "disks", NULL };
/* One disk that comes or goes: what the others are is known to whoever changes the spec. */
static const char *const attach_key = "attach-disk";
static const char *const detach_key = "detach-disk";

static void add_differing(
    GVariantBuilder *changes, const char *const *keys, GVariant *old, GVariant *new)
{
    for (; *keys; keys++) {
        g_autoptr(GVariant) was = g_variant_lookup_value(old, *keys, NULL);
        g_autoptr(GVariant) is = g_variant_lookup_value(new, *keys, NULL);
        if (is && !(was && g_variant_equal(was, is)))
            g_variant_builder_add(changes, "{sv}", *keys, is);
    }
}

GVariant *duet_spec_changes(const DuetSpec *from, const DuetSpec *to)
{
    g_autoptr(GVariant) old = g_variant_ref_sink(duet_spec_to_variant(from));
    g_autoptr(GVariant) new = g_variant_ref_sink(duet_spec_to_variant(to));
    g_auto(GVariantBuilder) changes = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE_VARDICT);
    add_differing(&changes, changeable, old, new);
    add_differing(&changes, following, old, new);
    return g_variant_builder_end(&changes);
}

static gboolean change_disk(DuetSpec *spec, const char *key, GVariant *value, GError **error)
{
    if (spec->kind != DUET_KIND_VM) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "only a VM has disks; a container shares a folder or file with -v");
        return FALSE;
    }
    const char *text = g_variant_get_bytestring(value);
    return g_str_equal(key, attach_key) ? duet_disk_list_attach(spec, text, error)
                                        : duet_disk_list_detach(spec, text, error);
}

/* @key may come from anywhere. */
static gboolean change(DuetSpec *spec, const char *key, GVariant *value, GError **error)
{
    if ((g_str_equal(key, attach_key) || g_str_equal(key, detach_key)) &&
        g_variant_is_of_type(value, G_VARIANT_TYPE_BYTESTRING))
        return change_disk(spec, key, value, error);
    if (g_strv_contains(changeable, key) && duet_spec_change(spec, key, value))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' of an instance can't be changed", key);
    return FALSE;
}

/* Whoever wants more CPU time than vCPUs can take wants those, too, if it may have them. */
static void raise_vcpus(DuetSpec *spec)
{
    int wanted = (int)MIN(ceil(spec->cpus), DUET_VM_VCPUS_MAX);
    if (spec->kind == DUET_KIND_VM && spec->topology.vcpus && wanted > spec->topology.vcpus &&
        wanted <= spec->topology.max)
        spec->topology.vcpus = wanted;
}

DuetSpec *duet_spec_with(const DuetSpec *spec, GVariant *changes, GError **error)
{
    g_autoptr(DuetSpec) changed = duet_spec_copy(spec);
    GVariantIter iter;
    const char *key;
    GVariant *item;
    g_variant_iter_init(&iter, changes);
    while (g_variant_iter_next(&iter, "{&sv}", &key, &item)) {
        g_autoptr(GVariant) value = item;
        if (!change(changed, key, value, error))
            return NULL;
    }
    raise_vcpus(changed);
    /* What it has of limits may be of a disk that is gone since: a new name does not mind. */
    g_autoptr(GVariant) name = g_variant_lookup_value(changes, "name", NULL);
    gboolean limits = g_variant_n_children(changes) > (name ? 1u : 0u);
    if (!duet_name_check(changed->name, error) ||
        (limits && !duet_spec_check_limits(changed, error)))
        return NULL;
    return g_steal_pointer(&changed);
}

/* A name that was half changed when its client was killed is found by the sweep; but what goes at
 * its end would be taken for over. */
static gboolean replace_marked(
    DuetInstance *instance, const DuetSpec *from, const DuetSpec *to, GError **error)
{
    DuetContext *context = instance->context;
    gboolean mark = !g_str_equal(from->name, to->name) && !from->remove_at_exit &&
        !duet_live_is_marked(context, from->id);
    if (mark && !duet_live_mark(context, from->id, NULL, FALSE, error))
        return FALSE;
    gboolean ok = duet_spec_replace(context, instance->dir_fd, from, to, error);
    if (mark)
        duet_live_unmark(context, from->id);
    return ok;
}

/* The caller holds the lock. What the spec was when it was read may be old. */
static gboolean update_stopped(DuetInstance *instance, GVariant *changes, GError **error)
{
    g_autoptr(GVariant) variant = duet_variant_read(instance->dir_fd, "spec", error);
    g_autoptr(DuetSpec) from = variant ? duet_spec_from_variant(variant, error) : NULL;
    g_autoptr(DuetSpec) to = from ? duet_spec_with(from, changes, error) : NULL;
    return to && replace_marked(instance, from, to, error);
}

static gboolean update_living(
    DuetInstance *instance, int fd, GVariant *changes, char **out_notice, GError **error)
{
    g_autofree char *text = g_variant_print(changes, TRUE);
    if (strlen(text) > DUET_FRAME_MAX_BYTES) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "these are too many changes at once");
        return FALSE;
    }
    g_autofree char *answer = duet_control_ask(
        instance, fd, DUET_FRAME_UPDATE, text, (guint32)strlen(text), DUET_FRAME_OK, error);
    if (answer && *answer && out_notice)
        *out_notice = g_strdup_printf("the instance '%s': %s", instance->spec->name, answer);
    return answer != NULL;
}

static gboolean update(DuetInstance *instance, GVariant *changes, char **out_notice, GError **error)
{
    /* Ours is the lock of one that was created just now. */
    if (instance->lock_fd >= 0)
        return update_stopped(instance, changes, error);
    DUET_AUTO_FD fd = duet_control_connect(instance);
    if (fd >= 0)
        return update_living(instance, fd, changes, out_notice, error);
    DUET_AUTO_FD lock_fd = duet_control_lock(instance);
    if (lock_fd >= 0)
        return update_stopped(instance, changes, error);
    if (errno != EWOULDBLOCK)
        return duet_error_set_errno(
            error, errno, "cannot lock the instance '%s'", instance->spec->name);
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "the instance '%s' is just being started or removed; try again", instance->spec->name);
    return FALSE;
}

static gboolean change_disks(
    DuetInstance *instance, const char *key, const char *text, GError **error)
{
    g_auto(GVariantDict) changes = G_VARIANT_DICT_INIT(NULL);
    g_variant_dict_insert(&changes, key, "^ay", text);
    return duet_instance_update(instance, g_variant_dict_end(&changes), NULL, error);
}

gboolean duet_instance_attach_disk(DuetInstance *instance, const char *text, GError **error)
{
    return change_disks(instance, attach_key, text, error);
}

gboolean duet_instance_detach_disk(DuetInstance *instance, const char *word, GError **error)
{
    return change_disks(instance, detach_key, word, error);
}

gboolean duet_instance_update(
    DuetInstance *instance, GVariant *changes, char **out_notice, GError **error)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(changes);
    const char *name = NULL;
    if (g_variant_lookup(owned, "name", "^&ay", &name) && duet_name_is_valid(name))
        duet_name_recover(instance->context, name);
    if (!update(instance, owned, out_notice, error))
        return FALSE;
    g_autoptr(DuetSpec) changed = duet_spec_with(instance->spec, owned, NULL);
    if (changed) {
        duet_spec_free(instance->spec);
        instance->spec = g_steal_pointer(&changed);
    }
    return TRUE;
}
