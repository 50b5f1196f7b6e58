/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * Where AppArmor is on, libvirt confines each QEMU by a profile of its own, named after the
 * domain's uuid. It unloads the profile when the domain ends, but keeps its text in
 * /etc/apparmor.d/libvirt/ for the next start of a domain with that uuid: ours never come back.
 */

/**
 * duet_vm_apparmor_profile_for: what must be loaded so that libvirt confines a QEMU of the program
 * @program. libvirt has it that only a daemon with a loaded profile confines its VMs. Once that had
 * to be "libvirtd" whatever the process (9.0), by now it is one that is called as the executable
 * (11.3).
 * @loaded: the kernel's list of profiles
 * Returns: (transfer full) (nullable): the text of a profile that carries the name and confines
 *     nothing; NULL if there is one, or if this host's own daemon would not confine either.
 */
char *duet_vm_apparmor_profile_for(const char *loaded, const char *program);

/**
 * duet_vm_apparmor_confines: whether libvirt in this process would confine a VM's QEMU.
 * @loaded: (nullable): the kernel's list of profiles; NULL: there is none
 * @can_load: whether duet_vm_apparmor_enable() has what it takes
 * @out_detail: (transfer none): why, or why not
 * @out_advice: (transfer none) (nullable): what would help; NULL where nothing is amiss
 */
gboolean duet_vm_apparmor_confines(const char *loaded, const char *program, gboolean can_load,
    const char **out_detail, const char **out_advice);

/** duet_vm_apparmor_check: the same of this host and process. */
gboolean duet_vm_apparmor_check(const char **out_detail, const char **out_advice);

/**
 * duet_vm_apparmor_enable: loads that profile for this process, if it is wanted, by way of a file
 * in @dir. It stays in the kernel, for all VMs to come. Where that fails libvirt runs as before.
 */
void duet_vm_apparmor_enable(const char *dir);

/**
 * duet_vm_apparmor_forget: unloads the profile of the instance @id, if it is still loaded, and
 * removes its files. QEMU must be gone. Without AppArmor there is nothing to do.
 */
void duet_vm_apparmor_forget(const char *id);

/** duet_vm_apparmor_sweep: does that for all whose worker was killed: none in @run_base is theirs.
 */
void duet_vm_apparmor_sweep(const char *run_base);
