/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The one protocol of duet, version 1: client <-> monitor over a unix socket, monitor <-> agent
 * over a socketpair (container, native) or a virtio-serial port (VM). No GLib here: the agent, a
 * static program, includes this file too.
 *
 * A frame is an 8-byte header and `length` bytes of payload. Numbers are little-endian. A session
 * is one process that the agent started for us: 0 is the instance's payload, others are `exec`s,
 * numbered by the monitor. DATA counts against the credit that the receiver granted for that
 * (session, channel): a reader that stalls stops its own stream and nothing else. Every other
 * frame may be sent at any time.
 *
 * A guest's memory may be saved, and go on later behind another connection, which the guest does
 * not see. So that no frame is half way then: the monitor sends QUIESCE, and nothing after it. The
 * agent has all that came before by then; it sends what it holds and QUIET, and reads no pipe and
 * says nothing from there on. Once the monitor has QUIET, nothing is under way in either direction.
 * In this silence the port may hang up for a while. GO_ON ends it, on whichever connection: the
 * agent answers HELLO again, then sends what it held back; sessions, their numbers and all credit
 * are as they were. SHUTDOWN ends it, too.
 */

#include <stddef.h>
#include <stdint.h>

#define DUET_PROTOCOL_VERSION 1
#define DUET_FRAME_HEADER_BYTES 8
/* Largest payload of any frame, and of the frames that carry a command line. */
#define DUET_FRAME_MAX_BYTES (64u * 1024)
#define DUET_FRAME_MAX_SPAWN_BYTES (2u * 1024 * 1024)
/* What a sender may have under way per (session, channel) before the first CREDIT. */
#define DUET_CREDIT_INITIAL_BYTES (256u * 1024)
/* Granted once more when a session ENDED: the largest pipe that a user may ask for, and some. */
#define DUET_CREDIT_LAST_BYTES (1024u * 1024 + DUET_FRAME_MAX_BYTES)
/* Exec sessions alive at once; the monitor refuses more. */
#define DUET_SESSIONS_MAX 256

enum duet_channel {
    DUET_CHANNEL_STDIN = 0,
    DUET_CHANNEL_STDOUT = 1,
    DUET_CHANNEL_STDERR = 2,
};

enum duet_frame_type {
    /* agent -> monitor, first of all: u32 version, u64 ns that the agent had run by its own clock,
     * u64 ns that its kernel had run (CLOCK_BOOTTIME; 0 outside a VM) */
    DUET_FRAME_HELLO = 1,
    /* monitor -> agent, at most once, before SPAWN of session 0: fields, see duet_field */
    DUET_FRAME_CONFIG = 2,
    /* monitor -> agent, client -> monitor (exec; session 0 there): fields */
    DUET_FRAME_SPAWN = 3,
    /* the execve succeeded: u32 pid in the instance */
    DUET_FRAME_STARTED = 4,
    /* it did not: u32 exit code (125, 126, 127), then a message. Ends the session. */
    DUET_FRAME_FAILED = 5,
    /* bytes of one channel */
    DUET_FRAME_DATA = 6,
    /* the sender will send no more on this channel */
    DUET_FRAME_EOF = 7,
    /* the receiver wants no more: the other end closes its pipe, the payload gets SIGPIPE */
    DUET_FRAME_CLOSE = 8,
    /* u32: that many more bytes may be sent on this channel */
    DUET_FRAME_CREDIT = 9,
    /* u32 signal number, for the session's process */
    DUET_FRAME_SIGNAL = 10,
    /* the session ended, all its output was sent: u32 exit code (0-255, 128+signal), u32 signal
     * number or 0 */
    DUET_FRAME_EXIT = 11,
    /* monitor -> agent: end everything and go (power off in a VM). Answers EXIT of session 0. */
    DUET_FRAME_SHUTDOWN = 12,
    /* agent -> monitor: the session's process ended; what is left in its pipes follows, then EXIT.
     * The monitor grants DUET_CREDIT_LAST_BYTES for it, so that a reader that stalls holds back
     * neither the exit code nor the clean-up. */
    DUET_FRAME_ENDED = 13,
    /* client -> monitor -> agent: u16 rows, u16 columns: the size of the session's terminal. One
     * that has none drops it. */
    DUET_FRAME_RESIZE = 14,
    /* monitor -> agent: be silent from QUIET to GO_ON. Not answered by one that is at its end. */
    DUET_FRAME_QUIESCE = 15,
    /* agent -> monitor: the last frame before the silence */
    DUET_FRAME_QUIET = 16,
    /* monitor -> agent: fields TIME, ENTROPY, HOSTNAME, each if a guest is to take it over */
    DUET_FRAME_GO_ON = 17,
    /* monitor -> agent, VM only: fields: PIDS_LIMIT (all ones: none), BALLOON; CPUs that are off
     * are switched on. The answer, on the same channel: u32 CPUs that are on,
     * u64 bytes of memory that are available (0: not known), then what failed, if something did. */
    DUET_FRAME_CHANGE = 18,
    /* agent -> monitor, of a disk guest: its guest agent answers for the first time */
    DUET_FRAME_READY = 19,

