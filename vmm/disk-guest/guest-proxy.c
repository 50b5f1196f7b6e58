/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-proxy.h"
#include "guest-change.h"
#include "guest-console.h"
#include "guest-exec.h"
#include "guest-json.h"
#include "guest-ready.h"
#include "guest-wake.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <string.h>
#include <sys/socket.h>

/* A button that is pressed while nobody in the guest listens to it yet is pressed in vain. */
#define PRESS_AGAIN_S 3
/* QEMU has closed its console, and libvirt is about to tell why; the monitor waits a second. */
#define WHY_MS 700
/* How often to look whether an errand is over that a save waits for. */
#define LOOK_AGAIN_MS 50
/* How long a guest agent may take, after a restore, that was there at the save. */
#define AGENT_PATIENCE_S 30

/**
 * DuetGuestProxy:
 * @restoring: it goes on from a saved state, and HELLO was not said yet
 * @news: (nullable): what GO_ON brought for the guest, until there is an agent that takes it
 * @quiet: see DUET_FRAME_QUIET
 */
struct _DuetGuestProxy {
    const DuetSpec *spec;
    DuetGuestBegin begin;
    const DuetGuestHost *host;
    gpointer host_data;
    DuetLink *monitor;
    DuetGuestAgent *agent;
    DuetGuestPlaces *places;
    DuetGuestExecs *execs;
    DuetGuestConsole *console;
    DuetGuestReady *ready;
    DuetGuestChange *change;
    DuetGuestWake *wake;
    GByteArray *news;
    gboolean agent_is_there, agent_told, started, spawned, failed, powered_off, console_over,
        end_told;
    gboolean restoring, quiet;
    guint press_source, why_source, quiet_source, patience_source;
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

static void tell_agent(DuetGuestProxy *proxy)
{
    if (!proxy->started || proxy->restoring || !proxy->agent_is_there || proxy->agent_told ||
        proxy->quiet)
        return;
    proxy->agent_told = TRUE;
    duet_link_send(proxy->monitor, DUET_FRAME_READY, 0, 0, NULL, 0);
}

static void start_if_ready(DuetGuestProxy *proxy)
{
    static const guint8 no_pid[4];
    if (proxy->started || proxy->failed || !proxy->spawned ||
        !duet_guest_ready_is(proxy->ready, proxy->console))
        return;
    proxy->started = TRUE;
    duet_link_send(proxy->monitor, DUET_FRAME_STARTED, 0, 0, no_pid, sizeof no_pid);
    tell_agent(proxy);
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

/* ---- silence, and what follows it ---- */

/* What runs in the guest may be saved in the middle; an errand would leave its files there. */
static gboolean be_quiet(gpointer data)
{
    DuetGuestProxy *proxy = data;
    if (duet_guest_wake_has_errand(proxy->wake) || duet_guest_execs_has_errand(proxy->execs))
        return G_SOURCE_CONTINUE;
    proxy->quiet_source = 0;
    proxy->quiet = TRUE;
    /* From there on nothing more comes from its console, and what came is on this side. */
    proxy->host->set_paused(proxy->host_data, TRUE);
    duet_guest_console_stop(proxy->console);
    duet_link_send(proxy->monitor, DUET_FRAME_QUIET, 0, 0, NULL, 0);
    return G_SOURCE_REMOVE;
}

static void quiesce(DuetGuestProxy *proxy)
{
    if (!proxy->quiet_source && !proxy->quiet && be_quiet(proxy) == G_SOURCE_CONTINUE)
        proxy->quiet_source = g_timeout_add(LOOK_AGAIN_MS, be_quiet, proxy);
}

static void be_restored(DuetGuestProxy *proxy)
{
    g_clear_handle_id(&proxy->patience_source, g_source_remove);
    if (!proxy->restoring)
        return;
    proxy->restoring = FALSE;
    say_hello(proxy);
    tell_agent(proxy);
}

static void on_awake(gpointer data)
{
    DuetGuestProxy *proxy = data;
    g_clear_pointer(&proxy->wake, duet_guest_wake_free);
    be_restored(proxy);
}

static void wake_up(DuetGuestProxy *proxy)
{
    if (!proxy->news)
        return;
    proxy->wake = duet_guest_wake_new(proxy->agent, proxy->places, proxy->news, on_awake, proxy);
    g_clear_pointer(&proxy->news, g_byte_array_unref);
}

static gboolean on_patience_over(gpointer data)
{
    DuetGuestProxy *proxy = data;
    proxy->patience_source = 0;
    be_restored(proxy);
    return G_SOURCE_REMOVE;
}

/* One that was saved without an agent may get one at any time: it is told then. */
static void go_on_restored(DuetGuestProxy *proxy, const struct duet_frame *frame)
{
    proxy->news = g_byte_array_new();
    g_byte_array_append(proxy->news, frame->payload, frame->length);
    if (proxy->agent_is_there)
        wake_up(proxy);
    if (!proxy->wake && proxy->begin != DUET_GUEST_GOES_ON_WITH_AGENT)
        be_restored(proxy);
    else
        proxy->patience_source = g_timeout_add_seconds(AGENT_PATIENCE_S, on_patience_over, proxy);
}

/* Of a save that came to nothing, or the first word after a restore. */
static void go_on(DuetGuestProxy *proxy, const struct duet_frame *frame)
{
    if (proxy->restoring) {
        go_on_restored(proxy, frame);
        return;
    }
    g_clear_handle_id(&proxy->quiet_source, g_source_remove);
    if (proxy->quiet) {
        proxy->quiet = FALSE;
        proxy->host->set_paused(proxy->host_data, FALSE);
        duet_guest_console_grant(proxy->console, 0);
    }
    say_hello(proxy);
    tell_agent(proxy);
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
    case DUET_FRAME_QUIESCE:
        quiesce(proxy);
        break;
    case DUET_FRAME_GO_ON:
        go_on(proxy, frame);
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

DuetGuestProxy *duet_guest_proxy_new(const DuetSpec *spec, DuetGuestBegin begin, int monitor_fd,
    int console_fd, const DuetGuestHost *host, gpointer host_data)
{
    static const DuetGuestConsoleEvents events = { on_console, on_typed };
    static const DuetGuestReadyEvents ready_events = { on_ready_changed, on_never_ready };
    DuetGuestProxy *proxy = g_new0(DuetGuestProxy, 1);
    proxy->spec = spec;
    proxy->begin = begin;
    /* What it was waited for was before it was saved. */
    proxy->restoring = proxy->started = begin != DUET_GUEST_BOOTS;
    proxy->host = host;
    proxy->host_data = host_data;
    proxy->agent = duet_guest_agent_new(host->ask, host_data);
    proxy->places = duet_guest_places_new();
    proxy->ready = duet_guest_ready_new(spec, proxy->agent, proxy->places, &ready_events, proxy);
    proxy->console = duet_guest_console_new(console_fd, &events, proxy);
    proxy->monitor = duet_link_new(monitor_fd, on_frame, on_closed, proxy);
    proxy->execs = duet_guest_execs_new(proxy->monitor, proxy->agent, proxy->places);
    proxy->change = duet_guest_change_new(proxy->monitor, proxy->agent, host, host_data);
    if (!proxy->restoring)
        say_hello(proxy);
    return proxy;
}

void duet_guest_proxy_free(DuetGuestProxy *proxy)
{
    if (!proxy)
        return;
    g_clear_handle_id(&proxy->press_source, g_source_remove);
    g_clear_handle_id(&proxy->why_source, g_source_remove);
    g_clear_handle_id(&proxy->quiet_source, g_source_remove);
    g_clear_handle_id(&proxy->patience_source, g_source_remove);
    duet_guest_agent_free(proxy->agent);
    duet_guest_wake_free(proxy->wake);
    g_clear_pointer(&proxy->news, g_byte_array_unref);
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
    tell_agent(proxy);
    if (is_there)
        wake_up(proxy);
}

gboolean duet_guest_proxy_has_agent(const DuetGuestProxy *proxy)
{
    return proxy->agent_is_there;
}

void duet_guest_proxy_powered_off(DuetGuestProxy *proxy)
{
    proxy->powered_off = TRUE;
    be_restored(proxy);
    /* Its last words are read, whoever reads them how slowly. */
    duet_link_send(proxy->monitor, DUET_FRAME_ENDED, 0, 0, NULL, 0);
    tell_end(proxy);
}

const GByteArray *duet_guest_proxy_console(const DuetGuestProxy *proxy)
{
    return duet_guest_console_past(proxy->console);
}
