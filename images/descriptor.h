/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "images/json.h"

G_BEGIN_DECLS

/* Media types of OCI and of Docker's schema 2; both are kept as they came. */
#define DUET_MEDIA_INDEX "application/vnd.oci.image.index.v1+json"
#define DUET_MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define DUET_MEDIA_CONFIG "application/vnd.oci.image.config.v1+json"
#define DUET_MEDIA_LAYER "application/vnd.oci.image.layer.v1.tar"
#define DUET_MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"
#define DUET_MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define DUET_MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"

/* Of disk images: the artifact's type and its config, and its only blob. */
#define DUET_MEDIA_DISK_CONFIG "application/vnd.duet.disk.config.v1+json"
#define DUET_MEDIA_DISK "application/vnd.duet.disk.qcow2"

#define DUET_ANNOTATION_NAME "org.opencontainers.image.ref.name"
#define DUET_ANNOTATION_CONTAINERD_NAME "io.containerd.image.name"

/**
 * DuetDescriptor: what points to a blob.
 * @hex: the sha256 digest without its "sha256:"
 * @media_type: (nullable)
 * @name: (nullable): the image's name, in full form
 * @platform: (nullable): "os/architecture" or "os/architecture/variant"
 * @attestation: not an image, whatever its type says
 */
typedef struct {
    char *media_type;
    char *hex;
    gint64 size_bytes;
    char *name;
    char *platform;
    gboolean attestation;
} DuetDescriptor;

/** duet_descriptor_parse: @what names the JSON that @object is from. */
DuetDescriptor *duet_descriptor_parse(JsonObject *object, const char *what, GError **error);
DuetDescriptor *duet_descriptor_copy(const DuetDescriptor *descriptor);
void duet_descriptor_free(DuetDescriptor *descriptor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetDescriptor, duet_descriptor_free)

/** duet_descriptor_build: adds the object {mediaType, digest, size} to @builder. */
void duet_descriptor_build(
    JsonBuilder *builder, const char *media_type, const char *hex, gint64 size_bytes);

/** duet_is_sha256_hex: 64 lower-case hex digits. */
gboolean duet_is_sha256_hex(const char *text);

/** duet_blob_path: Returns: (transfer full): "blobs/sha256/<hex>". */
char *duet_blob_path(const char *hex);

/** duet_host_platform: Returns: (transfer full): "linux/amd64" and the like. */
char *duet_host_platform(void);

G_END_DECLS
