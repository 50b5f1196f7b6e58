/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/util.h"

#include <duet/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Each level holds one descriptor, and a payload may nest as deep as it likes: what is deeper than
 * this is moved up to the top, and removed from there. */
#define DEPTH_MAX 64

typedef struct {
    dev_t device;
    int top_fd;
    guint moved;
} Removal;

static gboolean remove_below(
    Removal *removal, int parent_fd, const char *name, int depth, GError **error);

static gboolean move_up(Removal *removal, int parent_fd, const char *name, GError **error)
{
    char fresh[32];
    do {
        g_snprintf(fresh, sizeof fresh, ".deep.%u", removal->moved++);
        if (renameat(parent_fd, name, removal->top_fd, fresh) == 0 || errno == ENOENT)
            return TRUE;
    } while (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR);
    return duet_error_set_errno(error, errno, "cannot move '%s' up to remove it", name);
}

static gboolean remove_entries(Removal *removal, DIR *dir, int depth, GError **error)
{
    struct dirent *entry;
    while ((errno = 0, entry = readdir(dir))) {
        if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, ".."))
            continue;
        if (!remove_below(removal, dirfd(dir), entry->d_name, depth + 1, error))
            return FALSE;
    }
    return errno == 0 || duet_error_set_errno(error, errno, "cannot list a directory to remove it");
}

/* Once more from the top as long as something was moved there meanwhile. */
static gboolean remove_all(Removal *removal, DIR *dir, int depth, GError **error)
{
    guint moved;
    do {
        moved = removal->moved;
        rewinddir(dir);
        if (!remove_entries(removal, dir, depth, error))
            return FALSE;
    } while (depth == 0 && removal->moved != moved);
    return TRUE;
}

static gboolean remove_below(
    Removal *removal, int parent_fd, const char *name, int depth, GError **error)
{
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
        return TRUE;
    if (errno != EISDIR && errno != EPERM)
        return duet_error_set_errno(error, errno, "cannot remove '%s'", name);
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || duet_error_set_errno(error, errno, "cannot remove '%s'", name);
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_dev != removal->device) {
        close(fd);
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "cannot remove '%s': it is a mount point; unmount it and try again", name);
        return FALSE;
    }
    if (depth > DEPTH_MAX) {
        close(fd);
        return move_up(removal, parent_fd, name, error);
    }
    if (depth == 0)
        removal->top_fd = fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return duet_error_set_errno(error, ENOMEM, "cannot remove '%s'", name);
    }
    gboolean ok = remove_all(removal, dir, depth, error);
    closedir(dir);
    if (ok && unlinkat(parent_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return duet_error_set_errno(error, errno, "cannot remove the directory '%s'", name);
    return ok;
}

gboolean duet_remove_tree(int dir_fd, const char *path, GError **error)
{
    struct stat st;
    if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || duet_error_set_errno(error, errno, "cannot look at '%s'", path);
    Removal removal = { .device = st.st_dev, .top_fd = -1 };
    if (!remove_below(&removal, dir_fd, path, 0, error)) {
        g_prefix_error(error, "removing '%s': ", path);
        return FALSE;
    }
    return TRUE;
}
