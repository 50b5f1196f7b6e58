/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/guest-proxy.h"
#include "vmm/guest-change.h"
#include "vmm/guest-console.h"
#include "vmm/guest-exec.h"
#include "vmm/guest-json.h"
#include "vmm/guest-ready.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <string.h>
#include <sys/socket.h>

/* A button that is pressed while nobody in the guest listens to it yet is pressed in vain. */
#define PRESS_AGAIN_S 3
/* QEMU has closed its console, and libvirt is about to tell why; the monitor waits a second. */
#define WHY_MS 700

struct _DuetGuestProxy {
    const DuetSpec *spec;
    const DuetGuestHost *host;
    gpointer host_data;
    DuetLink *monitor;
    DuetGuestAgent *agent;
    DuetGuestPlaces *places;
    DuetGuestExecs *execs;
    DuetGuestConsole *console;
    DuetGuestReady *ready;
    DuetGuestChange *change;
    gboolean agent_is_there, started, spawned, failed, powered_off, console_over, end_told;
    guint press_source, why_source;
};

static gboolean press(gpointer data)
{
    DuetGuestProxy *proxy = data;
    proxy->host->press(proxy->host_data);
    return G_SOURCE_CONTINUE;
}

/* By all that may be heard: some guests know of no button, others have no agent. */
static void shut_down(DuetGuestProxy *proxy)
{
    if (proxy->press_source)
        return;
    if (proxy->agent_is_there)
        duet_guest_agent_call(proxy->agent, DUET_GUEST_SHUTDOWN_REQUEST, NULL, NULL, NULL);
    press(proxy);
    proxy->press_source = g_timeout_add_seconds(PRESS_AGAIN_S, press, proxy);
}

/* ---- the beginning ---- */

static void start_if_ready(DuetGuestProxy *proxy)
{
    static const guint8 no_pid[4];
    if (proxy->started || proxy->failed || !proxy->spawned ||
        !duet_guest_ready_is(proxy->ready, proxy->console))
        return;
    proxy->started = TRUE;
    duet_link_send(proxy->monitor, DUET_FRAME_STARTED, 0, 0, no_pid, sizeof no_pid);
}

static void on_ready_changed(gpointer data)
{
    start_if_ready(data);
}

/* Of one that runs already, and has booted anew, it is all that can be said, and in its log. */
static void on_never_ready(gpointer data, const char *text)
{
    DuetGuestProxy *proxy = data;
    if (proxy->started) {
        g_autofree char *line = g_strdup_printf("duet: %s\r\n", text);
        duet_link_send(proxy->monitor, DUET_FRAME_DATA, DUET_CHANNEL_STDERR, 0,
            (const guint8 *)line, (guint32)strlen(line));
    } else if (!proxy->failed) {
        proxy->failed = TRUE;
        duet_link_send_text(proxy->monitor, DUET_FRAME_FAILED, 0, 125, text);
    }
}

static void say_hello(DuetGuestProxy *proxy)
{
    guint8 hello[20] = { 0 };
    duet_put_u32(hello, DUET_PROTOCOL_VERSION);
    duet_link_send(proxy->monitor, DUET_FRAME_HELLO, 0, 0, hello, sizeof hello);
}

/* ---- the end ---- */

/* The monitor waits for no more. What is queued for it goes first; then it waits a second. */
static void close_channel(DuetGuestProxy *proxy)
{
    if (duet_link_flushed(proxy->monitor))
        shutdown(duet_link_fd(proxy->monitor), SHUT_WR);
}

/* After all that it wrote; of what ended otherwise nothing is known here. */
static void tell_end(DuetGuestProxy *proxy)
{
    static const guint8 well[8];
    if (!proxy->powered_off || !proxy->console_over || proxy->end_told)
        return;
    proxy->end_told = TRUE;
    duet_link_send(proxy->monitor, DUET_FRAME_EXIT, 0, 0, well, sizeof well);
    close_channel(proxy);
}

static gboolean on_no_reason(gpointer data)
{
    DuetGuestProxy *proxy = data;
    proxy->why_source = 0;
    if (!proxy->end_told)
        close_channel(proxy);
    return G_SOURCE_REMOVE;
}

/* ---- what comes ---- */

static void on_console(gpointer data, const guint8 *bytes, guint32 length)
{
    DuetGuestProxy *proxy = data;
    if (length > 0) {
        duet_link_send(proxy->monitor, DUET_FRAME_DATA, DUET_CHANNEL_STDOUT, 0, bytes, length);
        start_if_ready(proxy);
        return;
    }
    proxy->console_over = TRUE;
    tell_end(proxy);
    if (!proxy->end_told)
        proxy->why_source = g_timeout_add(WHY_MS, on_no_reason, proxy);
}

