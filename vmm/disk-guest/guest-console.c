/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-console.h"
#include "core/util.h"

#include <duet/protocol.h>

#include <errno.h>
#include <glib-unix.h>
#include <sys/socket.h>

#define READ_BYTES 4096u
/* What of the past a match may begin in. */
#define REMEMBERED_BYTES 8192u

struct _DuetGuestConsole {
    int fd;
    const DuetGuestConsoleEvents *events;
    gpointer data;
    GByteArray *past;
    GByteArray *typed;
    gint64 credit;
    gboolean over;
    guint read_source, write_source;
};

static void take(DuetGuestConsole *console, const guint8 *bytes, guint length)
{
    console->credit -= length;
    g_byte_array_append(console->past, bytes, length);
    if (console->past->len > REMEMBERED_BYTES)
        g_byte_array_remove_range(console->past, 0, console->past->len - REMEMBERED_BYTES);
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer data)
{
    DuetGuestConsole *console = data;
    guint8 bytes[READ_BYTES];
    (void)condition;
    ssize_t n = recv(fd, bytes, MIN(sizeof bytes, (gsize)console->credit), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    gboolean more = n > 0;
    console->over = !more;
    if (more)
        take(console, bytes, (guint)n);
    more = more && console->credit > 0;
    if (!more)
        console->read_source = 0;
    console->events->output(console->data, bytes, (guint32)MAX(n, 0));
    return more;
}

static gboolean on_writable(int fd, GIOCondition condition, gpointer data)
{
    DuetGuestConsole *console = data;
    (void)condition;
    ssize_t n = send(fd, console->typed->data, console->typed->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    /* One that is closed takes all, and nothing. */
    guint taken = n < 0 ? console->typed->len : (guint)n;
    g_byte_array_remove_range(console->typed, 0, taken);
    console->events->typed(console->data, taken);
    if (console->typed->len > 0)
        return G_SOURCE_CONTINUE;
    console->write_source = 0;
    return G_SOURCE_REMOVE;
}

static void watch(DuetGuestConsole *console)
{
    if (!console->read_source && !console->over && console->credit > 0)
        console->read_source =
            g_unix_fd_add(console->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_readable, console);
}

DuetGuestConsole *duet_guest_console_new(
    int fd, const DuetGuestConsoleEvents *events, gpointer data)
{
    DuetGuestConsole *console = g_new0(DuetGuestConsole, 1);
    console->fd = fd;
    console->events = events;
    console->data = data;
    console->past = g_byte_array_new();
    console->typed = g_byte_array_new();
    console->credit = DUET_CREDIT_INITIAL_BYTES;
    watch(console);
    return console;
}

void duet_guest_console_free(DuetGuestConsole *console)
{
    if (!console)
        return;
    if (console->read_source)
        g_source_remove(console->read_source);
    if (console->write_source)
        g_source_remove(console->write_source);
    g_byte_array_unref(console->past);
    g_byte_array_unref(console->typed);
    duet_fd_clear(&console->fd);
    g_free(console);
}

void duet_guest_console_grant(DuetGuestConsole *console, guint32 bytes)
{
    console->credit += bytes;
    watch(console);
}

void duet_guest_console_stop(DuetGuestConsole *console)
{
    guint8 bytes[READ_BYTES];
    ssize_t n;
    if (console->read_source)
        g_source_remove(console->read_source);
    console->read_source = 0;
    while ((n = recv(console->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
        take(console, bytes, (guint)n);
        console->events->output(console->data, bytes, (guint32)n);
    }
}

void duet_guest_console_type(DuetGuestConsole *console, const guint8 *bytes, guint32 length)
{
    if (length == 0)
        return;
    g_byte_array_append(console->typed, bytes, length);
    if (!console->write_source)
        console->write_source = g_unix_fd_add(console->fd, G_IO_OUT, on_writable, console);
}

const GByteArray *duet_guest_console_past(const DuetGuestConsole *console)
{
    return console->past;
}

gboolean duet_guest_console_has(DuetGuestConsole *console, const GRegex *regex)
{
    return console->past->len > 0 &&
        g_regex_match_full(
            regex, (const char *)console->past->data, (gssize)console->past->len, 0, 0, NULL, NULL);
}
