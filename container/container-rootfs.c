/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * The child's mount namespace starts as a copy of the monitor's, every mount of it locked and a
 * slave. It is left in two steps, because the first can be done while the monitor still puts the
 * layers together, and because taking the host's tree away costs half a millisecond:
 *
 *   base   An empty tmpfs gets /dev, and proc and sysfs while the host's are still there (the
 * kernel allows new ones only where it can see that nothing is hidden). pivot_root makes it "/",
 *          and the copy of the host's tree goes away as a whole. Then paths are masked.
 *   root   The image's root file system is mounted over the base, /proc, /sys and /dev move into
 *          it, and chroot enters it. Whoever climbed out of this chroot would be at the root of the
 *          namespace, that is, on top of it, in the image again; and what lies below is
 *          a read-only tmpfs of three empty directories.
 *
 * The image is foreign: its /proc may be a symlink to anywhere. So these three targets are
 * opened without following any. Volumes' targets may lead over symlinks, as users expect, but
 * never out of the image, for there is nothing else left, and never into proc.
 *
 * Masked and read-only paths are those of the OCI runtime specification. What they hide is mostly
 * closed by the user namespace already; the payload, without CAP_SYS_ADMIN here, can't take a
 * mount away, and a user namespace of its own gets all of them locked together.
 */

#include "container-private.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "raw.h"

#ifndef MOVE_MOUNT_T_EMPTY_PATH
#define MOVE_MOUNT_T_EMPTY_PATH 0x00000040
#endif

#define PROC_FLAGS (MS_NOSUID | MS_NODEV | MS_NOEXEC)
#define BASE_ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static const char *const masked_files[] = {
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/interrupts",
};
static const char *const masked_dirs[] = {
    "/proc/acpi",
    "/proc/asound",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
};
static const char *const readonly_paths[] = {
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
};

static long open_in(int dir_fd, const char *path, int flags, guint64 resolve)
{
    struct open_how how = { .flags = (guint64)(flags | O_CLOEXEC), .resolve = resolve };
    return raw(SYS_openat2, dir_fd, path, &how, sizeof how);
}

/* Opens the image's directory @name, making it where there is none; never over a symlink. */
static long open_target(int root_fd, const char *name)
{
    guint64 resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    long fd = open_in(root_fd, name, O_PATH | O_DIRECTORY, resolve);
    if (fd != -ENOENT)
        return fd;
    long result = raw(SYS_mkdirat, root_fd, name, 0755);
    return result < 0 ? result : open_in(root_fd, name, O_PATH | O_DIRECTORY, resolve);
}

