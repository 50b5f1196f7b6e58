/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A driver in a process of its own. The monitor asks with one byte, behind which UPDATE has a
 * serialised GVariant, the worker answers with one packet: a serialised GVariant and, for START,
 * two descriptors. Asking blocks the monitor: each
 * request is short (a libvirt call), and there is never more than one.
 */
#include "worker.h"
#include "core/rootless.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_FORMAT "(bisxxxmsmsm@a{sv}su)"
#define REPLY_TYPE "(bisxxxmsmsma{sv}su)"
#define REPLY_MAX_BYTES (128u * 1024)
/* A path, and what is said of it. */
#define REQUEST_MAX_BYTES (16u * 1024)
/* The first start on a host probes QEMU for seconds, and may fetch a guest kernel. */
#define REPLY_TIMEOUT_MS (180 * 1000)
/* All of a VM's memory goes to, or comes from, a disk. */
#define SAVE_TIMEOUT_MS (3600 * 1000)
#define EXIT_TIMEOUT_MS 5000

typedef enum {
    OP_START = 's',
    OP_KILL = 'k',
    OP_RELEASE = 'r',
    OP_CONSOLE = 'c',
    OP_PAUSE = 'p',
    OP_RESUME = 'u',
    OP_IS_PAUSED = 'i',
    OP_UPDATE = 'm',
    OP_END = 'e',
    OP_SAVE = 'w',
} WorkerOp;

/* ---- the worker's side ---- */

typedef struct {
    int fd;
    DuetRuntime *runtime;
    GMainLoop *loop;
} Worker;

static void send_packet(int fd, GVariant *reply, const int *fds, guint n_fds)
{
    g_autoptr(GVariant) owned = g_variant_ref_sink(reply);
    struct iovec part = { (void *)g_variant_get_data(owned), g_variant_get_size(owned) };
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
    if (n_fds) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(header), fds, n_fds * sizeof(int));
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
        _exit(1);
}

static GVariant *reply_new(gboolean ok, const GError *failure, const DuetMarks *marks,
    const DuetStarted *started, const char *text)
{
    /* Both may quote a file's name, which is bytes. */
    g_autofree char *message = ok ? g_strdup("") : g_utf8_make_valid(failure->message, -1);
    g_autofree char *notice =
        started && started->notice ? g_utf8_make_valid(started->notice, -1) : NULL;

    return g_variant_new(REPLY_FORMAT, ok, ok ? 0 : failure->code, message,
        marks ? marks->ns[DUET_MARK_SPAWNED] : (gint64)0,
        marks ? marks->ns[DUET_MARK_RUNNING] : (gint64)0, started ? (gint64)started->pid : 0,
        notice, started ? started->cgroup : NULL, started ? started->facts : NULL, text ? text : "",
        started ? started->boot_timeout_s : 0);
}

static void worker_start(Worker *worker)
{
    DuetMarks marks = { 0 };
    DuetStarted started = { .agent_fd = -1, .pidfd = -1 };
    g_autoptr(GError) failure = NULL;
    gboolean ok = duet_runtime_start(worker->runtime, &marks, &started, &failure);
    int fds[] = { started.agent_fd, started.pidfd };
    send_packet(worker->fd, reply_new(ok, failure, &marks, &started, NULL), fds, ok ? 2 : 0);
    duet_fd_clear(&started.agent_fd);
    duet_fd_clear(&started.pidfd);
    g_clear_pointer(&started.facts, g_variant_unref);
    g_free(started.notice);
    g_free(started.cgroup);
}

static gboolean worker_update(
    Worker *worker, const char *bytes, gsize length, char **out_text, GError **error)
{
    g_autoptr(GBytes) copy = g_bytes_new(bytes, length);
    g_autoptr(GVariant) changes =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE_VARDICT, copy, FALSE));
    guint64 left = 0;
    gboolean ok = duet_runtime_update(worker->runtime, changes, &left, error);
    *out_text = g_strdup_printf("%" G_GUINT64_FORMAT, left);
    return ok;
}

static gboolean worker_is_paused(Worker *worker, char **out_text, GError **error)
{
    gboolean is_paused = FALSE;
    gboolean ok = duet_runtime_is_paused(worker->runtime, &is_paused, error);
    *out_text = g_strdup_printf("%d", is_paused);
    return ok;
}

