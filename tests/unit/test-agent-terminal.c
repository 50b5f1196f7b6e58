/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Sessions with a terminal, by the real agent in its native role. */

#include "agent-peer.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#define TTY DUET_SPAWN_TTY
#define TYPED (DUET_SPAWN_TTY | DUET_SPAWN_STDIN)

static void end(Peer *peer)
{
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    while (!peer->gone)
        peer_pump(peer, 1000);
    g_assert_cmpuint(peer->frames_after_end, ==, 0);
    g_assert_cmpint(peer_free(peer), ==, 0);
}

static void type(Peer *peer, guint16 session, const char *text)
{
    peer_send(peer, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, session, text, strlen(text));
}

static void resize(Peer *peer, guint16 session, guint16 rows, guint16 columns)
{
    peer_send_u32(peer, DUET_FRAME_RESIZE, 0, session, rows | (guint32)columns << 16);
}

static void see(Peer *peer, guint16 session, const char *text)
{
    gint64 deadline = g_get_monotonic_time() + 60 * G_USEC_PER_SEC;

    while (!strstr(peer_text(peer, session, DUET_CHANNEL_STDOUT), text)) {
        if (peer->gone || g_get_monotonic_time() > deadline)
            g_error("not seen: '%s', but '%s'", text, peer_text(peer, session, 1));
        peer_pump(peer, 1000);
    }
}

/* As the payload, and as an exec beside one. */
static Peer *peer_with(const char *agent, guint16 session)
{
    Peer *peer = peer_new(agent);

    if (session != 0)
        peer_sh(peer, 0, "sleep 300", 0);
    return peer;
}

static void test_surroundings(gconstpointer agent)
{
    static const char *const argv[] = { "sh", "-c",
        "tty | sed 's/[0-9]*$/N/'; ls -1 /proc/self/fd; stty size; echo $TERM; echo x >/dev/tty;"
        "test $(ps -o sid= -p $$) = $$ && echo leader; test -t 0 -a -t 1 -a -t 2 && echo three;"
        "exit 6",
        NULL };

    for (guint16 id = 0; id < 2; id++) {
        Peer *peer = peer_with(agent, id);
        PeerSession *session;

        peer_spawn(peer, id, &(PeerSpawn){ .argv = argv, .flags = TTY, .window = 41 | 132 << 16 });
        session = peer_wait_ended(peer, id);
        g_assert_cmpuint(session->code, ==, 6);
        g_assert_cmpstr(peer_text(peer, id, 1), ==,
            "/dev/pts/N\r\n0\r\n1\r\n2\r\n3\r\n41 132\r\nxterm\r\nx\r\nleader\r\nthree\r\n");
        g_assert_cmpuint(session->out[2]->len, ==, 0);
        end(peer);
    }
}

static void test_own_term(gconstpointer agent)
{
    static const char *const argv[] = { "sh", "-c", "echo $TERM; stty size", NULL };
    static const char *const env[] = { "TERM=dumb", NULL };
    Peer *peer = peer_new(agent);

    peer_spawn(peer, 0, &(PeerSpawn){ .argv = argv, .env = env, .flags = TTY });
    peer_wait_ended(peer, 0);
    g_assert_cmpstr(peer_text(peer, 0, 1), ==, "dumb\r\n0 0\r\n");
    end(peer);
}

static void test_user(gconstpointer agent)
{
    static const char *const argv[] = { "sh", "-c",
        "stat -c %u $(tty); echo a >$(tty); echo b >/dev/tty; echo c >/dev/stdout", NULL };

    for (guint16 id = 0; id < 2; id++) {
        Peer *peer = peer_with(agent, id);

        peer_spawn(peer, id, &(PeerSpawn){ .argv = argv, .user = "4242", .flags = TTY });
        g_assert_cmpuint(peer_wait_ended(peer, id)->code, ==, 0);
        g_assert_cmpstr(peer_text(peer, id, 1), ==, "4242\r\na\r\nb\r\nc\r\n");
        end(peer);
    }
}

/* What was still in the terminal when its process ended comes as well, however slowly it is read.
 */
