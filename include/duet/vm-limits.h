/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/spec.h>

G_BEGIN_DECLS

/*
 * What a VM's limits mean, for those who do not load the driver: the monitor, which sets the
 * cgroup's limits and writes the agent's CONFIG, and the command line, which explains them.
 */

/** RAM of a VM whose spec names none. */
#define DUET_VM_MEMORY_DEFAULT_BYTES (G_GUINT64_CONSTANT(256) << 20)

/** The same of a disk guest: what common systems boot with at ease, and incus gives. */
#define DUET_VM_DISK_MEMORY_DEFAULT_BYTES (G_GUINT64_CONSTANT(1) << 30)

/** How long a disk guest's user-data, network-config and keys may be, each: parts of the spec. */
#define DUET_VM_USER_DATA_MAX_BYTES (64u << 10)

/** The file in a disk guest's instance directory that is there while its guest agent answers. */
#define DUET_GUEST_AGENT_MARK "guest-agent"

/**
 * Less than this is refused: Debian's cloud kernel with the agent, an overlay root and a payload
 * of a few hundred kB comes up with 80 MiB and not with 64 (its memory map and its own code take
 * about 55).
 */
#define DUET_VM_MEMORY_MIN_BYTES (G_GUINT64_CONSTANT(80) << 20)

/** Upper bound of QEMU's code cache under TCG; counted in the allowance. */
#define DUET_VM_TB_CACHE_BYTES (G_GUINT64_CONSTANT(64) << 20)

/** The same where vCPUs can come while it runs: a cache that is full has no room for them. */
#define DUET_VM_TB_CACHE_GROWING_BYTES (G_GUINT64_CONSTANT(256) << 20)

/** What each vCPU's stacks and emulation state may take beside the RAM. */
#define DUET_VM_VCPU_BYTES (G_GUINT64_CONSTANT(16) << 20)

/** The most vCPUs that the q35 machine takes without an IOMMU. */
#define DUET_VM_VCPUS_MAX 255

/** The most shared folders: each takes a slot of the root PCI bus. */
#define DUET_VM_MOUNTS_MAX 24

/** The most further disks. They, the shared folders and a virtio-rng share the root PCI bus. */
#define DUET_VM_DISKS_MAX 24
#define DUET_VM_DEVICES_MAX 27
/** and of a microvm, which has eight places for all: console, two disks and balloon are there */
#define DUET_VM_MICROVM_DEVICES_MAX 4

/** How long the text of an XML patch may be: it is a part of the spec, which every command reads.
 */
#define DUET_VM_XML_PATCH_MAX_BYTES (64u << 10)

/** How the virtiofs tag of spec->mounts[index] is made. */
#define DUET_VM_MOUNT_TAG_FORMAT "duet-vol-%u"

/** duet_vm_memory_bytes: Returns: the RAM that the guest of @spec gets: whole MiB, as libvirt has
 * it. */
static inline guint64 duet_vm_memory_bytes(const DuetSpec *spec)
{
    guint64 mib = G_GUINT64_CONSTANT(1) << 20;
    guint64 usual =
        spec->disk_image ? DUET_VM_DISK_MEMORY_DEFAULT_BYTES : DUET_VM_MEMORY_DEFAULT_BYTES;
    guint64 wanted = spec->memory_bytes ? spec->memory_bytes : usual;
    return wanted > G_MAXUINT64 - mib ? wanted : (wanted + mib - 1) / mib * mib;
}

/** How many further disks a q35 that runs has room for: each wants a port of its own. */
#define DUET_VM_SPARE_PORTS 2

/** duet_vm_vcpus: Returns: the vCPUs of @spec: as asked, or its cpus, rounded up, at least one. */
static inline guint duet_vm_vcpus(const DuetSpec *spec)
{
    if (spec->topology.vcpus > 0)
        return (guint)spec->topology.vcpus;
    guint whole = spec->cpus > 0 ? (guint)spec->cpus : 0;
    return MAX(whole + (spec->cpus > whole), 1);
}

/** duet_vm_vcpus_max: Returns: how many it can have while it runs. */
static inline guint duet_vm_vcpus_max(const DuetSpec *spec)
{
    return MAX(duet_vm_vcpus(spec), (guint)MAX(spec->topology.max, 0));
}

/** duet_vm_tb_cache_bytes: Returns: QEMU's code cache under TCG, at most; the same when all have
 * come. */
static inline guint64 duet_vm_tb_cache_bytes(const DuetSpec *spec)
{
    return spec->topology.max > 0 ? DUET_VM_TB_CACHE_GROWING_BYTES : DUET_VM_TB_CACHE_BYTES;
}

/**
 * duet_vm_memory_allowance_bytes: what QEMU and its helpers may use beyond the guest's RAM, so the
 * limit of the payload's cgroup is duet_vm_memory_bytes() plus this. An upper bound, not a cost:
 * 128 MiB for QEMU itself, its page tables and the files that it maps (kernel, initramfs), the
 * code cache of TCG, 1/64 of the RAM for page tables, %DUET_VM_VCPU_BYTES for each vCPU, 64 MiB for
 * each shared folder's virtiofsd.
 */
static inline guint64 duet_vm_memory_allowance_bytes(const DuetSpec *spec)
{
    guint64 mib = G_GUINT64_CONSTANT(1) << 20;
    guint64 folders = spec->mounts ? spec->mounts->len : 0;
    return 128 * mib + duet_vm_tb_cache_bytes(spec) + duet_vm_memory_bytes(spec) / 64 +
        DUET_VM_VCPU_BYTES * duet_vm_vcpus(spec) + 64 * mib * folders;
}

/**
 * duet_vm_mount_tag: Returns: (transfer full): the virtiofs tag of spec->mounts[@index].
 */
static inline char *duet_vm_mount_tag(guint index)
{
    return g_strdup_printf(DUET_VM_MOUNT_TAG_FORMAT, index);
}

/**
 * duet_vm_mount_options: Returns: (transfer none): the options of the CONFIG field MOUNT for
 * @mount: a single file is shared as a folder that holds nothing but `file`.
 */
static inline const char *duet_vm_mount_options(const DuetMount *mount)
{
    gboolean folder = g_file_test(mount->source, G_FILE_TEST_IS_DIR);
    if (mount->readonly)
        return folder ? "ro" : "ro,file";
    return folder ? "rw" : "rw,file";
}

/**
 * DuetVmSpecCheck: the type of the function that the module "duet-vm" exports as
 * "duet_vm_spec_check": refuses a machine, a CPU model, disks and an XML patch that this host's
 * libvirt and QEMU have not, or that no VM of duet can have. Brings libvirt along: for a process
 * that does nothing else.
 */
typedef gboolean (*DuetVmSpecCheck)(const DuetSpec *spec, GError **error);

/**
 * DuetGuestKernelEnsure: the type of the function that the module "duet-vm" exports as
 * "duet_guest_kernel_ensure" beside the driver: finds the guest kernel as a start would, fetches
 * Debian's cloud kernel into duet's cache if there is none, and prepares it for booting. Takes as
 * long as a download; set-up calls it so that no start has to. Installs nothing.
 * @kernel_path: (nullable): what `--kernel` says
 *
 * Returns: (transfer full): a line for people about the kernel, or NULL with @error.
 */
typedef char *(*DuetGuestKernelEnsure)(const char *kernel_path, GError **error);

G_END_DECLS
