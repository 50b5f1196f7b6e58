/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel.h"
#include "vmm/cache.h"
#include "vmlinux.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* A record of a prepared kernel; a change of the rules below makes old ones unreadable. */
#define RECORD_GROUP "kernel-1"

void duet_guest_kernel_free(DuetGuestKernel *kernel)
{
    if (!kernel)
        return;
    g_free(kernel->version);
    g_free(kernel->source);
    g_free(kernel->boot_path);
    g_free(kernel->sha256);
    g_free(kernel->modules_dir);
    g_free(kernel);
}

char *duet_guest_kernel_modules_dir(const char *image_path, const char *version)
{
    g_autofree char *dir = g_path_get_dirname(image_path);
    g_autofree char *parent = g_path_get_dirname(dir);
    g_autofree char *cache = duet_vm_cache_path("kernel", version, NULL);
    const char *const roots[] = { dir, parent, cache, "/", "/usr" };
    for (guint i = 0; i < G_N_ELEMENTS(roots); i++) {
        g_autofree char *path = g_build_filename(roots[i], "lib/modules", version, NULL);
        g_autofree char *tree = g_build_filename(path, "kernel", NULL);
        if (access(tree, R_OK | X_OK) == 0)
            return g_steal_pointer(&path);
    }
    return NULL;
}

static char *locate_host(void)
{
    struct utsname uts;
    if (uname(&uts) < 0)
        return NULL;
    g_autofree char *path = g_strconcat("/boot/vmlinuz-", uts.release, NULL);
    g_autofree char *modules = duet_guest_kernel_modules_dir(path, uts.release);
    return access(path, R_OK) == 0 && modules ? g_steal_pointer(&path) : NULL;
}

static char *locate_cached(void)
{
    g_autofree char *folder = duet_vm_cache_path("kernel", NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    g_autofree char *newest = NULL;
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(folder, name, "vmlinuz", NULL);
        if (name[0] == '.' || access(path, R_OK) != 0 || (newest && strverscmp(name, newest) < 0))
            continue;
        g_free(newest);
        newest = g_strdup(name);
    }
    return newest ? g_build_filename(folder, newest, "vmlinuz", NULL) : NULL;
}

char *duet_guest_kernel_locate(const char *wanted, GError **error)
{
    if (wanted) {
        if (access(wanted, R_OK) == 0)
            return g_strdup(wanted);
        duet_error_set_errno(error, errno, "cannot read the guest kernel '%s'", wanted);
        return NULL;
    }
    char *path = locate_host();
    if (!path)
        path = locate_cached();
    if (!path)
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "no guest kernel: neither the host's in '/boot' with its modules nor one in duet's "
            "cache; run `duet check --prepare`, or name one with --kernel");
    return path;
}

static DuetGuestKernel *record_read(const char *path)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return NULL;
    g_autoptr(DuetGuestKernel) kernel = g_new0(DuetGuestKernel, 1);
    kernel->version = g_key_file_get_string(file, RECORD_GROUP, "version", NULL);
    kernel->sha256 = g_key_file_get_string(file, RECORD_GROUP, "sha256", NULL);
    kernel->boot_path = g_key_file_get_string(file, RECORD_GROUP, "boot", NULL);
    if (!kernel->version || !kernel->sha256 || !kernel->boot_path ||
        access(kernel->boot_path, R_OK) != 0)
        return NULL;
    return g_steal_pointer(&kernel);
}

static gboolean record_write(const char *path, const DuetGuestKernel *kernel, GError **error)
{
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_key_file_set_string(file, RECORD_GROUP, "version", kernel->version);
    g_key_file_set_string(file, RECORD_GROUP, "sha256", kernel->sha256);
    g_key_file_set_string(file, RECORD_GROUP, "boot", kernel->boot_path);
    gsize length;
    g_autofree char *text = g_key_file_to_data(file, &length, NULL);
    return duet_file_replace(AT_FDCWD, path, text, length, error);
}

