/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a VM's spec asks of this host's QEMU and libvirt, looked at before there is an instance. */
#include "vmm/data-disk.h"
#include "vmm/disk-guest/disk-guest.h"
#include "vmm/machine.h"
#include "vmm/root.h"
#include "vmm/virt-error.h"
#include "vmm/vm.h"
#include "vmm/xml-patch.h"
#include "core/util.h"

#include <duet/error.h>

#include <stdlib.h>
#include <sys/stat.h>

static gboolean check_machine(const DuetSpec *spec, GError **error)
{
    if (!spec->machine)
        return TRUE;
    g_autofree char *emulator = duet_vm_qemu_find(spec->qemu_path, error);
    const char *const argv[] = { emulator, "-machine", "help", NULL };
    g_autofree char *listed = emulator ? duet_capture(argv, error) : NULL;
    return listed && duet_vm_machine_check(spec->machine, listed, error);
}

static gboolean refuse_model(const DuetSpec *spec, char *const *models, GError **error)
{
    g_autofree char *known = g_strjoinv(", ", (char **)models);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--cpu-model: libvirt knows no '%s'; use host, max, or one of: %s", spec->cpu_model, known);
    return FALSE;
}

/* libvirt's models are those of its data files, whatever the driver: this one needs no daemon. */
static gboolean check_model_name(const DuetSpec *spec, GError **error)
{
    duet_virt_error_quiet();
    virConnectPtr connection = virConnectOpen("test:///default");
    char **models = NULL;
    int n = connection ? virConnectGetCPUModelNames(connection, "x86_64", &models, 0) : -1;
    gboolean ok = n >= 0 || duet_virt_error_set(error, "cannot list the CPU models");
    if (ok && !g_strv_contains((const char *const *)models, spec->cpu_model))
        ok = refuse_model(spec, models, error);
    for (int i = 0; i < n; i++)
        free(models[i]);
    free(models);
    if (connection)
        virConnectClose(connection);
    return ok;
}

static gboolean check_model(const DuetSpec *spec, GError **error)
{
    return !spec->cpu_model || g_str_equal(spec->cpu_model, DUET_CPU_MAX) ||
        g_str_equal(spec->cpu_model, DUET_CPU_HOST) || check_model_name(spec, error);
}

/* KVM is looked at where something needs it alone. */
static gboolean check_accel(const DuetSpec *spec, GError **error)
{
    if (duet_vm_accel_check(spec, FALSE, NULL))
        return TRUE;
    g_autoptr(DuetKvm) kvm = duet_vm_kvm();
    gboolean usable = kvm->stage == DUET_KVM_USABLE && spec->accel != DUET_ACCEL_TCG;
    return duet_vm_accel_check(spec, usable, error);
}

/* QEMU would refuse it in words of its own, when there is an instance. */
static gboolean check_twice(const GPtrArray *disks, guint index, GError **error)
{
    const DuetDataDisk *disk = disks->pdata[index];
    struct stat st, other_st;
    for (guint i = 0; i < index; i++) {
        const DuetDataDisk *other = disks->pdata[i];
        if ((disk->readonly && other->readonly) || stat(disk->path, &st) < 0 ||
            stat(other->path, &other_st) < 0 || st.st_dev != other_st.st_dev ||
            st.st_ino != other_st.st_ino)
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot use '%s' as a disk twice: add readonly=on to both", disk->path);
        return FALSE;
    }
    return TRUE;
}

static gboolean check_disks(const DuetSpec *spec, GError **error)
{
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(spec->disks, error);
    g_autoptr(GPtrArray) files = g_ptr_array_new();
    for (guint i = 0; disks && i < disks->len; i++) {
        DuetDataDisk *disk = disks->pdata[i];
        if (!duet_data_disk_check(disk, error))
            return FALSE;
        for (DuetDataDisk *file = disk; file; file = file->backing)
            g_ptr_array_add(files, file);
    }
    for (guint i = 0; i < files->len; i++)
        if (!check_twice(files, i, error))
            return FALSE;
    return disks != NULL;
}

gboolean duet_vm_spec_check(const DuetSpec *spec, GError **error)
{
    return (!spec->disk_image || duet_disk_guest_check(spec, error)) &&
        duet_vm_devices_check(spec, error) && check_machine(spec, error) &&
        check_model(spec, error) && check_accel(spec, error) && check_disks(spec, error) &&
        (!spec->xml_patch || duet_vm_xml_patch_check(spec->xml_patch, error));
}
