/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libvirt's QEMU driver in this very process, with a root of its own: nobody else sees the VM. */
#include "vmm/folders.h"
#include "vmm/mounts.h"
#include "vmm/root.h"
#include "vmm/virt-error.h"
#include "vmm/vm.h"
#include "core/cgroup/cgroup.h"
#include "core/rootless.h"
#include "core/stray.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <libvirt/virterror.h>
#include <unistd.h>

static gboolean embed_open(DuetVm *vm, GError **error)
{
    vm->agent_socket = g_build_filename(vm->place->run_dir, "agent.sock", NULL);
    /* An ordinary user's QEMU is that user: it reaches what the worker does. */
    vm->in_namespace = !duet_is_rootless();
    if (vm->in_namespace && !duet_vm_mounts_enter(vm->place, vm->kvm_usable, error))
        return FALSE;
    vm->connection = duet_vm_root_open(vm->place, vm->emulator, vm->kvm_usable, error);
    return vm->connection != NULL;
}

static char *embed_show_file(DuetVm *vm, const char *name, const char *source, GError **error)
{
    return duet_vm_mounts_file(vm->place, name, source, error);
}

static DuetVmFolder *embed_show_folder(
    DuetVm *vm, const DuetMount *mount, guint index, GError **error)
{
    g_autoptr(DuetVmFolder) folder = duet_vm_mounts_folder(vm->place, mount, index, error);
    if (!folder || !duet_vm_folder_serve(vm, folder, index, error))
        return NULL;
    return g_steal_pointer(&folder);
}

static char *embed_show_disk(
    DuetVm *vm, const DuetDataDisk *disk, guint index, int fd, GError **error)
{
    if (!vm->in_namespace)
        return g_strdup(disk->path);
    return duet_vm_mounts_disk(vm->place, index, disk, fd, error);
}

/* Where libvirt writes QEMU's number, below the run directory; QEMU holds a lock on it. */
static char *pid_file(const DuetVm *vm)
{
    return g_strdup_printf("run/qemu/%s.pid", vm->domain_id);
}

static gboolean pid_take(DuetVm *vm, GError **error)
{
    g_autofree char *name = pid_file(vm);
    g_autofree char *path = g_build_filename(vm->place->run_dir, name, NULL);
    return duet_vm_qemu_find_pid(vm, path, error);
}

/* Where no cgroup tells of QEMU, the lock on its pid file does: see core/stray.h. */
static gboolean pid_file_link(const DuetVm *vm, GError **error)
{
    g_autofree char *target = pid_file(vm);
    g_autofree char *link = g_build_filename(vm->place->run_dir, DUET_STRAY_LOCK, NULL);
    return duet_cgroup_tracks(vm->place->cgroup, DUET_CGROUP_PAYLOAD) ||
        symlink(target, link) == 0 || errno == EEXIST ||
        duet_error_set_errno(error, errno, "cannot make the link '%s'", link);
}

static virDomainPtr domain_create(DuetVm *vm, GError **error)
{
    /* Of what it does not know libvirt says nothing, unless it is asked to. */
    virDomainPtr domain = virDomainCreateXML(vm->connection, vm->domain_xml,
        VIR_DOMAIN_START_PAUSED | (vm->spec->xml_patch ? VIR_DOMAIN_START_VALIDATE : 0));
    if (!domain)
        duet_virt_error_set(error, "cannot start '%s'", vm->spec->name);
    return domain;
}

/*
 * QEMU must be born in the payload's cgroup: memory is charged where it was first touched. Under v1
 * this thread alone goes there, for libvirt forks QEMU in the thread that asks.
 */
static gboolean embed_create(DuetVm *vm, GError **error)
{
    if (!pid_file_link(vm, error))
        return FALSE;
    int err = duet_cgroup_join(vm->place->cgroup, DUET_CGROUP_PAYLOAD);
    if (err)
        return duet_error_set_errno(error, err, "cannot enter the cgroup of '%s'", vm->spec->name);
    vm->domain = vm->place->saved ? duet_vm_saved_load(vm, error) : domain_create(vm, error);
    gboolean ok = vm->domain != NULL;
    err = duet_cgroup_join(vm->place->cgroup, DUET_CGROUP_MONITOR);
    if (err && ok)
        ok = duet_error_set_errno(error, err, "cannot leave the cgroup of '%s'", vm->spec->name);
    return ok && pid_take(vm, error);
}

static gboolean domain_end(DuetVm *vm, GError **error)
{
    if (!vm->domain)
        return TRUE;
    duet_vm_qemu_kill(vm);
    duet_fd_clear(&vm->hold);
    gboolean ok = virDomainDestroy(vm->domain) == 0;
    /* A transient domain that is over has no name any more. */
    int code = ok ? VIR_ERR_OK : virGetLastErrorCode();
    ok = ok || code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID;
    if (!ok)
        return duet_virt_error_set(error, "cannot end '%s'", vm->spec->name);
    g_clear_pointer(&vm->domain, virDomainFree);
    return TRUE;
}

static gboolean embed_end(DuetVm *vm, GError **error)
{
    gboolean ok = domain_end(vm, error);
    duet_vm_folders_end(vm);
    if (vm->agent_socket)
        unlink(vm->agent_socket);
    /* Before its root goes. */
    g_clear_pointer(&vm->connection, virConnectClose);
    /* The first error is the one to tell; what follows is tried all the same. */
    if (vm->in_namespace && !duet_vm_mounts_remove(vm->place, ok ? error : NULL))
        ok = FALSE;
    return duet_vm_root_remove(vm->place, ok ? error : NULL) && ok;
}

const DuetVmLibvirtOps duet_vm_embed = {
    .open = embed_open,
    .show_file = embed_show_file,
    .show_folder = embed_show_folder,
    .show_disk = embed_show_disk,
    .create = embed_create,
    .end = embed_end,
};
