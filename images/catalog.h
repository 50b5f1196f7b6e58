/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "images/transaction.h"

G_BEGIN_DECLS

/* The table of names (record.h's refs) as a list of DuetRow, and what keeps it true. */

/**
 * duet_catalog_load: the rows, made anew if need be, but nothing is unpacked for them; none where
 * the store is empty.
 * Returns: (transfer full) (element-type DuetRow)
 */
GPtrArray *duet_catalog_load(DuetStore *store, GError **error);

/** duet_catalog_add: does to the rows what duet_index_add() does to the index. */
void duet_catalog_add(
    GPtrArray *rows, const char *name, const char *manifest_hex, const char *config_hex);
/** duet_catalog_drop: the rows of @name, or, if that is NULL, all of @manifest_hex. */
void duet_catalog_drop(GPtrArray *rows, const char *name, const char *manifest_hex);

/** duet_catalog_lookup: like duet_image_lookup, but refreshes. */
DuetImage *duet_catalog_lookup(const char *store_dir, const char *ref, GError **error);

/**
 * duet_catalog_manifest: the manifest of an image of the store.
 * @hex: its digest
 */
DuetManifest *duet_catalog_manifest(DuetStore *store, const char *hex, GError **error);

/* The operations of DuetImagesOps. */
GPtrArray *duet_images_import(
    const char *store_dir, const char *source, const char *name, GError **error);
GPtrArray *duet_images_import_disk(const char *store_dir, const char *source, const char *name,
    const char *format, GError **error);
gboolean duet_images_export(const char *store_dir, const char *ref, const char *name,
    DuetArchive format, const char *path, GError **error);
GPtrArray *duet_images_list(const char *store_dir, GError **error);
char *duet_images_inspect(const char *store_dir, const char *ref, GError **error);
gboolean duet_images_remove(
    const char *store_dir, const char *ref, DuetLayersInUse in_use, gpointer data, GError **error);
gboolean duet_images_refresh(const char *store_dir, GError **error);
/*
 * With the suffix AppArmor's rules for libvirt take it for a disk: its helper, which looks into
 * disks to find what they build on, is let near no other name.
 */
#define DUET_ROOT_DISK_SUFFIX ".img"
/** duet_root_disk_path: Returns: (transfer full): where the root disk of @chain lies. */
char *duet_root_disk_path(const char *store_dir, const char *chain);
char *duet_images_root_disk(const char *store_dir, const DuetImage *image, GError **error);
gboolean duet_images_copy_dir(
    char *const *layers, const char *path, int to_fd, gboolean *out_found, GError **error);

G_END_DECLS
