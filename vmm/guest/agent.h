/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the agent's files share. Plain C on a C library alone (musl or glibc), no stdio: the program
 * is started once per container, and each page that it touches costs more than most system calls.
 */

#include <duet/protocol.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* agent-text.c ------------------------------------------------------------------------------- */

/** agent_text: a message that grows by pieces and is cut, never overrun. Zero-initialise. */
struct agent_text {
    size_t length;
    char bytes[512];
};

/** agent_text_add: appends strings up to a NULL; keeps the text NUL-terminated. */
void agent_text_add(struct agent_text *text, ...) __attribute__((sentinel));
void agent_text_add_number(struct agent_text *text, uint64_t number);
/** agent_text_fail: "<what> '<object>': <strerror(error)>"; @error 0: without the reason. */
void agent_text_fail(struct agent_text *text, const char *what, const char *object, int error);

/** agent_number: reads a decimal number of at most @max. Returns: false for anything else. */
bool agent_number(const char *text, size_t length, uint32_t max, uint32_t *out_number);

/** agent_field: the next field of a line: up to @separator or the end; moves *cursor behind it. */
struct agent_span {
    const char *at;
    size_t length;
};
bool agent_span_next(const char **cursor, const char *end, char separator, struct agent_span *out);
bool agent_span_equal(struct agent_span span, const char *text, size_t length);

/**
 * agent_file_map: reads a regular file of a tree that we do not trust: no FIFO or device can stall
 * us, and more than @max_bytes is an error. Never allocates from the heap.
 * Returns: 0, or an errno value and an empty file
 */
struct agent_file {
    char *bytes; /* NUL-terminated beyond @length */
    size_t length, mapped;
};
int agent_file_map(const char *path, size_t max_bytes, struct agent_file *out_file);
void agent_file_unmap(struct agent_file *file);

/**
 * agent_make_directories: like mkdir -p for the first @length bytes of an absolute path.
 * Returns: 0 or an errno value
 */
int agent_make_directories(const char *path, size_t length);

/* agent-user.c ------------------------------------------------------------------------------- */

#define AGENT_GROUPS_MAX 1024
#define AGENT_HOME_BYTES 1024

struct agent_user {
    uid_t uid;
    gid_t gid;
    size_t group_count;
    gid_t groups[AGENT_GROUPS_MAX];
    char home[AGENT_HOME_BYTES];
};

/**
 * agent_user_resolve: who "user[:group]" is, by the files of the instance alone.
 * @wanted: (nullable): NULL or "" is root
 * @more: (nullable): names or numbers of further groups, ended by NULL
 * Returns: false with a message in @error
 */
bool agent_user_resolve(const char *passwd_path, const char *group_path, const char *wanted,
    char *const *more, struct agent_user *out_user, struct agent_text *error);

/**
 * agent_user_name: what a passwd file calls @uid, the first that does; lies in @passwd.
 * Returns: false if none
 */
bool agent_user_name(const struct agent_file *passwd, uint32_t uid, struct agent_span *out_name);

/* agent-processes.c -------------------------------------------------------------------------- */

/** agent_processes_write: all processes but the caller, see DUET_SPAWN_PROCESSES. Returns: 0 or an
 * errno value. */
int agent_processes_write(int fd);

/* agent-connect.c ---------------------------------------------------------------------------- */

/** agent_connect: see DUET_SPAWN_CONNECT. Returns: whether something accepted. */
bool agent_connect(const char *port);

/* agent-child.c ------------------------------------------------------------------------------ */

/** agent_spawn: a SPAWN frame, taken apart; @arena holds all of it. */
struct agent_spawn {
    void *arena;
    char **argv;
    size_t argc;
    char **envp; /* with room for AGENT_ENV_SPARE more */
    size_t envc;
    char **groups;
    const char *cwd;
    const char *user;
    uint32_t flags;
    uint32_t copy_options;
    uint32_t window; /* of its terminal: rows, and columns in the upper half */
};
#define AGENT_ENV_SPARE 3

/** agent_spawn_parse: Returns: false with a message in @error. */
bool agent_spawn_parse(
    const struct duet_frame *frame, struct agent_spawn *out_spawn, struct agent_text *error);
void agent_spawn_clear(struct agent_spawn *spawn);

/** agent_report: what a child tells when it could not become the payload. */
struct agent_report {
    uint32_t code;
    char text[512];
};

/** agent_limit: one of getrlimit(2)'s; UINT64_MAX is none. */
struct agent_limit {
    bool set;
    uint64_t soft, hard;
};
#define AGENT_LIMITS 16 /* RLIMIT_* are below */

/**
 * agent_child: what a fresh child needs to become the payload
 * @fds: its standard input, output and error; -1 for standard input: /dev/null
 * @report_fd: close-on-exec; end of file without a byte means that execve() succeeded. With a
 *     terminal it is a socket, on which its two ends are sent first: agent-terminal.c
 * @make_cwd: create the working directory if it is missing, as the image's WorkingDir asks
 * @capabilities: all that it may keep, a bit for each
 * @limits: by RLIMIT_*; AGENT_LIMITS of them
 */
