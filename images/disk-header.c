/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * The header of a disk can name other files of the host (a backing file, an external data file,
 * extents), and whoever reads the disk then reads those: CVE-2015-5162, CVE-2024-32498. So before
 * QEMU sees a disk, its first bytes are looked at here, and QEMU is told the format: what it would
 * find out by itself, the writer of the disk decides. Refused are: whatever names another file, and
 * what this code does not know. All numbers are hostile.
 */
#include "images/disk.h"
#include "images/disk-bytes.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

#define SECTOR 512
#define VMDK_DESCRIPTOR_MAX (20 * 1024)

static const char *const names[] = {
    [DUET_DISK_RAW] = "raw",
    [DUET_DISK_QCOW2] = "qcow2",
    [DUET_DISK_VMDK] = "vmdk",
    [DUET_DISK_VDI] = "vdi",
};

const char *duet_disk_format_to_string(DuetDiskFormat format)
{
    return format < G_N_ELEMENTS(names) ? names[format] : NULL;
}

DuetDiskFormat duet_disk_format_from_string(const char *text)
{
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        if (g_str_equal(names[i], text))
            return i;
    }
    return DUET_DISK_NONE;
}

/* What is beyond the file's end is 0. */
static void read_at(int fd, guint64 offset, void *bytes, gsize length)
{
    memset(bytes, 0, length);
    if (offset <= G_MAXINT64 && pread(fd, bytes, length, (off_t)offset) < 0)
        memset(bytes, 0, length);
}

static gboolean is_archive(const guint8 *head)
{
    static const struct {
        gsize at;
        const char *magic;
    } rows[] = { { 0, "\x1f\x8b" },
        { 0,
            "\xfd"
            "7zXZ" },
        { 0, "\x28\xb5\x2f\xfd" }, { 0, "BZh" }, { 257, "ustar" } };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (memcmp(head + rows[i].at, rows[i].magic, strlen(rows[i].magic)) == 0)
            return TRUE;
    }
    return FALSE;
}

static gboolean has_boot_signature(const guint8 *head)
{
    return head[510] == 0x55 && head[511] == 0xaa;
}

/* A partition table's entries, and not the code of a file system's boot sector. */
static gboolean has_partitions(const guint8 *head)
{
    gboolean any = FALSE;
    for (const guint8 *entry = head + 446; entry < head + 510; entry += 16) {
        if (*entry & 0x7f)
            return FALSE;
        any = any || (entry[4] && duet_le32(entry + 12) > 0);
    }
    return any;
}

static gboolean is_raw_name(const char *path)
{
    return g_str_has_suffix(path, ".img") || g_str_has_suffix(path, ".raw");
}

DuetDiskFormat duet_disk_sniff(int fd, const char *path)
{
    static const char text_vmdk[] = "# Disk DescriptorFile";
    guint8 head[SECTOR];
    read_at(fd, 0, head, sizeof head);
    if (memcmp(head, "QFI\xfb", 4) == 0)
        return DUET_DISK_QCOW2;
    if (memcmp(head, "KDMV", 4) == 0 || memcmp(head, "COWD", 4) == 0 ||
        memcmp(head, text_vmdk, sizeof text_vmdk - 1) == 0)
        return DUET_DISK_VMDK;
    /* Before what a name in a tar could hold. */
    if (is_archive(head))
        return DUET_DISK_NONE;
    if (duet_le32(head + 64) == 0xbeda107f)
        return DUET_DISK_VDI;
    if (!has_boot_signature(head))
        return DUET_DISK_NONE;
    return has_partitions(head) || is_raw_name(path) ? DUET_DISK_RAW : DUET_DISK_NONE;
}

/* One disk that is looked at. */
typedef struct {
    int fd;
    guint64 file_bytes;
    const char *what;
    guint8 head[SECTOR];
} Look;

static gboolean refuse(const Look *look, GError **error, const char *why)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is refused: %s", look->what, why);
    return FALSE;
}

