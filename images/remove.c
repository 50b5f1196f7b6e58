/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/catalog.h"
#include "images/record.h"

/* Another tool writes a layout's blobs before its index.json, and takes no lock of ours. */
#define FOREIGN_GRACE_S 3600

/**
 * Removal: one call of remove().
 * @ref: what is to go, as the caller called it
 * @name: the name that goes, or NULL: the image goes with all its names
 * @hex: the image
 * @dropped: blobs that the dropped rows need
 * @in_use, @data: remove()'s
 */
typedef struct {
    DuetStore *store;
    const char *ref;
    JsonNode *index;
    GPtrArray *rows;
    char *name;
    char *hex;
    GHashTable *dropped;
    DuetLayersInUse in_use;
    gpointer data;
} Removal;

static GHashTable *new_set(void)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static gboolean find_target(Removal *removal, GError **error)
{
    const char *ref = removal->ref;
    g_autoptr(GVariant) refs = duet_record_refs(removal->store->dir, error);
    gboolean by_digest = FALSE;
    gssize n = refs ? duet_record_find(removal->store->dir, refs, ref, &by_digest, error) : -1;
    if (n < 0)
        return FALSE;
    const DuetRow *row = removal->rows->pdata[n];
    removal->hex = g_strdup(row->manifest_hex);
    removal->name = by_digest ? NULL : g_strdup(row->name);
    return TRUE;
}

/* The rows of index.json that go; one may be an index that leads to the manifest. */
static gboolean drop_rows(Removal *removal, GError **error)
{
    g_autoptr(DuetSource) source = duet_source_open_store(removal->store->fd, removal->store->dir);
    g_autoptr(GPtrArray) picks = duet_pick_images(source, FALSE, error);
    if (!picks)
        return FALSE;
    for (guint i = 0; i < picks->len; i++) {
        DuetPick *pick = picks->pdata[i];
        const char *manifest = pick->manifest ? pick->manifest->self->hex : pick->row->hex;
        gboolean drop = removal->name ? g_strcmp0(pick->row->name, removal->name) == 0
                                      : g_str_equal(manifest, removal->hex);
        if (!drop)
            continue;
        for (guint n = 0; n < pick->rows->len; n++) {
            const DuetDescriptor *row = pick->rows->pdata[n];
            duet_index_blobs(source, row, removal->dropped);
            if (!removal->name)
                duet_index_drop(removal->index, NULL, row->hex);
        }
    }
    if (removal->name)
        duet_index_drop(removal->index, removal->name, NULL);
    duet_catalog_drop(removal->rows, removal->name, removal->hex);
    return TRUE;
}

static gboolean still_listed(Removal *removal)
{
    for (guint i = 0; i < removal->rows->len; i++) {
        const DuetRow *row = removal->rows->pdata[i];
        if (g_str_equal(row->manifest_hex, removal->hex))
            return TRUE;
    }
    return FALSE;
}

/* *out_dirs is NULL where there is nobody to ask. */
static gboolean ask_in_use(Removal *removal, char ***out_dirs, GError **error)
{
    *out_dirs = removal->in_use ? removal->in_use(removal->data, error) : NULL;
    return *out_dirs || !removal->in_use;
}

static gboolean check_in_use(Removal *removal, GError **error)
{
    g_auto(GStrv) in_use = NULL;
    if (!ask_in_use(removal, &in_use, error))
        return FALSE;
    if (!in_use || still_listed(removal))
        return TRUE;
    g_autoptr(DuetImage) image = duet_record_image(removal->store->dir, removal->hex, NULL, NULL);
    const char *const *used = (const char *const *)in_use;
    gboolean busy = image && image->disk && g_strv_contains(used, image->disk);
    for (char **dir = image ? image->layer_dirs : NULL; !busy && dir && *dir; dir++)
        busy = g_strv_contains(used, *dir);
    if (busy)
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "image '%s' is in use by an instance; remove the instance first (duet rm)",
            removal->ref);
    return !busy;
}

/* What must stay: blobs and chain ids of all the images that are left. */
static gboolean collect_needed(
    Removal *removal, GHashTable *blobs, GHashTable *chains, GError **error)
{
    g_autoptr(DuetSource) source = duet_source_open_store(removal->store->fd, removal->store->dir);
    g_autoptr(GPtrArray) picks = duet_pick_images(source, FALSE, error);
    if (!picks)
        return FALSE;
    /* As it is now: another tool may have added a row. */
    g_autoptr(JsonNode) index = duet_index_load(removal->store, error);
    if (!index)
        return FALSE;
    JsonArray *rows = duet_json_array(json_node_get_object(index), "manifests");
    for (guint i = 0; i < json_array_get_length(rows); i++) {
        g_autoptr(DuetDescriptor) row =
            duet_descriptor_parse(duet_json_element(rows, i), "index.json", NULL);
        if (row)
            duet_index_blobs(source, row, blobs);
    }
    for (guint i = 0; i < picks->len; i++) {
        DuetPick *pick = picks->pdata[i];
        if (!pick->manifest)
            continue;
        if (pick->manifest->disk)
            g_hash_table_add(chains, g_strdup(pick->manifest->disk->hex));
        g_auto(GStrv) ids = duet_manifest_chains(pick->manifest);
        for (char **id = ids; *id; id++)
            g_hash_table_add(chains, g_strdup(*id));
    }
    return TRUE;
}

