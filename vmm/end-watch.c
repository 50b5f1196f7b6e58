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

void duet_vm_end_watch(DuetVm *vm)
{
    vm->ended = DUET_END_UNKNOWN;
    vm->shutdown = virConnectDomainQemuMonitorEventRegister(
        vm->connection, vm->domain, "SHUTDOWN", on_shutdown, vm, NULL, 0);
}

void duet_vm_end_unwatch(DuetVm *vm)
{
    /* A callback holds the connection. */
    if (vm->connection && vm->shutdown >= 0)
        virConnectDomainQemuMonitorEventDeregister(vm->connection, vm->shutdown);
    vm->shutdown = -1;
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
