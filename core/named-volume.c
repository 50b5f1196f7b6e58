/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * volumes/<name> is a volume: its files in _data, its labels and age in `record`. To an instance it
 * is a host's directory, which it mounts like any other, so its files have the owners that the
 * instance sees, in either kind. Others than root must not get in: what is set-user-id in there is
 * so on the host, too.
 *
 * A volume is whole as soon as it has its name: it is made as ".new" and renamed, and renamed to
 * the trash to be removed. Both happen under the folder's lock, and who makes an instance with
 * volumes holds the lock, shared, until the instance's spec is written: from then on the list of
 * instances tells that they are in use. What a process that was killed left of a ".new" is taken
 * away by the next that makes one.
 */
#include "core/named-volume-private.h"
#include "core/state.h"
#include "core/update.h"
#include "core/util.h"

#include <duet/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "volumes"
#define FRESH ".new"

void duet_named_volume_free(DuetNamedVolume *volume)
{
    if (!volume)
        return;
    g_free(volume->name);
    g_free(volume->path);
    g_strfreev(volume->labels);
    g_free(volume);
}

gboolean duet_named_volume_check(const char *name, GError **error)
{
    if (duet_name_is_valid(name))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no name for a volume: use letters, digits, '_', '.' and '-', at most 63; a path "
        "on the host has a '/' in it",
        name);
    return FALSE;
}

char *duet_named_volume_path(DuetContext *context, const char *name)
{
    return g_build_filename(context->root, FOLDER, name, DUET_VOLUME_DATA, NULL);
}

static gboolean no_such_volume(const char *name, GError **error)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
        "no such volume: '%s'; `duet volume ls` lists all", name);
    return FALSE;
}

