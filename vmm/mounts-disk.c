/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * QEMU runs under a uid that is the instance's alone, and a user's disk is that user's. It is not
 * given to QEMU (who would give it back after a kill?): it is mounted for QEMU with a map of two
 * ids, its owner's and its group's, to QEMU's. The mount is in the worker's namespace, and goes
 * with it. Only what its owner may do QEMU may do, and only to this file.
 */
#include "vmm/mounts.h"
#include "vmm/open-as.h"
#include "vmm/userns.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where there can be no map of ids, the mount goes without. */
static gboolean set_attributes(int tree_fd, const DuetPlace *place, gboolean readonly)
{
    struct stat st;
    struct mount_attr attributes = {
        .attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | (readonly ? MOUNT_ATTR_RDONLY : 0),
        .propagation = MS_PRIVATE,
    };
    if (mount_setattr(tree_fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0 ||
        fstat(tree_fd, &st) < 0)
        return FALSE;
    g_autofree char *users = g_strdup_printf("%u %u 1\n", st.st_uid, place->id_base);
    g_autofree char *groups = g_strdup_printf("%u %u 1\n", st.st_gid, place->id_base);
    DUET_AUTO_FD userns = duet_vm_userns_make(users, groups);
    struct mount_attr map = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (guint64)userns };
    if (userns >= 0)
        mount_setattr(tree_fd, "", AT_EMPTY_PATH, &map, sizeof map);
    return TRUE;
}

static char *target_of(const DuetPlace *place, guint index)
{
    return g_strdup_printf("%s/boot/disk-%u.img", place->run_dir, index);
}

void duet_vm_mounts_disk_remove(const DuetPlace *place, guint index)
{
    g_autofree char *target = target_of(place, index);
    umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW);
    unlink(target);
}

char *duet_vm_mounts_disk(
    const DuetPlace *place, guint index, const DuetDataDisk *disk, int fd, GError **error)
{
    g_autofree char *dir = g_build_filename(place->run_dir, "boot", NULL);
    g_autofree char *target = target_of(place, index);
    DUET_AUTO_FD tree = open_tree(fd, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    DUET_AUTO_FD point = -1;
    if (tree >= 0 && duet_mkdir_p(dir, 0711, NULL))
        point = open(target, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (point < 0 || !set_attributes(tree, place, disk->readonly) ||
        move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
        duet_error_set_errno(error, errno, "cannot show the disk '%s' to the VM", disk->path);
        return NULL;
    }
    const struct group *kvm = getgrnam("kvm");
    if (duet_vm_can_open(target, disk->readonly ? O_RDONLY : O_RDWR, place->id_base,
            kvm ? kvm->gr_gid : place->id_base))
        return g_steal_pointer(&target);
    g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
        "the VM's user may not %s the disk '%s': %s; its owner must be allowed to, or add "
        "readonly=on",
        disk->readonly ? "read" : "write to", disk->path, g_strerror(errno));
    return NULL;
}
