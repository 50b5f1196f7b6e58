/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk guests that are saved, and go on. */
#include "guest-fixture.h"

#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "core/util.h"

/* All that is on its console comes before it is silent, and nothing then. */
static void test_quiet(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    guest_begin(fixture);
    guest_expect(fixture, DUET_FRAME_STARTED, 0);
    guest_flood(fixture, 1000);
    guest_tell(fixture, DUET_FRAME_QUIESCE, 0, 0, "", 0);
    const struct duet_frame *frame = guest_expect(fixture, DUET_FRAME_DATA, 0);
    g_assert_cmpuint(frame->length, ==, 1000);
    guest_expect(fixture, DUET_FRAME_QUIET, 0);
    g_assert_true(fixture->paused);
    g_assert_true(duet_write_all(fixture->console, "ab", 2));
    g_assert_null(guest_next(fixture));
    /* It comes to nothing; what was read beyond the credit counts. */
    guest_tell(fixture, DUET_FRAME_GO_ON, 0, 0, "", 0);
    guest_expect(fixture, DUET_FRAME_HELLO, 0);
    g_assert_false(fixture->paused);
    guest_tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 0, 1000);
    g_assert_null(guest_next(fixture));
    guest_tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 0, 2);
    frame = guest_expect(fixture, DUET_FRAME_DATA, 0);
    g_assert_cmpmem(frame->payload, frame->length, "ab", 2);
}

/* A program is saved in the middle; an errand ends before, or the silence is given up. */
static void test_quiet_errand(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    guest_fill(fixture, 2 * DUET_CREDIT_INITIAL_BYTES);
    guest_begin_with_agent(fixture);
    guest_spawn(fixture, 1, "/etc", DUET_SPAWN_PACK);
    while (guest_next(fixture))
        ;
    guest_tell(fixture, DUET_FRAME_QUIESCE, 0, 0, "", 0);
    g_assert_null(guest_next(fixture));
    guest_tell(fixture, DUET_FRAME_GO_ON, 0, 0, "", 0);
    guest_expect(fixture, DUET_FRAME_HELLO, 0);
    guest_tell(fixture, DUET_FRAME_QUIESCE, 0, 0, "", 0);
    g_assert_null(guest_next(fixture));
    g_assert_false(fixture->paused);
    guest_tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 1, SIGHUP);
    guest_expect(fixture, DUET_FRAME_FAILED, 1);
    guest_expect(fixture, DUET_FRAME_QUIET, 0);
    g_assert_true(fixture->paused);
    g_assert_cmpuint(fixture->removals, ==, 1);
}

static const guint8 news[] = { DUET_FIELD_TIME, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
    DUET_FIELD_ENTROPY, 4, 0, 0, 0, 'r', 'a', 'n', 'd', DUET_FIELD_HOSTNAME, 1, 0, 0, 0, 'n' };

/* The time of now, and the rest by an errand. */
static void assert_woken(const GuestFixture *fixture)
{
    gint64 now_ns = g_get_real_time() * 1000;
    g_assert_cmpint(ABS(now_ns - fixture->set_time_ns), <, 5 * G_GINT64_CONSTANT(1000000000));
    g_assert_cmpmem(fixture->written->data, fixture->written->len, news + 13, sizeof news - 13);
    g_assert_cmpuint(fixture->removals, ==, 1);
    g_assert_cmpuint(fixture->opened, ==, 0);
}

static void test_goes_on(GuestFixture *fixture, gconstpointer how)
{
    (void)how;
    g_assert_null(guest_next(fixture));
    guest_tell(fixture, DUET_FRAME_GO_ON, 0, 0, news, sizeof news);
    guest_expect(fixture, DUET_FRAME_HELLO, 0);
    g_assert_null(guest_next(fixture));
    guest_tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, "typed", 5);
    guest_expect(fixture, DUET_FRAME_CREDIT, 0);
    /* An agent comes late, and is told once. */
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    guest_expect(fixture, DUET_FRAME_READY, 0);
    g_assert_null(guest_next(fixture));
    assert_woken(fixture);
    duet_guest_proxy_set_agent(fixture->proxy, FALSE);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    g_assert_null(guest_next(fixture));
    g_assert_cmpuint(fixture->removals, ==, 1);
}

static void test_goes_on_with_agent(GuestFixture *fixture, gconstpointer how)
{
    (void)how;
    guest_tell(fixture, DUET_FRAME_GO_ON, 0, 0, news, sizeof news);
    g_assert_null(guest_next(fixture));
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    guest_expect(fixture, DUET_FRAME_HELLO, 0);
    guest_expect(fixture, DUET_FRAME_READY, 0);
    g_assert_null(guest_next(fixture));
    assert_woken(fixture);
}

/* An agent that does not answer at first is told later, and is nothing that a save waits for. */
static void test_goes_on_deaf(GuestFixture *fixture, gconstpointer how)
{
    (void)how;
    fixture->is_deaf = TRUE;
    guest_tell(fixture, DUET_FRAME_GO_ON, 0, 0, news, sizeof news);
    guest_expect(fixture, DUET_FRAME_HELLO, 0);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    guest_expect(fixture, DUET_FRAME_READY, 0);
    guest_tell(fixture, DUET_FRAME_QUIESCE, 0, 0, "", 0);
    guest_expect(fixture, DUET_FRAME_QUIET, 0);
    g_assert_cmpint(fixture->set_time_ns, ==, 0);
    guest_tell(fixture, DUET_FRAME_GO_ON, 0, 0, "", 0);
    guest_expect(fixture, DUET_FRAME_HELLO, 0);
    while (fixture->removals == 0)
        g_main_context_iteration(NULL, TRUE);
    assert_woken(fixture);
}

/* Its end is that of one that ran. */
static void test_goes_on_to_its_end(GuestFixture *fixture, gconstpointer how)
{
    (void)how;
    guest_tell(fixture, DUET_FRAME_GO_ON, 0, 0, news, sizeof news);
    g_assert_null(guest_next(fixture));
    duet_guest_proxy_powered_off(fixture->proxy);
    guest_expect(fixture, DUET_FRAME_HELLO, 0);
    guest_expect(fixture, DUET_FRAME_ENDED, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    GUEST_TEST("quiet", NULL, test_quiet);
    GUEST_TEST("quiet-errand", NULL, test_quiet_errand);
#define ADD_SAVED(name, how, function)                                                             \
    g_test_add("/vmm-guest/" name, GuestFixture, GINT_TO_POINTER(how), guest_set_up_saved,         \
        function, guest_tear_down)
    ADD_SAVED("goes-on", DUET_GUEST_GOES_ON, test_goes_on);
    ADD_SAVED("goes-on-with-agent", DUET_GUEST_GOES_ON_WITH_AGENT, test_goes_on_with_agent);
    ADD_SAVED("goes-on-deaf", DUET_GUEST_GOES_ON, test_goes_on_deaf);
    ADD_SAVED("goes-on-to-its-end", DUET_GUEST_GOES_ON_WITH_AGENT, test_goes_on_to_its_end);
    return g_test_run();
}
