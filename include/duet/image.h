/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* An image has no more owners above 65535: a user namespace's map has 340 lines. */
#define DUET_IMAGE_HIGH_IDS_MAX 300

/**
 * DuetImage: one image of the store, as an instance needs it. Never changes.
 * @ref: name in the store ("busybox:latest"), or NULL for an image without one
 * @digest: "sha256:<hex>" of the manifest
 * @config_digest: "sha256:<hex>" of the config: the image id that docker and podman print
 * @layer_dirs: absolute paths of the unpacked layers, lowest first
 * @entrypoint: (nullable), @cmd: (nullable), @env: never NULL
 * @working_dir: absolute, "/" where the image names none
 * @user: (nullable): the config's User
 * @stop_signal: SIGTERM where the image names none
 * @high_ids: (element-type guint32) ids above 65535 that files of the image have, ascending
 * @size_bytes: sum of the sizes of the layers' blobs
 * @created: (nullable): RFC 3339 time of the config
 * @health_test: (nullable): the config's Healthcheck.Test: "CMD" and words, or "CMD-SHELL" and a
 *     line for the shell; NULL also for "NONE"
 * @health_interval_us, @health_timeout_us, @health_start_period_us, @health_start_interval_us,
 * @health_retries: 0: the config says nothing
 * @warnings: what could not be kept for one kind ("POSIX ACLs are not in a VM's root disk")
 * @labels: "KEY=VALUE" strings, never NULL
 * @disk: (nullable): absolute path of a whole operating system's disk, a qcow2 without a backing
 *     file that is only read: such an image has no layers, entrypoint, ... and runs as a VM alone
 * @disk_virtual_bytes: the disk's size as its guest sees it
 * @disk_firmware: (nullable): "bios" or "uefi" where the disk boots by that alone
 */
typedef struct {
    char *ref;
    char *digest;
    char *config_digest;
    char **layer_dirs;
    char **entrypoint;
    char **cmd;
    char **env;
    char *working_dir;
    char *user;
    int stop_signal;
    GArray *high_ids;
    guint64 size_bytes;
    char *created;
    char **warnings;
    char **labels;
    char **health_test;
    gint64 health_interval_us;
    gint64 health_timeout_us;
    gint64 health_start_period_us;
    gint64 health_start_interval_us;
    gint64 health_retries;
    char *disk;
    guint64 disk_virtual_bytes;
    char *disk_firmware;
} DuetImage;

void duet_image_free(DuetImage *image);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetImage, duet_image_free)

/**
 * duet_image_lookup:
 * @store_dir: the store (an OCI image layout)
 * @ref: a name ("busybox", "busybox:1.36"), a "sha256:<hex>" digest of manifest or config, or at
 *     least 4 leading hex digits of one
 *
 * The cheap half of the store, for the start of an instance: reads only the derived records
 * (GLib alone, no JSON). A name without a tag means ":latest".
 *
 * Returns: (transfer full): the image, all its layers unpacked; or NULL with
 *     %DUET_ERROR_NOT_FOUND, or %DUET_ERROR_STALE when another tool changed the layout or a
 *     derived file is missing: call the images module's refresh() and try again.
 */
DuetImage *duet_image_lookup(const char *store_dir, const char *ref, GError **error);

typedef enum {
    DUET_ARCHIVE_OCI,
    DUET_ARCHIVE_DOCKER,
    DUET_ARCHIVE_QCOW2,
    DUET_ARCHIVE_RAW,
} DuetArchive;

/** DuetLayersInUse: Returns: (transfer full): directories of layers, disks; NULL with @error. */
typedef char **(*DuetLayersInUse)(gpointer data, GError **error);

/**
 * DuetImagesOps: the heavy half of the store (libarchive, json-glib), in the module
 * "duet-images" under the symbol "duet_images". All members are mandatory.
 */
typedef struct {
    /**
     * import:
     * @source: an OCI layout directory, an OCI archive, a docker-archive or a plain root file
     *     system tar, compressed or not
     * @name: (nullable): `--name`; else the names that the archive holds; a plain tar without a
     *     name is stored without one
     *
     * A file that is a disk by its first bytes is imported as import_disk does.
     *
     * All or nothing: on any error the store is as it was.
     *
     * Returns: (transfer full) (element-type DuetImage): what is now in the store.
     */
    GPtrArray *(*import)(
        const char *store_dir, const char *source, const char *name, GError **error);
    /**
     * import_disk: makes an image of a whole operating system's disk, copied into a qcow2.
     * @format: "raw", "qcow2", "vmdk" or "vdi"
     *
     * A disk that names other files of the host is refused, as is one that is damaged or cut short.
     */
    GPtrArray *(*import_disk)(const char *store_dir, const char *source, const char *name,
        const char *format, GError **error);
    /**
     * export: writes @ref to the new file @path, or "-", standard output; never leaves a part of
     * a file. Disks alone have the formats qcow2 and raw, others the docker-archive.
     * @name: (nullable): what the archive calls the image; else as the store does, if at all
     */
    gboolean (*export)(const char *store_dir, const char *ref, const char *name, DuetArchive format,
        const char *path, GError **error);
    /** list: Returns: (transfer full) (element-type DuetImage): one entry per name. */
    GPtrArray *(*list)(const char *store_dir, GError **error);
    /** inspect: Returns: (transfer full): a JSON object as text: manifest, config and store facts.
     */
    char *(*inspect)(const char *store_dir, const char *ref, GError **error);
    /**
     * remove: drops the name @ref (or the image, if @ref is a digest), then every blob and derived
     * file that no image needs any more.
     * @in_use: (nullable): tells the layer directories that instances use (transfer full); an image
     *     whose layer is among them is refused with %DUET_ERROR_STATE. Asked when the store is
     *     locked: waiting for that may take as long as an import does; and again when the image
     *     cannot be found any more, for layers to keep
     */
    gboolean (*remove)(const char *store_dir, const char *ref, DuetLayersInUse in_use,
        gpointer data, GError **error);
    /**
     * refresh: brings the derived records in line with index.json, unpacking what is missing. An
     * image that can't be is no failure: its own lookup tells why.
     */
    gboolean (*refresh)(const char *store_dir, GError **error);
    /**
     * root_disk: the image's shared read-only squashfs for VMs, made on first use. Not for disks.
     * Returns: (transfer full): its absolute path.
     */
    char *(*root_disk)(const char *store_dir, const DuetImage *image, GError **error);
    /**
     * copy_dir: copies all that an image has below a directory, with owners, modes, times, extended
     * attributes and hard links; the directory's own go to @to_fd.
     * @layers: absolute paths, lowest first
     * @path: as an instance of the image sees it: links on the way are followed
     * @to_fd: an empty directory
     * @out_found: whether there is a directory of that path; if not, nothing was done
     */
    gboolean (*copy_dir)(
        char *const *layers, const char *path, int to_fd, gboolean *out_found, GError **error);
} DuetImagesOps;

G_END_DECLS
