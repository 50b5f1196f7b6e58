/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What foreign VMs boot: the kernel of ours, on the accelerator of ours. */
#include "supply.h"

#include <duet/error.h>
#include <duet/image.h>

#include "bench/instance-sampler.h"
#include "core/module.h"

static const struct {
    const char *placeholder, *fact;
} facts_given[] = {
    { "accel", "accel" },
    { "qemu", "qemu" },
    { "kernel", "kernel_booted" },
};

gboolean duet_peer_uses_guest(const DuetPeer *peer)
{
    for (gsize i = 0; i < G_N_ELEMENTS(facts_given); i++) {
        if (duet_peer_uses(peer, facts_given[i].placeholder))
            return TRUE;
    }
    return duet_peer_uses(peer, "qemu-accel") || duet_peer_uses(peer, "domain-type");
}

/* Returns: (transfer full): the payload of @like in a VM of ours. */
static DuetSpec *vm_spec(DuetContext *context, const DuetSpec *like, GError **error)
{
    g_autoptr(DuetSpec) spec = duet_bench_spec_copy(like, error);

    if (!spec || spec->kind == DUET_KIND_VM)
        return g_steal_pointer(&spec);
    const DuetImagesOps *images = duet_module_symbol("duet-images", "duet_images", error);
    const char *store = duet_context_store_dir(context);
    g_autoptr(DuetImage) image =
        images ? duet_image_lookup(store, spec->image_digest, error) : NULL;
    if (!image)
        return NULL;
    spec->kind = DUET_KIND_VM;
    spec->memory_bytes = 0;
    spec->root_disk = images->root_disk(store, image, error);
    return spec->root_disk ? g_steal_pointer(&spec) : NULL;
}

/* Nobody but a VM that ran knows its kernel and accelerator. */
static GVariant *learn(DuetContext *context, const DuetSpec *like, GError **error)
{
    DuetSpec *spec = vm_spec(context, like, error);
    DuetIo io = { -1, -1, -1, TRUE };

    if (!spec)
        return NULL;
    spec->remove_at_exit = TRUE;
    g_autoptr(DuetInstance) instance = duet_instance_create(context, spec, error);
    g_autoptr(DuetInfo) info = instance ? duet_instance_run(instance, &io, FALSE, error) : NULL;
    if (instance && !info)
        duet_instance_remove(instance, TRUE, NULL);
    return info && info->facts ? g_variant_ref(info->facts) : NULL;
}

gboolean duet_peer_supply_guest(DuetPeerSupply *supply, GError **error)
{
    if (g_hash_table_contains(supply->shared, "kernel"))
        return TRUE;
    g_autoptr(GVariant) facts = learn(supply->context, supply->spec, error);
    for (gsize i = 0; facts && i < G_N_ELEMENTS(facts_given); i++) {
        const char *text = NULL;
        if (g_variant_lookup(facts, facts_given[i].fact, "&s", &text))
            g_hash_table_insert(
                supply->shared, g_strdup(facts_given[i].placeholder), g_strdup(text));
    }
    const char *accel = g_hash_table_lookup(supply->shared, "accel");
    /* As ours: by default QEMU takes a gigabyte for translated code. */
    g_hash_table_insert(supply->shared, g_strdup("qemu-accel"),
        g_strdup(g_strcmp0(accel, "tcg") == 0 ? "tcg,tb-size=64" : accel));
    g_hash_table_insert(supply->shared, g_strdup("domain-type"),
        g_strdup(g_strcmp0(accel, "tcg") == 0 ? "qemu" : accel));
    if (accel && g_hash_table_contains(supply->shared, "kernel"))
        return TRUE;
    if (error && !*error)
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "a VM of duet's own did not run, so its kernel is not known");
    return FALSE;
}
