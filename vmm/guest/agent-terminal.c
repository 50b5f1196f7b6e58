/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation: a terminal is a pseudo-terminal of the instance's own /dev/pts; the caller's
 * own one never gets in here.
 *
 * The child opens it, on its way to execve(): the path is the instance's, and whoever mounts things
 * there must not be able to make the agent wait. What it opened must be of a devpts: any other file
 * system could answer the ioctl that returns a descriptor with the number of one of ours. Both ends
 * go to the agent by the report's socket, before anything else. The program gets the slave.
 */

#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <termios.h>
#include <unistd.h>

#define PTMX "/dev/pts/ptmx"
/* The kernel's, repeated here so that the agent compiles without kernel headers. */
#define DEVPTS_MAGIC 0x1cd1
#ifndef TIOCGPTPEER
#define TIOCGPTPEER 0x5441
#endif

/* Returns: false for no size: all zero. */
static bool window_size(uint32_t window, struct winsize *out_size)
{
    *out_size = (struct winsize){
        .ws_row = (unsigned short)window,
        .ws_col = (unsigned short)(window >> 16),
    };
    return window != 0;
}

bool agent_terminal_socket(int *out_ours, int *out_theirs)
{
    int ends[2];

    /* What is sent at once is received at once: a terminal, then a report. */
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    *out_ours = ends[0];
    *out_theirs = ends[1];
    return true;
}

union ends_control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(2 * sizeof(int))];
};

static bool send_ends(int report_fd, int master, int slave)
{
    int ends[2] = { master, slave };
    char byte = 0;
    struct iovec part = { .iov_base = &byte, .iov_len = 1 };
    union ends_control control;
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    struct cmsghdr *header;

    memset(&control, 0, sizeof(control));
    header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(ends));
    memcpy(CMSG_DATA(header), ends, sizeof(ends));
    return sendmsg(report_fd, &message, MSG_NOSIGNAL) == 1;
}

int agent_terminal_open(int report_fd, uint32_t window, const char **out_what)
{
    int master = open(PTMX, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), slave, unlocked = 0;
    struct statfs fs;
    struct winsize size;

    *out_what = "cannot open a terminal at";
    if (master < 0)
        return -1;
    if (fstatfs(master, &fs) < 0 || (unsigned long)fs.f_type != DEVPTS_MAGIC) {
        errno = ENOTTY;
        return -1;
    }
    if (ioctl(master, TIOCSPTLCK, &unlocked) < 0 ||
        (slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0)
        return -1;
    *out_what = "cannot take the terminal of";
    if ((window_size(window, &size) && ioctl(slave, TIOCSWINSZ, &size) < 0) ||
        ioctl(slave, TIOCSCTTY, 0) < 0 || !send_ends(report_fd, master, slave))
        return -1;
    close(master);
    return slave;
}

/* As read() of a report; takes both ends when they come first. 1: they came, and were too many
 * files for us. */
static ssize_t receive_ends(int report_fd, void *report, size_t size, int ends[2])
{
    struct iovec part = { .iov_base = report, .iov_len = size };
    union ends_control control;
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = recvmsg(report_fd, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;

    if (!header || ends[0] >= 0)
        return got;
    memcpy(ends, CMSG_DATA(header), header->cmsg_len - CMSG_LEN(0));
    if (header->cmsg_len == CMSG_LEN(2 * sizeof(int)))
        return receive_ends(report_fd, report, size, ends);
    close(ends[0]);
    ends[0] = -1;
    return got;
}

void agent_terminal_resize(struct agent_session *session)
{
    struct winsize size;

    if (session->slave >= 0 && window_size(session->window, &size))
        ioctl(session->slave, TIOCSWINSZ, &size);
}

/* It came, and could not be taken: we have too many files open. */
static ssize_t report_no_terminal(struct agent_session *session, struct agent_report *out_report)
{
    static const char text[] = "too many terminals are open in the instance already";

    if (!session->ended)
        kill(session->pid, SIGKILL);
    out_report->code = 125;
    memcpy(out_report->text, text, sizeof(text) - 1);
    return (ssize_t)(offsetof(struct agent_report, text) + sizeof(text) - 1);
}

ssize_t agent_terminal_report(struct agent_session *session, struct agent_report *out_report)
{
    int ends[2] = { -1, -1 };
    ssize_t got = receive_ends(session->report_fd, out_report, sizeof(*out_report), ends);

    if (got == 1)
        return report_no_terminal(session, out_report);
    if (ends[0] < 0)
        return got;
    session->streams[DUET_CHANNEL_STDOUT].fd = ends[0];
    session->slave = ends[1];
    /* One of its own: epoll is to look at each of the two alone. */
    if (session->wants_stdin)
        session->streams[DUET_CHANNEL_STDIN].fd = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
    agent_terminal_resize(session);
    return got;
}

int agent_terminal_end_of_file(int slave)
{
    struct termios modes;

    if (slave < 0 || tcgetattr(slave, &modes) < 0 || !(modes.c_lflag & ICANON) ||
        modes.c_cc[VEOF] == _POSIX_VDISABLE)
        return -1;
    return modes.c_cc[VEOF];
}

void agent_slave_close(struct agent_session *session)
{
    if (session->slave >= 0)
        close(session->slave);
    session->slave = -1;
}

void agent_terminal_hang_up(struct agent *agent, struct agent_session *session)
{
    agent_slave_close(session);
    agent_stream_close(agent, &session->streams[DUET_CHANNEL_STDOUT]);
    if (session->streams[DUET_CHANNEL_STDIN].fd >= 0)
        agent_stdin_broken(agent, session);
}
