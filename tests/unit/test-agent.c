/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Runs the real agent in its native role and speaks the protocol with it. */

#include "agent-peer.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const sleep_argv[] = { "sleep", "300", NULL };
#define SLEEP (&(PeerSpawn){ .argv = sleep_argv })

static void assert_clean_end(Peer *peer)
{
    while (!peer->gone)
        peer_pump(peer, 1000);
    g_assert_cmpuint(peer->frames_after_end, ==, 0);
    g_assert_cmpint(peer_free(peer), ==, 0);
}

static void test_hello(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    g_assert_cmpuint(peer->version, ==, DUET_PROTOCOL_VERSION);
    g_assert_cmpuint(peer->agent_ns, >, 0);
    g_assert_cmpuint(peer->agent_ns, <, 10 * G_GUINT64_CONSTANT(1000000000));
    g_assert_cmpuint(peer->kernel_ns, ==, 0);
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    assert_clean_end(peer);
}

static void test_exit_codes(gconstpointer agent)
{
    static const struct {
        const char *argv[4];
        gboolean failed;
        guint32 code, signal;
        const char *message;
    } rows[] = {
        { { "true" }, FALSE, 0, 0, NULL },
        { { "sh", "-c", "exit 42" }, FALSE, 42, 0, NULL },
        { { "sh", "-c", "kill -9 $$" }, FALSE, 137, 9, NULL },
        { { "sh", "-c", "kill -TERM $$" }, FALSE, 143, 15, NULL },
        { { "sh", "-c", "sh -c 'kill -9 $$'; exit $?" }, FALSE, 137, 0, NULL },
        { { "nosuch" }, TRUE, 127, 0, "exec: 'nosuch': not found in $PATH" },
        { { "" }, TRUE, 127, 0, "exec: ''" },
        { { "/nosuch/program" }, TRUE, 127, 0, "exec: '/nosuch/program'" },
        { { "/etc" }, TRUE, 126, 0, "exec: '/etc': Permission denied" },
        { { "/etc/passwd" }, TRUE, 126, 0, "exec: '/etc/passwd': Permission denied" },
        { { "/etc/passwd/x" }, TRUE, 126, 0, "exec: '/etc/passwd/x': Not a directory" },
    };

    /* As the payload, and as an exec session beside one. */
    for (guint i = 0; i < 2 * G_N_ELEMENTS(rows); i++) {
        guint row = i / 2;
        guint16 id = i % 2;
        Peer *peer = peer_new(agent);
        PeerSession *session;

        if (id == 1)
            peer_spawn(peer, 0, SLEEP);
        peer_spawn(peer, id, &(PeerSpawn){ .argv = rows[row].argv });
        session = peer_wait_ended(peer, id);
        g_assert_cmpuint(session->code, ==, rows[row].code);
        g_assert_cmpint(session->failed, ==, rows[row].failed);
        g_assert_cmpint(session->started, ==, !rows[row].failed);
        g_assert_cmpuint(session->signal, ==, rows[row].signal);
        if (rows[row].message)
            g_assert_true(g_str_has_prefix(session->message, rows[row].message));
        if (id == 1)
            peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
        assert_clean_end(peer);
    }
}

/* Files that can't be executed, each for its own reason. */
static void test_not_runnable(gconstpointer agent)
{
    static const struct {
        const char *text;
        guint32 code;
        const char *part;
    } rows[] = {
        { "echo no interpreter line\n", 126, "no script" },
        { "#!/nosuch/interpreter\n", 127, "interpreter" },
        { "\177ELF garbage", 126, "not a program" },
    };
    g_autofree char *dir = g_dir_make_tmp("duet-agent-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "file", NULL);

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *const argv[] = { path, NULL };
        Peer *peer = peer_new(agent);
        PeerSession *session;

        g_assert_true(g_file_set_contents(path, rows[i].text, -1, NULL));
        g_assert_cmpint(g_chmod(path, 0755), ==, 0);
        peer_spawn(peer, 0, &(PeerSpawn){ .argv = argv });
        session = peer_wait_ended(peer, 0);
        g_assert_true(session->failed);
        g_assert_cmpuint(session->code, ==, rows[i].code);
        g_assert_nonnull(strstr(session->message, rows[i].part));
        assert_clean_end(peer);
    }
    g_unlink(path);
    g_rmdir(dir);
}

