/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Sessions: one process each. It is over when its process is: what its background children still
 * write is nobody's. Only for session 0, all of them are ended first.
 */

#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CREDIT_MAX_BYTES ((uint64_t)1 << 32)

struct agent_session *agent_session_find(struct agent *agent, uint16_t id)
{
    struct agent_session *session = agent->sessions;

    while (session && session->id != id)
        session = session->next;
    return session;
}

static void report_close(struct agent *agent, struct agent_session *session)
{
    if (session->report_fd < 0)
        return;
    agent_watch(agent, session->report_fd, 0, 0, 0, &session->report_watched);
    close(session->report_fd);
    session->report_fd = -1;
}

static void session_free(struct agent *agent, struct agent_session *session)
{
    struct agent_session **link = &agent->sessions;

    while (*link != session)
        link = &(*link)->next;
    *link = session->next;
    agent->session_count--;
    for (int i = 0; i < 3; i++)
        agent_stream_close(agent, &session->streams[i]);
    agent_slave_close(session);
    report_close(agent, session);
    free(session->stdin_bytes);
    free(session);
}

/* Session 0 is over before or without a payload: so is the instance. */
static void session_failed(
    struct agent *agent, uint16_t id, uint32_t code, const char *text, size_t length)
{
    agent_send_failed(agent, id, code, text, length);
    if (id == 0) {
        agent->finished = true;
        agent->ending = true;
        agent_kill_all(agent);
    }
}

static void session_watch(struct agent *agent, struct agent_session *session)
{
    struct agent_stream *in = &session->streams[DUET_CHANNEL_STDIN];

    bool waits = session->stdin_start < session->stdin_end ||
        (session->tty && session->started && session->stdin_eof);

    if (in->fd >= 0)
        agent_watch(agent, in->fd, waits ? (uint32_t)EPOLLOUT : (uint32_t)EPOLLERR, session->id,
            DUET_CHANNEL_STDIN, &in->watched);
    for (uint8_t channel = DUET_CHANNEL_STDOUT; channel <= DUET_CHANNEL_STDERR; channel++) {
        struct agent_stream *out = &session->streams[channel];
        bool wanted = session->started && !session->ended && out->credit > 0 && !agent->stalled;

        if (out->fd >= 0)
            agent_watch(agent, out->fd, wanted ? (uint32_t)EPOLLIN : 0, session->id, channel,
                &out->watched);
    }
}

static void session_send_exit(struct agent *agent, struct agent_session *session)
{
    uint8_t payload[8];

    duet_put_u32(payload, session->code);
    duet_put_u32(payload + 4, session->signal);
    agent_send(agent, DUET_FRAME_EXIT, 0, session->id, payload, sizeof(payload));
    if (session->id == 0)
        agent->finished = true;
    session_free(agent, session);
}

/* Moves a session on as far as it goes now. May free it. */
static void session_advance(struct agent *agent, struct agent_session *session)
{
    bool drained;

    if (!session->ended || !session->started) {
        session_watch(agent, session);
        return;
    }
    /* The instance's own output ends when no process is left that could add to it. */
    if (session->id == 0 && !agent->childless) {
        session_watch(agent, session);
        return;
    }
    agent_stream_close(agent, &session->streams[DUET_CHANNEL_STDIN]);
    if (!session->measured)
        agent_output_measure(session);
    drained = agent_output_drain(agent, session, DUET_CHANNEL_STDOUT);
    drained = agent_output_drain(agent, session, DUET_CHANNEL_STDERR) && drained;
    if (!drained) {
        session_watch(agent, session);
        return;
    }
    /* EXIT of session 0 is the last frame of all: agent_sessions_advance() sends it. */
    if (session->id != 0)
        session_send_exit(agent, session);
}

static bool session_is_drained(const struct agent_session *session)
{
    return session->ended && session->started && session->streams[DUET_CHANNEL_STDOUT].fd < 0 &&
        session->streams[DUET_CHANNEL_STDERR].fd < 0;
}

void agent_sessions_advance(struct agent *agent)
{
    struct agent_session *session, *next;

    for (session = agent->sessions; session; session = next) {
        next = session->next;
        session_advance(agent, session);
    }
    session = agent_session_find(agent, 0);
    if (!agent->ending || !agent->childless || !session || !session_is_drained(session))
        return;
    /* `exec`s whose reader stalls must not keep the instance: they get one more second. */
    if (agent->session_count > 1 && agent->deadline_ns == 0)
        agent->deadline_ns = agent_now(CLOCK_MONOTONIC) + 1000000000u;
    if (agent->session_count > 1 && agent_now(CLOCK_MONOTONIC) < agent->deadline_ns)
        return;
    for (struct agent_session *other = agent->sessions; other; other = next) {
        next = other->next;
        if (other->id != 0)
            session_send_exit(agent, other);
    }
    agent->deadline_ns = 0;
    session_send_exit(agent, session);
}

