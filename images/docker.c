/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Archives that are not an OCI layout: `docker save` (manifest.json names a config and layers by
 * member) and a plain root file system. Both get a manifest of ours; the config of the first is
 * kept byte for byte, so the image id is docker's.
 */
#include <string.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/import.h"
#include "images/stream.h"

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *const layer_types[] = {
    [DUET_COMPRESSION_NONE] = DUET_MEDIA_LAYER,
    [DUET_COMPRESSION_GZIP] = DUET_MEDIA_LAYER "+gzip",
    [DUET_COMPRESSION_ZSTD] = DUET_MEDIA_LAYER "+zstd",
};

static DuetDescriptor *layer_new(DuetCompression compression, const char *hex, guint64 bytes)
{
    DuetDescriptor *layer = g_new0(DuetDescriptor, 1);
    layer->media_type = g_strdup(layer_types[compression]);
    layer->hex = g_strdup(hex);
    layer->size_bytes = (gint64)bytes;
    return layer;
}

/* OCI has no type for xz: such a layer is stored decompressed. */
static DuetDescriptor *store_decompressed(DuetImport *import, DuetStream *stream, GError **error)
{
    if (!duet_transaction_stream_blob(import->transaction, stream, error))
        return NULL;
    return layer_new(DUET_COMPRESSION_NONE, duet_stream_hex(stream), duet_stream_bytes(stream));
}

/* A blob that names itself by its digest must be it. */
static gboolean check_self_name(
    DuetImport *import, const char *member, const char *hex, GError **error)
{
    g_autofree char *base = g_path_get_basename(member);
    if (g_str_has_suffix(base, ".json"))
        base[strlen(base) - strlen(".json")] = '\0';
    gboolean by_digest = g_str_has_prefix(member, "blobs/sha256/") || strstr(member, ".json");
    if (!by_digest || !duet_is_sha256_hex(base) || g_str_equal(base, hex))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
        "'%s' lies: the contents of '%s' have the digest 'sha256:%s'",
        duet_source_what(import->source), member, hex);
    return FALSE;
}

static DuetDescriptor *stage_layer(DuetImport *import, const char *member, GError **error)
{
    g_autofree char *hex = NULL;
    guint64 bytes = 0;
    if (!duet_transaction_copy_blob(
            import->transaction, import->source, member, &hex, &bytes, error) ||
        !check_self_name(import, member, hex, error))
        return NULL;
    DUET_AUTO_FD fd = duet_transaction_open_blob(import->transaction, hex, error);
    g_autoptr(DuetStream) stream = fd < 0 ? NULL : duet_stream_new(fd, member, error);
    if (!stream)
        return NULL;
    DuetCompression compression = duet_stream_compression(stream);
    return compression == DUET_COMPRESSION_XZ ? store_decompressed(import, stream, error)
                                              : layer_new(compression, hex, bytes);
}

static GPtrArray *stage_layers(DuetImport *import, char **members, GError **error)
{
    g_autoptr(GPtrArray) layers =
        g_ptr_array_new_with_free_func((GDestroyNotify)duet_descriptor_free);
    for (char **member = members; member && *member; member++) {
        g_autofree char *name = duet_member_name(*member, duet_source_what(import->source), error);
        DuetDescriptor *layer = name ? stage_layer(import, name, error) : NULL;
        if (!layer)
            return NULL;
        g_ptr_array_add(layers, layer);
    }
    return g_steal_pointer(&layers);
}