/* The payload's world: descriptors, signals, ids, directory, environment. */
static void test_surroundings(gconstpointer agent)
{
    static const char *const env[] = { "A=b c", "E=", NULL };
    static const char *const argv[] = { "sh", "-c",
        "ls /proc/self/fd; grep -c -E '^Sig(Blk|Ign):.0*$' /proc/self/status; umask; pwd;"
        "echo $A $E $HOME; echo $PATH; test $(ps -o sid= -p $$) = $$ && echo leader",
        NULL };
    Peer *peer = peer_new(agent);
    PeerSession *session;

    peer_spawn(peer, 0, &(PeerSpawn){ .argv = argv, .env = env, .cwd = "/usr" });
    session = peer_wait_ended(peer, 0);
    g_assert_cmpuint(session->code, ==, 0);
    g_assert_cmpstr(peer_text(peer, 0, DUET_CHANNEL_STDERR), ==, "");
    g_assert_cmpstr(peer_text(peer, 0, DUET_CHANNEL_STDOUT), ==,
        "0\n1\n2\n3\n2\n0022\n/usr\nb c /root\n"
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nleader\n");
    assert_clean_end(peer);
}

static void test_user(gconstpointer agent)
{
    static const char *const id_argv[] = { "sh", "-c",
        "id -u; id -g; id -G; echo $HOME; echo ok >/dev/stdout", NULL };
    static const struct {
        const char *user, *text;
    } rows[] = {
        { "daemon", "1\n1\n1\n/usr/sbin\nok\n" },
        { "4242", "4242\n0\n0\n/\nok\n" },
        { "4242:77", "4242\n77\n77\n/\nok\n" },
        { "root:daemon", "0\n1\n1\n/root\nok\n" },
    };
    Peer *peer;
    PeerSession *session;

    if (getuid() != 0) {
        g_test_skip("only root can become somebody else");
        return;
    }
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        peer = peer_new(agent);
        peer_spawn(peer, 0, &(PeerSpawn){ .argv = id_argv, .user = rows[i].user });
        g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 0);
        g_assert_cmpstr(peer_text(peer, 0, DUET_CHANNEL_STDOUT), ==, rows[i].text);
        assert_clean_end(peer);
    }
    peer = peer_new(agent);
    peer_spawn(peer, 0, &(PeerSpawn){ .argv = id_argv, .user = "ghost" });
    session = peer_wait_ended(peer, 0);
    g_assert_true(session->failed);
    g_assert_cmpuint(session->code, ==, 125);
    g_assert_nonnull(strstr(session->message, "'ghost'"));
    assert_clean_end(peer);
}

/* The payload's working directory is made, an exec's is not. */
static void test_directory(gconstpointer agent)
{
    g_autofree char *dir = g_dir_make_tmp("duet-agent-XXXXXX", NULL);
    g_autofree char *inner = g_build_filename(dir, "a", "b", NULL);
    g_autofree char *missing = g_build_filename(dir, "c", NULL);
    const char *const argv[] = { "sh", "-c", "pwd; exec sleep 300", NULL };
    Peer *peer = peer_new(agent);
    PeerSession *session;

    peer_spawn(peer, 0, &(PeerSpawn){ .argv = argv, .cwd = inner });
    peer_wait_started(peer, 0);
    peer_spawn(peer, 1, &(PeerSpawn){ .argv = argv, .cwd = missing });
    session = peer_wait_ended(peer, 1);
    g_assert_true(session->failed);
    g_assert_cmpuint(session->code, ==, 126);
    g_assert_nonnull(strstr(session->message, missing));
    while (peer->sessions[0].out[1]->len == 0)
        g_assert_true(peer_pump(peer, 20000));
    peer_send_u32(peer, DUET_FRAME_SIGNAL, 0, 0, SIGTERM);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 143);
    g_assert_true(g_str_has_suffix(g_strchomp((char *)peer_text(peer, 0, 1)), "/a/b"));
    assert_clean_end(peer);
    g_assert_cmpint(g_rmdir(inner), ==, 0);
    g_autofree char *outer = g_path_get_dirname(inner);
    g_assert_cmpint(g_rmdir(outer), ==, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

static void test_arguments(gconstpointer agent)
{
    g_autofree char *big = g_strnfill(100000, 'x');
    const char *const argv[] = { "sh", "-c",
        "shift; for a; do printf '[%s]' \"$a\"; done | wc -c; printf '[%s]' \"$1\" \"$2\" \"$3\";"
        "env | grep -c ^VAR",
        "s", "0", "a b", "", "l1\nl2", "\303\274 $HOME \"q\"", big, NULL };
    g_autoptr(GPtrArray) env = g_ptr_array_new_with_free_func(g_free);
    Peer *peer = peer_new(agent);

    for (int i = 0; i < 300; i++)
        g_ptr_array_add(env, g_strdup_printf("VAR%d=%050d", i, i));
    g_ptr_array_add(env, NULL);
    peer_spawn(peer, 0, &(PeerSpawn){ .argv = argv, .env = (const char *const *)env->pdata });
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 0);
    g_assert_cmpstr(peer_text(peer, 0, DUET_CHANNEL_STDOUT), ==, "100030\n[a b][][l1\nl2]300\n");
    assert_clean_end(peer);
}

