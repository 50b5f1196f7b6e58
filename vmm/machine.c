/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which machine and which CPU a VM has. */
#include "vmm/machine.h"
#include "vmm/domain-xml.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <string.h>

static gboolean is_pc(const char *machine)
{
    return g_str_equal(machine, "pc") || g_str_has_prefix(machine, "pc-i440fx-");
}

const char *duet_vm_machine(const DuetSpec *spec)
{
    return spec->machine ? spec->machine : DUET_VM_MACHINE;
}

gboolean duet_vm_machine_is_q35(const char *machine)
{
    return g_str_equal(machine, DUET_VM_MACHINE) || g_str_has_prefix(machine, "pc-q35-");
}

gboolean duet_vm_machine_is_microvm(const char *machine)
{
    return g_str_equal(machine, "microvm");
}

/* The first words of its lines, but for the headline. */
static char **names_of(const char *listed)
{
    g_auto(GStrv) lines = g_strsplit(listed, "\n", -1);
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    for (char **line = lines; *line; line++) {
        gsize length = strcspn(*line, " ");
        g_autofree char *name = g_strndup(*line, length);
        if (length && !g_str_has_suffix(*line, ":"))
            g_strv_builder_add(names, name);
    }
    return g_strv_builder_end(names);
}

static gboolean is_known(const char *machine)
{
    return is_pc(machine) || duet_vm_machine_is_q35(machine) || duet_vm_machine_is_microvm(machine);
}

static gboolean refuse_unknown(const char *machine, char **names, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);
    for (char **name = names; *name; name++)
        if (is_known(*name))
            g_string_append_printf(known, "%s%s", known->len ? ", " : "", *name);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--machine: QEMU has no '%s' here; there are: %s", machine, known->str);
    return FALSE;
}

gboolean duet_vm_machine_check(const char *machine, const char *listed, GError **error)
{
    g_auto(GStrv) names = names_of(listed);
    if (!g_strv_contains((const char *const *)names, machine))
        return refuse_unknown(machine, names, error);
    if (is_known(machine))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "--machine: duet has no VMs of the type '%s': a VM's devices need a PCI bus, which it is "
        "not known to have; use q35 or pc",
        machine);
    return FALSE;
}

const char *duet_vm_cpu_model(const DuetSpec *spec, gboolean kvm)
{
    if (!spec->cpu_model)
        return kvm ? DUET_VM_CPU_KVM : DUET_VM_CPU_TCG;
    if (g_str_equal(spec->cpu_model, DUET_CPU_HOST))
        return DUET_VM_CPU_KVM;
    return g_str_equal(spec->cpu_model, DUET_CPU_MAX) ? DUET_VM_CPU_TCG : spec->cpu_model;
}

/*
 * The memory-mapped devices of a microvm tell of themselves on the kernel's command line or in
 * ACPI's tables. Debian's kernels read the latter alone, and these describe a machine without the
 * timers of old: only KVM's clock is left, without which the kernel hangs at times.
 */
gboolean duet_vm_accel_check(const DuetSpec *spec, gboolean kvm, GError **error)
{
    const char *what = NULL;
    if (!kvm && g_strcmp0(spec->cpu_model, DUET_CPU_HOST) == 0)
        what = "--cpu-model host needs KVM, and the VM would run under TCG; use max, or name a "
               "model";
    else if (!kvm && duet_vm_machine_is_microvm(duet_vm_machine(spec)))
        what = "--machine microvm needs KVM, whose clock is the only one that the guest's kernel "
               "finds there, and the VM would run under TCG; use q35 or pc";
    if (!what)
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, what);
    return FALSE;
}

/* It boots a kernel that it is given, and nothing comes or goes while it runs. */
static gboolean check_microvm(const DuetSpec *spec, guint all, GError **error)
{
    if (spec->disk_image) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "--machine microvm has no firmware that boots from a disk; use q35 or pc");
    } else if (duet_vm_vcpus_max(spec) > duet_vm_vcpus(spec)) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "--machine microvm can't get more vCPUs while it runs: leave maxvcpus out, or use q35");
    } else if (all > DUET_VM_MICROVM_DEVICES_MAX) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--machine microvm has room for %d disks and mounts, with --rng among them; use q35",
            DUET_VM_MICROVM_DEVICES_MAX);
    } else {
        return TRUE;
    }
    return FALSE;
}

gboolean duet_vm_devices_check(const DuetSpec *spec, GError **error)
{
    guint disks = spec->disks ? g_strv_length(spec->disks) : 0;
    guint all = disks + spec->mounts->len + (spec->rng ? 1 : 0);
    if (duet_vm_machine_is_microvm(duet_vm_machine(spec)))
        return check_microvm(spec, all, error);
    if (disks <= DUET_VM_DISKS_MAX && all <= DUET_VM_DEVICES_MAX)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "%u disks and %u mounts are too many for a VM: at most %d disks, and %d of both", disks,
        spec->mounts->len, DUET_VM_DISKS_MAX, DUET_VM_DEVICES_MAX - (spec->rng ? 1 : 0));
    return FALSE;
}
