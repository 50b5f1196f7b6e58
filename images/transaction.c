/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/transaction.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/record.h"
#include "images/transaction-private.h"

DuetTransaction *duet_transaction_new(DuetStore *store)
{
    DuetTransaction *transaction = g_new0(DuetTransaction, 1);
    transaction->store = store;
    transaction->blobs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    transaction->layers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    transaction->records = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    transaction->disks = g_ptr_array_new_with_free_func(g_free);
    transaction->moved = g_ptr_array_new_with_free_func(g_free);
    return transaction;
}

void duet_transaction_free(DuetTransaction *transaction)
{
    if (!transaction)
        return;
    duet_transaction_undo(transaction);
    g_hash_table_unref(transaction->blobs);
    g_hash_table_unref(transaction->layers);
    g_hash_table_unref(transaction->records);
    g_ptr_array_unref(transaction->disks);
    g_ptr_array_unref(transaction->moved);
    g_free(transaction);
}

static int create_staged(DuetTransaction *transaction, const char *name, GError **error)
{
    int fd = openat(transaction->store->tmp_fd, name,
        O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        duet_error_set_errno(
            error, errno, "cannot make a file in '%s/tmp'", transaction->store->dir);
    return fd;
}

static gboolean is_staged(DuetTransaction *transaction, const char *hex)
{
    return g_hash_table_contains(transaction->blobs, hex);
}

/* It takes the place of what the store has by that name, which may be damaged. */
static void keep_staged(DuetTransaction *transaction, const char *hex, char *name)
{
    if (is_staged(transaction, hex)) {
        unlinkat(transaction->store->tmp_fd, name, 0);
        g_free(name);
    } else {
        g_hash_table_insert(transaction->blobs, g_strdup(hex), name);
    }
}

gboolean duet_transaction_blob(
    DuetTransaction *transaction, const char *hex, const char *bytes, gsize length, GError **error)
{
    g_autofree char *name = duet_store_fresh_name(transaction->store);
    DUET_AUTO_FD fd = create_staged(transaction, name, error);
    if (fd < 0)
        return FALSE;
    if (!duet_write_all(fd, bytes, length))
        return duet_error_set_errno(error, errno, "cannot store blob 'sha256:%s'", hex);
    keep_staged(transaction, hex, g_steal_pointer(&name));
    return TRUE;
}

/* @out_fd: gets the blob, or -1: it is only checked */
static gboolean copy_checked(
    DuetSource *source, const DuetDescriptor *blob, int out_fd, GError **error)
{
    g_autofree char *member = duet_blob_path(blob->hex);
    g_autofree char *hex = NULL;
    guint64 bytes = 0, max = (guint64)MAX(blob->size_bytes, 0);
    if (!duet_source_copy(source, member, out_fd, max, &hex, &bytes, error))
        return FALSE;
    if (g_str_equal(hex, blob->hex) && (gint64)bytes == blob->size_bytes)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
        "'%s' lies: '%s' has %" G_GUINT64_FORMAT
        " bytes with the digest 'sha256:%s', but should have %" G_GINT64_FORMAT " with 'sha256:%s'",
        duet_source_what(source), member, bytes, hex, blob->size_bytes, blob->hex);
    return FALSE;
}

static gboolean check_stored(
    DuetTransaction *transaction, const DuetDescriptor *blob, GError **error)
{
    const DuetStore *store = transaction->store;
    g_autoptr(DuetSource) source = duet_source_open_store(store->fd, store->dir);
    return copy_checked(source, blob, -1, error);
}

static gboolean stage_checked(
    DuetTransaction *transaction, DuetSource *source, const DuetDescriptor *blob, GError **error)
{
    /* The source's blob is checked even if the store has a good one: a lie is a lie. */
    if (is_staged(transaction, blob->hex) || check_stored(transaction, blob, NULL))
        return copy_checked(source, blob, -1, error);
    g_autofree char *name = duet_store_fresh_name(transaction->store);
    DUET_AUTO_FD fd = create_staged(transaction, name, error);
    if (fd < 0 || !copy_checked(source, blob, fd, error))
        return FALSE;
    keep_staged(transaction, blob->hex, g_steal_pointer(&name));
    return TRUE;
}

