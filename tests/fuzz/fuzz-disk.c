/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The first bytes of a disk: what format they are of, what duet itself reads of a header before
 * qemu-img may, and the partition table. A header that passes names no other file and has a sane
 * size.
 */
#include <duet/error.h>

#include <stdint.h>
#include <sys/mman.h>

#include "core/util.h"
#include "images/disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_as(int fd, DuetDiskFormat format, const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    guint64 bytes = 0;
    gboolean good = duet_disk_check_header(fd, format, "disk", &bytes, &error);
    g_assert_true(good == (error == NULL));
    if (!good)
        return;
    g_assert_cmpuint(bytes, >, 0);
    g_assert_cmpuint(bytes, <=, DUET_DISK_MAX_BYTES);
    /* The offset and length of a backing file's name, and the bit of an external data file. */
    for (size_t at = 8; format == DUET_DISK_QCOW2 && at < 20 && at < size; at++)
        g_assert_cmpuint(data[at], ==, 0);
    if (format == DUET_DISK_QCOW2 && size > 79 && data[7] == 3)
        g_assert_cmpuint(data[79] & 4, ==, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    DUET_AUTO_FD fd = memfd_create("disk", MFD_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_true(duet_write_all(fd, data, size));
    duet_disk_sniff(fd, "disk.img");
    for (DuetDiskFormat format = DUET_DISK_RAW; format < DUET_DISK_NONE; format++)
        check_as(fd, format, data, size);
    DuetDiskTable table;
    duet_disk_table(data, size, &table);
    g_assert_true(table.bootable || (!table.firmware && table.end_bytes == 0));
    return 0;
}
