/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm-fixtures.h"

#include <archive.h>
#include <archive_entry.h>
#include <elf.h>
#include <string.h>

GBytes *fixture_compress(GBytes *bytes, int filter)
{
    gsize length, used = 0;
    const void *data = g_bytes_get_data(bytes, &length);
    gsize room = length + 65536;
    g_autofree char *out = g_malloc(room);
    struct archive *writer = archive_write_new();
    g_assert_cmpint(archive_write_add_filter(writer, filter), ==, ARCHIVE_OK);
    archive_write_set_format_raw(writer);
    archive_write_set_bytes_in_last_block(writer, 1);
    g_assert_cmpint(archive_write_open_memory(writer, out, room, &used), ==, ARCHIVE_OK);
    struct archive_entry *entry = archive_entry_new();
    archive_entry_set_pathname(entry, "data");
    archive_entry_set_filetype(entry, AE_IFREG);
    g_assert_cmpint(archive_write_header(writer, entry), ==, ARCHIVE_OK);
    g_assert_cmpint(archive_write_data(writer, data, length), ==, (la_ssize_t)length);
    archive_entry_free(entry);
    g_assert_cmpint(archive_write_close(writer), ==, ARCHIVE_OK);
    archive_write_free(writer);
    return g_bytes_new(out, used);
}

GBytes *fixture_vmlinux(gboolean pvh)
{
    const struct {
        guint32 sizes[3];
        char name[4];
        guint32 value;
    } notes[] = {
        { { 4, 4, 6 }, "Xen", 0 },
        { { 4, 4, pvh ? 18 : 17 }, "Xen", 0x1000000 },
    };
    Elf64_Ehdr header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                              ELFDATA2LSB },
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_phoff = sizeof header,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 1 };
    Elf64_Phdr segment = {
        .p_type = PT_NOTE, .p_offset = sizeof header + sizeof segment, .p_filesz = sizeof notes
    };
    static const char banner[] = "Linux version %s\n Linux version 1.2.3-vmlinux (x@y)";
    GByteArray *file = g_byte_array_new();
    g_byte_array_append(file, (const guint8 *)&header, sizeof header);
    g_byte_array_append(file, (const guint8 *)&segment, sizeof segment);
    g_byte_array_append(file, (const guint8 *)notes, sizeof notes);
    g_byte_array_append(file, (const guint8 *)banner, sizeof banner);
    return g_byte_array_free_to_bytes(file);
}

static void put_u32(GByteArray *at, gsize offset, guint32 value)
{
    value = GUINT32_TO_LE(value);
    memcpy(at->data + offset, &value, sizeof value);
}

GBytes *fixture_bzimage(const char *version, GBytes *payload, int filter)
{
    enum { SETUP_SECTORS = 2, SETUP_BYTES = (SETUP_SECTORS + 1) * 512, PAYLOAD_OFFSET = 100 };
    g_autoptr(GBytes) packed = fixture_compress(payload, filter);
    gsize length;
    const guint8 *data = g_bytes_get_data(packed, &length);
    GByteArray *image = g_byte_array_new();
    g_byte_array_set_size(image, SETUP_BYTES + PAYLOAD_OFFSET);
    memset(image->data, 0, image->len);
    image->data[0x1f1] = SETUP_SECTORS;
    memcpy(image->data + 0x202, "HdrS\x0f\x02", 6);
    put_u32(image, 0x20e, 0x300 - 0x200);
    g_strlcpy((char *)image->data + 0x300, version, 128);
    gboolean gzip = filter == ARCHIVE_FILTER_GZIP;
    put_u32(image, 0x248, PAYLOAD_OFFSET);
    put_u32(image, 0x24c, (guint32)length + (gzip ? 0 : 4));
    g_byte_array_append(image, data, (guint)length);
    guint32 size = GUINT32_TO_LE((guint32)g_bytes_get_size(payload));
    if (!gzip)
        g_byte_array_append(image, (const guint8 *)&size, sizeof size);
    return g_byte_array_free_to_bytes(image);
}

GBytes *fixture_module(const char *name, const char *depends)
{
    g_autoptr(GString) info = g_string_new(NULL);
    g_string_append_printf(info, "license=GPL%cdepends=%s%cname=%s%c", 0, depends, 0, name, 0);
    static const char names[] = "\0.modinfo\0.shstrtab";
    Elf64_Ehdr header = { .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
                              EV_CURRENT },
        .e_type = ET_REL,
        .e_machine = EM_X86_64,
        .e_version = EV_CURRENT,
        .e_ehsize = sizeof header,
        .e_shoff = sizeof header,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = 3,
        .e_shstrndx = 2 };
    gsize data = sizeof header + 3 * sizeof(Elf64_Shdr);
    const Elf64_Shdr sections[3] = {
        { 0 },
        { .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_offset = data, .sh_size = info->len },
        { .sh_name = 10,
            .sh_type = SHT_STRTAB,
            .sh_offset = data + info->len,
            .sh_size = sizeof names },
    };
    GByteArray *file = g_byte_array_new();
    g_byte_array_append(file, (const guint8 *)&header, sizeof header);
    g_byte_array_append(file, (const guint8 *)sections, sizeof sections);
    g_byte_array_append(file, (const guint8 *)info->str, (guint)info->len);
    g_byte_array_append(file, (const guint8 *)names, sizeof names);
    return g_byte_array_free_to_bytes(file);
}

void fixture_write(const char *dir, const char *name, GBytes *bytes)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    gsize length;
    const char *data = g_bytes_get_data(bytes, &length);
    g_assert_true(g_file_set_contents(path, data, (gssize)length, NULL));
}
