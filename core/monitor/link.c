/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "link.h"
#include "core/loop.h"
#include "core/util.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Credit bounds what both sides owe each other; who goes on without reading breaks the protocol. */
#define QUEUE_MAX_BYTES (64u << 20)

struct _DuetLink {
    int fd;
    DuetLinkFrame on_frame;
    DuetLinkClosed on_closed;
    gpointer data;
    struct duet_frame_reader reader;
    GByteArray *queue;
    guint queue_start;
    GByteArray *held; /* (nullable) */
    guint read_source, write_source, close_source;
    /* Set while a callback runs: duet_link_free() then only marks. */
    int busy;
    gboolean freed;
    /* When a handler of its frames has returned: to be read from again, or told as closed. */
    gboolean waits, broken;
};

static void link_destroy(DuetLink *link)
{
    duet_frame_reader_clear(&link->reader);
    g_byte_array_unref(link->queue);
    g_clear_pointer(&link->held, g_byte_array_unref);
    g_free(link);
}

static void link_failed(DuetLink *link)
{
    duet_loop_remove(&link->read_source);
    duet_loop_remove(&link->write_source);
    link->on_closed(link, link->data);
}

static gboolean dispatch_frames(DuetLink *link)
{
    struct duet_frame frame;
    int got;
    while ((got = duet_frame_reader_next(&link->reader, &frame)) > 0) {
        link->on_frame(link, &frame, link->data);
        if (link->freed || link->broken)
            return FALSE;
    }
    return got == 0;
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user_data);

static void read_on(DuetLink *link)
{
    link->waits = FALSE;
    link->read_source = duet_loop_add_fd(
        link->fd, G_IO_IN | G_IO_HUP | G_IO_ERR, G_PRIORITY_DEFAULT, on_readable, link);
}

static gboolean on_readable(int fd, GIOCondition condition, gpointer user_data)
{
    DuetLink *link = user_data;
    size_t space;
    if (link->busy) { /* a handler steps the loop, see monitor-live.c */
        link->read_source = 0;
        link->waits = TRUE;
        return G_SOURCE_REMOVE;
    }
    uint8_t *at = duet_frame_reader_space(&link->reader, &space);
    ssize_t n = at ? read(fd, at, space) : -1;
    (void)condition;
    if (n < 0 && at && (errno == EAGAIN || errno == EINTR))
        return G_SOURCE_CONTINUE;
    gboolean alive = n > 0;
    link->busy++;
    if (alive) {
        duet_frame_reader_fed(&link->reader, (size_t)n);
        alive = dispatch_frames(link);
    }
    if (!alive && !link->freed) {
        link->read_source = 0;
        link_failed(link);
    }
    link->busy--;
    if (link->freed) {
        link_destroy(link);
        return G_SOURCE_REMOVE;
    }
    if (alive && link->waits)
        read_on(link);
    return alive ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

DuetLink *duet_link_new(int fd, DuetLinkFrame on_frame, DuetLinkClosed on_closed, gpointer data)
{
    DuetLink *link = g_new0(DuetLink, 1);
    link->fd = -1;
    link->on_frame = on_frame;
    link->on_closed = on_closed;
    link->data = data;
    link->queue = g_byte_array_new();
    if (fd >= 0)
        duet_link_connect(link, fd);
    return link;
}

void duet_link_free(DuetLink *link)
{
    if (!link || link->freed)
        return;
    /* Removing the source that is being dispatched is fine: GLib holds it until it returns. */
    duet_loop_remove(&link->read_source);
    duet_loop_remove(&link->write_source);
    duet_loop_remove(&link->close_source);
    duet_fd_clear(&link->fd);
    link->freed = TRUE;
    if (!link->busy)
        link_destroy(link);
}

static gboolean on_broken(gpointer user_data)
{
    DuetLink *link = user_data;
    link->close_source = 0;
    if (link->busy) { /* its handler's data go with the link */
        link->broken = TRUE;
        return G_SOURCE_REMOVE;
    }
    link->busy++;
    link_failed(link);
    link->busy--;
    if (link->freed)
        link_destroy(link);
    return G_SOURCE_REMOVE;
}

/* Told later, from the main loop: a sender may be in the middle of using the link. */
static void break_later(DuetLink *link)
{
    g_byte_array_set_size(link->queue, 0);
    link->queue_start = 0;
    if (!link->close_source)
        link->close_source = duet_loop_add_idle(on_broken, link);
}

static void write_queue(DuetLink *link);

static gboolean on_writable(int fd, GIOCondition condition, gpointer user_data)
{
    DuetLink *link = user_data;
    (void)fd;
    (void)condition;
    link->write_source = 0;
    write_queue(link);
    return G_SOURCE_REMOVE;
}

static void write_queue(DuetLink *link)
{
    if (link->fd < 0)
        return;
    while (link->queue_start < link->queue->len) {
        ssize_t n = write(
            link->fd, link->queue->data + link->queue_start, link->queue->len - link->queue_start);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            if (!link->write_source)
                link->write_source = duet_loop_add_fd(link->fd, G_IO_OUT | G_IO_HUP | G_IO_ERR,
                    G_PRIORITY_DEFAULT, on_writable, link);
            return;
        }
        if (n < 0) {
            break_later(link);
            return;
        }
        link->queue_start += (guint)n;
    }
    g_byte_array_set_size(link->queue, 0);
    link->queue_start = 0;
}