    /* client -> monitor */
    /* u32: 1: this connection gets session 0's channels, 0: it lets go of the session that it has,
     * which lives on */
    DUET_FRAME_ATTACH = 32,
    DUET_FRAME_STOP = 33, /* u32 grace in ms: stop signal, then kill */
    DUET_FRAME_KILL = 34, /* u32 signal number for session 0; SIGKILL ends the instance */
    DUET_FRAME_WAIT = 35, /* answer with RELEASED when all is over */
    DUET_FRAME_STATE = 36, /* answer with STATE */
    DUET_FRAME_PAUSE = 37,
    DUET_FRAME_RESUME = 38,
    DUET_FRAME_UPDATE = 39, /* members of the spec that are to change: text of an a{sv} */
    /* check the health now; answer with OK and DUET_HEALTH_PASSED or DUET_HEALTH_FAILED */
    DUET_FRAME_HEALTH = 41,
    /* save memory and devices, and end: answered by RELEASED; or ERROR, and it goes on */
    DUET_FRAME_SAVE = 42,

    /* monitor -> client */
    DUET_FRAME_OK = 64, /* the request is done */
    DUET_FRAME_ERROR = 65, /* u32 DuetError code, then a message */
    DUET_FRAME_NOTICE = 66, /* a line for the user's stderr ("no KVM, ...") */
    DUET_FRAME_RELEASED = 67, /* all is gone: the state, serialised as duet_state_to_variant() */
};

#define DUET_CHANGE_ANSWER_BYTES 12u

/* The fields of CONFIG, SPAWN and GO_ON: u8 tag, u32 length, bytes; repeated. Unknown tags are
 * ignored. */
enum duet_field {
    DUET_FIELD_ARG = 1, /* one argument; repeated, in order */
    DUET_FIELD_ENV = 2, /* one NAME=value; repeated */
    DUET_FIELD_CWD = 3,
    DUET_FIELD_USER = 4, /* user[:group], resolved against the instance's own files */
    DUET_FIELD_FLAGS = 5, /* u32 of duet_spawn_flags */
    DUET_FIELD_HOSTNAME = 6,
    DUET_FIELD_PIDS_LIMIT = 7, /* u64, VM only */
    /* VM only: how to mount: "<tag>\0<target>\0<options>", tag a virtiofs tag, or with the option
     * "tmpfs" a name */
    DUET_FIELD_MOUNT = 8,
    DUET_FIELD_READONLY = 10, /* VM only: the root file system, once all else is mounted */
    DUET_FIELD_CAPABILITIES = 9, /* u64: payloads lose all others; absent: they keep the agent's */
    DUET_FIELD_COPY = 18, /* u32 of duet_copy_options, see copy-stream.h */
    DUET_FIELD_WINDOW = 16, /* SPAWN with a terminal: u16 rows, u16 columns, before the program */
    /* u32 RLIMIT_* of the agent's kernel, u64 soft, u64 hard, all ones for none: of each payload;
     * repeated */
    DUET_FIELD_ULIMIT = 11,
    DUET_FIELD_GROUP = 12, /* SPAWN: one more group, resolved as USER's; repeated */
    DUET_FIELD_SYSCTL = 13, /* VM only: "NAME=VALUE"; repeated */
    DUET_FIELD_SHM_BYTES = 14, /* u64, VM only: size of /dev/shm */
    DUET_FIELD_TIME = 15, /* GO_ON: u64 ns: what CLOCK_REALTIME becomes */
    DUET_FIELD_BALLOON = 19, /* CHANGE: nothing; the driver of the balloon is needed */
    DUET_FIELD_ENTROPY = 17, /* GO_ON: random bytes for the kernel's generator: at most 256 */
};