struct agent_child {
    struct agent_spawn *spawn;
    int fds[3];
    int report_fd;
    bool make_cwd;
    uint64_t capabilities;
    const struct agent_limit *limits;
};

/** agent_child_start: Returns: the pid, or -1 with errno. */
pid_t agent_child_start(struct agent_child *child, bool share_memory);

/* agent-copy.c: */

/** agent_copy: packs or unpacks as SPAWN says, as @user (UNPACK) of the instance, and ends. */
void agent_copy(const struct agent_spawn *spawn, const struct agent_user *user)
    __attribute__((noreturn));

/* agent-errand.c: */

/** agent_errand: one thing in a system that is another's. Returns: an exit code. */
int agent_errand(int argc, char **argv);

/* agent-terminal.c --------------------------------------------------------------------------- */

/** agent_terminal_socket: in place of the report's pipe: ours and the child's. */
bool agent_terminal_socket(int *out_ours, int *out_theirs);
/**
 * agent_terminal_open: in the child, a session leader: makes its terminal the controlling one.
 * @window: rows, and columns in the upper half
 * Returns: the end that the program gets, or -1 with @out_what and errno
 */
int agent_terminal_open(int report_fd, uint32_t window, const char **out_what);
/** agent_terminal_end_of_file: Returns: the character that is typed for it, or -1: none. */
int agent_terminal_end_of_file(int slave);

/* agent-loop.c, agent-session.c -------------------------------------------------------------- */

enum agent_role { AGENT_CONTAINER, AGENT_NATIVE, AGENT_GUEST };

struct agent_stream {
    int fd; /* our end of the pipe, or -1 */
    bool watched;
    bool bulk; /* a full read was seen: the pipe was made larger */
    uint64_t credit; /* stdout, stderr: what we may still send */
    uint64_t left; /* once the process has ended: what was in the pipe then */
};

struct agent_session {
    struct agent_session *next;
    uint16_t id;
    pid_t pid;
    int report_fd;
    bool report_watched;
    /* With a terminal, stdin and stdout are its master. We keep its slave open as well: it is never
     * taken for closed while the process lives, whatever that does with its own descriptors. */
    bool tty, wants_stdin;
    int slave;
    uint32_t window; /* to be set when the terminal comes */
    bool started;
    bool measured; /* streams[].left is known */
    bool ended; /* the process is gone; what it wrote is still to be sent */
    bool ours; /* it is a part of the agent, and no program */
    uint32_t code, signal;
    struct agent_stream streams[3];
    /* What came for stdin and is not in the pipe yet. */
    uint8_t *stdin_bytes;
    size_t stdin_start, stdin_end;
    uint32_t stdin_granted; /* bytes written and not granted anew yet */
    bool stdin_eof;
};

struct agent_guest; /* agent-guest.h */

struct agent {
    enum agent_role role;
    int port, epoll, signals;
    bool port_full; /* the last write took only a part: EPOLLOUT is wanted */
    struct duet_frame_reader reader;
    uint8_t *out;
    size_t out_start, out_end;
    bool stalled; /* output waits in @out: payload pipes are not read */
    bool quiet; /* from QUIET to GO_ON: what is to be sent waits in @out */
    unsigned hostless_s; /* while @quiet: for how long the port has had no host */
    uint64_t born_ns; /* CLOCK_MONOTONIC */
    struct agent_session *sessions;
    unsigned session_count;
    bool configured, had_session;
    uint64_t capabilities; /* of payloads, a bit for each */
    struct agent_limit limits[AGENT_LIMITS]; /* of payloads */
    bool ending; /* session 0 is over: kill, reap, drain */
    bool childless; /* while ending: nobody is left to wait for */
    bool finished; /* EXIT or FAILED of session 0 was sent */
    bool shutdown; /* the monitor asked for the end, or answered EXIT */
    uint64_t deadline_ns; /* 0: none */
    struct agent_guest *guest;
};

/** agent_now: ns of CLOCK_MONOTONIC or CLOCK_BOOTTIME. */
uint64_t agent_now(int clock_id);

/** agent_hello: the first frame, straight to the port. */
bool agent_hello(struct agent *agent);
bool agent_loop_init(struct agent *agent);
/** agent_loop: Returns: never; ends in agent_end(). */
void agent_loop(struct agent *agent) __attribute__((noreturn));

/** agent_end: kills what is left and goes: exits, or powers the guest off. */
void agent_end(struct agent *agent, int status) __attribute__((noreturn));
/**
 * agent_kill_all: SIGKILL for all that descends from us, as far as it can be seen now.
 * Returns: false if descendants can't be seen at all
 */
bool agent_kill_all(struct agent *agent);

/** agent_send: queues a frame that is not DATA. */
void agent_send(struct agent *agent, uint8_t type, uint8_t channel, uint16_t session,
    const void *payload, uint32_t length);
/** agent_send_failed: FAILED with a code and a message. */
void agent_send_failed(
    struct agent *agent, uint16_t session, uint32_t code, const char *text, size_t length);
