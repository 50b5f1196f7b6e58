/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a daemon does of its own accord while a VM runs: it goes away, or tells of a button, or of
 * somebody else who paused the VM. */
#include "daemon.h"
#include "vmm/disk-guest/disk-guest.h"
#include "vmm/vm.h"

#include <libvirt/libvirt-qemu.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A daemon that does not come back within so many seconds is waited for no longer; whoever needs
 * it tries once more. */
#define RETRIES_MAX 60
/* One that hangs has answered nothing for a minute; no call waits for it longer. */
#define KEEPALIVE_S 10
#define KEEPALIVES 6

static gboolean on_retry(gpointer data)
{
    DuetVm *vm = data;
    /* reopen() waits for a daemon that is on its way; here the next second does. */
    virConnectPtr probe = duet_vm_daemon_connect(vm->spec, NULL);
    if (!probe && ++vm->retries < RETRIES_MAX)
        return G_SOURCE_CONTINUE;
    vm->retry_source = 0;
    if (probe) {
        virConnectClose(probe);
        vm->libvirt->reopen(vm, NULL);
    }
    return G_SOURCE_REMOVE;
}

static void on_closed(virConnectPtr connection, int reason, void *data)
{
    DuetVm *vm = data;
    (void)connection;
    (void)reason;
    if (!vm->retry_source)
        vm->retry_source = g_timeout_add_seconds(1, on_retry, vm);
}

/* With libvirt a reboot is the power button and, noted for itself, that a reset is to follow. */
static gboolean is_reboot(const DuetVm *vm)
{
    g_autofree char *name = duet_vm_domain_name(vm->spec);
    g_autofree char *file = duet_vm_daemon_status_file(vm->label != NULL, name);
    g_autofree char *status = NULL;
    return g_file_get_contents(file, &status, NULL, NULL) && strstr(status, "<fakereboot/>");
}

/* Our guest has no driver for its power button: it means what SIGTERM means to the monitor. A
 * disk's own system has one. */
static void on_powerdown(virConnectPtr connection, virDomainPtr domain, const char *event,
    long long seconds, unsigned micros, const char *details, void *data)
{
    (void)connection;
    (void)domain;
    (void)event;
    (void)seconds;
    (void)micros;
    (void)details;
    kill(getppid(), is_reboot(data) ? DUET_AGAIN_SIGNAL : SIGTERM);
}

/* Also when it was for us: then the monitor knows already. */
static int on_lifecycle(
    virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
    (void)connection;
    (void)domain;
    (void)detail;
    (void)data;
    if (event == VIR_DOMAIN_EVENT_SUSPENDED || event == VIR_DOMAIN_EVENT_RESUMED)
        kill(getppid(), DUET_LOOK_SIGNAL);
    return 0;
}

void duet_vm_daemon_link(DuetVm *vm)
{
    vm->retries = 0;
    virConnectSetKeepAlive(vm->connection, KEEPALIVE_S, KEEPALIVES);
    virConnectRegisterCloseCallback(vm->connection, on_closed, vm, NULL);
    vm->powerdown = vm->domain && !vm->spec->disk_image
        ? virConnectDomainQemuMonitorEventRegister(
              vm->connection, vm->domain, "POWERDOWN", on_powerdown, vm, NULL, 0)
        : -1;
    vm->lifecycle = vm->domain
        ? virConnectDomainEventRegisterAny(vm->connection, vm->domain,
              VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle), NULL, NULL)
        : -1;
}

void duet_vm_daemon_unlink(DuetVm *vm)
{
    if (vm->retry_source)
        g_source_remove(vm->retry_source);
    vm->retry_source = 0;
    if (!vm->connection)
        return;
    virConnectUnregisterCloseCallback(vm->connection, on_closed);
    duet_disk_guest_deafen(vm);
    /* A callback holds the connection. */
    if (vm->powerdown >= 0)
        virConnectDomainQemuMonitorEventDeregister(vm->connection, vm->powerdown);
    if (vm->lifecycle >= 0)
        virConnectDomainEventDeregisterAny(vm->connection, vm->lifecycle);
    vm->powerdown = vm->lifecycle = -1;
}