/* Returns: a descriptor, or -1 with errno. */
static int open_folder(DuetContext *context, gboolean make)
{
    if (make && mkdirat(context->root_fd, FOLDER, 0700) < 0 && errno != EEXIST)
        return -1;
    return openat(context->root_fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

gboolean duet_volumes_relock(DuetContext *context, int volumes_fd, int operation, GError **error)
{
    while (flock(volumes_fd, operation) < 0)
        if (errno != EINTR)
            return duet_error_set_errno(error, errno, "cannot lock '%s/" FOLDER "'", context->root);
    return TRUE;
}

int duet_volumes_lock(DuetContext *context, int operation, gboolean make, GError **error)
{
    DUET_AUTO_FD fd = open_folder(context, make);
    if (fd < 0) {
        duet_error_set_errno(error, errno, "cannot open '%s/" FOLDER "'", context->root);
        return -1;
    }
    return duet_volumes_relock(context, fd, operation, error) ? duet_fd_steal(&fd) : -1;
}

gboolean duet_volume_exists(int volumes_fd, const char *name)
{
    return faccessat(volumes_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static GVariant *record_of(char *const *labels)
{
    static char *const none[] = { NULL };
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_variant_dict_insert(&dict, "created", "x", g_get_real_time());
    g_variant_dict_insert_value(&dict, "labels",
        g_variant_new_bytestring_array((const char *const *)(labels ? labels : none), -1));
    return g_variant_dict_end(&dict);
}

static gboolean write_files(int dir_fd, char *const *labels, GError **error)
{
    /* Whatever the caller's umask. */
    if (mkdirat(dir_fd, DUET_VOLUME_DATA, 0755) < 0 ||
        fchmodat(dir_fd, DUET_VOLUME_DATA, 0755, 0) < 0)
        return duet_error_set_errno(error, errno, "cannot make '" DUET_VOLUME_DATA "'");
    return duet_file_replace_private(dir_fd, DUET_VOLUME_UNUSED, "", 0, error) &&
        duet_variant_write(dir_fd, DUET_VOLUME_RECORD, record_of(labels), error);
}

gboolean duet_volume_make(int volumes_fd, const char *name, char *const *labels, GError **error)
{
    if (!duet_remove_tree(volumes_fd, FRESH, error))
        return FALSE;
    if (mkdirat(volumes_fd, FRESH, 0700) < 0)
        return duet_error_set_errno(error, errno, "cannot make the volume '%s'", name);
    DUET_AUTO_FD dir_fd =
        openat(volumes_fd, FRESH, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    gboolean ok = dir_fd >= 0 ? write_files(dir_fd, labels, error)
                              : duet_error_set_errno(error, errno, "cannot open '" FRESH "'");
    if (ok && renameat(volumes_fd, FRESH, volumes_fd, name) == 0)
        return TRUE;
    if (ok)
        duet_error_set_errno(error, errno, "cannot name it");
    g_prefix_error(error, "cannot make the volume '%s': ", name);
    duet_remove_tree(volumes_fd, FRESH, NULL);
    return FALSE;
}

gboolean duet_named_volume_create(
    DuetContext *context, const char *name, char *const *labels, GError **error)
{
    if (!duet_named_volume_check(name, error))
        return FALSE;
    DUET_AUTO_FD fd = duet_volumes_lock(context, LOCK_EX, TRUE, error);
    if (fd < 0)
        return FALSE;
    if (!duet_volume_exists(fd, name))
        return duet_volume_make(fd, name, labels, error);
    g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
        "there is a volume '%s' already; choose another name or remove it with `duet volume rm %s`",
        name, name);
    return FALSE;
}

static DuetNamedVolume *read_volume(
    DuetContext *context, int volumes_fd, const char *name, GError **error)
{
    DUET_AUTO_FD fd = volumes_fd < 0
        ? -1
        : openat(volumes_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        no_such_volume(name, error);
        return NULL;
    }
    g_autoptr(GVariant) record = duet_variant_read(fd, DUET_VOLUME_RECORD, error);
    if (!record) {
        g_prefix_error(error, "the volume '%s' is damaged: ", name);
        return NULL;
    }
    DuetNamedVolume *volume = g_new0(DuetNamedVolume, 1);
    volume->name = g_strdup(name);
    volume->path = duet_named_volume_path(context, name);
    g_variant_lookup(record, "created", "x", &volume->created_us);
    if (!g_variant_lookup(record, "labels", "^aay", &volume->labels))
        volume->labels = g_new0(char *, 1);
    return volume;
}

DuetNamedVolume *duet_named_volume_open(DuetContext *context, const char *name, GError **error)
{
    if (!duet_named_volume_check(name, error))
        return NULL;
    DUET_AUTO_FD fd = open_folder(context, FALSE);
    return read_volume(context, fd, name, error);
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Returns: (transfer full): sorted; empty where there is no folder. */
static GPtrArray *list_names(DuetContext *context)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    int fd = open_folder(context, FALSE);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (duet_name_is_valid(entry->d_name))
            g_ptr_array_add(names, g_strdup(entry->d_name));
    if (dir)
        closedir(dir);
    g_ptr_array_sort(names, by_name);
    return names;
}

GPtrArray *duet_named_volume_list(DuetContext *context, GError **error)
{
    g_autoptr(GPtrArray) names = list_names(context);
    g_autoptr(GPtrArray) list =
        g_ptr_array_new_with_free_func((GDestroyNotify)duet_named_volume_free);
    DUET_AUTO_FD fd = open_folder(context, FALSE);
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(GError) failure = NULL;
        DuetNamedVolume *volume = read_volume(context, fd, names->pdata[i], &failure);
        if (volume) {
            g_ptr_array_add(list, volume);
        } else if (!g_error_matches(failure, DUET_ERROR, DUET_ERROR_NOT_FOUND) ||
            duet_volume_exists(fd, names->pdata[i])) { /* else it was removed meanwhile */
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
    }
    return g_steal_pointer(&list);
}

static gboolean uses(const DuetSpec *spec, const char *name)
{
    for (guint i = 0; i < spec->mounts->len; i++)
        if (g_strcmp0(((const DuetMount *)spec->mounts->pdata[i])->volume, name) == 0)
            return TRUE;
    return FALSE;
}

GPtrArray *duet_named_volume_users(GPtrArray *instances, const char *name)
{
    GPtrArray *users = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < instances->len; i++) {
        const DuetSpec *spec = duet_instance_spec(instances->pdata[i]);
        if (uses(spec, name))
            g_ptr_array_add(users, g_strdup(spec->name));
    }
    return users;
}

gboolean duet_volume_discard(DuetContext *context, int volumes_fd, const char *name, GError **error)
{
    g_autofree char *to =
        g_strdup_printf("trash/volume.%d.%" G_GINT64_FORMAT, (int)getpid(), g_get_monotonic_time());
    if (renameat(volumes_fd, name, context->root_fd, to) == 0)
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot remove the volume '%s'", name);
}

static gboolean in_use(const char *name, GPtrArray *users, GError **error)
{
    g_ptr_array_add(users, NULL);
    g_autofree char *listed = g_strjoinv("', '", (char **)users->pdata);
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "the volume '%s' is in use by '%s': remove what uses it first, or with it: "
        "`duet volume rm -f %s`",
        name, listed, name);
    return FALSE;
}

/* Locked with LOCK_EX, so no instance comes that has it. */
static gboolean remove_locked(
    DuetContext *context, int volumes_fd, const char *name, GError **error)
{
    if (!duet_volume_exists(volumes_fd, name))
        return no_such_volume(name, error);
    g_autoptr(GPtrArray) instances = duet_instance_list(context, error);
    if (!instances)
        return FALSE;
    g_autoptr(GPtrArray) users = duet_named_volume_users(instances, name);
    return users->len > 0 ? in_use(name, users, error)
                          : duet_volume_discard(context, volumes_fd, name, error);
}

gboolean duet_named_volume_remove(DuetContext *context, const char *name, GError **error)
{
    if (!duet_named_volume_check(name, error))
        return FALSE;
    DUET_AUTO_FD probe = open_folder(context, FALSE);
    if (probe < 0 || !duet_volume_exists(probe, name))
        return no_such_volume(name, error);
    DUET_AUTO_FD fd = duet_volumes_lock(context, LOCK_EX, FALSE, error);
    gboolean ok = fd >= 0 && remove_locked(context, fd, name, error);
    duet_fd_clear(&fd);
    if (ok)
        duet_trash_empty(context);
    return ok;
}

GPtrArray *duet_named_volume_prune(DuetContext *context, GError **error)
{
    g_autoptr(GPtrArray) gone = g_ptr_array_new_with_free_func(g_free);
    DUET_AUTO_FD fd = duet_volumes_lock(context, LOCK_EX, TRUE, error);
    g_autoptr(GPtrArray) instances = fd < 0 ? NULL : duet_instance_list(context, error);
    if (!instances)
        return NULL;
    g_autoptr(GPtrArray) names = list_names(context);
    for (guint i = 0; i < names->len; i++) {
        g_autoptr(GPtrArray) users = duet_named_volume_users(instances, names->pdata[i]);
        if (users->len > 0)
            continue;
        if (!duet_volume_discard(context, fd, names->pdata[i], error))
            return NULL;
        g_ptr_array_add(gone, g_strdup(names->pdata[i]));
    }
    duet_fd_clear(&fd);
    duet_trash_empty(context);
    return g_steal_pointer(&gone);
}
