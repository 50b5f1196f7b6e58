/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bzImage unpacks itself in the guest, in code that a VM, above all one under TCG, runs slowly.
 * The vmlinux inside has a PVH entry that QEMU jumps to directly: unpack it once, on the host.
 */
#include "vmlinux.h"
#include "unpack.h"

#include <elf.h>
#include <string.h>

#define XEN_ELFNOTE_PHYS32_ENTRY 18
/* Far above any kernel, far below what would hurt. */
#define VMLINUX_MAX_BYTES (512u << 20)

/* Offsets of the x86 boot protocol's header (Documentation/arch/x86/boot.rst). */
enum {
    SETUP_SECTS = 0x1f1,
    MAGIC = 0x202,
    PROTOCOL = 0x206,
    KERNEL_VERSION = 0x20e,
    PAYLOAD_OFFSET = 0x248,
    PAYLOAD_LENGTH = 0x24c,
    HEADER_END = 0x250,
};

static guint32 get_u32(const guint8 *at)
{
    guint32 value;
    memcpy(&value, at, sizeof value);
    return GUINT32_FROM_LE(value);
}

static guint get_u16(const guint8 *at)
{
    return at[0] | (guint)at[1] << 8;
}

/* Returns: the bytes of a bzImage, or NULL when it is none. */
static const guint8 *bzimage_bytes(GBytes *image, gsize *out_length)
{
    const guint8 *bytes = g_bytes_get_data(image, out_length);
    if (*out_length < HEADER_END || memcmp(bytes + MAGIC, "HdrS", 4) != 0)
        return NULL;
    return bytes;
}

static char *first_word(const guint8 *at, gsize length)
{
    gsize end = 0;
    while (end < length && at[end] > ' ' && at[end] < 0x7f)
        end++;
    return end ? g_strndup((const char *)at, end) : NULL;
}

/* The format string "Linux version %s" may come before the banner itself. */
static char *banner_version(const guint8 *bytes, gsize length)
{
    static const char banner[] = "Linux version ";
    const gsize banner_length = sizeof banner - 1;
    const guint8 *found;
    while ((found = memmem(bytes, length, banner, banner_length))) {
        length -= (gsize)(found - bytes) + banner_length;
        bytes = found + banner_length;
        if (length > 0 && *bytes != '%')
            return first_word(bytes, MIN(length, 128));
    }
    return NULL;
}

char *duet_kernel_image_version(GBytes *image)
{
    gsize length;
    const guint8 *bytes = bzimage_bytes(image, &length);
    if (bytes) {
        gsize at = get_u16(bytes + KERNEL_VERSION) + (gsize)0x200;
        return at < length ? first_word(bytes + at, MIN(length - at, 128)) : NULL;
    }
    bytes = g_bytes_get_data(image, &length);
    return banner_version(bytes, length);
}

/* Notes: u32 name size, u32 descriptor size, u32 type; name and descriptor padded to 4. */
static gboolean notes_have_pvh(const guint8 *notes, gsize length)
{
    gsize at = 0;
    while (at + 12 <= length) {
        gsize name = get_u32(notes + at);
        gsize descriptor = get_u32(notes + at + 4);
        if (name > length || descriptor > length)
            return FALSE;
        if (get_u32(notes + at + 8) == XEN_ELFNOTE_PHYS32_ENTRY && name == 4 && at + 16 <= length &&
            memcmp(notes + at + 12, "Xen", 4) == 0)
            return TRUE;
        at += 12 + ((name + 3) & ~(gsize)3) + ((descriptor + 3) & ~(gsize)3);
    }
    return FALSE;
}

gboolean duet_kernel_image_is_pvh(GBytes *image)
{
    gsize length;
    const guint8 *bytes = g_bytes_get_data(image, &length);
    Elf64_Ehdr header;
    if (length < sizeof header)
        return FALSE;
    memcpy(&header, bytes, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_phentsize != sizeof(Elf64_Phdr))
        return FALSE;
    for (guint i = 0; i < header.e_phnum; i++) {
        Elf64_Phdr segment;
        gsize at = header.e_phoff + i * sizeof segment;
        if (header.e_phoff > length || at + sizeof segment > length)
            return FALSE;
        memcpy(&segment, bytes + at, sizeof segment);
        if (segment.p_type == PT_NOTE && segment.p_offset <= length &&
            segment.p_filesz <= length - segment.p_offset &&
            notes_have_pvh(bytes + segment.p_offset, segment.p_filesz))
            return TRUE;
    }
    return FALSE;
}

GBytes *duet_kernel_image_unpack(GBytes *image)
{
    gsize length;
    const guint8 *bytes = bzimage_bytes(image, &length);
    if (!bytes || get_u16(bytes + PROTOCOL) < 0x208)
        return NULL;
    gsize setup_sectors = bytes[SETUP_SECTS] ? bytes[SETUP_SECTS] : 4;
    gsize offset = (setup_sectors + 1) * 512 + get_u32(bytes + PAYLOAD_OFFSET);
    gsize payload = get_u32(bytes + PAYLOAD_LENGTH);
    if (payload < 16 || offset > length || payload > length - offset)
        return NULL;
    /* The build appends the unpacked size to the stream; gzip's own last word is the same. */
    gsize unpacked = get_u32(bytes + offset + payload - 4);
    gboolean gzip = bytes[offset] == 0x1f && bytes[offset + 1] == 0x8b;
    if (unpacked == 0 || unpacked > VMLINUX_MAX_BYTES)
        return NULL;
    g_autoptr(GBytes) stream = g_bytes_new_from_bytes(image, offset, gzip ? payload : payload - 4);
    return duet_unpack_bytes(stream, unpacked, unpacked, NULL);
}
