/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

/*
 * Where AppArmor is on, libvirt confines each QEMU by a profile of its own, named after the
 * domain's uuid. It unloads the profile when the domain ends, but keeps its text in
 * /etc/apparmor.d/libvirt/ for the next start of a domain with that uuid: ours never come back.
 */

/**
 * duet_vm_apparmor_forget: unloads the profile of the instance @id, if it is still loaded, and
 * removes its files. QEMU must be gone. Without AppArmor there is nothing to do.
 */
void duet_vm_apparmor_forget(const char *id);

/** duet_vm_apparmor_sweep: does that for all whose worker was killed: none in @run_base is theirs.
 */
void duet_vm_apparmor_sweep(const char *run_base);