static gboolean import_docker_image(DuetImport *import, JsonObject *object, GError **error)
{
    const char *what = duet_source_what(import->source);
    const char *config_name = duet_json_string(object, "Config");
    g_auto(GStrv) tags = NULL, members = NULL;
    if (!config_name || !duet_json_strv(object, "RepoTags", what, &tags, error) ||
        !duet_json_strv(object, "Layers", what, &members, error)) {
        if (!config_name)
            g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
                "'%s' is damaged: an entry of manifest.json names no config", what);
        return FALSE;
    }
    gsize length = 0;
    g_autofree char *hex = NULL, *member = duet_member_name(config_name, what, error);
    g_autofree char *config =
        member ? duet_source_read(import->source, member, &length, &hex, error) : NULL;
    if (!config || !check_self_name(import, member, hex, error))
        return FALSE;
    GPtrArray *layers = stage_layers(import, members, error);
    if (!layers)
        return FALSE;
    g_autoptr(DuetManifest) manifest =
        duet_manifest_build(DUET_MEDIA_CONFIG, config, length, layers, what, error);
    if (!manifest || !duet_manifest_check_platform(manifest, what, error))
        return FALSE;
    duet_import_found(import, g_steal_pointer(&manifest), tags);
    return TRUE;
}

gboolean duet_import_docker(DuetImport *import, GError **error)
{
    gsize length = 0;
    g_autofree char *bytes =
        duet_source_read(import->source, "manifest.json", &length, NULL, error);
    if (!bytes)
        return FALSE;
    g_autoptr(JsonNode) root =
        duet_json_parse(bytes, length, JSON_NODE_ARRAY, "manifest.json", error);
    if (!root)
        return FALSE;
    JsonArray *images = json_node_get_array(root);
    for (guint i = 0; i < json_array_get_length(images); i++) {
        if (!import_docker_image(import, duet_json_element(images, i), error))
            return FALSE;
    }
    return TRUE;
}

/* Made of the archive alone: the same tar gives the same image id. */
static char *rootfs_config(DuetSource *source, const char *diff_id)
{
    g_autofree char *platform = duet_host_platform();
    g_autofree char *digest = g_strconcat("sha256:", diff_id, NULL);
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(duet_source_newest(source));
    g_autofree char *created = time ? g_date_time_format_iso8601(time) : NULL;
    gboolean shell = duet_source_has(source, "bin/sh") || duet_source_has(source, "usr/bin/sh");
    g_autoptr(JsonNode) root =
        json_from_string("{\"os\":\"linux\",\"config\":{\"Env\":[\"" DEFAULT_PATH "\"]},"
                         "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
            NULL);
    JsonObject *object = json_node_get_object(root);
    json_object_set_string_member(object, "architecture", strchr(platform, '/') + 1);
    if (created)
        json_object_set_string_member(object, "created", created);
    json_array_add_string_element(
        json_object_get_array_member(json_object_get_object_member(object, "rootfs"), "diff_ids"),
        digest);
    if (shell) {
        JsonArray *cmd = json_array_new();
        json_array_add_string_element(cmd, "/bin/sh");
        json_object_set_array_member(json_object_get_object_member(object, "config"), "Cmd", cmd);
    }
    return duet_json_text(root, FALSE);
}

gboolean duet_import_rootfs(DuetImport *import, GError **error)
{
    const char *what = duet_source_what(import->source);
    int fd = duet_source_rewind(import->source, error);
    g_autoptr(DuetStream) stream = fd < 0 ? NULL : duet_stream_new(fd, what, error);
    DuetDescriptor *layer = stream ? store_decompressed(import, stream, error) : NULL;
    if (!layer)
        return FALSE;
    GPtrArray *layers = g_ptr_array_new_with_free_func((GDestroyNotify)duet_descriptor_free);
    g_ptr_array_add(layers, layer);
    g_autofree char *config = rootfs_config(import->source, layer->hex);
    g_autoptr(DuetManifest) manifest =
        duet_manifest_build(DUET_MEDIA_CONFIG, config, strlen(config), layers, what, error);
    if (!manifest)
        return FALSE;
    /* No digest tells whether it is whole; its end does. */
    if (!duet_stream_ends_a_tar(stream)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is cut short: it does not end as a tar archive does", what);
        return FALSE;
    }
    duet_import_found(import, g_steal_pointer(&manifest), NULL);
    return TRUE;
}
