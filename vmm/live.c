/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What changes of a VM that runs. Each answers at once; what the guest has to do is looked at when
 * it is asked for again. */
#include "vmm/code-cache.h"
#include "vmm/data-disk.h"
#include "vmm/machine.h"
#include "vmm/mounts.h"
#include "vmm/virt-error.h"
#include "vmm/vm.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

/* The balloon leaves the guest a page more or less. */
#define BALLOON_SLACK_KIB 64
#define DETACH_PATIENCE_US (5 * G_USEC_PER_SEC)

/* Returns: what the balloon leaves the guest, or 0. */
static unsigned long long memory_now_kib(const DuetVm *vm)
{
    virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
    int n = virDomainMemoryStats(vm->domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0);
    for (int i = 0; i < n; i++)
        if (stats[i].tag == VIR_DOMAIN_MEMORY_STAT_ACTUAL_BALLOON)
            return stats[i].val;
    return 0;
}

static gboolean set_memory(DuetVm *vm, guint64 bytes, guint64 *out_left, GError **error)
{
    unsigned long wanted_kib = (unsigned long)(bytes / 1024);
    if (virDomainSetMemoryFlags(vm->domain, wanted_kib, VIR_DOMAIN_AFFECT_LIVE) < 0)
        return duet_virt_error_set(error, "cannot change the memory of '%s'", vm->spec->name);
    unsigned long long now_kib = memory_now_kib(vm);
    guint64 left = now_kib > wanted_kib ? now_kib - wanted_kib : wanted_kib - now_kib;
    *out_left = left > BALLOON_SLACK_KIB ? left : 0;
    return TRUE;
}

static gboolean set_vcpus(DuetVm *vm, guint n, GError **error)
{
    int now = virDomainGetVcpusFlags(vm->domain, VIR_DOMAIN_AFFECT_LIVE);
    if (now >= (int)n)
        return TRUE;
    if (now > 0 && !vm->kvm &&
        !duet_code_cache_check(vm->domain, (guint)now, n - (guint)now, error))
        return FALSE;
    if (now > 0 && virDomainSetVcpusFlags(vm->domain, n, VIR_DOMAIN_AFFECT_LIVE) == 0)
        return TRUE;
    return duet_virt_error_set(error, "cannot give '%s' more vCPUs", vm->spec->name);
}

static gboolean has_disk(DuetVm *vm, const char *alias, gboolean *out_has, GError **error)
{
    char *xml = virDomainGetXMLDesc(vm->domain, 0);
    g_autofree char *quoted = g_strdup_printf("'%s'", alias);
    if (!xml)
        return duet_virt_error_set(error, "cannot read the domain of '%s'", vm->spec->name);
    *out_has = strstr(xml, quoted) != NULL;
    free(xml);
    return TRUE;
}

static gboolean check_room(const DuetVm *vm, GError **error)
{
    if (!duet_vm_machine_is_microvm(duet_vm_machine(vm->spec)))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "no disk can come or go while '%s' runs: its machine, microvm, has no bus for that; stop "
        "it "
        "first",
        vm->spec->name);
    return FALSE;
}

static gboolean attach_shown(DuetVm *vm, const DuetDataDisk *disk, GError **error)
{
    g_autofree char *xml = duet_vm_disk_xml(disk);
    if (virDomainAttachDeviceFlags(vm->domain, xml, VIR_DOMAIN_AFFECT_LIVE) == 0)
        return TRUE;
    duet_virt_error_set(error, "cannot attach a disk to '%s'", vm->spec->name);
    if (error && *error && strstr((*error)->message, "PCI slots"))
        g_prefix_error(error,
            "a VM that runs has room for %d disks more than it was started with; stop it first: ",
            DUET_VM_SPARE_PORTS);
    return FALSE;
}

/* A backing file has the index of its disk among those. */
static guint backing_index(int index)
{
    return (guint)index + DUET_VM_DISKS_MAX;
}

