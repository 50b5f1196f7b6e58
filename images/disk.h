/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "images/transaction.h"

G_BEGIN_DECLS

/*
 * Disk images: whole operating systems. In the layout each is an artifact with one blob, a qcow2
 * that stands alone; vmroot/<blob hex>.qcow2 is a second name of that blob.
 */
/** DUET_DISK_MAX_BYTES: no disk may be larger, as its guest sees it. */
#define DUET_DISK_MAX_BYTES ((guint64)1 << 44)

typedef enum {
    DUET_DISK_RAW,
    DUET_DISK_QCOW2,
    DUET_DISK_VMDK,
    DUET_DISK_VDI,
    DUET_DISK_NONE,
} DuetDiskFormat;

/** duet_disk_format_to_string: "qcow2"; QEMU's driver has the same name. */
const char *duet_disk_format_to_string(DuetDiskFormat format);
/** duet_disk_format_from_string: Returns: %DUET_DISK_NONE if it is none of them. */
DuetDiskFormat duet_disk_format_from_string(const char *text);

/**
 * duet_disk_sniff: what a file is, by its first bytes alone. Raw only where these have a partition
 * table, or a boot sector and the name a suffix that says so; an archive or a text never is a disk.
 * @path: for its suffix
 */
DuetDiskFormat duet_disk_sniff(int fd, const char *path);

/**
 * duet_disk_check_header: that QEMU, reading @fd as @format, opens no other file, and what can be
 * told of truncation.
 * @out_bytes: (out): the size that a guest sees
 */
gboolean duet_disk_check_header(
    int fd, DuetDiskFormat format, const char *what, guint64 *out_bytes, GError **error);

/**
 * DuetDiskTable: what the first sectors of a disk tell.
 * @bootable: they have a boot sector's signature
 * @firmware: (nullable): "bios" or "uefi" if it boots by that alone
 * @end_bytes: how long the disk must be at least
 */
typedef struct {
    gboolean bootable;
    const char *firmware;
    guint64 end_bytes;
} DuetDiskTable;
/** duet_disk_table: @head: the first bytes of the disk, as a guest sees them */
void duet_disk_table(const guint8 *head, gsize length, DuetDiskTable *out_table);

/* qemu-img; bounded in memory and time, dies with its caller. @fd: a disk whose header was checked
 */

/** duet_qemu_img_check: that all of the disk is there. @bytes: as duet_disk_check_header() told */
gboolean duet_qemu_img_check(
    int fd, DuetDiskFormat format, guint64 bytes, const char *what, GError **error);
/** duet_qemu_img_convert: writes the disk to the regular file @to_fd, as qcow2 or raw. */
gboolean duet_qemu_img_convert(int fd, DuetDiskFormat format, guint64 bytes, const char *what,
    DuetDiskFormat to, int to_fd, GError **error);
/** duet_qemu_img_head: writes the first bytes of the disk to the regular file @to_fd. */
gboolean duet_qemu_img_head(
    int fd, DuetDiskFormat format, const char *what, int to_fd, GError **error);

/** duet_disk_export: writes the disk of @blob, as qcow2 or raw. @path: what @out_fd is called */
gboolean duet_disk_export(DuetStore *store, const DuetDescriptor *blob, DuetArchive format,
    int out_fd, const char *path, GError **error);

G_END_DECLS
