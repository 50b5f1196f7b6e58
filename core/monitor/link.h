/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/protocol.h>
#include <glib.h>

G_BEGIN_DECLS

/*
 * One framed connection on the thread's main context (loop.h): reads frames, queues what can't be
 * written yet. Used by the monitor for its clients and for the agent.
 */
typedef struct _DuetLink DuetLink;

/** DuetLinkFrame: called for each frame; it may free the link. */
typedef void (*DuetLinkFrame)(DuetLink *link, const struct duet_frame *frame, gpointer data);
/** DuetLinkClosed: the other end went away or broke the protocol; called once; it frees the link.
 */
typedef void (*DuetLinkClosed)(DuetLink *link, gpointer data);

/** duet_link_new: @fd: taken over, made non-blocking; -1: what is sent waits for a connection. */
DuetLink *duet_link_new(int fd, DuetLinkFrame on_frame, DuetLinkClosed on_closed, gpointer data);
/** duet_link_connect: for a link without a connection: takes over @fd, sends what waits. */
void duet_link_connect(DuetLink *link, int fd);
void duet_link_free(DuetLink *link);

/** duet_link_send: queues a frame and writes what can be written at once. */
void duet_link_send(DuetLink *link, guint8 type, guint8 channel, guint16 session,
    const void *payload, guint32 length);
void duet_link_send_u32(
    DuetLink *link, guint8 type, guint8 channel, guint16 session, guint32 value);
/** duet_link_send_text: a u32 and a text, as ERROR and FAILED have them. */
void duet_link_send_text(
    DuetLink *link, guint8 type, guint16 session, guint32 value, const char *text);
/** duet_link_hold: what is sent from now on is kept. */
void duet_link_hold(DuetLink *link);
/** duet_link_held: Returns: (nullable): the frames that were kept; it belongs to the link. */
const GByteArray *duet_link_held(const DuetLink *link);
/** duet_link_unhold: keeps no more. Returns: (transfer full): what was kept. */
GByteArray *duet_link_unhold(DuetLink *link);
/** duet_link_send_frames: sends what was kept, by this link or another. */
void duet_link_send_frames(DuetLink *link, gconstpointer frames, gsize length);
/** duet_link_flushed: Returns: whether nothing waits to be written. */
gboolean duet_link_flushed(DuetLink *link);
/** duet_link_fd: Returns: its descriptor, or -1. It belongs to the link. */
int duet_link_fd(const DuetLink *link);

G_END_DECLS
