/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "kernel.h"

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
 * DuetInitramfsContents: what not every guest needs
 * @DUET_INITRAMFS_FOLDERS: shared folders (virtiofs)
 * @DUET_INITRAMFS_RNG: a virtio-rng
 * @DUET_INITRAMFS_MMIO: devices in memory, in place of those on PCI
 */
typedef enum {
    DUET_INITRAMFS_FOLDERS = 1,
    DUET_INITRAMFS_RNG = 2,
    DUET_INITRAMFS_MMIO = 4,
} DuetInitramfsContents;

/**
 * duet_initramfs_get:
 * @agent, @agent_bytes: the program that becomes /init
 * @wanted_too: what not every guest needs
 *
 * Makes it once for each kernel, agent and set of modules. Holds /init, /modules/<name>.ko and
 * /modules/order, which lists the modules in load order; an empty line divides those that the
 * agent's port needs from those that may be loaded after its first frame.
 */
DuetInitramfs *duet_initramfs_get(const DuetGuestKernel *kernel, const void *agent,
    gsize agent_bytes, DuetInitramfsContents wanted_too, GError **error);

G_END_DECLS
