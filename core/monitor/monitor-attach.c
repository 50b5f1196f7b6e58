/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The payload's streams, and those who are attached to it: any number.
 *
 * Output goes to all, and the slowest sets the pace, as a pipe's reader would: what it does not
 * read holds the payload back, and fills no memory of ours. But nobody waits for ever for another
 * one's terminal: who came by itself and reads nothing for a while, with somebody else waiting for
 * it, is let go with a word. The caller of `run` is not.
 *
 * Input is taken from all. Each has a window of its own; what is more than the agent takes of all
 * together waits here. Only who was attached from the start ends the payload's input, or closes its
 * output, by its own end: it is the caller of whom the payload is a part.
 *
 * Where the payload may be started again, they stay attached from run to run. What of output a run
 * left unread is read after it, and concerns no agent any more; what of input it left is lost with
 * it, and what comes while nothing runs is the next one's.
 */
#include "core/loop.h"
#include "monitor-private.h"

#include <duet/error.h>

#include <signal.h>
#include <string.h>

/* How long one may read nothing while others wait for it, and how often that is looked at. */
#define STALL_US (5 * G_USEC_PER_SEC)
#define STALL_CHECK_MS 500
/* Who has so much unread is waited for. */
#define STALL_BYTES (DUET_CREDIT_INITIAL_BYTES - DUET_FRAME_MAX_BYTES)

/* Input under way to the agent, in order; a client that left is NULL. */
typedef struct {
    Client *client;
    guint32 bytes;
} Run;

static Client *next_attached(Monitor *monitor, guint *at)
{
    while (*at < monitor->clients->len) {
        Client *client = monitor->clients->pdata[(*at)++];
        if (client->session == 0)
            return client;
    }
    return NULL;
}

/* The agent gets credit for what the slowest has read. */
static void pay(Monitor *monitor, guint8 channel)
{
    guint32 unread = 0;
    guint at = 0;
    Client *client;
    while ((client = next_attached(monitor, &at)))
        unread = MAX(unread, client->uncredited[channel] - client->stale[channel]);
    if (monitor->owed[channel] > unread && monitor->agent)
        duet_link_send_u32(
            monitor->agent, DUET_FRAME_CREDIT, channel, 0, monitor->owed[channel] - unread);
    monitor->owed[channel] = MIN(monitor->owed[channel], unread);
}

void monitor_attached_leave(Client *client)
{
    Monitor *monitor = client->monitor;
    client->session = NO_SESSION;
    for (guint i = 0; monitor->input_runs && i < monitor->input_runs->len; i++) {
        Run *run = &g_array_index(monitor->input_runs, Run, i);
        if (run->client == client)
            run->client = NULL;
    }
    g_clear_pointer(&client->held, g_byte_array_unref);
    pay(monitor, DUET_CHANNEL_STDOUT);
    pay(monitor, DUET_CHANNEL_STDERR);
    monitor->input_ended |= client->from_start && !client->tty;
    if (!monitor->agent)
        return;
    /* Nobody types any more. A terminal stays as it is, for who attaches next. */
    if (client->from_start && !client->tty)
        duet_link_send(monitor->agent, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 0, NULL, 0);
}

/* ---- output ---- */

static gboolean is_stalled(const Client *client, guint8 channel, gint64 now_us)
{
    return !client->from_start && client->uncredited[channel] >= STALL_BYTES &&
        now_us - client->read_us > STALL_US;
}

static void let_go_if_stalled(Client *client, guint8 channel)
{
    guint at = 0;
    Client *other;
    gboolean waited_for = FALSE;
    if (!is_stalled(client, channel, g_get_monotonic_time()))
        return;
    while ((other = next_attached(client->monitor, &at)))
        waited_for |= other->uncredited[channel] < client->uncredited[channel];
    if (!waited_for)
        return;
    duet_link_send_text(client->link, DUET_FRAME_ERROR, 0, DUET_ERROR_FAILED,
        "nothing of its output was read here for 5 s, and others wait for that: detached");
    monitor_attached_leave(client);
}

static gboolean on_stall_check(gpointer data)
{
    Monitor *monitor = data;
    Client *client;
    guint at = 0, attached = 0;
    while ((client = next_attached(monitor, &at))) {
        attached++;
        for (guint8 channel = DUET_CHANNEL_STDOUT; channel <= DUET_CHANNEL_STDERR; channel++)
            if (client->session == 0)
                let_go_if_stalled(client, channel);
    }
    if (attached > 1)
        return G_SOURCE_CONTINUE;
    monitor->stall_timer = 0;
    return G_SOURCE_REMOVE;
}

void monitor_attach(Client *client, gboolean from_start)
{
    Monitor *monitor = client->monitor;
    guint at = 0;
    if (!monitor->stall_timer && next_attached(monitor, &at))
        monitor->stall_timer = duet_loop_add_timeout(STALL_CHECK_MS, on_stall_check, monitor);
    monitor_client_begin_session(client);
    client->session = 0;
    client->from_start = from_start;
    client->tty = monitor->spec->tty;
    client->input_window = DUET_CREDIT_INITIAL_BYTES;
}

