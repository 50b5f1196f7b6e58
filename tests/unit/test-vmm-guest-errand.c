/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk guests: what duet does inside by the guest agent and a file of its own: copies, folders. */
#include "guest-fixture.h"

#include <signal.h>
#include <string.h>

#include "core/agent.h"

static void test_copy_out(GuestFixture *fixture, gconstpointer wait)
{
    g_autoptr(GByteArray) got = g_byte_array_new();
    const struct duet_frame *frame;
    (void)wait;
    guest_fill(fixture, DUET_CREDIT_INITIAL_BYTES + 150000);
    guest_begin_with_agent(fixture);
    guest_spawn(fixture, 1, "/etc", DUET_SPAWN_PACK);
    guest_expect(fixture, DUET_FRAME_STARTED, 1);
    while ((frame = guest_next(fixture)))
        g_byte_array_append(got, frame->payload, frame->length);
    g_assert_cmpuint(got->len, ==, DUET_CREDIT_INITIAL_BYTES);
    guest_tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 1, 200000);
    while ((frame = guest_next(fixture)) && frame->type == DUET_FRAME_DATA)
        g_byte_array_append(got, frame->payload, frame->length);
    g_assert_cmpmem(got->data, got->len, fixture->file->data, fixture->file->len);
    g_assert_cmpuint(frame->type, ==, DUET_FRAME_EXIT);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 0);
    g_assert_cmpuint(fixture->removals, ==, 1);
    g_assert_cmpuint(fixture->opened, ==, 0);
}

/* More than it was asked for; and a reader that goes away while it waits for one. */
static void test_copy_out_fails(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    guest_fill(fixture, 2 * DUET_CREDIT_INITIAL_BYTES);
    fixture->hostile = TRUE;
    guest_begin_with_agent(fixture);
    guest_spawn(fixture, 1, "/etc", DUET_SPAWN_PACK);
    guest_expect(fixture, DUET_FRAME_STARTED, 1);
    guest_expect_end(fixture, DUET_FRAME_FAILED, 1, 125);
    fixture->hostile = FALSE;
    fixture->at = fixture->removals = 0;
    guest_spawn(fixture, 2, "/etc", DUET_SPAWN_PACK);
    guest_expect(fixture, DUET_FRAME_STARTED, 2);
    while (guest_next(fixture))
        ;
    guest_tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 2, SIGHUP);
    guest_expect_end(fixture, DUET_FRAME_FAILED, 2, 125);
}

/* Of programs that say nothing at all, well or not. */
static void test_silent(GuestFixture *fixture, gconstpointer wait)
{
    static const char *const silent[] = { WELL, "{\"return\":{\"exited\":true,\"exitcode\":1}}" };
    (void)wait;
    guest_begin_with_agent(fixture);
    for (guint16 i = 0; i < G_N_ELEMENTS(silent); i++) {
        fixture->place_status = silent[i];
        guest_spawn(fixture, i + 1, "/etc", DUET_SPAWN_PACK);
        guest_expect(fixture, DUET_FRAME_STARTED, i + 1);
        guest_expect(fixture, DUET_FRAME_FAILED, i + 1);
    }
    fixture->place_status = NULL;
    fixture->errand_status = "{\"return\":{\"exited\":true,\"exitcode\":127}}";
    guest_spawn(fixture, 9, "/etc", DUET_SPAWN_PACK);
    guest_expect(fixture, DUET_FRAME_STARTED, 9);
    guest_expect_end(fixture, DUET_FRAME_FAILED, 9, 125);
}

/* What could not be removed is by the next one, once. */
static void test_left_over(GuestFixture *fixture, gconstpointer wait)
{
    static const gboolean left[] = { FALSE, TRUE, FALSE };
    (void)wait;
    guest_begin_with_agent(fixture);
    for (guint16 i = 0; i < G_N_ELEMENTS(left); i++) {
        fixture->no_removal = i == 0;
        guest_spawn(fixture, i + 1, "/etc", DUET_SPAWN_PACK);
        guest_expect(fixture, DUET_FRAME_STARTED, i + 1);
        g_assert_cmpuint(guest_expect(fixture, DUET_FRAME_EXIT, i + 1)->type, ==, DUET_FRAME_EXIT);
        g_assert_cmpint(fixture->was_left, ==, left[i]);
    }
}

