/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/catalog.h"
#include "images/record.h"

static void set_string(JsonBuilder *builder, const char *member, const char *text)
{
    json_builder_set_member_name(builder, member);
    if (text)
        json_builder_add_string_value(builder, text);
    else
        json_builder_add_null_value(builder);
}

static void set_json(JsonBuilder *builder, const char *member, const char *bytes, gsize length)
{
    json_builder_set_member_name(builder, member);
    JsonNode *node = duet_json_parse(bytes, length, JSON_NODE_OBJECT, member, NULL);
    if (node)
        json_builder_add_value(builder, node);
    else
        json_builder_add_null_value(builder);
}

static void set_names(JsonBuilder *builder, const char *store_dir, const char *hex)
{
    g_autoptr(GVariant) refs = duet_record_refs(store_dir, NULL);
    json_builder_set_member_name(builder, "names");
    json_builder_begin_array(builder);
    g_autoptr(GVariant) rows = refs ? g_variant_get_child_value(refs, 4) : NULL;
    for (gsize i = 0; rows && i < g_variant_n_children(rows); i++) {
        const char *name = NULL, *manifest = NULL;
        g_variant_get_child(rows, i, "(&s&s&si&s)", &name, &manifest, NULL, NULL, NULL);
        if (*name && g_str_equal(manifest, hex))
            json_builder_add_string_value(builder, name);
    }
    json_builder_end_array(builder);
}

static void add_layer(
    JsonBuilder *builder, const DuetDescriptor *layer, const char *diff_id, const char *dir)
{
    g_autofree char *digest = g_strconcat("sha256:", layer->hex, NULL);
    g_autofree char *diff = g_strconcat("sha256:", diff_id, NULL);
    json_builder_begin_object(builder);
    set_string(builder, "digest", digest);
    set_string(builder, "diff_id", diff);
    json_builder_set_member_name(builder, "size_bytes");
    json_builder_add_int_value(builder, layer->size_bytes);
    set_string(builder, "dir", dir);
    json_builder_end_object(builder);
}

static void set_layers(
    JsonBuilder *builder, DuetStore *store, const DuetImage *image, const DuetManifest *manifest)
{
    g_auto(GStrv) chains = duet_manifest_chains(manifest);
    g_autofree char *disk = duet_root_disk_path(store->dir, chains[manifest->layers->len - 1]);
    json_builder_set_member_name(builder, "layers");
    json_builder_begin_array(builder);
    for (guint i = 0; i < manifest->layers->len; i++)
        add_layer(builder, manifest->layers->pdata[i], manifest->diff_ids[i], image->layer_dirs[i]);
    json_builder_end_array(builder);
    set_string(builder, "root_disk", g_file_test(disk, G_FILE_TEST_EXISTS) ? disk : NULL);
}

static void set_disk(JsonBuilder *builder, const DuetImage *image)
{
    set_string(builder, "disk", image->disk);
    json_builder_set_member_name(builder, "virtual_size_bytes");
    json_builder_add_int_value(builder, (gint64)image->disk_virtual_bytes);
    set_string(builder, "firmware", image->disk_firmware);
}

static void set_store(
    JsonBuilder *builder, DuetStore *store, const DuetImage *image, const DuetManifest *manifest)
{
    json_builder_set_member_name(builder, "store");
    json_builder_begin_object(builder);
    if (manifest->disk)
        set_disk(builder, image);
    else
        set_layers(builder, store, image, manifest);
    json_builder_set_member_name(builder, "size_bytes");
    json_builder_add_int_value(builder, (gint64)image->size_bytes);
    json_builder_set_member_name(builder, "high_ids");
    json_builder_begin_array(builder);
    for (guint i = 0; i < image->high_ids->len; i++)
        json_builder_add_int_value(builder, g_array_index(image->high_ids, guint32, i));
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "warnings");
    json_builder_begin_array(builder);
    for (char **warning = image->warnings; *warning; warning++)
        json_builder_add_string_value(builder, *warning);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
}

char *duet_images_inspect(const char *store_dir, const char *ref, GError **error)
{
    DUET_RAW_NAMES;
    g_autoptr(DuetImage) image = duet_catalog_lookup(store_dir, ref, error);
    g_autoptr(DuetStore) store = image ? duet_store_open_read(store_dir, error) : NULL;
    const char *hex = image ? image->digest + strlen("sha256:") : NULL;
    g_autoptr(DuetManifest) manifest = store ? duet_catalog_manifest(store, hex, error) : NULL;
    if (!manifest)
        return NULL;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    set_string(builder, "ref", image->ref);
    set_names(builder, store->dir, hex);
    set_string(builder, "digest", image->digest);
    set_string(builder, "config_digest", image->config_digest);
    set_string(builder, "created", image->created);
    set_json(builder, "manifest", manifest->manifest, manifest->manifest_length);
    set_json(builder, "config", manifest->config, manifest->config_length);
    set_store(builder, store, image, manifest);
    json_builder_end_object(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return duet_json_text(root, TRUE);
}
