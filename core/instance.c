/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instances as files: making, finding, listing and removing them. */
#include "core/events.h"
#include "core/named-volume.h"
#include "core/owned.h"
#include "core/saved.h"
#include "core/session.h"
#include "core/update.h"
#include "core/util.h"

#include <duet/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* "docker.io/library/busybox:1.36" gives "busybox-3f2a1b". */
static char *name_for(const DuetSpec *spec)
{
    g_autofree char *base = g_path_get_basename(spec->image_ref ? spec->image_ref : "image");
    base[strcspn(base, ":@")] = '\0';
    if (!duet_name_is_valid(base) || strlen(base) > 40)
        return g_strdup_printf("image-%.6s", spec->id);
    return g_strdup_printf("%s-%.6s", base, spec->id);
}

static DuetInstance *instance_new(DuetContext *context, DuetSpec *spec, int dir_fd)
{
    DuetInstance *instance = g_new0(DuetInstance, 1);
    instance->context = context;
    instance->spec = spec;
    instance->dir_fd = dir_fd;
    instance->lock_fd = -1;
    return instance;
}

void duet_instance_free(DuetInstance *instance)
{
    if (!instance)
        return;
    /* Closing the lock of one that nobody started: now it is whole, and only files. */
    if (instance->lock_fd >= 0)
        duet_live_unmark(instance->context, instance->spec->id);
    duet_fd_clear(&instance->lock_fd);
    duet_fd_clear(&instance->dir_fd);
    duet_spec_free(instance->spec);
    g_free(instance);
}

const DuetSpec *duet_instance_spec(DuetInstance *instance)
{
    return instance->spec;
}

/* Root's QEMU is another user and must pass. A container's writable layer has the container's
 * owners: its root's set-user-id programs would be the host's, for any user who could reach them.
 */
static mode_t dir_mode(const DuetSpec *spec)
{
    return spec->kind == DUET_KIND_VM ? 0711 : 0700;
}

/* What its layer is, if it has one from the start; a saved memory may be beside it. */
typedef struct {
    int dir_fd;
    const char *name;
} Layer;

static gboolean take(DuetInstance *instance, const Layer *layer, const char *name)
{
    return renameat(layer->dir_fd, name, instance->dir_fd, name) == 0 || errno == ENOENT;
}

static gboolean take_layer(DuetInstance *instance, const Layer *layer, GError **error)
{
    return !layer || (take(instance, layer, layer->name) && take(instance, layer, DUET_SAVED)) ||
        duet_error_set_errno(error, errno, "cannot give '%s' its files", instance->spec->name);
}

static gboolean write_files(
    DuetInstance *instance, const char *path, const Layer *layer, GError **error)
{
    DuetContext *context = instance->context;
    if (mkdirat(context->root_fd, path, dir_mode(instance->spec)) < 0)
        return duet_error_set_errno(error, errno, "cannot make '%s/%s'", context->root, path);
    instance->dir_fd =
        openat(context->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (instance->dir_fd < 0 || (instance->lock_fd = duet_lock_take(instance->dir_fd, O_CREAT)) < 0)
        return duet_error_set_errno(error, errno, "cannot lock '%s/%s'", context->root, path);
    GVariant *variant = duet_spec_to_variant(instance->spec);
    if (!duet_variant_write(instance->dir_fd, "spec", variant, error) ||
        !take_layer(instance, layer, error))
        return FALSE;
    if (!instance->spec->remove_at_exit) {
        g_autoptr(DuetInfo) info = duet_info_from_text("{}", instance->spec);
        info->state = DUET_STATE_CREATED;
        info->created_us = g_get_real_time();
        g_autofree char *text = duet_info_to_text(info);
        if (!duet_file_replace_private(instance->dir_fd, "state", text, strlen(text), error))
            return FALSE;
    }
    return duet_name_take(context, instance->spec->name, instance->spec->id, error);
}

static gboolean make_files(DuetInstance *instance, const Layer *layer, GError **error)
{
    DuetContext *context = instance->context;
    const char *id = instance->spec->id;
    g_autofree char *path = g_strconcat("instances/", id, NULL);
    if (!duet_live_mark(context, id, NULL, FALSE, error))
        return FALSE;
    if (duet_owned_mark(context, instance->spec, error) &&
        write_files(instance, path, layer, error))
        return TRUE;
    duet_remove_tree(context->root_fd, path, NULL);
    duet_owned_unmark(context, instance->spec);
    duet_live_unmark(context, id);
    return FALSE;
}

static DuetInstance *create(
    DuetContext *context, DuetSpec *spec, const Layer *layer, GError **error)
{
    g_autoptr(DuetInstance) instance = instance_new(context, spec, -1);
    if (!spec->name) {
        spec->name = name_for(spec);
    } else if (!duet_name_check(spec->name, error)) {
        return NULL;
    }
    g_auto(DuetVolumesHold) hold = DUET_VOLUMES_HOLD_NONE;
    if (!duet_volumes_hold(context, spec, &hold, error))
        return NULL;
    /* A signal ends us before the first of its files is there, or when all of them are. */
    sigset_t old;
    duet_session_block_signals(&old);
    gboolean ok = make_files(instance, layer, error);
    if (ok)
        duet_event_emit(context, DUET_EVENT_CREATE, spec, NULL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    if (!ok)
        duet_volumes_undo(context, &hold);
    return ok ? g_steal_pointer(&instance) : NULL;
}

DuetInstance *duet_instance_create(DuetContext *context, DuetSpec *spec, GError **error)
{
    return create(context, spec, NULL, error);
}

DuetInstance *duet_instance_create_from(
    DuetContext *context, DuetSpec *spec, int layer_fd, const char *layer, GError **error)
{
    const Layer from = { layer_fd, layer };
    return create(context, spec, &from, error);
}

static DuetInstance *open_id(DuetContext *context, const char *id, GError **error)
{
    g_autofree char *path = g_strconcat("instances/", id, NULL);
    DUET_AUTO_FD dir_fd =
        openat(context->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0 && errno == ENOENT) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND, "no such instance: '%s'", id);
        return NULL;
    }
    if (dir_fd < 0) {
        duet_error_set_errno(error, errno, "the instance '%s' cannot be opened", id);
        return NULL;
    }
    g_autoptr(GError) failure = NULL;
    g_autoptr(GVariant) variant = duet_variant_read(dir_fd, "spec", &failure);
    DuetSpec *spec = variant ? duet_spec_from_variant(variant, &failure) : NULL;
    if (!spec) {
        gboolean damaged = variant || g_error_matches(failure, DUET_ERROR, DUET_ERROR_NOT_FOUND) ||
            g_error_matches(failure, DUET_ERROR, DUET_ERROR_BROKEN);
        g_autofree char *remove = g_strdup_printf("; remove %s/%s", context->root, path);
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "the instance '%s' %s%s: ", id,
            damaged ? "is damaged" : "cannot be opened", damaged ? remove : "");
        return NULL;
    }
    return instance_new(context, spec, duet_fd_steal(&dir_fd));
}

