/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The streams of a session. Output leaves only within the credit that the monitor granted for its
 * (session, channel), and only while the channel takes it; what waits, waits in the pipe, so that
 * the payload is held back and nothing is lost. Standard input comes within the credit that we
 * granted and waits here until the pipe takes it.
 */

#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define STDIN_BYTES ((size_t)DUET_CREDIT_INITIAL_BYTES)
/* Grant anew when this much was written: the sender still has three quarters of its window. */
#define GRANT_BYTES (STDIN_BYTES / 4)
#define BULK_PIPE_BYTES (256 * 1024)
/* The kernel keeps about 12 KiB. */
#define TERMINAL_BYTES_MAX (64 * 1024)

void agent_stream_close(struct agent *agent, struct agent_stream *stream)
{
    if (stream->fd < 0)
        return;
    /* close() alone would not do: a child on its way to execve() may still hold a copy. */
    agent_watch(agent, stream->fd, 0, 0, 0, &stream->watched);
    close(stream->fd);
    stream->fd = -1;
}

/* Standard output and error ------------------------------------------------------------------ */

static void output_end(struct agent *agent, struct agent_session *session, uint8_t channel)
{
    agent_stream_close(agent, &session->streams[channel]);
    agent_send(agent, DUET_FRAME_EOF, channel, session->id, NULL, 0);
}

size_t agent_output_read(
    struct agent *agent, struct agent_session *session, uint8_t channel, uint64_t max)
{
    struct agent_stream *stream = &session->streams[channel];
    uint8_t *room;
    ssize_t got;

    if (max > stream->credit)
        max = stream->credit;
    if (max > DUET_FRAME_MAX_BYTES)
        max = DUET_FRAME_MAX_BYTES;
    if (stream->fd < 0 || max == 0)
        return 0;
    room = agent_send_room(agent);
    if (!room)
        return 0;
    got = read(stream->fd, room, max);
    if (got < 0 && errno == EAGAIN)
        stream->left = 0; /* what was measured is gone: somebody else read from the pipe */
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (got <= 0) {
        output_end(agent, session, channel);
        return 0;
    }
    stream->credit -= (size_t)got;
    agent_send_data(agent, channel, session->id, (uint32_t)got);
    if (got == DUET_FRAME_MAX_BYTES && !stream->bulk) {
        /* A bulk stream: fewer switches between payload and agent. A refusal changes nothing. */
        stream->bulk = true;
        fcntl(stream->fd, F_SETPIPE_SZ, BULK_PIPE_BYTES);
    }
    return (size_t)got;
}

/*
 * After the process's end: sends what was in the pipe then, and no more: background children of an
 * `exec` may hold its other end for ever, or write without end. Returns: true when all was sent.
 */
bool agent_output_drain(struct agent *agent, struct agent_session *session, uint8_t channel)
{
    struct agent_stream *stream = &session->streams[channel];
    size_t got;

    while (stream->fd >= 0 && stream->left > 0) {
        got = agent_output_read(agent, session, channel, stream->left);
        if (got == 0)
            break;
        stream->left -= got;
    }
    if (stream->fd >= 0 && stream->left == 0)
        output_end(agent, session, channel);
    return stream->fd < 0;
}

void agent_output_measure(struct agent_session *session)
{
    for (int channel = DUET_CHANNEL_STDOUT; channel <= DUET_CHANNEL_STDERR; channel++) {
        int bytes = 0;

        /* Of a terminal FIONREAD tells but a part. What is more than it can hold is not its own. */
        if (session->tty)
            bytes = TERMINAL_BYTES_MAX;
        else if (session->streams[channel].fd >= 0)
            ioctl(session->streams[channel].fd, FIONREAD, &bytes);
        session->streams[channel].left = (uint64_t)bytes;
    }
    session->measured = true;
}

/* Standard input ----------------------------------------------------------------------------- */

static void stdin_grant(struct agent *agent, struct agent_session *session, size_t written)
{
    uint8_t payload[4];

    session->stdin_granted += (uint32_t)written;
    if (session->stdin_granted < GRANT_BYTES)
        return;
    duet_put_u32(payload, session->stdin_granted);
    session->stdin_granted = 0;
    agent_send(agent, DUET_FRAME_CREDIT, DUET_CHANNEL_STDIN, session->id, payload, 4);
}

void agent_stdin_broken(struct agent *agent, struct agent_session *session)
{
    agent_stream_close(agent, &session->streams[DUET_CHANNEL_STDIN]);
    session->stdin_start = session->stdin_end = 0;
    agent_send(agent, DUET_FRAME_CLOSE, DUET_CHANNEL_STDIN, session->id, NULL, 0);
}

/* The terminal of a child that is still on its way has not come to us yet. */
static bool stdin_is_coming(const struct agent_session *session)
{
    return session->tty && session->wants_stdin && !session->started &&
        session->streams[DUET_CHANNEL_STDIN].fd < 0;
}

/* A terminal does not end. Who reads lines from it is told as by the key; who does not would take
 * that for a letter. */
static void stdin_type_eof(struct agent_session *session)
{
    int key = agent_terminal_end_of_file(session->slave);
    uint8_t byte = (uint8_t)key;

    if (!session->started)
        return;
    session->stdin_eof = false;
    if (key >= 0 && write(session->streams[DUET_CHANNEL_STDIN].fd, &byte, 1) < 0)
        session->stdin_eof = errno == EAGAIN; /* tried again with the next event */
}

void agent_stdin_write(struct agent *agent, struct agent_session *session)
{
    struct agent_stream *stream = &session->streams[DUET_CHANNEL_STDIN];

    while (stream->fd >= 0 && session->stdin_start < session->stdin_end) {
        ssize_t put = write(stream->fd, session->stdin_bytes + session->stdin_start,
            session->stdin_end - session->stdin_start);

        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0 && errno == EAGAIN)
            return;
        if (put < 0) {
            agent_stdin_broken(agent, session);
            return;
        }
        session->stdin_start += (size_t)put;
        stdin_grant(agent, session, (size_t)put);
    }
    if (stdin_is_coming(session))
        return;
    session->stdin_start = session->stdin_end = 0;
    if (session->stdin_eof && session->tty)
        stdin_type_eof(session);
    else if (session->stdin_eof)
        agent_stream_close(agent, stream);
}

/* A sender that goes beyond its window loses the channel: what it sends could not be kept whole. */
void agent_stdin_take(
    struct agent *agent, struct agent_session *session, const uint8_t *bytes, size_t length)
{
    size_t waiting = session->stdin_end - session->stdin_start;

    if ((session->streams[DUET_CHANNEL_STDIN].fd < 0 && !stdin_is_coming(session)) ||
        (session->stdin_eof && !session->tty))
        return; /* it crossed our CLOSE, or there never was one */
    if (!session->stdin_bytes)
        session->stdin_bytes = malloc(STDIN_BYTES);
    if (!session->stdin_bytes || waiting + session->stdin_granted + length > STDIN_BYTES) {
        agent_stdin_broken(agent, session);
        return;
    }
    if (session->stdin_end + length > STDIN_BYTES) {
        memmove(session->stdin_bytes, session->stdin_bytes + session->stdin_start, waiting);
        session->stdin_start = 0;
        session->stdin_end = waiting;
    }
    memcpy(session->stdin_bytes + session->stdin_end, bytes, length);
    session->stdin_end += length;
    agent_stdin_write(agent, session);
}
