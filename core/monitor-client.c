/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor's side of the clients' protocol: run, exec, stop, kill, wait, inspect. */
#include "core/loop.h"
#include "core/monitor-private.h"

#include <duet/error.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void send_error(Client *client, int code, const char *text)
{
    duet_link_send_text(client->link, DUET_FRAME_ERROR, 0, (guint32)code, text);
}

Client *monitor_session_client(Monitor *monitor, guint16 session)
{
    return session < DUET_SESSIONS_MAX ? monitor->sessions[session] : NULL;
}

void monitor_session_end(Monitor *monitor, guint16 session)
{
    Client *client = monitor_session_client(monitor, session);
    if (session < DUET_SESSIONS_MAX)
        monitor->taken[session] = FALSE;
    if (!client || session == 0)
        return;
    client->session = NO_SESSION;
    monitor->sessions[session] = NULL;
}

/* The payload must not wait for a reader that went away: what it was sent counts as read, its
 * stdin ends. Of an exec'ed process nobody is left who could end it: it is hung up. */
static void leave_session(Client *client)
{
    Monitor *monitor = client->monitor;
    if (client->session == NO_SESSION)
        return;
    guint16 session = (guint16)client->session;
    monitor->sessions[session] = NULL;
    client->session = NO_SESSION;
    if (!monitor->agent)
        return;
    for (guint8 channel = DUET_CHANNEL_STDOUT; channel <= DUET_CHANNEL_STDERR; channel++)
        if (client->uncredited[channel] > client->stale[channel])
            duet_link_send_u32(monitor->agent, DUET_FRAME_CREDIT, channel, session,
                client->uncredited[channel] - client->stale[channel]);
    duet_link_send(monitor->agent, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, session, NULL, 0);
    if (session != 0)
        duet_link_send_u32(monitor->agent, DUET_FRAME_SIGNAL, 0, session, SIGHUP);
}

static int free_session(Monitor *monitor)
{
    /* Round robin: a number is not used again at once, late frames of its last owner die out. */
    for (guint i = 0; i < DUET_SESSIONS_MAX - 1; i++) {
        monitor->sessions_used = (guint16)(monitor->sessions_used % (DUET_SESSIONS_MAX - 1) + 1);
        if (!monitor->taken[monitor->sessions_used])
            return monitor->sessions_used;
    }
    return NO_SESSION;
}

int monitor_session_take(Monitor *monitor)
{
    int session = free_session(monitor);
    if (session != NO_SESSION)
        monitor->taken[session] = TRUE;
    return session;
}

static void on_exec(Client *client, const struct duet_frame *frame)
{
    Monitor *monitor = client->monitor;
    int session = client->session == NO_SESSION ? free_session(monitor) : NO_SESSION;
    if (monitor->resting)
        send_error(client, DUET_ERROR_STATE, "it ended, and waits to be started again");
    else if (monitor->payload_gone || !monitor->agent || monitor->stopping)
        send_error(client, DUET_ERROR_STATE, "the instance is stopping");
    else if (!monitor->started)
        send_error(client, DUET_ERROR_STATE, "the instance is starting; try again in a moment");
    else if (monitor->info->state == DUET_STATE_PAUSED)
        send_error(client, DUET_ERROR_STATE, "it is paused; let it go on with `duet unpause`");
    else if (session == NO_SESSION)
        send_error(client, DUET_ERROR_FAILED, "too many exec sessions at once");
    else {
        client->session = session;
        monitor->sessions[session] = client;
        monitor->taken[session] = TRUE;
        duet_link_send(
            monitor->agent, DUET_FRAME_SPAWN, 0, (guint16)session, frame->payload, frame->length);
    }
}

static void on_credit(Client *client, const struct duet_frame *frame)
{
    Monitor *monitor = client->monitor;
    guint8 channel = frame->channel;
    guint32 granted = frame->length == 4 ? duet_get_u32(frame->payload) : 0;
    if (granted > client->uncredited[channel])
        return;
    client->uncredited[channel] -= granted;
    guint32 stale = MIN(granted, client->stale[channel]);
    client->stale[channel] -= stale;
    if (granted > stale && monitor->agent)
        duet_link_send_u32(
            monitor->agent, DUET_FRAME_CREDIT, channel, (guint16)client->session, granted - stale);
}

/* The user who sends it wants an end, not another run. */
static gboolean asks_for_end(const Monitor *monitor, guint32 signal_number)
{
    return signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGQUIT ||
        signal_number == (guint32)monitor->spec->stop_signal;
}