/* 50 MB, whole, while another session's reader stalls. */
static void test_large_output(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    g_autofree char *sum = NULL;

    peer->no_credit[1] = TRUE;
    peer_sh(peer, 0, "read go; yes 0123456789 | head -c 50000000; echo end >&2", DUET_SPAWN_STDIN);
    peer_wait_started(peer, 0);
    peer_sh(peer, 1, "yes", 0);
    peer_wait_started(peer, 1);
    while (peer->sessions[1].out[1]->len < DUET_CREDIT_INITIAL_BYTES)
        g_assert_true(peer_pump(peer, 60000));
    peer_send(peer, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, "\n", 1);
    peer_wait_ended(peer, 0);
    sum = g_compute_checksum_for_data(
        G_CHECKSUM_SHA256, peer->sessions[0].out[1]->data, peer->sessions[0].out[1]->len);
    g_assert_cmpuint(peer->sessions[0].out[1]->len, ==, 50000000);
    g_assert_cmpstr(sum, ==, "f261a48610e35a8b55dd3e6932a329f1ea8b97908983268e8d9ecf92e6f5156b");
    g_assert_cmpstr(peer_text(peer, 0, DUET_CHANNEL_STDERR), ==, "end\n");
    /* The stalled one got what it had credit for, and no more. */
    g_assert_cmpuint(peer->sessions[1].out[1]->len, ==, DUET_CREDIT_INITIAL_BYTES);
    g_assert_true(peer->sessions[1].ended);
    assert_clean_end(peer);
}

/* A reader that grants little at a time gets it all, and never more than it granted. */
static void test_slow_reader(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    GByteArray *out = peer->sessions[0].out[1];
    guint64 granted = DUET_CREDIT_INITIAL_BYTES;

    peer->no_credit[0] = TRUE;
    peer_sh(peer, 0, "yes 0123456789 | head -c 400000", 0);
    while (!peer->sessions[0].ended) {
        guint before = out->len;

        g_assert_false(peer->gone);
        peer_pump(peer, 50);
        g_assert_cmpuint(out->len, <=, granted);
        if (out->len == before && out->len == granted) {
            peer_send_u32(peer, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 0, 7001);
            granted += 7001;
        }
    }
    g_assert_cmpuint(out->len, ==, 400000);
    assert_clean_end(peer);
}

static void test_stdin(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    g_autofree guint8 *bytes = g_malloc(65536);
    gsize sent = 0, total = 3 * 1000 * 1000;
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    PeerSession *session = &peer->sessions[0];

    peer_sh(peer, 0, "cat", DUET_SPAWN_STDIN);
    while (sent < total) {
        gsize n = MIN(total - sent, 65536);

        while (session->stdin_credit < n)
            g_assert_true(peer_pump(peer, 20000));
        for (gsize i = 0; i < n; i++)
            bytes[i] = (guint8)g_test_rand_int();
        g_checksum_update(sum, bytes, (gssize)n);
        peer_send(peer, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, bytes, n);
        session->stdin_credit -= n;
        sent += n;
        while (peer_pump(peer, 0))
            ;
    }
    peer_send(peer, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 0, NULL, 0);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 0);
    g_assert_cmpuint(session->out[1]->len, ==, total);
    g_autofree char *seen =
        g_compute_checksum_for_data(G_CHECKSUM_SHA256, session->out[1]->data, total);
    g_assert_cmpstr(seen, ==, g_checksum_get_string(sum));
    assert_clean_end(peer);
}

/* A payload that closes its input is told of; a sender beyond its window loses the channel alone.
 */
static void test_stdin_closed(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    g_autofree guint8 *bytes = g_malloc0(65536);

    peer_spawn(peer, 0, SLEEP);
    peer_wait_started(peer, 0);
    peer_sh(peer, 1, "exec <&-; sleep 300", DUET_SPAWN_STDIN);
    peer_wait(peer, &peer->sessions[1].closed[0]);
    peer_sh(peer, 2, "sleep 300", DUET_SPAWN_STDIN);
    for (int i = 0; i < 8; i++)
        peer_send(peer, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 2, bytes, 65536);
    peer_wait(peer, &peer->sessions[2].closed[0]);
    /* Without a stream, the payload reads an end of file. */
    peer_sh(peer, 3, "cat; echo $?", 0);
    peer_wait_ended(peer, 3);
    g_assert_cmpstr(peer_text(peer, 3, 1), ==, "0\n");
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    peer_wait_ended(peer, 0);
    assert_clean_end(peer);
}

