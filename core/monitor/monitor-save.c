/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * A save: the agent is made silent (include/duet/protocol.h), and what is to be told to it from
 * then on is kept. The driver writes the memory to `saved.new` and ends the VM; `about` says what
 * this monitor knew: sessions, and the frames that were kept. One rename makes it `saved`, and the
 * instance one that is saved (saved.h); this monitor ends. Whatever fails before the driver is done
 * is taken back by GO_ON: the VM goes on, and who asked is told why.
 *
 * A restore is a start: the driver loads the memory, renames `saved` away, and lets the CPUs run.
 * GO_ON, and what was kept, is sent in place of CONFIG and SPAWN; the agent's HELLO says that its
 * payload runs. If the driver can't, `saved` is still there, and nothing is lost.
 *
 * Of a disk guest the agent is the driver's (vmm/disk-guest/guest-proxy.c): it ends with each run,
 * and the next one knows nothing of its sessions and begins with all credit.
 */
#include "core/fields.h"
#include "core/loop.h"
#include "monitor-private.h"
#include "core/saved.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <string.h>
#include <sys/random.h>

/* Under emulation on a loaded host an agent may take its time. */
#define QUIET_TIMEOUT_MS 60000
#define ENTROPY_BYTES 64

/*
 * Ends the silence, tells what a guest can't know by itself after a while in which it did not run,
 * and then what was held back, by the last monitor and by us.
 * @name: (nullable): a new host name
 * @before: (nullable): an "ay"
 */
static void wake_up(Monitor *monitor, const char *name, GVariant *before)
{
    g_autoptr(GByteArray) held = duet_link_unhold(monitor->agent);
    gsize length = 0;
    g_autoptr(GByteArray) fields = g_byte_array_new();
    guint8 time_ns[8], entropy[ENTROPY_BYTES];
    duet_put_u64(time_ns, (guint64)g_get_real_time() * 1000);
    duet_fields_add(fields, DUET_FIELD_TIME, time_ns, sizeof time_ns);
    if (getrandom(entropy, sizeof entropy, 0) == (ssize_t)sizeof entropy)
        duet_fields_add(fields, DUET_FIELD_ENTROPY, entropy, sizeof entropy);
    duet_fields_add_text(fields, DUET_FIELD_HOSTNAME, name);
    duet_link_send(monitor->agent, DUET_FRAME_GO_ON, 0, 0, fields->data, fields->len);
    const void *frames = before ? g_variant_get_fixed_array(before, &length, 1) : NULL;
    duet_link_send_frames(monitor->agent, frames, length);
    duet_link_send_frames(monitor->agent, held->data, held->len);
}

/* ---- saving ---- */

static const char *refusal(const Monitor *monitor)
{
    if (monitor->saving)
        return "it is being saved already";
    if (monitor->changing)
        return "a change of it (`update`, `disk`) is under way; try again in a moment";
    if (monitor->resting)
        return RESTING;
    if (monitor->payload_gone || monitor->payload_ended || monitor->stopping || !monitor->agent)
        return "it is stopping";
    if (monitor->info->state == DUET_STATE_PAUSED)
        return "it is paused, and its agent can't answer; let it go on with `duet unpause`";
    if (!monitor->started || monitor->helper_gone)
        return "it is starting; try again in a moment";
    for (guint i = 0; i < monitor->clients->len; i++) {
        const Client *client = monitor->clients->pdata[i];
        if (client->session == 0)
            return "somebody is attached to it (`run` without -d, `start -a`, `attach`), and would "
                   "be cut off; leave it by the detach keys of a terminal, or end that client";
        if (client->session > 0)
            return "an `exec` or `cp` is under way in it, and would be cut off; let it end first";
    }
    return monitor->input_used ? "its payload has not read all of its input yet" : NULL;
}

static gboolean on_not_quiet(gpointer data)
{
    Monitor *monitor = data;
    g_autoptr(GError) late = g_error_new_literal(
        DUET_ERROR, DUET_ERROR_TIMEOUT, "its agent does not answer, so nothing was saved");
    monitor->save_timer = 0;
    monitor_save_cancel(monitor, late);
    return G_SOURCE_REMOVE;
}

