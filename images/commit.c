/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The end of a transaction. First everything is written and brought to disk in the work directory,
 * where it may fail without a trace; then it is renamed into place, index.json last. The table of
 * names is stamped with the identity of an index.json that is not in place yet: rename(2) keeps
 * inode, size and time. Other tools take no lock: so the index is written when all else is in place
 * and on disk, and only over the one that it was made from.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/record.h"
#include "images/transaction-private.h"

#define STAGED_INDEX "index.json"
#define STAGED_REFS "refs"
#define STAGED_LAYOUT "oci-layout"
/* So often is a commit tried while other tools change index.json. */
#define MAX_TRIES 16

void duet_row_free(DuetRow *row)
{
    if (!row)
        return;
    g_free(row->name);
    g_free(row->manifest_hex);
    g_free(row->config_hex);
    g_free(row->message);
    g_free(row);
}

static gboolean stage_file(
    DuetTransaction *transaction, const char *name, const void *bytes, gsize length, GError **error)
{
    return duet_file_replace(transaction->store->tmp_fd, name, bytes, length, error);
}

static GVariant *maybe_string(const char *text)
{
    return g_variant_new_maybe(G_VARIANT_TYPE_STRING, text ? g_variant_new_string(text) : NULL);
}

static GVariant *strv(char **texts)
{
    return g_variant_new_strv((const char *const *)texts, texts ? -1 : 0);
}

static GVariant *maybe_strv(char **texts)
{
    return g_variant_new_maybe(G_VARIANT_TYPE_STRING_ARRAY, texts ? strv(texts) : NULL);
}

/* The order of the members is DUET_IMAGE_TYPE's. */
static GVariant *record_of(const DuetImage *image, char **chains)
{
    g_autofree char *disk = image->disk ? g_path_get_basename(image->disk) : NULL;
    if (disk)
        disk[strlen(disk) - strlen(DUET_DISK_SUFFIX)] = '\0';
    GVariant *members[] = {
        g_variant_new_string(DUET_IMAGE_MAGIC),
        g_variant_new_string(image->config_digest),
        strv(chains),
        maybe_strv(image->entrypoint),
        maybe_strv(image->cmd),
        strv(image->env),
        g_variant_new_string(image->working_dir),
        maybe_string(image->user),
        g_variant_new_int32(image->stop_signal),
        g_variant_new_fixed_array(
            G_VARIANT_TYPE_UINT32, image->high_ids->data, image->high_ids->len, sizeof(guint32)),
        g_variant_new_uint64(image->size_bytes),
        maybe_string(image->created),
        strv(image->warnings),
        strv(image->labels),
        maybe_strv(image->health_test),
        g_variant_new_int64(image->health_interval_us),
        g_variant_new_int64(image->health_timeout_us),
        g_variant_new_int64(image->health_start_period_us),
        g_variant_new_int64(image->health_start_interval_us),
        g_variant_new_int64(image->health_retries),
        maybe_string(disk),
        g_variant_new_uint64(image->disk_virtual_bytes),
        maybe_string(image->disk_firmware),
    };
    return g_variant_ref_sink(g_variant_new_tuple(members, G_N_ELEMENTS(members)));
}

gboolean duet_transaction_record(
    DuetTransaction *transaction, const DuetImage *image, char **chains, GError **error)
{
    const char *hex = image->digest + strlen("sha256:");
    g_autoptr(GVariant) record = record_of(image, chains);
    g_autofree char *name = g_strconcat("r", hex, NULL);
    if (!stage_file(
            transaction, name, g_variant_get_data(record), g_variant_get_size(record), error))
        return FALSE;
    g_hash_table_replace(transaction->records, g_strdup(hex), g_steal_pointer(&name));
    return TRUE;
}

static gboolean make_skeleton(DuetTransaction *transaction, GError **error)
{
    DuetStore *store = transaction->store;
    static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
    return duet_store_mkdir(store, "blobs", 0700, error) &&
        duet_store_mkdir(store, "blobs/sha256", 0700, error) &&
        duet_store_mkdir(store, "layers", 0700, error) &&
        duet_store_mkdir(store, "vmroot", 0711, error) &&
        duet_store_mkdir(store, DUET_RECORD_DIR, 0700, error) &&
        (duet_store_has(store, "oci-layout") ||
            stage_file(transaction, STAGED_LAYOUT, layout, sizeof layout - 1, error));
}

static gboolean stage_index(DuetTransaction *transaction, JsonNode *index, GError **error)
{
    g_autofree char *text = duet_json_text(index, FALSE);
    if (!stage_file(transaction, STAGED_INDEX, text, strlen(text), error))
        return FALSE;
    DUET_AUTO_FD fd = openat(transaction->store->tmp_fd, STAGED_INDEX, O_RDONLY | O_CLOEXEC);
    return (fd >= 0 && fsync(fd) == 0) ||
        duet_error_set_errno(
            error, errno, "cannot write '%s/index.json' to disk", transaction->store->dir);
}

static gboolean stage_refs(
    DuetTransaction *transaction, const DuetIndexStamp *stamp, GPtrArray *rows, GError **error)
{
    g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(G_VARIANT_TYPE("a(sssis)"));
    for (guint i = 0; i < rows->len; i++) {
        const DuetRow *row = rows->pdata[i];
        /* A message may quote the bytes of a name. */
        g_autofree char *message = g_utf8_make_valid(row->message ? row->message : "", -1);
        g_variant_builder_add(&builder, "(sssis)", row->name ? row->name : "", row->manifest_hex,
            row->config_hex, row->code, message);
    }
    g_autoptr(GVariant) refs = g_variant_ref_sink(g_variant_new("(sttta(sssis))", DUET_REFS_MAGIC,
        stamp->mtime_ns, stamp->size_bytes, stamp->inode, &builder));
    return stage_file(
        transaction, STAGED_REFS, g_variant_get_data(refs), g_variant_get_size(refs), error);
}

