/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * What an instance writes is one directory or file of its driver's in the instance's directory:
 * its layer. A copy of it is made in `copy.new`, beside it, and becomes a snapshot, the layer
 * itself, or that of another instance by one rename(2). Whoever makes one holds the instance's
 * lock, so that it can't be started meanwhile, and marks it in live/: if the maker is killed, the
 * next command finds the mark and a free lock, and removes `copy.new`. What is renamed out of the
 * way is renamed to there, and goes by the same rule.
 *
 * Both are closed to all but their owner: files in them have the owners of the instance, and a
 * set-user-id program of it would be the host's.
 */
#include "core/layer.h"
#include "core/control.h"
#include "core/saved.h"
#include "core/session.h"
#include "core/update.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const DuetLayer layers[] = {
    [DUET_KIND_CONTAINER] = { "upper", "work" },
    [DUET_KIND_VM] = { "rw.img", NULL },
    [DUET_KIND_NATIVE] = { "upper", "work" },
};

static const DuetLayer disk_layer = { "rw.qcow2", NULL };

static gboolean open_new(DuetLayerWork *work, GError **error)
{
    DuetContext *context = work->instance->context;
    /* Of a maker that was killed, if the instance was started since. */
    if (!duet_remove_tree(context->root_fd, work->new_path, error))
        return FALSE;
    if (mkdirat(context->root_fd, work->new_path, 0700) == 0)
        work->new_fd = openat(
            context->root_fd, work->new_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return work->new_fd >= 0 ||
        duet_error_set_errno(error, errno, "cannot make '%s/%s'", context->root, work->new_path);
}

gboolean duet_layer_work_begin(DuetLayerWork *work, DuetInstance *instance, GError **error)
{
    *work = (DuetLayerWork){ .instance = instance, .lock_fd = -1, .new_fd = -1 };
    work->layer = instance->spec->disk_image ? &disk_layer : &layers[instance->spec->kind];
    duet_session_block_signals(&work->old_mask);
    work->lock_fd = duet_control_lock_stopped(instance, error);
    if (work->lock_fd < 0) {
        sigprocmask(SIG_SETMASK, &work->old_mask, NULL);
        return FALSE;
    }
    const char *id = instance->spec->id;
    work->new_path = g_strconcat("instances/", id, "/" DUET_COPY_DIR, NULL);
    if (duet_live_mark_layer(instance->context, id, error) && open_new(work, error))
        return TRUE;
    duet_layer_work_end(work);
    return FALSE;
}

void duet_layer_work_end(DuetLayerWork *work)
{
    DuetContext *context = work->instance->context;
    duet_fd_clear(&work->new_fd);
    /* Else the mark stays, for the next command to try. */
    if (duet_remove_tree(context->root_fd, work->new_path, NULL))
        duet_live_unmark(context, work->instance->spec->id);
    g_clear_pointer(&work->new_path, g_free);
    duet_fd_clear(&work->lock_fd);
    sigprocmask(SIG_SETMASK, &work->old_mask, NULL);
}

gboolean duet_layer_no_snapshot(DuetInstance *instance, const char *name, GError **error)
{
    const char *of = instance->spec->name;
    g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
        "the instance '%s' has no snapshot '%s'; `duet snapshot ls %s` lists those it has", of,
        name, of);
    return FALSE;
}

static gboolean copy(DuetLayerWork *work, const char *folder, GError **error)
{
    DuetContext *context = work->instance->context;
    struct stat st;
    g_autofree char *from = g_build_filename(folder, work->layer->name, NULL);
    g_autofree char *to = g_build_filename(work->new_path, work->layer->name, NULL);
    if (fstatat(context->root_fd, from, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ||
            duet_error_set_errno(error, errno, "cannot look at '%s/%s'", context->root, from);
    if (!duet_tree_copy(context->root_fd, from, to, work->lock_fd, &work->old_mask, error)) {
        g_prefix_error(error, "cannot copy the files of '%s': ", work->instance->spec->name);
        return FALSE;
    }
    /* A disk is of the user that its QEMU runs as: of nobody, until one does. */
    if (S_ISREG(st.st_mode) && fchownat(context->root_fd, to, geteuid(), getegid(), 0) < 0)
        return duet_error_set_errno(error, errno, "cannot take over '%s/%s'", context->root, to);
    return TRUE;
}

gboolean duet_layer_work_copy(DuetLayerWork *work, const char *snapshot, GError **error)
{
    DuetContext *context = work->instance->context;
    const char *id = work->instance->spec->id;
    struct stat before, after;
    g_autofree char *folder = snapshot
        ? g_build_filename("instances", id, DUET_SNAPSHOTS, snapshot, NULL)
        : g_build_filename("instances", id, NULL);
    if (snapshot &&
        (!duet_name_is_valid(snapshot) ||
            fstatat(context->root_fd, folder, &before, AT_SYMLINK_NOFOLLOW) < 0))
        return duet_layer_no_snapshot(work->instance, snapshot, error);
    DUET_AUTO_FD folder_fd =
        openat(context->root_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (!copy(work, folder, error) || !duet_saved_link(folder_fd, work->new_fd, error))
        return FALSE;
    /* A snapshot is renamed away before the first file of it is removed: this one is whole. */
    if (!snapshot ||
        (fstatat(context->root_fd, folder, &after, AT_SYMLINK_NOFOLLOW) == 0 &&
            after.st_ino == before.st_ino))
        return TRUE;
    return duet_layer_no_snapshot(work->instance, snapshot, error);
}