void duet_link_connect(DuetLink *link, int fd)
{
    link->fd = fd;
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    read_on(link);
    write_queue(link);
}

void duet_link_send(DuetLink *link, guint8 type, guint8 channel, guint16 session,
    const void *payload, guint32 length)
{
    if (link->freed || link->close_source || link->broken)
        return;
    if (link->queue->len - link->queue_start > QUEUE_MAX_BYTES ||
        (link->held && link->held->len > QUEUE_MAX_BYTES)) {
        break_later(link);
        return;
    }
    guint8 header[DUET_FRAME_HEADER_BYTES];
    duet_frame_header(header, type, channel, session, length);
    if (link->queue_start > DUET_FRAME_MAX_BYTES) {
        g_byte_array_remove_range(link->queue, 0, link->queue_start);
        link->queue_start = 0;
    }
    GByteArray *to = link->held ? link->held : link->queue;
    g_byte_array_append(to, header, sizeof header);
    if (length)
        g_byte_array_append(to, payload, length);
    if (!link->write_source)
        write_queue(link);
}

void duet_link_hold(DuetLink *link)
{
    if (!link->held)
        link->held = g_byte_array_new();
}

const GByteArray *duet_link_held(const DuetLink *link)
{
    return link->held;
}

void duet_link_send_frames(DuetLink *link, gconstpointer frames, gsize length)
{
    if (link->freed || link->close_source || link->broken || length == 0)
        return;
    g_byte_array_append(link->queue, frames, (guint)length);
    if (!link->write_source)
        write_queue(link);
}

GByteArray *duet_link_unhold(DuetLink *link)
{
    GByteArray *held = g_steal_pointer(&link->held);
    return held ? held : g_byte_array_new();
}

void duet_link_send_u32(DuetLink *link, guint8 type, guint8 channel, guint16 session, guint32 value)
{
    guint8 bytes[4];
    duet_put_u32(bytes, value);
    duet_link_send(link, type, channel, session, bytes, sizeof bytes);
}

void duet_link_send_text(
    DuetLink *link, guint8 type, guint16 session, guint32 value, const char *text)
{
    gsize length = MIN(strlen(text), DUET_FRAME_MAX_BYTES - 4);
    g_autofree guint8 *bytes = g_malloc(4 + length);
    duet_put_u32(bytes, value);
    memcpy(bytes + 4, text, length);
    duet_link_send(link, type, 0, session, bytes, (guint32)(4 + length));
}

gboolean duet_link_flushed(DuetLink *link)
{
    return link->freed || link->queue->len == 0;
}

int duet_link_fd(const DuetLink *link)
{
    return link->fd;
}
