/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changes of a VM that runs beside its cgroup: the driver does its part at once, and the guest
 * takes its time. Everybody is served meanwhile, but for another change.
 */
#include "core/disk-list.h"
#include "core/fields.h"
#include "core/loop.h"
#include "monitor-private.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <string.h>

/* How long a guest may do nothing of what is asked of it. */
#define GUEST_PATIENCE_US (5 * G_USEC_PER_SEC)
#define LOOK_AGAIN_MS 50
/* What a guest must have left. */
#define GUEST_SPARE_BYTES (G_GUINT64_CONSTANT(8) << 20)
#define MESSAGE_MAX_BYTES 512u

void monitor_live_answer(Monitor *monitor, const struct duet_frame *frame)
{
    /* One to a question that was given up does not count. */
    if (frame->length < DUET_CHANGE_ANSWER_BYTES || frame->channel != monitor->guest_question)
        return;
    monitor->guest_answered = TRUE;
    monitor->guest_cpus = duet_get_u32(frame->payload);
    monitor->guest_available_bytes = duet_get_u64(frame->payload + 4);
    g_autofree char *raw = g_strndup((const char *)frame->payload + DUET_CHANGE_ANSWER_BYTES,
        MIN(frame->length - DUET_CHANGE_ANSWER_BYTES, MESSAGE_MAX_BYTES));
    g_free(monitor->guest_message);
    monitor->guest_message = *raw ? g_utf8_make_valid(raw, -1) : NULL;
}

static gboolean on_timeout(gpointer data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_REMOVE;
}

/* Serves whoever comes, for a while, or until the guest answers. Returns: %FALSE if the VM came to
 * its end meanwhile. */
static gboolean step(Monitor *monitor, GError **error)
{
    gboolean over = FALSE;
    guint timer = duet_loop_add_timeout(LOOK_AGAIN_MS, on_timeout, &over);
    monitor->guest_answered = FALSE;
    while (!over && !monitor->guest_answered)
        duet_loop_step();
    if (!over)
        duet_loop_remove(&timer);
    if (monitor->agent && !monitor->over && !monitor->payload_gone && !monitor->stopping)
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, "it ended meanwhile");
    return FALSE;
}

static gboolean is_late(gint64 since_us)
{
    return g_get_monotonic_time() - since_us > GUEST_PATIENCE_US;
}

/* Returns: whether there is an answer. */
static gboolean ask_guest(Monitor *monitor, GByteArray *fields, gint64 since_us, GError **error)
{
    guint8 question = ++monitor->guest_question;
    duet_link_send(monitor->agent, DUET_FRAME_CHANGE, question, 0, fields->data, fields->len);
    do {
        if (!step(monitor, error))
            return FALSE;
        if (monitor->guest_answered)
            return TRUE;
    } while (!is_late(since_us));
    g_set_error_literal(
        error, DUET_ERROR, DUET_ERROR_TIMEOUT, "the guest does not answer; `duet stop` ends it");
    return FALSE;
}

/* Has the guest do what @fields ask, and switch on CPUs until @cpus are. */
static gboolean tell_guest(Monitor *monitor, GByteArray *fields, guint cpus, GError **error)
{
    gint64 since_us = g_get_monotonic_time();
    while (ask_guest(monitor, fields, since_us, error)) {
        if (monitor->guest_message) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, "in the guest: %s",
                monitor->guest_message);
            return FALSE;
        }
        if (monitor->guest_cpus >= cpus)
            return TRUE;
        /* They may not be plugged in yet. */
        if (is_late(since_us)) {
            g_set_error_literal(error, DUET_ERROR, DUET_ERROR_TIMEOUT,
                "the guest has more CPUs now, and does not switch them on");
            return FALSE;
        }
        if (!step(monitor, error))
            return FALSE;
    }
    return FALSE;
}

/* @what: the driver's; @late: what to say of a guest that does not do its part */
static gboolean drive(Monitor *monitor, GVariant *what, const char *late, GError **error)
{
    g_autoptr(GVariant) changes = g_variant_ref_sink(what);
    gint64 since_us = g_get_monotonic_time();
    guint64 left = 0, least = G_MAXUINT64;
    while (duet_runtime_update(monitor->runtime, changes, &left, error)) {
        if (left == 0)
            return TRUE;
        /* What trickles is squeezed out of a guest that has no more to give. */
        if (left < least - least / 16) {
            since_us = g_get_monotonic_time();
            least = left;
        }
        if (is_late(since_us)) {
            g_set_error_literal(error, DUET_ERROR, DUET_ERROR_TIMEOUT, late);
            return FALSE;
        }
        if (!step(monitor, error))
            return FALSE;
    }
    return FALSE;
}

