/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-ready.h"
#include "guest-errand.h"

#include <duet/error.h>

#include <string.h>

#define ADDRESS_POLL_MS 1000
/* What mount(2) says where the file system is not known. */
#define NO_VIRTIOFS "No such device"

struct _DuetGuestReady {
    const DuetSpec *spec;
    DuetGuestAgent *agent;
    DuetGuestPlaces *places;
    const DuetGuestReadyEvents *events;
    gpointer data;
    GRegex *awaited;
    char **mounts;
    DuetGuestErrand *errand;
    gboolean agent_is_there, mounted, mount_again, has_address, asking, asked_another;
    guint poll_source;
};

static gboolean waits_for(const DuetGuestReady *ready, const char *what)
{
    return g_strcmp0(ready->spec->wait, what) == 0;
}

/* ---- folders ---- */

static void mount_folders(DuetGuestReady *ready);

static void tell_mount_failure(DuetGuestReady *ready, const char *why)
{
    g_autofree char *text = g_strconcat("cannot mount its folders: ", why,
        strstr(why, NO_VIRTIOFS) ? " (its kernel has no virtiofs)" : "", NULL);
    ready->events->failed(ready->data, text);
}

/* Without its agent it is tried again when that is back. */
static void on_mounted(gpointer data, DuetGuestStatus *status, const char *failure)
{
    DuetGuestReady *ready = data;
    g_autofree char *why = g_strdup(failure);
    if (status && status->exit_code != 0) {
        g_autofree char *said = duet_guest_said(status->out[1], 1000);
        why = *said ? g_utf8_make_valid(said, -1) : g_strdup("the program for it failed");
    }
    g_clear_pointer(&ready->errand, duet_guest_errand_free);
    ready->mounted = !why && !ready->mount_again;
    if (ready->mount_again)
        mount_folders(ready);
    else if (!why)
        ready->events->changed(ready->data);
    else if (ready->agent_is_there)
        tell_mount_failure(ready, why);
}

static void mount_folders(DuetGuestReady *ready)
{
    static const DuetGuestErrandEvents events = { NULL, NULL, on_mounted };
    ready->mount_again = ready->errand != NULL;
    if (!ready->mounts || ready->errand)
        return;
    ready->errand = duet_guest_errand_new(ready->agent, DUET_GUEST_ERRAND_PLAIN,
        (const char *const *)ready->mounts, ready->places, &events, ready);
}

/* "<tag>\0<target>\0<options>" */
static void add_words(GStrvBuilder *words, const char *at, const char *end)
{
    while (at <= end) {
        g_autofree char *word = g_strndup(at, (gsize)(end - at));
        g_strv_builder_add(words, word);
        at += strlen(word) + 1;
    }
}

void duet_guest_ready_config(DuetGuestReady *ready, const struct duet_frame *frame)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    gboolean any = FALSE;
    size_t cursor = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;
    g_strv_builder_add(words, "mount");
    while (duet_field_next(frame->payload, frame->length, &cursor, &tag, &bytes, &length) > 0) {
        if (tag != DUET_FIELD_MOUNT)
            continue;
        add_words(words, (const char *)bytes, (const char *)bytes + length);
        any = TRUE;
    }
    if (!any || ready->mounts)
        return;
    ready->mounts = g_strv_builder_end(words);
    if (ready->agent_is_there)
        mount_folders(ready);
}

/* ---- addresses ---- */

static gboolean ask_address(gpointer data);

static void on_addresses(gpointer data, const char *reply, const GError *error)
{
    DuetGuestReady *ready = data;
    g_auto(GStrv) addresses = reply ? duet_guest_addresses(reply) : NULL;
    gboolean fails = error && !ready->asked_another;
    ready->asking = ready->asked_another = FALSE;
    if (!ready->agent_is_there)
        return;
    if (fails) {
        g_autofree char *text = g_strconcat("cannot wait for its address: ", error->message, NULL);
        ready->events->failed(ready->data, text);
        return;
    }
    ready->has_address = addresses && addresses[0];
    if (ready->has_address)
        ready->events->changed(ready->data);
    else
        ready->poll_source = g_timeout_add(ADDRESS_POLL_MS, ask_address, ready);
}

static gboolean ask_address(gpointer data)
{
    DuetGuestReady *ready = data;
    ready->poll_source = 0;
    if (!ready->agent_is_there || ready->asking)
        return G_SOURCE_REMOVE;
    ready->asking = TRUE;
    duet_guest_agent_call(ready->agent, DUET_GUEST_ADDRESSES_REQUEST, on_addresses, ready, NULL);
    return G_SOURCE_REMOVE;
}

/* ---- all of it ---- */

void duet_guest_ready_set_agent(DuetGuestReady *ready, gboolean is_there)
{
    ready->agent_is_there = is_there;
    if (!is_there) {
        ready->mounted = FALSE;
        return;
    }
    /* One that began anew does not answer what its predecessor was asked. */
    ready->asked_another = ready->asking;
    mount_folders(ready);
    if (waits_for(ready, DUET_WAIT_IP) && !ready->has_address && !ready->poll_source)
        ask_address(ready);
    ready->events->changed(ready->data);
}

gboolean duet_guest_ready_is(const DuetGuestReady *ready, DuetGuestConsole *console)
{
    if (ready->mounts && !ready->mounted)
        return FALSE;
    if (!ready->spec->wait)
        return TRUE;
    if (waits_for(ready, DUET_WAIT_AGENT))
        return ready->agent_is_there;
    if (waits_for(ready, DUET_WAIT_IP))
        return ready->has_address;
    return duet_guest_console_has(console, ready->awaited);
}

static GRegex *awaited_of(const char *wait, GError **error)
{
    /* The console is bytes. */
    return g_regex_new(wait + strlen(DUET_WAIT_CONSOLE), G_REGEX_RAW | G_REGEX_MULTILINE, 0, error);
}

gboolean duet_guest_wait_check(const char *wait, GError **error)
{
    g_autoptr(GError) failure = NULL;
    if (g_str_equal(wait, DUET_WAIT_AGENT) || g_str_equal(wait, DUET_WAIT_IP))
        return TRUE;
    g_autoptr(GRegex) regex =
        g_str_has_prefix(wait, DUET_WAIT_CONSOLE) ? awaited_of(wait, &failure) : NULL;
    if (!regex)
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            failure ? "--wait: %s" : "--wait: '%s' is none of agent, ip, console:REGEX and none",
            failure ? failure->message : wait);
    return regex != NULL;
}

DuetGuestReady *duet_guest_ready_new(const DuetSpec *spec, DuetGuestAgent *agent,
    DuetGuestPlaces *places, const DuetGuestReadyEvents *events, gpointer data)
{
    DuetGuestReady *ready = g_new0(DuetGuestReady, 1);
    ready->spec = spec;
    ready->agent = agent;
    ready->places = places;
    ready->events = events;
    ready->data = data;
    if (spec->wait && g_str_has_prefix(spec->wait, DUET_WAIT_CONSOLE))
        ready->awaited = awaited_of(spec->wait, NULL);
    return ready;
}

void duet_guest_ready_free(DuetGuestReady *ready)
{
    if (!ready)
        return;
    if (ready->poll_source)
        g_source_remove(ready->poll_source);
    duet_guest_errand_free(ready->errand);
    g_strfreev(ready->mounts);
    g_clear_pointer(&ready->awaited, g_regex_unref);
    g_free(ready);
}
