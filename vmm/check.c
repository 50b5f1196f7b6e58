/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/apparmor.h"
#include "vmm/vm.h"
#include "vmm/kvm-probe.h"
#include "vmm/kernel/modules.h"
#include "vmm/folders.h"
#include "vmm/root.h"
#include "vmm/kernel/vmlinux.h"
#include "core/rootless.h"
#include "core/util.h"

#include <fcntl.h>
#include <string.h>

static void add(GPtrArray *checks, const char *name, DuetCheckStatus status, const char *detail,
    const char *advice)
{
    g_ptr_array_add(checks, duet_check_new(name, status, detail, advice));
}

static void check_kvm(GPtrArray *checks)
{
    /* Indexed by stage: what would help. */
    static const char *const advice[] = {
        [DUET_KVM_ABSENT] = "enable virtualization in the firmware (on a VM: nested "
                            "virtualization) and load kvm_intel or kvm_amd; VMs run under TCG",
        [DUET_KVM_FORBIDDEN] = "add your user to the group kvm; VMs run under TCG",
        [DUET_KVM_NO_DEVICE] = "remove that file and load kvm_intel or kvm_amd; VMs run under TCG",
        [DUET_KVM_NO_VM] = "see the kernel's log; VMs run under TCG",
        [DUET_KVM_NO_VCPU] = "this host's hypervisor does not really nest; VMs run under TCG",
        [DUET_KVM_RUNS] = "chgrp kvm /dev/kvm; chmod 660 /dev/kvm (udev's rule does it on most "
                          "systems); VMs run under TCG",
    };
    g_autoptr(DuetKvm) kvm = duet_vm_kvm();
    gboolean usable = kvm->stage == DUET_KVM_USABLE;
    g_autofree char *detail = usable ? g_strdup("a vCPU ran, and QEMU's group may use it") : NULL;
    add(checks, "kvm", usable ? DUET_CHECK_OK : DUET_CHECK_WARN, usable ? detail : kvm->reason,
        usable ? NULL : advice[kvm->stage]);
    if (kvm->stage < DUET_KVM_NO_DEVICE)
        return;
    if (kvm->stage < DUET_KVM_RUNS)
        add(checks, "kvm-permission", DUET_CHECK_OK, "this user may open '/dev/kvm'", NULL);
    else
        add(checks, "kvm-permission", usable ? DUET_CHECK_OK : DUET_CHECK_WARN,
            usable ? "QEMU's user may open '/dev/kvm'" : kvm->reason,
            usable ? NULL : advice[DUET_KVM_RUNS]);
}

static void check_nested(GPtrArray *checks)
{
    g_autofree char *cpuinfo = duet_file_read(AT_FDCWD, "/proc/cpuinfo", 16 << 20, NULL, NULL);
    gboolean is_guest = cpuinfo && strstr(cpuinfo, " hypervisor");
    static const char *const files[] = { "/sys/module/kvm_intel/parameters/nested",
        "/sys/module/kvm_amd/parameters/nested" };
    const char *nests = "KVM's module is not loaded or built in";
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = duet_file_read(AT_FDCWD, files[i], 16, NULL, NULL);
        if (text)
            nests = text[0] == 'Y' || text[0] == '1' ? "guests may nest further"
                                                     : "guests may not nest further";
    }
    g_autofree char *detail = g_strdup_printf("%s; %s",
        is_guest ? "this host is a VM: with KVM, guests would be nested"
                 : "this host is no VM: guests are not nested",
        nests);
    add(checks, "kvm-nested", DUET_CHECK_OK, detail, NULL);
}

static void check_programs(GPtrArray *checks)
{
    unsigned long version = 0;
    virGetVersion(&version, NULL, NULL);
    g_autofree char *libvirt = duet_vm_libvirt_version();
    /* 9.0 is what all of this was tried with; embed with capability_filters came by 7.0. */
    gboolean known = version >= 9000000;
    add(checks, "libvirt", known ? DUET_CHECK_OK : DUET_CHECK_WARN, libvirt,
        known ? NULL : "duet was tried with 9.0 and later");
    g_autoptr(GError) error = NULL;
    g_autofree char *emulator = duet_vm_qemu_find(NULL, &error);
    g_autofree char *qemu = emulator ? duet_vm_qemu_version(emulator, &error) : NULL;
    g_autofree char *detail = qemu ? g_strdup_printf("%s at '%s'", qemu, emulator) : NULL;
    add(checks, "qemu", qemu ? DUET_CHECK_OK : DUET_CHECK_NO, qemu ? detail : error->message,
        qemu ? NULL : "install the package qemu-system-x86");
    g_clear_error(&error);
    if (duet_is_rootless())
        return;
    const char *user = duet_vm_user_find(&error);
    g_autofree char *exists = g_strdup_printf("the user '%s' exists", user ? user : "");
    add(checks, "libvirt-user", user ? DUET_CHECK_OK : DUET_CHECK_NO,
        user ? exists : error->message, user ? NULL : "install the package libvirt-daemon-system");
    const char *virtiofsd = duet_vm_virtiofsd_find();
    add(checks, "virtiofsd", virtiofsd ? DUET_CHECK_OK : DUET_CHECK_WARN,
        virtiofsd ? virtiofsd : "not found: VMs cannot have -v mounts",
        virtiofsd ? NULL : "install qemu-system-common or virtiofsd");
}

/* An ordinary user's libvirt confines nothing, whatever the host. */
static void check_apparmor(GPtrArray *checks)
{
    const char *detail, *advice;
    if (duet_is_rootless())
        return;
    duet_vm_apparmor_check(&detail, &advice);
    add(checks, "apparmor", advice ? DUET_CHECK_WARN : DUET_CHECK_OK, detail, advice);
}

static void check_kernel(GPtrArray *checks)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = duet_guest_kernel_locate(NULL, &error);
    if (!path) {
        add(checks, "guest-kernel", DUET_CHECK_WARN, error->message,
            "the first VM fetches Debian's cloud kernel with apt; `duet check --prepare` does it "
            "before");
        return;
    }
    g_autoptr(GMappedFile) map = g_mapped_file_new(path, FALSE, &error);
    g_autoptr(GBytes) image = map ? g_mapped_file_get_bytes(map) : NULL;
    g_autofree char *version = image ? duet_kernel_image_version(image) : NULL;
    g_autofree char *modules = version ? duet_guest_kernel_modules_dir(path, version) : NULL;
    static const char *const wanted[] = { "virtio_pci", "virtio_console", "virtio_blk", "squashfs",
        "overlay", "ext4", "virtiofs", NULL };
    g_autoptr(GPtrArray) found = modules ? duet_modules_resolve(modules, wanted, &error) : NULL;
    g_autofree char *detail = g_strdup_printf("%s at '%s', %s", version ? version : "no kernel",
        path, found ? "modules found" : (error ? error->message : "no modules"));
    add(checks, "guest-kernel", found ? DUET_CHECK_OK : DUET_CHECK_WARN, detail,
        found ? NULL : "name a kernel with its modules by --kernel");
}

GPtrArray *duet_vm_check(void)
{
    GPtrArray *checks = g_ptr_array_new_with_free_func((GDestroyNotify)duet_check_free);
    check_kvm(checks);
    check_nested(checks);
    check_programs(checks);
    check_apparmor(checks);
    check_kernel(checks);
    return checks;
}
