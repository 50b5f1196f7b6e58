/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A disk and a memory that knows it are put in place together. What is to be in place is prepared
 * in `copy.new`; renaming that to `copy.commit` decides. From then on each step is one rename that
 * can be done once only, so that whoever finds `copy.commit`, the maker or the next command, goes
 * on where it was left:
 *
 *   1. the present memory goes to `copy.commit/old`, which is there then in any case
 *   2. the disk, or, where there was none yet, no disk
 *   3. the memory, if there is one
 */
#include "core/layer.h"
#include "core/saved.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMIT "copy.commit"
#define OLD "old"
/* In place of a disk: there is to be none. */
#define NO_DISK "no-disk"
/* An image's VM has the first, a disk's the second. */
static const char *const disks[] = { "rw.img", "rw.qcow2" };

static gboolean move(int from_fd, const char *from, int to_fd, const char *to)
{
    return renameat(from_fd, from, to_fd, to) == 0 || errno == ENOENT;
}

static gboolean put_old_away(int dir_fd, int commit_fd)
{
    if (faccessat(commit_fd, OLD, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
        renameat(dir_fd, DUET_SAVED, commit_fd, OLD) == 0)
        return TRUE;
    return errno == ENOENT && mkdirat(commit_fd, OLD, 0700) == 0;
}

static gboolean put_disk(int dir_fd, int commit_fd)
{
    gboolean none = faccessat(commit_fd, NO_DISK, F_OK, AT_SYMLINK_NOFOLLOW) == 0, ok = TRUE;
    for (guint i = 0; i < G_N_ELEMENTS(disks) && ok; i++)
        ok = none ? unlinkat(dir_fd, disks[i], 0) == 0 || errno == ENOENT
                  : move(commit_fd, disks[i], dir_fd, disks[i]);
    return ok;
}

gboolean duet_layer_finish(int dir_fd)
{
    DUET_AUTO_FD commit_fd =
        openat(dir_fd, COMMIT, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (commit_fd < 0)
        return errno == ENOENT;
    return put_old_away(dir_fd, commit_fd) && put_disk(dir_fd, commit_fd) &&
        move(commit_fd, DUET_SAVED, dir_fd, DUET_SAVED) && duet_remove_tree(dir_fd, COMMIT, NULL);
}

static gboolean mark_empty(const DuetLayerWork *work)
{
    DUET_AUTO_FD fd = -1;
    if (faccessat(work->new_fd, work->layer->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return TRUE;
    fd = openat(work->new_fd, NO_DISK, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0;
}

gboolean duet_layer_commit(const DuetLayerWork *work, GError **error)
{
    int dir_fd = work->instance->dir_fd;
    return (mark_empty(work) && syncfs(work->new_fd) == 0 &&
               renameat(dir_fd, DUET_COPY_DIR, dir_fd, COMMIT) == 0 && duet_layer_finish(dir_fd)) ||
        duet_error_set_errno(error, errno, "cannot put back the files and the memory of '%s'",
            work->instance->spec->name);
}

gboolean duet_layer_has_memory(const DuetLayerWork *work)
{
    return duet_saved_is_there(work->new_fd) || duet_saved_is_there(work->instance->dir_fd);
}
