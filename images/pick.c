/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * From the rows of an index.json, through indexes inside indexes, to the manifest for this host.
 * Attestations and other artifacts are never taken for images.
 */
#include <string.h>

#include <duet/error.h>

#include "images/manifest.h"

#define MAX_DEPTH 8
#define MAX_CANDIDATES 1000

static gboolean is_index(const char *media_type)
{
    return g_strcmp0(media_type, DUET_MEDIA_INDEX) == 0 ||
        g_strcmp0(media_type, DUET_MEDIA_DOCKER_LIST) == 0;
}

static gboolean is_manifest(const char *media_type)
{
    return g_strcmp0(media_type, DUET_MEDIA_MANIFEST) == 0 ||
        g_strcmp0(media_type, DUET_MEDIA_DOCKER_MANIFEST) == 0;
}

void duet_pick_free(DuetPick *pick)
{
    if (!pick)
        return;
    g_ptr_array_unref(pick->rows);
    duet_manifest_free(pick->manifest);
    g_clear_error(&pick->refused);
    g_free(pick);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPick, duet_pick_free)

static JsonNode *read_json(DuetSource *source, const DuetDescriptor *descriptor, GError **error)
{
    gsize length = 0;
    g_autofree char *bytes = duet_source_read_blob(source, descriptor, &length, error);
    if (!bytes)
        return NULL;
    return duet_json_parse(bytes, length, JSON_NODE_OBJECT, descriptor->hex, error);
}

static gboolean expand(DuetSource *source, const DuetDescriptor *descriptor, int depth,
    GPtrArray *candidates, GError **error);

static gboolean expand_index(
    DuetSource *source, JsonArray *rows, int depth, GPtrArray *candidates, GError **error)
{
    const char *what = duet_source_what(source);
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        g_autoptr(DuetDescriptor) row =
            duet_descriptor_parse(duet_json_element(rows, i), what, error);
        if (!row || !expand(source, row, depth + 1, candidates, error))
            return FALSE;
    }
    return TRUE;
}

/* Adds the manifests below @descriptor. */
static gboolean expand(DuetSource *source, const DuetDescriptor *descriptor, int depth,
    GPtrArray *candidates, GError **error)
{
    if (depth > MAX_DEPTH || candidates->len > MAX_CANDIDATES) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is refused: its indexes are nested too deep or too long",
            duet_source_what(source));
        return FALSE;
    }
    if (descriptor->attestation)
        return TRUE;
    if (is_manifest(descriptor->media_type)) {
        g_ptr_array_add(candidates, duet_descriptor_copy(descriptor));
        return TRUE;
    }
    if (descriptor->media_type && *descriptor->media_type && !is_index(descriptor->media_type))
        return TRUE;
    g_autoptr(JsonNode) root = read_json(source, descriptor, error);
    if (!root)
        return FALSE;
    JsonArray *rows = duet_json_array(json_node_get_object(root), "manifests");
    if (rows)
        return expand_index(source, rows, depth, candidates, error);
    if (!is_index(descriptor->media_type))
        g_ptr_array_add(candidates, duet_descriptor_copy(descriptor));
    return TRUE;
}

/* An artifact (a signature, a chart) has a manifest like an image's, but another config. */
static gboolean is_image(JsonObject *manifest)
{
    JsonObject *config = duet_json_object(manifest, "config");
    const char *type = duet_json_string(config, "mediaType");
    if (type && g_str_equal(type, DUET_MEDIA_DISK_CONFIG))
        return TRUE;
    return config && !duet_json_string(manifest, "artifactType") &&
        (!type || !*type || g_str_equal(type, DUET_MEDIA_CONFIG) ||
            g_str_equal(type, DUET_MEDIA_DOCKER_CONFIG));
}

/* Fills in the platform of a descriptor that has none; *out_skip: not an image. */
static gboolean find_platform(
    DuetSource *source, DuetDescriptor *candidate, gboolean *out_skip, GError **error)
{
    *out_skip = FALSE;
    if (candidate->platform)
        return TRUE;
    g_autoptr(JsonNode) root = read_json(source, candidate, error);
    if (!root)
        return FALSE;
    *out_skip = !is_image(json_node_get_object(root));
    if (*out_skip)
        return TRUE;
    g_autoptr(DuetManifest) manifest = duet_manifest_load(source, candidate, error);
    if (!manifest)
        return FALSE;
    candidate->platform = manifest->platform ? g_strdup(manifest->platform) : duet_host_platform();
    return TRUE;
}

static gboolean matches(const char *platform, const char *host, gboolean exact)
{
    if (g_str_equal(platform, host))
        return TRUE;
    return !exact && g_str_has_prefix(platform, host) && platform[strlen(host)] == '/';
}

/* A plain "linux/amd64" before any "linux/amd64/v3", which this CPU may not be able to run. */
static DuetDescriptor *choose(GPtrArray *candidates, const char *host)
{
    for (int exact = 1; exact >= 0; exact--) {
        for (guint i = 0; i < candidates->len; i++) {
            DuetDescriptor *candidate = candidates->pdata[i];
            if (candidate->platform && matches(candidate->platform, host, exact))
                return candidate;
        }
    }
    return NULL;
}

