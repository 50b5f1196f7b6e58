/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/catalog.h"
#include "images/disk.h"
#include "images/stream.h"

/**
 * Export: one archive that is written. Everything in it that could differ from run to run (times,
 * owners) is fixed, so the same image gives the same bytes.
 */
typedef struct {
    DuetStore *store;
    DuetManifest *manifest;
    const char *name;
    const char *path;
    int out_fd;
    struct archive *archive;
} Export;

static gboolean write_error(Export *export, GError **error)
{
    int err = archive_errno(export->archive);
    return duet_error_set_errno(error, err > 0 ? err : EIO, "cannot write '%s'", export->path);
}

static gboolean begin_member(
    Export *export, const char *name, mode_t type, guint64 bytes, GError **error)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, name);
    archive_entry_set_filetype(entry, type);
    archive_entry_set_perm(entry, type == AE_IFDIR ? 0755 : 0644);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_size(entry, (la_int64_t)bytes);
    int r = archive_write_header(export->archive, entry);
    archive_entry_free(entry);
    return r >= ARCHIVE_WARN || write_error(export, error);
}

/* As DuetBytesFunc. */
static gboolean write_bytes(gpointer data, const void *bytes, gsize length, GError **error)
{
    Export *export = data;
    return archive_write_data(export->archive, bytes, length) == (la_ssize_t)length ||
        write_error(export, error);
}

static gboolean add_text(Export *export, const char *name, const char *text, GError **error)
{
    gsize length = strlen(text);
    return begin_member(export, name, AE_IFREG, length, error) &&
        write_bytes(export, text, length, error);
}

/* Copies a file whose sha256 must be @hex. */
static gboolean add_file(Export *export, const char *name, int fd, const char *hex, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return duet_error_set_errno(error, errno, "cannot read blob 'sha256:%s'", hex);
    return begin_member(export, name, AE_IFREG, (guint64)st.st_size, error) &&
        duet_store_feed(export->store, fd, hex, write_bytes, export, error);
}

static gboolean add_blob(Export *export, const char *name, const char *hex, GError **error)
{
    DUET_AUTO_FD fd = duet_store_open_blob(export->store, hex, error);
    return fd >= 0 && add_file(export, name, fd, hex, error);
}

static char *oci_index(Export *export)
{
    g_autoptr(JsonNode) index = duet_index_new();
    duet_index_add(index, export->manifest->self, export->name);
    return duet_json_text(index, FALSE);
}

/* Each blob once, though an image may have a layer twice. */
static GPtrArray *blobs_of(const DuetManifest *manifest)
{
    GPtrArray *list = g_ptr_array_new();
    g_ptr_array_add(list, manifest->self->hex);
    g_ptr_array_add(list, manifest->config_descriptor->hex);
    for (guint i = 0; i < manifest->layers->len; i++) {
        const DuetDescriptor *layer = manifest->layers->pdata[i];
        if (!g_ptr_array_find_with_equal_func(list, layer->hex, g_str_equal, NULL))
            g_ptr_array_add(list, layer->hex);
    }
    return list;
}

static gboolean write_oci(Export *export, GError **error)
{
    g_autofree char *index = oci_index(export);
    if (!add_text(export, "oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}", error) ||
        !add_text(export, "index.json", index, error) ||
        !begin_member(export, "blobs/", AE_IFDIR, 0, error) ||
        !begin_member(export, "blobs/sha256/", AE_IFDIR, 0, error))
        return FALSE;
    g_autoptr(GPtrArray) blobs = blobs_of(export->manifest);
    for (guint i = 0; i < blobs->len; i++) {
        g_autofree char *name = duet_blob_path(blobs->pdata[i]);
        if (!add_blob(export, name, blobs->pdata[i], error))
            return FALSE;
    }
    return TRUE;
}

static char *docker_manifest(Export *export)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree char *config = g_strconcat(export->manifest->config_descriptor->hex, ".json", NULL);
    json_builder_begin_array(builder);
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "Config");
    json_builder_add_string_value(builder, config);
    json_builder_set_member_name(builder, "RepoTags");
    json_builder_begin_array(builder);
    if (export->name)
        json_builder_add_string_value(builder, export->name);
    json_builder_end_array(builder);
    json_builder_set_member_name(builder, "Layers");
    json_builder_begin_array(builder);
    for (char **id = export->manifest->diff_ids; *id; id++) {
        g_autofree char *layer = g_strconcat(*id, ".tar", NULL);
        json_builder_add_string_value(builder, layer);
    }
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    json_builder_end_array(builder);
    g_autoptr(JsonNode) root = json_builder_get_root(builder);
    return duet_json_text(root, FALSE);
}

/* docker-archives hold uncompressed layers, and a tar needs the size before the contents. */
static gboolean add_decompressed(Export *export, guint n, GError **error)
{
    const DuetDescriptor *layer = export->manifest->layers->pdata[n];
    const char *diff_id = export->manifest->diff_ids[n];
    g_autofree char *name = g_strconcat(diff_id, ".tar", NULL);
    if (g_str_equal(layer->hex, diff_id))
        return add_blob(export, name, layer->hex, error);
    DUET_AUTO_FD blob = duet_store_open_blob(export->store, layer->hex, error);
    DUET_AUTO_FD plain = blob < 0 ? -1 : duet_store_tmpfile(export->store->fd, error);
    g_autoptr(DuetStream) stream = plain < 0 ? NULL : duet_stream_new(blob, layer->hex, error);
    return stream && duet_stream_drain(stream, plain, error) &&
        add_file(export, name, plain, diff_id, error);
}

