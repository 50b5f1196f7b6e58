/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The end of unpacking. Whiteouts and opaque marks hide what lower layers have and never the
 * layer's own files, whatever the order in the archive: so they are collected first and applied
 * here. A mark is made only where there is something to hide: overlayfs shows the mark's device
 * node in a directory that has nothing below it.
 */
#include "images/unpack-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

static gboolean set_error(DuetUnpack *unpack, const char *real, GError **error)
{
    return duet_error_set_errno(error, errno, "cannot finish '%s' of '%s'", real, unpack->what);
}

static GPtrArray *keys_of(GHashTable *table)
{
    GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &key, NULL))
        g_ptr_array_add(keys, g_strdup(key));
    return keys;
}

static gboolean parent_hidden(DuetUnpack *unpack, const char *real)
{
    g_autofree char *dir = NULL;
    duet_split(real, &dir);
    return *dir && duet_unpack_hides(unpack, dir);
}

static gboolean below_opaque(DuetUnpack *unpack, const char *real)
{
    g_autofree char *dir = NULL;
    duet_split(real, &dir);
    return g_hash_table_contains(unpack->opaques, dir) || parent_hidden(unpack, real);
}

/* overlayfs does not look for an opaque mark on a layer's root: hide each name instead. */
static gboolean expand_opaque_root(DuetUnpack *unpack, GError **error)
{
    if (!g_hash_table_remove(unpack->opaques, ""))
        return TRUE;
    for (gsize i = 0; i < unpack->n_lowers; i++) {
        int fd = duet_open_beneath(unpack->lowers[i], "");
        DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
        if (!dir) {
            duet_fd_clear(&fd);
            return set_error(unpack, "/", error);
        }
        struct dirent *row;
        while ((row = readdir(dir))) {
            if (!g_str_equal(row->d_name, ".") && !g_str_equal(row->d_name, ".."))
                g_hash_table_add(unpack->whiteouts, g_strdup(row->d_name));
        }
        closedir(dir);
    }
    return TRUE;
}

/* Names that were copied up for a hard link and that the archive deletes after all. */
static gboolean drop_copied(DuetUnpack *unpack, GError **error)
{
    g_autoptr(GPtrArray) paths = keys_of(unpack->copied);
    for (guint i = 0; i < paths->len; i++) {
        const char *real = paths->pdata[i];
        if (duet_unpack_hides(unpack, real) && unlinkat(unpack->root, real, 0) < 0)
            return set_error(unpack, real, error);
    }
    return TRUE;
}

static gboolean set_opaque(DuetUnpack *unpack, const char *real, GError **error)
{
    DUET_AUTO_FD fd = duet_open_beneath(unpack->root, real);
    if (fd < 0 || fsetxattr(fd, duet_opaque_attribute(), "y", 1, 0) < 0)
        return set_error(unpack, real, error);
    return TRUE;
}

static gboolean apply_opaque(DuetUnpack *unpack, const char *real, GError **error)
{
    struct stat own, st;
    if (below_opaque(unpack, real))
        return TRUE;
    gssize lower = duet_unpack_find_lower(unpack, real, &st);
    if (lower < 0 || !S_ISDIR(st.st_mode))
        return TRUE;
    DuetLook look = duet_look_in_layer(unpack->root, real, &own);
    if (look != DUET_LOOK_MISSING)
        return look == DUET_LOOK_HIDDEN || !S_ISDIR(own.st_mode) || set_opaque(unpack, real, error);
    g_autofree char *same = NULL, *dir = NULL;
    duet_split(real, &dir);
    return duet_unpack_resolve(unpack, dir, TRUE, &same, error) &&
        duet_copy_up_dir(unpack, (gsize)lower, real, error) && set_opaque(unpack, real, error);
}

static gboolean apply_whiteout(DuetUnpack *unpack, const char *real, GError **error)
{
    struct stat own, st;
    if (below_opaque(unpack, real) || duet_unpack_find_lower(unpack, real, &st) < 0)
        return TRUE;
    DuetLook look = duet_look_in_layer(unpack->root, real, &own);
    if (look != DUET_LOOK_MISSING)
        return look == DUET_LOOK_HIDDEN || !S_ISDIR(own.st_mode) || !S_ISDIR(st.st_mode) ||
            set_opaque(unpack, real, error);
    g_autofree char *same = NULL, *dir = NULL;
    duet_split(real, &dir);
    if (!duet_unpack_resolve(unpack, dir, TRUE, &same, error))
        return FALSE;
    return mknodat(unpack->root, real, S_IFCHR, makedev(0, 0)) == 0 ||
        set_error(unpack, real, error);
}

static gboolean apply_all(DuetUnpack *unpack, GHashTable *marks,
    gboolean (*apply)(DuetUnpack *, const char *, GError **), GError **error)
{
    g_autoptr(GPtrArray) paths = keys_of(marks);
    for (guint i = 0; i < paths->len; i++) {
        if (!apply(unpack, paths->pdata[i], error))
            return FALSE;
    }
    return TRUE;
}

/* Last of all, as making a file in a directory changes the directory's time. */
static gboolean set_dir_times(DuetUnpack *unpack, GError **error)
{
    GHashTableIter iter;
    gpointer key, value;
    g_hash_table_iter_init(&iter, unpack->dir_times);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const gint64 *time = value;
        const struct timespec times[2] = {
            { .tv_nsec = UTIME_NOW },
            { .tv_sec = time[0], .tv_nsec = time[1] },
        };
        DUET_AUTO_FD fd = duet_open_beneath(unpack->root, key);
        if (fd >= 0 && futimens(fd, times) < 0)
            return set_error(unpack, key, error);
    }
    return TRUE;
}

gboolean duet_unpack_finish(DuetUnpack *unpack, GError **error)
{
    return expand_opaque_root(unpack, error) && drop_copied(unpack, error) &&
        apply_all(unpack, unpack->opaques, apply_opaque, error) &&
        apply_all(unpack, unpack->whiteouts, apply_whiteout, error) &&
        duet_unpack_set_default_acls(unpack, error) && set_dir_times(unpack, error);
}
