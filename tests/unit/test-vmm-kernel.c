/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm-fixtures.h"

#include "core/util.h"
#include "vmm/kernel/initramfs.h"
#include "vmm/kernel/modules.h"
#include "vmm/kernel/unpack.h"
#include "vmm/kernel/vmlinux.h"

#include <duet/error.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define VERSION "6.1.0-test-amd64"

typedef struct {
    char *dir;
    char *image;
    char *modules;
} Fixture;

static void write_text(const char *dir, const char *name, const char *text)
{
    g_autoptr(GBytes) bytes = g_bytes_new(text, strlen(text));
    fixture_write(dir, name, bytes);
}

static void write_module(const Fixture *fixture, const char *path, const char *depends, int filter)
{
    g_autofree char *base = g_path_get_basename(path);
    *strchr(base, '.') = '\0';
    g_autoptr(GBytes) module = fixture_module(base, depends);
    g_autoptr(GBytes) stored = filter ? fixture_compress(module, filter) : g_bytes_ref(module);
    fixture_write(fixture->modules, path, stored);
}

/* A kernel as an unpacked package leaves it: no depmod ran, one module is compressed, one built in.
 */
static void set_up(Fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture->dir = g_dir_make_tmp("duet-kernel-XXXXXX", NULL);
    fixture->image = g_build_filename(fixture->dir, "boot/vmlinuz", NULL);
    fixture->modules = g_build_filename(fixture->dir, "lib/modules", VERSION, NULL);
    g_autofree char *cache = g_build_filename(fixture->dir, "cache", NULL);
    g_setenv("DUET_CACHE_DIR", cache, TRUE);
    g_autoptr(GBytes) vmlinux = fixture_vmlinux(TRUE);
    g_autoptr(GBytes) image = fixture_bzimage(VERSION " (someone)", vmlinux, ARCHIVE_FILTER_XZ);
    fixture_write(fixture->dir, "boot/vmlinuz", image);
    write_text(fixture->modules, "modules.builtin", "kernel/fs/ext4/ext4.ko\n");
    write_module(fixture, "kernel/drivers/virtio/virtio.ko", "", 0);
    write_module(fixture, "kernel/drivers/virtio/virtio_ring.ko", "virtio", 0);
    write_module(fixture, "kernel/drivers/virtio/virtio_pci.ko", "virtio-ring,virtio", 0);
    write_module(fixture, "kernel/drivers/char/virtio_console.ko.xz", "virtio", ARCHIVE_FILTER_XZ);
    write_module(fixture, "kernel/drivers/block/virtio_blk.ko.gz", "virtio", ARCHIVE_FILTER_GZIP);
    write_module(fixture, "kernel/fs/squashfs/squashfs.ko", "ext4", 0);
    write_module(fixture, "kernel/fs/overlayfs/overlay.ko", "", 0);
    write_module(fixture, "kernel/fs/fuse/fuse.ko", "", 0);
    write_module(fixture, "kernel/fs/fuse/virtiofs.ko", "fuse,virtio", 0);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->dir, NULL));
    g_free(fixture->dir);
    g_free(fixture->image);
    g_free(fixture->modules);
}

static void test_unpack(Fixture *fixture, gconstpointer data)
{
    (void)fixture;
    (void)data;
    static const int filters[] = { ARCHIVE_FILTER_GZIP, ARCHIVE_FILTER_XZ, ARCHIVE_FILTER_BZIP2,
        ARCHIVE_FILTER_LZMA, ARCHIVE_FILTER_ZSTD, ARCHIVE_FILTER_LZ4 };
    for (guint i = 0; i < G_N_ELEMENTS(filters); i++) {
        g_autoptr(GBytes) vmlinux = fixture_vmlinux(TRUE);
        g_autoptr(GBytes) image = fixture_bzimage(VERSION, vmlinux, filters[i]);
        g_autoptr(GBytes) unpacked = duet_kernel_image_unpack(image);
        g_assert_nonnull(unpacked);
        g_assert_true(g_bytes_equal(unpacked, vmlinux));
        g_assert_true(duet_kernel_image_is_pvh(unpacked));
        g_assert_false(duet_kernel_image_is_pvh(image));
    }
    g_autoptr(GBytes) plain = fixture_vmlinux(FALSE);
    g_assert_false(duet_kernel_image_is_pvh(plain));
    g_assert_null(duet_kernel_image_unpack(plain));
}

