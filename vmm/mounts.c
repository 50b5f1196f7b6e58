/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/mounts.h"
#include "core/rootless.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <mntent.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *const folders[] = { "boot", "dev", "vol" };

static gboolean touch(const char *path, GError **error)
{
    DUET_AUTO_FD fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 || duet_error_set_errno(error, errno, "cannot create '%s'", path);
}

static gboolean bind(const char *source, const char *target, unsigned long flags, GError **error)
{
    if (mount(source, target, NULL, MS_BIND | flags, NULL) == 0)
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot bind '%s' to '%s'", source, target);
}

static gboolean device_show(const char *name, const char *dev, GError **error)
{
    g_autofree char *source = g_build_filename("/dev", name, NULL);
    g_autofree char *target = g_build_filename(dev, name, NULL);
    return touch(target, error) && bind(source, target, 0, error);
}

static gboolean devices_make(const char *dev, gboolean with_kvm, GError **error)
{
    static const char *const names[] = { "null", "zero", "full", "random", "urandom" };
    if (!duet_mkdir_p(dev, 0755, error))
        return FALSE;
    if (mount("duet-dev", dev, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=64k,mode=0755") < 0)
        return duet_error_set_errno(error, errno, "cannot mount a tmpfs on '%s'", dev);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        if (!device_show(names[i], dev, error))
            return FALSE;
    return !with_kvm || device_show("kvm", dev, error);
}

/*
 * systemd mounts a hugetlbfs at /dev/hugepages. As root libvirt looks at every one in the mount
 * table: it fails if another /dev covers it, and makes directories in it if not. No VM of ours uses
 * huge pages, so its view has none.
 */
static void hugetlbfs_hide(void)
{
    FILE *table = setmntent("/proc/self/mounts", "re");
    const struct mntent *row;
    while (table && (row = getmntent(table)))
        if (strcmp(row->mnt_type, "hugetlbfs") == 0)
            umount2(row->mnt_dir, MNT_DETACH | UMOUNT_NOFOLLOW);
    if (table)
        endmntent(table);
}

gboolean duet_vm_mounts_enter(const DuetPlace *place, gboolean with_kvm, GError **error)
{
    if (unshare(CLONE_NEWNS) < 0)
        return duet_error_set_errno(error, errno, "cannot make a mount namespace for the VM");
    if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return duet_error_set_errno(error, errno, "cannot make the VM's mounts private");
    hugetlbfs_hide();
    g_autofree char *dev = g_build_filename(place->run_dir, "dev", NULL);
    if (!devices_make(dev, with_kvm, error))
        return FALSE;
    if (mount(dev, "/dev", NULL, MS_MOVE, NULL) == 0)
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot give the VM a /dev of its own");
}

char *duet_vm_mounts_file(
    const DuetPlace *place, const char *name, const char *source, GError **error)
{
    if (duet_is_rootless())
        return g_strdup(source);
    g_autofree char *dir = g_build_filename(place->run_dir, "boot", NULL);
    g_autofree char *target = g_build_filename(dir, name, NULL);
    if (!duet_mkdir_p(dir, 0711, error) || !touch(target, error) || !bind(source, target, 0, error))
        return NULL;
    return g_steal_pointer(&target);
}

/*
 * Everything below too, and nothing that the host mounts there later: a writable mount inside a
 * read-only one would be a hole. A container's folders are private as well.
 */
static gboolean set_private(const char *target, gboolean readonly, GError **error)
{
    struct mount_attr attributes = {
        .attr_set = readonly ? MOUNT_ATTR_RDONLY : 0,
        .propagation = MS_PRIVATE,
    };
    if (syscall(
            SYS_mount_setattr, AT_FDCWD, target, AT_RECURSIVE, &attributes, sizeof attributes) == 0)
        return TRUE;
    return duet_error_set_errno(
        error, errno, "cannot make '%s' %s", target, readonly ? "read-only" : "the VM's own");
}

static gboolean bind_folder(const DuetMount *mount, const char *target, GError **error)
{
    return bind(mount->source, target, MS_REC, error) &&
        set_private(target, mount->readonly, error);
}

static gboolean bind_single_file(const DuetMount *mount_of, const char *target, GError **error)
{
    g_autofree char *file = g_build_filename(target, "file", NULL);
    /* Room for the mount point alone: a guest that got write access could not fill anything. */
    if (mount("duet-file", target, "tmpfs", MS_NODEV | MS_NOSUID, "size=4k,nr_inodes=4,mode=0755") <
        0)
        return duet_error_set_errno(error, errno, "cannot mount a tmpfs on '%s'", target);
    if (!touch(file, error) || !bind(mount_of->source, file, 0, error) ||
        !set_private(file, mount_of->readonly, error))
        return FALSE;
    if (mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODEV | MS_NOSUID, NULL) ==
        0)
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot make '%s' read-only", target);
}

DuetVmFolder *duet_vm_mounts_folder(
    const DuetPlace *place, const DuetMount *mount, guint index, GError **error)
{
    struct stat st;
    if (stat(mount->source, &st) < 0) {
        duet_error_set_errno(error, errno, "cannot mount '%s'", mount->source);
        return NULL;
    }
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot mount '%s' in a VM: it is neither a directory nor a regular file",
            mount->source);
        return NULL;
    }
    g_autofree char *number = g_strdup_printf("%u", index);
    g_autofree char *target = g_build_filename(place->run_dir, "vol", number, NULL);
    g_autofree char *tag = duet_vm_mount_tag(index);
    if (!duet_mkdir_p(target, 0711, error))
        return NULL;
    gboolean ok = S_ISDIR(st.st_mode) ? bind_folder(mount, target, error)
                                      : bind_single_file(mount, target, error);
    return ok ? duet_vm_folder_new(tag, target) : NULL;
}

static void unmount_below(const char *dir)
{
    g_autoptr(GDir) names = g_dir_open(dir, 0, NULL);
    const char *name;
    while (names && (name = g_dir_read_name(names))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
            ;
    }
}

gboolean duet_vm_mounts_remove(const DuetPlace *place, GError **error)
{
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *dir = g_build_filename(place->run_dir, folders[i], NULL);
        unmount_below(dir);
        if (!duet_remove_tree(AT_FDCWD, dir, error))
            return FALSE;
    }
    return TRUE;
}