static gboolean show(DuetVm *vm, DuetDataDisk *file, guint index, GError **error)
{
    DUET_AUTO_FD fd = duet_data_disk_open(file, error);
    char *shown = fd >= 0 ? vm->libvirt->show_disk(vm, file, index, fd, error) : NULL;
    if (!shown)
        return FALSE;
    g_free(file->path);
    file->path = shown;
    return TRUE;
}

gboolean duet_vm_disk_show(DuetVm *vm, DuetDataDisk *disk, GError **error)
{
    return show(vm, disk, (guint)disk->index, error) &&
        (!disk->backing || show(vm, disk->backing, backing_index(disk->index), error));
}

static void hide(DuetVm *vm, int index)
{
    if (!vm->in_namespace)
        return;
    duet_vm_mounts_disk_remove(vm->place, (guint)index);
    duet_vm_mounts_disk_remove(vm->place, backing_index(index));
}

static gboolean attach(DuetVm *vm, DuetDataDisk *disk, GError **error)
{
    if (duet_vm_disk_show(vm, disk, error) && attach_shown(vm, disk, error))
        return TRUE;
    hide(vm, disk->index);
    return FALSE;
}

/* A guest that did not hear it is asked again, which is an error of QEMU's while it still may. */
static gboolean ask_to_let_go(DuetVm *vm, const char *alias, gboolean again)
{
    vm->detach_asked_us = g_get_monotonic_time();
    return virDomainDetachDeviceAlias(vm->domain, alias, VIR_DOMAIN_AFFECT_LIVE) == 0 || again;
}

static gboolean detach(DuetVm *vm, const DuetDataDisk *disk, guint64 *out_left, GError **error)
{
    g_autofree char *alias = duet_vm_disk_alias(disk->index);
    gboolean has = FALSE;
    if (!has_disk(vm, alias, &has, error))
        return FALSE;
    gboolean again = vm->detaching == disk->index + 1;
    gboolean due = !again || g_get_monotonic_time() - vm->detach_asked_us > DETACH_PATIENCE_US;
    if (has && due && !ask_to_let_go(vm, alias, again))
        return duet_virt_error_set(error, "cannot detach '%s'", disk->path);
    vm->detaching = has ? disk->index + 1 : 0;
    *out_left = has ? 1 : 0;
    if (!has)
        hide(vm, disk->index);
    return TRUE;
}

static gboolean change_disk(
    DuetVm *vm, const char *text, gboolean comes, guint64 *out_left, GError **error)
{
    g_autoptr(DuetDataDisk) disk = duet_data_disk_parse(text, error);
    if (!disk || !check_room(vm, error))
        return FALSE;
    g_assert(disk->index >= 0);
    return comes ? attach(vm, disk, error) : detach(vm, disk, out_left, error);
}

gboolean duet_vm_update(DuetRuntime *runtime, GVariant *changes, guint64 *out_left, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    guint64 bytes;
    guint32 vcpus;
    double cpus;
    gboolean is_guard;
    const char *text;
    *out_left = 0;
    if (!duet_vm_reach(vm, error))
        return FALSE;
    if (g_variant_lookup(changes, DUET_UPDATE_MEMORY, "t", &bytes))
        return set_memory(vm, bytes, out_left, error);
    if (g_variant_lookup(changes, DUET_UPDATE_VCPUS, "u", &vcpus))
        return set_vcpus(vm, vcpus, error);
    if (g_variant_lookup(changes, DUET_UPDATE_LIMITS, "(tdb)", &bytes, &cpus, &is_guard))
        return vm->libvirt->limit(vm, bytes, cpus, is_guard, error);
    if (g_variant_lookup(changes, DUET_UPDATE_ATTACH, "^&ay", &text))
        return change_disk(vm, text, TRUE, out_left, error);
    if (g_variant_lookup(changes, DUET_UPDATE_DETACH, "^&ay", &text))
        return change_disk(vm, text, FALSE, out_left, error);
    g_assert_not_reached();
}