static void test_version(Fixture *fixture, gconstpointer data)
{
    (void)fixture;
    (void)data;
    g_autoptr(GBytes) vmlinux = fixture_vmlinux(TRUE);
    g_autoptr(GBytes) image = fixture_bzimage(VERSION " (x) #1", vmlinux, ARCHIVE_FILTER_GZIP);
    g_autofree char *of_image = duet_kernel_image_version(image);
    g_autofree char *of_vmlinux = duet_kernel_image_version(vmlinux);
    g_assert_cmpstr(of_image, ==, VERSION);
    g_assert_cmpstr(of_vmlinux, ==, "1.2.3-vmlinux");
}

/* Images cut short at every length: no answer is fine, reading past the end is not (ASan). */
static void test_damaged(Fixture *fixture, gconstpointer data)
{
    (void)fixture;
    (void)data;
    g_autoptr(GBytes) vmlinux = fixture_vmlinux(TRUE);
    g_autoptr(GBytes) image = fixture_bzimage(VERSION, vmlinux, ARCHIVE_FILTER_GZIP);
    for (gsize length = 0; length < g_bytes_get_size(image); length++) {
        g_autofree void *copy = g_memdup2(g_bytes_get_data(image, NULL), MAX(length, 1));
        g_autoptr(GBytes) cut = g_bytes_new_static(copy, length);
        g_free(duet_kernel_image_version(cut));
        g_autoptr(GBytes) unpacked = duet_kernel_image_unpack(cut);
        g_assert_null(unpacked);
    }
    for (gsize length = 0; length < g_bytes_get_size(vmlinux); length++) {
        g_autofree void *copy = g_memdup2(g_bytes_get_data(vmlinux, NULL), MAX(length, 1));
        g_autoptr(GBytes) cut = g_bytes_new_static(copy, length);
        duet_kernel_image_is_pvh(cut);
        g_free(duet_kernel_image_version(cut));
    }
}

static char *names_of(const GPtrArray *modules)
{
    g_autoptr(GString) names = g_string_new(NULL);
    for (guint i = 0; i < modules->len; i++) {
        const DuetModule *module = modules->pdata[i];
        g_string_append_printf(names, "%s%s", i ? " " : "", module->name);
        g_assert_cmpmem(g_bytes_get_data(module->bytes, NULL), 4, "\177ELF", 4);
    }
    return g_string_free(g_steal_pointer(&names), FALSE);
}