static void test_output(gconstpointer agent)
{
    g_autoptr(GString) want = g_string_new(NULL);

    for (int i = 1; i <= 100000; i++)
        g_string_append_printf(want, "%d\r\n", i);
    for (guint16 id = 0; id < 2; id++) {
        Peer *peer = peer_with(agent, id);
        GByteArray *out = peer->sessions[id].out[1];
        guint64 granted = DUET_CREDIT_INITIAL_BYTES;

        peer->no_credit[id] = TRUE;
        peer_sh(peer, id, "seq 1 100000", TTY);
        while (!peer->sessions[id].ended) {
            guint before = out->len;

            g_assert_false(peer->gone);
            peer_pump(peer, 20);
            g_assert_cmpuint(out->len, <=, granted);
            if (out->len == before && out->len == granted) {
                peer_send_u32(peer, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, id, 17003);
                granted += 17003;
            }
        }
        g_assert_cmpuint(out->len, ==, want->len);
        g_assert_cmpint(memcmp(out->data, want->str, want->len), ==, 0);
        end(peer);
    }
}

/* Who goes on in the background, and has the terminal open, keeps no exec from its end. */
static void test_background(gconstpointer agent)
{
    Peer *peer = peer_with(agent, 1);

    peer_sh(peer, 1, "(trap '' HUP; while :; do echo more; done) & exit 3", TTY);
    g_assert_cmpuint(peer_wait_ended(peer, 1)->code, ==, 3);
    end(peer);
}

/* A payload may close all of it, and open it anew. */
static void test_closed_and_opened(gconstpointer agent)
{
    for (guint16 id = 0; id < 2; id++) {
        Peer *peer = peer_with(agent, id);

        peer_sh(peer, id,
            "exec </dev/null >/dev/null 2>&1; sleep 0.3; echo again >/dev/tty; exit 4", TYPED);
        g_assert_cmpuint(peer_wait_ended(peer, id)->code, ==, 4);
        g_assert_cmpstr(peer_text(peer, id, 1), ==, "again\r\n");
        end(peer);
    }
}

static void test_keys(gconstpointer agent)
{
    for (guint16 id = 0; id < 2; id++) {
        Peer *peer = peer_with(agent, id);

        /* What is typed before the program, or even its terminal, is there is not lost. */
        peer_sh(peer, id, "read x; echo got $x; exec sleep 300", TYPED);
        type(peer, id, "early\r");
        see(peer, id, "got early");
        type(peer, id, "\003");
        g_assert_cmpuint(peer_wait_ended(peer, id)->signal, ==, SIGINT);
        end(peer);
    }
}

/* No end of the terminal: a key, where that means something. */
static void test_end_of_input(gconstpointer agent)
{
    for (guint16 id = 0; id < 2; id++) {
        Peer *peer = peer_with(agent, id);

        peer_sh(peer, id, "cat; echo rc $?; stty raw -echo; echo raw; head -c 1", TYPED);
        type(peer, id, "line\r");
        peer_send(peer, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, id, NULL, 0);
        see(peer, id, "rc 0");
        see(peer, id, "raw");
        peer_send(peer, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, id, NULL, 0);
        type(peer, id, "Z");
        g_assert_cmpuint(peer_wait_ended(peer, id)->code, ==, 0);
        g_assert_true(g_str_has_suffix(peer_text(peer, id, 1), "Z"));
        end(peer);
    }
}

/* Input that nobody reads is held back, not lost. */
static void test_much_input(gconstpointer agent)
{
    g_autofree char *line = g_strnfill(1000, 'x');
    Peer *peer = peer_with(agent, 1);

    line[999] = '\n';
    peer_sh(peer, 1, "stty -echo; echo ready; sleep 0.5; head -n 200 | wc -c", TYPED);
    see(peer, 1, "ready");
    for (int i = 0; i < 200; i++)
        type(peer, 1, line);
    g_assert_cmpuint(peer_wait_ended(peer, 1)->code, ==, 0);
    g_assert_nonnull(strstr(peer_text(peer, 1, 1), "200000\r\n"));
    end(peer);
}

