/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/driver.h>

#include <libvirt/libvirt.h>

G_BEGIN_DECLS

/*
 * The root of an embedded libvirt: one per instance, in its run directory, with a configuration of
 * its own and a cache of capabilities that all share.
 */

/**
 * duet_vm_root_open: makes the root and opens qemu:///embed in it. Changes the process's
 * environment and registers libvirt's events with GLib: for a worker only.
 * @emulator: whose capabilities must be in the cache afterwards
 * @kvm_usable: whether libvirt can see a KVM: its capabilities differ
 *
 * Returns: (transfer full): the connection, or NULL with @error.
 */
virConnectPtr duet_vm_root_open(
    const DuetPlace *place, const char *emulator, gboolean kvm_usable, GError **error);

/** duet_vm_root_remove: removes what libvirt left in the run directory. */
gboolean duet_vm_root_remove(const DuetPlace *place, GError **error);

/**
 * duet_vm_qemu_version: what `QEMU --version` says, asked once per binary.
 * Returns: (transfer full): "7.2.22", or NULL with @error.
 */
char *duet_vm_qemu_version(const char *emulator, GError **error);

/** duet_vm_qemu_find: Returns: (transfer full): @wanted if it can be executed, or the host's QEMU.
 */
char *duet_vm_qemu_find(const char *wanted, GError **error);

/** duet_vm_user_find: Returns: (transfer none): the user without whom root's libvirt refuses to
 * start, or NULL with @error. */
const char *duet_vm_user_find(GError **error);

/** duet_vm_version_text: Returns: (transfer full): "9.0.0", of a version in libvirt's form. */
char *duet_vm_version_text(unsigned long version);

/** duet_vm_libvirt_version: Returns: (transfer full): "9.0.0". */
char *duet_vm_libvirt_version(void);

G_END_DECLS