void monitor_save_request(Client *client)
{
    Monitor *monitor = client->monitor;
    g_autoptr(GError) error = NULL;
    const char *why = monitor->borrowed ? NOT_RUNNING : NULL;
    if (!why && duet_save_check(monitor->spec, &error))
        why = refusal(monitor);
    if (why || error) {
        duet_link_send_text(client->link, DUET_FRAME_ERROR, 0,
            error ? (guint32)error->code : DUET_ERROR_STATE, error ? error->message : why);
        return;
    }
    monitor->saving = client->wants_released = TRUE;
    monitor->saver = client;
    duet_link_send(monitor->agent, DUET_FRAME_QUIESCE, 0, 0, NULL, 0);
    duet_link_hold(monitor->agent);
    monitor->save_timer = duet_loop_add_timeout(QUIET_TIMEOUT_MS, on_not_quiet, monitor);
}

void monitor_save_cancel(Monitor *monitor, const GError *why)
{
    if (!monitor->saving)
        return;
    monitor->saving = FALSE;
    duet_loop_remove(&monitor->save_timer);
    if (monitor->agent)
        wake_up(monitor, NULL, NULL);
    duet_saved_tidy(monitor->dir_fd);
    if (!monitor->saver)
        return;
    monitor->saver->wants_released = FALSE;
    duet_link_send_text(
        monitor->saver->link, DUET_FRAME_ERROR, 0, (guint32)why->code, why->message);
    monitor->saver = NULL;
}

static GVariant *sessions(const Monitor *monitor)
{
    GVariantBuilder list;
    g_variant_builder_init(&list, G_VARIANT_TYPE("aq"));
    for (guint16 i = 1; i < DUET_SESSIONS_MAX && !monitor->spec->disk_image; i++)
        if (monitor->taken[i])
            g_variant_builder_add(&list, "q", i);
    return g_variant_builder_end(&list);
}

/* Whether a disk guest itself is meant by the frame: its power button. */
static gboolean is_for_disk(const guint8 *frame)
{
    return frame[0] == DUET_FRAME_SIGNAL && frame[2] == 0 && frame[3] == 0;
}

static GVariant *held_new(const Monitor *monitor)
{
    const GByteArray *held = duet_link_held(monitor->agent);
    g_autoptr(GByteArray) kept = g_byte_array_new();
    guint length;
    for (guint at = 0; at < held->len; at += length) {
        length = DUET_FRAME_HEADER_BYTES + duet_get_u32(held->data + at + 4);
        if (!monitor->spec->disk_image || is_for_disk(held->data + at))
            g_byte_array_append(kept, held->data + at, length);
    }
    return g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, kept->data, kept->len, 1);
}

static GVariant *about_new(const Monitor *monitor, GVariant *driver)
{
    gint64 ran_us = g_get_real_time() - monitor->info->started_us;
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_variant_dict_insert(&dict, DUET_SAVED_PROTOCOL, "u", DUET_PROTOCOL_VERSION);
    g_variant_dict_insert(&dict, DUET_SAVED_HOSTNAME, "^ay", monitor->spec->hostname);
    g_variant_dict_insert(&dict, DUET_SAVED_VCPUS, "u", monitor->vcpus);
    g_variant_dict_insert(&dict, DUET_SAVED_VCPUS_MAX, "u", monitor->vcpus_max);
    g_variant_dict_insert(&dict, DUET_SAVED_MEMORY_MAX, "t", monitor->memory_max_bytes);
    g_variant_dict_insert_value(&dict, DUET_SAVED_SESSIONS, sessions(monitor));
    g_variant_dict_insert_value(&dict, DUET_SAVED_HELD, held_new(monitor));
    g_variant_dict_insert(&dict, DUET_SAVED_INPUT_ENDED, "b", monitor->input_ended);
    g_variant_dict_insert(&dict, DUET_SAVED_RAN_MS, "x", monitor->ran_ms + MAX(ran_us, 0) / 1000);
    g_variant_dict_insert(&dict, DUET_SAVED_DRIVER, "@a{sv}", driver);
    return g_variant_dict_end(&dict);
}

/* The VM is gone by then: what fails now is told at its end. */
static void commit(Monitor *monitor, GVariant *driver)
{
    GError *error = NULL;
    if (!duet_saved_commit(monitor->dir_fd, about_new(monitor, driver), &error)) {
        g_clear_error(&monitor->failure);
        g_propagate_prefixed_error(&monitor->failure, error, "its state was lost: ");
    }
    monitor->saved = error == NULL;
}

