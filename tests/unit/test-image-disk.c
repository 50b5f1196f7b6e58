/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Disk images: what is one, what is refused, and what the store keeps of it. */
#include "image-fixture.h"

#include <duet/error.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util.h"
#include "images/disk.h"

#define SECTOR 512
#define DISK_BYTES (4 << 20)

static char *path_of(ImageFixture *fixture, const char *name)
{
    return g_build_filename(fixture->dir, name, NULL);
}

/* run FIXTURE "qemu-img convert ...": in the fixture's directory. */
static void run(ImageFixture *fixture, const char *command)
{
    const char *argv[] = { "sh", "-ec", NULL, NULL };
    g_autofree char *line = g_strdup_printf("cd '%s' && %s", fixture->dir, command);
    argv[2] = line;
    g_autoptr(GError) error = NULL;
    g_autofree char *output = duet_capture(argv, &error);
    g_assert_no_error(error);
    g_assert_nonnull(output);
}

static void set_le32(guint8 *at, guint32 value)
{
    value = GUINT32_TO_LE(value);
    memcpy(at, &value, sizeof value);
}

/* A raw disk with code in its boot sector, one partition up to its end, and data. */
static void make_raw(ImageFixture *fixture, const char *name)
{
    g_autofree guint8 *bytes = g_malloc0(DISK_BYTES);
    g_autofree char *path = path_of(fixture, name);
    bytes[0] = 0xeb;
    bytes[446 + 4] = 0x83;
    set_le32(bytes + 446 + 8, 64);
    set_le32(bytes + 446 + 12, DISK_BYTES / SECTOR - 64);
    bytes[510] = 0x55;
    bytes[511] = 0xaa;
    for (gsize i = 1 << 20; i < DISK_BYTES; i++)
        bytes[i] = (guint8)(i >> 9);
    g_assert_true(g_file_set_contents(path, (const char *)bytes, DISK_BYTES, NULL));
}

static DuetImage *import_disk(ImageFixture *fixture, const char *name, GError **error)
{
    g_autofree char *path = path_of(fixture, name);
    g_autoptr(GPtrArray) images = duet_images.import(fixture->store, path, "disk", error);
    return images ? duet_image_lookup(fixture->store, "disk", error) : NULL;
}

static void test_formats(ImageFixture *fixture)
{
    make_raw(fixture, "a.raw");
    run(fixture, "for f in qcow2 vmdk vdi; do qemu-img convert -f raw -O $f a.raw a.$f; done");
    run(fixture, "qemu-img convert -f raw -O vmdk -o subformat=streamOptimized a.raw b.vmdk");
    static const char *const names[] = { "a.raw", "a.qcow2", "a.vmdk", "b.vmdk", "a.vdi" };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_test_message("%s", names[i]);
        g_autoptr(GError) error = NULL;
        g_autoptr(DuetImage) image = import_disk(fixture, names[i], &error);
        g_assert_no_error(error);
        g_assert_cmpuint(g_strv_length(image->layer_dirs), ==, 0);
        g_assert_cmpuint(image->disk_virtual_bytes, ==, DISK_BYTES);
        g_assert_cmpstr(image->disk_firmware, ==, "bios");
        g_assert_null(image->warnings[0]);
        g_autofree char *back = path_of(fixture, "back.raw");
        g_assert_true(
            duet_images.export(fixture->store, "disk", NULL, DUET_ARCHIVE_RAW, back, &error));
        run(fixture, "cmp a.raw back.raw; rm back.raw");
    }
}