static void test_close_output(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_sh(peer, 0, "exec yes", 0);
    peer_wait_started(peer, 0);
    peer_send(peer, DUET_FRAME_CLOSE, DUET_CHANNEL_STDOUT, 0, NULL, 0);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->signal, ==, SIGPIPE);
    g_assert_cmpuint(peer->sessions[0].code, ==, 141);
    assert_clean_end(peer);
}

static void test_signals(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_sh(peer, 0, "trap 'echo got; exit 9' USR1; echo ready; while :; do sleep 0.05; done", 0);
    while (peer->sessions[0].out[1]->len < 6)
        g_assert_true(peer_pump(peer, 20000));
    peer_send_u32(peer, DUET_FRAME_SIGNAL, 0, 0, SIGUSR1);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 9);
    g_assert_cmpstr(peer_text(peer, 0, 1), ==, "ready\ngot\n");
    assert_clean_end(peer);
}

/* The idle payload: no program, ends by signals like any other. */
static void test_idle(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_spawn(peer, 0, &(PeerSpawn){ .flags = DUET_SPAWN_IDLE });
    peer_wait_started(peer, 0);
    peer_sh(peer, 1, "echo beside", 0);
    peer_wait_ended(peer, 1);
    g_assert_cmpstr(peer_text(peer, 1, 1), ==, "beside\n");
    peer_send_u32(peer, DUET_FRAME_SIGNAL, 0, 0, SIGTERM);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 143);
    assert_clean_end(peer);
}

/* No program: the agent itself says what its kernel has; a payload is no such thing. */
static void test_meminfo(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    guint64 total_kib = 0, pages = (guint64)sysconf(_SC_PHYS_PAGES);

    peer_spawn(peer, 0, SLEEP);
    peer_wait_started(peer, 0);
    peer_spawn(peer, 1, &(PeerSpawn){ .flags = DUET_SPAWN_MEMINFO, .user = "nosuchuser" });
    g_assert_cmpuint(peer_wait_ended(peer, 1)->code, ==, 0);
    g_assert_true(g_str_has_prefix(peer_text(peer, 1, 1), "MemTotal:"));
    g_assert_nonnull(strstr(peer_text(peer, 1, 1), "\nCached:"));
    total_kib = g_ascii_strtoull(peer_text(peer, 1, 1) + strlen("MemTotal:"), NULL, 10);
    g_assert_cmpuint(total_kib * 1024, ==, pages * (guint64)sysconf(_SC_PAGESIZE));
    g_assert_cmpstr(peer_text(peer, 1, 2), ==, "");
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    assert_clean_end(peer);
}

/* No program either: whether something accepts at a port of the loopback, be it IPv6 alone. */
static void test_connect(gconstpointer agent)
{
    struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    socklen_t length = sizeof six;
    Peer *peer = peer_new(agent);
    int server = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_assert_cmpint(bind(server, (struct sockaddr *)&six, length), ==, 0);
    g_assert_cmpint(getsockname(server, (struct sockaddr *)&six, &length), ==, 0);
    g_autofree char *port = g_strdup_printf("%u", ntohs(six.sin6_port));
    const char *argv[] = { port, NULL };
    peer_spawn(peer, 0, SLEEP);
    peer_wait_started(peer, 0);
    peer_spawn(peer, 1, &(PeerSpawn){ .argv = argv, .flags = DUET_SPAWN_CONNECT });
    g_assert_cmpuint(peer_wait_ended(peer, 1)->code, ==, 1);
    g_assert_cmpint(listen(server, 1), ==, 0);
    peer_spawn(peer, 2, &(PeerSpawn){ .argv = argv, .flags = DUET_SPAWN_CONNECT });
    g_assert_cmpuint(peer_wait_ended(peer, 2)->code, ==, 0);
    close(server);
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    assert_clean_end(peer);
}

/* The strings of the list: the clock, then four for each process. Returns: those of @pid, or NULL.
 */
static const char *find_process(const GByteArray *list, guint32 pid, guint *out_count)
{
    const char *at = (const char *)list->data, *end = at + list->len, *found = NULL;
    g_assert_cmpuint(list->len, >, 0);
    g_assert_cmpint(end[-1], ==, '\0');
    at += strlen(at) + 1;
    for (*out_count = 0; at < end; (*out_count)++) {
        if (g_ascii_strtoull(at, NULL, 10) == pid)
            found = at;
        for (int i = 0; i < 4; i++) {
            g_assert_true(at < end);
            at += strlen(at) + 1;
        }
    }
    g_assert_true(at == end);
    return found;
}