/* Learns whether execve() succeeded. Returns: false if the session failed and is gone. */
static bool session_report(struct agent *agent, struct agent_session *session)
{
    struct agent_report report;
    ssize_t got = session->tty ? agent_terminal_report(session, &report)
                               : read(session->report_fd, &report, sizeof(report));
    uint8_t payload[4];

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got >= (ssize_t)offsetof(struct agent_report, text)) {
        uint16_t id = session->id;

        session_free(agent, session);
        session_failed(
            agent, id, report.code, report.text, (size_t)got - offsetof(struct agent_report, text));
        return false;
    }
    report_close(agent, session);
    session->started = true;
    duet_put_u32(payload, (uint32_t)session->pid);
    agent_send(agent, DUET_FRAME_STARTED, 0, session->id, payload, sizeof(payload));
    /* What came for the terminal before there was one. */
    if (session->tty)
        agent_stdin_write(agent, session);
    return true;
}

/* Makes the pipes: ours are non-blocking, the child's are not. */
static bool session_pipes(struct agent_session *session, bool with_stdin, int *theirs, int *report)
{
    for (int i = with_stdin ? 0 : 1; i < 4; i++) {
        int ends[2], ours;

        if (pipe2(ends, O_CLOEXEC) < 0)
            return false;
        ours = i == 0 ? ends[1] : ends[0];
        fcntl(ours, F_SETFL, O_NONBLOCK);
        if (i == 3)
            session->report_fd = ours;
        else
            session->streams[i].fd = ours;
        *(i == 3 ? report : &theirs[i]) = i == 0 ? ends[0] : ends[1];
    }
    return true;
}

static pid_t session_fork(struct agent *agent, struct agent_session *session,
    struct agent_spawn *spawn, const char **out_what)
{
    bool first = session->id == 0;
    /* What never becomes a program must not live in our memory. */
    bool stays = spawn->flags & (DUET_SPAWN_IDLE | DUET_SPAWN_PACK | DUET_SPAWN_UNPACK);
    struct agent_child child = { .spawn = spawn, .fds = { -1, -1, -1 }, .report_fd = -1 };
    pid_t pid = -1;
    int error = 0;

    session->ours = spawn->flags &
        (DUET_SPAWN_PACK | DUET_SPAWN_UNPACK | DUET_SPAWN_MEMINFO | DUET_SPAWN_PROCESSES |
            DUET_SPAWN_CONNECT);
    child.make_cwd = first;
    child.capabilities = agent->capabilities;
    child.limits = agent->limits;
    *out_what = "cannot make pipes for the program";
    if (session->tty ? agent_terminal_socket(&session->report_fd, &child.report_fd)
                     : session_pipes(session, session->wants_stdin, child.fds, &child.report_fd)) {
        *out_what = "cannot start a process for the program";
        pid = agent_child_start(&child, first && !stays);
    }
    if (pid < 0)
        error = errno;
    for (int i = 0; i < 3; i++)
        if (child.fds[i] >= 0)
            close(child.fds[i]);
    if (child.report_fd >= 0)
        close(child.report_fd);
    errno = error;
    return pid;
}

static struct agent_session *session_new(struct agent *agent, uint16_t id)
{
    struct agent_session *session = calloc(1, sizeof(*session));

    if (!session)
        return NULL;
    session->id = id;
    session->report_fd = session->slave = -1;
    for (int i = 0; i < 3; i++)
        session->streams[i] =
            (struct agent_stream){ .fd = -1, .credit = DUET_CREDIT_INITIAL_BYTES };
    session->next = agent->sessions;
    agent->sessions = session;
    agent->session_count++;
    return session;
}

static bool spawn_allowed(struct agent *agent, uint16_t id, struct agent_text *error)
{
    if (agent->ending)
        agent_text_add(error, "the instance is stopping", NULL);
    else if (id != 0 && !agent->had_session)
        agent_text_add(error, "the instance has not started yet", NULL);
    else if (id != 0 && agent->session_count > DUET_SESSIONS_MAX)
        agent_text_add(error, "too many programs run in the instance already", NULL);
    else
        return true;
    return false;
}

/* Returns: the session with its child, or NULL with a message. */
static struct agent_session *session_start(
    struct agent *agent, const struct duet_frame *frame, struct agent_text *error)
{
    struct agent_session *session;
    struct agent_spawn spawn = { 0 };
    const char *what = "out of memory for a session";

    if (!agent_spawn_parse(frame, &spawn, error))
        return NULL;
    session = session_new(agent, frame->session);
    if (session) {
        session->tty = spawn.flags & DUET_SPAWN_TTY;
        session->wants_stdin = spawn.flags & DUET_SPAWN_STDIN;
        session->pid = session_fork(agent, session, &spawn, &what);
    }
    if (!session || session->pid < 0) {
        agent_text_add(error, what, ": ", strerror(errno), NULL);
        if (session)
            session_free(agent, session);
        session = NULL;
    }
    agent_spawn_clear(&spawn);
    return session;
}

