/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-fixture.h"

#include <string.h>
#include <sys/socket.h>

#include <duet/error.h>

#include "core/util.h"

#define PLACE "/var/tmp/duet-errand.x.y"

static char *ask_file(GuestFixture *fixture, const char *request)
{
    const char *data = strstr(request, "\"buf-b64\":\"");
    if (strstr(request, "guest-file-open")) {
        fixture->opened++;
        g_byte_array_set_size(fixture->written, 0);
        return g_strdup("{\"return\":1000}");
    }
    if (strstr(request, "guest-file-close")) {
        fixture->opened--;
        return g_strdup("{\"return\":{}}");
    }
    if (data) {
        g_autofree char *text = g_strndup(data + 11, strcspn(data + 11, "\""));
        gsize length = 0;
        g_autofree guchar *bytes = g_base64_decode(text, &length);
        g_byte_array_append(fixture->written, bytes, (guint)length);
        return g_strdup_printf("{\"return\":{\"count\":%zu,\"eof\":false}}", length);
    }
    gsize most = fixture->hostile ? fixture->file->len : 100000;
    gsize length = MIN(fixture->file->len - fixture->at, most);
    /* An empty array has no data. */
    g_autofree char *text =
        g_base64_encode(length ? fixture->file->data + fixture->at : (const guchar *)"", length);
    fixture->at += length;
    return g_strdup_printf("{\"return\":{\"count\":%zu,\"buf-b64\":\"%s\",\"eof\":%s}}", length,
        text, fixture->at == fixture->file->len ? "true" : "false");
}

/* Returns: NULL for what is no part of an errand. */
static char *ask_errand(GuestFixture *fixture, const char *request)
{
    if (strstr(request, "guest-file-"))
        return ask_file(fixture, request);
    if (strstr(request, "guest-network"))
        return g_strdup(fixture->has_address ? "{\"return\":[" INTERFACE("10.0.2.15") "]}"
                                             : "{\"return\":[" INTERFACE("127.0.0.1") "]}");
    if (strstr(request, "\"guest-exec\"")) {
        const char *word = strstr(request, "mktemp") ? "mktemp"
            : strstr(request, "\"rm\"")              ? "rm"
            : strstr(request, "\"errand\"")          ? "errand"
                                                     : "";
        g_strlcpy(fixture->last, word, sizeof fixture->last);
        fixture->removals += g_str_equal(word, "rm");
        if (g_str_equal(word, "mktemp"))
            fixture->was_left = strstr(request, "\"" PLACE "\"") != NULL;
        return NULL;
    }
    if (g_str_equal(fixture->last, "mktemp") && fixture->place_status)
        return g_strdup(fixture->place_status);
    if (g_str_equal(fixture->last, "mktemp")) {
        g_autofree char *place = g_base64_encode((const guchar *)PLACE, strlen(PLACE));
        return g_strdup_printf(
            "{\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"%s\"}}", place);
    }
    if (g_str_equal(fixture->last, "rm"))
        return g_strdup(WELL);
    return *fixture->last ? g_strdup(fixture->errand_status) : NULL;
}

/* Two CPUs, of which one may be off. */
static char *ask_vcpus(GuestFixture *fixture, const char *request)
{
    if (strstr(request, "set-vcpus")) {
        g_assert_cmpstr(request, ==,
            "{\"execute\":\"guest-set-vcpus\",\"arguments\":{\"vcpus\":[{\"logical-id\":1,"
            "\"online\":true}]}}");
        fixture->second_is_on = !fixture->stays_off;
        return g_strdup("{\"return\":1}");
    }
    return g_strdup_printf("{\"return\":[{\"logical-id\":0,\"online\":true},{\"logical-id\":1,"
                           "\"online\":%s,\"can-offline\":true}]}",
        fixture->second_is_on ? "true" : "false");
}

