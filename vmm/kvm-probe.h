/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetKvmStage: how far a probe came; each stage implies those before it.
 * @DUET_KVM_ABSENT: there is no such file
 * @DUET_KVM_FORBIDDEN: it exists and may not be opened
 * @DUET_KVM_NO_DEVICE: it opened and is not KVM
 * @DUET_KVM_NO_VM: KVM makes no VM with memory and a vCPU
 * @DUET_KVM_NO_VCPU: a vCPU exists, but the guest does not come to its end in time
 * @DUET_KVM_RUNS: a guest ran, but the user that QEMU gets may not open the device
 * @DUET_KVM_USABLE: all is well
 */
typedef enum {
    DUET_KVM_ABSENT,
    DUET_KVM_FORBIDDEN,
    DUET_KVM_NO_DEVICE,
    DUET_KVM_NO_VM,
    DUET_KVM_NO_VCPU,
    DUET_KVM_RUNS,
    DUET_KVM_USABLE,
} DuetKvmStage;

/**
 * DuetKvm: what is known of KVM.
 * @reason: for people: why it is not usable, or "usable"
 * @err: errno of what failed; 0: nothing did, or it was not a system call
 */
typedef struct {
    DuetKvmStage stage;
    char *reason;
    int err;
} DuetKvm;

void duet_kvm_free(DuetKvm *kvm);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetKvm, duet_kvm_free)

/**
 * duet_kvm_probe:
 * @device: "/dev/kvm", or another file in tests
 *
 * Runs a loop of a million rounds as a guest, in a child process. That the device opens and makes a
 * VM proves nothing: on some hosts the vCPU then spins for ever, or is interpreted.
 *
 * Returns: (transfer full): never NULL; takes up to half a second where vCPUs do not run.
 */
DuetKvm *duet_kvm_probe(const char *device);

/**
 * duet_kvm_probe_cached: the same, but asks the kernel once per boot and state of the device's
 * file.
 * @cache_dir: where the verdict is kept ("/run/duet"); a cache that can't be written is no error
 */
DuetKvm *duet_kvm_probe_cached(const char *device, const char *cache_dir);

G_END_DECLS
