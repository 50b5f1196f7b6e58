/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/kvm-probe.h"

#include <sys/types.h>

/** duet_kvm_answer: how far the guest came, and the errno value that stopped it or 0. */
struct duet_kvm_answer {
    DuetKvmStage stage;
    int err;
};

/**
 * duet_kvm_guest_run: makes a VM of five pages and one vCPU and runs a short loop in it.
 * Changes the process (timer, signal handler, ids), so it is for a child that exits afterwards;
 * async-signal-safe.
 * @group: the group that QEMU will have, or -1
 */
void duet_kvm_guest_run(const char *device, gid_t group, struct duet_kvm_answer *out_answer);