/* A guest agent whose every program runs for a moment and writes 300000 bytes. */
static char *ask(gpointer data, const char *request, GError **error)
{
    GuestFixture *fixture = data;
    if (strstr(request, "nowhere")) {
        g_set_error_literal(
            error, DUET_ERROR, DUET_ERROR_FAILED, "Failed to execute: No such file or directory");
        return NULL;
    }
    if (fixture->no_removal && strstr(request, "\"rm\"")) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, "it is away");
        return NULL;
    }
    const char *at = strstr(request, "\"guest-set-time\",\"arguments\":{\"time\":");
    if (at && fixture->is_deaf) {
        fixture->is_deaf = FALSE;
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_TIMEOUT, "it does not answer");
        return NULL;
    }
    if (at) {
        fixture->set_time_ns = g_ascii_strtoll(strrchr(at, ':') + 1, NULL, 10);
        return g_strdup("{\"return\":{}}");
    }
    char *answer =
        strstr(request, "-vcpus") ? ask_vcpus(fixture, request) : ask_errand(fixture, request);
    if (answer)
        return answer;
    if (strstr(request, "\"guest-exec\""))
        return g_strdup("{\"return\":{\"pid\":5}}");
    if (g_atomic_int_add(&fixture->asked, 1) == 0)
        return g_strdup("{\"return\":{\"exited\":false}}");
    g_autofree char *bytes = g_strnfill(300000, 'x');
    g_autofree char *encoded = g_base64_encode((const guchar *)bytes, 300000);
    return g_strdup_printf(
        "{\"return\":{\"exited\":true,\"exitcode\":3,\"out-data\":\"%s\"}}", encoded);
}

static void press(gpointer data)
{
    ((GuestFixture *)data)->presses++;
}

static void power_off(gpointer data)
{
    ((GuestFixture *)data)->power_offs++;
}

static void watch_memory(gpointer data, gboolean on)
{
    GuestFixture *fixture = data;
    fixture->watches++;
    g_assert_cmpint(on, ==, fixture->watches % 2);
}

static guint64 available(gpointer data)
{
    return ((GuestFixture *)data)->available;
}

static void set_paused(gpointer data, gboolean paused)
{
    ((GuestFixture *)data)->paused = paused;
}

static const DuetGuestHost host = { ask, press, power_off, watch_memory, available, set_paused };

static void make(GuestFixture *fixture, const char *wait, DuetGuestBegin how)
{
    int monitor[2], console[2];
    fixture->written = g_byte_array_new();
    fixture->file = g_byte_array_new();
    fixture->errand_status = WELL;
    fixture->spec = duet_spec_new();
    fixture->spec->name = g_strdup("box");
    fixture->spec->wait = g_strdup(wait);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console), ==, 0);
    fixture->monitor = monitor[0];
    fixture->console = console[0];
    fixture->proxy =
        duet_guest_proxy_new(fixture->spec, how, monitor[1], console[1], &host, fixture);
}

void guest_set_up(GuestFixture *fixture, gconstpointer wait)
{
    make(fixture, wait, DUET_GUEST_BOOTS);
}

/* What it was to wait for when it booted does not come again. */
void guest_set_up_saved(GuestFixture *fixture, gconstpointer how)
{
    make(fixture, "console:login: ", GPOINTER_TO_INT(how));
}

void guest_tear_down(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    duet_guest_proxy_free(fixture->proxy);
    g_byte_array_unref(fixture->written);
    g_byte_array_unref(fixture->file);
    duet_frame_reader_clear(&fixture->reader);
    duet_fd_clear(&fixture->monitor);
    duet_fd_clear(&fixture->console);
    duet_spec_free(fixture->spec);
}

void guest_tell(GuestFixture *fixture, guint8 type, guint8 channel, guint16 session,
    const void *payload, guint32 length)
{
    guint8 header[DUET_FRAME_HEADER_BYTES];
    duet_frame_header(header, type, channel, session, length);
    g_assert_true(duet_write_all(fixture->monitor, header, sizeof header));
    g_assert_true(duet_write_all(fixture->monitor, payload, length));
}

