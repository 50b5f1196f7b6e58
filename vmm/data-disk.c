/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/data-disk.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The first of QEMU's docs/interop/qcow2.txt; numbers are big-endian. */
typedef struct {
    guint8 magic[4];
    guint32 version;
    guint64 backing_file_offset;
    guint32 backing_file_size;
    guint8 skipped[52];
    guint64 incompatible_features;
} Qcow2Header;

#define NAME_MAX_BYTES 1023 /* the format's own limit of a backing file's name */
#define QCOW2_MAGIC "QFI\xfb"
#define QCOW2_INCOMPATIBLE_DATA_FILE 4u

static gboolean refuse(const DuetDataDisk *disk, int code, const char *why, GError **error)
{
    g_set_error(error, DUET_ERROR, code, "cannot use '%s' as a disk: %s", disk->path, why);
    return FALSE;
}

static gboolean check_type(const DuetDataDisk *disk, const struct stat *st, GError **error)
{
    if (S_ISDIR(st->st_mode))
        return refuse(disk, DUET_ERROR_INVALID,
            "it is a directory; give a file, or share the directory with -v", error);
    if (S_ISBLK(st->st_mode))
        return refuse(disk, DUET_ERROR_UNSUPPORTED,
            "it is a device of the host, and duet gives a VM files alone; copy it to one", error);
    if (!S_ISREG(st->st_mode))
        return refuse(disk, DUET_ERROR_INVALID, "it is no file", error);
    if (st->st_size == 0)
        return refuse(
            disk, DUET_ERROR_INVALID, "it is empty; give it a size: truncate -s 1G", error);
    return TRUE;
}

/* What the image says is shown as it is, and never opened. */
static gboolean check_backing(
    const DuetDataDisk *disk, int fd, const Qcow2Header *header, GError **error)
{
    char name[NAME_MAX_BYTES + 1] = "";
    if (disk->backing && !header->backing_file_offset)
        return refuse(
            disk, DUET_ERROR_INVALID, "it has no backing file; leave out backing_store", error);
    if (disk->backing || !header->backing_file_offset)
        return TRUE;
    gsize length = MIN(GUINT32_FROM_BE(header->backing_file_size), NAME_MAX_BYTES);
    if (pread(fd, name, length, (off_t)GUINT64_FROM_BE(header->backing_file_offset)) < 0)
        name[0] = '\0';
    g_autofree char *shown = g_strescape(name, NULL);
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "cannot use '%s' as a disk: it has the backing file '%s', and a VM of duet opens no file "
        "that was not named; name one such file with backing_store=FILE, or make one image of all: "
        "qemu-img convert -O qcow2",
        disk->path, shown);
    return FALSE;
}

static gboolean check_format(
    const DuetDataDisk *disk, int fd, const Qcow2Header *header, GError **error)
{
    gboolean looks_qcow2 = memcmp(header->magic, QCOW2_MAGIC, sizeof header->magic) == 0;
    if (!disk->is_qcow2 && looks_qcow2 && !disk->format_given)
        return refuse(disk, DUET_ERROR_INVALID,
            "it looks like a qcow2 image, and no format was given; add format=qcow2, or "
            "format=raw if the VM is to see these bytes (backing_format, of a backing file)",
            error);
    if (!disk->is_qcow2)
        return TRUE;
    if (!looks_qcow2)
        return refuse(
            disk, DUET_ERROR_INVALID, "it is no qcow2 image; leave out format=qcow2", error);
    if (!check_backing(disk, fd, header, error))
        return FALSE;
    if (GUINT32_FROM_BE(header->version) >= 3 &&
        (GUINT64_FROM_BE(header->incompatible_features) & QCOW2_INCOMPATIBLE_DATA_FILE))
        return refuse(disk, DUET_ERROR_UNSUPPORTED,
            "its data is in another file, and a VM of duet opens no file that was not named; make "
            "one image of both: qemu-img convert -O qcow2",
            error);
    return TRUE;
}

static int open_checked(const DuetDataDisk *disk, guint64 resolve, GError **error)
{
    struct stat st;
    Qcow2Header header = { 0 };
    /* A FIFO would keep us waiting. */
    struct open_how how = {
        .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
        .resolve = resolve,
    };
    DUET_AUTO_FD fd = (int)syscall(SYS_openat2, AT_FDCWD, disk->path, &how, sizeof how);
    if (fd < 0 && errno == ELOOP && resolve)
        refuse(disk, DUET_ERROR_PERMISSION,
            "a symbolic link is in its place now, or in that of a directory above; it is not "
            "followed",
            error);
    else if (fd < 0 || fstat(fd, &st) < 0)
        duet_error_set_errno(error, errno, "cannot use '%s' as a disk", disk->path);
    else if (!check_type(disk, &st, error))
        return -1;
    else if (pread(fd, &header, sizeof header, 0) < 0)
        duet_error_set_errno(error, errno, "cannot read the disk '%s'", disk->path);
    else if (check_format(disk, fd, &header, error))
        return duet_fd_steal(&fd);
    return -1;
}

gboolean duet_data_disk_check(const DuetDataDisk *disk, GError **error)
{
    DUET_AUTO_FD fd = open_checked(disk, 0, error);
    return fd >= 0 && (!disk->backing || duet_data_disk_check(disk->backing, error));
}

/* Bytes of the file that stand for a right, or for its refusal to others, in QEMU's
 * block/file-posix.c: whoever has it holds a lock on that byte. */
enum {
    QEMU_WRITES = 101,
    QEMU_LETS_NOBODY_WRITE = 201,
};

static gboolean is_locked(int fd, off_t byte)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
    return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

int duet_data_disk_open(const DuetDataDisk *disk, GError **error)
{
    DUET_AUTO_FD fd = open_checked(disk, RESOLVE_NO_SYMLINKS, error);
    if (fd < 0)
        return -1;
    /* QEMU's own lock decides, later. Its words name neither the file nor what to do. */
    if (is_locked(fd, QEMU_WRITES) || (!disk->readonly && is_locked(fd, QEMU_LETS_NOBODY_WRITE))) {
        refuse(disk, DUET_ERROR_FAILED,
            "another VM has it; stop that one first, or add readonly=on to both", error);
        return -1;
    }
    return duet_fd_steal(&fd);
}