void monitor_save_quiet(Monitor *monitor)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GVariant) driver = NULL;
    if (!monitor->saving)
        return;
    duet_loop_remove(&monitor->save_timer);
    if (!duet_saved_begin(monitor->dir_fd, &error) ||
        !duet_runtime_save(monitor->runtime, &driver, &error)) {
        monitor_save_cancel(monitor, error);
        return;
    }
    monitor->for_good = TRUE;
    commit(monitor, driver);
    monitor->saving = FALSE;
    monitor->saver = NULL;
    /* Its end is no news. */
    duet_link_free(g_steal_pointer(&monitor->agent));
}

/* ---- restoring ---- */

gboolean monitor_can_be_saved(const Monitor *monitor)
{
    return monitor->spec->kind == DUET_KIND_VM && !monitor->borrowed;
}

gboolean monitor_saved_load(Monitor *monitor, GError **error)
{
    guint32 protocol = 0;
    g_clear_pointer(&monitor->restored, g_variant_unref);
    g_clear_pointer(&monitor->place.saved, g_variant_unref);
    monitor->ran_ms = 0;
    monitor->vcpus = duet_vm_vcpus(monitor->spec);
    if (!monitor_can_be_saved(monitor))
        return TRUE;
    duet_saved_tidy(monitor->dir_fd);
    if (!duet_saved_is_there(monitor->dir_fd))
        return TRUE;
    g_autoptr(GVariant) about = duet_saved_read(monitor->dir_fd, error);
    if (!about) {
        g_prefix_error(error, "the saved state is broken: ");
    } else if (!g_variant_lookup(about, DUET_SAVED_PROTOCOL, "u", &protocol) ||
        protocol != DUET_PROTOCOL_VERSION ||
        !g_variant_lookup(about, DUET_SAVED_DRIVER, "@a{sv}", &monitor->place.saved)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "the saved state is broken, or of another version of duet");
    } else {
        g_variant_lookup(about, DUET_SAVED_RAN_MS, "x", &monitor->ran_ms);
        g_variant_lookup(about, DUET_SAVED_VCPUS, "u", &monitor->vcpus);
        monitor->restored = g_steal_pointer(&about);
        return TRUE;
    }
    return FALSE;
}

static void take_sessions(Monitor *monitor)
{
    g_autoptr(GVariant) list =
        g_variant_lookup_value(monitor->restored, DUET_SAVED_SESSIONS, G_VARIANT_TYPE("aq"));
    GVariantIter iter;
    guint16 session;
    g_variant_lookup(monitor->restored, DUET_SAVED_INPUT_ENDED, "b", &monitor->input_ended);
    if (!list)
        return;
    g_variant_iter_init(&iter, list);
    while (g_variant_iter_next(&iter, "q", &session))
        if (session < DUET_SESSIONS_MAX)
            monitor->taken[session] = TRUE;
}

void monitor_restore_begin(Monitor *monitor)
{
    take_sessions(monitor);
    duet_link_hold(monitor->agent);
}

void monitor_restore_connected(Monitor *monitor)
{
    g_autofree char *was = NULL;
    g_variant_lookup(monitor->restored, DUET_SAVED_HOSTNAME, "^ay", &was);
    g_autoptr(GVariant) held =
        g_variant_lookup_value(monitor->restored, DUET_SAVED_HELD, G_VARIANT_TYPE("ay"));
    const char *name = monitor->spec->hostname;
    g_variant_lookup(monitor->restored, DUET_SAVED_VCPUS_MAX, "u", &monitor->vcpus_max);
    g_variant_lookup(monitor->restored, DUET_SAVED_MEMORY_MAX, "t", &monitor->memory_max_bytes);
    wake_up(monitor, g_strcmp0(was, name) == 0 ? NULL : name, held);
}

void monitor_restore_done(Monitor *monitor)
{
    monitor->started = monitor->ran = TRUE;
    duet_loop_remove(&monitor->boot_timer);
    duet_marks_set(&monitor->info->marks, DUET_MARK_EXEC);
    monitor->info->state = DUET_STATE_RUNNING;
    monitor->info->started_us = g_get_real_time();
    duet_saved_tidy(monitor->dir_fd);
    monitor_health_begin(monitor);
    monitor_save_state(monitor);
    monitor_tell_start(monitor, DUET_EVENT_RESTORE);
    monitor_clients_tell_started(monitor);
}