void guest_tell_u32(
    GuestFixture *fixture, guint8 type, guint8 channel, guint16 session, guint32 value)
{
    guint8 word[4];
    duet_put_u32(word, value);
    guest_tell(fixture, type, channel, session, word, sizeof word);
}

/* The next frame; NULL: none comes for a while. */
const struct duet_frame *guest_next(GuestFixture *fixture)
{
    static struct duet_frame frame;
    for (guint i = 0; i < 300; i++) {
        size_t space;
        if (duet_frame_reader_next(&fixture->reader, &frame) == 1)
            return &frame;
        while (g_main_context_iteration(NULL, FALSE))
            ;
        uint8_t *at = duet_frame_reader_space(&fixture->reader, &space);
        ssize_t n = recv(fixture->monitor, at, space, MSG_DONTWAIT);
        if (n > 0)
            duet_frame_reader_fed(&fixture->reader, (size_t)n);
        else
            g_usleep(1000);
    }
    return NULL;
}

const struct duet_frame *guest_expect(GuestFixture *fixture, guint8 type, guint16 session)
{
    const struct duet_frame *frame = guest_next(fixture);
    g_assert_nonnull(frame);
    g_assert_cmpuint(frame->type, ==, type);
    g_assert_cmpuint(frame->session, ==, session);
    return frame;
}

void guest_spawn(GuestFixture *fixture, guint16 session, const char *program, guint32 flags)
{
    g_autoptr(GByteArray) fields = g_byte_array_new();
    const gsize length = strlen(program);
    const guint8 arg[] = { DUET_FIELD_ARG, (guint8)length, 0, 0, 0 };
    const guint8 word[] = { DUET_FIELD_FLAGS, 4, 0, 0, 0, (guint8)flags, 0, 0, 0 };
    g_byte_array_append(fields, arg, sizeof arg);
    g_byte_array_append(fields, (const guint8 *)program, (guint)length);
    g_byte_array_append(fields, word, sizeof word);
    guest_tell(fixture, DUET_FRAME_SPAWN, 0, session, fields->data, fields->len);
}

void guest_begin(GuestFixture *fixture)
{
    guest_expect(fixture, DUET_FRAME_HELLO, 0);
    guest_spawn(fixture, 0, "", 0);
}

void guest_begin_with_agent(GuestFixture *fixture)
{
    guest_begin(fixture);
    guest_expect(fixture, DUET_FRAME_STARTED, 0);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    guest_expect(fixture, DUET_FRAME_READY, 0);
}

/* After it the guest has nothing of ours. */
void guest_expect_end(GuestFixture *fixture, guint8 type, guint16 session, guint32 code)
{
    const struct duet_frame *frame = guest_expect(fixture, type, session);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, code);
    g_assert_null(guest_next(fixture));
    g_assert_cmpuint(fixture->opened, ==, 0);
    g_assert_cmpuint(fixture->removals, ==, 1);
}

void guest_fill(GuestFixture *fixture, guint length)
{
    for (guint i = 0; i < length; i++)
        g_byte_array_append(fixture->file, (const guint8[]){ (guint8)(i * 7 + i / 251) }, 1);
}

void guest_flood(GuestFixture *fixture, guint beyond_bytes)
{
    const gsize all = DUET_CREDIT_INITIAL_BYTES + beyond_bytes;
    g_autofree char *bytes = g_strnfill(all, 'x');
    const struct duet_frame *frame;
    gsize at = 0, got = 0;
    while (at < all) {
        ssize_t n = send(fixture->console, bytes + at, all - at, MSG_DONTWAIT);
        at += n > 0 ? (gsize)n : 0;
        while ((frame = guest_next(fixture)))
            got += frame->length;
    }
    g_assert_cmpuint(got, ==, DUET_CREDIT_INITIAL_BYTES);
}