static void spawn_unpack(GuestFixture *fixture, guint16 session)
{
    static const guint8 fields[] = { DUET_FIELD_ARG, 1, 0, 0, 0, '/', DUET_FIELD_ARG, 1, 0, 0, 0,
        'n', DUET_FIELD_FLAGS, 4, 0, 0, 0, DUET_SPAWN_UNPACK | DUET_SPAWN_STDIN, 0, 0, 0,
        DUET_FIELD_COPY, 4, 0, 0, 0, 5, 0, 0, 0 };
    guest_tell(fixture, DUET_FRAME_SPAWN, 0, session, fields, sizeof fields);
    guest_expect(fixture, DUET_FRAME_STARTED, session);
}

static void test_copy_in(GuestFixture *fixture, gconstpointer wait)
{
    const struct duet_frame *frame;
    guint64 credit = 0;
    (void)wait;
    guest_fill(fixture, 150000);
    fixture->errand_status =
        "{\"return\":{\"exited\":true,\"exitcode\":1,\"err-data\":\"ZW5vAA==\"}}";
    guest_begin_with_agent(fixture);
    spawn_unpack(fixture, 1);
    for (guint at = 0; at < 150000; at += 50000)
        guest_tell(
            fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 1, fixture->file->data + at, 50000);
    guest_tell(fixture, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 1, "", 0);
    while (credit < 150000) {
        frame = guest_expect(fixture, DUET_FRAME_CREDIT, 1);
        credit += duet_get_u32(frame->payload);
    }
    frame = guest_expect(fixture, DUET_FRAME_DATA, 1);
    g_assert_cmpmem(frame->payload, frame->length, "eno", 4);
    guest_expect_end(fixture, DUET_FRAME_EXIT, 1, 1);
    g_assert_cmpmem(fixture->written->data, fixture->written->len, fixture->file->data, 150000);
    /* One that is ended early. */
    fixture->removals = 0;
    spawn_unpack(fixture, 2);
    guest_tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 2, "x", 1);
    g_assert_null(guest_next(fixture));
    g_assert_cmpmem(fixture->written->data, fixture->written->len, "", 0);
    guest_tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 2, SIGHUP);
    guest_expect_end(fixture, DUET_FRAME_FAILED, 2, 125);
}

static void begin_with_folder(GuestFixture *fixture)
{
    static const guint8 config[] = { DUET_FIELD_MOUNT, 11, 0, 0, 0, 't', '0', '\0', '/', 'd', 'a',
        't', 'a', '\0', 'r', 'o' };
    guest_expect(fixture, DUET_FRAME_HELLO, 0);
    guest_tell(fixture, DUET_FRAME_CONFIG, 0, 0, config, sizeof config);
    guest_spawn(fixture, 0, "", 0);
    g_assert_null(guest_next(fixture));
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
}

static void test_folders(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    begin_with_folder(fixture);
    guest_expect(fixture, DUET_FRAME_STARTED, 0);
    guest_expect(fixture, DUET_FRAME_READY, 0);
    g_assert_cmpmem(fixture->written->data, fixture->written->len, duet_agent_start,
        (gsize)(duet_agent_end - duet_agent_start));
    g_assert_cmpuint(fixture->removals, ==, 1);
    /* It boots anew: they are mounted again, and a failure is told. */
    fixture->errand_status = "{\"return\":{\"exited\":true,\"exitcode\":1,\"err-data\":\"bm8=\"}}";
    duet_guest_proxy_set_agent(fixture->proxy, FALSE);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    const struct duet_frame *frame = guest_expect(fixture, DUET_FRAME_DATA, 0);
    g_autofree char *text = g_strndup((const char *)frame->payload, frame->length);
    g_assert_cmpstr(text, ==, "duet: cannot mount its folders: no\r\n");
}

static void test_folders_fail(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    fixture->errand_status = "{\"return\":{\"exited\":true,\"exitcode\":1,\"err-data\":\"bm8=\"}}";
    begin_with_folder(fixture);
    guest_expect_end(fixture, DUET_FRAME_FAILED, 0, 125);
}

static void test_folders_fail_silently(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    fixture->errand_status = "{\"return\":{\"exited\":true,\"exitcode\":1}}";
    begin_with_folder(fixture);
    guest_expect_end(fixture, DUET_FRAME_FAILED, 0, 125);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    GUEST_TEST("copy-out", NULL, test_copy_out);
    GUEST_TEST("copy-out-fails", NULL, test_copy_out_fails);
    GUEST_TEST("silent", NULL, test_silent);
    GUEST_TEST("left-over", NULL, test_left_over);
    GUEST_TEST("copy-in", NULL, test_copy_in);
    GUEST_TEST("folders", NULL, test_folders);
    GUEST_TEST("folders-fail", NULL, test_folders_fail);
    GUEST_TEST("folders-fail-silently", NULL, test_folders_fail_silently);
    return g_test_run();
}
