/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/vm.h"
#include "vmm/apparmor.h"
#include "vmm/hold.h"
#include "vmm/disk-guest/disk-guest.h"
#include "core/util.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long QEMU may take to die of SIGKILL, and then to be reaped by its parent. */
#define DEATH_MS 5000
#define REAP_MS 50

/*
 * libvirt looks for a process's end every 0.2 s. If QEMU is dead and reaped before libvirt looks
 * for the first time, destroying costs nothing (hold.h). The monitor reaps: for that short while
 * there is nothing to wait on, so look once a millisecond.
 */
void duet_vm_qemu_kill(DuetVm *vm)
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

void duet_vm_hold(DuetVm *vm)
{
    duet_fd_clear(&vm->hold);
    if (!vm->spec->connect)
        vm->hold = duet_vm_hold_monitor(vm->pid, vm->pidfd);
}

gboolean duet_vm_end(DuetVm *vm, GError **error)
{
    duet_vm_console_unwatch(vm);
    duet_vm_end_unwatch(vm);
    if (vm->spec->disk_image)
        duet_disk_guest_unlink(vm);
    gboolean ok = vm->libvirt->end(vm, error);
    g_clear_pointer(&vm->connection, virConnectClose);
    duet_fd_clear(&vm->pidfd);
    duet_vm_apparmor_forget(vm->domain_id);
    return ok;
}
