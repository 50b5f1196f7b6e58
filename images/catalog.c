/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/catalog.h"

#include <string.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/record.h"

static DuetRow *row_new(const char *name, const char *manifest_hex, const char *config_hex)
{
    DuetRow *row = g_new0(DuetRow, 1);
    row->name = g_strdup(name);
    row->manifest_hex = g_strdup(manifest_hex);
    row->config_hex = g_strdup(config_hex ? config_hex : "");
    row->code = -1;
    return row;
}

static GPtrArray *rows_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)duet_row_free);
}

static gboolean same_name(const DuetRow *row, const char *name)
{
    return g_strcmp0(row->name, name) == 0;
}

void duet_catalog_drop(GPtrArray *rows, const char *name, const char *manifest_hex)
{
    for (guint i = rows->len; i-- > 0;) {
        const DuetRow *row = rows->pdata[i];
        if (name ? same_name(row, name) : g_str_equal(row->manifest_hex, manifest_hex))
            g_ptr_array_remove_index(rows, i);
    }
}

static gboolean has_manifest(GPtrArray *rows, const char *manifest_hex)
{
    for (guint i = 0; i < rows->len; i++) {
        const DuetRow *row = rows->pdata[i];
        if (g_str_equal(row->manifest_hex, manifest_hex))
            return TRUE;
    }
    return FALSE;
}

/* Drops what @name meant; an image that loses its last name keeps a row without one. */
static void take_name(GPtrArray *rows, const char *name, const char *manifest_hex)
{
    for (guint i = rows->len; i-- > 0;) {
        DuetRow *row = rows->pdata[i];
        gboolean same_image = g_str_equal(row->manifest_hex, manifest_hex);
        if (same_image && (!row->name || same_name(row, name))) {
            g_ptr_array_remove_index(rows, i);
        } else if (!same_image && same_name(row, name)) {
            g_autofree char *old = g_strdup(row->manifest_hex);
            g_autofree char *config = g_strdup(row->config_hex);
            g_ptr_array_remove_index(rows, i);
            if (*old && !has_manifest(rows, old))
                g_ptr_array_add(rows, row_new(NULL, old, config));
        }
    }
}

void duet_catalog_add(
    GPtrArray *rows, const char *name, const char *manifest_hex, const char *config_hex)
{
    if (name)
        take_name(rows, name, manifest_hex);
    else if (has_manifest(rows, manifest_hex))
        return;
    g_ptr_array_add(rows, row_new(name, manifest_hex, config_hex));
}

/* A failure of this host, unlike one of an image, must not be written down for good. */
static gboolean is_of_image(const GError *error)
{
    static const DuetError codes[] = { DUET_ERROR_BROKEN, DUET_ERROR_PLATFORM,
        DUET_ERROR_UNSUPPORTED, DUET_ERROR_INVALID, DUET_ERROR_NOT_FOUND };
    for (guint i = 0; i < G_N_ELEMENTS(codes); i++) {
        if (g_error_matches(error, DUET_ERROR, (int)codes[i]))
            return TRUE;
    }
    return FALSE;
}

static gboolean make_record(
    DuetTransaction *transaction, const char *store_dir, DuetManifest *manifest, GError **error)
{
    g_autoptr(DuetImage) image = duet_manifest_image(manifest, store_dir, error);
    g_auto(GStrv) chains = duet_manifest_chains(manifest);
    return image && duet_transaction_layer_blobs(transaction, NULL, manifest, error) &&
        duet_transaction_contents(transaction, manifest, image, error) &&
        duet_transaction_record(transaction, image, chains, error);
}

static DuetRow *row_of(const DuetPick *pick, const GError *failure)
{
    const DuetManifest *manifest = pick->manifest;
    DuetRow *row = row_new(pick->row->name, manifest ? manifest->self->hex : pick->row->hex,
        manifest ? manifest->config_descriptor->hex : NULL);
    if (failure) {
        row->code = is_of_image(failure) ? failure->code : DUET_ERROR_STALE;
        row->message = g_strdup(failure->message);
    }
    return row;
}

static void make_missing_record(
    DuetTransaction *transaction, const char *store_dir, DuetManifest *manifest, GError **error)
{
    g_autoptr(DuetImage) known = duet_record_image(store_dir, manifest->self->hex, NULL, NULL);
    if (!known)
        make_record(transaction, store_dir, manifest, error);
}

/* @unpack: else images without a record get a row alone, and their own lookup finds them stale. */
static gboolean refresh(DuetStore *store, gboolean unpack, GError **error)
{
    if (!duet_store_has(store, "index.json"))
        return TRUE;
    DuetIndexStamp read;
    if (!duet_index_stamp(store->fd, "index.json", &read, error))
        return FALSE;
    g_autoptr(DuetSource) source = duet_source_open_store(store->fd, store->dir);
    g_autoptr(GPtrArray) picks = duet_pick_images(source, FALSE, error);
    if (!picks)
        return FALSE;
    g_autoptr(DuetTransaction) transaction = duet_transaction_new(store);
    g_autoptr(GPtrArray) rows = rows_new();
    for (guint i = 0; i < picks->len; i++) {
        DuetPick *pick = picks->pdata[i];
        g_autoptr(GError) local = g_steal_pointer(&pick->refused);
        if (unpack && pick->manifest)
            make_missing_record(transaction, store->dir, pick->manifest, &local);
        g_ptr_array_add(rows, row_of(pick, local));
    }
    return duet_transaction_commit(transaction, &read, NULL, rows, error);
}