static long move_to(int mount_fd, int target_fd)
{
    return raw(SYS_move_mount, mount_fd, "", target_fd, "",
        MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

/* Makes the directory @name of the base and mounts a new @type there. */
static void mount_base(const DuetChild *child, DuetStep step, int base_fd, const char *type,
    const char *name, unsigned long flags)
{
    long fd = open_target(base_fd, name);
    duet_child_check(child, step, fd);
    duet_child_check(child, step, raw(SYS_fchdir, fd));
    raw(SYS_close, fd);
    duet_child_check(child, step, raw(SYS_mount, type, ".", type, flags, NULL));
}

static long make_tmpfs(unsigned attributes)
{
    long fs_fd = raw(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC);
    if (fs_fd < 0)
        return fs_fd;
    long result = raw(SYS_fsconfig, fs_fd, FSCONFIG_SET_STRING, "mode", "755", 0);
    if (result >= 0)
        result = raw(SYS_fsconfig, fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
    if (result >= 0)
        result = raw(SYS_fsmount, fs_fd, FSMOUNT_CLOEXEC, attributes);
    raw(SYS_close, fs_fd);
    return result;
}

static void enter_base(const DuetChild *child)
{
    long base_fd = make_tmpfs(BASE_ATTRIBUTES);
    duet_child_check(child, DUET_STEP_BASE, base_fd);
    duet_child_check(child, DUET_STEP_BASE,
        raw(SYS_move_mount, base_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
    mount_base(child, DUET_STEP_PROC, (int)base_fd, "proc", "proc", PROC_FLAGS);
    mount_base(child, DUET_STEP_SYS, (int)base_fd, "sysfs", "sys", PROC_FLAGS | MS_RDONLY);
    long dev_fd = open_target((int)base_fd, "dev");
    duet_child_check(child, DUET_STEP_DEV, dev_fd);
    duet_child_check(child, DUET_STEP_DEV,
        child->dev_fd >= 0 ? move_to(child->dev_fd, (int)dev_fd)
                           : duet_dev_bind(child, (int)base_fd));
    raw(SYS_close, dev_fd);

    struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
    duet_child_check(child, DUET_STEP_BASE,
        raw(SYS_mount_setattr, base_fd, "", AT_EMPTY_PATH, &readonly, sizeof readonly));
    duet_child_check(child, DUET_STEP_BASE, raw(SYS_fchdir, base_fd));
    duet_child_check(child, DUET_STEP_BASE, raw(SYS_pivot_root, ".", "."));
    /* the old root now lies over the new one, at the same place */
    duet_child_check(child, DUET_STEP_BASE, raw(SYS_umount2, ".", MNT_DETACH));
    duet_child_check(child, DUET_STEP_BASE, raw(SYS_chdir, "/"));
    raw(SYS_close, base_fd);
}

/* Moves the base's mount @path to the image's directory @name. */
static void move_in(const DuetChild *child, DuetStep step, const char *path, const char *name)
{
    long fd = open_target(child->fds[DUET_CHILD_FD_ROOT], name);
    duet_child_check(child, step, fd);
    duet_child_check(
        child, step, raw(SYS_move_mount, AT_FDCWD, path, fd, "", MOVE_MOUNT_T_EMPTY_PATH));
    raw(SYS_close, fd);
}

static void enter_image(const DuetChild *child)
{
    int root_fd = child->fds[DUET_CHILD_FD_ROOT];
    duet_child_check(child, DUET_STEP_ROOT,
        raw(SYS_move_mount, root_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
    move_in(child, DUET_STEP_PROC, "/proc", "proc");
    move_in(child, DUET_STEP_SYS, "/sys", "sys");
    move_in(child, DUET_STEP_DEV, "/dev", "dev");
    duet_child_check(child, DUET_STEP_ROOT, raw(SYS_fchdir, root_fd));
    duet_child_check(child, DUET_STEP_ROOT, raw(SYS_chroot, "."));
}

/*
 * Docker's images have empty files in these places, to be filled by who runs them. A file of the
 * image's own stays, and one that is missing is not made: a first file in /etc copies that
 * directory up and costs as much as all mounts together.
 */
static void fill_placeholder(const char *path, const char *text, gsize length)
{
    struct statx info;
    long fd = raw(SYS_openat, AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    gboolean is_empty =
        raw(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &info) == 0 &&
        S_ISREG(info.stx_mode) && info.stx_size == 0;
    raw(SYS_close, fd);
    if (is_empty)
        fd = raw(SYS_openat, AT_FDCWD, path, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (!is_empty || fd < 0)
        return;
    raw(SYS_write, fd, text, length);
    raw(SYS_close, fd);
}

/* ---- volumes ---- */

/* Makes the missing last step of @path below "/"; its parent exists. */
static long make_step(char *path, char *last_slash, gboolean is_dir)
{
    *last_slash = '\0';
    long parent = open_in(
        AT_FDCWD, path[0] != '\0' ? path : "/", O_PATH | O_DIRECTORY, RESOLVE_NO_MAGICLINKS);
    *last_slash = '/';
    if (parent < 0)
        return parent;
    long result;
    if (is_dir) {
        result = raw(SYS_mkdirat, parent, last_slash + 1, 0755);
    } else {
        result =
            raw(SYS_openat, parent, last_slash + 1, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (result >= 0)
            raw(SYS_close, result);
    }
    raw(SYS_close, parent);
    return result;
}

static long open_or_make(char *path, gboolean is_dir)
{
    int flags = O_PATH | (is_dir ? O_DIRECTORY : 0);
    long fd = open_in(AT_FDCWD, path, flags, RESOLVE_NO_MAGICLINKS);
    if (fd != -ENOENT)
        return fd;
    for (char *slash = path; slash != NULL;) {
        char *next = slash + 1;
        while (*next != '\0' && *next != '/')
            next++;
        char kept = *next;
        *next = '\0';
        long step = open_in(AT_FDCWD, path, O_PATH, RESOLVE_NO_MAGICLINKS);
        if (step >= 0)
            raw(SYS_close, step);
        else if (step == -ENOENT)
            step = make_step(path, slash, kept != '\0' || is_dir);
        *next = kept;
        if (step < 0)
            return step;
        slash = kept != '\0' ? next : NULL;
    }
    return open_in(AT_FDCWD, path, flags, RESOLVE_NO_MAGICLINKS);
}

static long place_volume(int mount_fd, const DuetChildVolume *volume)
{
    long fd = open_or_make(volume->target, volume->is_dir);
    if (fd < 0)
        return fd;
    struct statfs info;
    long result = raw(SYS_fstatfs, fd, &info);
    if (result >= 0 && info.f_type == PROC_SUPER_MAGIC)
        result = -EPERM; /* a mount in there could fake what the agent trusts */
    if (result >= 0)
        result = move_to(mount_fd, (int)fd);
    raw(SYS_close, fd);
    return result;
}

/* ---- masks ---- */

static gboolean is_missing(long result)
{
    return result == -ENOENT || result == -ENOTDIR;
}

static gboolean is_unmasked(char *const *unmasks, const char *path)
{
    for (; *unmasks != NULL; unmasks++)
        if (g_str_equal(*unmasks, "ALL") || fnmatch(*unmasks, path, FNM_PATHNAME) == 0)
            return TRUE;
    return FALSE;
}

guint32 duet_rootfs_unmasked(char *const *unmasks)
{
    G_STATIC_ASSERT(
        G_N_ELEMENTS(masked_files) + G_N_ELEMENTS(masked_dirs) + G_N_ELEMENTS(readonly_paths) < 32);
    const struct {
        const char *const *paths;
        gsize count;
    } tables[] = {
        { masked_files, G_N_ELEMENTS(masked_files) },
        { masked_dirs, G_N_ELEMENTS(masked_dirs) },
        { readonly_paths, G_N_ELEMENTS(readonly_paths) },
    };
    guint32 unmasked = 0, bit = 1;
    for (gsize t = 0; unmasks != NULL && t < G_N_ELEMENTS(tables); t++)
        for (gsize i = 0; i < tables[t].count; i++, bit <<= 1)
            if (is_unmasked(unmasks, tables[t].paths[i]))
                unmasked |= bit;
    return unmasked;
}

/* An empty file system or /dev/null over what a user wants hidden; it may be the image's. */
static long hide(const char *path)
{
    struct statx info;
    long fd = open_in(AT_FDCWD, path, O_PATH, RESOLVE_NO_MAGICLINKS);
    if (fd < 0)
        return is_missing(fd) ? 0 : fd;
    long result = raw(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &info);
    long mount_fd = result;
    if (result >= 0 && S_ISDIR(info.stx_mode))
        mount_fd = make_tmpfs(BASE_ATTRIBUTES | MOUNT_ATTR_RDONLY);
    else if (result >= 0)
        mount_fd = raw(SYS_open_tree, AT_FDCWD, "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (mount_fd >= 0) {
        result = move_to((int)mount_fd, (int)fd);
        raw(SYS_close, mount_fd);
    } else {
        result = mount_fd;
    }
    raw(SYS_close, fd);
    return result;
}

static void mask_paths(const DuetChild *child)
{
    guint32 bit = 1;
    for (gsize i = 0; i < G_N_ELEMENTS(masked_files); i++, bit <<= 1) {
        if ((child->unmasked & bit) != 0)
            continue;
        long result = raw(SYS_mount, "/dev/null", masked_files[i], NULL, MS_BIND, NULL);
        if (!is_missing(result))
            duet_child_check(child, DUET_STEP_MASK, result);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(masked_dirs); i++, bit <<= 1) {
        if ((child->unmasked & bit) != 0)
            continue;
        long result = raw(SYS_mount, "mask", masked_dirs[i], "tmpfs", PROC_FLAGS | MS_RDONLY,
            "size=0,nr_inodes=1");
        if (!is_missing(result))
            duet_child_check(child, DUET_STEP_MASK, result);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(readonly_paths); i++, bit <<= 1) {
        const char *path = readonly_paths[i];
        if ((child->unmasked & bit) != 0)
            continue;
        long result = raw(SYS_mount, path, path, NULL, MS_BIND | MS_REC, NULL);
        if (is_missing(result))
            continue;
        duet_child_check(child, DUET_STEP_MASK, result);
        duet_child_check(child, DUET_STEP_MASK,
            raw(SYS_mount, NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | PROC_FLAGS, NULL));
    }
}

void duet_rootfs_prepare(DuetChild *child)
{
    enter_base(child);
    duet_child_check(child, DUET_STEP_DEV, duet_dev_fill(child));
    if (child->cgroup2) {
        long result =
            raw(SYS_mount, "cgroup", "/sys/fs/cgroup", "cgroup2", PROC_FLAGS | MS_RDONLY, NULL);
        if (!is_missing(result))
            duet_child_check(child, DUET_STEP_SYS, result);
    }
    mask_paths(child);
}

void duet_rootfs_enter(DuetChild *child)
{
    enter_image(child);
    fill_placeholder("/etc/hosts", child->hosts, child->hosts_length);
    fill_placeholder("/etc/hostname", child->hostname, child->hostname_length);
    for (int i = 0; i < child->volumes_count; i++) {
        long result = place_volume(child->fds[DUET_CHILD_FD_VOLUMES + i], &child->volumes[i]);
        if (result < 0)
            duet_child_fail(child, DUET_STEP_VOLUME, result, i);
    }
    for (int i = 0; child->masks != NULL && child->masks[i] != NULL; i++) {
        long result = hide(child->masks[i]);
        if (result < 0)
            duet_child_fail(child, DUET_STEP_HIDE, result, i);
    }
    struct mount_attr readonly = { .attr_set = MOUNT_ATTR_RDONLY };
    if (child->readonly)
        duet_child_check(child, DUET_STEP_READONLY,
            raw(SYS_mount_setattr, AT_FDCWD, "/", 0, &readonly, sizeof readonly));
}