static gboolean move(
    DuetTransaction *transaction, const char *name, const char *path, GError **error)
{
    DuetStore *store = transaction->store;
    gboolean is_new = !duet_store_has(store, path);
    if (renameat(store->tmp_fd, name, store->fd, path) < 0)
        return duet_error_set_errno(error, errno, "cannot make '%s/%s'", store->dir, path);
    if (is_new)
        g_ptr_array_add(transaction->moved, g_strdup(path));
    return TRUE;
}

static gboolean move_table(
    DuetTransaction *transaction, GHashTable *staged, const char *where, GError **error)
{
    GHashTableIter iter;
    gpointer hex, name;
    g_hash_table_iter_init(&iter, staged);
    while (g_hash_table_iter_next(&iter, &hex, &name)) {
        g_autofree char *path = g_strconcat(where, hex, NULL);
        if (!move(transaction, name, path, error))
            return FALSE;
        g_hash_table_iter_remove(&iter);
    }
    return TRUE;
}

/* Over what is there: that may be a second name of a blob that was damaged. */
static gboolean link_disks(DuetTransaction *transaction, GError **error)
{
    DuetStore *store = transaction->store;
    for (guint i = 0; i < transaction->disks->len; i++) {
        const char *hex = transaction->disks->pdata[i];
        g_autofree char *blob = duet_blob_path(hex);
        g_autofree char *disk = duet_disk_path("", hex);
        g_autofree char *name = duet_store_fresh_name(store);
        /* QEMU runs as another user than the store's. */
        if (linkat(store->fd, blob, store->tmp_fd, name, 0) < 0 ||
            fchmodat(store->tmp_fd, name, 0644, 0) < 0)
            return duet_error_set_errno(error, errno, "cannot make '%s/%s'", store->dir, disk);
        if (!move(transaction, name, disk, error))
            return FALSE;
    }
    return TRUE;
}

/* All but the index and the table of names; nothing is left to do the second time. */
static gboolean place(DuetTransaction *transaction, GError **error)
{
    DuetStore *store = transaction->store;
    if (!make_skeleton(transaction, error))
        return FALSE;
    /* A layer that is there by name must be there by contents, also after a power failure. */
    if (!transaction->synced && syncfs(store->fd) < 0)
        return duet_error_set_errno(error, errno, "cannot write '%s' to disk", store->dir);
    transaction->synced = TRUE;
    return move_table(transaction, transaction->blobs, "blobs/sha256/", error) &&
        link_disks(transaction, error) &&
        move_table(transaction, transaction->layers, "layers/", error) &&
        move_table(transaction, transaction->records, DUET_RECORD_DIR "/", error) &&
        (duet_store_has(store, "oci-layout") ||
            move(transaction, STAGED_LAYOUT, "oci-layout", error));
}

static gboolean check_unchanged(DuetStore *store, const DuetIndexStamp *read, GError **error)
{
    DuetIndexStamp now;
    if (!duet_index_stamp(store->fd, "index.json", &now, error))
        return FALSE;
    if (now.mtime_ns == read->mtime_ns && now.size_bytes == read->size_bytes &&
        now.inode == read->inode)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_STALE,
        "another tool changes '%s/index.json'; try again when it is done", store->dir);
    return FALSE;
}

static gboolean replace_index(DuetTransaction *transaction, const DuetIndexStamp *read,
    JsonNode *index, GPtrArray *rows, GError **error)
{
    DuetStore *store = transaction->store;
    DuetIndexStamp stamp = *read;
    if (index &&
        (!stage_index(transaction, index, error) ||
            !duet_index_stamp(store->tmp_fd, STAGED_INDEX, &stamp, error)))
        return FALSE;
    return stage_refs(transaction, &stamp, rows, error) &&
        (!index || check_unchanged(store, read, error)) &&
        move(transaction, STAGED_REFS, DUET_RECORD_REFS, error) &&
        (!index || move(transaction, STAGED_INDEX, "index.json", error));
}

void duet_transaction_undo(DuetTransaction *transaction)
{
    while (transaction->moved->len > 0) {
        g_autofree char *path =
            g_ptr_array_steal_index(transaction->moved, transaction->moved->len - 1);
        duet_store_discard(transaction->store, transaction->store->fd, path);
    }
}

gboolean duet_transaction_commit(DuetTransaction *transaction, const DuetIndexStamp *read,
    JsonNode *index, GPtrArray *rows, GError **error)
{
    g_autoptr(GError) local = NULL;
    if (!place(transaction, &local) || !replace_index(transaction, read, index, rows, &local)) {
        /* What is in place stays there for another try. */
        if (!g_error_matches(local, DUET_ERROR, DUET_ERROR_STALE))
            duet_transaction_undo(transaction);
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    g_ptr_array_set_size(transaction->moved, 0);
    fsync(transaction->store->fd);
    return TRUE;
}

gboolean duet_transaction_try(
    gboolean (*attempt)(gpointer data, GError **error), gpointer data, GError **error)
{
    g_autoptr(GError) local = NULL;
    for (guint i = 0; i < MAX_TRIES; i++) {
        g_clear_error(&local);
        if (attempt(data, &local))
            return TRUE;
        if (!g_error_matches(local, DUET_ERROR, DUET_ERROR_STALE))
            break;
    }
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}