gboolean monitor_attached_output(Monitor *monitor, const struct duet_frame *frame)
{
    guint32 last = monitor->payload_ended ? DUET_CREDIT_LAST_BYTES : 0;
    guint8 channel = frame->channel;
    guint at = 0;
    Client *client;
    monitor->owed[channel] += frame->length;
    if (monitor->owed[channel] > DUET_CREDIT_INITIAL_BYTES + last)
        return FALSE;
    while ((client = next_attached(monitor, &at))) {
        /* It had nothing to read before. */
        if (!client->from_start && client->uncredited[channel] == 0)
            client->read_us = g_get_monotonic_time();
        client->uncredited[channel] += frame->length;
        duet_link_send(client->link, DUET_FRAME_DATA, channel, 0, frame->payload, frame->length);
    }
    pay(monitor, channel);
    return TRUE;
}

void monitor_attached_send(
    Monitor *monitor, guint8 type, guint8 channel, const void *payload, guint32 length)
{
    Client *client;
    guint at = 0;
    while ((client = next_attached(monitor, &at)))
        duet_link_send(client->link, type, channel, 0, payload, length);
}

void monitor_attached_ended(Monitor *monitor)
{
    guint at = 0;
    if (monitor->payload_ended)
        return;
    monitor->payload_ended = TRUE;
    if (!next_attached(monitor, &at))
        return;
    for (guint8 channel = DUET_CHANNEL_STDOUT; channel <= DUET_CHANNEL_STDERR; channel++)
        duet_link_send_u32(monitor->agent, DUET_FRAME_CREDIT, channel, 0, DUET_CREDIT_LAST_BYTES);
}

static void on_credit(Client *client, const struct duet_frame *frame)
{
    guint8 channel = frame->channel;
    guint32 granted = frame->length == 4 ? duet_get_u32(frame->payload) : 0;
    if (granted > client->uncredited[channel])
        return;
    client->uncredited[channel] -= granted;
    client->stale[channel] -= MIN(granted, client->stale[channel]);
    if (!client->from_start)
        client->read_us = g_get_monotonic_time();
    pay(client->monitor, channel);
}

/* ---- input ---- */

/* Nobody reads it any more, but the next run may. */
static gboolean is_held(const Monitor *monitor)
{
    return !monitor->agent || monitor->resting ||
        (monitor->payload_gone && monitor_may_restart(monitor));
}

static void input_forward(Client *client, const guint8 *bytes, guint32 length)
{
    Monitor *monitor = client->monitor;
    if (!monitor->input_runs)
        monitor->input_runs = g_array_new(FALSE, FALSE, sizeof(Run));
    guint n = monitor->input_runs->len;
    Run *last = n ? &g_array_index(monitor->input_runs, Run, n - 1) : NULL;
    if (last && last->client == client) {
        last->bytes += length;
    } else {
        Run run = { client, length };
        g_array_append_val(monitor->input_runs, run);
    }
    monitor->input_used += length;
    duet_link_send(monitor->agent, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, bytes, length);
}

static void input_go_on(Client *client)
{
    Monitor *monitor = client->monitor;
    if (is_held(monitor))
        return;
    while (client->held && client->held->len > 0) {
        guint32 room = DUET_CREDIT_INITIAL_BYTES - monitor->input_used;
        guint32 n = MIN(MIN(client->held->len, room), DUET_FRAME_MAX_BYTES);
        if (n == 0)
            return;
        input_forward(client, client->held->data, n);
        g_byte_array_remove_range(client->held, 0, n);
    }
    if (client->input_ended && !client->end_told)
        duet_link_send(monitor->agent, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 0, NULL, 0);
    client->end_told = client->input_ended;
}

static void on_input(Client *client, const struct duet_frame *frame)
{
    Monitor *monitor = client->monitor;
    /* More than its window: not to be believed. Without a stream nobody would ever take it. */
    if (frame->length == 0 || frame->length > client->input_window || !monitor->spec->open_stdin)
        return;
    client->input_window -= frame->length;
    if (!client->held && !is_held(monitor) &&
        frame->length <= DUET_CREDIT_INITIAL_BYTES - monitor->input_used) {
        input_forward(client, frame->payload, frame->length);
        return;
    }
    if (!client->held)
        client->held = g_byte_array_new();
    g_byte_array_append(client->held, frame->payload, frame->length);
    input_go_on(client);
}

