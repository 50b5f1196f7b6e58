/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes of an instance that is being made. One that no instance had yet is filled with what the
 * image has in its place, as podman does it, and under the lock: whoever mounts it finds it filled.
 * It is filled beside its files and renamed over them, which the kernel does only while these are
 * none.
 */
#include "core/module.h"
#include "core/named-volume-private.h"
#include "core/state.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/image.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILLING "filling"

/* Returns: the next mount from *at on that is a volume, or NULL; *at is behind it. */
static const DuetMount *next_volume(const DuetSpec *spec, guint *at)
{
    while (*at < spec->mounts->len) {
        const DuetMount *mount = spec->mounts->pdata[(*at)++];
        if (mount->volume)
            return mount;
    }
    return NULL;
}

static gboolean is_unused(int volumes_fd, const char *name)
{
    g_autofree char *path = g_build_filename(name, DUET_VOLUME_UNUSED, NULL);
    return faccessat(volumes_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static gboolean is_ready(int volumes_fd, const DuetSpec *spec)
{
    guint at = 0;
    const DuetMount *mount;
    while ((mount = next_volume(spec, &at)))
        if (!duet_volume_exists(volumes_fd, mount->volume) || is_unused(volumes_fd, mount->volume))
            return FALSE;
    return TRUE;
}

/* @dir_fd: of the volume */
static gboolean copy_from_image(
    int dir_fd, const DuetSpec *spec, const char *target, GError **error)
{
    const DuetImagesOps *images = duet_module_symbol("duet-images", "duet_images", error);
    if (!images || !duet_remove_tree(dir_fd, FILLING, error))
        return FALSE;
    if (mkdirat(dir_fd, FILLING, 0755) < 0)
        return duet_error_set_errno(error, errno, "cannot make '" FILLING "'");
    DUET_AUTO_FD fd = openat(dir_fd, FILLING, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot open '" FILLING "'");
    gboolean found = FALSE;
    if (!images->copy_dir(spec->layers, target, fd, &found, error))
        return FALSE;
    if (found && renameat(dir_fd, FILLING, dir_fd, DUET_VOLUME_DATA) < 0 && errno != ENOTEMPTY &&
        errno != EEXIST)
        return duet_error_set_errno(error, errno, "cannot rename '" FILLING "'");
    return TRUE;
}

static gboolean fill(int volumes_fd, const DuetSpec *spec, const DuetMount *mount, GError **error)
{
    DUET_AUTO_FD dir_fd =
        openat(volumes_fd, mount->volume, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0)
        return duet_error_set_errno(error, errno, "cannot open the volume '%s'", mount->volume);
    /* What a disk has there is not known. */
    gboolean ok = spec->disk_image || copy_from_image(dir_fd, spec, mount->target, error);
    duet_remove_tree(dir_fd, FILLING, NULL);
    if (ok && unlinkat(dir_fd, DUET_VOLUME_UNUSED, 0) < 0)
        ok = duet_error_set_errno(error, errno, "cannot remove '" DUET_VOLUME_UNUSED "'");
    if (!ok)
        g_prefix_error(error, "cannot fill the volume '%s': ", mount->volume);
    return ok;
}

static gboolean make_ready(DuetVolumesHold *hold, const DuetSpec *spec, GError **error)
{
    guint at = 0;
    const DuetMount *mount;
    while ((mount = next_volume(spec, &at))) {
        if (!duet_volume_exists(hold->fd, mount->volume)) {
            if (!duet_volume_make(hold->fd, mount->volume, NULL, error))
                return FALSE;
            g_ptr_array_add(hold->made, g_strdup(mount->volume));
        }
        if (is_unused(hold->fd, mount->volume) && !fill(hold->fd, spec, mount, error))
            return FALSE;
    }
    return TRUE;
}

gboolean duet_volumes_hold(
    DuetContext *context, const DuetSpec *spec, DuetVolumesHold *hold, GError **error)
{
    guint at = 0;
    if (!next_volume(spec, &at))
        return TRUE;
    hold->fd = duet_volumes_lock(context, LOCK_SH, TRUE, error);
    if (hold->fd < 0)
        return FALSE;
    if (is_ready(hold->fd, spec))
        return TRUE;
    hold->made = g_ptr_array_new_with_free_func(g_free);
    if (!duet_volumes_relock(context, hold->fd, LOCK_EX, error))
        return FALSE;
    if (make_ready(hold, spec, error))
        return TRUE;
    duet_volumes_undo(context, hold);
    return FALSE;
}

void duet_volumes_undo(DuetContext *context, DuetVolumesHold *hold)
{
    if (!hold->made || hold->made->len == 0)
        return;
    for (guint i = 0; i < hold->made->len; i++)
        duet_volume_discard(context, hold->fd, hold->made->pdata[i], NULL);
    g_ptr_array_set_size(hold->made, 0);
    duet_trash_empty(context);
}

void duet_volumes_hold_clear(DuetVolumesHold *hold)
{
    duet_fd_clear(&hold->fd);
    g_clear_pointer(&hold->made, g_ptr_array_unref);
}
