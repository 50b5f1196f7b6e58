/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/saved.h"
#include "core/layer.h"
#include "core/update.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ABOUT "about"
/* Of a full disk, for `about` in the end. */
#define ROOM "room"
#define ROOM_BYTES (1 << 20)

gboolean duet_saved_is_there(int dir_fd)
{
    return faccessat(dir_fd, DUET_SAVED, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

GVariant *duet_saved_read(int dir_fd, GError **error)
{
    return duet_variant_read(dir_fd, DUET_SAVED "/" ABOUT, error);
}

static int open_new(int dir_fd)
{
    return openat(dir_fd, DUET_SAVED_NEW, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

gboolean duet_saved_begin(int dir_fd, GError **error)
{
    if (!duet_remove_tree(dir_fd, DUET_SAVED_NEW, error))
        return FALSE;
    DUET_AUTO_FD fd = mkdirat(dir_fd, DUET_SAVED_NEW, 0700) == 0 ? open_new(dir_fd) : -1;
    DUET_AUTO_FD room_fd = fd < 0 ? -1 : openat(fd, ROOM, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int err = room_fd < 0 ? errno : posix_fallocate(room_fd, 0, ROOM_BYTES);
    return err == 0 ||
        duet_error_set_errno(error, err, "cannot make room for the state in '" DUET_SAVED_NEW "'");
}

gboolean duet_saved_commit(int dir_fd, GVariant *about, GError **error)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(about);
    DUET_AUTO_FD fd = open_new(dir_fd);
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot open '" DUET_SAVED_NEW "'");
    unlinkat(fd, ROOM, 0);
    if (!duet_variant_write(fd, ABOUT, owned, error))
        return FALSE;
    return (syncfs(fd) == 0 && renameat(dir_fd, DUET_SAVED_NEW, dir_fd, DUET_SAVED) == 0 &&
               fsync(dir_fd) == 0) ||
        duet_error_set_errno(error, errno, "cannot keep the saved state");
}

gboolean duet_saved_tidy(int dir_fd)
{
    return duet_layer_finish(dir_fd) && duet_remove_tree(dir_fd, DUET_SAVED_NEW, NULL) &&
        duet_remove_tree(dir_fd, DUET_SAVED_USED, NULL);
}

gboolean duet_saved_drop(DuetContext *context, int dir_fd, const char *id, GError **error)
{
    g_autofree char *to = g_strdup_printf("trash/%s.%" G_GINT64_FORMAT, id, duet_now_ns());
    if (renameat(dir_fd, DUET_SAVED, context->root_fd, to) < 0)
        return errno == ENOENT || duet_error_set_errno(error, errno, "cannot drop the saved state");
    duet_trash_empty(context);
    return TRUE;
}

/* Nobody writes to it again. */
static gboolean link_file(int from_fd, int to_fd, const char *path)
{
    return linkat(from_fd, path, to_fd, path, 0) == 0;
}

/* `about` is small, and is read again and again by those who copy it. */
static gboolean copy_about(int from_fd, int to_fd, GError **error)
{
    g_autoptr(GVariant) about = duet_saved_read(from_fd, error);
    return about && duet_variant_write(to_fd, DUET_SAVED "/" ABOUT, about, error);
}

gboolean duet_saved_link(int from_fd, int to_fd, GError **error)
{
    if (!duet_saved_is_there(from_fd))
        return TRUE;
    if (mkdirat(to_fd, DUET_SAVED, 0700) < 0 ||
        !link_file(from_fd, to_fd, DUET_SAVED "/" DUET_SAVED_MEMORY) ||
        (!link_file(from_fd, to_fd, DUET_SAVED "/" DUET_SAVED_SEED) && errno != ENOENT))
        return duet_error_set_errno(error, errno, "cannot copy the saved state");
    return copy_about(from_fd, to_fd, error);
}

gboolean duet_save_check(const DuetSpec *spec, GError **error)
{
    const char *why = NULL;
    if (spec->kind != DUET_KIND_VM)
        why = "a container's state is its host's kernel's; CRIU is not used. A VM (--vm) can be "
              "saved";
    else if (spec->mounts->len > 0)
        why = "it shares folders of the host (-v), and virtiofs can't be saved with a VM's memory; "
              "use a disk (--disk)";
    else if (spec->remove_at_exit)
        why = "it goes when it ends (--rm), and a save ends it; make it without --rm";
    if (!why)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, "cannot save the state of '%s': %s",
        spec->name, why);
    return FALSE;
}