gboolean duet_transaction_layer_blobs(
    DuetTransaction *transaction, DuetSource *source, const DuetManifest *manifest, GError **error)
{
    for (guint i = 0; i < manifest->layers->len; i++) {
        const DuetDescriptor *blob = manifest->layers->pdata[i];
        if (source ? !stage_checked(transaction, source, blob, error)
                   : !check_stored(transaction, blob, error))
            return FALSE;
    }
    return TRUE;
}

gboolean duet_transaction_copy_blob(DuetTransaction *transaction, DuetSource *source,
    const char *member, char **out_hex, guint64 *out_bytes, GError **error)
{
    g_autofree char *name = duet_store_fresh_name(transaction->store);
    DUET_AUTO_FD fd = create_staged(transaction, name, error);
    if (fd < 0 || !duet_source_copy(source, member, fd, G_MAXUINT64, out_hex, out_bytes, error))
        return FALSE;
    keep_staged(transaction, *out_hex, g_steal_pointer(&name));
    return TRUE;
}

gboolean duet_transaction_file_blob(DuetTransaction *transaction, const char *name, char **out_hex,
    guint64 *out_bytes, GError **error)
{
    g_autoptr(DuetSource) source = duet_source_open_store(transaction->store->tmp_fd, name);
    if (!duet_source_copy(source, name, -1, G_MAXUINT64, out_hex, out_bytes, error))
        return FALSE;
    keep_staged(transaction, *out_hex, g_strdup(name));
    return TRUE;
}

gboolean duet_transaction_stream_blob(
    DuetTransaction *transaction, DuetStream *stream, GError **error)
{
    g_autofree char *name = duet_store_fresh_name(transaction->store);
    DUET_AUTO_FD fd = create_staged(transaction, name, error);
    if (fd < 0 || !duet_stream_drain(stream, fd, error))
        return FALSE;
    keep_staged(transaction, duet_stream_hex(stream), g_steal_pointer(&name));
    return TRUE;
}