bool agent_session_spawn(struct agent *agent, const struct duet_frame *frame)
{
    struct agent_session *session;
    struct agent_text error = { 0 };

    if (agent_session_find(agent, frame->session) || (frame->session == 0 && agent->had_session))
        return false;
    if (!spawn_allowed(agent, frame->session, &error)) {
        agent_send_failed(agent, frame->session, 125, error.bytes, error.length);
        return true;
    }
    agent->had_session |= frame->session == 0;
    session = session_start(agent, frame, &error);
    if (!session) {
        session_failed(agent, frame->session, 125, error.bytes, error.length);
        return true;
    }
    /* A child that shared our memory has reported already. */
    if (!session_report(agent, session))
        return true;
    if (!session->started)
        agent_watch(agent, session->report_fd, EPOLLIN, session->id, AGENT_WATCH_REPORT,
            &session->report_watched);
    session_advance(agent, session);
    return true;
}

void agent_session_exited(struct agent *agent, pid_t pid, int status)
{
    struct agent_session *session = agent->sessions;

    while (session && session->pid != pid)
        session = session->next;
    if (!session || session->ended)
        return; /* an orphan that came to us: reaped, no more */
    session->ended = true;
    agent_send(agent, DUET_FRAME_ENDED, 0, session->id, NULL, 0);
    session->signal = WIFSIGNALED(status) ? (uint32_t)WTERMSIG(status) : 0;
    session->code = session->signal ? 128 + session->signal : (uint32_t)WEXITSTATUS(status);
    /* It may have ended before we looked at its report: that comes first. */
    if (session->report_fd >= 0 && !session_report(agent, session))
        return;
    if (session->id == 0)
        agent->ending = true; /* see reap() */
    else
        session_advance(agent, session);
}

void agent_session_event(struct agent *agent, uint16_t id, uint8_t kind, uint32_t events)
{
    struct agent_session *session = agent_session_find(agent, id);

    if (!session)
        return; /* it ended earlier in the same round */
    if (kind == AGENT_WATCH_REPORT) {
        if (session->report_fd >= 0 && !session_report(agent, session))
            return;
    } else if (kind == DUET_CHANNEL_STDIN) {
        if (events & EPOLLERR && session->streams[kind].fd >= 0)
            agent_stdin_broken(agent, session);
        agent_stdin_write(agent, session);
    } else if (session->started) {
        agent_output_read(agent, session, kind, DUET_FRAME_MAX_BYTES);
    }
    session_advance(agent, session);
}

/* The channels that a frame of the monitor may be about; clients' frames come through unfiltered.
 */
static bool frame_fits(const struct duet_frame *frame)
{
    bool output = frame->channel == DUET_CHANNEL_STDOUT || frame->channel == DUET_CHANNEL_STDERR;

    switch (frame->type) {
    case DUET_FRAME_DATA:
    case DUET_FRAME_EOF:
        return frame->channel == DUET_CHANNEL_STDIN;
    case DUET_FRAME_CREDIT:
        return output && frame->length == 4;
    case DUET_FRAME_CLOSE:
        return output;
    default: /* SIGNAL, RESIZE */
        return frame->length == 4;
    }
}

/* An `exec` that is killed takes along what it started, unless that made a session of its own. */
static void session_signal(const struct agent_session *session, int number)
{
    if (session->ended)
        return;
    /* What is no program of the payload's has nothing to tidy up, and may have been stopped. */
    if (session->ours && number == SIGHUP)
        number = SIGKILL;
    kill(session->pid, number);
    if (number == SIGKILL && session->id != 0)
        kill(-session->pid, number);
}

void agent_session_frame(struct agent *agent, const struct duet_frame *frame)
{
    struct agent_session *session = agent_session_find(agent, frame->session);
    struct agent_stream *stream;

    if (!session || !frame_fits(frame))
        return; /* it crossed the session's end, or makes no sense: one client's fault, not all's */
    stream = &session->streams[frame->channel <= DUET_CHANNEL_STDERR ? frame->channel : 0];
    switch (frame->type) {
    case DUET_FRAME_DATA:
        agent_stdin_take(agent, session, frame->payload, frame->length);
        break;
    case DUET_FRAME_EOF:
        session->stdin_eof = true;
        agent_stdin_write(agent, session);
        break;
    case DUET_FRAME_CLOSE:
        if (session->tty)
            agent_terminal_hang_up(agent, session);
        else
            agent_stream_close(agent, stream);
        break;
    case DUET_FRAME_CREDIT:
        stream->credit += duet_get_u32(frame->payload);
        if (stream->credit > CREDIT_MAX_BYTES)
            stream->credit = CREDIT_MAX_BYTES;
        break;
    case DUET_FRAME_SIGNAL:
        session_signal(session, (int)duet_get_u32(frame->payload));
        break;
    case DUET_FRAME_RESIZE:
        session->window = duet_get_u32(frame->payload);
        agent_terminal_resize(session);
        break;
    }
    session_advance(agent, session);
}
