/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/guest-wake.h"
#include "vmm/guest-errand.h"

#include <duet/protocol.h>

struct _DuetGuestWake {
    DuetGuestAgent *agent;
    DuetGuestPlaces *places;
    void (*done)(gpointer data);
    gpointer data;
    GByteArray *fields;
    DuetGuestErrand *errand;
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

static void on_time_set(gpointer data, const char *reply, const GError *error)
{
    static const DuetGuestErrandEvents events = { on_taken, NULL, on_over };
    static const char *const words[] = { "go-on", NULL };
    DuetGuestWake *wake = data;
    (void)reply;
    (void)error;
    wake->errand = duet_guest_errand_new(
        wake->agent, DUET_GUEST_ERRAND_TAKES, words, wake->places, &events, wake);
    duet_guest_errand_put(wake->errand, wake->fields->data, wake->fields->len);
    duet_guest_errand_put_end(wake->errand);
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
    g_autofree char *request = duet_guest_set_time_request(g_get_real_time() * 1000);
    wake->agent = agent;
    wake->places = places;
    wake->done = done;
    wake->data = data;
    wake->fields = without_time(fields);
    duet_guest_agent_call(agent, request, on_time_set, wake, NULL);
    return wake;
}

void duet_guest_wake_free(DuetGuestWake *wake)
{
    if (!wake)
        return;
    duet_guest_errand_free(wake->errand);
    g_byte_array_unref(wake->fields);
    g_free(wake);
}
