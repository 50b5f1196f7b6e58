/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * One loop over the port, SIGCHLD and the payloads' pipes. It can't deadlock with the monitor: the
 * port is read whatever waits to be written, only the payloads' pipes are left alone meanwhile, and
 * frames other than DATA are few enough to always fit.
 */

#include "agent.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* DATA is added below this. The rest is for the other frames: the monitor's 257 session numbers are
 * in use until it has read how each ended, so that a few hundred bytes each are all there can be.
 */
#define OUT_DATA_BYTES ((size_t)DUET_FRAME_MAX_BYTES)
#define OUT_BYTES ((size_t)512 * 1024)
#define EVENTS 32
#define READS_PER_ROUND 16
/* Whoever runs for less is not held up by what can wait. */
#define IDLE_MS 500

uint64_t agent_now(int clock_id)
{
    struct timespec now;

    clock_gettime(clock_id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* To the monitor ------------------------------------------------------------------------------ */

static bool out_is_full(const struct agent *agent)
{
    return agent->out_end - agent->out_start >= OUT_DATA_BYTES;
}

/* Makes room at the end. Returns: false when that much can't be: the monitor broke the protocol. */
static bool out_reserve(struct agent *agent, size_t bytes)
{
    size_t held = agent->out_end - agent->out_start;

    if (held == 0)
        agent->out_start = agent->out_end = 0;
    if (agent->out_end + bytes <= OUT_BYTES)
        return true;
    if (held + bytes > OUT_BYTES)
        return false;
    memmove(agent->out, agent->out + agent->out_start, held);
    agent->out_start = 0;
    agent->out_end = held;
    return true;
}

void agent_send(struct agent *agent, uint8_t type, uint8_t channel, uint16_t session,
    const void *payload, uint32_t length)
{
    if (!out_reserve(agent, DUET_FRAME_HEADER_BYTES + (size_t)length))
        agent_end(agent, 1);
    duet_frame_header(agent->out + agent->out_end, type, channel, session, length);
    if (length)
        memcpy(agent->out + agent->out_end + DUET_FRAME_HEADER_BYTES, payload, length);
    agent->out_end += DUET_FRAME_HEADER_BYTES + length;
}

void agent_send_failed(
    struct agent *agent, uint16_t session, uint32_t code, const char *text, size_t length)
{
    uint8_t payload[4 + sizeof(struct agent_report)];

    if (length > sizeof(payload) - 4)
        length = sizeof(payload) - 4;
    duet_put_u32(payload, code);
    memcpy(payload + 4, text, length);
    agent_send(agent, DUET_FRAME_FAILED, 0, session, payload, (uint32_t)(4 + length));
}

uint8_t *agent_send_room(struct agent *agent)
{
    if (agent->quiet || out_is_full(agent) ||
        !out_reserve(agent, DUET_FRAME_HEADER_BYTES + (size_t)DUET_FRAME_MAX_BYTES)) {
        agent->stalled = true;
        return NULL;
    }
    return agent->out + agent->out_end + DUET_FRAME_HEADER_BYTES;
}

void agent_send_data(struct agent *agent, uint8_t channel, uint16_t session, uint32_t length)
{
    duet_frame_header(agent->out + agent->out_end, DUET_FRAME_DATA, channel, session, length);
    agent->out_end += DUET_FRAME_HEADER_BYTES + length;
}

bool agent_flush(struct agent *agent)
{
    while (agent->out_start < agent->out_end) {
        ssize_t put =
            write(agent->port, agent->out + agent->out_start, agent->out_end - agent->out_start);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            break;
        if (put < 0)
            return false;
        agent->out_start += (size_t)put;
    }
    return true;
}

/* Looks for EPOLLOUT only while something waits. */
static void port_watch(struct agent *agent)
{
    bool full = agent->out_start < agent->out_end, watched = true;

    if (full == agent->port_full)
        return;
    agent->port_full = full;
    agent_watch(agent, agent->port, EPOLLIN | (full ? (uint32_t)EPOLLOUT : 0), 0, AGENT_WATCH_PORT,
        &watched);
}

bool agent_hello(struct agent *agent)
{
    uint8_t frame[DUET_FRAME_HEADER_BYTES + 20], *payload = frame + DUET_FRAME_HEADER_BYTES;
    uint64_t kernel_ns = agent->role == AGENT_GUEST ? agent_now(CLOCK_BOOTTIME) : 0;

    duet_frame_header(frame, DUET_FRAME_HELLO, 0, 0, 20);
    duet_put_u32(payload, DUET_PROTOCOL_VERSION);
    duet_put_u64(payload + 4, agent_now(CLOCK_MONOTONIC) - agent->born_ns);
    duet_put_u64(payload + 12, kernel_ns);
    return write(agent->port, frame, sizeof(frame)) == (ssize_t)sizeof(frame);
}

/* From the monitor ---------------------------------------------------------------------------- */

static bool shutdown_frame(struct agent *agent)
{
    agent->shutdown = true;
    agent->quiet = false;
    if (agent->finished || agent->ending)
        return true;
    if (!agent_session_find(agent, 0))
        agent_end(agent, 0); /* nothing ran yet, so there is no EXIT to tell */
    agent_kill_all(agent);
    return true;
}

/* Fields that are malformed are told of elsewhere, or come from nobody: nothing is given by them.
 */
static void config_payloads(struct agent *agent, const struct duet_frame *frame)
{
    size_t cursor = 0;
    const uint8_t *bytes;
    uint32_t length;
    uint8_t tag;

    while (duet_field_next(frame->payload, frame->length, &cursor, &tag, &bytes, &length) > 0) {
        if (tag == DUET_FIELD_CAPABILITIES && length == 8)
            agent->capabilities = duet_get_u64(bytes);
        else if (tag == DUET_FIELD_ULIMIT && length == 20 && duet_get_u32(bytes) < AGENT_LIMITS)
            agent->limits[duet_get_u32(bytes)] = (struct agent_limit){
                .set = true,
                .soft = duet_get_u64(bytes + 4),
                .hard = duet_get_u64(bytes + 12),
            };
    }
}

static bool config_frame(struct agent *agent, const struct duet_frame *frame)
{
    struct agent_text error = { 0 };

    if (agent->configured || agent->had_session)
        return false;
    agent->configured = true;
    config_payloads(agent, frame);
    /* A container's and a native payload's surroundings are their driver's work. */
    if (agent->role != AGENT_GUEST || agent_guest_config(agent, frame, &error))
        return true;
    agent_guest_say(agent, error.bytes);
    agent_send_failed(agent, 0, 125, error.bytes, error.length);
    agent->finished = agent->ending = true;
    return true;
}

/* Returns: false for a frame that the monitor may not send: nothing it says can be trusted then. */
static bool frame_dispatch(struct agent *agent, const struct duet_frame *frame)
{
    if (frame->type == DUET_FRAME_SHUTDOWN)
        return shutdown_frame(agent);
    if (agent->finished)
        return true;
    switch (frame->type) {
    case DUET_FRAME_CONFIG:
        return config_frame(agent, frame);
    case DUET_FRAME_CHANGE:
        if (agent->role != AGENT_GUEST || !agent->had_session)
            return false;
        agent_guest_change(agent, frame);
        return true;
    case DUET_FRAME_SPAWN:
        return agent_session_spawn(agent, frame);
    case DUET_FRAME_QUIESCE:
        agent_quiesce(agent);
        return true;
    case DUET_FRAME_GO_ON:
        return agent_go_on(agent, frame);
    case DUET_FRAME_DATA:
    case DUET_FRAME_EOF:
    case DUET_FRAME_CLOSE:
    case DUET_FRAME_CREDIT:
    case DUET_FRAME_SIGNAL:
    case DUET_FRAME_RESIZE:
        agent_session_frame(agent, frame);
        return true;
    default:
        return false;
    }
}

/* Returns: false when the monitor is gone or sent what is no frame. */
static bool port_read(struct agent *agent)
{
    for (int i = 0; i < READS_PER_ROUND; i++) {
        struct duet_frame frame;
        size_t room;
        uint8_t *space = duet_frame_reader_space(&agent->reader, &room);
        ssize_t got = space ? read(agent->port, space, room) : 0;
        int more;

        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (got <= 0)
            return false;
        duet_frame_reader_fed(&agent->reader, (size_t)got);
        while ((more = duet_frame_reader_next(&agent->reader, &frame)) > 0)
            if (!frame_dispatch(agent, &frame))
                return false;
        if (more < 0)
            return false;
        /* A short read is the end of what is there; a virtio port gives a page at a time. */
        if ((size_t)got < room && agent->role != AGENT_GUEST)
            return true;
    }
    return true;
}

/* Children ------------------------------------------------------------------------------------ */

static void reap(struct agent *agent)
{
    pid_t pid;
    int status;

    while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
        /* Most often the payload was the last: looking for others would cost more than to reap it.
         * Whoever goes on making some must not keep us here. */
        if (agent->ending)
            agent_kill_all(agent);
        agent_session_exited(agent, pid, status);
    }
    if (!agent->ending || agent->childless)
        return;
    /* Without a pid namespace, the children of whom we killed have become ours just now. */
    if (pid < 0 || !agent_kill_all(agent))
        agent->childless = true;
}

static void signals_read(struct agent *agent)
{
    struct signalfd_siginfo info[4];

    while (read(agent->signals, info, sizeof(info)) == (ssize_t)sizeof(info))
        ;
}

/* The loop ------------------------------------------------------------------------------------- */

void agent_watch(
    struct agent *agent, int fd, uint32_t events, uint16_t session, uint8_t kind, bool *watched)
{
    struct epoll_event event = {
        .events = events,
        .data.u64 = (uint64_t)session << 8 | kind,
    };
    int what = *watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

    if (events == 0 && !*watched)
        return;
    if (events == 0)
        what = EPOLL_CTL_DEL;
    if (epoll_ctl(agent->epoll, what, fd, &event) < 0)
        agent_end(agent, 1); /* no memory for it: blind, we would hang */
    *watched = events != 0;
}

bool agent_loop_init(struct agent *agent)
{
    bool port = false, signals = false;
    sigset_t child;

    agent->out = mmap(NULL, OUT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (agent->out == MAP_FAILED)
        return false;
    agent->epoll = epoll_create1(EPOLL_CLOEXEC);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    agent->signals = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
    if (agent->epoll < 0 || agent->signals < 0)
        return false;
    agent_watch(agent, agent->port, EPOLLIN, 0, AGENT_WATCH_PORT, &port);
    agent_watch(agent, agent->signals, EPOLLIN, 0, AGENT_WATCH_SIGNALS, &signals);
    return true;
}

static void event_dispatch(struct agent *agent, const struct epoll_event *event)
{
    uint8_t kind = (uint8_t)event->data.u64;

    if (kind == AGENT_WATCH_PORT && agent->quiet && agent->role == AGENT_GUEST &&
        event->events & EPOLLHUP) {
        agent_quiet_hung_up(agent);
    } else if (kind == AGENT_WATCH_PORT) {
        /* What came before a hang-up does not matter any more: its sender is gone. */
        if (event->events & (EPOLLHUP | EPOLLERR) || (event->events & EPOLLIN && !port_read(agent)))
            agent_end(agent, 1);
    } else if (kind == AGENT_WATCH_SIGNALS) {
        signals_read(agent);
        reap(agent);
    } else {
        agent_session_event(agent, (uint16_t)(event->data.u64 >> 8), kind, event->events);
    }
}

/* The last frame is on its way. A container's is safe in the socket. A guest must not power off
 * before the host has taken it, so it waits a while for SHUTDOWN, the answer to EXIT. */
static void finish(struct agent *agent)
{
    uint64_t now;

    if (!agent->finished || agent->out_start < agent->out_end)
        return;
    if (agent->role != AGENT_GUEST)
        agent_end(agent, 0);
    now = agent_now(CLOCK_MONOTONIC);
    if (agent->deadline_ns == 0) {
        /* A SHUTDOWN that came before EXIT is no answer to it: give the bytes a moment. */
        agent->deadline_ns = now + (agent->shutdown ? 300u : 3000u) * (uint64_t)1000000;
        agent->shutdown = false;
    }
    if (agent->shutdown || now >= agent->deadline_ns)
        agent_end(agent, 0);
}

static int loop_timeout(struct agent *agent)
{
    uint64_t now;

    if (agent->deadline_ns == 0)
        return agent_guest_has_idle_work(agent) ? IDLE_MS : -1;
    now = agent_now(CLOCK_MONOTONIC);
    return now >= agent->deadline_ns ? 0 : (int)((agent->deadline_ns - now) / 1000000) + 1;
}

static void flush_or_end(struct agent *agent)
{
    if (!agent_flush(agent))
        agent_end(agent, 1);
}

/* What all that happened amounts to: more reaped, more sent, perhaps the end. */
static void settle(struct agent *agent)
{
    if (agent->quiet) {
        agent_quiet_check(agent);
        return;
    }
    if (agent->ending && !agent->childless)
        reap(agent);
    flush_or_end(agent);
    while (agent->stalled || agent->ending) {
        agent->stalled = out_is_full(agent);
        agent_sessions_advance(agent);
        flush_or_end(agent);
        /* Stalled and yet all was taken: nothing would wake us to go on. */
        if (!agent->stalled || out_is_full(agent))
            break;
    }
    port_watch(agent);
    finish(agent);
}

void agent_loop(struct agent *agent)
{
    for (;;) {
        struct epoll_event events[EVENTS];
        int count;

        settle(agent);
        count = epoll_wait(agent->epoll, events, EVENTS, loop_timeout(agent));
        if (count == 0 && agent->deadline_ns == 0)
            agent_guest_idle_work(agent);
        for (int i = 0; i < count; i++)
            event_dispatch(agent, &events[i]);
    }
}
