/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Between a disk guest's libvirt and the proxy that plays its agent. */
#include "vmm/daemon/daemon.h"
#include "vmm/disk-guest/disk-guest.h"
#include "vmm/disk-guest/guest-proxy.h"
#include "vmm/virt-error.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <libvirt/libvirt-qemu.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An agent of a guest that is emulated, on a busy host, takes long for a word, and longer for
 * megabytes. */
#define SYNC_TIMEOUT_S 30
#define ASK_TIMEOUT_S 120
#define PAUSED_POLL_MS 200
/* What libvirt says of an answer of more than 10 MiB. It hears no more of this agent then. */
#define TOO_LONG "No complete agent response"
/* And a daemon of one of more than 4 MiB, which it does not hand on. It hears the next one. */
#define TOO_LONG_FOR_DAEMON "Unable to encode message"
#define AGENT_STATE "string(//channel/target[@name='org.qemu.guest_agent.0']/@state)"
/* What a guest agent says of a command that its guest's administrator forbids. */
#define FORBIDDEN "has been disabled"

static void mark_agent(const DuetVm *vm, gboolean is_there)
{
    g_autofree char *mark = g_build_filename(vm->place->instance_dir, DUET_GUEST_AGENT_MARK, NULL);
    if (!is_there) {
        unlink(mark);
        return;
    }
    DUET_AUTO_FD fd = open(mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    (void)fd;
}

static void explain(const DuetVm *vm, virDomainPtr domain, GError **error)
{
    if (error && vm->spec->connect && !duet_vm_daemon_is_alive(virDomainGetConnect(domain))) {
        g_prefix_error(error, "'%s' does not answer; try again when it does: ", vm->spec->connect);
    } else if (error && strstr((*error)->message, TOO_LONG)) {
        mark_agent(vm, FALSE);
        g_prefix_error(error,
            "its outputs are longer than the 7 MiB that libvirt takes of a guest agent: let "
            "them go to a file; no guest agent answers until it is killed and started again "
            "in the guest (by `duet console`), or the guest boots: ");
    } else if (error && strstr((*error)->message, TOO_LONG_FOR_DAEMON)) {
        g_prefix_error(error,
            "its outputs are longer than the 3 MiB that a libvirt daemon hands on: let them go to "
            "a file, or leave out --connect: ");
    } else if (error && strstr((*error)->message, FORBIDDEN)) {
        g_prefix_error(error,
            "its guest agent is forbidden to do that; allow guest-exec, guest-file-* and "
            "guest-*-vcpus in its configuration (qemu-ga's --allow-rpcs or --block-rpcs; RHEL: "
            "/etc/sysconfig/qemu-ga): ");
    }
}

/* libvirt asks no guest that is paused, and whoever has a program or a copy there would lose it. */
static void await_unpaused(const DuetVm *vm, virDomainPtr domain)
{
    struct pollfd end = { .fd = vm->pidfd, .events = POLLIN };
    int state;
    while (virDomainGetState(domain, &state, NULL, 0) == 0 && state == VIR_DOMAIN_PAUSED &&
        poll(&end, 1, PAUSED_POLL_MS) <= 0)
        ;
}

/* In the thread, while the main loop may be replacing a connection that was lost. */
static char *on_ask(gpointer data, const char *request, GError **error)
{
    DuetVm *vm = data;
    virDomainPtr domain = duet_vm_domain_ref(vm);
    if (domain)
        await_unpaused(vm, domain);
    char *reply = domain ? virDomainQemuAgentCommand(domain, request, ASK_TIMEOUT_S, 0) : NULL;
    char *copy = g_strdup(reply);
    if (!domain) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "the guest agent is asked by way of '%s', which does not answer; try again when it "
            "does",
            vm->spec->connect);
    } else if (!reply) {
        duet_virt_error_set(error, "cannot ask the guest agent");
        explain(vm, domain, error);
    }
    free(reply);
    if (domain)
        virDomainFree(domain);
    return copy;
}

/* One that is not heard, or whose guest is gone, is no failure: the caller presses again. */
static void on_press(gpointer data)
{
    const DuetVm *vm = data;
    if (vm->domain)
        virDomainShutdownFlags(vm->domain, VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN);
}

/* QEMU writes back what it holds of the overlay, and ends. */
static void on_power_off(gpointer data)
{
    const DuetVm *vm = data;
    if (vm->pidfd >= 0)
        syscall(SYS_pidfd_send_signal, vm->pidfd, SIGTERM, NULL, 0);
}

static void on_watch_memory(gpointer data, gboolean on)
{
    DuetVm *vm = data;
    vm->memory_watched_s = g_get_real_time() / G_USEC_PER_SEC;
    duet_fd_clear(&vm->hold);
    /* What has no balloon is an error of the change itself. */
    if (vm->domain)
        virDomainSetMemoryStatsPeriod(vm->domain, on ? 1 : 0, VIR_DOMAIN_AFFECT_LIVE);
    duet_vm_hold(vm);
}