static GVariant *one(const char *key, GVariant *value)
{
    return g_variant_new_parsed("{%s: <%*>}", key, value);
}

/* With nothing left the guest's kernel would kill. */
static gboolean check_available(
    const Monitor *monitor, guint64 from_bytes, guint64 to_bytes, GError **error)
{
    guint64 available = monitor->guest_available_bytes;
    if (to_bytes >= from_bytes || !available ||
        from_bytes - to_bytes + GUEST_SPARE_BYTES <= available)
        return TRUE;
    g_autofree char *wanted = duet_format_bytes(to_bytes);
    g_autofree char *free_text = duet_format_bytes(available);
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "cannot set --memory to %s: only %s of the guest's memory are not in use, and it needs "
        "some",
        wanted, free_text);
    return FALSE;
}

/* Of another's system nobody knows why. */
static const char *late_memory(const Monitor *monitor)
{
    return monitor->spec->disk_image
        ? "its system does not give so much memory back: it is in use, or it has no driver of the "
          "balloon (virtio_balloon)"
        : "the guest does not give so much memory back: it is in use";
}

static gboolean set_memory(Monitor *monitor, guint64 from_bytes, guint64 bytes, GError **error)
{
    g_autoptr(GByteArray) fields = g_byte_array_new();
    duet_fields_add(fields, DUET_FIELD_BALLOON, NULL, 0);
    return tell_guest(monitor, fields, 0, error) &&
        check_available(monitor, from_bytes, bytes, error) &&
        drive(monitor, one(DUET_UPDATE_MEMORY, g_variant_new_uint64(bytes)), late_memory(monitor),
            error);
}

gboolean monitor_live_memory(
    Monitor *monitor, const DuetSpec *from, const DuetSpec *to, GError **error)
{
    if (set_memory(monitor, duet_vm_memory_bytes(from), duet_vm_memory_bytes(to), error))
        return TRUE;
    /* As it was: what it did give back it may have again. */
    guint64 left;
    g_autoptr(GVariant) back = g_variant_ref_sink(
        one(DUET_UPDATE_MEMORY, g_variant_new_uint64(duet_vm_memory_bytes(from))));
    duet_runtime_update(monitor->runtime, back, &left, NULL);
    return FALSE;
}

gboolean monitor_live_limits(Monitor *monitor, const DuetLimits *limits, GError **error)
{
    GVariant *values =
        g_variant_new("(tdb)", limits->memory_bytes, limits->cpus, limits->cpus_is_guard);
    return drive(monitor, one(DUET_UPDATE_LIMITS, values), "", error);
}

/* They are there, whatever its system makes of them. Returns: whether that is how it is. */
static gboolean note_vcpus(Monitor *monitor, guint n, const GError *why)
{
    if (!monitor->spec->disk_image || why->code == DUET_ERROR_STATE)
        return FALSE;
    monitor->change_notice = g_strdup_printf(
        "it has %u vCPUs now, but its system may have left new ones off: %s; a Linux has them by "
        "echo 1 | tee /sys/devices/system/cpu/cpu*/online",
        n, monitor->guest_message ? monitor->guest_message : why->message);
    return TRUE;
}

gboolean monitor_live_vcpus(Monitor *monitor, guint n, GError **error)
{
    g_autoptr(GByteArray) none = g_byte_array_new();
    g_autoptr(GError) why = NULL;
    if (!drive(monitor, one(DUET_UPDATE_VCPUS, g_variant_new_uint32(n)), "", error))
        return FALSE;
    monitor->vcpus = n;
    if (tell_guest(monitor, none, n, &why) || note_vcpus(monitor, n, why))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&why));
    return FALSE;
}

gboolean monitor_live_pids(Monitor *monitor, guint64 limit, GError **error)
{
    g_autoptr(GByteArray) fields = g_byte_array_new();
    guint8 number[8];
    duet_put_u64(number, limit ? limit : G_MAXUINT64);
    duet_fields_add(fields, DUET_FIELD_PIDS_LIMIT, number, sizeof number);
    return tell_guest(monitor, fields, 0, error);
}

gboolean monitor_live_disks(
    Monitor *monitor, const DuetSpec *from, const DuetSpec *to, GError **error)
{
    g_auto(GStrv) gone = duet_disk_list_missing(from, to);
    g_auto(GStrv) come = duet_disk_list_missing(to, from);
    for (char **text = gone; *text; text++)
        if (!drive(monitor, one(DUET_UPDATE_DETACH, g_variant_new_bytestring(*text)),
                "the guest does not let go of the disk; try again, or stop it first", error))
            return FALSE;
    for (char **text = come; *text; text++)
        if (!drive(monitor, one(DUET_UPDATE_ATTACH, g_variant_new_bytestring(*text)), "", error))
            return FALSE;
    return TRUE;
}
