/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/util.h"

#include <duet/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Deeper trees are someone's trap; each level holds one descriptor. */
#define DEPTH_MAX 512

static gboolean remove_below(
    int parent_fd, const char *name, dev_t device, int depth, GError **error);

static gboolean remove_entries(DIR *dir, dev_t device, int depth, GError **error)
{
    struct dirent *entry;
    while ((errno = 0, entry = readdir(dir))) {
        if (g_str_equal(entry->d_name, ".") || g_str_equal(entry->d_name, ".."))
            continue;
        if (!remove_below(dirfd(dir), entry->d_name, device, depth + 1, error))
            return FALSE;
    }
    return errno == 0 || duet_error_set_errno(error, errno, "cannot list a directory to remove it");
}

static gboolean remove_below(
    int parent_fd, const char *name, dev_t device, int depth, GError **error)
{
    if (unlinkat(parent_fd, name, 0) == 0 || errno == ENOENT)
        return TRUE;
    if (errno != EISDIR && errno != EPERM)
        return duet_error_set_errno(error, errno, "cannot remove '%s'", name);
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || duet_error_set_errno(error, errno, "cannot remove '%s'", name);
    struct stat st;
    if (fstat(fd, &st) < 0 || st.st_dev != device || depth > DEPTH_MAX) {
        close(fd);
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "cannot remove '%s': it is a mount point or too deep; unmount it and try again", name);
        return FALSE;
    }
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return duet_error_set_errno(error, ENOMEM, "cannot remove '%s'", name);
    }
    gboolean ok = remove_entries(dir, device, depth, error);
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
    if (!remove_below(dir_fd, path, st.st_dev, 0, error)) {
        g_prefix_error(error, "removing '%s': ", path);
        return FALSE;
    }
    return TRUE;
}
