/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/machine.h"

#include <duet/spec.h>

G_BEGIN_DECLS

/**
 * DuetVmFolder: a shared folder.
 * @tag: virtiofs tag
 * @path: what virtiofsd exports
 * @socket: (nullable): where a virtiofsd of ours listens for QEMU; NULL: libvirt starts one
 */
typedef struct {
    char *tag;
    char *path;
    char *socket;
} DuetVmFolder;

DuetVmFolder *duet_vm_folder_new(const char *tag, const char *path);
void duet_vm_folder_free(DuetVmFolder *folder);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetVmFolder, duet_vm_folder_free)

/**
 * DuetVmPlan: what a start decided, beyond what the spec says. All strings are borrowed.
 * @kvm: KVM, else TCG
 * @emulator: path of QEMU
 * @kernel, @initramfs, @root_disk, @rw_disk: as QEMU's uid can open them
 * @cmdline: of the guest's kernel
 * @agent_socket: where QEMU listens for the one who speaks with the agent; NULL: libvirt chooses
 * @console_log: what the serial console is appended to
 * @virtiofsd: (nullable): path of the daemon; NULL: libvirt looks for it
 * @folders: (element-type DuetVmFolder): may be empty
 * @disks: (nullable) (element-type DuetDataDisk): further disks, as QEMU's uid can open them
 * @disk: (nullable): a disk guest's overlay, in place of @kernel, @initramfs, @cmdline, @root_disk
 * and
 *     @rw_disk
 * @disk_base: what @disk is an overlay of: never written to
 * @seed: cloud-init's file system
 * @loader, @nvram: (nullable): UEFI's code, and the variables of this VM alone; NULL: BIOS
 * @vnc_socket, @vnc_password: (nullable): of duet_xml_add_graphics(); both NULL: no screen
 * @console_socket: where QEMU listens for the one who is at the serial console
 * @for_daemon: for a libvirt daemon, which other people see: the domain says whose it is
 * @domain_id: (nullable): the instance by which libvirt's name and uuid go; NULL: the spec's
 * @label: (nullable): daemon: "+uid:+gid" for QEMU, where the daemon is root's; it then has cgroups
 */
typedef struct {
    gboolean kvm;
    const char *emulator;
    const char *kernel;
    const char *initramfs;
    const char *cmdline;
    const char *root_disk;
    const char *rw_disk;
    const char *agent_socket;
    const char *console_log;
    const char *virtiofsd;
    GPtrArray *folders;
    GPtrArray *disks;
    const char *disk;
    const char *disk_base;
    const char *seed;
    const char *loader;
    const char *nvram;
    const char *console_socket;
    const char *vnc_socket;
    const char *vnc_password;
    gboolean for_daemon;
    const char *label;
    const char *domain_id;
} DuetVmPlan;

/** The machine type, and the CPU model of each accelerator, where the spec says none. */
#define DUET_VM_MACHINE "q35"
#define DUET_VM_CPU_KVM "host-passthrough"
#define DUET_VM_CPU_TCG "maximum"

/** Of which a quota of CPU time is a part. */
#define DUET_VM_QUOTA_PERIOD_US 100000

/** The XML namespace of the element in a daemon's domain that says whose it is. */
#define DUET_VM_XML_NAMESPACE "urn:duet:instance"

/** duet_vm_domain_name: Returns: (transfer full): what a daemon calls the VM: "duet-<name>". */
char *duet_vm_domain_name(const DuetSpec *spec);

/** duet_vm_uuid: Returns: (transfer full): the UUID that belongs to an instance's id. */
char *duet_vm_uuid(const char *id);

/**
 * duet_vm_domain_xml: a pure function.
 * Returns: (transfer full): libvirt's domain XML for @spec, run as @plan says.
 */
char *duet_vm_domain_xml(const DuetSpec *spec, const DuetVmPlan *plan);

/** duet_vm_disk_xml: Returns: (transfer full): a further disk alone, for a domain that runs. */
char *duet_vm_disk_xml(const DuetDataDisk *disk);

/** duet_vm_disk_alias: Returns: (transfer full): what the domain calls the disk with that index. */
char *duet_vm_disk_alias(int index);

G_END_DECLS