static void worker_save(Worker *worker)
{
    DuetStarted saved = { 0 };
    g_autoptr(GError) failure = NULL;
    gboolean ok = duet_runtime_save(worker->runtime, &saved.facts, &failure);
    send_packet(worker->fd, reply_new(ok, failure, NULL, &saved, NULL), NULL, 0);
    g_clear_pointer(&saved.facts, g_variant_unref);
}

static void worker_serve(Worker *worker, char op, const char *bytes, gsize length)
{
    g_autoptr(GError) failure = NULL;
    g_autofree char *text = NULL;
    gboolean ok = TRUE;
    switch ((WorkerOp)op) {
    case OP_START:
        worker_start(worker);
        return;
    case OP_SAVE:
        worker_save(worker);
        return;
    case OP_KILL:
        ok = duet_runtime_kill(worker->runtime, &failure);
        break;
    case OP_RELEASE:
        ok = duet_runtime_release(worker->runtime, &failure);
        break;
    case OP_PAUSE:
        ok = duet_runtime_pause(worker->runtime, &failure);
        break;
    case OP_RESUME:
        ok = duet_runtime_resume(worker->runtime, &failure);
        break;
    case OP_IS_PAUSED:
        ok = worker_is_paused(worker, &text, &failure);
        break;
    case OP_UPDATE:
        ok = worker_update(worker, bytes, length, &text, &failure);
        break;
    case OP_END:
        text = g_strdup_printf("%d", (int)duet_runtime_how_ended(worker->runtime, &failure));
        ok = !failure;
        break;
    case OP_CONSOLE:
        text = duet_runtime_console_tail(worker->runtime);
        break;
    }
    g_autofree char *valid = text ? g_utf8_make_valid(text, -1) : NULL;
    send_packet(worker->fd, reply_new(ok, failure, NULL, NULL, valid), NULL, 0);
}

static gboolean on_request(int fd, GIOCondition condition, gpointer data)
{
    Worker *worker = data;
    g_autofree char *request = g_malloc(REQUEST_MAX_BYTES);
    (void)condition;
    ssize_t n = recv(fd, request, REQUEST_MAX_BYTES, 0);
    if (n < 1) {
        g_main_loop_quit(worker->loop);
        return G_SOURCE_REMOVE;
    }
    worker_serve(worker, request[0], request + 1, (gsize)n - 1);
    return G_SOURCE_CONTINUE;
}

static G_NORETURN void worker_main(int fd, const DuetDriverEntry *entry, const DuetSpec *spec,
    const DuetPlace *place, pid_t monitor)
{
    /* A worker without its monitor has no purpose; QEMU then loses its channel and powers off. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != monitor)
        _exit(0);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    /* libvirt's is the default one; a monitor that had sources before this fork has another. */
    if (g_main_context_get_thread_default())
        g_main_context_push_thread_default(NULL);
    for (guint i = 0; i < place->n_private_fds; i++)
        close(place->private_fds[i]);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    g_autoptr(GError) failure = NULL;
    const DuetDriverOps *ops = duet_driver_load(entry, &failure);
    Worker worker = { .fd = fd, .runtime = ops ? ops->create(spec, place, &failure) : NULL };
    if (worker.runtime && !duet_rootless_leave(&failure))
        g_clear_pointer(&worker.runtime, duet_runtime_free);
    send_packet(fd, reply_new(worker.runtime != NULL, failure, NULL, NULL, NULL), NULL, 0);
    if (!worker.runtime)
        _exit(1);
    worker.runtime->driver_name = ops->name;
    worker.loop = g_main_loop_new(NULL, FALSE);
    g_unix_fd_add(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, on_request, &worker);
    g_main_loop_run(worker.loop);
    duet_runtime_free(worker.runtime);
    _exit(0);
}

/* ---- the monitor's side ---- */

typedef struct {
    DuetRuntime base;
    const DuetPlace *place;
    int fd;
    int pidfd;
    int timeout_ms; /* of what was asked */
} WorkerRuntime;

