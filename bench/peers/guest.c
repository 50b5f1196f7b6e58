/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What foreign VMs boot, as ours do: kernel, initramfs, root disk and accelerator, and what the
 * agent in them is told to run. */
#include "supply.h"

#include <fcntl.h>

#include <duet/error.h>
#include <duet/image.h>
#include <duet/protocol.h>

#include "bench/instance/instance-sampler.h"
#include "core/fields.h"
#include "core/module.h"
#include "core/util.h"

/* What a peer may ask for, and the fact of a VM of ours that says it; without one it is made of
 * such facts, or known before. */
static const struct {
    const char *placeholder, *fact;
} given[] = {
    { "accel", "accel" },
    { "qemu", "qemu" },
    { "kernel", "kernel_booted" },
    { "kernel-cmdline", "kernel_cmdline" },
    { "initramfs", "initramfs" },
    { "qemu-accel", NULL },
    { "domain-type", NULL },
    { "root-disk", NULL },
    { "agent-frames", NULL },
};

gboolean duet_peer_uses_guest(const DuetPeer *peer)
{
    for (gsize i = 0; i < G_N_ELEMENTS(given); i++) {
        if (duet_peer_uses(peer, given[i].placeholder))
            return TRUE;
    }
    return FALSE;
}

/* Returns: (transfer full): the payload of @like in a VM of ours. */
static DuetSpec *vm_spec(DuetContext *context, const DuetSpec *like, GError **error)
{
    g_autoptr(DuetSpec) spec = duet_bench_spec_copy(like, error);

    /* No foreign engine gets folders. */
    if (spec)
        g_ptr_array_set_size(spec->mounts, 0);
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

static void set(DuetPeerSupply *supply, const char *name, const char *text)
{
    g_hash_table_insert(supply->shared, g_strdup(name), g_strdup(text));
}

static void add_frame(GByteArray *out, guint8 type, GByteArray *payload)
{
    guint8 header[DUET_FRAME_HEADER_BYTES];

    duet_frame_header(header, type, 0, 0, payload->len);
    g_byte_array_append(out, header, sizeof header);
    g_byte_array_append(out, payload->data, payload->len);
}

/* All that a monitor would say before the payload runs. */
static gboolean write_frames(DuetPeerSupply *supply, const DuetSpec *spec, GError **error)
{
    g_autofree char *path = g_build_filename(supply->dir, "agent-frames", NULL);
    g_autoptr(GByteArray) config = duet_config_fields(spec);
    g_autoptr(GByteArray) spawn = duet_payload_fields(spec);
    g_autoptr(GByteArray) frames = g_byte_array_new();

    add_frame(frames, DUET_FRAME_CONFIG, config);
    add_frame(frames, DUET_FRAME_SPAWN, spawn);
    if (!duet_file_replace_private(AT_FDCWD, path, frames->data, frames->len, error))
        return FALSE;
    set(supply, "agent-frames", path);
    return TRUE;
}

/* Nobody but a VM that ran knows its kernel and accelerator. */
static GVariant *learn(DuetPeerSupply *supply, GError **error)
{
    g_autoptr(DuetSpec) spec = vm_spec(supply->context, supply->spec, error);
    DuetIo io = { -1, -1, -1, TRUE };

    if (!spec || !write_frames(supply, spec, error))
        return NULL;
    set(supply, "root-disk", spec->root_disk);
    spec->remove_at_exit = TRUE;
    g_autoptr(DuetInstance) instance =
        duet_instance_create(supply->context, g_steal_pointer(&spec), error);
    g_autoptr(DuetInfo) info =
        instance ? duet_instance_run(instance, &io, DUET_PROXY_NONE, error) : NULL;
    if (instance && !info)
        duet_instance_remove(instance, TRUE, NULL);
    return info && info->facts ? g_variant_ref(info->facts) : NULL;
}

gboolean duet_peer_supply_guest(DuetPeerSupply *supply, GError **error)
{
    if (g_hash_table_contains(supply->shared, "kernel"))
        return TRUE;
    g_autoptr(GVariant) facts = learn(supply, error);
    for (gsize i = 0; facts && i < G_N_ELEMENTS(given); i++) {
        const char *text = NULL;
        if (given[i].fact && g_variant_lookup(facts, given[i].fact, "&s", &text))
            set(supply, given[i].placeholder, text);
    }
    const char *accel = g_hash_table_lookup(supply->shared, "accel");
    /* As ours: by default QEMU takes a gigabyte for translated code. */
    set(supply, "qemu-accel", g_strcmp0(accel, "tcg") == 0 ? "tcg,tb-size=64" : accel);
    set(supply, "domain-type", g_strcmp0(accel, "tcg") == 0 ? "qemu" : accel);
    if (accel && g_hash_table_contains(supply->shared, "kernel"))
        return TRUE;
    if (error && !*error)
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "a VM of duet's own did not run, so its kernel is not known");
    return FALSE;
}