#define DUET_HEALTH_PASSED "passed"
#define DUET_HEALTH_FAILED "failed"

enum duet_spawn_flags {
    DUET_SPAWN_STDIN = 1, /* stdin is a stream; else the payload reads /dev/null */
    DUET_SPAWN_IDLE = 2, /* no program: a child of the agent that sleeps until it is killed */
    /* no program: a child of the agent that writes /proc/meminfo of its kernel to stdout; for
     * images that have none which could. Not for session 0. */
    DUET_SPAWN_MEMINFO = 4,
    /* no program: a child of the agent that writes to stdout what runs, but for itself and the
     * kernel's threads. All are strings with a NUL at their end: first "<ns of CLOCK_BOOTTIME>
     * <ticks per second> <bytes per page>"; then four for each process: "<pid> <state> <ppid> <tty>
     * <utime> <stime> <nice> <start> <vsize> <rss> <uid>", as in /proc/PID/stat but for the last;
     * what the instance calls that user, or nothing; its name; its arguments, cut, with blanks
     * between. Not for session 0. */
    DUET_SPAWN_PROCESSES = 8,
    /* no program: a child of the agent that writes the file or tree ARG to stdout as a stream of
     * copy-stream.h, or makes one from stdin at ARG, called by the second ARG in a directory that
     * is there; USER gets what it makes. On stderr are messages: 'w' (a warning) or 'e' (why it
     * failed), text, NUL. Its exit code is 0, 1, or 2: the stream ended too early. Not for
     * session 0. */
    DUET_SPAWN_PACK = 32,
    DUET_SPAWN_UNPACK = 64,
    /* no program: a child of the agent that connects to the TCP port ARG of the loopback, and hangs
     * up; for images that have none which could. Its exit code is 0, or 1 if nothing accepted for
     * a tenth of a second. Not for session 0. */
    DUET_SPAWN_CONNECT = 128,
    /* A terminal of the instance's own is the process's controlling one, and all its standard
     * streams. What is written to it comes on STDOUT; EOF on STDIN types its end-of-file character
     * where it reads lines, and closes nothing; CLOSE of STDOUT hangs it up. */
    DUET_SPAWN_TTY = 16,
};

struct duet_frame {
    uint8_t type;
    uint8_t channel;
    uint16_t session;
    uint32_t length;
    const uint8_t *payload; /* belongs to the reader, valid until its next call */
};

/* Collects bytes and cuts them into frames. Plain C, no GLib; zero-initialise before use. */
struct duet_frame_reader {
    uint8_t *buffer;
    size_t size, start, end;
};

/**
 * duet_frame_reader_space: where to read the next bytes into.
 * Returns: a buffer of at least *out_bytes >= 4096 bytes, or NULL when memory ran out.
 */
uint8_t *duet_frame_reader_space(struct duet_frame_reader *reader, size_t *out_bytes);
/** duet_frame_reader_fed: tells that @bytes were put there. */
void duet_frame_reader_fed(struct duet_frame_reader *reader, size_t bytes);
/**
 * duet_frame_reader_next:
 * Returns: 1 with a frame, 0 when more bytes are needed, -1 when the bytes are no frame (a length
 * over its type's bound, an unknown type): the connection must be dropped.
 */
int duet_frame_reader_next(struct duet_frame_reader *reader, struct duet_frame *out_frame);
void duet_frame_reader_clear(struct duet_frame_reader *reader);

/** duet_frame_header: writes the 8 bytes of a header. */
void duet_frame_header(uint8_t out[DUET_FRAME_HEADER_BYTES], uint8_t type, uint8_t channel,
    uint16_t session, uint32_t length);

/**
 * duet_field_next: walks the fields of CONFIG or SPAWN.
 * @cursor: starts as 0
 * Returns: 1 with a field, 0 at the end, -1 when the fields are malformed.
 */
int duet_field_next(const uint8_t *payload, size_t length, size_t *cursor, uint8_t *out_tag,
    const uint8_t **out_bytes, uint32_t *out_length);

uint32_t duet_get_u32(const uint8_t *bytes);
uint64_t duet_get_u64(const uint8_t *bytes);
void duet_put_u32(uint8_t *bytes, uint32_t value);
void duet_put_u64(uint8_t *bytes, uint64_t value);
