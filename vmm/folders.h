/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/vm.h"

G_BEGIN_DECLS

/*
 * Folders of the host in a VM, by virtiofsd, one for each. What runs there reads what a guest sent,
 * so it has no power over the host: it is root of a user namespace alone. Of root's instances that
 * has the host's ids; an ordinary user's is the one that all of their duet runs in, in which the
 * ids are those that a container of theirs has. A libvirt daemon starts its own, as root.
 */

/** duet_vm_virtiofsd_find: Returns: (nullable): where distributions put the daemon. */
const char *duet_vm_virtiofsd_find(void);

/** duet_vm_folders_check: refuses what no VM can share. */
gboolean duet_vm_folders_check(const DuetSpec *spec, GError **error);

/**
 * duet_vm_folders_serve: duet_vm_folder_serve() for all of an ordinary user's folders, into
 * vm->folders. Before duet_rootless_leave(), which takes the power to do so. Does nothing for root.
 */
gboolean duet_vm_folders_serve(DuetVm *vm, GError **error);

/**
 * duet_vm_folder_serve: starts a virtiofsd, which ends with the QEMU that connects to it, or with
 * this process.
 * @folder: the spec's @index-th; gets its socket
 */
gboolean duet_vm_folder_serve(DuetVm *vm, DuetVmFolder *folder, guint index, GError **error);

/**
 * duet_vm_server_watch: from now on the main loop ends the VM when what serves @source, @pid,
 * ends before it: whoever reads there would wait for ever.
 */
void duet_vm_server_watch(DuetVm *vm, pid_t pid, gboolean is_child, const char *source);

/** duet_vm_folders_end: after QEMU: waits for those that were started; no error if there are none.
 */
void duet_vm_folders_end(DuetVm *vm);

/** duet_vm_folders_make: Returns: (transfer full) (element-type DuetVmFolder): for the domain. */
GPtrArray *duet_vm_folders_make(DuetVm *vm, GError **error);

G_END_DECLS