static GVariant *receive(WorkerRuntime *worker, int fds[2], GError **error)
{
    g_autofree char *buffer = g_malloc(REPLY_MAX_BYTES);
    struct iovec part = { buffer, REPLY_MAX_BYTES };
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct msghdr message = { .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control };
    const DuetPlace *place = worker->place;
    int polled = place->wait(worker->fd, worker->timeout_ms, place->data);
    ssize_t n = polled > 0 ? recvmsg(worker->fd, &message, MSG_CMSG_CLOEXEC) : -1;
    if (n <= 0) {
        g_set_error(error, DUET_ERROR, polled == 0 ? DUET_ERROR_TIMEOUT : DUET_ERROR_FAILED,
            "the %s driver's worker %s", worker->base.driver_name,
            polled == 0 ? "does not answer" : "died");
        /* A late answer must not be taken for one to the next request. */
        duet_fd_clear(&worker->fd);
        return NULL;
    }
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (message.msg_flags & MSG_CTRUNC) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
            "the %s driver's worker gave more files than may be open; see ulimit -n",
            worker->base.driver_name);
        return NULL;
    }
    if (header && header->cmsg_type == SCM_RIGHTS && fds)
        memcpy(fds, CMSG_DATA(header), 2 * sizeof(int));
    g_autoptr(GBytes) bytes = g_bytes_new_take(g_steal_pointer(&buffer), (gsize)n);
    g_autoptr(GVariant) reply =
        g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(REPLY_TYPE), bytes, FALSE));
    gboolean ok;
    int code;
    const char *text;
    g_variant_get_child(reply, 0, "b", &ok);
    g_variant_get_child(reply, 1, "i", &code);
    g_variant_get_child(reply, 2, "&s", &text);
    if (ok)
        return g_steal_pointer(&reply);
    g_set_error_literal(error, DUET_ERROR, code, text);
    return NULL;
}

/* @argument: (nullable) */
static GVariant *ask_with(
    DuetRuntime *runtime, WorkerOp op, GVariant *argument, int fds[2], GError **error)
{
    WorkerRuntime *worker = (WorkerRuntime *)runtime;
    gboolean is_long = op == OP_SAVE || (op == OP_START && worker->place->saved);
    worker->timeout_ms = is_long ? SAVE_TIMEOUT_MS : REPLY_TIMEOUT_MS;
    char byte = (char)op;
    struct iovec parts[] = { { &byte, 1 }, { NULL, 0 } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = argument ? 2 : 1 };
    if (argument)
        parts[1] =
            (struct iovec){ (void *)g_variant_get_data(argument), g_variant_get_size(argument) };
    if (1 + parts[1].iov_len > REQUEST_MAX_BYTES) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "this is too long");
        return NULL;
    }
    if (sendmsg(worker->fd, &message, MSG_NOSIGNAL) < 0) {
        duet_error_set_errno(error, errno, "the %s driver's worker is gone", runtime->driver_name);
        return NULL;
    }
    return receive(worker, fds, error);
}

static GVariant *ask(DuetRuntime *runtime, WorkerOp op, int fds[2], GError **error)
{
    return ask_with(runtime, op, NULL, fds, error);
}

static gboolean ask_simply(DuetRuntime *runtime, WorkerOp op, GError **error)
{
    g_autoptr(GVariant) reply = ask(runtime, op, NULL, error);
    return reply != NULL;
}

static gboolean worker_runtime_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error)
{
    int fds[2] = { -1, -1 };
    g_autoptr(GVariant) reply = ask(runtime, OP_START, fds, error);
    if (!reply)
        return FALSE;
    gint64 pid;
    g_variant_get_child(reply, 3, "x", &marks->ns[DUET_MARK_SPAWNED]);
    g_variant_get_child(reply, 4, "x", &marks->ns[DUET_MARK_RUNNING]);
    g_variant_get_child(reply, 5, "x", &pid);
    g_variant_get_child(reply, 6, "ms", &out_started->notice);
    g_variant_get_child(reply, 7, "ms", &out_started->cgroup);
    g_variant_get_child(reply, 8, "m@a{sv}", &out_started->facts);
    g_variant_get_child(reply, 10, "u", &out_started->boot_timeout_s);
    out_started->agent_fd = fds[0];
    out_started->pidfd = fds[1];
    out_started->pid = (pid_t)pid;
    return TRUE;
}

static gboolean worker_runtime_kill(DuetRuntime *runtime, GError **error)
{
    return ask_simply(runtime, OP_KILL, error);
}

static gboolean worker_runtime_release(DuetRuntime *runtime, GError **error)
{
    return ask_simply(runtime, OP_RELEASE, error);
}

