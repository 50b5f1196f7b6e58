/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/**
 * DuetSessionEnd: what a session came to.
 * @exit_code: of an exec'ed process; -1 if none was told
 * @state: (nullable): text of the final state (RELEASED)
 * @early_signal: a signal that ended the instance before its payload had started; 0: none
 * @asked_to_end: SIGINT, SIGTERM or SIGHUP was passed on
 * @detached: the caller left it, and it lives on
 * @lost: the monitor's end was closed before what was waited for
 */
typedef struct {
    int exit_code;
    char *state;
    int early_signal;
    gboolean asked_to_end;
    gboolean detached;
    gboolean lost;
} DuetSessionEnd;

/**
 * What the caller waits for.
 * @DUET_SESSION_UNTIL_RELEASED: of an instance that is its own: it may end it
 * @DUET_SESSION_UNTIL_EXECUTED: of an exec: the start of its program
 * @DUET_SESSION_UNTIL_LEFT: of one that it is attached to: the same end, or its leave
 */
typedef enum {
    DUET_SESSION_UNTIL_STARTED,
    DUET_SESSION_UNTIL_EXIT,
    DUET_SESSION_UNTIL_RELEASED,
    DUET_SESSION_UNTIL_LEFT,
    DUET_SESSION_UNTIL_EXECUTED,
} DuetSessionUntil;

/** duet_session_block_signals: what a session proxies must be blocked before it is opened. */
void duet_session_block_signals(sigset_t *out_old);

/**
 * duet_session_pump: carries bytes and signals between the caller's descriptors and a monitor.
 * @fd: blocking connection to the monitor
 * @proxy_signals: after duet_session_block_signals()
 *
 * Returns: %TRUE when what the caller waits for came; %FALSE with the monitor's error, or when the
 *     monitor died.
 */
gboolean duet_session_pump(int fd, const DuetIo *io, DuetSessionUntil until, gboolean proxy_signals,
    DuetSessionEnd *out_end, GError **error);

/** duet_frame_write: writes one frame to a blocking descriptor. Returns: %FALSE with errno. */
gboolean duet_frame_write(int fd, guint8 type, guint8 channel, const void *payload, guint32 length);
gboolean duet_frame_write_u32(int fd, guint8 type, guint8 channel, guint32 value);

G_END_DECLS
