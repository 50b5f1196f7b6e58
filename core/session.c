/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The client's end of a session. A plain poll loop: it stands in the start path. Output is written
 * in pieces of at most PIPE_BUF, each after poll() said that there is room, so a reader that stalls
 * never holds up signals or the exit code; what waits is bounded by the credit we granted.
 */
#include "core/session.h"
#include "core/detach.h"
#include "core/terminal.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

/* How long a reader may take nothing of the last output after the user wanted an end. */
#define LAST_READER_MS 1000
/* How long a program gets that did not obey the second of the same signal. */
#define SECOND_SIGNAL_GRACE_MS 10000

typedef struct {
    int fd;
    int input_fd;
    guint32 input_credit;
    struct {
        int fd;
        GByteArray *waiting;
        guint start;
    } out[3];
    int signal_fd;
    int last_signal;
    gboolean gave_up;
    gboolean started, done, closed, quiet;
    gboolean tty, proxy_signals;
    int window_fds[2];
    DuetTerminal terminal;
    DuetDetach detach;
    sigset_t old_mask;
    DuetSessionUntil until;
    DuetSessionEnd *end;
    GError *error;
    struct duet_frame_reader reader;
} Session;

gboolean duet_frame_write(int fd, guint8 type, guint8 channel, const void *payload, guint32 length)
{
    guint8 header[DUET_FRAME_HEADER_BYTES];
    duet_frame_header(header, type, channel, 0, length);
    if (length == 0)
        return duet_write_all(fd, header, sizeof header);
    g_autofree guint8 *whole = g_malloc(sizeof header + length);
    memcpy(whole, header, sizeof header);
    memcpy(whole + sizeof header, payload, length);
    return duet_write_all(fd, whole, sizeof header + length);
}

gboolean duet_frame_write_u32(int fd, guint8 type, guint8 channel, guint32 value)
{
    guint8 bytes[4];
    duet_put_u32(bytes, value);
    return duet_frame_write(fd, type, channel, bytes, sizeof bytes);
}

static void proxied_signals(sigset_t *set)
{
    duet_signals_ending(set);
    sigaddset(set, SIGQUIT);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGUSR2);
}

void duet_session_block_signals(sigset_t *out_old)
{
    sigset_t set;
    proxied_signals(&set);
    sigprocmask(SIG_BLOCK, &set, out_old);
}

/* What concerns our terminal alone. */
static void terminal_signals(sigset_t *set)
{
    sigaddset(set, SIGWINCH);
    sigaddset(set, SIGCONT);
}

static void send_window(Session *session)
{
    guint32 window = duet_terminal_window(session->window_fds[0], session->window_fds[1]);
    if (session->tty && window)
        duet_frame_write_u32(session->fd, DUET_FRAME_RESIZE, 0, window);
}

/* It goes on without us. */
static void leave(Session *session)
{
    duet_frame_write_u32(session->fd, DUET_FRAME_ATTACH, 0, 0);
    session->end->detached = session->done = session->gave_up = TRUE;
}

static void pass_on_signal(Session *session, int number)
{
    gboolean ends = number == SIGINT || number == SIGTERM || number == SIGHUP;
    gboolean is_ours = session->until == DUET_SESSION_UNTIL_STARTED ||
        session->until == DUET_SESSION_UNTIL_RELEASED;
    gboolean is_exec =
        session->until == DUET_SESSION_UNTIL_EXIT || session->until == DUET_SESSION_UNTIL_EXECUTED;
    gboolean insists = session->last_signal == number;
    session->end->asked_to_end |= ends;
    session->gave_up |= ends && session->done;
    if (ends && !session->started && is_ours) {
        session->end->early_signal = number;
        duet_frame_write_u32(session->fd, DUET_FRAME_STOP, 0, 0);
    } else if (ends && is_exec && (insists || !session->started)) {
        /* It, or its agent, does not end: our connection does, and that hangs it up. */
        session->end->exit_code = 128 + number;
        session->done = session->gave_up = TRUE;
    } else if (ends && insists && session->until == DUET_SESSION_UNTIL_RELEASED) {
        duet_frame_write_u32(session->fd, DUET_FRAME_STOP, 0, SECOND_SIGNAL_GRACE_MS);
    } else {
        duet_frame_write_u32(session->fd, DUET_FRAME_SIGNAL, 0, (guint32)number);
    }
    session->last_signal = number;
}

