/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

#define COPY_BYTES (128 * 1024)

static DuetStore *store_new(const char *dir)
{
    DuetStore *store = g_new0(DuetStore, 1);
    store->dir = g_canonicalize_filename(dir, NULL);
    store->fd = store->lock_fd = store->tmp_fd = -1;
    return store;
}

static gboolean open_dir(DuetStore *store, GError **error)
{
    store->fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return store->fd >= 0 ||
        duet_error_set_errno(error, errno, "cannot open the store '%s'", store->dir);
}

DuetStore *duet_store_open_read(const char *dir, GError **error)
{
    g_autoptr(DuetStore) store = store_new(dir);
    return open_dir(store, error) ? g_steal_pointer(&store) : NULL;
}

/* The lock is free only when no writer lives, so whatever is in tmp/ was left by a dead one. */
static gboolean make_work_dir(DuetStore *store, GError **error)
{
    if (!duet_remove_tree(store->fd, "tmp", error) || !duet_store_mkdir(store, "tmp", 0700, error))
        return FALSE;
    store->tmp = g_strdup_printf("tmp/%08x%08x", g_random_int(), g_random_int());
    if (!duet_store_mkdir(store, store->tmp, 0700, error))
        return FALSE;
    store->tmp_fd = openat(store->fd, store->tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return store->tmp_fd >= 0 ||
        duet_error_set_errno(error, errno, "cannot open '%s/%s'", store->dir, store->tmp);
}

DuetStore *duet_store_open_write(const char *dir, GError **error)
{
    g_autoptr(DuetStore) store = store_new(dir);
    if (!duet_mkdir_p(store->dir, 0755, error) || !open_dir(store, error))
        return NULL;
    store->lock_fd = openat(store->fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (store->lock_fd < 0) {
        duet_error_set_errno(error, errno, "cannot open '%s/lock'", store->dir);
        return NULL;
    }
    int r;
    do
        r = flock(store->lock_fd, LOCK_EX);
    while (r < 0 && errno == EINTR);
    if (r < 0) {
        duet_error_set_errno(error, errno, "cannot lock the store '%s'", store->dir);
        return NULL;
    }
    return make_work_dir(store, error) ? g_steal_pointer(&store) : NULL;
}

void duet_store_free(DuetStore *store)
{
    if (!store)
        return;
    duet_fd_clear(&store->tmp_fd);
    if (store->tmp)
        duet_remove_tree(store->fd, "tmp", NULL);
    duet_fd_clear(&store->lock_fd);
    duet_fd_clear(&store->fd);
    g_free(store->tmp);
    g_free(store->dir);
    g_free(store);
}

char *duet_store_fresh_name(DuetStore *store)
{
    return g_strdup_printf("%u", store->staged++);
}

void duet_store_discard(DuetStore *store, int dir_fd, const char *path)
{
    g_autofree char *gone = duet_store_fresh_name(store);
    if (renameat(dir_fd, path, store->tmp_fd, gone) < 0)
        unlinkat(dir_fd, path, 0);
}

int duet_store_tmpfile(int dir_fd, GError **error)
{
    int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        /* Not every file system has files without a name. */
        g_autofree char *name = g_strdup_printf(".spool%08x%08x", g_random_int(), g_random_int());
        fd = openat(dir_fd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
        if (fd >= 0)
            unlinkat(dir_fd, name, 0);
    }
    if (fd < 0)
        duet_error_set_errno(error, errno, "cannot make a temporary file");
    return fd;
}

int duet_store_open_blob(DuetStore *store, const char *hex, GError **error)
{
    g_autofree char *path = duet_blob_path(hex);
    int fd = openat(store->fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        duet_error_set_errno(
            error, errno, "cannot open blob 'sha256:%s' of store '%s'", hex, store->dir);
    return fd;
}

gboolean duet_store_feed(
    DuetStore *store, int fd, const char *hex, DuetBytesFunc func, gpointer data, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autofree char *buffer = g_malloc(COPY_BYTES);
    ssize_t n;
    for (off_t at = 0; (n = pread(fd, buffer, COPY_BYTES, at)) != 0;) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return duet_error_set_errno(error, errno, "cannot read blob 'sha256:%s'", hex);
        g_checksum_update(sum, (const guchar *)buffer, n);
        if (!func(data, buffer, (gsize)n, error))
            return FALSE;
        at += n;
    }
    if (g_str_equal(g_checksum_get_string(sum), hex))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
        "blob 'sha256:%s' of store '%s' is damaged: import the image again", hex, store->dir);
    return FALSE;
}

gboolean duet_store_has(DuetStore *store, const char *path)
{
    return faccessat(store->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

gboolean duet_store_mkdir(DuetStore *store, const char *path, int mode, GError **error)
{
    struct stat st;
    if (mkdirat(store->fd, path, (mode_t)mode) == 0) {
        /* A VM's process is another user: the caller's umask must not lock it out. */
        if (fchmodat(store->fd, path, (mode_t)mode, 0) == 0)
            return TRUE;
    } else if (errno == EEXIST && fstatat(store->fd, path, &st, 0) == 0) {
        mode_t less = st.st_mode & 07777 & (mode_t)mode;
        if (less == (st.st_mode & 07777) || fchmodat(store->fd, path, less, 0) == 0)
            return TRUE;
    }
    return duet_error_set_errno(error, errno, "cannot make '%s/%s'", store->dir, path);
}

gboolean duet_index_stamp(int dir_fd, const char *name, DuetIndexStamp *out_stamp, GError **error)
{
    struct stat st;
    *out_stamp = (DuetIndexStamp){ 0 };
    if (fstatat(dir_fd, name, &st, 0) < 0)
        return errno == ENOENT || duet_error_set_errno(error, errno, "cannot read '%s'", name);
    out_stamp->mtime_ns = (guint64)st.st_mtim.tv_sec * 1000000000u + (guint64)st.st_mtim.tv_nsec;
    out_stamp->size_bytes = (guint64)st.st_size;
    out_stamp->inode = (guint64)st.st_ino;
    return TRUE;
}

JsonNode *duet_index_new(void)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "schemaVersion");
    json_builder_add_int_value(builder, 2);
    json_builder_set_member_name(builder, "mediaType");
    json_builder_add_string_value(builder, DUET_MEDIA_INDEX);
    json_builder_set_member_name(builder, "manifests");
    json_builder_begin_array(builder);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    return json_builder_get_root(builder);
}

JsonNode *duet_index_load(DuetStore *store, GError **error)
{
    if (!duet_store_has(store, "index.json"))
        return duet_index_new();
    gsize length = 0;
    g_autofree char *bytes =
        duet_file_read(store->fd, "index.json", DUET_JSON_MAX_BYTES, &length, error);
    if (!bytes)
        return NULL;
    g_autofree char *what = g_build_filename(store->dir, "index.json", NULL);
    g_autoptr(JsonNode) root = duet_json_parse(bytes, length, JSON_NODE_OBJECT, what, error);
    if (!root)
        return NULL;
    if (!duet_json_array(json_node_get_object(root), "manifests"))
        json_object_set_array_member(json_node_get_object(root), "manifests", json_array_new());
    return g_steal_pointer(&root);
}

/* The name and digest of a row; a damaged row matches nothing. */
static gboolean row_matches(JsonNode *row, const char *name, const char *hex)
{
    if (JSON_NODE_TYPE(row) != JSON_NODE_OBJECT)
        return FALSE;
    g_autoptr(DuetDescriptor) descriptor =
        duet_descriptor_parse(json_node_get_object(row), "index.json", NULL);
    if (!descriptor || (hex && !g_str_equal(hex, descriptor->hex)))
        return FALSE;
    return !name || g_str_equal(name, descriptor->name ? descriptor->name : "");
}

static JsonArray *rows_of(JsonNode *index)
{
    return duet_json_array(json_node_get_object(index), "manifests");
}

static gboolean has_row(JsonNode *index, const char *name, const char *hex)
{
    JsonArray *rows = rows_of(index);
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        if (row_matches(json_array_get_element(rows, i), name, hex))
            return TRUE;
    }
    return FALSE;
}

