/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor's side of the clients' protocol: run, exec, stop, kill, wait, inspect. */
#include "core/fields.h"
#include "core/loop.h"
#include "monitor-private.h"

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

/* Whoever runs must not wait for a reader that went away: what that was sent counts as read, and
 * stdin ends. Of an exec'ed process nobody is left who could end it: it is hung up, unless it was
 * to be left alone (@hang_up). */
static void leave_session(Client *client, gboolean hang_up)
{
    Monitor *monitor = client->monitor;
    if (client->session == 0)
        monitor_attached_leave(client);
    if (client->session == NO_SESSION)
        return;
    guint16 session = (guint16)client->session;
    monitor->sessions[session] = NULL;
    client->session = NO_SESSION;
    if (!monitor->agent)
        return;
    for (guint8 channel = DUET_CHANNEL_STDOUT; channel <= DUET_CHANNEL_STDERR; channel++)
        if (client->uncredited[channel])
            duet_link_send_u32(
                monitor->agent, DUET_FRAME_CREDIT, channel, session, client->uncredited[channel]);
    if (!client->tty)
        duet_link_send(monitor->agent, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, session, NULL, 0);
    else if (hang_up)
        duet_link_send(monitor->agent, DUET_FRAME_CLOSE, DUET_CHANNEL_STDOUT, session, NULL, 0);
    if (hang_up)
        duet_link_send_u32(monitor->agent, DUET_FRAME_SIGNAL, 0, session, SIGHUP);
}