static void on_typed(gpointer data, guint32 bytes)
{
    DuetGuestProxy *proxy = data;
    duet_link_send_u32(proxy->monitor, DUET_FRAME_CREDIT, DUET_CHANNEL_STDIN, 0, bytes);
}

/* Frames of session 0. The end of its input is not a terminal's. */
static void on_payload_frame(DuetGuestProxy *proxy, const struct duet_frame *frame)
{
    switch (frame->type) {
    case DUET_FRAME_CONFIG:
        duet_guest_ready_config(proxy->ready, frame);
        break;
    case DUET_FRAME_SPAWN:
        proxy->spawned = TRUE;
        start_if_ready(proxy);
        break;
    case DUET_FRAME_DATA:
        duet_guest_console_type(proxy->console, frame->payload, frame->length);
        break;
    case DUET_FRAME_CREDIT:
        if (frame->channel == DUET_CHANNEL_STDOUT && frame->length == 4)
            duet_guest_console_grant(proxy->console, duet_get_u32(frame->payload));
        break;
    case DUET_FRAME_SIGNAL:
        shut_down(proxy);
        break;
    case DUET_FRAME_SHUTDOWN:
        proxy->host->power_off(proxy->host_data);
        break;
    case DUET_FRAME_CHANGE:
        duet_guest_change_frame(proxy->change, frame);
        break;
    default:
        break;
    }
}

static void on_frame(DuetLink *link, const struct duet_frame *frame, gpointer data)
{
    DuetGuestProxy *proxy = data;
    (void)link;
    if (frame->session == 0)
        on_payload_frame(proxy, frame);
    else
        duet_guest_execs_frame(proxy->execs, frame);
}

/* The monitor is gone, and the guest must not outlive it. The link stays: others send by it. */
static void on_closed(DuetLink *link, gpointer data)
{
    DuetGuestProxy *proxy = data;
    (void)link;
    proxy->host->power_off(proxy->host_data);
}

/* ---- its life ---- */

DuetGuestProxy *duet_guest_proxy_new(const DuetSpec *spec, int monitor_fd, int console_fd,
    const DuetGuestHost *host, gpointer host_data)
{
    static const DuetGuestConsoleEvents events = { on_console, on_typed };
    static const DuetGuestReadyEvents ready_events = { on_ready_changed, on_never_ready };
    DuetGuestProxy *proxy = g_new0(DuetGuestProxy, 1);
    proxy->spec = spec;
    proxy->host = host;
    proxy->host_data = host_data;
    proxy->agent = duet_guest_agent_new(host->ask, host_data);
    proxy->places = duet_guest_places_new();
    proxy->ready = duet_guest_ready_new(spec, proxy->agent, proxy->places, &ready_events, proxy);
    proxy->console = duet_guest_console_new(console_fd, &events, proxy);
    proxy->monitor = duet_link_new(monitor_fd, on_frame, on_closed, proxy);
    proxy->execs = duet_guest_execs_new(proxy->monitor, proxy->agent, proxy->places);
    proxy->change = duet_guest_change_new(proxy->monitor, proxy->agent, host, host_data);
    say_hello(proxy);
    return proxy;
}

void duet_guest_proxy_free(DuetGuestProxy *proxy)
{
    if (!proxy)
        return;
    if (proxy->press_source)
        g_source_remove(proxy->press_source);
    if (proxy->why_source)
        g_source_remove(proxy->why_source);
    duet_guest_agent_free(proxy->agent);
    duet_guest_execs_free(proxy->execs);
    duet_guest_change_free(proxy->change);
    duet_guest_ready_free(proxy->ready);
    duet_guest_places_free(proxy->places);
    duet_guest_console_free(proxy->console);
    duet_link_free(proxy->monitor);
    g_free(proxy);
}

void duet_guest_proxy_set_agent(DuetGuestProxy *proxy, gboolean is_there)
{
    proxy->agent_is_there = is_there;
    duet_guest_execs_set_agent(proxy->execs, is_there);
    duet_guest_change_set_agent(proxy->change, is_there);
    duet_guest_ready_set_agent(proxy->ready, is_there);
}

void duet_guest_proxy_powered_off(DuetGuestProxy *proxy)
{
    proxy->powered_off = TRUE;
    /* Its last words are read, whoever reads them how slowly. */
    duet_link_send(proxy->monitor, DUET_FRAME_ENDED, 0, 0, NULL, 0);
    tell_end(proxy);
}

const GByteArray *duet_guest_proxy_console(const DuetGuestProxy *proxy)
{
    return duet_guest_console_past(proxy->console);
}