static void set_no_platform(
    GError **error, const char *what, const char *host, GPtrArray *candidates)
{
    g_autoptr(GString) offered = g_string_new(NULL);
    for (guint i = 0; i < candidates->len; i++) {
        DuetDescriptor *candidate = candidates->pdata[i];
        g_string_append_printf(offered, "%s'%s'", i ? ", " : "", candidate->platform);
    }
    g_set_error(error, DUET_ERROR, DUET_ERROR_PLATFORM,
        "'%s' has no image for this host: wanted '%s', offered %s", what, host, offered->str);
}

/* Leaves candidates->len at 0 if none is an image. */
static DuetManifest *pick_manifest(DuetSource *source, GPtrArray *candidates, GError **error)
{
    for (guint i = candidates->len; i-- > 0;) {
        gboolean skip = FALSE;
        if (!find_platform(source, candidates->pdata[i], &skip, error))
            return NULL;
        if (skip)
            g_ptr_array_remove_index(candidates, i);
    }
    if (candidates->len == 0)
        return NULL;
    g_autofree char *host = duet_host_platform();
    DuetDescriptor *chosen = choose(candidates, host);
    if (!chosen) {
        set_no_platform(error, duet_source_what(source), host, candidates);
        return NULL;
    }
    g_autoptr(DuetManifest) manifest = duet_manifest_load(source, chosen, error);
    if (!manifest || !duet_manifest_check_platform(manifest, duet_source_what(source), error))
        return NULL;
    return g_steal_pointer(&manifest);
}

static GPtrArray *new_descriptors(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)duet_descriptor_free);
}

/* @rows: taken */
static void add_pick(DuetSource *source, GPtrArray *rows, GPtrArray *picks)
{
    g_autoptr(GPtrArray) candidates = new_descriptors();
    g_autoptr(DuetPick) pick = g_new0(DuetPick, 1);
    pick->rows = rows;
    pick->row = rows->pdata[0];
    gboolean good = TRUE;
    for (guint i = 0; good && i < rows->len; i++)
        good = expand(source, rows->pdata[i], 0, candidates, &pick->refused);
    if (good)
        pick->manifest = pick_manifest(source, candidates, &pick->refused);
    if (pick->manifest || pick->refused)
        g_ptr_array_add(picks, g_steal_pointer(&pick));
}

static void pick_row(
    DuetSource *source, const DuetDescriptor *row, GPtrArray *variants, GPtrArray *picks)
{
    gboolean variant = !row->name && row->platform && is_manifest(row->media_type);
    GPtrArray *rows = variant ? variants : new_descriptors();
    g_ptr_array_add(rows, duet_descriptor_copy(row));
    if (!variant)
        add_pick(source, rows, picks);
}

static JsonNode *read_index(DuetSource *source, GError **error)
{
    gsize length = 0;
    g_autofree char *bytes = duet_source_read(source, "index.json", &length, NULL, error);
    if (!bytes)
        return NULL;
    return duet_json_parse(bytes, length, JSON_NODE_OBJECT, "index.json", error);
}

GPtrArray *duet_pick_images(DuetSource *source, gboolean strict, GError **error)
{
    g_autoptr(JsonNode) root = read_index(source, error);
    if (!root)
        return NULL;
    JsonArray *rows = duet_json_array(json_node_get_object(root), "manifests");
    g_autoptr(GPtrArray) picks = g_ptr_array_new_with_free_func((GDestroyNotify)duet_pick_free);
    g_autoptr(GPtrArray) variants = new_descriptors();
    for (guint i = 0; rows && i < json_array_get_length(rows); i++) {
        g_autoptr(GError) local = NULL;
        g_autoptr(DuetDescriptor) row =
            duet_descriptor_parse(duet_json_element(rows, i), duet_source_what(source), &local);
        if (!row && !strict)
            continue;
        if (!row) {
            g_propagate_error(error, g_steal_pointer(&local));
            return NULL;
        }
        pick_row(source, row, variants, picks);
    }
    if (variants->len > 0)
        add_pick(source, g_steal_pointer(&variants), picks);
    return g_steal_pointer(&picks);
}

static void add_descriptor(JsonObject *object, GHashTable *blobs)
{
    const char *digest = duet_json_string(object, "digest");
    if (digest && g_str_has_prefix(digest, "sha256:"))
        g_hash_table_add(blobs, g_strdup(digest + strlen("sha256:")));
}

static void collect(DuetSource *source, const DuetDescriptor *row, GHashTable *blobs, int depth)
{
    gboolean is_new = g_hash_table_add(blobs, g_strdup(row->hex));
    if (!is_new || depth > MAX_DEPTH)
        return;
    g_autoptr(JsonNode) root = read_json(source, row, NULL);
    if (!root)
        return;
    JsonObject *object = json_node_get_object(root);
    add_descriptor(duet_json_object(object, "config"), blobs);
    JsonArray *layers = duet_json_array(object, "layers");
    for (guint i = 0; layers && i < json_array_get_length(layers); i++)
        add_descriptor(duet_json_element(layers, i), blobs);
    JsonArray *rows = duet_json_array(object, "manifests");
    for (guint i = 0; rows && i < json_array_get_length(rows); i++) {
        g_autoptr(DuetDescriptor) child =
            duet_descriptor_parse(duet_json_element(rows, i), duet_source_what(source), NULL);
        if (child)
            collect(source, child, blobs, depth + 1);
    }
}

void duet_index_blobs(DuetSource *source, const DuetDescriptor *row, GHashTable *blobs)
{
    collect(source, row, blobs, 0);
}