static gboolean worker_runtime_pause(DuetRuntime *runtime, GError **error)
{
    return ask_simply(runtime, OP_PAUSE, error);
}

static gboolean worker_runtime_resume(DuetRuntime *runtime, GError **error)
{
    return ask_simply(runtime, OP_RESUME, error);
}

static guint64 reply_number(GVariant *reply)
{
    const char *text;
    g_variant_get_child(reply, 9, "&s", &text);
    return g_ascii_strtoull(text, NULL, 10);
}

static gboolean worker_runtime_is_paused(DuetRuntime *runtime, gboolean *out_paused, GError **error)
{
    g_autoptr(GVariant) reply = ask(runtime, OP_IS_PAUSED, NULL, error);
    if (reply)
        *out_paused = reply_number(reply) != 0;
    return reply != NULL;
}

static gboolean worker_runtime_update(
    DuetRuntime *runtime, GVariant *changes, guint64 *out_left, GError **error)
{
    g_autoptr(GVariant) reply = ask_with(runtime, OP_UPDATE, changes, NULL, error);
    if (reply)
        *out_left = reply_number(reply);
    return reply != NULL;
}

static gboolean worker_runtime_save(DuetRuntime *runtime, GVariant **out_facts, GError **error)
{
    g_autoptr(GVariant) reply = ask(runtime, OP_SAVE, NULL, error);
    if (reply)
        g_variant_get_child(reply, 8, "m@a{sv}", out_facts);
    return reply != NULL;
}

static char *worker_runtime_console_tail(DuetRuntime *runtime)
{
    g_autoptr(GVariant) reply = ask(runtime, OP_CONSOLE, NULL, NULL);
    char *text = NULL;
    if (reply)
        g_variant_get_child(reply, 9, "s", &text);
    if (text && !*text)
        g_clear_pointer(&text, g_free);
    return text;
}

static DuetEnd worker_runtime_how_ended(DuetRuntime *runtime, GError **error)
{
    g_autoptr(GVariant) reply = ask(runtime, OP_END, NULL, error);
    return reply ? (DuetEnd)reply_number(reply) : DUET_END_UNKNOWN;
}

static void worker_runtime_free(DuetRuntime *runtime)
{
    WorkerRuntime *worker = (WorkerRuntime *)runtime;
    duet_fd_clear(&worker->fd);
    /* Gone before the instance counts as released; who reaps it gets its CPU time. */
    struct pollfd gone = { .fd = worker->pidfd, .events = POLLIN };
    if (worker->pidfd >= 0 && poll(&gone, 1, EXIT_TIMEOUT_MS) == 0)
        kill(worker->base.helper_pid, SIGKILL);
    duet_fd_clear(&worker->pidfd);
    g_free(worker);
}

static const DuetRuntimeOps worker_ops = {
    .start = worker_runtime_start,
    .kill = worker_runtime_kill,
    .release = worker_runtime_release,
    .console_tail = worker_runtime_console_tail,
    .how_ended = worker_runtime_how_ended,
    .pause = worker_runtime_pause,
    .resume = worker_runtime_resume,
    .is_paused = worker_runtime_is_paused,
    .update = worker_runtime_update,
    .save = worker_runtime_save,
    .free = worker_runtime_free,
};

DuetRuntime *duet_worker_new(
    const DuetDriverEntry *entry, const DuetSpec *spec, const DuetPlace *place, GError **error)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
        duet_error_set_errno(error, errno, "cannot make the worker's socket");
        return NULL;
    }
    pid_t monitor = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        worker_main(fds[1], entry, spec, place, monitor);
    }
    close(fds[1]);
    WorkerRuntime *worker = g_new0(WorkerRuntime, 1);
    worker->base.ops = &worker_ops;
    worker->base.driver_name = duet_kind_to_string(entry->kind);
    worker->place = place;
    worker->fd = fds[0];
    worker->timeout_ms = REPLY_TIMEOUT_MS;
    worker->base.helper_pid = pid;
    worker->pidfd = pid < 0 ? -1 : pidfd_open(pid, 0);
    g_autoptr(GVariant) reply = NULL;
    if (pid < 0)
        duet_error_set_errno(error, errno, "cannot fork a worker");
    else
        reply = receive(worker, NULL, error);
    if (!reply) {
        worker_runtime_free(&worker->base);
        return NULL;
    }
    return &worker->base;
}