/* What a client of the payload says that outlives a run. Returns: whether this run hears it. */
static gboolean note_word(Client *client, const struct duet_frame *frame)
{
    Monitor *monitor = client->monitor;
    /* Nobody reads it any more, but the next run may. */
    gboolean hold = monitor->resting || (monitor->payload_gone && monitor_may_restart(monitor));
    if (frame->type == DUET_FRAME_EOF)
        client->input_ended = TRUE;
    else if (frame->type == DUET_FRAME_CLOSE)
        client->closed[frame->channel] = TRUE;
    else if (frame->type == DUET_FRAME_SIGNAL && frame->length == 4) {
        guint32 number = duet_get_u32(frame->payload);
        monitor->for_good |= asks_for_end(monitor, number) || number == SIGHUP;
    } else if (frame->type == DUET_FRAME_DATA && !hold) {
        client->unread += frame->length;
    } else if (frame->type == DUET_FRAME_DATA) {
        if (!client->held)
            client->held = g_byte_array_new();
        /* More than its credit is a client's fault, and nobody's loss but its own. */
        if (client->held->len + frame->length <= DUET_CREDIT_INITIAL_BYTES)
            g_byte_array_append(client->held, frame->payload, frame->length);
    }
    return !hold;
}

static void on_session_frame(Client *client, const struct duet_frame *frame)
{
    Monitor *monitor = client->monitor;
    if (client->session == NO_SESSION || frame->channel > DUET_CHANNEL_STDERR)
        return;
    if (frame->type == DUET_FRAME_CREDIT)
        on_credit(client, frame);
    else if ((client->session != 0 || note_word(client, frame)) && monitor->agent)
        duet_link_send(monitor->agent, frame->type, frame->channel, (guint16)client->session,
            frame->payload, frame->length);
}

static void send_held(Client *client)
{
    g_autoptr(GByteArray) held = g_steal_pointer(&client->held);
    for (guint at = 0; held && at < held->len; at += DUET_FRAME_MAX_BYTES)
        duet_link_send(client->monitor->agent, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0,
            held->data + at, MIN(held->len - at, DUET_FRAME_MAX_BYTES));
    client->unread = held ? held->len : 0;
}

void monitor_clients_begin_run(Monitor *monitor)
{
    Client *client = monitor_session_client(monitor, 0);
    if (!client)
        return;
    client->draining = FALSE;
    /* What the last run did not read is lost with it; the client may send as much again. */
    if (client->unread)
        duet_link_send_u32(client->link, DUET_FRAME_CREDIT, DUET_CHANNEL_STDIN, 0, client->unread);
    send_held(client);
    for (guint8 channel = DUET_CHANNEL_STDOUT; channel <= DUET_CHANNEL_STDERR; channel++) {
        client->stale[channel] = client->uncredited[channel];
        if (client->closed[channel])
            duet_link_send(monitor->agent, DUET_FRAME_CLOSE, channel, 0, NULL, 0);
    }
    if (client->input_ended)
        duet_link_send(monitor->agent, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 0, NULL, 0);
}

static void on_kill(Client *client, const struct duet_frame *frame)
{
    Monitor *monitor = client->monitor;
    guint32 signal_number = frame->length == 4 ? duet_get_u32(frame->payload) : 0;
    if (!signal_number || signal_number > 64) {
        send_error(client, DUET_ERROR_INVALID, "no such signal");
        return;
    }
    if (monitor->resting && !asks_for_end(monitor, signal_number) && signal_number != SIGKILL) {
        send_error(client, DUET_ERROR_STATE, "it ended, and waits to be started again");
        return;
    }
    monitor->for_good |= asks_for_end(monitor, signal_number);
    if (signal_number == SIGKILL)
        monitor_stop(monitor, 0);
    else if (monitor->agent)
        duet_link_send_u32(monitor->agent, DUET_FRAME_SIGNAL, 0, 0, signal_number);
    duet_link_send(client->link, DUET_FRAME_OK, 0, 0, NULL, 0);
}

static void on_pause(Client *client, gboolean pause)
{
    Monitor *monitor = client->monitor;
    g_autoptr(GError) error = NULL;
    DuetState from = pause ? DUET_STATE_RUNNING : DUET_STATE_PAUSED;
    if (monitor->info->state != from) {
        send_error(client, DUET_ERROR_STATE, pause ? "it is not running" : "it is not paused");
        return;
    }
    gboolean ok = pause ? duet_runtime_pause(monitor->runtime, &error)
                        : duet_runtime_resume(monitor->runtime, &error);
    if (!ok) {
        send_error(client, error->code, error->message);
        return;
    }
    monitor->info->state = pause ? DUET_STATE_PAUSED : DUET_STATE_RUNNING;
    monitor_save_state(monitor);
    duet_link_send(client->link, DUET_FRAME_OK, 0, 0, NULL, 0);
}