/** agent_send_room: where the payload of a DATA frame may be put, or NULL while output waits. */
uint8_t *agent_send_room(struct agent *agent);
void agent_send_data(struct agent *agent, uint8_t channel, uint16_t session, uint32_t length);

/** agent_flush: writes what the port takes now. Returns: false when the monitor is gone. */
bool agent_flush(struct agent *agent);

/** agent_watch: how epoll looks at a descriptor; @watched remembers whether it does. */
void agent_watch(
    struct agent *agent, int fd, uint32_t events, uint16_t session, uint8_t kind, bool *watched);
#define AGENT_WATCH_REPORT 3 /* kinds 0 to 2 are a session's streams */
#define AGENT_WATCH_PORT 4
#define AGENT_WATCH_SIGNALS 5

/* agent-stream.c: the three pipes of a session */

void agent_stream_close(struct agent *agent, struct agent_stream *stream);
/**
 * agent_output_read: reads and sends once, at most @max.
 * Returns: the bytes; 0 when there are none or it may not now
 */
size_t agent_output_read(
    struct agent *agent, struct agent_session *session, uint8_t channel, uint64_t max);
/** agent_output_measure: the process is gone: what is in the pipes now is all that counts. */
void agent_output_measure(struct agent_session *session);
/** agent_output_drain: sends it. Returns: true when all was sent. */
bool agent_output_drain(struct agent *agent, struct agent_session *session, uint8_t channel);
void agent_stdin_take(
    struct agent *agent, struct agent_session *session, const uint8_t *bytes, size_t length);
void agent_stdin_write(struct agent *agent, struct agent_session *session);
/** agent_stdin_broken: nobody reads it any more: tells the sender, drops what waits. */
void agent_stdin_broken(struct agent *agent, struct agent_session *session);

/* agent-terminal.c: of a session */

/** agent_terminal_report: as read() of a report; the session's terminal, which comes first, is its
 * own from then on. */
ssize_t agent_terminal_report(struct agent_session *session, struct agent_report *out_report);
/** agent_terminal_resize: to its window. */
void agent_terminal_resize(struct agent_session *session);
/** agent_terminal_hang_up: its reader went away: nobody writes to it any more, SIGHUP tells. */
void agent_terminal_hang_up(struct agent *agent, struct agent_session *session);
void agent_slave_close(struct agent_session *session);

/* agent-quiet.c: the silence from QUIET to GO_ON */

void agent_quiesce(struct agent *agent);
/** agent_go_on: Returns: false if the frame broke the protocol, or the monitor is gone. */
bool agent_go_on(struct agent *agent, const struct duet_frame *frame);
/** agent_quiet_hung_up: no end by itself: the port has another host after a restore. */
void agent_quiet_hung_up(struct agent *agent);
/** agent_quiet_check: ends it all when the port stays without a host. */
void agent_quiet_check(struct agent *agent);

/* agent-session.c */

struct agent_session *agent_session_find(struct agent *agent, uint16_t id);
/** agent_session_spawn: Returns: false if the frame broke the protocol. */
bool agent_session_spawn(struct agent *agent, const struct duet_frame *frame);
/** agent_session_frame: DATA, EOF, CLOSE, CREDIT, SIGNAL, RESIZE; what makes no sense is dropped.
 */
void agent_session_frame(struct agent *agent, const struct duet_frame *frame);
void agent_session_event(struct agent *agent, uint16_t id, uint8_t kind, uint32_t events);
void agent_session_exited(struct agent *agent, pid_t pid, int status);
/** agent_sessions_advance: moves every session on after something changed for all of them. */
void agent_sessions_advance(struct agent *agent);

/* agent-guest.c, agent-mount.c: pid 1 of a virtual machine ------------------------------------ */

/** agent_guest_open: modules, devices, the port. Returns: false with a message in @error. */
bool agent_guest_open(struct agent *agent, struct agent_text *error);
/** agent_guest_root: the image's root disk under the writable layer becomes "/". */
bool agent_guest_root(struct agent *agent, struct agent_text *error);
/** agent_guest_config: what CONFIG asks of the guest. */
bool agent_guest_config(
    struct agent *agent, const struct duet_frame *frame, struct agent_text *error);
/** agent_guest_change: what CHANGE asks of it, and the answer. */
void agent_guest_change(struct agent *agent, const struct duet_frame *frame);
/** agent_guest_has_idle_work: Returns: whether something is to be done once all is quiet for a
 * while. */
bool agent_guest_has_idle_work(const struct agent *agent);
void agent_guest_idle_work(struct agent *agent);
/** agent_take_over: time, entropy and name among @fields; adds what failed to @error. */
void agent_take_over(const uint8_t *fields, size_t size, struct agent_text *error);
/** agent_guest_go_on: what GO_ON asks of it; best effort, told on the console. */
void agent_guest_go_on(struct agent *agent, const struct duet_frame *frame);
/** agent_guest_say: a line for the console. */
void agent_guest_say(struct agent *agent, const char *text);
void agent_guest_power_off(struct agent *agent) __attribute__((noreturn));
