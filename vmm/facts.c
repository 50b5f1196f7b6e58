/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/vm.h"
#include "vmm/disk-guest/disk-guest.h"
#include "vmm/domain-xml.h"
#include "vmm/graphics.h"
#include "vmm/machine.h"
#include "vmm/root.h"

#include <duet/vm-limits.h>

#include <string.h>
#include <sys/utsname.h>

static void put(GVariantBuilder *facts, const char *key, const char *value)
{
    g_autofree char *valid = value ? g_utf8_make_valid(value, -1) : NULL;

    if (valid)
        g_variant_builder_add(facts, "{sv}", key, g_variant_new_string(valid));
}

static void put_u64(GVariantBuilder *facts, const char *key, guint64 value)
{
    g_variant_builder_add(facts, "{sv}", key, g_variant_new_uint64(value));
}

static void put_kernel(GVariantBuilder *facts, const DuetVm *vm)
{
    g_autofree char *cmdline = duet_vm_cmdline(vm);
    struct utsname uts;
    put(facts, "kernel", vm->kernel->source);
    put(facts, "kernel_version", vm->kernel->version);
    put(facts, "kernel_sha256", vm->kernel->sha256);
    put(facts, "kernel_booted", vm->kernel->boot_path);
    put(facts, "kernel_cmdline", cmdline);
    put(facts, "initramfs", vm->initramfs->path);
    put(facts, "initramfs_sha256", vm->initramfs->sha256);
    if (uname(&uts) < 0)
        return;
    put(facts, "host_kernel_version", uts.release);
    if (strcmp(uts.release, vm->kernel->version) == 0)
        return;
    g_autofree char *note = g_strdup_printf(
        "host and guest kernels differ: %s and %s", uts.release, vm->kernel->version);
    put(facts, "note", note);
}

static void put_daemon(GVariantBuilder *facts, const DuetVm *vm)
{
    g_autofree char *name = duet_vm_domain_name(vm->spec);
    g_autofree char *uuid = duet_vm_uuid(vm->spec->id);
    put(facts, "connection", vm->spec->connect);
    put(facts, "domain_name", name);
    put(facts, "domain_uuid", uuid);
    put(facts, "qemu_uid_gid", vm->label);
    if (!vm->cgroup)
        put(facts, "usage_note",
            "libvirt made no cgroup for this VM: its CPU time and memory are not known");
}

/* Of the libvirt that runs the VM: a daemon may be older or newer than our library. */
static char *libvirt_version(const DuetVm *vm)
{
    unsigned long version = 0;
    if (!vm->spec->connect || virConnectGetLibVersion(vm->connection, &version) < 0)
        return duet_vm_libvirt_version();
    return duet_vm_version_text(version);
}

GVariant *duet_vm_facts(const DuetVm *vm)
{
    GVariantBuilder facts;
    g_variant_builder_init(&facts, G_VARIANT_TYPE_VARDICT);
    g_autofree char *libvirt = libvirt_version(vm);
    g_autofree char *qemu = duet_vm_qemu_version(vm->emulator, NULL);
    put(&facts, "accel", vm->kvm ? "kvm" : "tcg");
    put(&facts, "cpu_model", duet_vm_cpu_model(vm->spec, vm->kvm));
    put(&facts, "machine", duet_vm_machine(vm->spec));
    /* Where our XML names no loader, it is the machine's own. */
    put(&facts, "firmware",
        duet_disk_guest_loader(vm->spec) ? DUET_FIRMWARE_UEFI : DUET_FIRMWARE_BIOS);
    g_autofree char *uri = duet_vm_graphics_uri(vm);
    put(&facts, "graphics", uri);
    put(&facts, "graphics_password", vm->vnc_password);
    put(&facts, "loader", duet_disk_guest_loader(vm->spec));
    put(&facts, "qemu", vm->emulator);
    put(&facts, "qemu_version", qemu);
    put(&facts, "libvirt_version", libvirt);
    put(&facts, "domain_xml", vm->domain_xml);
    put(&facts, "disk_cache", "writeback");
    put_u64(&facts, "vcpus", duet_vm_vcpus(vm->spec));
    put_u64(&facts, "memory_bytes", duet_vm_memory_bytes(vm->spec));
    put_u64(&facts, "memory_allowance_bytes", duet_vm_memory_allowance_bytes(vm->spec));
    if (vm->kernel)
        put_kernel(&facts, vm);
    if (vm->spec->connect)
        put_daemon(&facts, vm);
    return g_variant_ref_sink(g_variant_builder_end(&facts));
}