static void on_health(Client *client)
{
    g_autoptr(GError) error = NULL;
    /* Before: the answer may come at once. */
    client->wants_health = TRUE;
    if (monitor_health_run(client->monitor, &error))
        return;
    client->wants_health = FALSE;
    send_error(client, error->code, error->message);
}

static void send_state(Client *client, guint8 type)
{
    g_autofree char *text = duet_info_to_text(client->monitor->info);
    duet_link_send(client->link, type, 0, 0, text, (guint32)strlen(text));
}

static void on_frame(DuetLink *link, const struct duet_frame *frame, gpointer data)
{
    Client *client = data;
    (void)link;
    switch (frame->type) {
    case DUET_FRAME_SPAWN:
        on_exec(client, frame);
        break;
    case DUET_FRAME_DATA:
    case DUET_FRAME_EOF:
    case DUET_FRAME_CLOSE:
    case DUET_FRAME_CREDIT:
    case DUET_FRAME_SIGNAL:
        on_session_frame(client, frame);
        break;
    case DUET_FRAME_STOP:
        client->wants_released = TRUE;
        monitor_stop(client->monitor, frame->length == 4 ? duet_get_u32(frame->payload) : 0);
        break;
    case DUET_FRAME_KILL:
        on_kill(client, frame);
        break;
    case DUET_FRAME_WAIT:
        client->wants_released = TRUE;
        break;
    case DUET_FRAME_STATE:
        send_state(client, DUET_FRAME_STATE);
        break;
    case DUET_FRAME_HEALTH:
        on_health(client);
        break;
    case DUET_FRAME_PAUSE:
    case DUET_FRAME_RESUME:
        on_pause(client, frame->type == DUET_FRAME_PAUSE);
        break;
    default:
        break;
    }
}

static void on_closed(DuetLink *link, gpointer data)
{
    Client *client = data;
    Monitor *monitor = client->monitor;
    leave_session(client);
    duet_link_free(link);
    g_clear_pointer(&client->held, g_byte_array_unref);
    g_ptr_array_remove_fast(monitor->clients, client);
    if (monitor->over)
        g_main_loop_quit(monitor->loop);
}

Client *monitor_client_add(Monitor *monitor, int fd)
{
    Client *client = g_new0(Client, 1);
    client->monitor = monitor;
    client->session = NO_SESSION;
    g_ptr_array_add(monitor->clients, client);
    client->link = duet_link_new(fd, on_frame, on_closed, client);
    return client;
}

static gboolean on_connection(int fd, GIOCondition condition, gpointer data)
{
    (void)condition;
    int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection >= 0)
        monitor_client_add(data, connection);
    return G_SOURCE_CONTINUE;
}

void monitor_clients_listen(Monitor *monitor)
{
    monitor->listen_source =
        duet_loop_add_fd(monitor->listen_fd, G_IO_IN, G_PRIORITY_DEFAULT, on_connection, monitor);
}

void monitor_clients_tell_started(Monitor *monitor)
{
    for (guint i = 0; i < monitor->clients->len; i++) {
        Client *client = monitor->clients->pdata[i];
        if (client->wants_started)
            duet_link_send(client->link, DUET_FRAME_STARTED, 0, 0, NULL, 0);
    }
}

/* An exec that was under way when the instance ended was killed with it. */
static void tell_killed(Client *client)
{
    guint8 status[8];
    duet_put_u32(status, 128 + SIGKILL);
    duet_put_u32(status + 4, SIGKILL);
    duet_link_send(client->link, DUET_FRAME_EXIT, 0, 0, status, sizeof status);
}

void monitor_clients_end_run(Monitor *monitor)
{
    for (guint i = 0; i < monitor->clients->len; i++) {
        Client *client = monitor->clients->pdata[i];
        if (client->session <= 0)
            continue;
        tell_killed(client);
        monitor->sessions[client->session] = NULL;
        client->session = NO_SESSION;
    }
}

void monitor_clients_tell_released(Monitor *monitor)
{
    for (guint i = 0; i < monitor->clients->len; i++) {
        Client *client = monitor->clients->pdata[i];
        if (client->session > 0)
            tell_killed(client);
        else if (monitor->failure && client->wants_started)
            send_error(client, monitor->failure->code, monitor->failure->message);
        if (client->wants_released)
            send_state(client, DUET_FRAME_RELEASED);
    }
}
