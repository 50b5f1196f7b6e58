/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * Six device nodes exist; the root file system and volumes are nodev, so no other device of the
 * host can be reached whatever nodes an image or a payload brings. The child can't make them: the
 * monitor does, on a detached tmpfs, and sends it. An ordinary user's monitor can't either: there,
 * the child mounts the host's own six over empty files, while it still sees the host's tree. Those
 * belong to the host's root, that is to nobody in the container, and stay usable by all.
 */

#include "container-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "raw.h"

static const struct {
    const char *name;
    const char *path;
    unsigned major, minor;
} dev_nodes[] = {
    { "null", "/dev/null", 1, 3 },
    { "zero", "/dev/zero", 1, 5 },
    { "full", "/dev/full", 1, 7 },
    { "random", "/dev/random", 1, 8 },
    { "urandom", "/dev/urandom", 1, 9 },
    { "tty", "/dev/tty", 5, 0 },
};

static const struct {
    const char *name, *to;
} dev_links[] = {
    { "fd", "/proc/self/fd" },
    { "stdin", "/proc/self/fd/0" },
    { "stdout", "/proc/self/fd/1" },
    { "stderr", "/proc/self/fd/2" },
    { "ptmx", "pts/ptmx" },
};

static const char *const dev_dirs[] = { "pts", "shm", "mqueue" };

dev_t duet_dev_usual(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(dev_nodes); i++)
        if (g_str_equal(dev_nodes[i].name, name))
            return makedev(dev_nodes[i].major, dev_nodes[i].minor);
    return 0;
}

/* All belong to the container's root, or it would see them as nobody's. */
static int fill_dev(int fd, guint32 id_base)
{
    for (gsize i = 0; i < G_N_ELEMENTS(dev_nodes); i++) {
        dev_t dev = makedev(dev_nodes[i].major, dev_nodes[i].minor);
        if (mknodat(fd, dev_nodes[i].name, S_IFCHR | 0666, dev) != 0 ||
            fchownat(fd, dev_nodes[i].name, id_base, id_base, AT_SYMLINK_NOFOLLOW) != 0)
            return errno;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(dev_links); i++)
        if (symlinkat(dev_links[i].to, fd, dev_links[i].name) != 0 ||
            fchownat(fd, dev_links[i].name, id_base, id_base, AT_SYMLINK_NOFOLLOW) != 0)
            return errno;
    for (gsize i = 0; i < G_N_ELEMENTS(dev_dirs); i++)
        if (mkdirat(fd, dev_dirs[i], 0755) != 0 ||
            fchownat(fd, dev_dirs[i], id_base, id_base, AT_SYMLINK_NOFOLLOW) != 0)
            return errno;
    return 0;
}

int duet_dev_make(guint32 id_base, const GArray *devices, GError **error)
{
    DUET_AUTO_FD fd = duet_tmpfs_make(
        "dev", "mode=755,size=65536k", id_base, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
    if (fd < 0) {
        duet_error_set_errno(error, errno, "cannot make the container's /dev");
        return -1;
    }
    mode_t mask = umask(0);
    int err = fill_dev(fd, id_base);
    umask(mask);
    if (err != 0) {
        duet_error_set_errno(error, err,
            "cannot make the container's device nodes; duet needs CAP_MKNOD, so it can't run "
            "inside "
            "an unprivileged container");
        return -1;
    }
    if (devices != NULL && !duet_devices_make(fd, devices, id_base, error))
        return -1;
    return duet_fd_steal(&fd);
}

/* ---- the child ---- */

/* In the current directory. */
static long bind_nodes(void)
{
    long result = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(dev_nodes) && result >= 0; i++) {
        const char *name = dev_nodes[i].name;
        result = raw(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (result < 0)
            return result;
        raw(SYS_close, result);
        result = raw(SYS_mount, dev_nodes[i].path, name, NULL, MS_BIND, NULL);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(dev_links) && result >= 0; i++)
        result = raw(SYS_symlinkat, dev_links[i].to, AT_FDCWD, dev_links[i].name);
    for (gsize i = 0; i < G_N_ELEMENTS(dev_dirs) && result >= 0; i++)
        result = raw(SYS_mkdirat, AT_FDCWD, dev_dirs[i], 0755);
    return result;
}

long duet_dev_bind(const DuetChild *child, int base_fd)
{
    long result = raw(SYS_fchdir, base_fd);
    if (result >= 0)
        result =
            raw(SYS_mount, "dev", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=65536k");
    if (result >= 0)
        result = raw(SYS_chdir, "dev");
    if (result >= 0)
        result = bind_nodes();
    if (result >= 0)
        duet_devices_bind(child);
    return result;
}

/* /dev is ours alone: plain paths are safe there. */
long duet_dev_fill(const DuetChild *child)
{
    unsigned long flags = MS_NOSUID | MS_NOEXEC;
    long result = raw(SYS_mount, "devpts", "/dev/pts", "devpts", flags,
        "newinstance,ptmxmode=0666,mode=0620,gid=5");
    if (result == -EINVAL) /* there is no group 5 where one id is mapped */
        result = raw(SYS_mount, "devpts", "/dev/pts", "devpts", flags,
            "newinstance,ptmxmode=0666,mode=0620");
    if (result >= 0)
        result = raw(SYS_mount, "shm", "/dev/shm", "tmpfs", flags | MS_NODEV, child->shm_options);
    if (result >= 0)
        result = raw(SYS_mount, "mqueue", "/dev/mqueue", "mqueue", flags | MS_NODEV, NULL);
    /* The payload's terminal is the first that there is. */
    if (result >= 0 && child->tty)
        result = raw(SYS_symlinkat, "pts/0", AT_FDCWD, "/dev/console");
    return result;
}
