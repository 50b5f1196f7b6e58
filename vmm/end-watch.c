/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Why QEMU ended, by its own word: a guest that is over tells nobody else. */
#include "vmm/vm.h"

#include <duet/error.h>

#include <libvirt/libvirt-qemu.h>
#include <string.h>

/* QEMU's process may be over before libvirt has read its last words. */
#define LAST_WORDS_US (300 * 1000)
#define LOOK_AGAIN_US 5000

static void on_shutdown(virConnectPtr connection, virDomainPtr domain, const char *event,
    long long seconds, unsigned micros, const char *details, void *data)
{
    static const struct {
        const char *reason;
        DuetEnd end;
    } rows[] = {
        { "\"guest-panic\"", DUET_END_PANIC },
        { "\"guest-reset\"", DUET_END_REBOOT },
        { "\"guest-shutdown\"", DUET_END_POWER_OFF },
    };
    DuetVm *vm = data;
    (void)connection;
    (void)domain;
    (void)event;
    (void)seconds;
    (void)micros;
    for (guint i = 0; details && i < G_N_ELEMENTS(rows); i++)
        if (strstr(details, rows[i].reason))
            vm->ended = rows[i].end;
}

/* A daemon's machine begins anew by itself. Its next run is another QEMU's, with another agent:
 * this one has not got as far as its kernel. Its CPUs are stopped first, for which the daemon waits
 * until it has told who asked for the reset. */
static void on_reset(virConnectPtr connection, virDomainPtr domain, const char *event,
    long long seconds, unsigned micros, const char *details, void *data)
{
    DuetVm *vm = data;
    (void)connection;
    (void)domain;
    (void)event;
    (void)seconds;
    (void)micros;
    vm->ended = details && strstr(details, "\"guest-reset\"") ? DUET_END_REBOOT : DUET_END_RESET;
    virDomainSuspend(vm->domain);
    duet_vm_qemu_kill(vm);
}

static int watch(DuetVm *vm, const char *event, virConnectDomainQemuMonitorEventCallback function)
{
    return virConnectDomainQemuMonitorEventRegister(
        vm->connection, vm->domain, event, function, vm, NULL, 0);
}

static void unwatch(DuetVm *vm, int *id)
{
    /* A callback holds the connection. */
    if (vm->connection && *id >= 0)
        virConnectDomainQemuMonitorEventDeregister(vm->connection, *id);
    *id = -1;
}

void duet_vm_end_watch(DuetVm *vm)
{
    vm->ended = DUET_END_UNKNOWN;
    vm->shutdown = watch(vm, "SHUTDOWN", on_shutdown);
    vm->reset = vm->spec->connect && !vm->spec->disk_image ? watch(vm, "RESET", on_reset) : -1;
}

void duet_vm_end_unwatch(DuetVm *vm)
{
    unwatch(vm, &vm->shutdown);
    unwatch(vm, &vm->reset);
}

DuetEnd duet_vm_how_ended(DuetRuntime *runtime, GError **error)
{
    DuetVm *vm = (DuetVm *)runtime;
    if (vm->fault) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, vm->fault);
        return DUET_END_UNKNOWN;
    }
    gint64 until_us = g_get_monotonic_time() + LAST_WORDS_US;
    while (vm->shutdown >= 0 && vm->ended == DUET_END_UNKNOWN && g_get_monotonic_time() < until_us)
        if (!g_main_context_iteration(NULL, FALSE))
            g_usleep(LOOK_AGAIN_US);
    return vm->ended;
}
