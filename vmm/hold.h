/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

/**
 * duet_vm_hold_monitor: a copy of QEMU's end of its QMP connection.
 *
 * libvirt learns QEMU's end from that connection's, looks at once whether the process still exists,
 * finds a zombie that the monitor reaps 0.1 ms later, and looks again after 0.2 s: a tenth of a
 * whole run. While we hold a copy, libvirt sees the end when we close it: after the reaping.
 *
 * Returns: a descriptor, or -1 where the kernel has no pidfd_getfd or forbids it: ending a VM
 *     then takes those 0.2 s.
 */
int duet_vm_hold_monitor(pid_t qemu, int pidfd);
