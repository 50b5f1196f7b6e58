/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/protocol.h>

#include <glib.h>
#include <sys/types.h>

/*
 * The monitor's side of a real agent in its native role, as far as tests of the agent need it. What
 * comes is sorted by session.
 */

#define PEER_SESSIONS 300

typedef struct {
    GByteArray *out[3]; /* by channel */
    gboolean started, process_ended, ended, failed;
    gboolean eof[3], closed[3];
    guint32 pid, code, signal;
    char *message;
    guint64 stdin_credit;
} PeerSession;

typedef struct {
    int fd;
    pid_t pid;
    struct duet_frame_reader reader;
    gboolean hello, gone;
    gboolean quiet; /* nothing may come */
    guint32 version;
    guint64 agent_ns, kernel_ns;
    gboolean no_credit[PEER_SESSIONS]; /* sessions whose reader stalls */
    PeerSession sessions[PEER_SESSIONS];
    guint frames_after_end; /* must stay 0: EXIT of session 0 is the last frame */
} Peer;

/** peer_new: starts the program @agent and waits for HELLO. */
Peer *peer_new(const char *agent);
/** peer_free: closes the channel and waits. Returns: the agent's wait status. */
int peer_free(Peer *peer);

void peer_send(
    Peer *peer, guint8 type, guint8 channel, guint16 session, const void *bytes, gsize n);
void peer_send_u32(Peer *peer, guint8 type, guint8 channel, guint16 session, guint32 number);

/** PeerSpawn: what a SPAWN frame holds; NULL is left out. */
typedef struct {
    const char *const *argv;
    const char *const *env;
    const char *cwd, *user;
    guint32 flags;
    guint32 window; /* rows, and columns in the upper half */
} PeerSpawn;
void peer_spawn(Peer *peer, guint16 session, const PeerSpawn *spawn);
/** peer_sh: spawns "sh -c @script". */
void peer_sh(Peer *peer, guint16 session, const char *script, guint32 flags);

/** peer_pump: waits at most @ms for bytes and takes them. Returns: FALSE if none came. */
gboolean peer_pump(Peer *peer, int ms);
/** peer_wait: pumps until *flag; fails the test after 60 s. */
void peer_wait(Peer *peer, const gboolean *flag);
/** peer_wait_started, peer_wait_ended: the same for a session. */
void peer_wait_started(Peer *peer, guint16 session);
PeerSession *peer_wait_ended(Peer *peer, guint16 session);

/** peer_text: Returns: (transfer none): what the session wrote, NUL-terminated. */
const char *peer_text(Peer *peer, guint16 session, guint8 channel);
