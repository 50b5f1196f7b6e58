/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Health checks: a command of the instance's own that the monitor has the agent run from time to
 * time, in a session that no client has. There is never more than one.
 */
#include "core/duration.h"
#include "core/fields.h"
#include "core/health.h"
#include "core/loop.h"
#include "monitor-private.h"

#include <duet/error.h>

#include <signal.h>
#include <string.h>

/*
 * @limit_timer: a check is under way
 * @session: NO_SESSION, or that of a check that has not ended: @late if that is only left to go
 * @began_ran_us: how long the payload had run then
 */
struct _MonitorHealth {
    guint timer, limit_timer;
    int session;
    gboolean late;
    gint64 began_us;
    gint64 began_ran_us;
    GByteArray *output;
};

static void schedule(Monitor *monitor);

static gint64 ran_us(const Monitor *monitor)
{
    gint64 began_ns = monitor->info->marks.ns[DUET_MARK_EXEC];
    return began_ns ? (duet_now_ns() - began_ns) / 1000 : 0;
}

static void tell_waiting(Monitor *monitor, gboolean passed)
{
    for (guint i = 0; i < monitor->clients->len; i++) {
        Client *client = monitor->clients->pdata[i];
        const char *word = passed ? DUET_HEALTH_PASSED : DUET_HEALTH_FAILED;
        if (client->wants_health)
            duet_link_send(client->link, DUET_FRAME_OK, 0, 0, word, (guint32)strlen(word));
        client->wants_health = FALSE;
    }
}

static void act(Monitor *monitor)
{
    DuetInfo *info = monitor->info;
    static const char *const done[] = { [DUET_HEALTH_KILL] = "killed",
        [DUET_HEALTH_RESTART] = "restarted",
        [DUET_HEALTH_STOP] = "stopped" };
    DuetHealthAction action = monitor->spec->health.on_failure;
    if (action == DUET_HEALTH_NOTHING || monitor->stopping)
        return;
    g_free(info->error);
    info->error = g_strdup_printf(
        "its health check failed %d times: it was %s", info->health->failing_streak, done[action]);
    switch (action) {
    case DUET_HEALTH_KILL:
        monitor_shut_down(monitor, 0);
        break;
    case DUET_HEALTH_RESTART:
        monitor_end_for_another(monitor, STOP_GRACE_MS);
        break;
    case DUET_HEALTH_STOP:
        monitor_stop(monitor, STOP_GRACE_MS);
        break;
    case DUET_HEALTH_NOTHING:
        break;
    }
}

static void tell_status(Monitor *monitor)
{
    g_auto(GVariantDict) attributes = G_VARIANT_DICT_INIT(NULL);
    g_variant_dict_insert(
        &attributes, "health_status", "s", duet_health_to_string(monitor->info->health->status));
    monitor_tell_event(monitor, DUET_EVENT_HEALTH_STATUS, g_variant_dict_end(&attributes));
}

static void note(Monitor *monitor, int exit_code, const char *output, gsize length)
{
    struct _MonitorHealth *state = monitor->health;
    DuetHealth *health = monitor->info->health;
    DuetHealthStatus before = health->status;
    duet_loop_remove(&state->limit_timer);
    gboolean fell = duet_health_note(health, &monitor->spec->health, state->began_ran_us,
        duet_health_result_new(state->began_us, g_get_real_time(), exit_code, output, length));
    if (health->status != before) {
        monitor_save_state(monitor);
        tell_status(monitor);
        if (health->status == DUET_HEALTH_HEALTHY)
            monitor_tell_ready(monitor);
    }
    tell_waiting(monitor, exit_code == 0);
    schedule(monitor);
    if (fell)
        act(monitor);
}

static gboolean on_limit(gpointer data)
{
    Monitor *monitor = data;
    struct _MonitorHealth *state = monitor->health;
    state->limit_timer = 0;
    /* Time that it could not use is not its own: once more. */
    if (monitor->info->state == DUET_STATE_PAUSED) {
        state->limit_timer = duet_loop_add_timeout(
            (guint)(monitor->spec->health.timeout_us / 1000), on_limit, monitor);
        return G_SOURCE_REMOVE;
    }
    g_autofree char *limit = duet_format_duration(monitor->spec->health.timeout_us);
    g_autofree char *text = g_strdup_printf("the check took longer than %s and was killed", limit);
    if (monitor->agent)
        duet_link_send_u32(monitor->agent, DUET_FRAME_SIGNAL, 0, (guint16)state->session, SIGKILL);
    state->late = TRUE;
    note(monitor, DUET_HEALTH_LATE, text, strlen(text));
    return G_SOURCE_REMOVE;
}

static gboolean can_check(const Monitor *monitor)
{
    return monitor->agent && monitor->started && !monitor->payload_gone && !monitor->stopping &&
        !monitor->saving && monitor->info->state == DUET_STATE_RUNNING;
}

static void note_refusal(Monitor *monitor, const char *why)
{
    note(monitor, DUET_HEALTH_LATE, why, strlen(why));
}

