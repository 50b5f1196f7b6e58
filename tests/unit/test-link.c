/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A link whose handler steps the loop, as that of a change does (core/monitor/monitor-live.c). */
#include "core/monitor/link.h"
#include "core/loop.h"
#include "core/util.h"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int peer_fd;
    guint frames, closed, inside;
    gboolean hang_up; /* in the handler */
} Case;

static gboolean on_late(gpointer data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_REMOVE;
}

static void step_for(guint ms)
{
    gboolean late = FALSE;
    duet_loop_add_timeout(ms, on_late, &late);
    while (!late)
        duet_loop_step();
}

static void on_frame(DuetLink *link, const struct duet_frame *frame, gpointer data)
{
    Case *test = data;
    g_assert_cmpuint(frame->length, ==, 1);
    g_assert_cmpuint(test->inside++, ==, 0);
    test->frames++;
    if (test->hang_up) {
        duet_fd_clear(&test->peer_fd);
        duet_link_send(link, DUET_FRAME_OK, 0, 0, NULL, 0);
    }
    step_for(20);
    g_assert_cmpuint(test->closed, ==, 0);
    duet_link_send(link, DUET_FRAME_OK, 0, 0, NULL, 0);
    test->inside--;
}

static void on_closed(DuetLink *link, gpointer data)
{
    Case *test = data;
    g_assert_cmpuint(test->inside, ==, 0);
    test->closed++;
    duet_link_free(link);
}

static void send_frames(Case *test, guint n)
{
    guint8 bytes[DUET_FRAME_HEADER_BYTES + 1] = { 0 };
    duet_frame_header(bytes, DUET_FRAME_UPDATE, 0, 0, 1);
    for (guint i = 0; i < n; i++)
        g_assert_cmpint(write(test->peer_fd, bytes, sizeof bytes), ==, sizeof bytes);
}

static void link_up(Case *test)
{
    int fds[2];
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    test->peer_fd = fds[1];
    duet_link_new(fds[0], on_frame, on_closed, test);
}

static gboolean send_one(gpointer data)
{
    send_frames(data, 1);
    return G_SOURCE_REMOVE;
}

/* What comes while a handler is at work waits for it. */
static void test_one_at_a_time(void)
{
    Case test = { 0 };
    link_up(&test);
    send_frames(&test, 2);
    duet_loop_add_timeout(5, send_one, &test);
    step_for(150);
    g_assert_cmpuint(test.frames, ==, 3);
    g_assert_cmpuint(test.closed, ==, 0);
    duet_fd_clear(&test.peer_fd);
    step_for(5);
    g_assert_cmpuint(test.closed, ==, 1);
}

/* A handler may go on with what the link was made with: it is told of the end when it returned. */
static void test_gone_meanwhile(void)
{
    Case test = { .hang_up = TRUE };
    link_up(&test);
    send_frames(&test, 2);
    step_for(60);
    g_assert_cmpuint(test.frames, ==, 1);
    g_assert_cmpuint(test.closed, ==, 1);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/link/one-at-a-time", test_one_at_a_time);
    g_test_add_func("/link/gone-meanwhile", test_gone_meanwhile);
    return g_test_run();
}
