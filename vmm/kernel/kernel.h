/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetGuestKernel: the kernel that a VM boots.
 * @version: its release, as `uname -r` prints it in the guest
 * @source: the file it was found as
 * @boot_path: what QEMU gets: in duet's cache, the unpacked vmlinux if it has a PVH entry, else a
 *     copy of @source
 * @sha256: of @source
 * @modules_dir: (nullable): its /lib/modules/<version>; NULL: it must have everything built in
 */
typedef struct {
    char *version;
    char *source;
    char *boot_path;
    char *sha256;
    char *modules_dir;
} DuetGuestKernel;

void duet_guest_kernel_free(DuetGuestKernel *kernel);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetGuestKernel, duet_guest_kernel_free)

/**
 * duet_guest_kernel_locate: applies the rule and changes nothing:
 * 1. @wanted (`--kernel`), 2. /boot/vmlinuz-$(uname -r) with its modules, 3. the newest in the
 * cache.
 *
 * Returns: (transfer full): the path of the image, or NULL with %DUET_ERROR_NOT_FOUND.
 */
char *duet_guest_kernel_locate(const char *wanted, GError **error);

/**
 * duet_guest_kernel_modules_dir: where the modules of a kernel are: beside it, on the host, or in
 * the cache. Returns: (transfer full): NULL when there are none.
 */
char *duet_guest_kernel_modules_dir(const char *image_path, const char *version);

/**
 * duet_guest_kernel_get:
 * @wanted: (nullable): spec->kernel_path
 * @notice: gets a line when the kernel had to be fetched
 *
 * Locates the kernel, fetches Debian's cloud kernel where there is none, and prepares it once.
 */
DuetGuestKernel *duet_guest_kernel_get(const char *wanted, GString *notice, GError **error);

/** duet_guest_kernel_fetch: brings Debian's cloud kernel into the cache. Returns: its image. */
char *duet_guest_kernel_fetch(GError **error);

/** duet_guest_kernel_ensure: see #DuetGuestKernelEnsure; exported by the module. */
char *duet_guest_kernel_ensure(const char *kernel_path, GError **error);

G_END_DECLS
