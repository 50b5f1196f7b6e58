/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation: the agent is the one program of ours inside an instance. It starts the
 * payload and `exec` sessions, carries their streams, reaps, and tells how they ended. One source,
 * three roles, and a fourth for systems of others:
 *
 *  - container: pid 1 of a pid namespace, executed from a sealed memfd by the driver, which has set
 *    up namespaces, mounts, ids and capabilities before. fd 3 is a socket to the monitor.
 *  - native ("duet-agent native"): a plain process and subreaper, for the benchmark. fd 3 as above.
 *  - guest: pid 1 of a virtual machine, started by its kernel as "/init" of our initramfs. It makes
 *    the surroundings of the payload itself, see agent-guest.c. The channel is the virtio-serial
 *    port "org.duet.agent.0".
 *  - errand ("duet-agent errand ..."): none of these: see agent-errand.c.
 *
 * Trust: the monitor is trusted, the payload is not, and both are in the same process tree here.
 *  - The payload must not be able to read or write our memory (we are not dumpable from the first
 *    system call on), to speak on the channel (no descriptor of ours survives into a child: all
 *    are close-on-exec, and closed again), to forge an exit code (it is what wait() says of the
 *    very process that we started), or to outlive the instance.
 *  - Names and files of the instance (/etc/passwd, the program's path, the working directory) are
 *    read only by the child that is about to become the payload.
 *  - Who is the monitor is decided by inheritance of fd 3 alone. When it closes, by whatever end
 *    of the monitor, all ends here too: the processes are killed, a guest powers off. A container's
 *    pid 1, and with it all in there, gets the kernel's SIGKILL as well (PR_SET_PDEATHSIG).
 *  - In a guest, a payload that is root owns the kernel below us, as it should in a machine of
 *    its own: what it can forge there is its own instance's story, and the host takes every
 *    frame for hostile.
 *  - Bytes that are no frame, or a frame that a monitor may not send, end the instance alike.
 *
 * Ends: when session 0 ends, all other processes are killed and reaped, what they wrote is sent as
 * far as credit goes, and EXIT of session 0 is the last frame.
 */

#include "agent.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define INHERITED_PORT 3

/* Kills the children that /proc lists for us; their children become ours, a subreaper's, when they
 * die. Returns: false if nothing could be seen: then the driver's cgroup has to do it. */
static bool kill_children(void)
{
    struct agent_text path = { 0 };
    const char *cursor, *end;
    struct agent_span word;
    char list[4096];
    ssize_t length;
    int fd;

    agent_text_add(&path, "/proc/self/task/", NULL);
    agent_text_add_number(&path, (uint64_t)getpid());
    agent_text_add(&path, "/children", NULL);
    fd = open(path.bytes, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    length = read(fd, list, sizeof(list) - 1);
    close(fd);
    if (length < 0)
        return false;
    /* Cut at a whole number: the rest follows when these are gone. */
    while (length > 0 && list[length - 1] != ' ')
        length--;
    cursor = list;
    end = list + length;
    while (agent_span_next(&cursor, end, ' ', &word)) {
        uint32_t pid;

        if (agent_number(word.at, word.length, INT32_MAX, &pid) && pid > 1)
            kill((pid_t)pid, SIGKILL);
    }
    return true;
}

bool agent_kill_all(struct agent *agent)
{
    if (agent->role != AGENT_NATIVE) {
        kill(-1, SIGKILL); /* all of our pid namespace but ourselves */
        return true;
    }
    for (struct agent_session *session = agent->sessions; session; session = session->next)
        if (!session->ended)
            kill(session->pid, SIGKILL);
    return kill_children();
}

void agent_end(struct agent *agent, int status)
{
    bool seen = !agent->childless && agent_kill_all(agent);

    if (agent->role == AGENT_GUEST)
        agent_guest_power_off(agent);
    /* The kernel ends a pid namespace with its pid 1; descendants elsewhere we have to wait for. */
    while (agent->role == AGENT_NATIVE && seen && waitpid(-1, NULL, __WALL) > 0)
        seen = agent_kill_all(agent);
    _exit(status);
}

/* Nothing but the port stays open, and the port goes to no child. */
static void close_inherited(void)
{
    syscall(SYS_close_range, 0U, INHERITED_PORT - 1U, 0U);
    syscall(SYS_close_range, INHERITED_PORT + 1U, ~0U, 0U);
    fcntl(INHERITED_PORT, F_SETFD, FD_CLOEXEC);
    fcntl(INHERITED_PORT, F_SETFL, O_RDWR | O_NONBLOCK);
}

static void guest_main(struct agent *agent) __attribute__((noreturn));
static void guest_main(struct agent *agent)
{
    struct agent_text error = { 0 };

    agent->port = -1;
    if (!agent_guest_open(agent, &error)) {
        agent_guest_say(agent, error.bytes);
        agent_guest_power_off(agent);
    }
    if (!agent_hello(agent) || !agent_loop_init(agent)) {
        agent_guest_say(agent, "the monitor went away at once");
        agent_guest_power_off(agent);
    }
    if (!agent_guest_root(agent, &error)) {
        agent_guest_say(agent, error.bytes);
        agent_send_failed(agent, 0, 125, error.bytes, error.length);
        agent->finished = agent->ending = true;
    }
    agent_loop(agent);
}

int main(int argc, char **argv)
{
    struct agent agent = { .port = INHERITED_PORT, .capabilities = UINT64_MAX };
    sigset_t all;

    prctl(PR_SET_DUMPABLE, 0);
    if (argc > 1 && strcmp(argv[1], "errand") == 0)
        return agent_errand(argc - 2, argv + 2);
    agent.born_ns = agent_now(CLOCK_MONOTONIC);
    if (argc > 1 && strcmp(argv[1], "native") == 0)
        agent.role = AGENT_NATIVE;
    else if (getpid() == 1)
        agent.role = argc > 0 && strcmp(argv[0], "/init") == 0 ? AGENT_GUEST : AGENT_CONTAINER;
    else
        return 125; /* started by hand */
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGCHLD, SIG_DFL); /* inherited as ignored, it would let nobody wait for a child */
    if (agent.role == AGENT_GUEST)
        guest_main(&agent);
    if (agent.role == AGENT_NATIVE) {
        /* Killed, we would leave our descendants behind; the closed port lets us end them first. */
        prctl(PR_SET_PDEATHSIG, 0);
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    } else {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    }
    close_inherited();
    if (!agent_hello(&agent) || !agent_loop_init(&agent))
        return 125;
    agent_loop(&agent);
}