static guint64 on_available(gpointer data)
{
    DuetVm *vm = data;
    virDomainMemoryStatStruct stats[VIR_DOMAIN_MEMORY_STAT_NR];
    unsigned long long told_s = 0, usable_kib = 0;
    duet_fd_clear(&vm->hold);
    int n = vm->domain ? virDomainMemoryStats(vm->domain, stats, VIR_DOMAIN_MEMORY_STAT_NR, 0) : -1;
    duet_vm_hold(vm);
    for (int i = 0; i < n; i++) {
        if (stats[i].tag == VIR_DOMAIN_MEMORY_STAT_LAST_UPDATE)
            told_s = stats[i].val;
        else if (stats[i].tag == VIR_DOMAIN_MEMORY_STAT_USABLE)
            usable_kib = stats[i].val;
    }
    return told_s >= (guint64)vm->memory_watched_s ? usable_kib * 1024 : 0;
}

/* Why it can't be, if it can't, the save is told as well. */
static void on_set_paused(gpointer data, gboolean paused)
{
    DuetVm *vm = data;
    if (paused)
        duet_runtime_pause(&vm->base, NULL);
    else
        duet_runtime_resume(&vm->base, NULL);
}

static const DuetGuestHost host = {
    .ask = on_ask,
    .press = on_press,
    .power_off = on_power_off,
    .watch_memory = on_watch_memory,
    .available = on_available,
    .set_paused = on_set_paused,
};

static void set_agent(DuetVm *vm, gboolean is_there)
{
    mark_agent(vm, is_there);
    duet_guest_proxy_set_agent(vm->proxy, is_there);
}

static void on_agent(
    virConnectPtr connection, virDomainPtr domain, int state, int reason, void *data)
{
    (void)connection;
    (void)domain;
    (void)reason;
    set_agent(data, state == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED);
}

static int on_lifecycle(
    virConnectPtr connection, virDomainPtr domain, int event, int detail, void *data)
{
    DuetVm *vm = data;
    (void)connection;
    (void)domain;
    if (event == VIR_DOMAIN_EVENT_SHUTDOWN && detail != VIR_DOMAIN_EVENT_SHUTDOWN_HOST)
        duet_guest_proxy_powered_off(vm->proxy);
    return 0;
}

gboolean duet_disk_guest_listen(DuetVm *vm, GError **error)
{
    static const int events[] = { VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
        VIR_DOMAIN_EVENT_ID_LIFECYCLE };
    const virConnectDomainEventGenericCallback callbacks[] = {
        VIR_DOMAIN_EVENT_CALLBACK(on_agent),
        VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle),
    };
    for (guint i = 0; i < G_N_ELEMENTS(events); i++) {
        vm->proxy_events[i] = virConnectDomainEventRegisterAny(
            vm->connection, vm->domain, events[i], callbacks[i], vm, NULL);
        if (vm->proxy_events[i] < 0)
            return duet_virt_error_set(error, "cannot watch '%s'", vm->spec->name);
    }
    return TRUE;
}

static DuetGuestBegin begin_of(const DuetVm *vm)
{
    gboolean had_agent = FALSE;
    if (!vm->place->saved)
        return DUET_GUEST_BOOTS;
    g_variant_lookup(vm->place->saved, DUET_SAVED_AGENT, "b", &had_agent);
    return had_agent ? DUET_GUEST_GOES_ON_WITH_AGENT : DUET_GUEST_GOES_ON;
}

int duet_disk_guest_link(DuetVm *vm, int console_fd, GError **error)
{
    int ends[2];
    DUET_AUTO_FD console = console_fd;
    mark_agent(vm, FALSE);
    if (!duet_disk_guest_listen(vm, error))
        return -1;
    if (virDomainAgentSetResponseTimeout(vm->domain, SYNC_TIMEOUT_S, 0) < 0) {
        duet_virt_error_set(
            error, "cannot be patient with the guest agent of '%s'", vm->spec->name);
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
        duet_error_set_errno(error, errno, "cannot make a socket for '%s'", vm->spec->name);
        return -1;
    }
    vm->proxy =
        duet_guest_proxy_new(vm->spec, begin_of(vm), ends[1], duet_fd_steal(&console), &host, vm);
    /* The agent in a memory that was loaded may have been heard already. */
    if (vm->place->saved)
        duet_disk_guest_catch_up(vm);
    return ends[0];
}

void duet_disk_guest_deafen(DuetVm *vm)
{
    for (guint i = 0; i < G_N_ELEMENTS(vm->proxy_events); i++) {
        /* A callback holds the connection. */
        if (vm->proxy_events[i] >= 0)
            virConnectDomainEventDeregisterAny(vm->connection, vm->proxy_events[i]);
        vm->proxy_events[i] = -1;
    }
}

void duet_disk_guest_catch_up(DuetVm *vm)
{
    char *xml = virDomainGetXMLDesc(vm->domain, 0);
    g_autofree char *state = xml ? duet_vm_daemon_text(xml, AGENT_STATE) : NULL;
    set_agent(vm, g_strcmp0(state, "connected") == 0);
}

void duet_disk_guest_unlink(DuetVm *vm)
{
    duet_disk_guest_deafen(vm);
    /* Whoever waits for its guest agent waits no longer. */
    duet_vm_qemu_kill(vm);
    g_clear_pointer(&vm->proxy, duet_guest_proxy_free);
    mark_agent(vm, FALSE);
}
