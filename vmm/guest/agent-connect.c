/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whether a server inside is up, for `--ready tcp:PORT`: by a child of the agent, as an instance
 * has no network but its own loopback, and its image need not have a client.
 */

#include "agent.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Whoever asks may want an end meanwhile. */
#define TRIES 100
#define PAUSE_NS 1000000

static bool accepts(int family, const void *address, socklen_t length)
{
    /* A server whose queue is full answers nothing. */
    const struct timeval patience = { .tv_usec = 100000 };
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    is = connect(fd, address, length) == 0;
    close(fd);
    return is;
}

bool agent_connect(const char *port)
{
    const in_port_t wanted = htons((uint16_t)strtoul(port, NULL, 10));
    const struct sockaddr_in four = {
        .sin_family = AF_INET,
        .sin_port = wanted,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    const struct sockaddr_in6 six = {
        .sin6_family = AF_INET6,
        .sin6_port = wanted,
        .sin6_addr = IN6ADDR_LOOPBACK_INIT,
    };

    for (int i = 0; i < TRIES; i++) {
        if (accepts(AF_INET, &four, sizeof(four)) || accepts(AF_INET6, &six, sizeof(six)))
            return true;
        nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
    }
    return false;
}
