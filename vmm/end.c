/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/vm.h"
#include "vmm/apparmor.h"
#include "vmm/mounts.h"
#include "vmm/root.h"
#include "vmm/virt-error.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <libvirt/virterror.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long QEMU may take to die of SIGKILL, and then to be reaped by the monitor. */
#define DEATH_MS 5000
#define REAP_MS 50

/*
 * libvirt looks for a process's end every 0.2 s. If QEMU is dead and reaped before libvirt looks
 * for the first time, destroying costs nothing (hold.h). The monitor reaps: for that short while
 * there is nothing to wait on, so look once a millisecond.
 */
static void qemu_kill(DuetVm *vm)
{
    if (vm->pidfd < 0)
        return;
    syscall(SYS_pidfd_send_signal, vm->pidfd, SIGKILL, NULL, 0);
    struct pollfd over = { .fd = vm->pidfd, .events = POLLIN };
    while (poll(&over, 1, DEATH_MS) < 0 && errno == EINTR)
        ;
    for (int i = 0; i < REAP_MS && kill(vm->pid, 0) == 0; i++)
        g_usleep(1000);
}

static gboolean domain_end(DuetVm *vm, GError **error)
{
    if (!vm->domain)
        return TRUE;
    qemu_kill(vm);
    duet_fd_clear(&vm->hold);
    gboolean ok = virDomainDestroy(vm->domain) == 0;
    /* A transient domain that is over has no name any more. */
    int code = ok ? VIR_ERR_OK : virGetLastErrorCode();
    ok = ok || code == VIR_ERR_NO_DOMAIN || code == VIR_ERR_OPERATION_INVALID;
    if (!ok)
        return duet_virt_error_set(error, "cannot end '%s'", vm->spec->name);
    virDomainFree(vm->domain);
    vm->domain = NULL;
    return TRUE;
}

gboolean duet_vm_end(DuetVm *vm, GError **error)
{
    duet_vm_console_unwatch(vm);
    gboolean ok = domain_end(vm, error);
    if (vm->connection)
        virConnectClose(vm->connection);
    vm->connection = NULL;
    duet_fd_clear(&vm->pidfd);
    if (vm->agent_socket)
        unlink(vm->agent_socket);
    /* The first error is the one to tell; what follows is tried all the same. */
    if (vm->in_namespace && !duet_vm_mounts_remove(vm->place, ok ? error : NULL))
        ok = FALSE;
    duet_vm_apparmor_forget(vm->spec->id);
    return duet_vm_root_remove(vm->place, ok ? error : NULL) && ok;
}