/* Writes what QEMU will boot, unless an earlier start did. */
static gboolean boot_file_make(DuetGuestKernel *kernel, GBytes *image, GError **error)
{
    g_autofree char *dir = duet_vm_cache_path("boot", NULL);
    g_autoptr(GBytes) unpacked = duet_kernel_image_unpack(image);
    gboolean pvh = unpacked && duet_kernel_image_is_pvh(unpacked);
    kernel->boot_path = g_strdup_printf("%s/%s.%s", dir, kernel->sha256, pvh ? "vmlinux" : "image");
    if (access(kernel->boot_path, R_OK) == 0)
        return TRUE;
    gsize length;
    const void *bytes = g_bytes_get_data(pvh ? unpacked : image, &length);
    DUET_AUTO_FD lock_fd = -1;
    g_autofree char *fresh = duet_vm_cache_begin(kernel->boot_path, &lock_fd, error);
    if (!fresh)
        return FALSE;
    return duet_file_replace(AT_FDCWD, fresh, bytes, length, error)
        ? duet_vm_cache_commit(fresh, kernel->boot_path, error)
        : duet_vm_cache_abandon(fresh);
}

static DuetGuestKernel *kernel_prepare(const char *source, const char *record, GError **error)
{
    g_autoptr(GMappedFile) map = g_mapped_file_new(source, FALSE, error);
    if (!map) {
        g_prefix_error(error, "cannot read the guest kernel: ");
        return NULL;
    }
    g_autoptr(GBytes) image = g_mapped_file_get_bytes(map);
    g_autoptr(DuetGuestKernel) kernel = g_new0(DuetGuestKernel, 1);
    kernel->version = duet_kernel_image_version(image);
    if (!kernel->version || strchr(kernel->version, '/')) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is no Linux kernel for x86: neither a bzImage nor a vmlinux", source);
        return NULL;
    }
    kernel->sha256 = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, image);
    if (!boot_file_make(kernel, image, error) || !record_write(record, kernel, error)) {
        g_prefix_error(error, "cannot prepare the guest kernel '%s': ", source);
        return NULL;
    }
    return g_steal_pointer(&kernel);
}

static DuetGuestKernel *kernel_open(const char *source, GError **error)
{
    struct stat st;
    if (stat(source, &st) < 0 || !S_ISREG(st.st_mode)) {
        duet_error_set_errno(error, S_ISREG(st.st_mode) ? errno : EINVAL,
            "cannot use '%s' as a guest kernel", source);
        return NULL;
    }
    g_autofree char *records = duet_vm_cache_path("kernel-record", NULL);
    g_autofree char *identity = duet_vm_file_identity(source, &st);
    g_autofree char *record = g_build_filename(records, identity, NULL);
    DuetGuestKernel *kernel = record_read(record);
    if (!kernel) {
        if (!duet_mkdir_p(records, 0755, error))
            return NULL;
        kernel = kernel_prepare(source, record, error);
    }
    if (!kernel)
        return NULL;
    kernel->source = g_strdup(source);
    kernel->modules_dir = duet_guest_kernel_modules_dir(source, kernel->version);
    return kernel;
}

DuetGuestKernel *duet_guest_kernel_get(const char *wanted, GString *notice, GError **error)
{
    g_autoptr(GError) missing = NULL;
    g_autofree char *source = duet_guest_kernel_locate(wanted, &missing);
    if (!source && wanted) {
        g_propagate_error(error, g_steal_pointer(&missing));
        return NULL;
    }
    if (!source) {
        gint64 start_us = g_get_monotonic_time();
        source = duet_guest_kernel_fetch(error);
        if (!source)
            return NULL;
        g_autofree char *took = duet_format_ns((g_get_monotonic_time() - start_us) * 1000);
        g_string_append_printf(notice, "%sfetched a guest kernel into '%s' in %s, this once",
            notice->len ? "; " : "", source, took);
    }
    return kernel_open(source, error);
}

char *duet_guest_kernel_ensure(const char *kernel_path, GError **error)
{
    g_autoptr(GString) notice = g_string_new(NULL);
    g_autoptr(DuetGuestKernel) kernel = duet_guest_kernel_get(kernel_path, notice, error);
    if (!kernel)
        return NULL;
    return g_strdup_printf("guest kernel %s ('%s', modules in '%s')%s%s", kernel->version,
        kernel->source, kernel->modules_dir ? kernel->modules_dir : "none", notice->len ? ": " : "",
        notice->str);
}