static void test_modules(Fixture *fixture, gconstpointer data)
{
    (void)data;
    static const char *const wanted[] = { "virtio_pci", "virtio-console", "ext4", "?missing",
        "squashfs", NULL };
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) modules = duet_modules_resolve(fixture->modules, wanted, &error);
    g_assert_no_error(error);
    g_autofree char *names = names_of(modules);
    g_assert_cmpstr(names, ==, "virtio virtio_ring virtio_pci virtio_console squashfs");
    static const char *const absent[] = { "virtio_pci", "nowhere", NULL };
    g_assert_null(duet_modules_resolve(fixture->modules, absent, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
    g_assert_nonnull(strstr(error->message, "'nowhere'"));
    g_autoptr(GPtrArray) builtin = duet_modules_resolve(NULL, absent, NULL);
    g_assert_cmpuint(builtin->len, ==, 0);
}

static void test_modules_damaged(Fixture *fixture, gconstpointer data)
{
    (void)data;
    static const char *const wanted[] = { "overlay", NULL };
    g_autoptr(GError) error = NULL;
    write_text(fixture->modules, "kernel/fs/overlayfs/overlay.ko", "not an ELF file at all");
    g_assert_null(duet_modules_resolve(fixture->modules, wanted, &error));
    g_assert_nonnull(error);
    g_assert_nonnull(strstr(error->message, "overlay.ko"));
}

/* Modules that need each other would never load; resolving them must end all the same. */
static void test_modules_circle(Fixture *fixture, gconstpointer data)
{
    (void)data;
    static const char *const wanted[] = { "overlay", NULL };
    write_module(fixture, "kernel/fs/overlayfs/overlay.ko", "fuse", 0);
    write_module(fixture, "kernel/fs/fuse/fuse.ko", "overlay", 0);
    g_autoptr(GPtrArray) modules = duet_modules_resolve(fixture->modules, wanted, NULL);
    g_assert_nonnull(modules);
    g_assert_cmpuint(modules->len, ==, 2);
}

static DuetGuestKernel *kernel_get(const Fixture *fixture, GError **error)
{
    g_autoptr(GString) notice = g_string_new(NULL);
    DuetGuestKernel *kernel = duet_guest_kernel_get(fixture->image, notice, error);
    g_assert_cmpuint(notice->len, ==, 0);
    return kernel;
}

static void test_kernel(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetGuestKernel) kernel = kernel_get(fixture, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(kernel->version, ==, VERSION);
    g_assert_cmpstr(kernel->modules_dir, ==, fixture->modules);
    g_assert_true(g_str_has_suffix(kernel->boot_path, ".vmlinux"));
    g_autofree char *file = NULL;
    gsize length;
    g_assert_true(g_file_get_contents(fixture->image, &file, &length, NULL));
    g_autofree char *sum = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (guchar *)file, length);
    g_assert_cmpstr(kernel->sha256, ==, sum);
    /* A second start trusts the record; one after a change of the file does not. */
    g_autoptr(DuetGuestKernel) again = kernel_get(fixture, NULL);
    g_assert_cmpstr(again->boot_path, ==, kernel->boot_path);
    g_autoptr(GBytes) other = fixture_vmlinux(FALSE);
    g_autoptr(GBytes) image = fixture_bzimage(VERSION, other, ARCHIVE_FILTER_GZIP);
    fixture_write(fixture->dir, "boot/vmlinuz", image);
    g_autoptr(DuetGuestKernel) changed = kernel_get(fixture, NULL);
    g_assert_cmpstr(changed->sha256, !=, kernel->sha256);
    g_assert_true(g_str_has_suffix(changed->boot_path, ".image"));
}

