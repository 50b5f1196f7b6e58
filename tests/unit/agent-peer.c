/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "agent-peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define TIMEOUT_US (60 * G_USEC_PER_SEC)

static void start_agent(const char *agent, int fd)
{
    /* As a careless caller: ignored signals, blocked ones, and open descriptors are inherited. */
    sigset_t blocked;

    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_SETMASK, &blocked, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* Standard error is closed in the agent: a sanitizer's word is its exit code. */
    setenv("ASAN_OPTIONS", "detect_leaks=0:exitcode=99:log_path=duet-agent-asan", 1);
    setenv("UBSAN_OPTIONS", "halt_on_error=1:exitcode=99:log_path=duet-agent-ubsan", 1);
    if (fd != 3)
        dup2(fd, 3);
    else
        fcntl(fd, F_SETFD, 0);
    dup2(3, 77);
    execl(agent, "duet-agent", "native", NULL);
    _exit(127);
}

Peer *peer_new(const char *agent)
{
    Peer *peer = g_new0(Peer, 1);
    int fds[2];

    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < PEER_SESSIONS; i++)
        for (int channel = 0; channel < 3; channel++)
            peer->sessions[i].out[channel] = g_byte_array_new();
    for (int i = 0; i < PEER_SESSIONS; i++)
        peer->sessions[i].stdin_credit = DUET_CREDIT_INITIAL_BYTES;
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    peer->pid = fork();
    g_assert_cmpint(peer->pid, >=, 0);
    if (peer->pid == 0)
        start_agent(agent, fds[1]);
    close(fds[1]);
    peer->fd = fds[0];
    peer_wait(peer, &peer->hello);
    return peer;
}

int peer_free(Peer *peer)
{
    int status = -1;

    close(peer->fd);
    g_assert_cmpint(waitpid(peer->pid, &status, 0), ==, peer->pid);
    g_assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 99);
    g_assert_false(WIFSIGNALED(status));
    duet_frame_reader_clear(&peer->reader);
    for (int i = 0; i < PEER_SESSIONS; i++) {
        for (int channel = 0; channel < 3; channel++)
            g_byte_array_unref(peer->sessions[i].out[channel]);
        g_free(peer->sessions[i].message);
    }
    g_free(peer);
    return status;
}

/* Frames are small against the socket's buffer, and the agent always reads: blocking is fine. */
void peer_send(Peer *peer, guint8 type, guint8 channel, guint16 session, const void *bytes, gsize n)
{
    g_autofree guint8 *frame = g_malloc(DUET_FRAME_HEADER_BYTES + n);
    gsize at = 0;

    duet_frame_header(frame, type, channel, session, (guint32)n);
    if (n)
        memcpy(frame + DUET_FRAME_HEADER_BYTES, bytes, n);
    n += DUET_FRAME_HEADER_BYTES;
    while (at < n) {
        ssize_t put = write(peer->fd, frame + at, n - at);

        if (put < 0)
            break; /* an agent that is gone: the test sees that by other means */
        at += (gsize)put;
    }
}

void peer_send_u32(Peer *peer, guint8 type, guint8 channel, guint16 session, guint32 number)
{
    guint8 bytes[4];

    duet_put_u32(bytes, number);
    peer_send(peer, type, channel, session, bytes, sizeof(bytes));
}

static void add_field(GByteArray *fields, guint8 tag, const void *bytes, gsize n)
{
    guint8 header[5] = { tag };

    duet_put_u32(header + 1, (guint32)n);
    g_byte_array_append(fields, header, sizeof(header));
    g_byte_array_append(fields, bytes, (guint)n);
}

void peer_spawn(Peer *peer, guint16 session, const PeerSpawn *spawn)
{
    g_autoptr(GByteArray) fields = g_byte_array_new();
    guint8 flags[4];

    for (int i = 0; spawn->argv && spawn->argv[i]; i++)
        add_field(fields, DUET_FIELD_ARG, spawn->argv[i], strlen(spawn->argv[i]));
    for (int i = 0; spawn->env && spawn->env[i]; i++)
        add_field(fields, DUET_FIELD_ENV, spawn->env[i], strlen(spawn->env[i]));
    if (spawn->cwd)
        add_field(fields, DUET_FIELD_CWD, spawn->cwd, strlen(spawn->cwd));
    if (spawn->user)
        add_field(fields, DUET_FIELD_USER, spawn->user, strlen(spawn->user));
    duet_put_u32(flags, spawn->flags);
    add_field(fields, DUET_FIELD_FLAGS, flags, sizeof(flags));
    duet_put_u32(flags, spawn->window);
    if (spawn->window)
        add_field(fields, DUET_FIELD_WINDOW, flags, sizeof(flags));
    peer_send(peer, DUET_FRAME_SPAWN, 0, session, fields->data, fields->len);
}