void monitor_attached_input_taken(Monitor *monitor, guint32 bytes)
{
    Client *client;
    guint at = 0;
    bytes = MIN(bytes, monitor->input_used);
    monitor->input_used -= bytes;
    while (bytes > 0) {
        Run *run = &g_array_index(monitor->input_runs, Run, 0);
        guint32 n = MIN(run->bytes, bytes);
        bytes -= n;
        run->bytes -= n;
        if (run->client) {
            run->client->input_window += n;
            duet_link_send_u32(run->client->link, DUET_FRAME_CREDIT, DUET_CHANNEL_STDIN, 0, n);
        }
        if (run->bytes == 0)
            g_array_remove_index(monitor->input_runs, 0);
    }
    while ((client = next_attached(monitor, &at)))
        input_go_on(client);
}

/* ---- from run to run ---- */

/* Whoever sent it may send as much again. */
static void forget_input(Monitor *monitor)
{
    for (guint i = 0; monitor->input_runs && i < monitor->input_runs->len; i++) {
        Run *run = &g_array_index(monitor->input_runs, Run, i);
        if (!run->client)
            continue;
        run->client->input_window += run->bytes;
        duet_link_send_u32(run->client->link, DUET_FRAME_CREDIT, DUET_CHANNEL_STDIN, 0, run->bytes);
    }
    if (monitor->input_runs)
        g_array_set_size(monitor->input_runs, 0);
    monitor->input_used = 0;
}

void monitor_attached_begin_run(Monitor *monitor)
{
    Client *client;
    guint at = 0;
    forget_input(monitor);
    memset(monitor->owed, 0, sizeof monitor->owed);
    while ((client = next_attached(monitor, &at))) {
        for (guint8 channel = DUET_CHANNEL_STDOUT; channel <= DUET_CHANNEL_STDERR; channel++) {
            client->stale[channel] = client->uncredited[channel];
            if (client->closed[channel])
                duet_link_send(monitor->agent, DUET_FRAME_CLOSE, channel, 0, NULL, 0);
        }
        client->end_told = FALSE;
        input_go_on(client);
    }
    if (monitor->input_ended)
        duet_link_send(monitor->agent, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 0, NULL, 0);
}

gboolean monitor_attached_lag(Monitor *monitor)
{
    Client *client;
    guint at = 0;
    while ((client = next_attached(monitor, &at)))
        if (MAX(client->uncredited[DUET_CHANNEL_STDOUT], client->uncredited[DUET_CHANNEL_STDERR]) >
            DUET_CREDIT_INITIAL_BYTES)
            return TRUE;
    return FALSE;
}

/* ---- frames of those who are attached ---- */

/* SIGNAL or RESIZE */
static void on_number(Client *client, const struct duet_frame *frame)
{
    Monitor *monitor = client->monitor;
    if (frame->length != 4)
        return;
    guint32 number = duet_get_u32(frame->payload);
    if (frame->type == DUET_FRAME_RESIZE)
        monitor->window = number; /* the next run's as well */
    else
        monitor->for_good |= monitor_signal_is_end(monitor, number) || number == SIGHUP;
    if (monitor->agent)
        duet_link_send_u32(monitor->agent, frame->type, 0, 0, number);
}

void monitor_attached_frame(Client *client, const struct duet_frame *frame)
{
    DuetLink *agent = client->monitor->agent;
    gboolean output = frame->channel != DUET_CHANNEL_STDIN;
    switch (frame->type) {
    case DUET_FRAME_DATA:
        if (!output)
            on_input(client, frame);
        break;
    case DUET_FRAME_EOF:
        if (output || !client->from_start || client->input_ended)
            break;
        client->input_ended = TRUE;
        input_go_on(client);
        break;
    case DUET_FRAME_CLOSE:
        if (!output || !client->from_start)
            break;
        client->closed[frame->channel] = TRUE;
        if (agent)
            duet_link_send(agent, frame->type, frame->channel, 0, NULL, 0);
        break;
    case DUET_FRAME_CREDIT:
        if (output)
            on_credit(client, frame);
        break;
    default:
        on_number(client, frame);
        break;
    }
}

void monitor_attach_request(Client *client)
{
    Monitor *monitor = client->monitor;
    const char *refusal = NULL;
    if (monitor->borrowed)
        refusal = NOT_RUNNING;
    else if (monitor->saving || monitor->saved)
        refusal = BEING_SAVED;
    else if (monitor->resting)
        refusal = RESTING;
    else if (monitor->payload_gone || monitor->payload_ended || monitor->stopping ||
        !monitor->agent)
        refusal = "it is stopping";
    else if (monitor->info->state == DUET_STATE_PAUSED)
        refusal = "it is paused; let it go on with `duet unpause`";
    else if (client->session != NO_SESSION)
        refusal = "this connection has a session already";
    if (refusal) {
        duet_link_send_text(client->link, DUET_FRAME_ERROR, 0, DUET_ERROR_STATE, refusal);
        return;
    }
    monitor_attach(client, FALSE);
    client->wants_released = TRUE;
    client->wants_started = !monitor->started;
    if (monitor->started)
        duet_link_send(client->link, DUET_FRAME_STARTED, 0, 0, NULL, 0);
}