static void on_signal(Session *session)
{
    struct signalfd_siginfo info;
    if (read(session->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    int number = (int)info.ssi_signo;
    if (number == SIGCONT)
        duet_terminal_raw_again(&session->terminal);
    if (number == SIGCONT || number == SIGWINCH) {
        send_window(session);
    } else if (session->proxy_signals) {
        pass_on_signal(session, number);
    } else {
        /* It is for us, and waited until the terminal is as it was. */
        leave(session);
        session->last_signal = number;
    }
}

static void send_input(Session *session, const guint8 *bytes, guint length)
{
    session->input_credit -= length;
    if (length > 0)
        duet_frame_write(session->fd, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, bytes, length);
}

static void close_input(Session *session)
{
    g_autoptr(GByteArray) rest = g_byte_array_new();
    duet_detach_flush(&session->detach, rest);
    send_input(session, rest->data, rest->len);
    session->input_fd = -1;
    duet_frame_write(session->fd, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, NULL, 0);
}

/* Keys may come of which a part is held back: so many bytes of credit are kept for them. */
static guint32 input_room(const Session *session)
{
    guint32 held = session->detach.keys ? session->detach.keys->length : 0;
    return session->input_credit > held ? session->input_credit - held : 0;
}

static void on_input(Session *session)
{
    guint8 buffer[DUET_FRAME_MAX_BYTES];
    ssize_t n = read(session->input_fd, buffer, MIN(sizeof buffer, input_room(session)));
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (n <= 0) {
        close_input(session);
        return;
    }
    if (!session->detach.keys) {
        send_input(session, buffer, (guint)n);
        return;
    }
    g_autoptr(GByteArray) typed = g_byte_array_new();
    gboolean leaves = duet_detach_filter(&session->detach, buffer, (gsize)n, typed);
    send_input(session, typed->data, typed->len);
    if (leaves)
        leave(session);
}

static void grant(Session *session, guint8 channel, guint32 bytes)
{
    duet_frame_write_u32(session->fd, DUET_FRAME_CREDIT, channel, bytes);
}

/* The reader went away: the payload shall get SIGPIPE, as in a shell's pipeline. */
static void close_output(Session *session, guint8 channel, int err)
{
    if (err != EPIPE && !session->error)
        duet_error_set_errno(&session->error, err, "cannot write the payload's output");
    session->out[channel].fd = -1;
    if (session->until == DUET_SESSION_UNTIL_LEFT) {
        leave(session);
        return;
    }
    duet_frame_write(session->fd, DUET_FRAME_CLOSE, channel, NULL, 0);
    guint32 dropped = session->out[channel].waiting->len - session->out[channel].start;
    g_byte_array_set_size(session->out[channel].waiting, 0);
    session->out[channel].start = 0;
    if (dropped)
        grant(session, channel, dropped);
}

static void write_output(Session *session, guint8 channel)
{
    GByteArray *waiting = session->out[channel].waiting;
    guint *start = &session->out[channel].start;
    guint32 written = 0;
    while (*start < waiting->len) {
        struct pollfd room = { .fd = session->out[channel].fd, .events = POLLOUT };
        if (poll(&room, 1, 0) <= 0)
            break;
        ssize_t n = write(
            session->out[channel].fd, waiting->data + *start, MIN(waiting->len - *start, PIPE_BUF));
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            break;
        if (n < 0) {
            if (written)
                grant(session, channel, written);
            close_output(session, channel, errno);
            return;
        }
        *start += (guint)n;
        written += (guint32)n;
    }
    if (*start == waiting->len) {
        g_byte_array_set_size(waiting, 0);
        *start = 0;
    }
    if (written)
        grant(session, channel, written);
}

static void on_data(Session *session, const struct duet_frame *frame)
{
    guint8 channel = frame->channel;
    if (channel != DUET_CHANNEL_STDOUT && channel != DUET_CHANNEL_STDERR)
        return;
    if (session->out[channel].fd < 0) {
        grant(session, channel, frame->length);
        return;
    }
    /* A reader that is slow, and never stands still, leaves always something. */
    guint *start = &session->out[channel].start;
    if (*start > DUET_FRAME_MAX_BYTES) {
        g_byte_array_remove_range(session->out[channel].waiting, 0, *start);
        *start = 0;
    }
    g_byte_array_append(session->out[channel].waiting, frame->payload, frame->length);
    write_output(session, channel);
}

static void on_error_frame(Session *session, const struct duet_frame *frame)
{
    if (frame->length < 4)
        return;
    g_autofree char *text = g_strndup((const char *)frame->payload + 4, frame->length - 4);
    if (!session->error)
        g_set_error_literal(&session->error, DUET_ERROR, (int)duet_get_u32(frame->payload), text);
    if (session->until != DUET_SESSION_UNTIL_RELEASED)
        session->done = TRUE;
}

static void on_frame(Session *session, const struct duet_frame *frame)
{
    switch (frame->type) {
    case DUET_FRAME_STARTED:
        /* Not before: until then ^C is to end us. Nor at another run's start: what the terminal was
         * is known from the first. */
        if (session->tty && !session->started)
            duet_terminal_raw(&session->terminal, session->input_fd, session->window_fds[1]);
        session->started = TRUE;
        session->done |= session->until == DUET_SESSION_UNTIL_STARTED ||
            session->until == DUET_SESSION_UNTIL_EXECUTED;
        break;
    case DUET_FRAME_DATA:
        on_data(session, frame);
        break;
    case DUET_FRAME_CREDIT:
        if (frame->channel == DUET_CHANNEL_STDIN && frame->length == 4)
            session->input_credit += duet_get_u32(frame->payload);
        break;
    case DUET_FRAME_CLOSE:
        if (frame->channel == DUET_CHANNEL_STDIN)
            session->input_fd = -1;
        break;
    case DUET_FRAME_NOTICE:
        if (!session->quiet)
            fprintf(stderr, "duet: %.*s\n", (int)frame->length, (const char *)frame->payload);
        break;
    case DUET_FRAME_ERROR:
        on_error_frame(session, frame);
        break;
    case DUET_FRAME_EXIT:
        if (frame->length >= 4)
            session->end->exit_code = (int)duet_get_u32(frame->payload);
        session->done |= session->until == DUET_SESSION_UNTIL_EXIT;
        break;
    case DUET_FRAME_RELEASED:
        g_free(session->end->state);
        session->end->state = g_strndup((const char *)frame->payload, frame->length);
        session->done = TRUE;
        break;
    default:
        break;
    }
}

static void on_connection(Session *session)
{
    size_t space;
    uint8_t *at = duet_frame_reader_space(&session->reader, &space);
    ssize_t n = at ? read(session->fd, at, space) : 0;
    if (n < 0 && errno == EINTR)
        return;
    if (n <= 0) {
        session->closed = TRUE;
        return;
    }
    duet_frame_reader_fed(&session->reader, (size_t)n);
    struct duet_frame frame;
    int got;
    while (!session->done && (got = duet_frame_reader_next(&session->reader, &frame)) != 0) {
        if (got < 0) {
            session->closed = TRUE;
            return;
        }
        on_frame(session, &frame);
    }
}

static gboolean output_waits(const Session *session)
{
    return !session->gave_up &&
        (session->out[1].waiting->len > 0 || session->out[2].waiting->len > 0);
}

static void step(Session *session)
{
    struct pollfd fds[5];
    gboolean feed = session->input_fd >= 0 && input_room(session) > 0;
    /* A negative descriptor is passed over. */
    fds[0] = (struct pollfd){ session->done ? -1 : session->fd, POLLIN, 0 };
    fds[1] = (struct pollfd){ feed && !session->done ? session->input_fd : -1, POLLIN, 0 };
    fds[2] = (struct pollfd){ session->signal_fd, POLLIN, 0 };
    for (int c = 1; c <= 2; c++)
        fds[2 + c] =
            (struct pollfd){ session->out[c].waiting->len ? session->out[c].fd : -1, POLLOUT, 0 };
    /* The user wants it to end: a reader of the output that stalls is not waited for then. */
    gboolean hurry = session->done && session->end->asked_to_end;
    int ready = poll(fds, G_N_ELEMENTS(fds), hurry ? LAST_READER_MS : -1);
    session->gave_up |= ready == 0;
    if (ready <= 0)
        return;
    if (fds[2].revents)
        on_signal(session);
    for (guint8 c = 1; c <= 2; c++)
        if (fds[2 + c].revents)
            write_output(session, c);
    if (fds[1].revents)
        on_input(session);
    if (fds[0].revents)
        on_connection(session);
}

/* None of these signals may end us from here on: the terminal would stay as it is. */
static void open_terminal(Session *session, const DuetIo *io)
{
    sigset_t set;
    proxied_signals(&set);
    terminal_signals(&set);
    sigprocmask(SIG_BLOCK, &set, &session->old_mask);
    session->window_fds[0] = io->stdin_fd;
    session->window_fds[1] = io->stdout_fd;
    session->detach.keys = io->detach_keys;
    send_window(session);
}

static void session_open(Session *session, int fd, const DuetIo *io, gboolean proxy_signals)
{
    session->fd = fd;
    session->input_fd = io ? io->stdin_fd : -1;
    session->input_credit = DUET_CREDIT_INITIAL_BYTES;
    session->quiet = io && io->quiet;
    session->out[0].fd = -1;
    session->out[1].fd = io ? io->stdout_fd : -1;
    session->out[2].fd = io ? io->stderr_fd : -1;
    for (int i = 1; i <= 2; i++)
        session->out[i].waiting = g_byte_array_new();
    session->signal_fd = session->terminal.fd = -1;
    session->tty = io && io->tty;
    session->proxy_signals = proxy_signals;
    if (session->tty)
        open_terminal(session, io);
    if (proxy_signals || session->tty) {
        sigset_t set;
        proxied_signals(&set);
        if (session->tty)
            terminal_signals(&set);
        session->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    }
}

/* A signal that was not to be passed on, and so is ours, ends us now at the latest. */
static void session_close(Session *session)
{
    duet_fd_clear(&session->signal_fd);
    for (int i = 1; i <= 2; i++)
        g_byte_array_unref(session->out[i].waiting);
    duet_frame_reader_clear(&session->reader);
    if (!session->tty)
        return;
    duet_terminal_restore(&session->terminal);
    sigprocmask(SIG_SETMASK, &session->old_mask, NULL);
    if (!session->proxy_signals && session->last_signal)
        raise(session->last_signal);
}

gboolean duet_session_pump(int fd, const DuetIo *io, DuetSessionUntil until, gboolean proxy_signals,
    DuetSessionEnd *out_end, GError **error)
{
    Session session = { .until = until, .end = out_end };
    *out_end = (DuetSessionEnd){ .exit_code = -1 };
    session_open(&session, fd, io, proxy_signals);
    while (!session.closed && (!session.done || output_waits(&session)))
        step(&session);
    out_end->lost = session.closed && !session.done;
    if (out_end->lost && !session.error)
        g_set_error(&session.error, DUET_ERROR, DUET_ERROR_FAILED,
            until == DUET_SESSION_UNTIL_EXIT || until == DUET_SESSION_UNTIL_EXECUTED
                ? "the instance ended, or its monitor died, before the command did"
                : "the instance's monitor died; `duet ps -a` shows what is left");
    session_close(&session);
    if (!session.error)
        return TRUE;
    g_propagate_error(error, session.error);
    return FALSE;
}