void peer_sh(Peer *peer, guint16 session, const char *script, guint32 flags)
{
    const char *const argv[] = { "sh", "-c", script, NULL };

    peer_spawn(peer, session, &(PeerSpawn){ .argv = argv, .flags = flags });
}

static void take_data(Peer *peer, PeerSession *session, const struct duet_frame *frame)
{
    g_byte_array_append(session->out[frame->channel], frame->payload, frame->length);
    if (!peer->no_credit[frame->session])
        peer_send_u32(peer, DUET_FRAME_CREDIT, frame->channel, frame->session, frame->length);
}

static void take_frame(Peer *peer, const struct duet_frame *frame)
{
    PeerSession *session = &peer->sessions[frame->session];

    g_assert_cmpuint(frame->session, <, PEER_SESSIONS);
    g_assert_cmpuint(frame->channel, <, 3);
    g_assert_true(peer->hello || frame->type == DUET_FRAME_HELLO);
    peer->frames_after_end += peer->sessions[0].ended;
    g_assert_false(session->ended || peer->quiet);
    switch (frame->type) {
    case DUET_FRAME_HELLO:
        g_assert_cmpuint(frame->length, ==, 20);
        peer->hello = TRUE;
        peer->version = duet_get_u32(frame->payload);
        peer->agent_ns = duet_get_u64(frame->payload + 4);
        peer->kernel_ns = duet_get_u64(frame->payload + 12);
        break;
    case DUET_FRAME_QUIET:
        peer->quiet = TRUE;
        break;
    case DUET_FRAME_STARTED:
        session->started = TRUE;
        session->pid = duet_get_u32(frame->payload);
        break;
    case DUET_FRAME_FAILED:
        session->failed = session->ended = TRUE;
        session->code = duet_get_u32(frame->payload);
        session->message = g_strndup((const char *)frame->payload + 4, frame->length - 4);
        break;
    case DUET_FRAME_DATA:
        g_assert_true(session->started && !session->eof[frame->channel]);
        take_data(peer, session, frame);
        break;
    case DUET_FRAME_EOF:
        g_assert_false(session->eof[frame->channel]);
        session->eof[frame->channel] = TRUE;
        break;
    case DUET_FRAME_CLOSE:
        session->closed[frame->channel] = TRUE;
        break;
    case DUET_FRAME_CREDIT:
        g_assert_cmpuint(frame->channel, ==, DUET_CHANNEL_STDIN);
        session->stdin_credit += duet_get_u32(frame->payload);
        break;
    case DUET_FRAME_ENDED:
        g_assert_false(session->process_ended);
        session->process_ended = TRUE;
        break;
    case DUET_FRAME_EXIT:
        g_assert_true(session->process_ended);
        session->ended = TRUE;
        session->code = duet_get_u32(frame->payload);
        session->signal = duet_get_u32(frame->payload + 4);
        break;
    default:
        g_error("the agent sent a frame of type %u", frame->type);
    }
}

gboolean peer_pump(Peer *peer, int ms)
{
    struct pollfd poller = { .fd = peer->fd, .events = POLLIN };
    struct duet_frame frame;
    size_t room;
    guint8 *space;
    ssize_t got;
    int more;

    if (peer->gone || poll(&poller, 1, ms) <= 0)
        return FALSE;
    space = duet_frame_reader_space(&peer->reader, &room);
    got = read(peer->fd, space, room);
    if (got <= 0) {
        peer->gone = TRUE;
        return FALSE;
    }
    duet_frame_reader_fed(&peer->reader, (size_t)got);
    while ((more = duet_frame_reader_next(&peer->reader, &frame)) > 0)
        take_frame(peer, &frame);
    g_assert_cmpint(more, ==, 0);
    return TRUE;
}

void peer_wait(Peer *peer, const gboolean *flag)
{
    gint64 end = g_get_monotonic_time() + TIMEOUT_US;

    while (!*flag && g_get_monotonic_time() < end) {
        peer_pump(peer, 1000);
        if (peer->gone)
            break;
    }
    g_assert_true(*flag);
}

void peer_wait_started(Peer *peer, guint16 session)
{
    peer_wait(peer, &peer->sessions[session].started);
}

PeerSession *peer_wait_ended(Peer *peer, guint16 session)
{
    peer_wait(peer, &peer->sessions[session].ended);
    return &peer->sessions[session];
}

const char *peer_text(Peer *peer, guint16 session, guint8 channel)
{
    GByteArray *out = peer->sessions[session].out[channel];

    g_byte_array_append(out, (const guint8 *)"", 1);
    g_byte_array_set_size(out, out->len - 1);
    return (const char *)out->data;
}
