/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "images/catalog.h"
#include "images/disk.h"

G_BEGIN_DECLS

/**
 * DuetImport: one `image import`.
 * @index, @rows: as they will be
 * @what: names the source in messages
 * @name: (nullable): `--name`, in full form
 * @found: (element-type DuetManifest): the images, with:
 * @names: (element-type GPtrArray of strings): the names of each
 */
typedef struct {
    DuetStore *store;
    DuetTransaction *transaction;
    DuetSource *source;
    const char *what;
    const char *name;
    GPtrArray *found;
    GPtrArray *names;
} DuetImport;

/** duet_import_found: takes one image; its layers' blobs are staged. @names: (nullable) */
void duet_import_found(DuetImport *import, DuetManifest *manifest, char **names);

/** duet_import_docker: finds the images of a docker-archive. */
gboolean duet_import_docker(DuetImport *import, GError **error);
/** duet_import_rootfs: makes an image of a plain tar. */
gboolean duet_import_rootfs(DuetImport *import, GError **error);

/**
 * duet_import_sniff_disk: Returns: @path, opened, if it is a disk by its first bytes; else -1.
 */
int duet_import_sniff_disk(const char *path, DuetDiskFormat *out_format);
/** duet_import_is_disk_name: whether people call disks so. */
gboolean duet_import_is_disk_name(const char *path);
/** duet_import_open_disk: @path must be a disk in @format. Returns: a descriptor, or -1. */
int duet_import_open_disk(
    const char *path, const char *format, DuetDiskFormat *out_format, GError **error);
/** duet_import_disk: makes an image of a disk. */
gboolean duet_import_disk(
    DuetImport *import, int fd, DuetDiskFormat format, const char *what, GError **error);

G_END_DECLS