int duet_transaction_open_blob(DuetTransaction *transaction, const char *hex, GError **error)
{
    g_autofree char *path = duet_blob_path(hex);
    const char *staged = g_hash_table_lookup(transaction->blobs, hex);
    int fd = openat(staged ? transaction->store->tmp_fd : transaction->store->fd,
        staged ? staged : path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        duet_error_set_errno(error, errno, "cannot open blob 'sha256:%s'", hex);
    return fd;
}

/* Returns: a staged or stored layer, or -1. */
static int open_layer(DuetTransaction *transaction, const char *chain)
{
    g_autofree char *path = g_strconcat("layers/", chain, NULL);
    const char *staged = g_hash_table_lookup(transaction->layers, chain);
    return openat(staged ? transaction->store->tmp_fd : transaction->store->fd,
        staged ? staged : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* One layer of an image while its layers are made. */
typedef struct {
    const DuetDescriptor *blob;
    const char *diff_id;
    const char *chain;
    const int *lowers;
    gsize n_lowers;
} Layer;

static gboolean check_diff_id(DuetStream *stream, const Layer *layer, GError **error)
{
    if (g_str_equal(duet_stream_hex(stream), layer->diff_id))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
        "'%s' lies: its contents have the digest 'sha256:%s', but the config says 'sha256:%s'",
        duet_stream_what(stream), duet_stream_hex(stream), layer->diff_id);
    return FALSE;
}

/* @out_blob: stays open for as long as the stream is read */
static DuetStream *open_stream(
    DuetTransaction *transaction, const Layer *layer, int *out_blob, GError **error)
{
    g_autofree char *what = g_strconcat("layer sha256:", layer->blob->hex, NULL);
    *out_blob = duet_transaction_open_blob(transaction, layer->blob->hex, error);
    return *out_blob < 0 ? NULL : duet_stream_new(*out_blob, what, error);
}

static int unpack_layer(
    DuetTransaction *transaction, const Layer *layer, DuetFacts *facts, GError **error)
{
    g_autofree char *name = duet_store_fresh_name(transaction->store);
    int tmp_fd = transaction->store->tmp_fd;
    DUET_AUTO_FD blob = -1;
    g_autoptr(DuetStream) stream = open_stream(transaction, layer, &blob, error);
    if (!stream)
        return -1;
    DUET_AUTO_FD root = mkdirat(tmp_fd, name, 0700) < 0
        ? -1
        : openat(tmp_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (root < 0) {
        duet_error_set_errno(
            error, errno, "cannot make a directory for '%s'", duet_stream_what(stream));
        return -1;
    }
    if (!duet_layer_unpack(stream, root, layer->lowers, layer->n_lowers, facts, error) ||
        !duet_stream_drain(stream, -1, error) || !check_diff_id(stream, layer, error)) {
        /* It may have filled the disk, and other images are still to come. */
        duet_remove_tree(tmp_fd, name, NULL);
        return -1;
    }
    g_hash_table_insert(transaction->layers, g_strdup(layer->chain), g_steal_pointer(&name));
    return duet_fd_steal(&root);
}

/* The layer is there already; a blob that is new to the store must still be what it says. */
static gboolean check_layer(
    DuetTransaction *transaction, int root, const Layer *layer, DuetFacts *facts, GError **error)
{
    if (!g_str_equal(layer->blob->hex, layer->diff_id)) {
        DUET_AUTO_FD blob = -1;
        g_autoptr(DuetStream) stream = open_stream(transaction, layer, &blob, error);
        if (!stream || !duet_stream_drain(stream, -1, error) ||
            !check_diff_id(stream, layer, error))
            return FALSE;
    }
    return duet_layer_scan(root, layer->chain, facts, error);
}

/* Returns: the open layer, or -1. */
static int make_layer(
    DuetTransaction *transaction, const Layer *layer, DuetFacts *facts, GError **error)
{
    DUET_AUTO_FD root = open_layer(transaction, layer->chain);
    if (root < 0)
        return unpack_layer(transaction, layer, facts, error);
    if (!check_layer(transaction, root, layer, facts, error))
        return -1;
    return duet_fd_steal(&root);
}

static int compare_ids(gconstpointer a, gconstpointer b)
{
    guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;
    return x < y ? -1 : x > y;
}

static void add_facts(DuetImage *image, DuetFacts *facts)
{
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, facts->high_ids);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        guint32 id = GPOINTER_TO_UINT(key);
        g_array_append_val(image->high_ids, id);
    }
    g_array_sort(image->high_ids, compare_ids);
    g_autoptr(GStrvBuilder) warnings = g_strv_builder_new();
    g_strv_builder_addv(warnings, (const char **)image->warnings);
    g_autoptr(GList) texts =
        g_list_sort(g_hash_table_get_keys(facts->warnings), (GCompareFunc)g_strcmp0);
    for (GList *text = texts; text; text = text->next)
        g_strv_builder_add(warnings, text->data);
    g_strfreev(image->warnings);
    image->warnings = g_strv_builder_end(warnings);
}

static void set_layer_dirs(DuetImage *image, DuetStore *store, char **chains)
{
    guint n = g_strv_length(chains);
    g_strfreev(image->layer_dirs);
    image->layer_dirs = g_new0(char *, n + 1);
    for (guint i = 0; i < n; i++)
        image->layer_dirs[i] = g_build_filename(store->dir, "layers", chains[i], NULL);
}

gboolean duet_transaction_layers(
    DuetTransaction *transaction, const DuetManifest *manifest, DuetImage *image, GError **error)
{
    guint n = manifest->layers->len;
    g_auto(GStrv) chains = duet_manifest_chains(manifest);
    g_autoptr(DuetFacts) facts = duet_facts_new();
    /* Filled from the end: unpacking wants the nearest lower layer first. */
    g_autofree int *roots = g_new(int, n);
    gboolean good = TRUE;
    guint done = 0;
    for (; good && done < n; done += good) {
        Layer layer = {
            .blob = manifest->layers->pdata[done],
            .diff_id = manifest->diff_ids[done],
            .chain = chains[done],
            .lowers = roots + n - done,
            .n_lowers = done,
        };
        roots[n - done - 1] = make_layer(transaction, &layer, facts, error);
        good = roots[n - done - 1] >= 0;
    }
    for (guint i = 0; i < done; i++)
        close(roots[n - i - 1]);
    if (!good)
        return FALSE;
    add_facts(image, facts);
    set_layer_dirs(image, transaction->store, chains);
    return TRUE;
}
