/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetModule: one kernel module of the initramfs.
 * @name: with underscores, as lsmod prints it
 * @bytes: the ELF file, decompressed
 */
typedef struct {
    char *name;
    GBytes *bytes;
} DuetModule;

/**
 * duet_modules_resolve:
 * @dir: (nullable): /lib/modules/<version>; need not hold depmod's indexes; NULL: all is built in
 * @wanted: names; one that starts with '?' may be missing
 *
 * Reads each module's own list of what it needs (libkmod), so an unpacked package on which
 * nobody ran depmod will do. Leaves out what modules.builtin lists.
 *
 * Returns: (transfer full) (element-type DuetModule): in load order, each once; NULL with
 *     %DUET_ERROR_UNSUPPORTED when the kernel has a wanted one neither built in nor as a module.
 */
GPtrArray *duet_modules_resolve(const char *dir, const char *const *wanted, GError **error);

G_END_DECLS
