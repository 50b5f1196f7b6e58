/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor's side of the agent's protocol. Every frame is taken for hostile: a payload that
 * broke out of its user, or a guest's kernel, may write them. Bounds are checked by the reader;
 * here a frame for a session that is not there is dropped, and DATA beyond the credit ends the
 * instance.
 */
#include "core/fields.h"
#include "core/loop.h"
#include "monitor-private.h"

#include <duet/error.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* It becomes a part of the state, which must fit into a frame. */
#define MESSAGE_MAX_BYTES 4096u

static void on_hello(Monitor *monitor, const struct duet_frame *frame)
{
    if (frame->length < 20 || duet_get_u32(frame->payload) != DUET_PROTOCOL_VERSION) {
        if (!monitor->failure)
            g_set_error(&monitor->failure, DUET_ERROR, DUET_ERROR_BROKEN,
                "the agent speaks another version of the protocol");
        monitor_shut_down(monitor, 0);
        return;
    }
    monitor->hello = TRUE;
    duet_marks_set(&monitor->info->marks, DUET_MARK_INIT);
    monitor->info->guest_agent_ns = (gint64)duet_get_u64(frame->payload + 4);
    monitor->info->guest_kernel_ns = (gint64)duet_get_u64(frame->payload + 12);
    if (monitor->restored && !monitor->started)
        monitor_restore_done(monitor);
}

static void on_started(Monitor *monitor, Client *client, guint16 session)
{
    if (session == 0 && !monitor->started) {
        monitor->started = monitor->ran = TRUE;
        duet_loop_remove(&monitor->boot_timer);
        duet_marks_set(&monitor->info->marks, DUET_MARK_EXEC);
        /* A borrowed one is for nobody else: it can't be paused, and is not seen to run. */
        if (!monitor->borrowed)
            monitor->info->state = DUET_STATE_RUNNING;
        monitor->info->started_us = g_get_real_time();
        monitor_health_begin(monitor);
        monitor_save_state(monitor);
        monitor_tell_start(monitor, DUET_EVENT_START);
        monitor_clients_tell_started(monitor);
    } else if (session != 0 && client) {
        duet_link_send(client->link, DUET_FRAME_STARTED, 0, 0, NULL, 0);
    }
}

static int failed_code(guint32 exit_code)
{
    switch (exit_code) {
    case 126:
        return DUET_ERROR_NOT_RUNNABLE;
    case 127:
        return DUET_ERROR_COMMAND_NOT_FOUND;
    default:
        return DUET_ERROR_FAILED;
    }
}

static void on_failed(
    Monitor *monitor, Client *client, guint16 session, const struct duet_frame *frame)
{
    if (frame->length < 4 || (session == 0 && monitor->payload_gone))
        return;
    guint32 exit_code = duet_get_u32(frame->payload);
    g_autofree char *raw =
        g_strndup((const char *)frame->payload + 4, MIN(frame->length - 4, MESSAGE_MAX_BYTES));
    g_autofree char *message = g_utf8_make_valid(raw, -1);
    if (session == 0) {
        if (!monitor->failure)
            g_set_error_literal(&monitor->failure, DUET_ERROR, failed_code(exit_code), message);
        monitor->info->exit_code = (int)MIN(exit_code, 255u);
        monitor->exit_known = monitor->payload_gone = TRUE;
        monitor_shut_down(monitor, 2000);
    } else {
        if (client)
            duet_link_send_text(
                client->link, DUET_FRAME_ERROR, 0, (guint32)failed_code(exit_code), message);
        monitor_session_end(monitor, session);
    }
}

/* Returns: FALSE when it was more than there was credit for. */
static gboolean exec_output(
    Monitor *monitor, Client *client, guint16 session, const struct duet_frame *frame)
{
    guint8 channel = frame->channel;
    if (!client) {
        duet_link_send_u32(monitor->agent, DUET_FRAME_CREDIT, channel, session, frame->length);
        return TRUE;
    }
    client->uncredited[channel] += frame->length;
    guint32 most = DUET_CREDIT_INITIAL_BYTES + (client->draining ? DUET_CREDIT_LAST_BYTES : 0);
    if (client->uncredited[channel] > most)
        return FALSE;
    duet_link_send(client->link, DUET_FRAME_DATA, channel, 0, frame->payload, frame->length);
    return TRUE;
}

static void on_data(
    Monitor *monitor, Client *client, guint16 session, const struct duet_frame *frame)
{
    guint8 channel = frame->channel;
    if (channel != DUET_CHANNEL_STDOUT && channel != DUET_CHANNEL_STDERR)
        return;
    if (session == 0) {
        duet_marks_set(&monitor->info->marks, DUET_MARK_OUTPUT);
        if (!duet_log_append(&monitor->log, channel, frame->payload, frame->length) &&
            !monitor->info->error)
            monitor->info->error =
                g_strdup_printf("its log is not complete: %s", g_strerror(errno));
    }
    if (session == 0 ? monitor_attached_output(monitor, frame)
                     : exec_output(monitor, client, session, frame))
        return;
    if (!monitor->failure)
        g_set_error(&monitor->failure, DUET_ERROR, DUET_ERROR_BROKEN,
            "the agent sent more than it had credit for");
    monitor_shut_down(monitor, 0);
}

