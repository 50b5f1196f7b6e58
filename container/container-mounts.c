/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * What the child could not make with the powers it has: mounts of host directories. The monitor
 * makes them as detached mounts and sends the descriptors; the child puts them where they belong.
 *
 * A volume is mounted with the container's id map: the payload's uid 0 is uid 0 on the host's
 * directory, as it is for a VM that gets the same directory over virtiofs. So files look the same
 * from the host and from both kinds, and a payload that runs as root writes root's files: share
 * only what it may change. An ordinary user's container has that user as its root: no map is
 * needed.
 */

#include "container-private.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

/* "mode=755,size=65536k", as mount(8) has them. */
static gboolean set_options(int fs_fd, const char *options)
{
    g_auto(GStrv) list = g_strsplit(options ? options : "", ",", -1);
    for (char **option = list; *option != NULL; option++) {
        char *value = strchr(*option, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        if (fsconfig(fs_fd, FSCONFIG_SET_STRING, *option, value, 0) != 0)
            return FALSE;
    }
    return TRUE;
}

int duet_tmpfs_make(const char *source, const char *options, guint32 id_base, unsigned attributes)
{
    char id[16];
    g_snprintf(id, sizeof id, "%u", id_base);
    DUET_AUTO_FD fs_fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (fs_fd < 0 || fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", source, 0) != 0 ||
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "uid", id, 0) != 0 ||
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "gid", id, 0) != 0 || !set_options(fs_fd, options) ||
        fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0)
        return -1;
    return fsmount(fs_fd, FSMOUNT_CLOEXEC, attributes);
}

int duet_tmpfs_mount(const DuetTmpfs *tmpfs, guint32 id_base, GError **error)
{
    unsigned attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
        (tmpfs->readonly ? MOUNT_ATTR_RDONLY : 0u) | (tmpfs->exec ? 0u : MOUNT_ATTR_NOEXEC);
    int fd = duet_tmpfs_make("tmpfs", tmpfs->options, id_base, attributes);
    if (fd < 0)
        duet_error_set_errno(error, errno, "cannot make a tmpfs for '%s'", tmpfs->target);
    return fd;
}

/*
 * A copy of the mounts, not only an open file: on kernels before 6.15 the monitor may be in a mount
 * namespace of its own when the id map is there, and could copy nothing of the host's by then.
 */
int duet_volume_open(const DuetMount *mount, gboolean *out_is_dir, GError **error)
{
    struct stat info;
    DUET_AUTO_FD fd =
        open_tree(AT_FDCWD, mount->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (fd < 0 || fstat(fd, &info) != 0) {
        duet_error_set_errno(error, errno, "cannot open the volume's source '%s'", mount->source);
        return -1;
    }
    *out_is_dir = S_ISDIR(info.st_mode);
    return duet_fd_steal(&fd);
}

/* Returns @tree_fd with its attributes set, or a copy of the top mount alone, or -1 with errno. */
static int set_attributes(
    int tree_fd, const DuetMount *mount, struct mount_attr *attr, gboolean *out_is_part)
{
    unsigned flags = AT_EMPTY_PATH | AT_RECURSIVE;
    if (mount_setattr(tree_fd, "", flags, attr, sizeof *attr) == 0)
        return fcntl(tree_fd, F_DUPFD_CLOEXEC, 0);
    if (errno != EINVAL && errno != EPERM)
        return -1;
    /* perhaps one of the mounts below it, say /proc, can't be idmapped */
    DUET_AUTO_FD fd = open_tree(AT_FDCWD, mount->source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, attr, sizeof *attr) != 0)
        return -1;
    *out_is_part = TRUE;
    return duet_fd_steal(&fd);
}

int duet_volume_mount(
    const DuetMount *mount, int tree_fd, int userns_fd, char **out_notice, GError **error)
{
    struct mount_attr attr = {
        .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID |
            (userns_fd >= 0 ? MOUNT_ATTR_IDMAP : 0ull) |
            (mount->readonly ? MOUNT_ATTR_RDONLY : 0ull),
        .propagation = MS_PRIVATE,
        .userns_fd = userns_fd >= 0 ? (guint64)userns_fd : 0,
    };
    gboolean is_part = FALSE;
    int fd = set_attributes(tree_fd, mount, &attr, &is_part);
    int err = fd < 0 ? errno : 0;
    if (is_part) {
        g_autofree char *before = *out_notice;
        *out_notice = g_strdup_printf(
            "%s%svolume '%s': file systems mounted below it are not shared, for one of them has no "
            "idmapped mounts",
            before != NULL ? before : "", before != NULL ? "; " : "", mount->source);
    }
    if (fd >= 0)
        return fd;
    if (err == EINVAL || err == EOPNOTSUPP)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot share '%s': its file system has no idmapped mounts; copy it to ext4, xfs, "
            "btrfs "
            "or tmpfs, or use --as vm",
            mount->source);
    else
        duet_error_set_errno(error, err, "cannot share '%s'", mount->source);
    return -1;
}
