/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/spec.h>

G_BEGIN_DECLS

/** duet_vm_machine: Returns: (transfer none): the machine type of @spec. */
const char *duet_vm_machine(const DuetSpec *spec);

/** duet_vm_machine_is_q35: whether devices sit on the root bus where our XML puts them; else
 * libvirt places them. */
gboolean duet_vm_machine_is_q35(const char *machine);

/** duet_vm_machine_is_microvm: whether it has no PCI bus, and its devices are in memory. */
gboolean duet_vm_machine_is_microvm(const char *machine);

/**
 * duet_vm_machine_check: refuses a machine type that duet has no VM of, or that is not in @listed,
 * of which it tells those that could be.
 * @listed: what `QEMU -machine help` says
 */
gboolean duet_vm_machine_check(const char *machine, const char *listed, GError **error);

/** duet_vm_cpu_model: Returns: (transfer none): the CPU's mode in libvirt's words, or its model. */
const char *duet_vm_cpu_model(const DuetSpec *spec, gboolean kvm);

/** duet_vm_accel_check: refuses, without KVM, the host's CPU and the machine that needs it. */
gboolean duet_vm_accel_check(const DuetSpec *spec, gboolean kvm, GError **error);

/** duet_vm_devices_check: refuses more devices than the machine has room for, and what a microvm
 * has not at all. */
gboolean duet_vm_devices_check(const DuetSpec *spec, GError **error);

/** duet_vm_spec_check: see #DuetVmSpecCheck; exported by the module. */
gboolean duet_vm_spec_check(const DuetSpec *spec, GError **error);

G_END_DECLS
