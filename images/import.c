/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/import.h"

#include <string.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/record.h"

#define MAX_NAME 255

/* image-spec, "annotations": what an org.opencontainers.image.ref.name may be. */
static gboolean is_name(const char *name)
{
    if (strlen(name) > MAX_NAME || g_str_has_prefix(name, "sha256:"))
        return FALSE;
    gboolean after_separator = TRUE;
    for (const char *at = name; *at; at++) {
        gboolean plain = g_ascii_isalnum(*at);
        if (!plain && !strchr("-._:+/", *at))
            return FALSE;
        if (!plain && after_separator && !strchr("-_.", *at))
            return FALSE;
        after_separator = !plain;
    }
    return *name && !after_separator;
}

static gboolean check_name(const char *name, const char *what, GError **error)
{
    if (is_name(name))
        return TRUE;
    g_autofree char *valid = g_utf8_make_valid(name, -1);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' cannot be the name of an image (%s): use letters, digits and single '.', '-', '_', "
        "'/', with one ':' before the tag, or give another with --name",
        valid, what);
    return FALSE;
}

void duet_import_found(DuetImport *import, DuetManifest *manifest, char **names)
{
    GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
    for (char **name = names; name && *name; name++) {
        /* Old dockers wrote this for an image without a name. */
        if (!g_str_has_prefix(*name, "<none>"))
            g_ptr_array_add(list, duet_image_name(*name));
    }
    g_ptr_array_add(import->found, manifest);
    g_ptr_array_add(import->names, list);
}

static gboolean import_oci(DuetImport *import, GError **error)
{
    g_autoptr(GPtrArray) picks = duet_pick_images(import->source, TRUE, error);
    if (!picks)
        return FALSE;
    for (guint i = 0; i < picks->len; i++) {
        DuetPick *pick = picks->pdata[i];
        if (pick->refused) {
            g_propagate_error(error, g_steal_pointer(&pick->refused));
            return FALSE;
        }
        char *names[] = { pick->row->name, NULL };
        if (!duet_transaction_layer_blobs(
                import->transaction, import->source, pick->manifest, error))
            return FALSE;
        duet_import_found(import, g_steal_pointer(&pick->manifest), names);
    }
    return TRUE;
}

static gboolean find_images(DuetImport *import, GError **error)
{
    gboolean good = FALSE;
    switch (duet_source_kind(import->source)) {
    case DUET_SOURCE_OCI:
        good = import_oci(import, error);
        break;
    case DUET_SOURCE_DOCKER:
        good = duet_import_docker(import, error);
        break;
    case DUET_SOURCE_ROOTFS:
        good = duet_import_rootfs(import, error);
        break;
    }
    if (good && import->found->len == 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' holds no image", import->what);
        good = FALSE;
    }
    return good;
}

static gboolean is_same_image(DuetImport *import)
{
    const DuetManifest *first = import->found->pdata[0];
    for (guint i = 1; i < import->found->len; i++) {
        const DuetManifest *manifest = import->found->pdata[i];
        if (!g_str_equal(first->self->hex, manifest->self->hex))
            return FALSE;
    }
    return TRUE;
}

/* --name takes the place of all the names in the archive. */
static gboolean apply_name(DuetImport *import, GError **error)
{
    if (!import->name)
        return TRUE;
    if (!is_same_image(import)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' holds %u images: --name cannot name them all", import->what, import->found->len);
        return FALSE;
    }
    g_ptr_array_set_size(import->found, 1);
    g_ptr_array_set_size(import->names, 1);
    GPtrArray *names = import->names->pdata[0];
    g_ptr_array_set_size(names, 0);
    g_ptr_array_add(names, g_strdup(import->name));
    return TRUE;
}

static gboolean use_image(
    DuetImport *import, const DuetManifest *manifest, DuetImage *image, GError **error)
{
    if (duet_transaction_contents(import->transaction, manifest, image, error))
        return TRUE;
    g_prefix_error(error, "cannot import '%s': ", import->what);
    return FALSE;
}

static gboolean store_image(DuetImport *import, const DuetManifest *manifest, GError **error)
{
    const char *what = import->what;
    DuetTransaction *transaction = import->transaction;
    g_autoptr(DuetImage) image = duet_manifest_image(manifest, what, error);
    g_auto(GStrv) chains = duet_manifest_chains(manifest);
    return image &&
        duet_transaction_blob(transaction, manifest->config_descriptor->hex, manifest->config,
            manifest->config_length, error) &&
        duet_transaction_blob(transaction, manifest->self->hex, manifest->manifest,
            manifest->manifest_length, error) &&
        use_image(import, manifest, image, error) &&
        duet_transaction_record(transaction, image, chains, error);
}

static gboolean check_names(DuetImport *import, GError **error)
{
    for (guint n = 0; n < import->names->len; n++) {
        GPtrArray *names = import->names->pdata[n];
        for (guint i = 0; i < names->len; i++) {
            if (!check_name(names->pdata[i], "as the archive has it", error))
                return FALSE;
        }
    }
    return TRUE;
}

