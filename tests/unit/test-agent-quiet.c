/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The silence of the real agent between QUIET and GO_ON. */

#include "agent-peer.h"

#include <signal.h>
#include <string.h>

static void go_on(Peer *peer)
{
    peer->quiet = FALSE;
    peer->hello = FALSE;
    peer_send(peer, DUET_FRAME_GO_ON, 0, 0, NULL, 0);
    peer_wait(peer, &peer->hello);
}

static void quiesce(Peer *peer)
{
    peer_send(peer, DUET_FRAME_QUIESCE, 0, 0, NULL, 0);
    peer_wait(peer, &peer->quiet);
}

static void shut_down(Peer *peer)
{
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    while (!peer->gone)
        peer_pump(peer, 1000);
    g_assert_cmpint(peer_free(peer), ==, 0);
}

/* "0\n1\n2\n..." */
static void assert_counts(char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    g_assert_cmpuint(g_strv_length(lines), >, 100);
    for (guint i = 0; lines[i + 1]; i++) {
        g_autofree char *number = g_strdup_printf("%u", i);
        g_assert_cmpstr(lines[i], ==, number);
    }
}

/* Nothing of a payload that writes all the time is lost, or comes in the silence; nor is what was
 * said to the agent before. */
static void test_stream(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_sh(peer, 0, "trap 'exit 5' TERM; i=0; while :; do echo $i; i=$((i+1)); done", 0);
    peer_wait_started(peer, 0);
    for (int i = 0; i < 20; i++) {
        peer_pump(peer, 5);
        quiesce(peer);
        /* The peer fails if a byte comes. */
        peer_pump(peer, i < 3 ? 50 : 0);
        go_on(peer);
    }
    while (peer->sessions[0].out[1]->len < 1000)
        g_assert_true(peer_pump(peer, 20000));
    peer_send_u32(peer, DUET_FRAME_SIGNAL, 0, 0, SIGTERM);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 5);
    assert_counts((char *)peer_text(peer, 0, 1));
    while (!peer->gone)
        peer_pump(peer, 1000);
    g_assert_cmpint(peer_free(peer), ==, 0);
}

/* A payload and an exec that end in the silence are told of after it, and input is taken. */
static void test_ends_meanwhile(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_sh(peer, 0, "cat; exit 3", DUET_SPAWN_STDIN);
    peer_wait_started(peer, 0);
    peer_sh(peer, 1, "sleep 0.2; echo late; exit 4", 0);
    peer_wait_started(peer, 1);
    peer_send(peer, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, "input", 5);
    quiesce(peer);
    while (peer_pump(peer, 600))
        continue;
    go_on(peer);
    g_assert_cmpuint(peer_wait_ended(peer, 1)->code, ==, 4);
    g_assert_cmpstr(peer_text(peer, 1, 1), ==, "late\n");
    peer_send(peer, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 0, NULL, 0);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 3);
    g_assert_cmpstr(peer_text(peer, 0, 1), ==, "input");
    while (!peer->gone)
        peer_pump(peer, 1000);
    g_assert_cmpint(peer_free(peer), ==, 0);
}

/* An end is heard in the silence; GO_ON without one is no frame that a monitor may send. */
static void test_ends(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    int status;

    peer_sh(peer, 0, "sleep 300", 0);
    peer_wait_started(peer, 0);
    quiesce(peer);
    peer->quiet = FALSE;
    shut_down(peer);
    peer = peer_new(agent);
    peer_send(peer, DUET_FRAME_GO_ON, 0, 0, NULL, 0);
    while (!peer->gone)
        peer_pump(peer, 1000);
    status = peer_free(peer);
    g_assert_cmpint(status, !=, 0);
    /* Twice is once. */
    peer = peer_new(agent);
    quiesce(peer);
    peer_send(peer, DUET_FRAME_QUIESCE, 0, 0, NULL, 0);
    go_on(peer);
    shut_down(peer);
}

int main(int argc, char **argv)
{
    const char *build_dir = g_getenv("DUET_BUILD_DIR");
    g_autofree char *agent =
        g_build_filename(build_dir ? build_dir : ".", "vmm", "guest", "duet-agent-dynamic", NULL);

    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/agent-quiet/stream", agent, test_stream);
    g_test_add_data_func("/agent-quiet/ends-meanwhile", agent, test_ends_meanwhile);
    g_test_add_data_func("/agent-quiet/ends", agent, test_ends);
    return g_test_run();
}
