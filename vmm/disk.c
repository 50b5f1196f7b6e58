/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/disk.h"
#include "vmm/cache.h"
#include "core/rootless.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

static gboolean copy_range(int from, int to, off_t start, off_t end)
{
    off_t out = start;
    while (start < end) {
        ssize_t n = copy_file_range(from, &start, to, &out, (size_t)(end - start), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
    }
    return TRUE;
}

/* Where copy_file_range() is refused (other file systems, old kernels). */
static gboolean copy_range_slowly(int from, int to, off_t start, off_t end)
{
    g_autofree char *chunk = g_malloc(1 << 16);
    while (start < end) {
        ssize_t n = pread(from, chunk, (size_t)MIN(end - start, 1 << 16), start);
        if (n <= 0 || pwrite(to, chunk, (size_t)n, start) != n)
            return FALSE;
        start += n;
    }
    return TRUE;
}

static gboolean copy_data(int from, int to, off_t length)
{
    off_t at = 0;
    if (ftruncate(to, length) < 0)
        return FALSE;
    while (at < length) {
        off_t start = lseek(from, at, SEEK_DATA);
        if (start < 0)
            return errno == ENXIO; /* only a hole is left */
        off_t end = lseek(from, start, SEEK_HOLE);
        if (end < 0)
            return FALSE;
        if (!copy_range(from, to, start, end) && errno != ENOSPC && errno != EDQUOT &&
            !copy_range_slowly(from, to, start, end))
            return FALSE;
        at = end;
    }
    return TRUE;
}

gboolean duet_file_clone(const char *source, const char *target, int mode, GError **error)
{
    DUET_AUTO_FD from = open(source, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (from < 0 || fstat(from, &st) < 0)
        return duet_error_set_errno(error, errno, "cannot open '%s'", source);
    DUET_AUTO_FD to = open(target, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (to < 0)
        return duet_error_set_errno(error, errno, "cannot create '%s'", target);
    if (ioctl(to, FICLONE, from) == 0 || copy_data(from, to, st.st_size))
        return TRUE;
    int err = errno;
    unlink(target);
    return duet_error_set_errno(error, err, "cannot copy '%s' to '%s'", source, target);
}

static gboolean seed_make(const char *seed, GError **error)
{
    static const char *const folders[] = { "upper", "work" };
    for (guint i = 0; i < G_N_ELEMENTS(folders); i++) {
        g_autofree char *path = g_build_filename(seed, folders[i], NULL);
        if (!duet_mkdir_p(path, 0755, error))
            return FALSE;
    }
    return TRUE;
}

/* The seed spares each guest the making of two directories. An ordinary user's would belong to that
 * user's id in the guest: there, the agent makes them. */
static gboolean mkfs_run(const char *image, const char *seed, const char *extended, GError **error)
{
    const char *const plain[] = { "/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-L", "duet-rw", "-E",
        extended, image, NULL };
    const char *const seeded[] = { "/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-L", "duet-rw", "-d",
        seed, "-E", extended, image, NULL };
    g_autofree char *out = duet_capture(duet_is_rootless() ? plain : seeded, error);
    return out != NULL;
}

static gboolean template_format(const char *image, const char *seed, GError **error)
{
    /*
     * A fresh sparse file reads as zeros, so the inode tables need no writing: neither now, which
     * would fill the file, nor by a kernel thread in each guest. mke2fs before 1.47 lacks the word.
     */
    if (mkfs_run(image, seed, "assume_storage_prezeroed=1,root_owner=0:0", NULL))
        return TRUE;
    if (mkfs_run(image, seed, "lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0", error))
        return TRUE;
    g_prefix_error(error, "cannot make an ext4 file system (package e2fsprogs): ");
    return FALSE;
}

static gboolean template_make(const char *path, guint64 bytes, GError **error)
{
    DUET_AUTO_FD lock_fd = -1;
    g_autofree char *fresh = duet_vm_cache_begin(path, &lock_fd, error);
    if (!fresh)
        return FALSE;
    g_autofree char *seed = g_strconcat(fresh, ".seed", NULL);
    DUET_AUTO_FD fd = open(fresh, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    gboolean ok = (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0) ||
        duet_error_set_errno(error, errno, "cannot create '%s'", fresh);
    ok = ok && seed_make(seed, error) && template_format(fresh, seed, error);
    return ok ? duet_vm_cache_commit(fresh, path, error) : duet_vm_cache_abandon(fresh);
}

static gboolean disk_make(const char *path, guint64 bytes, GError **error)
{
    if (!bytes)
        bytes = DUET_DISK_DEFAULT_BYTES;
    if (bytes < DUET_DISK_MIN_BYTES) {
        g_autofree char *wanted = duet_format_bytes(bytes);
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "a disk of %s is too small for the writable layer: at least 16 MiB", wanted);
        return FALSE;
    }
    /* Whole blocks: QEMU and ext4 would round differently. */
    bytes = (bytes + 4095) & ~G_GUINT64_CONSTANT(4095);
    g_autofree char *name = g_strdup_printf("ext4-%" G_GUINT64_FORMAT ".img", bytes);
    g_autofree char *template = duet_vm_cache_path("disk", name, NULL);
    if (access(template, R_OK) != 0 && !template_make(template, bytes, error))
        return FALSE;
    g_autofree char *fresh = g_strconcat(path, ".new", NULL);
    unlink(fresh); /* of a start that was killed in the middle */
    return duet_file_clone(template, fresh, 0600, error) && duet_disk_put(fresh, path, error);
}

gboolean duet_disk_put(const char *fresh, const char *path, GError **error)
{
    if (rename(fresh, path) == 0)
        return TRUE;
    int err = errno;
    unlink(fresh);
    return duet_error_set_errno(error, err, "cannot put '%s' in place", path);
}

gboolean duet_disk_give(const char *path, guint32 uid, GError **error)
{
    DUET_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fchmod(fd, 0600) < 0 || (geteuid() == 0 && fchown(fd, uid, uid) < 0))
        return duet_error_set_errno(error, errno, "cannot give the disk '%s' to its VM", path);
    return TRUE;
}

gboolean duet_disk_ensure(const char *path, guint64 bytes, guint32 uid, GError **error)
{
    return (access(path, F_OK) == 0 || disk_make(path, bytes, error)) &&
        duet_disk_give(path, uid, error);
}