static void test_kernel_refused(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    write_text(fixture->dir, "boot/vmlinuz", "#!/bin/sh\n");
    g_assert_null(kernel_get(fixture, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    g_clear_error(&error);
    g_assert_cmpint(unlink(fixture->image), ==, 0);
    g_assert_null(kernel_get(fixture, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
    g_clear_error(&error);
    g_assert_cmpint(mkdir(fixture->image, 0755), ==, 0);
    g_assert_null(kernel_get(fixture, &error));
    g_assert_nonnull(error);
}

/* Returns: "path mode" per line, and the text of modules/order after "--". */
static char *cpio_list(const char *path)
{
    g_autoptr(GString) list = g_string_new(NULL);
    g_autofree char *order = NULL;
    struct archive *reader = archive_read_new();
    archive_read_support_format_cpio(reader);
    g_assert_cmpint(archive_read_open_filename(reader, path, 4096), ==, ARCHIVE_OK);
    struct archive_entry *entry;
    while (archive_read_next_header(reader, &entry) == ARCHIVE_OK) {
        const char *name = archive_entry_pathname(entry);
        g_string_append_printf(list, "%s %o\n", name, (guint)archive_entry_mode(entry));
        if (strcmp(name, "modules/order") == 0) {
            gsize size = (gsize)archive_entry_size(entry);
            order = g_malloc0(size + 1);
            g_assert_cmpint(archive_read_data(reader, order, size), ==, (la_ssize_t)size);
        }
    }
    archive_read_free(reader);
    g_string_append_printf(list, "--\n%s", order);
    return g_string_free(g_steal_pointer(&list), FALSE);
}

static void test_initramfs(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetGuestKernel) kernel = kernel_get(fixture, NULL);
    g_autoptr(DuetInitramfs) one = duet_initramfs_get(kernel, "agent", 5, 0, &error);
    g_assert_no_error(error);
    g_autofree char *list = cpio_list(one->path);
    g_assert_cmpstr(list, ==,
        "dev 40755\nproc 40755\nsys 40755\nmodules 40755\ndev/console 20600\ninit 100755\n"
        "modules/virtio.ko 100644\nmodules/virtio_ring.ko 100644\nmodules/virtio_pci.ko 100644\n"
        "modules/virtio_console.ko 100644\nmodules/virtio_blk.ko 100644\n"
        "modules/squashfs.ko 100644\nmodules/overlay.ko 100644\nmodules/order 100644\n"
        "--\n/modules/virtio.ko\n/modules/virtio_ring.ko\n/modules/virtio_pci.ko\n"
        "/modules/virtio_console.ko\n\n/modules/virtio_blk.ko\n/modules/squashfs.ko\n"
        "/modules/overlay.ko\n");
    g_autoptr(DuetInitramfs) same = duet_initramfs_get(kernel, "agent", 5, 0, NULL);
    g_assert_cmpstr(same->path, ==, one->path);
    g_assert_cmpstr(same->sha256, ==, one->sha256);
    g_autoptr(DuetInitramfs) agent = duet_initramfs_get(kernel, "Agent", 5, 0, NULL);
    g_assert_cmpstr(agent->path, !=, one->path);
    g_autoptr(DuetInitramfs) folders =
        duet_initramfs_get(kernel, "agent", 5, DUET_INITRAMFS_FOLDERS, NULL);
    g_autofree char *with = cpio_list(folders->path);
    g_assert_nonnull(strstr(with, "/modules/fuse.ko\n/modules/virtiofs.ko\n"));
}

/* The same inputs give the same bytes, whenever they are made. */
static void test_initramfs_stable(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(DuetGuestKernel) kernel = kernel_get(fixture, NULL);
    g_autoptr(DuetInitramfs) first =
        duet_initramfs_get(kernel, "agent", 5, DUET_INITRAMFS_FOLDERS, NULL);
    g_assert_cmpint(unlink(first->path), ==, 0);
    g_usleep(1100 * 1000);
    g_autoptr(DuetInitramfs) second =
        duet_initramfs_get(kernel, "agent", 5, DUET_INITRAMFS_FOLDERS, NULL);
    g_assert_cmpstr(first->sha256, ==, second->sha256);
}

static void test_bomb(Fixture *fixture, gconstpointer data)
{
    (void)fixture;
    (void)data;
    g_autoptr(GError) error = NULL;
    g_autoptr(GBytes) zeros = g_bytes_new_take(g_malloc0(1 << 20), 1 << 20);
    g_autoptr(GBytes) packed = fixture_compress(zeros, ARCHIVE_FILTER_GZIP);
    g_assert_null(duet_unpack_bytes(packed, 0, 1000, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*run)(Fixture *fixture, gconstpointer data);
    } cases[] = {
        { "/vmm-kernel/unpack", test_unpack },
        { "/vmm-kernel/version", test_version },
        { "/vmm-kernel/damaged", test_damaged },
        { "/vmm-kernel/modules", test_modules },
        { "/vmm-kernel/modules-damaged", test_modules_damaged },
        { "/vmm-kernel/modules-circle", test_modules_circle },
        { "/vmm-kernel/kernel", test_kernel },
        { "/vmm-kernel/kernel-refused", test_kernel_refused },
        { "/vmm-kernel/initramfs", test_initramfs },
        { "/vmm-kernel/initramfs-stable", test_initramfs_stable },
        { "/vmm-kernel/bomb", test_bomb },
    };
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add(cases[i].path, Fixture, NULL, set_up, cases[i].run, tear_down);
    return g_test_run();
}