/* No program either; what lists is not on the list, nor are the kernel's threads. */
static void test_processes(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    static const char *const argv[] = { "sh", "-c", "sleep 60; :", "a b", "", NULL };
    guint64 now_ns, ticks, page_bytes;
    guint count;

    peer_spawn(peer, 0, &(PeerSpawn){ .argv = argv });
    peer_wait_started(peer, 0);
    peer_spawn(peer, 1, &(PeerSpawn){ .flags = DUET_SPAWN_PROCESSES, .user = "nosuchuser" });
    g_assert_cmpuint(peer_wait_ended(peer, 1)->code, ==, 0);
    g_assert_cmpstr(peer_text(peer, 1, 2), ==, "");
    const GByteArray *list = peer->sessions[1].out[1];
    g_assert_cmpint(sscanf((const char *)list->data,
                        "%" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &now_ns,
                        &ticks, &page_bytes),
        ==, 3);
    g_assert_cmpuint(ticks, ==, (guint64)sysconf(_SC_CLK_TCK));
    g_assert_cmpuint(page_bytes, ==, (guint64)sysconf(_SC_PAGESIZE));
    const char *own = find_process(list, peer->sessions[0].pid, &count);
    g_assert_nonnull(own);
    guint32 ppid, tty, uid;
    g_assert_cmpint(
        sscanf(own, "%*u %*c %u %u %*u %*u 0 %*u %*u %*u %u", &ppid, &tty, &uid), ==, 3);
    g_assert_cmpuint(ppid, ==, (guint32)peer->pid);
    g_assert_cmpuint(tty, ==, 0);
    g_assert_cmpuint(uid, ==, getuid());
    const char *user = own + strlen(own) + 1, *name = user + strlen(user) + 1;
    g_assert_cmpstr(user, ==, g_get_user_name());
    g_assert_cmpstr(name, ==, "sh");
    g_assert_cmpstr(name + strlen(name) + 1, ==, "sh -c sleep 60; : a b");
    g_assert_null(find_process(list, peer->sessions[1].pid, &count));
    g_assert_nonnull(find_process(list, (guint32)peer->pid, &count));
    g_assert_cmpuint(count, >=, 3);
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    assert_clean_end(peer);
}

static void test_copy(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    g_autofree char *dir = g_dir_make_tmp("duet-agent.XXXXXX", NULL);
    g_autofree char *file = g_build_filename(dir, "file", NULL);
    g_autofree char *copy = g_build_filename(dir, "copy", NULL);
    g_autofree char *user = g_strdup_printf("%u:%u", geteuid(), getegid());
    g_autofree char *text = NULL;
    const char *const from[] = { file, NULL }, *const to[] = { dir, "copy", NULL };
    const char *const nothing[] = { copy, NULL };
    const PeerSpawn unpack = { .argv = to, .user = user, .flags = DUET_SPAWN_UNPACK | 1 };

    g_assert_true(g_file_set_contents(file, "contents", -1, NULL));
    peer_spawn(peer, 0, SLEEP);
    peer_wait_started(peer, 0);
    peer_spawn(peer, 1, &(PeerSpawn){ .argv = from, .flags = DUET_SPAWN_PACK });
    g_assert_cmpuint(peer_wait_ended(peer, 1)->code, ==, 0);
    GByteArray *stream = peer->sessions[1].out[1];
    /* The end of its input, too early or in time. */
    peer_spawn(peer, 2, &unpack);
    peer_wait_started(peer, 2);
    peer_send(peer, DUET_FRAME_DATA, 0, 2, stream->data, stream->len - 1);
    peer_send(peer, DUET_FRAME_EOF, 0, 2, NULL, 0);
    g_assert_cmpuint(peer_wait_ended(peer, 2)->code, ==, 2);
    g_assert_cmpstr(peer_text(peer, 2, 2), ==, "");
    peer_spawn(peer, 3, &unpack);
    peer_wait_started(peer, 3);
    peer_send(peer, DUET_FRAME_DATA, 0, 3, stream->data, stream->len);
    peer_send(peer, DUET_FRAME_EOF, 0, 3, NULL, 0);
    g_assert_cmpuint(peer_wait_ended(peer, 3)->code, ==, 0);
    g_assert_true(g_file_get_contents(copy, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "contents");
    unlink(copy);
    peer_spawn(peer, 4, &(PeerSpawn){ .argv = nothing, .flags = DUET_SPAWN_PACK });
    g_assert_cmpuint(peer_wait_ended(peer, 4)->code, ==, 1);
    g_assert_true(g_str_has_prefix(peer_text(peer, 4, 2), "ecannot find '"));
    /* Without a name it is no request. */
    peer_spawn(peer, 5, &(PeerSpawn){ .argv = from, .user = user, .flags = DUET_SPAWN_UNPACK });
    peer_wait_ended(peer, 5);
    g_assert_cmpstr(peer->sessions[5].message, ==, "the request to copy is malformed");
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    assert_clean_end(peer);
    unlink(file);
    g_assert_cmpint(rmdir(dir), ==, 0);
}

static void test_many_sessions(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_spawn(peer, 0, SLEEP);
    peer_wait_started(peer, 0);
    for (guint16 id = 1; id <= 60; id++) {
        g_autofree char *script =
            g_strdup_printf("echo out%u; echo err%u >&2; exit %u", id, id, id);

        peer_sh(peer, id, script, 0);
    }
    for (guint16 id = 1; id <= 60; id++) {
        g_autofree char *out = g_strdup_printf("out%u\n", id);
        g_autofree char *err = g_strdup_printf("err%u\n", id);

        g_assert_cmpuint(peer_wait_ended(peer, id)->code, ==, id);
        g_assert_cmpstr(peer_text(peer, id, 1), ==, out);
        g_assert_cmpstr(peer_text(peer, id, 2), ==, err);
        g_assert_true(peer->sessions[id].eof[1] && peer->sessions[id].eof[2]);
    }
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 137);
    assert_clean_end(peer);
}

