/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/image.h>

#include "images/source.h"

G_BEGIN_DECLS

/** DUET_MAX_LAYERS: overlayfs takes no more. */
#define DUET_MAX_LAYERS 500

/**
 * DuetManifest: one image's manifest and config, both checked.
 * @self: the descriptor of the manifest
 * @manifest: the manifest's bytes
 * @config: the config's bytes
 * @layers: (element-type DuetDescriptor): lowest first
 * @diff_ids: hex digests of the uncompressed layers; as many as @layers, but for a disk image
 * @platform: (nullable): "os/architecture" as the config says
 * @disk: (nullable): it is a disk image, and this its only layer
 */
typedef struct {
    DuetDescriptor *self;
    char *manifest;
    gsize manifest_length;
    DuetDescriptor *config_descriptor;
    char *config;
    gsize config_length;
    GPtrArray *layers;
    char **diff_ids;
    char *platform;
    const DuetDescriptor *disk;
} DuetManifest;

/** duet_manifest_load: reads both from @source, digests checked; not yet the layers. */
DuetManifest *duet_manifest_load(
    DuetSource *source, const DuetDescriptor *descriptor, GError **error);
/**
 * duet_manifest_build: for images that come without a manifest.
 * @config_type: its media type
 * @config: its bytes
 * @layers: (element-type DuetDescriptor) (transfer full)
 */
DuetManifest *duet_manifest_build(const char *config_type, const char *config, gsize config_length,
    GPtrArray *layers, const char *what, GError **error);
void duet_manifest_free(DuetManifest *manifest);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetManifest, duet_manifest_free)

/** duet_manifest_check_platform: %DUET_ERROR_PLATFORM, naming both, if it is not for this host. */
gboolean duet_manifest_check_platform(DuetManifest *manifest, const char *what, GError **error);

/** duet_manifest_chains: Returns: (transfer full): the chain id of each layer, in hex; none of a
 * disk image. */
char **duet_manifest_chains(const DuetManifest *manifest);

/**
 * duet_manifest_image: the image as the config describes it; without layer directories, high ids,
 * ref.
 */
DuetImage *duet_manifest_image(const DuetManifest *manifest, const char *what, GError **error);

/**
 * DuetPick: one image of an index.json, brought down to the manifest for this host.
 * @rows: (element-type DuetDescriptor): its rows' own descriptors: one, or all of its variants
 * @row: (transfer none): the first of them
 * @manifest: (nullable): NULL if there is none for this host, then:
 * @refused: why
 */
typedef struct {
    GPtrArray *rows;
    const DuetDescriptor *row;
    DuetManifest *manifest;
    GError *refused;
} DuetPick;
void duet_pick_free(DuetPick *pick);

/**
 * duet_pick_images: the images of an OCI layout. Rows of an index.json that have a platform and no
 * name are the variants of one image.
 * @strict: a row that can't be read is an error, and not left out
 * Returns: (transfer full) (element-type DuetPick): rows that hold no image at all (attestations)
 *     are left out.
 */
GPtrArray *duet_pick_images(DuetSource *source, gboolean strict, GError **error);

/**
 * duet_index_blobs: collects the hex digests of all the blobs that a row of an index needs; blobs
 * that are not there or can't be read are leaves.
 */
void duet_index_blobs(DuetSource *source, const DuetDescriptor *row, GHashTable *blobs);

G_END_DECLS
