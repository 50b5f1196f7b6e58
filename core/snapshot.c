/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots of an instance's files; layer.c has the theory of operation. */
#include "core/layer.h"
#include "core/saved.h"
#include "core/update.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/snapshot.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* In each snapshot's directory, beside the layer. */
#define ABOUT "about"
#define NUMBERED "snap"

void duet_snapshot_free(DuetSnapshot *snapshot)
{
    if (!snapshot)
        return;
    g_free(snapshot->name);
    g_free(snapshot);
}

static char *path_of(const char *name)
{
    return g_build_filename(DUET_SNAPSHOTS, name, NULL);
}

/* ---- listing ---- */

static gint by_age(gconstpointer a, gconstpointer b)
{
    const DuetSnapshot *first = *(DuetSnapshot *const *)a, *second = *(DuetSnapshot *const *)b;
    if (first->created_us != second->created_us)
        return first->created_us < second->created_us ? -1 : 1;
    return strcmp(first->name, second->name);
}

/* Returns: NULL: it is being removed. */
static DuetSnapshot *read_about(int dir_fd, const char *name)
{
    g_autofree char *path = g_build_filename(name, ABOUT, NULL);
    g_autoptr(GVariant) about = duet_variant_read(dir_fd, path, NULL);
    if (!about)
        return NULL;
    DuetSnapshot *snapshot = g_new0(DuetSnapshot, 1);
    snapshot->name = g_strdup(name);
    g_variant_lookup(about, "created-us", "x", &snapshot->created_us);
    g_variant_lookup(about, "size-bytes", "t", &snapshot->size_bytes);
    g_autofree char *memory = g_build_filename(name, DUET_SAVED, NULL);
    snapshot->stateful = faccessat(dir_fd, memory, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    return snapshot;
}

static GPtrArray *list(int instance_fd)
{
    GPtrArray *found = g_ptr_array_new_with_free_func((GDestroyNotify)duet_snapshot_free);
    int fd = openat(instance_fd, DUET_SNAPSHOTS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        DuetSnapshot *snapshot =
            duet_name_is_valid(entry->d_name) ? read_about(fd, entry->d_name) : NULL;
        if (snapshot)
            g_ptr_array_add(found, snapshot);
    }
    if (dir)
        closedir(dir);
    g_ptr_array_sort(found, by_age);
    return found;
}

GPtrArray *duet_snapshot_list(DuetContext *context, const char *id)
{
    g_autofree char *path = g_strconcat("instances/", id, NULL);
    DUET_AUTO_FD fd =
        openat(context->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return list(fd);
}

/* ---- making ---- */

/* As Incus counts: one more than the highest there is. */
static char *next_name(int instance_fd)
{
    g_autoptr(GPtrArray) all = list(instance_fd);
    guint64 next = 0;
    for (guint i = 0; i < all->len; i++) {
        const char *name = ((DuetSnapshot *)all->pdata[i])->name;
        guint64 number;
        if (g_str_has_prefix(name, NUMBERED) &&
            g_ascii_string_to_unsigned(name + strlen(NUMBERED), 10, 0, G_MAXUINT32, &number, NULL))
            next = MAX(next, number + 1);
    }
    return g_strdup_printf(NUMBERED "%" G_GUINT64_FORMAT, next);
}

static gboolean check_name(const char *name, GError **error)
{
    if (duet_name_is_valid(name))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no name for a snapshot: use letters, digits, '_', '.' and '-', as for an instance",
        name);
    return FALSE;
}

gboolean duet_snapshot_check_free(DuetInstance *instance, const char *name, GError **error)
{
    g_autofree char *path = path_of(name);
    const char *of = instance->spec->name;
    if (!check_name(name, error))
        return FALSE;
    if (faccessat(instance->dir_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
        "the instance '%s' has a snapshot '%s' already; choose another name or remove it with "
        "`duet "
        "snapshot rm %s %s`",
        of, name, of, name);
    return FALSE;
}

static gboolean write_about(const DuetLayerWork *work, GError **error)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    const char *root = work->instance->context->root;
    g_autofree char *layer = g_build_filename(root, work->new_path, work->layer->name, NULL);
    g_autofree char *memory = g_build_filename(root, work->new_path, DUET_SAVED, NULL);
    g_variant_dict_insert(&dict, "created-us", "x", g_get_real_time());
    g_variant_dict_insert(
        &dict, "size-bytes", "t", duet_tree_bytes(layer) + duet_tree_bytes(memory));
    return duet_variant_write(work->new_fd, ABOUT, g_variant_dict_end(&dict), error);
}

static gboolean put_in_place(const DuetLayerWork *work, const char *name, GError **error)
{
    int dir_fd = work->instance->dir_fd;
    g_autofree char *path = path_of(name);
    /* It may be all that is left after a restore: it is on the disk first. */
    if (syncfs(work->new_fd) == 0 &&
        (mkdirat(dir_fd, DUET_SNAPSHOTS, 0700) == 0 || errno == EEXIST) &&
        renameat(dir_fd, DUET_COPY_DIR, dir_fd, path) == 0)
        return TRUE;
    return duet_error_set_errno(
        error, errno, "cannot keep the snapshot '%s' of '%s'", name, work->instance->spec->name);
}

char *duet_snapshot_create(DuetInstance *instance, const char *name, GError **error)
{
    DuetLayerWork work;
    if ((name && !check_name(name, error)) || !duet_layer_work_begin(&work, instance, error))
        return NULL;
    g_autofree char *chosen = name ? g_strdup(name) : next_name(instance->dir_fd);
    gboolean ok = duet_snapshot_check_free(instance, chosen, error) &&
        duet_layer_work_copy(&work, NULL, error) && write_about(&work, error) &&
        put_in_place(&work, chosen, error);
    duet_layer_work_end(&work);
    return ok ? g_steal_pointer(&chosen) : NULL;
}

/* ---- restoring ---- */

/* The step that decides is one rename(2): before it all is as it was, but for what is made anew. */
static gboolean put_back(const DuetLayerWork *work, GError **error)
{
    if (duet_layer_has_memory(work))
        return duet_layer_commit(work, error);
    int dir_fd = work->instance->dir_fd;
    const DuetLayer *layer = work->layer;
    gboolean empty = faccessat(work->new_fd, layer->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0;
    gboolean ok = !layer->scratch ||
        renameat(dir_fd, layer->scratch, work->new_fd, layer->scratch) == 0 || errno == ENOENT;
    if (ok && empty)
        ok = renameat(dir_fd, layer->name, work->new_fd, layer->name) == 0 || errno == ENOENT;
    else if (ok)
        ok = renameat2(work->new_fd, layer->name, dir_fd, layer->name, RENAME_EXCHANGE) == 0 ||
            /* There is none to exchange it with, or it is a file, on a file system without. */
            renameat(work->new_fd, layer->name, dir_fd, layer->name) == 0;
    return ok ||
        duet_error_set_errno(
            error, errno, "cannot put back the files of '%s'", work->instance->spec->name);
}

gboolean duet_snapshot_restore(DuetInstance *instance, const char *name, GError **error)
{
    DuetLayerWork work;
    if (!duet_layer_work_begin(&work, instance, error))
        return FALSE;
    gboolean ok = duet_layer_work_copy(&work, name, error) && put_back(&work, error);
    duet_layer_work_end(&work);
    return ok;
}

/* ---- removing ---- */

gboolean duet_snapshot_remove(DuetInstance *instance, const char *name, GError **error)
{
    DuetContext *context = instance->context;
    g_autofree char *path = path_of(name);
    g_autofree char *to =
        g_strdup_printf("trash/%s.%" G_GINT64_FORMAT, instance->spec->id, duet_now_ns());
    if (!duet_name_is_valid(name))
        return duet_layer_no_snapshot(instance, name, error);
    if (renameat(instance->dir_fd, path, context->root_fd, to) < 0)
        return errno == ENOENT
            ? duet_layer_no_snapshot(instance, name, error)
            : duet_error_set_errno(error, errno, "cannot remove the snapshot '%s' of '%s'", name,
                  instance->spec->name);
    duet_trash_empty(context);
    return TRUE;
}