static void test_resize(gconstpointer agent)
{
    for (guint16 id = 0; id < 2; id++) {
        Peer *peer = peer_with(agent, id);

        peer_sh(peer, id, "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done", TTY);
        /* Also one that comes before there is a terminal. */
        resize(peer, id, 7, 70);
        see(peer, id, "ready");
        resize(peer, id, 20, 90);
        see(peer, id, "20 90");
        /* What is none changes nothing. */
        peer_send(peer, DUET_FRAME_RESIZE, 0, id, "\1\1", 2);
        peer_send(peer, DUET_FRAME_RESIZE, 0, id, NULL, 0);
        peer_send(peer, DUET_FRAME_RESIZE, 0, 99, "\1\1\1\1", 4);
        resize(peer, id, 65535, 65535);
        see(peer, id, "65535 65535");
        peer_send_u32(peer, DUET_FRAME_SIGNAL, 0, id, SIGKILL);
        g_assert_cmpuint(peer_wait_ended(peer, id)->signal, ==, SIGKILL);
        end(peer);
    }
}

static void test_resize_without(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_sh(peer, 0, "test -t 0 -o -t 1 || echo none; sleep 0.2", 0);
    resize(peer, 0, 10, 10);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 0);
    g_assert_cmpstr(peer_text(peer, 0, 1), ==, "none\n");
    end(peer);
}

static void test_hang_up(gconstpointer agent)
{
    for (guint16 id = 0; id < 2; id++) {
        Peer *peer = peer_with(agent, id);

        peer_sh(peer, id, "echo on; exec yes >/dev/null", TYPED);
        see(peer, id, "on");
        peer_send(peer, DUET_FRAME_CLOSE, DUET_CHANNEL_STDOUT, id, NULL, 0);
        g_assert_cmpuint(peer_wait_ended(peer, id)->signal, ==, SIGHUP);
        end(peer);
    }
}

static void test_failures(gconstpointer agent)
{
    static const char *const argv[] = { "nosuch", NULL };

    for (guint16 id = 0; id < 2; id++) {
        Peer *peer = peer_with(agent, id);

        peer_spawn(peer, id, &(PeerSpawn){ .argv = argv, .flags = TYPED });
        g_assert_cmpuint(peer_wait_ended(peer, id)->code, ==, 127);
        g_assert_true(peer->sessions[id].failed);
        end(peer);
    }
}

/* Each gives back all that it had open: the agent may have 1024 files. */
static void test_many(gconstpointer agent)
{
    Peer *peer = peer_with(agent, 1);

    for (guint16 id = 1; id < 280; id++) {
        peer_sh(peer, id, "test -t 0", TYPED);
        g_assert_cmpuint(peer_wait_ended(peer, id)->code, ==, 0);
    }
    g_autofree char *folder = g_strdup_printf("/proc/%d/fd", peer->pid);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    guint open = 0;
    while (dir && g_dir_read_name(dir))
        open++;
    g_assert_cmpuint(open, <, 12);
    end(peer);
}

static const struct {
    const char *name;
    void (*run)(gconstpointer agent);
} tests[] = {
    { "surroundings", test_surroundings },
    { "own-term", test_own_term },
    { "user", test_user },
    { "output", test_output },
    { "background", test_background },
    { "closed-and-opened", test_closed_and_opened },
    { "keys", test_keys },
    { "end-of-input", test_end_of_input },
    { "much-input", test_much_input },
    { "resize", test_resize },
    { "resize-without", test_resize_without },
    { "hang-up", test_hang_up },
    { "failures", test_failures },
    { "many", test_many },
};

int main(int argc, char **argv)
{
    static const char *const builds[][2] = { { "dynamic", "duet-agent-dynamic" },
        { "static", "duet-agent" } };
    const char *build_dir = g_getenv("DUET_BUILD_DIR");

    g_test_init(&argc, &argv, NULL);
    /* The host's own file, which a distribution may keep for root. */
    if (access("/dev/pts/ptmx", R_OK | W_OK) < 0 || getuid() != 0) {
        g_test_message("only root can make terminals here");
        return 77;
    }
    for (guint i = 0; i < G_N_ELEMENTS(builds); i++) {
        g_autofree char *agent =
            g_build_filename(build_dir ? build_dir : ".", "vmm", "guest", builds[i][1], NULL);

        for (guint k = 0; k < G_N_ELEMENTS(tests); k++) {
            g_autofree char *path =
                g_strdup_printf("/agent-terminal/%s/%s", builds[i][0], tests[k].name);

            g_test_add_data_func_full(path, g_strdup(agent), tests[k].run, g_free);
        }
    }
    return g_test_run();
}
