/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A disk image's blob, made usable. It is as foreign as any: other tools write into the store, too.
 */
#include "images/disk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/record.h"
#include "images/transaction-private.h"

#define HEAD_MAX (64 * 1024)
#define WARN_BOOT "its first sector has no boot signature: a VM will not boot from it"

static gboolean read_table(DuetTransaction *transaction, int fd, const char *what,
    DuetDiskTable *out_table, GError **error)
{
    g_autofree guint8 *head = g_malloc0(HEAD_MAX);
    DUET_AUTO_FD file = duet_store_tmpfile(transaction->store->tmp_fd, error);
    if (file < 0 || !duet_qemu_img_head(fd, DUET_DISK_QCOW2, what, file, error))
        return FALSE;
    ssize_t n = pread(file, head, HEAD_MAX, 0);
    if (n < 0)
        return duet_error_set_errno(error, errno, "cannot read the start of '%s'", what);
    duet_disk_table(head, (gsize)n, out_table);
    return TRUE;
}

static gboolean check_length(
    const DuetDiskTable *table, guint64 bytes, const char *what, GError **error)
{
    if (table->end_bytes <= bytes)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
        "'%s' is cut short: its partition table speaks of %" G_GUINT64_FORMAT
        " bytes, but it has %" G_GUINT64_FORMAT,
        what, table->end_bytes, bytes);
    return FALSE;
}

static void describe(DuetImage *image, const DuetDiskTable *table, guint64 bytes)
{
    image->disk_virtual_bytes = bytes;
    image->disk_firmware = g_strdup(table->firmware);
    if (table->bootable)
        return;
    g_strfreev(image->warnings);
    image->warnings = g_new0(char *, 2);
    image->warnings[0] = g_strdup(WARN_BOOT);
}

static gboolean use_disk(
    DuetTransaction *transaction, const char *hex, DuetImage *image, GError **error)
{
    g_autofree char *what = g_strconcat("disk sha256:", hex, NULL);
    DUET_AUTO_FD fd = duet_transaction_open_blob(transaction, hex, error);
    guint64 bytes = 0;
    DuetDiskTable table;
    if (fd < 0 || !duet_disk_check_header(fd, DUET_DISK_QCOW2, what, &bytes, error) ||
        !duet_qemu_img_check(fd, DUET_DISK_QCOW2, bytes, what, error) ||
        !read_table(transaction, fd, what, &table, error) ||
        !check_length(&table, bytes, what, error))
        return FALSE;
    describe(image, &table, bytes);
    image->disk = duet_disk_path(transaction->store->dir, hex);
    g_ptr_array_add(transaction->disks, g_strdup(hex));
    return TRUE;
}

gboolean duet_transaction_contents(
    DuetTransaction *transaction, const DuetManifest *manifest, DuetImage *image, GError **error)
{
    return manifest->disk ? use_disk(transaction, manifest->disk->hex, image, error)
                          : duet_transaction_layers(transaction, manifest, image, error);
}
