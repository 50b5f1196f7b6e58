/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/image.h>

G_BEGIN_DECLS

/*
 * The derived records of a store, in GVariant's binary form: what the start of an instance reads
 * in place of JSON. All of it is safe to delete: the images module's refresh() makes it anew.
 *
 *   records/refs            one row per name (or image without a name), stamped with the identity
 *                           of the index.json that it was made from
 *   records/<manifest hex>  one image
 */
#define DUET_RECORD_DIR "records"
#define DUET_RECORD_REFS DUET_RECORD_DIR "/refs"
#define DUET_RECORD_MAX_BYTES (16 * 1024 * 1024)

/**
 * DUET_REFS_TYPE: magic, mtime_ns, size and inode of index.json, then rows of: name ("" for none),
 * manifest hex, config hex ("" when it could not be read), error code (-1: none; %DUET_ERROR_STALE:
 * it was this host's, so a lookup tries again), error message.
 */
#define DUET_REFS_TYPE "(sttta(sssis))"
#define DUET_REFS_MAGIC "duet-refs-1"

/**
 * DUET_IMAGE_TYPE: magic, config digest, layer directories below layers/, entrypoint, cmd, env,
 * working directory, user, stop signal, high ids, size in bytes, created, warnings, labels, health
 * check: test, interval, timeout, start period, start interval in us, retries; disk: its blob's
 * hex, virtual size in bytes, firmware.
 */
#define DUET_IMAGE_TYPE "(ssasmasmasassmsiautmsasasmasxxxxxmstms)"
#define DUET_IMAGE_MAGIC "duet-image-4"

/*
 * A disk image's blob has a second name that QEMU's user can open; DUET_ROOT_DISK_SUFFIX tells why
 * with a suffix.
 */
#define DUET_DISK_SUFFIX ".qcow2"
/** duet_disk_path: Returns: (transfer full): where the disk of blob @hex lies for QEMU. */
char *duet_disk_path(const char *store_dir, const char *hex);

/**
 * duet_record_refs: Returns: (transfer full): the table, or NULL with %DUET_ERROR_STALE when it is
 *     missing, damaged or made from another index.json, %DUET_ERROR_NOT_FOUND without an
 * index.json.
 */
GVariant *duet_record_refs(const char *store_dir, GError **error);

/**
 * duet_record_image:
 * @manifest_hex: names the record
 * @ref: (nullable): becomes the image's ref
 *
 * Returns: (transfer full): the image, or NULL with %DUET_ERROR_STALE when the record or a layer
 *     directory is missing.
 */
DuetImage *duet_record_image(
    const char *store_dir, const char *manifest_hex, const char *ref, GError **error);

/**
 * duet_image_name: the full form of an image's name: "docker.io/library/" goes, ":latest" comes
 * where there is no tag.
 * Returns: (transfer full)
 */
char *duet_image_name(const char *name);

/**
 * duet_record_find:
 * @refs: the table
 * @ref: as users write it
 *
 * Returns: the row that @ref means, or -1 with %DUET_ERROR_NOT_FOUND or %DUET_ERROR_INVALID (more
 *     than one image has that prefix).
 */
gssize duet_record_find(const char *store_dir, GVariant *refs, const char *ref,
    gboolean *out_by_digest, GError **error);

G_END_DECLS
