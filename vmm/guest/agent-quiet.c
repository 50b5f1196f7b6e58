/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The silence in which the memory that we live in is saved (include/duet/protocol.h). When we wake
 * up, years may have passed and the port may lead to another monitor. What happens here meanwhile
 * (a payload writes or ends) is kept: in its pipe, or as frames in agent->out.
 */

#include "agent.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* Of our own clock, which stands still while we are saved. */
#define HOSTLESS_MAX_S 20
#define SECOND_NS ((uint64_t)1000000000)

static void port_watch_as(struct agent *agent, uint32_t events)
{
    bool watched = true;

    agent->port_full = false;
    agent_watch(agent, agent->port, events, 0, AGENT_WATCH_PORT, &watched);
}

static bool port_wait(struct agent *agent)
{
    struct pollfd poller = { .fd = agent->port, .events = POLLOUT };

    return poll(&poller, 1, -1) >= 0 ? !(poller.revents & (POLLHUP | POLLERR)) : errno == EINTR;
}

void agent_quiesce(struct agent *agent)
{
    /* Its last frames come, and tell that. */
    if (agent->quiet || agent->ending || agent->finished)
        return;
    agent_send(agent, DUET_FRAME_QUIET, 0, 0, NULL, 0);
    /* The monitor reads, and sends nothing more. */
    while (agent->out_start < agent->out_end)
        if (!agent_flush(agent) || (agent->out_start < agent->out_end && !port_wait(agent)))
            agent_end(agent, 1);
    agent->quiet = agent->stalled = true;
    agent->hostless_s = 0;
    agent_sessions_advance(agent);
    /* Edge-triggered: a hang-up that lasts must not spin. */
    port_watch_as(agent, EPOLLIN | (uint32_t)EPOLLET);
}

void agent_quiet_hung_up(struct agent *agent)
{
    if (agent->deadline_ns == 0)
        agent->deadline_ns = agent_now(CLOCK_MONOTONIC) + SECOND_NS;
}

void agent_quiet_check(struct agent *agent)
{
    struct pollfd poller = { .fd = agent->port, .events = POLLIN };

    if (agent->deadline_ns == 0 || agent_now(CLOCK_MONOTONIC) < agent->deadline_ns)
        return;
    agent->deadline_ns = 0;
    if (poll(&poller, 1, 0) > 0 && poller.revents & POLLHUP) {
        if (++agent->hostless_s >= HOSTLESS_MAX_S)
            agent_end(agent, 1);
        agent_quiet_hung_up(agent);
        return;
    }
    agent->hostless_s = 0;
    /* What came with the hang-up's event has no event of its own: looked at anew. */
    port_watch_as(agent, EPOLLIN | (uint32_t)EPOLLET);
}

bool agent_go_on(struct agent *agent, const struct duet_frame *frame)
{
    if (!agent->quiet)
        return false;
    agent->quiet = false;
    agent->deadline_ns = 0;
    port_watch_as(agent, EPOLLIN);
    if (agent->role == AGENT_GUEST)
        agent_guest_go_on(agent, frame);
    /* Before all that waits. */
    while (!agent_hello(agent))
        if (errno != EINTR && (errno != EAGAIN || !port_wait(agent)))
            return false;
    return true;
}