/* As many as may live at once, and one more. */
static void test_session_limit(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_spawn(peer, 0, &(PeerSpawn){ .flags = DUET_SPAWN_IDLE });
    for (guint16 id = 1; id <= DUET_SESSIONS_MAX + 1; id++)
        peer_spawn(peer, id, &(PeerSpawn){ .flags = DUET_SPAWN_IDLE });
    peer_wait_ended(peer, DUET_SESSIONS_MAX + 1);
    g_assert_cmpuint(peer->sessions[DUET_SESSIONS_MAX + 1].code, ==, 125);
    peer_wait_started(peer, DUET_SESSIONS_MAX);
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    peer_wait_ended(peer, 0);
    for (guint16 id = 1; id <= DUET_SESSIONS_MAX; id++)
        g_assert_cmpuint(peer->sessions[id].code, ==, 137);
    assert_clean_end(peer);
}

static char *agent_children(Peer *peer)
{
    g_autofree char *path =
        g_strdup_printf("/proc/%d/task/%d/children", (int)peer->pid, (int)peer->pid);
    char *children = NULL;

    g_assert_true(g_file_get_contents(path, &children, NULL, NULL));
    return g_strchomp(children);
}

/* Orphans come to the agent and are reaped; their exit code is nobody's. */
static void test_orphans(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    g_autofree char *expected = NULL;

    peer_sh(peer, 0,
        "for i in 1 2 3 4 5; do (sh -c 'sleep 0.1; exit 3' &); done; echo all; read end; exit 6",
        DUET_SPAWN_STDIN);
    while (peer->sessions[0].out[1]->len < 4)
        g_assert_true(peer_pump(peer, 20000));
    expected = g_strdup_printf("%u", peer->sessions[0].pid);
    g_autofree char *children = agent_children(peer);
    for (gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
         !g_str_equal(children, expected) && g_get_monotonic_time() < end;) {
        g_usleep(10000);
        g_free(children);
        children = agent_children(peer);
    }
    g_assert_cmpstr(children, ==, expected);
    peer_send(peer, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, "\n", 1);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 6);
    assert_clean_end(peer);
}

/* An orphan's orphan that left its session: gone with the payload, at once. */
static void test_background(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    gint64 start = g_get_monotonic_time();
    pid_t left;

    peer_sh(peer, 0, "setsid sh -c 'sleep 300 & echo $!; wait' & sleep 0.3; exit 4", 0);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 4);
    g_assert_cmpint(g_get_monotonic_time() - start, <, 20 * G_USEC_PER_SEC);
    left = (pid_t)g_ascii_strtoll(peer_text(peer, 0, 1), NULL, 10);
    g_assert_cmpint(left, >, 1);
    assert_clean_end(peer);
    g_assert_cmpint(kill(left, 0), ==, -1);
    g_assert_cmpint(errno, ==, ESRCH);
}

