/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the partition table tells of how a disk boots and how long it is. */
#include "images/disk.h"
#include "images/disk-bytes.h"

#include <string.h>

#define SECTOR 512
#define MBR_GPT 0xee
#define MBR_ESP 0xef
#define GPT_LEGACY_BOOT 4

/* As they lie on disk. */
static const guint8 esp_type[] = { 0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00,
    0xa0, 0xc9, 0x3e, 0xc9, 0x3b };
static const guint8 bios_type[] = "Hah!IdontNeedEFI";

static guint64 sector_end(guint64 sector)
{
    return MIN(sector, G_MAXUINT64 / SECTOR - 1) * SECTOR;
}

static const char *firmware_of(gboolean bios, gboolean uefi)
{
    if (bios == uefi)
        return NULL;
    return bios ? "bios" : "uefi";
}

static void read_gpt(const guint8 *head, gsize length, DuetDiskTable *table)
{
    const guint8 *header = head + SECTOR;
    gboolean bios = FALSE, uefi = FALSE;
    guint64 at = duet_le64(header + 72) * SECTOR;
    guint32 n = duet_le32(header + 80), step = duet_le32(header + 84);
    /* The other copy of the table lies in the last sector. */
    table->end_bytes = sector_end(duet_le64(header + 32) + 1);
    if (step < 128 || step > SECTOR || duet_le64(header + 72) > length / SECTOR)
        return;
    for (; n > 0 && at + step <= length; n--, at += step) {
        uefi = uefi || memcmp(head + at, esp_type, sizeof esp_type) == 0;
        bios = bios || memcmp(head + at, bios_type, sizeof esp_type) == 0 ||
            duet_le32(head + at + 48) & GPT_LEGACY_BOOT;
    }
    table->firmware = firmware_of(bios, uefi);
}

static void read_mbr(const guint8 *head, DuetDiskTable *table)
{
    gboolean uefi = FALSE;
    for (const guint8 *entry = head + 446; entry < head + 510; entry += 16) {
        guint64 end = (guint64)duet_le32(entry + 8) + duet_le32(entry + 12);
        uefi = uefi || entry[4] == MBR_ESP;
        if (entry[4])
            table->end_bytes = MAX(table->end_bytes, sector_end(end));
    }
    /* Where code should be is a jump, or nothing. */
    table->firmware = firmware_of(head[0] != 0, uefi);
}

void duet_disk_table(const guint8 *head, gsize length, DuetDiskTable *out_table)
{
    *out_table = (DuetDiskTable){ 0 };
    if (length < 2 * SECTOR || head[510] != 0x55 || head[511] != 0xaa)
        return;
    out_table->bootable = TRUE;
    if (head[446 + 4] == MBR_GPT && memcmp(head + SECTOR, "EFI PART", 8) == 0)
        read_gpt(head, length, out_table);
    else if (!(head[446] & 0x7f))
        read_mbr(head, out_table);
}