/* The digest that a file of the store goes by. */
static char *key_of(const char *name)
{
    return g_strndup(name, strcspn(name, "."));
}

static gboolean is_young(int dir_fd, const char *name)
{
    struct stat st;
    return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        st.st_ctim.tv_sec > time(NULL) - FOREIGN_GRACE_S;
}

/*
 * Discards what is not in @needed.
 * @sure: (nullable): what is not in it either goes only when it is old
 */
static void sweep(DuetStore *store, const char *path, GHashTable *needed, GHashTable *sure)
{
    int fd = openat(store->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        duet_fd_clear(&fd);
        return;
    }
    struct dirent *row;
    while ((row = readdir(dir))) {
        g_autofree char *key = key_of(row->d_name);
        if (*row->d_name == '.' || g_hash_table_contains(needed, key))
            continue;
        if (sure && !g_hash_table_contains(sure, row->d_name) && is_young(dirfd(dir), row->d_name))
            continue;
        duet_store_discard(store, dirfd(dir), row->d_name);
    }
    closedir(dir);
}

static gboolean collect_garbage(Removal *removal, GError **error)
{
    g_auto(GStrv) in_use = NULL;
    g_autoptr(GHashTable) blobs = new_set();
    g_autoptr(GHashTable) chains = new_set();
    g_autoptr(GHashTable) records = new_set();
    /* Once more, as the image could be found until now: who comes later misses it. What another
     * tool took out of the index may be in use, too. */
    if (!ask_in_use(removal, &in_use, error) || !collect_needed(removal, blobs, chains, error))
        return FALSE;
    for (char **dir = in_use; dir && *dir; dir++)
        g_hash_table_add(chains, key_of(strrchr(*dir, '/') + 1));
    for (guint i = 0; i < removal->rows->len; i++) {
        const DuetRow *row = removal->rows->pdata[i];
        g_hash_table_add(records, g_strdup(row->manifest_hex));
    }
    g_hash_table_add(records, g_strdup("refs"));
    sweep(removal->store, "blobs/sha256", blobs, removal->dropped);
    sweep(removal->store, "layers", chains, NULL);
    sweep(removal->store, "vmroot", chains, NULL);
    sweep(removal->store, DUET_RECORD_DIR, records, NULL);
    return TRUE;
}

static void removal_clear(Removal *removal)
{
    g_clear_pointer(&removal->index, json_node_unref);
    g_clear_pointer(&removal->rows, g_ptr_array_unref);
    g_clear_pointer(&removal->dropped, g_hash_table_unref);
    g_clear_pointer(&removal->name, g_free);
    g_clear_pointer(&removal->hex, g_free);
}

static gboolean load(Removal *removal, DuetIndexStamp *out_read, GError **error)
{
    if (!duet_index_stamp(removal->store->fd, "index.json", out_read, error))
        return FALSE;
    removal->dropped = new_set();
    removal->rows = duet_catalog_load(removal->store, error);
    removal->index = removal->rows ? duet_index_load(removal->store, error) : NULL;
    return removal->index != NULL;
}

static gboolean drop_image(gpointer data, GError **error)
{
    Removal *removal = data;
    DuetIndexStamp read;
    removal_clear(removal);
    if (!load(removal, &read, error) || !find_target(removal, error) ||
        !drop_rows(removal, error) || !check_in_use(removal, error))
        return FALSE;
    g_autoptr(DuetTransaction) transaction = duet_transaction_new(removal->store);
    return duet_transaction_commit(transaction, &read, removal->index, removal->rows, error);
}

static gboolean run_removal(Removal *removal, GError **error)
{
    return duet_transaction_try(drop_image, removal, error) && collect_garbage(removal, error);
}

gboolean duet_images_remove(
    const char *store_dir, const char *ref, DuetLayersInUse in_use, gpointer data, GError **error)
{
    DUET_RAW_NAMES;
    g_autoptr(DuetStore) probe = duet_store_open_read(store_dir, NULL);
    if (!probe) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND, "there are no images in store '%s'",
            store_dir);
        return FALSE;
    }
    g_autoptr(DuetStore) store = duet_store_open_write(store_dir, error);
    if (!store)
        return FALSE;
    Removal removal = { .store = store, .ref = ref, .in_use = in_use, .data = data };
    gboolean good = run_removal(&removal, error);
    removal_clear(&removal);
    return good;
}
