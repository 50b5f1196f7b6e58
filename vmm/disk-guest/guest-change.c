/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-change.h"
#include "guest-json.h"

#include <string.h>

/* What its balloon is given to tell; the monitor waits longer for the answer. */
#define BALLOON_POLL_MS 100
#define BALLOON_POLLS 20

struct _DuetGuestChange {
    DuetLink *monitor;
    DuetGuestAgent *agent;
    const DuetGuestHost *host;
    gpointer host_data;
    gboolean agent_is_there;
    guint8 number; /* of the question to the balloon */
    guint poll_source, polls;
};

/* A question about CPUs. @asked: those that are off were to be switched on */
typedef struct {
    DuetGuestChange *change;
    guint8 number;
    gboolean asked;
} Question;

/* @text: (nullable): what failed */
static void answer(
    DuetGuestChange *change, guint8 number, guint32 cpus, guint64 available, const char *text)
{
    g_autoptr(GByteArray) bytes = g_byte_array_sized_new(DUET_CHANGE_ANSWER_BYTES);
    g_byte_array_set_size(bytes, DUET_CHANGE_ANSWER_BYTES);
    duet_put_u32(bytes->data, cpus);
    duet_put_u64(bytes->data + 4, available);
    if (text)
        g_byte_array_append(bytes, (const guint8 *)text, (guint)strlen(text));
    duet_link_send(change->monitor, DUET_FRAME_CHANGE, number, 0, bytes->data, bytes->len);
}

/* ---- memory ---- */

static void stop_polling(DuetGuestChange *change)
{
    if (!change->poll_source)
        return;
    g_source_remove(change->poll_source);
    change->poll_source = 0;
    change->host->watch_memory(change->host_data, FALSE);
}

/* A system whose driver tells nothing may give memory back all the same. */
static gboolean on_poll(gpointer data)
{
    DuetGuestChange *change = data;
    guint64 available = change->host->available(change->host_data);
    if (!available && --change->polls > 0)
        return G_SOURCE_CONTINUE;
    stop_polling(change);
    answer(change, change->number, 0, available, NULL);
    return G_SOURCE_REMOVE;
}

static void ask_balloon(DuetGuestChange *change, guint8 number)
{
    stop_polling(change);
    change->number = number;
    change->polls = BALLOON_POLLS;
    change->host->watch_memory(change->host_data, TRUE);
    change->poll_source = g_timeout_add(BALLOON_POLL_MS, on_poll, change);
}

/* ---- CPUs ---- */

static void ask(Question *question, const char *request, DuetGuestAnswer then)
{
    duet_guest_agent_call(question->change->agent, request, then, g_atomic_rc_box_acquire(question),
        g_atomic_rc_box_release);
}

static void on_vcpus(gpointer data, const char *reply, const GError *error);

static void on_switched(gpointer data, const char *reply, const GError *error)
{
    Question *question = data;
    (void)reply;
    if (error)
        answer(question->change, question->number, 0, 0, error->message);
    else
        ask(question, DUET_GUEST_VCPUS_REQUEST, on_vcpus);
}

static void on_vcpus(gpointer data, const char *reply, const GError *error)
{
    Question *question = data;
    g_autoptr(GArray) off = NULL;
    g_autoptr(GError) failure = error ? g_error_copy(error) : NULL;
    int on = reply ? duet_guest_vcpus(reply, &off, &failure) : -1;
    if (on < 0) {
        answer(question->change, question->number, 0, 0, failure->message);
    } else if (off->len == 0 || question->asked) {
        answer(question->change, question->number, (guint32)on, 0, NULL);
    } else {
        g_autofree char *request = duet_guest_switch_on_request(off);
        question->asked = TRUE;
        ask(question, request, on_switched);
    }
}

static void ask_agent(DuetGuestChange *change, guint8 number)
{
    if (!change->agent_is_there) {
        answer(change, number, 0, 0, "no guest agent answers that would switch them on");
        return;
    }
    Question *question = g_atomic_rc_box_new0(Question);
    question->change = change;
    question->number = number;
    ask(question, DUET_GUEST_VCPUS_REQUEST, on_vcpus);
    g_atomic_rc_box_release(question);
}

/* ---- all of it ---- */

void duet_guest_change_frame(DuetGuestChange *change, const struct duet_frame *frame)
{
    size_t cursor = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;
    while (duet_field_next(frame->payload, frame->length, &cursor, &tag, &bytes, &length) > 0)
        if (tag == DUET_FIELD_BALLOON) {
            ask_balloon(change, frame->channel);
            return;
        }
    ask_agent(change, frame->channel);
}

void duet_guest_change_set_agent(DuetGuestChange *change, gboolean is_there)
{
    change->agent_is_there = is_there;
}

DuetGuestChange *duet_guest_change_new(
    DuetLink *monitor, DuetGuestAgent *agent, const DuetGuestHost *host, gpointer host_data)
{
    DuetGuestChange *change = g_new0(DuetGuestChange, 1);
    change->monitor = monitor;
    change->agent = agent;
    change->host = host;
    change->host_data = host_data;
    return change;
}

void duet_guest_change_free(DuetGuestChange *change)
{
    if (!change)
        return;
    g_clear_handle_id(&change->poll_source, g_source_remove);
    g_free(change);
}
