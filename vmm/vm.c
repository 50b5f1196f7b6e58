/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The VM driver. It lives in a worker below the monitor: create() and start() change the
 * process's environment and mounts, and libvirt brings threads along.
 */
#include "vmm/vm.h"
#include "vmm/daemon/daemon.h"
#include "vmm/folders.h"
#include "vmm/virt-error.h"
#include "core/places.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

DuetKvm *duet_vm_kvm(void)
{
    g_autofree char *dir = duet_place_run(NULL);
    return duet_kvm_probe_cached(DUET_VM_KVM_DEVICE, dir ? dir : "/nonexistent");
}

static gboolean vm_kill(DuetRuntime *runtime, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    if (vm->pidfd < 0 || syscall(SYS_pidfd_send_signal, vm->pidfd, SIGKILL, NULL, 0) == 0 ||
        errno == ESRCH)
        return TRUE;
    return duet_error_set_errno(error, errno, "cannot kill QEMU of '%s'", vm->spec->name);
}

static gboolean vm_release(DuetRuntime *runtime, GError **error)
{
    return duet_vm_end((DuetVm *)runtime, error);
}

gboolean duet_vm_reach(DuetVm *vm, GError **error)
{
    if (vm->libvirt->reopen && !vm->libvirt->reopen(vm, error))
        return FALSE;
    if (vm->domain)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND, "libvirt knows no domain of '%s' any more",
        vm->spec->name);
    return FALSE;
}

virDomainPtr duet_vm_domain_ref(DuetVm *vm)
{
    g_mutex_lock(&vm->domain_lock);
    virDomainPtr domain = vm->domain;
    if (domain)
        virDomainRef(domain);
    g_mutex_unlock(&vm->domain_lock);
    return domain;
}

void duet_vm_domain_set(DuetVm *vm, virDomainPtr domain)
{
    g_mutex_lock(&vm->domain_lock);
    virDomainPtr old = vm->domain;
    vm->domain = domain;
    g_mutex_unlock(&vm->domain_lock);
    if (old)
        virDomainFree(old);
}

static gboolean vm_pause(DuetRuntime *runtime, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    if (!duet_vm_reach(vm, error))
        return FALSE;
    return virDomainSuspend(vm->domain) == 0 ||
        duet_virt_error_set(error, "cannot pause '%s'", vm->spec->name);
}

static gboolean has_state(const DuetVm *vm, int wanted)
{
    int state;
    return virDomainGetState(vm->domain, &state, NULL, 0) == 0 && state == wanted;
}

/* Somebody else may have resumed it, with virsh. */
static gboolean vm_resume(DuetRuntime *runtime, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    if (!duet_vm_reach(vm, error))
        return FALSE;
    return has_state(vm, VIR_DOMAIN_RUNNING) || virDomainResume(vm->domain) == 0 ||
        duet_virt_error_set(error, "cannot resume '%s'", vm->spec->name);
}

static gboolean vm_is_paused(DuetRuntime *runtime, gboolean *out_paused, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    if (!duet_vm_reach(vm, error))
        return FALSE;
    *out_paused = has_state(vm, VIR_DOMAIN_PAUSED);
    return TRUE;
}

/* What asks QEMU does so without the hold, by which libvirt would not see its end. */
static gboolean pause_unheld(DuetRuntime *runtime, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    duet_fd_clear(&vm->hold);
    gboolean ok = vm_pause(runtime, error);
    duet_vm_hold(vm);
    return ok;
}

static gboolean resume_unheld(DuetRuntime *runtime, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    duet_fd_clear(&vm->hold);
    gboolean ok = vm_resume(runtime, error);
    duet_vm_hold(vm);
    return ok;
}

static gboolean update_unheld(
    DuetRuntime *runtime, GVariant *changes, guint64 *out_left, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    duet_fd_clear(&vm->hold);
    gboolean ok = duet_vm_update(runtime, changes, out_left, error);
    duet_vm_hold(vm);
    return ok;
}

static void vm_free(DuetRuntime *runtime)
{
    DuetVm *vm = (DuetVm *)runtime;
    duet_vm_console_unwatch(vm);
    duet_fd_clear(&vm->pidfd);
    duet_fd_clear(&vm->hold);
    duet_guest_kernel_free(vm->kernel);
    duet_initramfs_free(vm->initramfs);
    g_clear_pointer(&vm->folders, g_ptr_array_unref);
    duet_vm_folders_end(vm);
    g_ptr_array_unref(vm->servers);
    g_free(vm->fault);
    g_string_free(vm->notice, TRUE);
    g_free(vm->emulator);
    g_free(vm->console_log);
    g_free(vm->agent_socket);
    g_free(vm->console_socket);
    g_free(vm->vnc_socket);
    g_free(vm->vnc_password);
    g_free(vm->domain_xml);
    g_free(vm->label);
    g_free(vm->cgroup);
    g_free(vm->domain_id);
    g_mutex_clear(&vm->domain_lock);
    g_free(vm);
}

static const DuetRuntimeOps vm_ops = {
    .start = duet_vm_start,
    .kill = vm_kill,
    .release = vm_release,
    .console_tail = duet_vm_console_tail,
    .how_ended = duet_vm_how_ended,
    .pause = pause_unheld,
    .resume = resume_unheld,
    .is_paused = vm_is_paused,
    .update = update_unheld,
    .save = duet_vm_save,
    .free = vm_free,
};

static DuetRuntime *vm_create(const DuetSpec *spec, const DuetPlace *place, GError **error)
{
    DuetVm *vm = g_new0(DuetVm, 1);
    vm->powerdown = vm->lifecycle = vm->shutdown = vm->reset = vm->proxy_events[0] =
        vm->proxy_events[1] = -1;
    vm->base.ops = &vm_ops;
    vm->libvirt = spec->connect ? &duet_vm_daemon : &duet_vm_embed;
    vm->spec = spec;
    vm->domain_id = g_strdup(spec->id);
    vm->place = place;
    vm->pidfd = -1;
    vm->hold = -1;
    vm->console_watch_fd = -1;
    vm->servers = g_ptr_array_new();
    vm->notice = g_string_new(NULL);
    vm->console_log = g_build_filename(place->instance_dir, "console.log", NULL);
    if (duet_vm_folders_check(spec, error) && duet_vm_folders_serve(vm, error))
        return &vm->base;
    vm_free(&vm->base);
    return NULL;
}

extern const DuetDriverOps duet_vm_driver;

const DuetDriverOps duet_vm_driver = {
    .name = "vm",
    .kind = DUET_KIND_VM,
    .check = duet_vm_check,
    .create = vm_create,
    .recover = duet_vm_daemon_recover,
};