static GPtrArray *rows_from(GVariant *refs)
{
    GPtrArray *rows = rows_new();
    g_autoptr(GVariant) array = g_variant_get_child_value(refs, 4);
    for (gsize i = 0; i < g_variant_n_children(array); i++) {
        const char *name = NULL, *manifest = NULL, *config = NULL, *message = NULL;
        int code = -1;
        g_variant_get_child(array, i, "(&s&s&si&s)", &name, &manifest, &config, &code, &message);
        DuetRow *row = row_new(*name ? name : NULL, manifest, config);
        row->code = code;
        row->message = *message ? g_strdup(message) : NULL;
        g_ptr_array_add(rows, row);
    }
    return rows;
}

GPtrArray *duet_catalog_load(DuetStore *store, GError **error)
{
    g_autoptr(GError) local = NULL;
    g_autoptr(GVariant) refs = duet_record_refs(store->dir, &local);
    if (g_error_matches(local, DUET_ERROR, DUET_ERROR_NOT_FOUND))
        return rows_new();
    if (g_error_matches(local, DUET_ERROR, DUET_ERROR_STALE)) {
        if (!refresh(store, FALSE, error))
            return NULL;
        g_clear_error(&local);
        refs = duet_record_refs(store->dir, &local);
    }
    if (!refs) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    GPtrArray *rows = rows_from(refs);
    for (guint i = 0; i < rows->len; i++) {
        DuetRow *row = rows->pdata[i];
        /* What the writer adds may be what this image lacked. */
        if (row->code >= 0)
            row->code = DUET_ERROR_STALE;
    }
    return rows;
}

gboolean duet_images_refresh(const char *store_dir, GError **error)
{
    DUET_RAW_NAMES;
    g_autoptr(DuetStore) store = duet_store_open_write(store_dir, error);
    return store && refresh(store, TRUE, error);
}

/* Like duet_record_refs(), but refreshes a table that is out of date. */
static GVariant *fresh_refs(const char *store_dir, GError **error)
{
    g_autoptr(GError) local = NULL;
    GVariant *refs = duet_record_refs(store_dir, &local);
    if (refs)
        return refs;
    if (!g_error_matches(local, DUET_ERROR, DUET_ERROR_STALE)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    return duet_images_refresh(store_dir, error) ? duet_record_refs(store_dir, error) : NULL;
}

DuetImage *duet_catalog_lookup(const char *store_dir, const char *ref, GError **error)
{
    g_autoptr(GError) local = NULL;
    DuetImage *image = duet_image_lookup(store_dir, ref, &local);
    if (image)
        return image;
    if (!g_error_matches(local, DUET_ERROR, DUET_ERROR_STALE)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    return duet_images_refresh(store_dir, error) ? duet_image_lookup(store_dir, ref, error) : NULL;
}

DuetManifest *duet_catalog_manifest(DuetStore *store, const char *hex, GError **error)
{
    g_autoptr(DuetSource) source = duet_source_open_store(store->fd, store->dir);
    g_autoptr(GPtrArray) picks = duet_pick_images(source, FALSE, error);
    if (!picks)
        return NULL;
    for (guint i = 0; i < picks->len; i++) {
        DuetPick *pick = picks->pdata[i];
        if (pick->manifest && g_str_equal(pick->manifest->self->hex, hex))
            return g_steal_pointer(&pick->manifest);
    }
    g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
        "the image 'sha256:%s' is gone from store '%s'", hex, store->dir);
    return NULL;
}

/* What is in the index but can't be used is listed too, with the reason. */
static DuetImage *unusable(const DuetRow *row)
{
    DuetImage *image = g_new0(DuetImage, 1);
    image->ref = g_strdup(row->name);
    image->digest = g_strconcat("sha256:", row->manifest_hex, NULL);
    image->config_digest = g_strconcat("sha256:", row->config_hex, NULL);
    image->layer_dirs = g_new0(char *, 1);
    image->env = g_new0(char *, 1);
    image->working_dir = g_strdup("/");
    image->high_ids = g_array_new(FALSE, FALSE, sizeof(guint32));
    image->warnings = g_new0(char *, 2);
    image->warnings[0] = g_strdup(row->message);
    return image;
}

static gboolean list_rows(const char *store_dir, GVariant *refs, GPtrArray *images, GError **error)
{
    g_autoptr(GPtrArray) rows = rows_from(refs);
    g_ptr_array_set_size(images, 0);
    for (guint i = 0; i < rows->len; i++) {
        const DuetRow *row = rows->pdata[i];
        DuetImage *image = row->code >= 0
            ? unusable(row)
            : duet_record_image(store_dir, row->manifest_hex, row->name, error);
        if (!image)
            return FALSE;
        g_ptr_array_add(images, image);
    }
    return TRUE;
}

GPtrArray *duet_images_list(const char *store_dir, GError **error)
{
    g_autoptr(GPtrArray) images = g_ptr_array_new_with_free_func((GDestroyNotify)duet_image_free);
    g_autoptr(GError) local = NULL;
    g_autoptr(GVariant) refs = fresh_refs(store_dir, &local);
    if (g_error_matches(local, DUET_ERROR, DUET_ERROR_NOT_FOUND))
        return g_steal_pointer(&images);
    if (refs && list_rows(store_dir, refs, images, &local))
        return g_steal_pointer(&images);
    if (!g_error_matches(local, DUET_ERROR, DUET_ERROR_STALE)) {
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
    }
    /* A record or layer was deleted beside an intact table. */
    g_clear_pointer(&refs, g_variant_unref);
    if (!duet_images_refresh(store_dir, error))
        return NULL;
    refs = duet_record_refs(store_dir, error);
    return refs && list_rows(store_dir, refs, images, error) ? g_steal_pointer(&images) : NULL;
}
