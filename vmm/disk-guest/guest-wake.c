/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-wake.h"
#include "guest-errand.h"

#include <duet/error.h>
#include <duet/protocol.h>

/* An agent that did not answer may be slow, or stopped for a while. */
#define ASK_AGAIN_S 2

/* @again_source: to ask it again */
struct _DuetGuestWake {
    DuetGuestAgent *agent;
    DuetGuestPlaces *places;
    void (*done)(gpointer data);
    gpointer data;
    GByteArray *fields;
    DuetGuestErrand *errand;
    guint again_source;
};

static void on_taken(gpointer data, guint32 bytes)
{
    (void)data;
    (void)bytes;
}

static void on_over(gpointer data, DuetGuestStatus *status, const char *failure)
{
    DuetGuestWake *wake = data;
    (void)status;
    (void)failure;
    wake->done(wake->data);
}

static gboolean on_ask_again(gpointer data);

static void on_time_set(gpointer data, const char *reply, const GError *error)
{
    static const DuetGuestErrandEvents events = { on_taken, NULL, on_over };
    static const char *const words[] = { "go-on", NULL };
    DuetGuestWake *wake = data;
    (void)reply;
    if (g_error_matches(error, DUET_ERROR, DUET_ERROR_TIMEOUT)) {
        wake->again_source = g_timeout_add_seconds(ASK_AGAIN_S, on_ask_again, wake);
        return;
    }
    wake->errand = duet_guest_errand_new(
        wake->agent, DUET_GUEST_ERRAND_TAKES, words, wake->places, &events, wake);
    duet_guest_errand_put(wake->errand, wake->fields->data, wake->fields->len);
    duet_guest_errand_put_end(wake->errand);
}

static void set_time(DuetGuestWake *wake)
{
    g_autofree char *request = duet_guest_set_time_request(g_get_real_time() * 1000);
    duet_guest_agent_call(wake->agent, request, on_time_set, wake, NULL);
}

static gboolean on_ask_again(gpointer data)
{
    DuetGuestWake *wake = data;
    wake->again_source = 0;
    set_time(wake);
    return G_SOURCE_REMOVE;
}

/* An errand takes too long for the time. */
static GByteArray *without_time(const GByteArray *fields)
{
    GByteArray *rest = g_byte_array_new();
    size_t cursor = 0, start = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;
    while (duet_field_next(fields->data, fields->len, &cursor, &tag, &bytes, &length) > 0) {
        if (tag != DUET_FIELD_TIME)
            g_byte_array_append(rest, fields->data + start, (guint)(cursor - start));
        start = cursor;
    }
    return rest;
}

DuetGuestWake *duet_guest_wake_new(DuetGuestAgent *agent, DuetGuestPlaces *places,
    const GByteArray *fields, void (*done)(gpointer data), gpointer data)
{
    DuetGuestWake *wake = g_new0(DuetGuestWake, 1);
    wake->agent = agent;
    wake->places = places;
    wake->done = done;
    wake->data = data;
    wake->fields = without_time(fields);
    set_time(wake);
    return wake;
}

gboolean duet_guest_wake_has_errand(const DuetGuestWake *wake)
{
    return wake && wake->errand;
}

void duet_guest_wake_free(DuetGuestWake *wake)
{
    if (!wake)
        return;
    g_clear_handle_id(&wake->again_source, g_source_remove);
    duet_guest_errand_free(wake->errand);
    g_byte_array_unref(wake->fields);
    g_free(wake);
}