static void drop_rows(JsonNode *index, const char *name, const char *hex)
{
    JsonArray *rows = rows_of(index);
    for (guint i = json_array_get_length(rows); i-- > 0;) {
        if (row_matches(json_array_get_element(rows, i), name, hex))
            json_array_remove_element(rows, i);
    }
}

static void append_row(JsonNode *index, const DuetDescriptor *manifest, const char *name)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    duet_descriptor_build(builder,
        manifest->media_type ? manifest->media_type : DUET_MEDIA_MANIFEST, manifest->hex,
        manifest->size_bytes);
    g_autoptr(JsonNode) row = json_builder_get_root(builder);
    if (name) {
        JsonObject *annotations = json_object_new();
        json_object_set_string_member(annotations, DUET_ANNOTATION_NAME, name);
        json_object_set_object_member(json_node_get_object(row), "annotations", annotations);
    }
    json_array_add_element(rows_of(index), g_steal_pointer(&row));
}

/* The row of a name that moves on: its manifest stays, without a name, if it has no other. */
static void orphan_rows(JsonNode *index, const char *name, const char *except_hex)
{
    JsonArray *rows = rows_of(index);
    for (guint i = json_array_get_length(rows); i-- > 0;) {
        JsonNode *row = json_array_get_element(rows, i);
        if (!row_matches(row, name, NULL) || row_matches(row, NULL, except_hex))
            continue;
        g_autoptr(DuetDescriptor) old =
            duet_descriptor_parse(json_node_get_object(row), "index.json", NULL);
        json_array_remove_element(rows, i);
        if (!has_row(index, NULL, old->hex))
            append_row(index, old, NULL);
    }
}

void duet_index_add(JsonNode *index, const DuetDescriptor *manifest, const char *name)
{
    if (!name) {
        if (!has_row(index, NULL, manifest->hex))
            append_row(index, manifest, NULL);
        return;
    }
    orphan_rows(index, name, manifest->hex);
    drop_rows(index, name, manifest->hex);
    drop_rows(index, "", manifest->hex);
    append_row(index, manifest, name);
}

void duet_index_drop(JsonNode *index, const char *name, const char *hex)
{
    drop_rows(index, name, name ? NULL : hex);
}