static gboolean write_docker(Export *export, GError **error)
{
    const DuetManifest *manifest = export->manifest;
    g_autofree char *text = docker_manifest(export);
    g_autofree char *config = g_strconcat(manifest->config_descriptor->hex, ".json", NULL);
    if (!add_text(export, "manifest.json", text, error) ||
        !add_blob(export, config, manifest->config_descriptor->hex, error))
        return FALSE;
    g_autoptr(GPtrArray) done = g_ptr_array_new();
    for (guint i = 0; i < manifest->layers->len; i++) {
        char *id = manifest->diff_ids[i];
        if (g_ptr_array_find_with_equal_func(done, id, g_str_equal, NULL))
            continue;
        if (!add_decompressed(export, i, error))
            return FALSE;
        g_ptr_array_add(done, id);
    }
    return TRUE;
}

static gboolean is_disk_format(DuetArchive format)
{
    return format == DUET_ARCHIVE_QCOW2 || format == DUET_ARCHIVE_RAW;
}

static gboolean check_format(
    const Export *export, const char *ref, DuetArchive format, GError **error)
{
    gboolean disk = export->manifest->disk != NULL;
    if (format == DUET_ARCHIVE_OCI || disk == is_disk_format(format))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        disk ? "'%s' is a disk: export it as qcow2, raw or oci-archive"
             : "'%s' is no disk: export it as oci-archive or docker-archive",
        ref);
    return FALSE;
}

static gboolean write_archive(Export *export, DuetArchive format, GError **error)
{
    if (is_disk_format(format))
        return duet_disk_export(
            export->store, export->manifest->disk, format, export->out_fd, export->path, error);
    export->archive = archive_write_new();
    archive_write_set_format_pax_restricted(export->archive);
    /* The same bytes into a pipe as into a file. */
    archive_write_set_bytes_in_last_block(export->archive, 1);
    gboolean good = archive_write_open_fd(export->archive, export->out_fd) >= ARCHIVE_WARN ||
        write_error(export, error);
    good = good &&
        (format == DUET_ARCHIVE_OCI ? write_oci(export, error) : write_docker(export, error));
    good = good &&
        (archive_write_close(export->archive) >= ARCHIVE_WARN || write_error(export, error));
    archive_write_free(export->archive);
    return good;
}

/* A file without a name gets one only when it is whole, so a killed export leaves nothing. */
static gboolean write_new_file(Export *export, DuetArchive format, GError **error)
{
    g_autofree char *dir = g_path_get_dirname(export->path);
    DUET_AUTO_FD fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0644);
    g_autofree char *named = NULL;
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        named = g_strconcat(export->path, ".XXXXXX", NULL);
        fd = g_mkstemp_full(named, O_WRONLY | O_CLOEXEC, 0644);
    }
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot make a file in '%s'", dir);
    export->out_fd = fd;
    gboolean good = write_archive(export, format, error);
    g_autofree char *self = named ? g_strdup(named) : g_strdup_printf("/proc/self/fd/%d", fd);
    if (good && linkat(AT_FDCWD, self, AT_FDCWD, export->path, AT_SYMLINK_FOLLOW) < 0)
        good = duet_error_set_errno(error, errno, "cannot make '%s'", export->path);
    if (named)
        unlink(named);
    return good;
}

static gboolean write_export(Export *export, DuetArchive format, GError **error)
{
    struct stat st;
    /* The latter may be a file, but one that was opened for us. */
    if (g_str_equal(export->path, "-") || g_str_equal(export->path, "/dev/stdout")) {
        export->path = "standard output";
        export->out_fd = STDOUT_FILENO;
        return write_archive(export, format, error);
    }
    if (stat(export->path, &st) < 0)
        return write_new_file(export, format, error);
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
            "'%s' exists already; remove it or give another name", export->path);
        return FALSE;
    }
    /* A pipe, /dev/stdout: there is nothing to leave behind. */
    DUET_AUTO_FD fd = open(export->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot open '%s'", export->path);
    export->out_fd = fd;
    return write_archive(export, format, error);
}

gboolean duet_images_export(const char *store_dir, const char *ref, const char *name,
    DuetArchive format, const char *path, GError **error)
{
    DUET_RAW_NAMES;
    g_autoptr(DuetImage) image = duet_catalog_lookup(store_dir, ref, error);
    g_autoptr(DuetStore) store = image ? duet_store_open_read(store_dir, error) : NULL;
    g_autoptr(DuetManifest) manifest =
        store ? duet_catalog_manifest(store, image->digest + strlen("sha256:"), error) : NULL;
    if (!manifest)
        return FALSE;
    Export export = {
        .store = store,
        .manifest = manifest,
        .name = name ? name : image->ref,
        .path = path,
        .out_fd = -1,
    };
    return check_format(&export, ref, format, error) && write_export(&export, format, error);
}