static void add_rows(DuetImport *import, guint n, JsonNode *index, GPtrArray *rows)
{
    const DuetManifest *manifest = import->found->pdata[n];
    GPtrArray *names = import->names->pdata[n];
    const char *config = manifest->config_descriptor->hex;
    for (guint i = 0; i < names->len; i++) {
        duet_index_add(index, manifest->self, names->pdata[i]);
        duet_catalog_add(rows, names->pdata[i], manifest->self->hex, config);
    }
    if (names->len == 0) {
        duet_index_add(index, manifest->self, NULL);
        duet_catalog_add(rows, NULL, manifest->self->hex, config);
    }
}

static gboolean commit(gpointer data, GError **error)
{
    DuetImport *import = data;
    DuetIndexStamp read;
    if (!duet_index_stamp(import->store->fd, "index.json", &read, error))
        return FALSE;
    g_autoptr(JsonNode) index = duet_index_load(import->store, error);
    g_autoptr(GPtrArray) rows = index ? duet_catalog_load(import->store, error) : NULL;
    if (!rows)
        return FALSE;
    for (guint i = 0; i < import->found->len; i++)
        add_rows(import, i, index, rows);
    return duet_transaction_commit(import->transaction, &read, index, rows, error);
}

/* Unpacking takes minutes, in which other tools may write: the index is read after it. */
static gboolean store_images(DuetImport *import, GError **error)
{
    if (!check_names(import, error))
        return FALSE;
    for (guint i = 0; i < import->found->len; i++) {
        if (!store_image(import, import->found->pdata[i], error))
            return FALSE;
    }
    return duet_transaction_try(commit, import, error);
}

static gboolean add_result(
    DuetImport *import, GPtrArray *images, guint n, const char *name, GError **error)
{
    const DuetManifest *manifest = import->found->pdata[n];
    DuetImage *image = duet_record_image(import->store->dir, manifest->self->hex, name, error);
    if (image)
        g_ptr_array_add(images, image);
    return image != NULL;
}

static GPtrArray *results(DuetImport *import, GError **error)
{
    g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func((GDestroyNotify)duet_image_free);
    for (guint n = 0; n < import->found->len; n++) {
        GPtrArray *names = import->names->pdata[n];
        for (guint i = 0; i < MAX(names->len, 1); i++) {
            const char *name = names->len > 0 ? names->pdata[i] : NULL;
            if (!add_result(import, images, n, name, error))
                return NULL;
        }
    }
    return g_steal_pointer(&images);
}

static gboolean find_in_source(DuetImport *import, GError **error)
{
    g_autoptr(GError) local = NULL;
    import->source = duet_source_open(import->what, import->store->tmp_fd, &local);
    if (import->source)
        return find_images(import, error);
    if (g_error_matches(local, DUET_ERROR, DUET_ERROR_BROKEN) &&
        duet_import_is_disk_name(import->what))
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is no disk: it does not begin as a qcow2, vmdk or vdi, nor as a raw disk with a "
            "partition table; unpack it first if it is compressed",
            import->what);
    else
        g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

/* @disk_format: (nullable) */
static GPtrArray *run_import(DuetImport *import, const char *disk_format, GError **error)
{
    DuetDiskFormat format = DUET_DISK_NONE;
    DUET_AUTO_FD disk = disk_format
        ? duet_import_open_disk(import->what, disk_format, &format, error)
        : duet_import_sniff_disk(import->what, &format);
    if (disk < 0 && disk_format)
        return NULL;
    gboolean found = disk >= 0 ? duet_import_disk(import, disk, format, import->what, error)
                               : find_in_source(import, error);
    return found && apply_name(import, error) && store_images(import, error)
        ? results(import, error)
        : NULL;
}

static GPtrArray *import_as(const char *store_dir, const char *source, const char *name,
    const char *disk_format, GError **error)
{
    DUET_RAW_NAMES;
    g_autofree char *full = name ? duet_image_name(name) : NULL;
    if (full && !check_name(full, "as --name", error))
        return NULL;
    DuetImport import = { .what = source, .name = full };
    import.store = duet_store_open_write(store_dir, error);
    if (!import.store)
        return NULL;
    import.transaction = duet_transaction_new(import.store);
    import.found = g_ptr_array_new_with_free_func((GDestroyNotify)duet_manifest_free);
    import.names = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    GPtrArray *images = run_import(&import, disk_format, error);
    g_ptr_array_unref(import.names);
    g_ptr_array_unref(import.found);
    duet_source_free(import.source);
    duet_transaction_free(import.transaction);
    duet_store_free(import.store);
    return images;
}

GPtrArray *duet_images_import(
    const char *store_dir, const char *source, const char *name, GError **error)
{
    return import_as(store_dir, source, name, NULL, error);
}

GPtrArray *duet_images_import_disk(
    const char *store_dir, const char *source, const char *name, const char *format, GError **error)
{
    return import_as(store_dir, source, name, format, error);
}