void monitor_client_begin_session(Client *client)
{
    memset(client->uncredited, 0, sizeof client->uncredited);
    memset(client->stale, 0, sizeof client->stale);
    memset(client->closed, 0, sizeof client->closed);
    client->draining = client->input_ended = client->end_told = FALSE;
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

static gboolean wants_terminal(const struct duet_frame *frame)
{
    size_t cursor = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;
    while (duet_field_next(frame->payload, frame->length, &cursor, &tag, &bytes, &length) > 0)
        if (tag == DUET_FIELD_FLAGS && length == 4)
            return (duet_get_u32(bytes) & DUET_SPAWN_TTY) != 0;
    return FALSE;
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
        send_error(client, DUET_ERROR_STATE, RESTING);
    else if (monitor->saving || monitor->saved)
        send_error(client, DUET_ERROR_STATE, BEING_SAVED);
    else if (monitor->payload_gone || !monitor->agent || monitor->stopping)
        send_error(client, DUET_ERROR_STATE, "it is stopping");
    else if (!monitor->started)
        send_error(client, DUET_ERROR_STATE, "it is starting; try again in a moment");
    else if (monitor->borrowed && !duet_spawn_is_copy(frame->payload, frame->length))
        send_error(client, DUET_ERROR_STATE, NOT_RUNNING);
    else if (monitor->info->state == DUET_STATE_PAUSED)
        send_error(client, DUET_ERROR_STATE, "it is paused; let it go on with `duet unpause`");
    else if (session == NO_SESSION)
        send_error(client, DUET_ERROR_FAILED, "too many exec sessions at once");
    else {
        client->session = session;
        client->tty = wants_terminal(frame);
        monitor->sessions[session] = client;
        monitor->taken[session] = TRUE;
        duet_link_send(
            monitor->agent, DUET_FRAME_SPAWN, 0, (guint16)session, frame->payload, frame->length);
    }
}

gboolean monitor_signal_is_end(const Monitor *monitor, guint32 signal_number)
{
    return signal_number == SIGINT || signal_number == SIGTERM || signal_number == SIGQUIT ||
        signal_number == (guint32)monitor->spec->stop_signal;
}

static void on_session_frame(Client *client, const struct duet_frame *frame)
{
    Monitor *monitor = client->monitor;
    if (client->session == NO_SESSION || frame->channel > DUET_CHANNEL_STDERR)
        return;
    if (client->session == 0) {
        monitor_attached_frame(client, frame);
        return;
    }
    if (!monitor->agent)
        return;
    if (frame->type == DUET_FRAME_CREDIT) {
        guint32 granted = frame->length == 4 ? duet_get_u32(frame->payload) : 0;
        if (granted > client->uncredited[frame->channel])
            return;
        client->uncredited[frame->channel] -= granted;
    }
    duet_link_send(monitor->agent, frame->type, frame->channel, (guint16)client->session,
        frame->payload, frame->length);
}

/* One that is borrowed runs for nobody who would stop it; to remove it by force is to end it. */
static void on_stop(Client *client, guint32 grace_ms)
{
    if (client->monitor->borrowed && !client->lends && grace_ms > 0) {
        send_error(client, DUET_ERROR_STATE, NOT_RUNNING);
        return;
    }
    client->wants_released = TRUE;
    monitor_stop(client->monitor, grace_ms);
}

static void on_kill(Client *client, const struct duet_frame *frame)
{
    Monitor *monitor = client->monitor;
    guint32 signal_number = frame->length == 4 ? duet_get_u32(frame->payload) : 0;
    if (!signal_number || signal_number > 64) {
        send_error(client, DUET_ERROR_INVALID, "no such signal");
        return;
    }
    if (monitor->borrowed) {
        send_error(client, DUET_ERROR_STATE, NOT_RUNNING);
        return;
    }
    if (monitor->resting && !monitor_signal_is_end(monitor, signal_number) &&
        signal_number != SIGKILL) {
        send_error(client, DUET_ERROR_STATE, RESTING);
        return;
    }
    monitor->for_good |= monitor_signal_is_end(monitor, signal_number);
    if (signal_number == SIGKILL)
        monitor_stop(monitor, 0);
    else if (monitor->agent)
        duet_link_send_u32(monitor->agent, DUET_FRAME_SIGNAL, 0, 0, signal_number);
    duet_link_send(client->link, DUET_FRAME_OK, 0, 0, NULL, 0);
}

static void on_pause(Client *client, gboolean pause)
{
    g_autoptr(GError) error = NULL;
    if (monitor_pause(client->monitor, pause, &error))
        duet_link_send(client->link, DUET_FRAME_OK, 0, 0, NULL, 0);
    else
        send_error(client, error->code, error->message);
}

static void tell_updated(Client *client)
{
    g_autofree char *notice = g_steal_pointer(&client->monitor->change_notice);
    duet_link_send(client->link, DUET_FRAME_OK, 0, 0, notice, notice ? (guint32)strlen(notice) : 0);
}

static void on_update(Client *client, const struct duet_frame *frame)
{
    g_autoptr(GError) error = NULL;
    if (monitor_update(client->monitor, (const char *)frame->payload, frame->length, &error))
        tell_updated(client);
    else
        send_error(client, error->code, error->message);
}

/* What was recorded of its last run, if there was one. */
static char *recorded_text(Monitor *monitor)
{
    char *text = duet_file_read(monitor->dir_fd, "state", 4u << 20, NULL, NULL);
    if (text)
        return text;
    g_autoptr(DuetInfo) made = duet_info_new(NULL);
    made->state = DUET_STATE_CREATED;
    return duet_info_to_text(made);
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
    g_autofree char *text = client->monitor->borrowed ? recorded_text(client->monitor)
                                                      : duet_info_to_text(client->monitor->info);
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
    case DUET_FRAME_RESIZE:
        on_session_frame(client, frame);
        break;
    case DUET_FRAME_ATTACH:
        if (frame->length == 4 && duet_get_u32(frame->payload) == 1)
            monitor_attach_request(client);
        else
            leave_session(client, FALSE);
        break;
    case DUET_FRAME_STOP:
        on_stop(client, frame->length == 4 ? duet_get_u32(frame->payload) : 0);
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
    case DUET_FRAME_SAVE:
        monitor_save_request(client);
        break;
    case DUET_FRAME_HEALTH:
        on_health(client);
        break;
    case DUET_FRAME_PAUSE:
    case DUET_FRAME_RESUME:
        on_pause(client, frame->type == DUET_FRAME_PAUSE);
        break;
    case DUET_FRAME_UPDATE:
        on_update(client, frame);
        break;
    default:
        break;
    }
}

static void on_closed(DuetLink *link, gpointer data)
{
    Client *client = data;
    Monitor *monitor = client->monitor;
    leave_session(client, TRUE);
    if (monitor->saver == client)
        monitor->saver = NULL;
    if (client->lends && !monitor->over)
        monitor_stop(monitor, 0);
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
