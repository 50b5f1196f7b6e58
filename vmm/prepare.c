/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/vm.h"
#include "vmm/cache.h"
#include "vmm/disk-guest/disk-guest.h"
#include "vmm/disk.h"
#include "vmm/kvm-probe.h"
#include "vmm/machine.h"
#include "vmm/root.h"
#include "core/agent.h"
#include "core/memory.h"
#include "core/rootless.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

/* More than there is would fail in QEMU's words, or not before the guest has touched it. */
static gboolean memory_check(guint64 bytes, GError **error)
{
    gboolean too_little = bytes < DUET_VM_MEMORY_MIN_BYTES;
    guint64 ram = duet_host_ram();
    if (!too_little && bytes <= ram)
        return TRUE;
    g_autofree char *wanted = duet_format_bytes(bytes);
    g_autofree char *limit = duet_format_bytes(too_little ? DUET_VM_MEMORY_MIN_BYTES : ram);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        too_little ? "%s of memory is too little for a VM: its kernel needs at least %s"
                   : "%s of memory is too much for a VM: this host has %s; give less with -m",
        wanted, limit);
    return FALSE;
}

static gboolean limits_check(const DuetSpec *spec, GError **error)
{
    if (!memory_check(duet_vm_memory_bytes(spec), error) || !duet_vm_devices_check(spec, error))
        return FALSE;
    if (spec->cpus > DUET_VM_VCPUS_MAX) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "%g CPUs are too many for a VM: at most %d", spec->cpus, DUET_VM_VCPUS_MAX);
        return FALSE;
    }
    if (!spec->root_disk && !spec->disk_image) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "the image '%s' has no root disk for VMs yet", spec->image_ref);
        return FALSE;
    }
    return TRUE;
}

/* The worker's /dev covers the host's. */
static gboolean place_check(const DuetVm *vm, GError **error)
{
    g_autofree char *cache = duet_vm_cache_path("", NULL);
    const char *base = vm->spec->disk_image ? vm->spec->disk_image : vm->spec->root_disk;
    const char *const needed[] = { vm->place->instance_dir, base, cache };
    for (guint i = 0; i < G_N_ELEMENTS(needed); i++) {
        if (!g_str_has_prefix(needed[i], "/dev/"))
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot run a VM from '%s': QEMU has a /dev of its own; give another --root, such as "
            "one on a tmpfs elsewhere",
            needed[i]);
        return FALSE;
    }
    for (char **disk = vm->spec->disks; disk && *disk; disk++) {
        if (!g_str_has_prefix(*disk, "/dev/"))
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot use the disk '%s': QEMU has a /dev of its own; use a file elsewhere", *disk);
        return FALSE;
    }
    return TRUE;
}

static gboolean accel_choose(DuetVm *vm, GError **error)
{
    g_autoptr(DuetKvm) kvm = duet_vm_kvm();
    vm->kvm_usable = kvm->stage == DUET_KVM_USABLE;
    vm->kvm = vm->kvm_usable && vm->spec->accel != DUET_ACCEL_TCG;
    if (vm->kvm || vm->spec->accel == DUET_ACCEL_TCG)
        return TRUE;
    if (vm->spec->accel == DUET_ACCEL_KVM) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "KVM was demanded and is not usable: %s; `duet check` tells more, --accel tcg runs "
            "without it",
            kvm->reason);
        return FALSE;
    }
    g_string_append_printf(vm->notice,
        "no usable KVM (%s): running under TCG, software emulation, many times slower",
        kvm->reason);
    return TRUE;
}

char *duet_vm_cmdline(const DuetVm *vm)
{
    (void)vm;
    /*
     * panic=-1 with QEMU's no-reboot makes a guest that panics exit at once, with the panic on the
     * console. cryptomgr.notests: the kernel's self-tests of its ciphers are a tenth of a boot
     * under TCG. no_timer_check: the kernel expects a few ticks of a timer in a stretch of the
     * CPU's time, and panics without them: QEMU's threads under a quota, or on a busy host, do not
     * keep that pace. Under KVM the kernel leaves the check out by itself. pcie_ports=compat:
     * the ports for disks that come and go are served by ACPI; their own services would cost each
     * boot 30 ms a port under TCG. There is no root= or init=: the agent is /init and mounts the
     * disks.
     */
    return g_strdup("console=ttyS0 quiet loglevel=4 panic=-1 no_timer_check cryptomgr.notests "
                    "pcie_ports=compat");
}

gboolean duet_vm_disk_make(const DuetVm *vm, guint32 uid, GError **error)
{
    if (vm->spec->disk_image)
        return duet_disk_guest_make(vm, uid, error);
    g_autofree char *disk = g_build_filename(vm->place->instance_dir, "rw.img", NULL);
    return duet_disk_ensure(disk, vm->spec->disk_bytes, uid, error);
}

/* A disk guest has its own. */
static gboolean kernel_make(DuetVm *vm, GError **error)
{
    vm->kernel = duet_guest_kernel_get(vm->spec->kernel_path, vm->notice, error);
    if (!vm->kernel)
        return FALSE;
    vm->initramfs =
        duet_initramfs_get(vm->kernel, duet_agent_start, (gsize)(duet_agent_end - duet_agent_start),
            (vm->spec->mounts->len > 0 ? DUET_INITRAMFS_FOLDERS : 0) |
                (vm->spec->rng ? DUET_INITRAMFS_RNG : 0) |
                (duet_vm_machine_is_microvm(duet_vm_machine(vm->spec)) ? DUET_INITRAMFS_MMIO : 0),
            error);
    return vm->initramfs != NULL;
}

gboolean duet_vm_prepare(DuetVm *vm, GError **error)
{
    gboolean as_root = !vm->spec->connect && !duet_is_rootless();
    if (!limits_check(vm->spec, error) ||
        (as_root && (!duet_vm_user_find(error) || !place_check(vm, error))))
        return FALSE;
    vm->emulator = duet_vm_qemu_find(vm->spec->qemu_path, error);
    if (!vm->emulator || !accel_choose(vm, error) || !duet_vm_accel_check(vm->spec, vm->kvm, error))
        return FALSE;
    gboolean ok = vm->spec->disk_image ? duet_disk_guest_check(vm->spec, error)
                                       : kernel_make(vm, error) && duet_vm_console_make(vm, error);
    return ok && duet_vm_disk_make(vm, vm->place->id_base, error);
}