/* An exec ends with its own process: what holds its pipes, or fills them, does not keep it. */
static void test_exec_background(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_spawn(peer, 0, SLEEP);
    peer_wait_started(peer, 0);
    peer_sh(peer, 1, "sleep 300 & echo held; exit 5", 0);
    peer_sh(peer, 2, "trap '' PIPE; yes & exit 6", 0);
    g_assert_cmpuint(peer_wait_ended(peer, 1)->code, ==, 5);
    g_assert_cmpstr(peer_text(peer, 1, 1), ==, "held\n");
    g_assert_cmpuint(peer_wait_ended(peer, 2)->code, ==, 6);
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    peer_wait_ended(peer, 0);
    assert_clean_end(peer);
}

static void test_before_and_after(gconstpointer agent)
{
    Peer *peer = peer_new(agent);

    peer_sh(peer, 7, "true", 0);
    g_assert_cmpuint(peer_wait_ended(peer, 7)->code, ==, 125);
    g_assert_true(peer->sessions[7].failed);
    /* Frames about sessions that are not there, or that make no sense, hurt nobody. */
    peer_send_u32(peer, DUET_FRAME_SIGNAL, 0, 9, SIGKILL);
    peer_send_u32(peer, DUET_FRAME_CREDIT, 1, 9, 5);
    peer_send(peer, DUET_FRAME_EOF, 0, 9, NULL, 0);
    peer_spawn(peer, 0, SLEEP);
    peer_send(peer, DUET_FRAME_DATA, 1, 0, "x", 1);
    peer_send(peer, DUET_FRAME_CREDIT, 1, 0, "x", 1);
    peer_send(peer, DUET_FRAME_CLOSE, 200, 0, NULL, 0);
    peer_send(peer, DUET_FRAME_SIGNAL, 0, 0, NULL, 0);
    peer_sh(peer, 8, "echo fine", 0);
    peer_wait_ended(peer, 8);
    g_assert_cmpstr(peer_text(peer, 8, 1), ==, "fine\n");
    peer_send_u32(peer, DUET_FRAME_SIGNAL, 0, 0, SIGKILL);
    g_assert_cmpuint(peer_wait_ended(peer, 0)->code, ==, 137);
    assert_clean_end(peer);
}

/* A SPAWN whose fields are wrong is that session's failure. */
static void test_bad_spawn(gconstpointer agent)
{
    static const struct {
        const char *bytes;
        gsize n;
    } rows[] = {
        { "", 0 },
        { "\1\4\0\0\0tr", 7 },
        { "\1\3\0\0\0a\0b", 8 },
        { "\1\4\0\0\0true\5\1\0\0\0x", 15 },
        { "\1\377\377\377\377", 5 },
    };
    Peer *peer = peer_new(agent);

    peer_spawn(peer, 0, SLEEP);
    for (guint16 i = 0; i < G_N_ELEMENTS(rows); i++) {
        peer_send(peer, DUET_FRAME_SPAWN, 0, i + 1, rows[i].bytes, rows[i].n);
        g_assert_cmpuint(peer_wait_ended(peer, i + 1)->code, ==, 125);
        g_assert_true(peer->sessions[i + 1].failed);
    }
    peer_send(peer, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    peer_wait_ended(peer, 0);
    assert_clean_end(peer);
}

/* What a monitor never sends ends the agent, and with it all that it started. */
static void test_violations(gconstpointer agent)
{
    guint8 header[DUET_FRAME_HEADER_BYTES];

    for (int i = 0; i < 6; i++) {
        Peer *peer = peer_new(agent);
        pid_t pid;
        int status;

        peer_spawn(peer, 0, SLEEP);
        peer_wait_started(peer, 0);
        pid = (pid_t)peer->sessions[0].pid;
        switch (i) {
        case 0: /* no type of any version */
            g_assert_cmpint(write(peer->fd, "\377", 1), ==, 1);
            break;
        case 1: /* too long */
            duet_frame_header(header, DUET_FRAME_DATA, 0, 0, DUET_FRAME_MAX_BYTES + 1);
            g_assert_cmpint(write(peer->fd, header, sizeof(header)), ==, sizeof(header));
            break;
        case 2: /* the agent's own */
            peer_send(peer, DUET_FRAME_EXIT, 0, 0, "\0\0\0\0\0\0\0\0", 8);
            break;
        case 3: /* a session that is there */
            peer_spawn(peer, 0, SLEEP);
            break;
        case 4: /* a configuration that comes late */
            peer_send(peer, DUET_FRAME_CONFIG, 0, 0, NULL, 0);
            break;
        case 5: /* a guest's alone */
            peer_send(peer, DUET_FRAME_CHANGE, 0, 0, NULL, 0);
            break;
        }
        for (gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
             !peer->gone && g_get_monotonic_time() < end;)
            peer_pump(peer, 1000);
        g_assert_true(peer->gone);
        status = peer_free(peer);
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, 1);
        g_assert_cmpint(kill(pid, 0), ==, -1);
    }
}