/* Now at most the pipes' contents come: taken at once, whoever reads how slowly. */
static void on_ended(Monitor *monitor, Client *client, guint16 session)
{
    if (session == 0) {
        monitor_attached_ended(monitor);
        return;
    }
    if (!client || client->draining)
        return;
    client->draining = TRUE;
    for (guint8 channel = DUET_CHANNEL_STDOUT; channel <= DUET_CHANNEL_STDERR; channel++)
        duet_link_send_u32(
            monitor->agent, DUET_FRAME_CREDIT, channel, session, DUET_CREDIT_LAST_BYTES);
}

static void on_exit_frame(
    Monitor *monitor, Client *client, guint16 session, const struct duet_frame *frame)
{
    /* Once: a guest that says it for ever would live for ever. */
    if (frame->length < 8 || (session == 0 && monitor->payload_gone))
        return;
    guint32 code = MIN(duet_get_u32(frame->payload), 255u);
    guint32 exit_signal = MIN(duet_get_u32(frame->payload + 4), 64u);
    if (session == 0) {
        monitor->info->exit_code = (int)code;
        monitor->info->exit_signal = (int)exit_signal;
        monitor->exit_known = monitor->payload_gone = TRUE;
        duet_loop_remove(&monitor->run_timer);
        monitor->info->state = DUET_STATE_STOPPING;
        /* The VM's agent waits for this before it powers off. */
        monitor_shut_down(monitor, STOP_GRACE_MS);
    } else {
        guint8 told[8];
        duet_put_u32(told, code);
        duet_put_u32(told + 4, exit_signal);
        if (client)
            duet_link_send(client->link, DUET_FRAME_EXIT, 0, 0, told, sizeof told);
        monitor_session_end(monitor, session);
    }
}

/* What the payload says of its streams, to all who are attached to it. */
static void on_payload_flow(Monitor *monitor, const struct duet_frame *frame)
{
    if (frame->type == DUET_FRAME_CREDIT)
        monitor_attached_input_taken(monitor, duet_get_u32(frame->payload));
    /* The next run may read what this one does not want. */
    else if (frame->type == DUET_FRAME_EOF || !monitor_may_restart(monitor))
        monitor_attached_send(monitor, frame->type, frame->channel, NULL, 0);
}

static void on_flow(Monitor *monitor, Client *client, const struct duet_frame *frame)
{
    if (frame->channel > DUET_CHANNEL_STDERR ||
        frame->length != (frame->type == DUET_FRAME_CREDIT ? 4 : 0))
        return;
    if (frame->session == 0)
        on_payload_flow(monitor, frame);
    else if (client)
        duet_link_send(client->link, frame->type, frame->channel, 0, frame->payload, frame->length);
}

static void on_frame(DuetLink *link, const struct duet_frame *frame, gpointer data)
{
    Monitor *monitor = data;
    guint16 session = frame->session;
    Client *client = monitor_session_client(monitor, session);
    (void)link;
    if (monitor->health && session != 0 && !client)
        monitor_health_frame(monitor, frame);
    switch (frame->type) {
    case DUET_FRAME_HELLO:
        on_hello(monitor, frame);
        break;
    case DUET_FRAME_QUIET:
        monitor_save_quiet(monitor);
        break;
    case DUET_FRAME_STARTED:
        on_started(monitor, client, session);
        break;
    case DUET_FRAME_READY:
        if (monitor->started && !monitor->info->health)
            monitor_tell_ready(monitor);
        break;
    case DUET_FRAME_FAILED:
        on_failed(monitor, client, session, frame);
        break;
    case DUET_FRAME_DATA:
        on_data(monitor, client, session, frame);
        break;
    case DUET_FRAME_EOF:
    case DUET_FRAME_CLOSE:
    case DUET_FRAME_CREDIT:
        on_flow(monitor, client, frame);
        break;
    case DUET_FRAME_ENDED:
        on_ended(monitor, client, session);
        break;
    case DUET_FRAME_CHANGE:
        monitor_live_answer(monitor, frame);
        break;
    case DUET_FRAME_EXIT:
        on_exit_frame(monitor, client, session, frame);
        break;
    default:
        break;
    }
}

static void on_closed(DuetLink *link, gpointer data)
{
    Monitor *monitor = data;
    duet_link_free(link);
    monitor->agent = NULL;
    if (monitor->over)
        g_main_loop_quit(monitor->loop);
    else
        /* No agent: nothing can be told to it, and nothing will be heard from it. */
        monitor_shut_down(monitor, 3000);
}

void monitor_agent_begin(Monitor *monitor)
{
    g_autoptr(GByteArray) config = duet_config_fields(monitor->spec);
    g_autoptr(GByteArray) spawn = duet_payload_fields(monitor->spec);
    duet_fields_add_window(spawn, monitor->window);
    monitor->agent = duet_link_new(-1, on_frame, on_closed, monitor);
    if (monitor->restored) {
        monitor_restore_begin(monitor);
        return;
    }
    duet_link_send(monitor->agent, DUET_FRAME_CONFIG, 0, 0, config->data, config->len);
    duet_link_send(monitor->agent, DUET_FRAME_SPAWN, 0, 0, spawn->data, spawn->len);
}
