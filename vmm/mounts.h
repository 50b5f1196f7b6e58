/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/domain-xml.h"
#include "core/machine.h"

#include <duet/driver.h>

G_BEGIN_DECLS

/*
 * The worker's own mount namespace. QEMU's uid can't pass the directories that lie above some
 * users' files (a 0700 home, a temporary --root), and virtiofsd knows no read-only mode: bind
 * mounts in a namespace that QEMU and virtiofsd inherit solve both, and vanish with them.
 */

/**
 * duet_vm_mounts_enter: leaves the host's mount namespace; what the host mounts still arrives.
 * @with_kvm: whether /dev has the KVM device
 *
 * /dev then holds only what QEMU needs, in place of the /dev that libvirt would make at each start.
 * A KVM that is not usable must not be seen: libvirt would probe it in vain, for seconds, and
 * each time again, for its probe may open any device and its check of the cached answer may not.
 */
gboolean duet_vm_mounts_enter(const DuetPlace *place, gboolean with_kvm, GError **error);

/**
 * duet_vm_mounts_file: shows the file @source to QEMU.
 * Returns: (transfer full): its path below the run directory (an ordinary user's: @source), or NULL
 *     with @error.
 */
char *duet_vm_mounts_file(
    const DuetPlace *place, const char *name, const char *source, GError **error);

/**
 * duet_vm_mounts_folder: what virtiofsd exports for spec->mounts[@index]: the directory itself, or
 * for a single file a read-only directory that holds it as "file". @mount->readonly is kept by
 * the host's kernel, not by the guest's.
 * Returns: (transfer full): NULL with @error, %DUET_ERROR_UNSUPPORTED for what is neither.
 */
DuetVmFolder *duet_vm_mounts_folder(
    const DuetPlace *place, const DuetMount *mount, guint index, GError **error);

/**
 * duet_vm_mounts_disk: shows @disk, the VM's @index-th, to QEMU, whose user becomes its owner
 * there: by an idmapped mount, so nothing changes in the file. Where its file system has none, the
 * file's own permissions count. Read-only is kept by the host's kernel too.
 * @fd: of duet_data_disk_open(): this file, whatever the path names by now
 * Returns: (transfer full): its path below the run directory, or NULL with @error:
 *     %DUET_ERROR_PERMISSION if QEMU could not open it
 */
char *duet_vm_mounts_disk(
    const DuetPlace *place, guint index, const DuetDataDisk *disk, int fd, GError **error);

/** duet_vm_mounts_disk_remove: the reverse, for one that QEMU does not have open any more. */
void duet_vm_mounts_disk_remove(const DuetPlace *place, guint index);

/** duet_vm_mounts_remove: unmounts all of it and removes the mount points; no error if none. */
gboolean duet_vm_mounts_remove(const DuetPlace *place, GError **error);

G_END_DECLS
