/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/kernel.h"

G_BEGIN_DECLS

/**
 * DuetInitramfs: the guest's first root file system.
 * @path: a plain newc cpio in the cache: a compressed one would be unpacked by slow guest code
 * @sha256: of that file
 */
typedef struct {
    char *path;
    char *sha256;
} DuetInitramfs;

void duet_initramfs_free(DuetInitramfs *initramfs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetInitramfs, duet_initramfs_free)

/**
 * duet_initramfs_get:
 * @agent, @agent_bytes: the program that becomes /init
 * @with_folders: whether shared folders (virtiofs) will be mounted
 *
 * Makes it once for each kernel, agent and set of modules. Holds /init, /modules/<name>.ko and
 * /modules/order, which lists the modules in load order; an empty line divides those that the
 * agent's port needs from those that may be loaded after its first frame.
 */
DuetInitramfs *duet_initramfs_get(const DuetGuestKernel *kernel, const void *agent,
    gsize agent_bytes, gboolean with_folders, GError **error);

G_END_DECLS
