/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "vmm/initramfs.h"
#include "vmm/kernel.h"
#include "vmm/kvm-probe.h"

#include <duet/driver.h>

#include <libvirt/libvirt.h>

G_BEGIN_DECLS

/**
 * DuetVm: a runtime of the kind `vm`, in its worker.
 * @kvm_usable: whether this host has a KVM that works
 * @kvm: which accelerator was chosen
 * @emulator: path of QEMU
 * @in_namespace: whether the worker has its own mounts
 * @notice: what the user should know; grows while starting
 * @domain_xml: what libvirt was given
 * @pidfd: QEMU; a copy of the one that the monitor gets
 * @hold: see hold.h, or -1
 * @console_watch_fd, @console_source: what keeps the console's log small
 */
typedef struct {
    DuetRuntime base;
    const DuetSpec *spec;
    const DuetPlace *place;
    gboolean kvm_usable;
    gboolean kvm;
    gboolean in_namespace;
    char *emulator;
    char *console_log;
    char *agent_socket;
    char *domain_xml;
    DuetGuestKernel *kernel;
    DuetInitramfs *initramfs;
    GString *notice;
    virConnectPtr connection;
    virDomainPtr domain;
    pid_t pid;
    int pidfd;
    int hold;
    int console_watch_fd;
    guint console_source;
} DuetVm;

/** duet_vm_cmdline: Returns: (transfer full): the command line of the guest's kernel. */
char *duet_vm_cmdline(const DuetVm *vm);

/** duet_vm_prepare: all that needs no libvirt: refuses bad wishes, makes kernel, disk, mounts. */
gboolean duet_vm_prepare(DuetVm *vm, GError **error);

/** duet_vm_start: #DuetRuntimeOps start. */
gboolean duet_vm_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error);

/** duet_vm_end: kills QEMU if it lives, and closes all that start opened. */
gboolean duet_vm_end(DuetVm *vm, GError **error);

/** duet_vm_facts: Returns: (transfer full): #DuetStarted facts. */
GVariant *duet_vm_facts(const DuetVm *vm);

/** duet_vm_console_make: an empty log, for the coming boot alone. */
gboolean duet_vm_console_make(const DuetVm *vm, GError **error);

/** duet_vm_console_watch: from now on the main loop keeps the log from filling the disk. */
void duet_vm_console_watch(DuetVm *vm);
void duet_vm_console_unwatch(DuetVm *vm);

/** duet_vm_console_trim: drops the old part of a long log; its offsets stay. */
void duet_vm_console_trim(const DuetVm *vm);

/** duet_vm_console_tail: #DuetRuntimeOps console_tail. */
char *duet_vm_console_tail(DuetRuntime *runtime);

/** duet_vm_check: #DuetDriverOps check. */
GPtrArray *duet_vm_check(void);

#define DUET_VM_KVM_DEVICE "/dev/kvm"
/** duet_vm_kvm: Returns: (transfer full): how far this host's KVM gets, asked once per boot. */
DuetKvm *duet_vm_kvm(void);

G_END_DECLS