/* The monitor goes away: nothing of the instance is left. */
static void test_monitor_gone(gconstpointer agent)
{
    Peer *peer = peer_new(agent);
    pid_t pid, left;

    peer_sh(peer, 0, "setsid sleep 300 & echo $!; exec sleep 300", 0);
    while (peer->sessions[0].out[1]->len < 2)
        g_assert_true(peer_pump(peer, 20000));
    pid = (pid_t)peer->sessions[0].pid;
    left = (pid_t)g_ascii_strtoll(peer_text(peer, 0, 1), NULL, 10);
    peer_free(peer);
    g_assert_cmpint(kill(pid, 0), ==, -1);
    g_assert_cmpint(kill(left, 0), ==, -1);
}

/* The monitor is killed: it can't close in order, and what the agent started must end all the same.
 */
static void test_monitor_killed(gconstpointer agent)
{
    pid_t pids[3], monitor;
    int fds[2], status;

    g_assert_cmpint(pipe(fds), ==, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* so that the orphaned agent is ours to wait for */
    monitor = fork();
    g_assert_cmpint(monitor, >=, 0);
    if (monitor == 0) {
        Peer *peer = peer_new(agent);

        peer_spawn(peer, 0, SLEEP);
        peer_spawn(peer, 1, &(PeerSpawn){ .flags = DUET_SPAWN_IDLE });
        peer_wait_started(peer, 0);
        peer_wait_started(peer, 1);
        pids[0] = peer->pid;
        pids[1] = (pid_t)peer->sessions[0].pid;
        pids[2] = (pid_t)peer->sessions[1].pid;
        g_assert_cmpint(write(fds[1], pids, sizeof(pids)), ==, sizeof(pids));
        raise(SIGKILL);
    }
    close(fds[1]);
    g_assert_cmpint(read(fds[0], pids, sizeof(pids)), ==, sizeof(pids));
    close(fds[0]);
    g_assert_cmpint(waitpid(monitor, &status, 0), ==, monitor);
    g_assert_cmpint(waitpid(pids[0], &status, 0), ==, pids[0]);
    g_assert_true(WIFEXITED(status));
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    for (int i = 1; i < 3; i++)
        g_assert_cmpint(kill(pids[i], 0), ==, -1);
}

static const struct {
    const char *name;
    void (*run)(gconstpointer agent);
} tests[] = {
    { "hello", test_hello },
    { "exit-codes", test_exit_codes },
    { "not-runnable", test_not_runnable },
    { "surroundings", test_surroundings },
    { "user", test_user },
    { "directory", test_directory },
    { "arguments", test_arguments },
    { "large-output", test_large_output },
    { "slow-reader", test_slow_reader },
    { "stdin", test_stdin },
    { "stdin-closed", test_stdin_closed },
    { "close-output", test_close_output },
    { "signals", test_signals },
    { "idle", test_idle },
    { "meminfo", test_meminfo },
    { "connect", test_connect },
    { "processes", test_processes },
    { "copy", test_copy },
    { "many-sessions", test_many_sessions },
    { "session-limit", test_session_limit },
    { "orphans", test_orphans },
    { "background", test_background },
    { "exec-background", test_exec_background },
    { "before-and-after", test_before_and_after },
    { "bad-spawn", test_bad_spawn },
    { "violations", test_violations },
    { "monitor-gone", test_monitor_gone },
    { "monitor-killed", test_monitor_killed },
};

/* Both builds of the agent: the one with the sanitizers, if any, and the static one that ships. */
int main(int argc, char **argv)
{
    static const char *const builds[][2] = { { "dynamic", "duet-agent-dynamic" },
        { "static", "duet-agent" } };
    const char *build_dir = g_getenv("DUET_BUILD_DIR");

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(builds); i++) {
        char *agent =
            g_build_filename(build_dir ? build_dir : ".", "vmm", "guest", builds[i][1], NULL);

        for (guint k = 0; k < G_N_ELEMENTS(tests); k++) {
            g_autofree char *path = g_strdup_printf("/agent/%s/%s", builds[i][0], tests[k].name);

            /* Each test has a copy: they run after this. */
            g_test_add_data_func_full(path, g_strdup(agent), tests[k].run, g_free);
        }
        g_free(agent);
    }
    return g_test_run();
}