static void begin_check(Monitor *monitor)
{
    const DuetSpec *spec = monitor->spec;
    struct _MonitorHealth *state = monitor->health;
    state->began_us = g_get_real_time();
    state->began_ran_us = ran_us(monitor);
    if (state->session != NO_SESSION) {
        note_refusal(monitor, "the last check was killed and has not ended");
        return;
    }
    g_autoptr(GByteArray) fields = duet_spawn_fields((const char *const *)spec->health.test,
        (const char *const *)spec->env, spec->cwd, spec->user, 0);
    if (fields->len > DUET_FRAME_MAX_SPAWN_BYTES) {
        note_refusal(monitor, "the check and its variables are longer than can be passed");
        return;
    }
    state->session = monitor_session_take(monitor);
    if (state->session == NO_SESSION) {
        note_refusal(monitor, "too many exec sessions at once");
        return;
    }
    g_byte_array_set_size(state->output, 0);
    state->late = FALSE;
    duet_link_send(
        monitor->agent, DUET_FRAME_SPAWN, 0, (guint16)state->session, fields->data, fields->len);
    state->limit_timer =
        duet_loop_add_timeout((guint)(spec->health.timeout_us / 1000), on_limit, monitor);
}

static gboolean on_due(gpointer data)
{
    Monitor *monitor = data;
    monitor->health->timer = 0;
    if (can_check(monitor))
        begin_check(monitor);
    else
        schedule(monitor);
    return G_SOURCE_REMOVE;
}

static void schedule(Monitor *monitor)
{
    struct _MonitorHealth *state = monitor->health;
    gint64 interval_us =
        duet_health_interval(monitor->info->health, &monitor->spec->health, ran_us(monitor));
    duet_loop_remove(&state->timer);
    if (interval_us && !monitor->payload_gone)
        state->timer = duet_loop_add_timeout((guint)MAX(1, interval_us / 1000), on_due, monitor);
}

void monitor_health_begin(Monitor *monitor)
{
    if (!monitor->spec->health.test || monitor->health)
        return;
    monitor->health = g_new0(struct _MonitorHealth, 1);
    monitor->health->session = NO_SESSION;
    monitor->health->output = g_byte_array_new();
    monitor->info->health = duet_health_new();
    schedule(monitor);
}

void monitor_health_end(Monitor *monitor)
{
    struct _MonitorHealth *state = g_steal_pointer(&monitor->health);
    if (!state)
        return;
    duet_loop_remove(&state->timer);
    duet_loop_remove(&state->limit_timer);
    g_byte_array_unref(state->output);
    g_free(state);
    for (guint i = 0; i < monitor->clients->len; i++) {
        Client *client = monitor->clients->pdata[i];
        if (client->wants_health)
            duet_link_send_text(client->link, DUET_FRAME_ERROR, 0, DUET_ERROR_STATE,
                "it ended before its health was known");
        client->wants_health = FALSE;
    }
}

gboolean monitor_health_run(Monitor *monitor, GError **error)
{
    if (monitor->borrowed) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, NOT_RUNNING);
        return FALSE;
    }
    if (!monitor->spec->health.test) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, "it has no health check");
        return FALSE;
    }
    if (monitor->info->state == DUET_STATE_PAUSED) {
        g_set_error_literal(
            error, DUET_ERROR, DUET_ERROR_STATE, "it is paused; let it go on with `duet unpause`");
        return FALSE;
    }
    if (!monitor->health || !can_check(monitor)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE, "%s",
            monitor->saving ? BEING_SAVED : "it is not running");
        return FALSE;
    }
    /* One that is under way answers for this one, too. */
    if (!monitor->health->limit_timer) {
        duet_loop_remove(&monitor->health->timer);
        begin_check(monitor);
    }
    return TRUE;
}

static void take_output(struct _MonitorHealth *state, const struct duet_frame *frame)
{
    guint room = DUET_HEALTH_OUTPUT_MAX - MIN(state->output->len, DUET_HEALTH_OUTPUT_MAX);
    g_byte_array_append(state->output, frame->payload, MIN(room, frame->length));
}

static void finish_check(Monitor *monitor, int exit_code, const void *output, gsize length)
{
    struct _MonitorHealth *state = monitor->health;
    monitor->taken[state->session] = FALSE;
    state->session = NO_SESSION;
    /* Of one that was too late it is known already. */
    if (!state->late)
        note(monitor, exit_code, output, length);
}

void monitor_health_frame(Monitor *monitor, const struct duet_frame *frame)
{
    struct _MonitorHealth *state = monitor->health;
    if (!state || state->session == NO_SESSION || frame->session != (guint16)state->session)
        return;
    if (frame->type == DUET_FRAME_DATA && !state->late)
        take_output(state, frame);
    else if (frame->type == DUET_FRAME_EXIT && frame->length >= 8)
        finish_check(monitor, (int)MIN(duet_get_u32(frame->payload), 255u), state->output->data,
            state->output->len);
    else if (frame->type == DUET_FRAME_FAILED && frame->length >= 4)
        finish_check(monitor, (int)CLAMP(duet_get_u32(frame->payload), 1u, 255u),
            frame->payload + 4, frame->length - 4);
}