static DuetInstance *open_named(DuetContext *context, const char *id, GError **error)
{
    duet_live_recover(context, id);
    return open_id(context, id, error);
}

static gboolean is_hex(const char *text)
{
    for (; *text; text++)
        if (!g_ascii_isxdigit(*text))
            return FALSE;
    return TRUE;
}

/* Calls @each for every id; the directory is the list. */
static GPtrArray *list_ids(DuetContext *context, const char *prefix, GError **error)
{
    int fd = openat(context->root_fd, "instances", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        duet_error_set_errno(error, errno, "cannot list '%s/instances'", context->root);
        return NULL;
    }
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (is_hex(entry->d_name) && g_str_has_prefix(entry->d_name, prefix))
            g_ptr_array_add(ids, g_strdup(entry->d_name));
    closedir(dir);
    return ids;
}

DuetInstance *duet_instance_open(DuetContext *context, const char *name_or_id, GError **error)
{
    char id[64];
    if (duet_name_is_valid(name_or_id)) {
        g_autofree char *link = g_strconcat("names/", name_or_id, NULL);
        ssize_t n = readlinkat(context->root_fd, link, id, sizeof id - 1);
        if (n > 0) {
            id[n] = '\0';
            DuetInstance *instance = open_named(context, id, error);
            if (!instance || g_str_equal(instance->spec->name, name_or_id))
                return instance;
            /* It has another name by now. */
            duet_instance_free(instance);
        }
    }
    g_autoptr(GPtrArray) ids =
        *name_or_id && is_hex(name_or_id) ? list_ids(context, name_or_id, error) : NULL;
    if (ids && ids->len == 1)
        return open_named(context, ids->pdata[0], error);
    if (error && *error)
        return NULL;
    if (ids && ids->len > 1)
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is the beginning of %u ids; give more digits", name_or_id, ids->len);
    else
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "no such instance: '%s'; `duet ps -a` lists all", name_or_id);
    return NULL;
}

static gint by_age(gconstpointer a, gconstpointer b)
{
    struct stat first = { 0 }, second = { 0 };
    fstatat((*(DuetInstance *const *)a)->dir_fd, "spec", &first, 0);
    fstatat((*(DuetInstance *const *)b)->dir_fd, "spec", &second, 0);
    if (first.st_mtim.tv_sec != second.st_mtim.tv_sec)
        return first.st_mtim.tv_sec < second.st_mtim.tv_sec ? -1 : 1;
    return (first.st_mtim.tv_nsec > second.st_mtim.tv_nsec) -
        (first.st_mtim.tv_nsec < second.st_mtim.tv_nsec);
}

GPtrArray *duet_instance_list(DuetContext *context, GError **error)
{
    duet_context_sweep(context, 0);
    g_autoptr(GPtrArray) ids = list_ids(context, "", error);
    if (!ids)
        return NULL;
    g_autoptr(GPtrArray) instances =
        g_ptr_array_new_with_free_func((GDestroyNotify)duet_instance_free);
    for (guint i = 0; i < ids->len; i++) {
        g_autoptr(GError) failure = NULL;
        DuetInstance *instance = open_id(context, ids->pdata[i], &failure);
        if (instance) {
            g_ptr_array_add(instances, instance);
            continue;
        }
        /* One that is being made or removed right now is not there, and one that is damaged must
         * not hide the others. But what uses their layers must not be forgotten. */
        if (!g_error_matches(failure, DUET_ERROR, DUET_ERROR_NOT_FOUND) &&
            !g_error_matches(failure, DUET_ERROR, DUET_ERROR_BROKEN)) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return NULL;
        }
    }
    g_ptr_array_sort(instances, by_age);
    return g_steal_pointer(&instances);
}