static gboolean look_qcow2(const Look *look, guint64 *out_bytes, GError **error)
{
    const guint8 *head = look->head;
    guint32 version = duet_be32(head + 4);
    if (version != 2 && version != 3)
        return refuse(look, error, "its version of qcow2 is not known here");
    if (duet_be64(head + 8) || duet_be32(head + 16))
        return refuse(look, error,
            "it has a backing file, without which it is no whole disk; make it one with "
            "'qemu-img convert -O qcow2' where that file is");
    if (duet_be32(head + 32))
        return refuse(look, error, "it is encrypted; decrypt it with 'qemu-img convert'");
    guint64 features = version == 3 ? duet_be64(head + 72) : 0;
    if (features & 2)
        return refuse(
            look, error, "it is marked as corrupt; try 'qemu-img check -r all' on a copy");
    if (features & 4)
        return refuse(look, error,
            "its data are in another file; make it one file with 'qemu-img convert -O qcow2'");
    if (features & ~(guint64)0x1f)
        return refuse(look, error, "it has features that are not known here");
    *out_bytes = duet_be64(head + 24);
    return TRUE;
}

static gboolean vmdk_descriptor(const Look *look, const char *text, GError **error)
{
    const char *parent = strstr(text, "parentCID=");
    if (strstr(text, "parentFileNameHint") ||
        (parent && !g_str_has_prefix(parent + 10, "ffffffff")))
        return refuse(
            look, error, "it is a snapshot that builds on another disk; export a whole one");
    if (!strstr(text, "createType=\"monolithicSparse\"") &&
        !strstr(text, "createType=\"streamOptimized\""))
        return refuse(
            look, error, "it is in several files; make it one with 'qemu-img convert -O qcow2'");
    return TRUE;
}

static gboolean look_vmdk(const Look *look, guint64 *out_bytes, GError **error)
{
    const guint8 *head = look->head;
    if (memcmp(head, "KDMV", 4) != 0)
        return refuse(look, error,
            "its contents are in other files; make it one file with 'qemu-img convert -O qcow2'");
    guint64 sectors = duet_le64(head + 12), at = duet_le64(head + 28),
            length = duet_le64(head + 36);
    if (sectors == 0 || at == 0 || at > G_MAXINT64 / SECTOR || length == 0)
        return refuse(look, error, "it is one file of several of a disk");
    if (sectors > DUET_DISK_MAX_BYTES / SECTOR || length > VMDK_DESCRIPTOR_MAX / SECTOR)
        return refuse(look, error, "the sizes in its header are beyond all reason");
    char text[VMDK_DESCRIPTOR_MAX + 1];
    read_at(look->fd, at * SECTOR, text, length * SECTOR);
    text[length * SECTOR] = '\0';
    *out_bytes = sectors * SECTOR;
    return vmdk_descriptor(look, text, error);
}

static gboolean look_vdi(const Look *look, guint64 *out_bytes, GError **error)
{
    const guint8 *head = look->head;
    guint32 type = duet_le32(head + 76);
    if (type != 1 && type != 2)
        return refuse(look, error, "it is a VDI that builds on another disk; export a whole one");
    guint64 data = duet_le32(head + 344), blocks = duet_le32(head + 388),
            block_bytes = duet_le32(head + 376);
    if (data + blocks * block_bytes > look->file_bytes)
        return refuse(look, error, "it is cut short: its file is smaller than its header says");
    *out_bytes = duet_le64(head + 368);
    return TRUE;
}

static gboolean look_raw(const Look *look, guint64 *out_bytes, GError **error)
{
    if (look->file_bytes % SECTOR)
        return refuse(
            look, error, "it is no raw disk, or cut short: its size is no number of sectors");
    if (!has_boot_signature(look->head))
        return refuse(look, error, "it is no disk: its first sector has no boot signature");
    *out_bytes = look->file_bytes;
    return TRUE;
}

gboolean duet_disk_check_header(
    int fd, DuetDiskFormat format, const char *what, guint64 *out_bytes, GError **error)
{
    static gboolean (*const looks[])(const Look *, guint64 *, GError **) = {
        [DUET_DISK_RAW] = look_raw,
        [DUET_DISK_QCOW2] = look_qcow2,
        [DUET_DISK_VMDK] = look_vmdk,
        [DUET_DISK_VDI] = look_vdi,
    };
    struct stat st;
    if (fstat(fd, &st) < 0)
        return duet_error_set_errno(error, errno, "cannot read '%s'", what);
    Look look = { .fd = fd, .file_bytes = (guint64)st.st_size, .what = what };
    read_at(fd, 0, look.head, sizeof look.head);
    guint64 bytes = 0;
    if (!looks[format](&look, &bytes, error))
        return FALSE;
    if (bytes == 0 || bytes > DUET_DISK_MAX_BYTES)
        return refuse(&look, error, bytes ? "it is larger than 16 TiB" : "it is an empty disk");
    *out_bytes = bytes;
    return TRUE;
}