/* The disk is a second name of the blob, for a QEMU that is another user. */
static void test_link(ImageFixture *fixture)
{
    make_raw(fixture, "a.raw");
    g_autoptr(GError) error = NULL;
    mode_t before = umask(077);
    g_autoptr(DuetImage) image = import_disk(fixture, "a.raw", &error);
    umask(before);
    g_assert_no_error(error);
    struct stat st;
    g_assert_cmpint(stat(image->disk, &st), ==, 0);
    g_assert_cmpuint(st.st_nlink, ==, 2);
    g_assert_cmpuint(st.st_mode & 0777, ==, 0644);
    g_assert_cmpint(unlink(image->disk), ==, 0);
    g_assert_null(duet_image_lookup(fixture->store, "disk", &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STALE);
    g_clear_error(&error);
    g_assert_true(duet_images.refresh(fixture->store, &error));
    g_autoptr(DuetImage) again = duet_image_lookup(fixture->store, "disk", &error);
    g_assert_no_error(error);
    g_assert_cmpint(stat(again->disk, &st), ==, 0);
    g_assert_cmpuint(st.st_nlink, ==, 2);
}

static char **used(gpointer data, GError **error)
{
    (void)error;
    return g_strsplit(data, "\n", -1);
}

static void test_remove(ImageFixture *fixture)
{
    make_raw(fixture, "a.raw");
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = import_disk(fixture, "a.raw", &error);
    g_assert_no_error(error);
    g_assert_false(duet_images.remove(fixture->store, "disk", used, image->disk, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
    g_clear_error(&error);
    g_assert_cmpint(access(image->disk, F_OK), ==, 0);
    g_assert_true(duet_images.remove(fixture->store, "disk", used, (char *)"/else", &error));
    run(fixture, "test -z \"$(find store/blobs store/vmroot store/tmp -type f 2>/dev/null)\"");
}

static void assert_refused(ImageFixture *fixture, const char *name, const char *text)
{
    g_test_message("%s", name);
    g_autoptr(GError) error = NULL;
    g_assert_null(import_disk(fixture, name, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    if (!strstr(error->message, text))
        g_error("'%s' is not in: %s", text, error->message);
    run(fixture, "test -z \"$(find store -type f ! -name lock)\"");
}

static void test_refused(ImageFixture *fixture)
{
    static const struct {
        const char *name;
        const char *make;
        const char *text;
    } rows[] = {
        { "backing.qcow2", "qemu-img create -q -f qcow2 -F raw -b /etc/shadow backing.qcow2 8M",
            "backing file" },
        { "data.qcow2",
            "qemu-img create -q -f qcow2 -o data_file=data.bin,data_file_raw=on data.qcow2 8M",
            "another file" },
        /* By hand: qemu-img measures the CPU for its key, and fails on a busy host. */
        { "luks.qcow2",
            "qemu-img create -q -f qcow2 luks.qcow2 8M; printf '\\2' | "
            "dd of=luks.qcow2 bs=1 seek=35 conv=notrunc status=none",
            "encrypted" },
        { "flat.vmdk", "qemu-img create -q -f vmdk -o subformat=monolithicFlat flat.vmdk 8M",
            "other files" },
        { "split-s001.vmdk",
            "qemu-img create -q -f vmdk -o subformat=twoGbMaxExtentSparse split.vmdk 8M",
            "several files" },
        { "child.vmdk",
            "qemu-img convert -f raw -O vmdk a.raw a.vmdk; qemu-img create -q -f vmdk -F vmdk -b "
            "a.vmdk child.vmdk",
            "builds on another" },
        { "cut.qcow2", "qemu-img convert -O qcow2 -f raw a.raw b; head -c 2M b >cut.qcow2",
            "cut short" },
        { "cut.vmdk", "qemu-img convert -O vmdk -f raw a.raw b; head -c 2M b >cut.vmdk", "EOF" },
        { "cut.vdi", "qemu-img convert -O vdi -f raw a.raw b; head -c 2M b >cut.vdi", "cut short" },
        { "cut.raw", "head -c 2M a.raw >cut.raw", "cut short" },
        { "odd.raw", "head -c 2000001 a.raw >odd.raw", "cut short" },
        { "tiny.qcow2", "printf 'QFI\\373' >tiny.qcow2", "is not known" },
        { "huge.qcow2",
            "qemu-img create -q -f qcow2 huge.qcow2 8M; printf '\\177' | dd of=huge.qcow2 bs=1 "
            "seek=24 conv=notrunc status=none",
            "larger than 16 TiB" },
        { "table.qcow2",
            "qemu-img create -q -f qcow2 table.qcow2 8M; printf '\\377\\377\\377\\377' | dd "
            "of=table.qcow2 bs=1 seek=36 conv=notrunc status=none",
            "too large" },
        { "text.img", "echo some text >text.img", "is no disk" },
        { "zero.raw", "head -c 1M /dev/zero >zero.raw", "is no disk" },
        { "packed.img.gz", "gzip -c a.raw >packed.img.gz", "unpack it first" },
    };
    make_raw(fixture, "a.raw");
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        run(fixture, rows[i].make);
        assert_refused(fixture, rows[i].name, rows[i].text);
    }
}

static void assert_told(
    ImageFixture *fixture, const char *name, const char *format, int code, const char *text)
{
    g_autofree char *path = path_of(fixture, name);
    g_autoptr(GError) error = NULL;
    g_assert_null(duet_images.import_disk(fixture->store, path, "disk", format, &error));
    g_assert_error(error, DUET_ERROR, code);
    if (!strstr(error->message, text))
        g_error("'%s' is not in: %s", text, error->message);
}

static void test_told(ImageFixture *fixture)
{
    make_raw(fixture, "a.raw");
    run(fixture, "qemu-img convert -f raw -O qcow2 a.raw a.qcow2; tar cf a.tar a.raw; mkfifo pipe");
    assert_told(fixture, "a.qcow2", "raw", DUET_ERROR_INVALID, "in the format qcow2");
    assert_told(fixture, "a.raw", "qcow2", DUET_ERROR_INVALID, "in the format raw");
    assert_told(fixture, "a.tar", "qcow2", DUET_ERROR_INVALID, "no disk");
    assert_told(fixture, "a.tar", "raw", DUET_ERROR_BROKEN, "no boot signature");
    assert_told(fixture, "a.raw", "qed", DUET_ERROR_INVALID, "no format of disks");
    assert_told(fixture, "pipe", "raw", DUET_ERROR_INVALID, "no regular file");
    assert_told(fixture, "none", "raw", DUET_ERROR_NOT_FOUND, "cannot open");
}

/* Whoever can write could put a backing file into a header that was looked at. */
static void test_writer(ImageFixture *fixture)
{
    make_raw(fixture, "a.raw");
    g_autofree char *path = path_of(fixture, "a.raw");
    g_autoptr(GError) error = NULL;
    DUET_AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
    g_assert_cmpint(fd, >=, 0);
    g_assert_null(import_disk(fixture, "a.raw", &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
}

/* What is in a tar stays a tar, whatever its name and its bytes. */
static void test_tar(ImageFixture *fixture)
{
    make_raw(fixture, "a.raw");
    run(fixture,
        "tar cf a.img a.raw; printf '\\125\\252' | dd of=a.img bs=1 seek=510 conv=notrunc;"
        "printf '\\177\\020\\332\\276' | dd of=a.img bs=1 seek=64 conv=notrunc");
    g_autofree char *path = path_of(fixture, "a.img");
    DUET_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(duet_disk_sniff(fd, path), ==, DUET_DISK_NONE);
}

static const char *firmware(const guint8 *head, gsize length)
{
    DuetDiskTable table;
    duet_disk_table(head, length, &table);
    return table.firmware;
}

static void test_firmware(ImageFixture *fixture)
{
    static const guint8 esp[] = { 0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00,
        0xa0, 0xc9, 0x3e, 0xc9, 0x3b };
    guint8 head[64 * SECTOR] = { 0 };
    (void)fixture;
    head[510] = 0x55;
    head[511] = 0xaa;
    head[446 + 4] = 0xee;
    memcpy(head + SECTOR, "EFI PART", 8);
    set_le32(head + SECTOR + 32, 4095);
    set_le32(head + SECTOR + 72, 2);
    set_le32(head + SECTOR + 80, 128);
    set_le32(head + SECTOR + 84, 128);
    g_assert_null(firmware(head, sizeof head));
    memcpy(head + 2 * SECTOR + 128, esp, sizeof esp);
    g_assert_cmpstr(firmware(head, sizeof head), ==, "uefi");
    memcpy(head + 2 * SECTOR, "Hah!IdontNeedEFI", 16);
    g_assert_null(firmware(head, sizeof head));
    memset(head + 2 * SECTOR + 128, 0, sizeof esp);
    g_assert_cmpstr(firmware(head, sizeof head), ==, "bios");
    DuetDiskTable table;
    duet_disk_table(head, sizeof head, &table);
    g_assert_cmpuint(table.end_bytes, ==, 4096 * SECTOR);
    /* Numbers of a stranger. */
    for (gsize at = SECTOR + 24; at < SECTOR + 92; at += 4) {
        guint8 hostile[sizeof head];
        memcpy(hostile, head, sizeof head);
        set_le32(hostile + at, G_MAXUINT32);
        duet_disk_table(hostile, sizeof hostile, &table);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    image_test("/image-disk/formats", test_formats);
    image_test("/image-disk/link", test_link);
    image_test("/image-disk/remove", test_remove);
    image_test("/image-disk/refused", test_refused);
    image_test("/image-disk/told", test_told);
    image_test("/image-disk/writer", test_writer);
    image_test("/image-disk/tar", test_tar);
    image_test("/image-disk/firmware", test_firmware);
    return image_fixture_main();
}
