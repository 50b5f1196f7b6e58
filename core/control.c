/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Living instances: starting them, and asking their monitors. */
#include "core/control.h"
#include "core/events.h"
#include "core/monitor/monitor.h"
#include "core/recover.h"
#include "core/saved.h"
#include "core/session.h"
#include "core/terminal.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE_PATIENCE_S 5
#define DEAD_MONITOR_PATIENCE_US (2 * G_USEC_PER_SEC)

int duet_instance_connect(DuetInstance *instance)
{
    struct sockaddr_un address;
    duet_socket_address(instance->dir_fd, &address);
    DUET_AUTO_FD fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -1;
    return duet_fd_steal(&fd);
}

int duet_control_connect(DuetInstance *instance)
{
    for (int tries = 0; tries < 2000; tries++) {
        int fd = duet_instance_connect(instance);
        if (fd >= 0)
            return fd;
        DUET_AUTO_FD lock_fd = duet_lock_take(instance->dir_fd, 0);
        if (lock_fd >= 0 || errno != EWOULDBLOCK)
            return -1;
        /* Nobody is about to listen. */
        if (duet_live_is_layer(instance->context, instance->spec->id))
            return -1;
        g_usleep(5000);
    }
    return -1;
}

int duet_control_connect_or_fail(DuetInstance *instance, GError **error)
{
    int fd = duet_control_connect(instance);
    if (fd < 0)
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the instance '%s' is not running; start it with `duet start %s`", instance->spec->name,
            instance->spec->name);
    return fd;
}

/* Sets @error for a lock that could not be taken; @busy: what to say if someone has it. */
static gboolean lock_failed(DuetInstance *instance, int err, const char *busy, GError **error)
{
    const char *name = instance->spec->name;
    if (err == ENOENT) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND,
            "no such instance: '%s'; it was removed meanwhile", name);
        return FALSE;
    }
    if (err != EWOULDBLOCK)
        return duet_error_set_errno(error, err, "cannot lock the instance '%s'", name);
    if (duet_live_is_borrowed(instance->context, instance->spec->id))
        busy = "is busy: `duet cp` copies files of it; try again when that is done";
    else if (duet_live_is_layer(instance->context, instance->spec->id))
        busy = "is busy: `duet snapshot` or `duet clone` copies its files; try again when that is "
               "done";
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE, "the instance '%s' %s", name, busy);
    return FALSE;
}

/* One that was removed is in the trash for a moment, or longer, with all of its files. */
static gboolean is_in_place(DuetInstance *instance)
{
    struct stat own, there;
    g_autofree char *path = g_strconcat("instances/", instance->spec->id, NULL);
    return fstat(instance->dir_fd, &own) == 0 &&
        fstatat(instance->context->root_fd, path, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        own.st_ino == there.st_ino;
}

int duet_control_lock(DuetInstance *instance)
{
    for (int tries = 0;; tries++) {
        DUET_AUTO_FD fd = duet_lock_take(instance->dir_fd, 0);
        if (fd >= 0 && is_in_place(instance))
            return duet_fd_steal(&fd);
        if (fd >= 0)
            errno = ENOENT;
        if (errno != EWOULDBLOCK)
            return -1;
        DUET_AUTO_FD monitor_fd = duet_instance_connect(instance);
        if (monitor_fd >= 0 || tries == 40) {
            errno = EWOULDBLOCK;
            return -1;
        }
        g_usleep(5000);
    }
}

/* Until its lock was ours another command may have changed it, or its name. Returns: whether it is
 * still there. */
static gboolean read_again(DuetInstance *instance, GError **error)
{
    g_autoptr(GVariant) variant = duet_variant_read(instance->dir_fd, "spec", error);
    DuetSpec *spec = variant ? duet_spec_from_variant(variant, error) : NULL;
    if (!spec)
        return FALSE;
    duet_spec_free(instance->spec);
    instance->spec = spec;
    return TRUE;
}

static gboolean not_stopped(DuetInstance *instance, int err, GError **error)
{
    g_autoptr(DuetInfo) info = err == EWOULDBLOCK ? duet_instance_info(instance, NULL) : NULL;
    gboolean lives = info && info->state != DUET_STATE_CREATED &&
        info->state != DUET_STATE_EXITED && info->state != DUET_STATE_SAVED;
    g_autofree char *busy = lives ? g_strdup_printf("is %s; stop it first with `duet stop %s`",
                                        duet_state_to_string(info->state), instance->spec->name)
                                  : g_strdup("is just being started or removed; try again");
    return lock_failed(instance, err, busy, error);
}

int duet_control_lock_stopped(DuetInstance *instance, GError **error)
{
    for (int tries = 0; tries < 3; tries++) {
        DUET_AUTO_FD fd = duet_control_lock(instance);
        if (fd < 0) {
            not_stopped(instance, errno, error);
            return -1;
        }
        if (!read_again(instance, error))
            return -1;
        if (!duet_live_is_marked(instance->context, instance->spec->id))
            return duet_fd_steal(&fd);
        /* Its monitor died since this command began. */
        duet_fd_clear(&fd);
        duet_live_recover(instance->context, instance->spec->id);
    }
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "what is left of the instance '%s' does not end; try again", instance->spec->name);
    return -1;
}

static gboolean take_lock_to_start(DuetInstance *instance, GError **error)
{
    if (instance->lock_fd >= 0)
        return TRUE;
    instance->lock_fd = duet_control_lock(instance);
    /* Its monitor died since this command began. */
    if (instance->lock_fd >= 0 && duet_live_is_marked(instance->context, instance->spec->id)) {
        duet_fd_clear(&instance->lock_fd);
        duet_live_recover(instance->context, instance->spec->id);
        instance->lock_fd = duet_control_lock(instance);
    }
    if (instance->lock_fd < 0) {
        int err = errno;
        g_autoptr(DuetInfo) info = duet_instance_info(instance, NULL);
        gboolean rests = info && info->state == DUET_STATE_RESTARTING;
        return lock_failed(instance, err,
            rests ? "is restarting, and starts by itself; `duet stop` ends that"
                  : "is already running",
            error);
    }
    if (read_again(instance, error))
        return TRUE;
    duet_fd_clear(&instance->lock_fd);
    return FALSE;
}

/* One that was to go at its end has none: marked as it is, without the lock, the next command
 * removes it. */
static void leave_to_sweep(DuetInstance *instance)
{
    if (instance->spec->remove_at_exit)
        duet_fd_clear(&instance->lock_fd);
}

/* Forks the monitor. @attached: (nullable): where the payload's streams go. Returns: our connection
 * to it, or -1. */
static int fork_monitor(DuetInstance *instance, const DuetIo *attached, gboolean borrowed,
    pid_t *out_pid, GError **error)
{
    int fds[2];
    if (!take_lock_to_start(instance, error))
        return -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        duet_error_set_errno(error, errno, "cannot make a socket");
        leave_to_sweep(instance);
        return -1;
    }
    DuetMonitorArgs args = {
        .instance = instance,
        .client_fd = fds[1],
        .attach = attached != NULL,
        .request_ns = duet_now_ns(),
        .borrowed = borrowed,
    };
    if (attached && instance->spec->tty)
        args.window = duet_terminal_window(attached->stdin_fd, attached->stdout_fd);
    /* Until it is a session of its own it meets the signals of our terminal: it looks for them. */
    sigset_t old;
    duet_session_block_signals(&old);
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        duet_monitor_main(&args);
    }
    sigprocmask(SIG_SETMASK, &old, NULL);
    close(fds[1]);
    if (pid < 0) {
        duet_error_set_errno(error, errno, "cannot fork the monitor");
        close(fds[0]);
        leave_to_sweep(instance);
        return -1;
    }
    /* The lock is the monitor's now: closing our copy does not let go of it. */
    duet_fd_clear(&instance->lock_fd);
    *out_pid = pid;
    return fds[0];
}

/* Of one whose connection ended without a word: it was killed. The kernel closes what it held one
 * by one, so its lock, and those of children that it had just forked, may be held for a moment yet.
 */
static void clean_up_after(DuetInstance *instance, pid_t monitor)
{
    gint64 deadline_us = g_get_monotonic_time() + DEAD_MONITOR_PATIENCE_US;
    while (waitpid(monitor, NULL, WNOHANG) == 0 && g_get_monotonic_time() < deadline_us)
        g_usleep(1000);
    for (;;) {
        duet_live_recover(instance->context, instance->spec->id);
        if (!duet_live_is_marked(instance->context, instance->spec->id) ||
            g_get_monotonic_time() >= deadline_us)
            return;
        g_usleep(10000);
    }
}

/* Those that are not held never reach the session: they do with us what they do. */
static void hold_signals(DuetProxy proxy, sigset_t *out_old)
{
    sigset_t set;

    if (proxy == DUET_PROXY_ALL) {
        duet_session_block_signals(out_old);
        return;
    }
    sigemptyset(&set);
    if (proxy == DUET_PROXY_ENDING)
        duet_signals_ending(&set);
    sigprocmask(SIG_BLOCK, &set, out_old);
}

DuetInfo *duet_instance_run(
    DuetInstance *instance, const DuetIo *io, DuetProxy proxy, GError **error)
{
    sigset_t old;
    DuetSessionEnd end = { .exit_code = -1 };
    g_autoptr(GError) failure = NULL;
    hold_signals(proxy, &old);
    pid_t monitor;
    DUET_AUTO_FD fd = fork_monitor(instance, io, FALSE, &monitor, &failure);
    if (fd >= 0)
        duet_session_pump(
            fd, io, DUET_SESSION_UNTIL_RELEASED, proxy != DUET_PROXY_NONE, &end, &failure);
    if (end.lost)
        clean_up_after(instance, monitor);
    sigprocmask(SIG_SETMASK, &old, NULL);
    g_autofree char *text = end.state;
    if (failure && !end.early_signal) {
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
    }
    DuetInfo *info = duet_info_from_text(text, instance->spec);
    if (end.early_signal) {
        info->exit_code = 128 + end.early_signal;
        info->exit_signal = end.early_signal;
    }
    info->asked_to_end = end.asked_to_end;
    info->detached = end.detached;
    return info;
}

DuetInfo *duet_instance_attach(
    DuetInstance *instance, const DuetIo *io, gboolean proxy_signals, GError **error)
{
    DUET_AUTO_FD fd = duet_control_connect_or_fail(instance, error);
    if (fd < 0)
        return NULL;
    sigset_t old;
    DuetSessionEnd end = { .exit_code = -1 };
    if (proxy_signals)
        duet_session_block_signals(&old);
    gboolean ok = duet_frame_write_u32(fd, DUET_FRAME_ATTACH, 0, 1) &&
        duet_session_pump(fd, io, DUET_SESSION_UNTIL_LEFT, proxy_signals, &end, error);
    if (proxy_signals)
        sigprocmask(SIG_SETMASK, &old, NULL);
    g_autofree char *text = end.state;
    if (!ok) {
        if (error && !*error)
            duet_error_set_errno(
                error, errno, "cannot talk to the monitor of '%s'", instance->spec->name);
        else
            g_prefix_error(error, "the instance '%s': ", instance->spec->name);
        return NULL;
    }
    DuetInfo *info = duet_info_from_text(text, instance->spec);
    info->detached = end.detached;
    return info;
}

/* Returns: the connection to its monitor, or -1. */
static int start(DuetInstance *instance, const DuetIo *io, gboolean proxy_signals,
    gboolean borrowed, GError **error)
{
    DuetSessionEnd end;
    pid_t monitor;
    DUET_AUTO_FD fd = fork_monitor(instance, NULL, borrowed, &monitor, error);
    if (fd < 0)
        return -1;
    gboolean ok = duet_session_pump(fd, io, DUET_SESSION_UNTIL_STARTED, proxy_signals, &end, error);
    if (ok && end.state)
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the instance '%s' was stopped before its payload started", instance->spec->name);
    gboolean started = ok && !end.state;
    g_free(end.state);
    /* It is the caller's to see as well. */
    if (end.early_signal)
        raise(end.early_signal);
    if (!ok) {
        /* Return after everything was released, as a success does not have to. */
        duet_session_pump(fd, io, DUET_SESSION_UNTIL_RELEASED, FALSE, &end, NULL);
        g_free(end.state);
        if (end.lost)
            clean_up_after(instance, monitor);
    }
    return started ? duet_fd_steal(&fd) : -1;
}

static const DuetIo quiet_io = { -1, -1, -1, TRUE };

gboolean duet_instance_start(DuetInstance *instance, GError **error)
{
    DUET_AUTO_FD fd = start(instance, NULL, FALSE, FALSE, error);
    return fd >= 0;
}

gboolean duet_instance_start_quietly(DuetInstance *instance, GError **error)
{
    DUET_AUTO_FD fd = start(instance, &quiet_io, TRUE, FALSE, error);
    return fd >= 0;
}

int duet_instance_borrow(DuetInstance *instance, GError **error)
{
    return start(instance, &quiet_io, TRUE, TRUE, error);
}

void duet_instance_give_back(int *fd)
{
    DuetSessionEnd end;
    if (*fd < 0)
        return;
    if (duet_frame_write_u32(*fd, DUET_FRAME_STOP, 0, 0) &&
        duet_session_pump(*fd, &quiet_io, DUET_SESSION_UNTIL_RELEASED, FALSE, &end, NULL))
        g_free(end.state);
    duet_fd_clear(fd);
}

char *duet_control_ask(DuetInstance *instance, int fd, guint8 type, const void *payload,
    guint32 length, guint8 answer, GError **error)
{
    if (!duet_frame_write(fd, type, 0, payload, length)) {
        duet_error_set_errno(error, errno, "cannot talk to the monitor");
        return NULL;
    }
    struct duet_frame_reader reader = { 0 };
    char *found = NULL;
    GError *failure = NULL;
    while (!found && !failure) {
        size_t space;
        uint8_t *at = duet_frame_reader_space(&reader, &space);
        ssize_t n = at ? read(fd, at, space) : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            g_set_error(&failure, DUET_ERROR, DUET_ERROR_TIMEOUT,
                "the monitor of '%s' is busy, and does not answer", instance->spec->name);
            break;
        }
        if (n <= 0) {
            g_set_error(&failure, DUET_ERROR, DUET_ERROR_STATE,
                "the instance '%s' ended before it could answer", instance->spec->name);
            break;
        }
        duet_frame_reader_fed(&reader, (size_t)n);
        struct duet_frame frame;
        int got = 0;
        while (!found && !failure && (got = duet_frame_reader_next(&reader, &frame)) > 0) {
            const char *said = (const char *)frame.payload;
            if (frame.type == answer) {
                found = g_strndup(said, frame.length);
            } else if (frame.type == DUET_FRAME_ERROR && frame.length >= 4) {
                g_autofree char *text = g_strndup(said + 4, frame.length - 4);
                failure = g_error_new(DUET_ERROR, (int)duet_get_u32(frame.payload),
                    "the instance '%s': %s", instance->spec->name, text);
            }
        }
        if (got < 0)
            failure = g_error_new(DUET_ERROR, DUET_ERROR_BROKEN,
                "the monitor of '%s' said what is no answer", instance->spec->name);
    }
    duet_frame_reader_clear(&reader);
    if (failure)
        g_propagate_error(error, failure);
    return found;
}

static char *ask(
    DuetInstance *instance, int fd, guint8 type, guint32 value, guint8 answer, GError **error)
{
    guint8 word[4];
    duet_put_u32(word, value);
    return duet_control_ask(instance, fd, type, word, sizeof word, answer, error);
}

static gboolean request_simply(
    DuetInstance *instance, guint8 type, guint32 value, guint8 answer, GError **error)
{
    DUET_AUTO_FD fd = duet_control_connect_or_fail(instance, error);
    g_autofree char *text = fd < 0 ? NULL : ask(instance, fd, type, value, answer, error);
    return text != NULL;
}

gboolean duet_instance_stop(DuetInstance *instance, guint grace_ms, GError **error)
{
    DUET_AUTO_FD fd = duet_control_connect_or_fail(instance, error);
    if (fd < 0)
        return FALSE;
    g_autofree char *text = ask(instance, fd, DUET_FRAME_STOP, grace_ms, DUET_FRAME_RELEASED, NULL);
    /* Without an answer it was at its end already: over once the monitor let go of the lock. */
    duet_fd_clear(&fd);
    if (!text)
        fd = duet_control_connect(instance);
    return TRUE;
}

/* To a whole system there is its power button, which SIGTERM stands for, and its plug. */
static gboolean check_signal(const DuetSpec *spec, int signal_number, GError **error)
{
    if (!spec->disk_image || signal_number == SIGTERM || signal_number == SIGKILL)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "'%s' runs a disk, which gets no signals but TERM, its power button, and KILL; use `duet "
        "exec %s kill` for its processes",
        spec->name, spec->name);
    return FALSE;
}

gboolean duet_instance_signal(DuetInstance *instance, int signal_number, GError **error)
{
    if (!check_signal(instance->spec, signal_number, error))
        return FALSE;
    return request_simply(instance, DUET_FRAME_KILL, (guint32)signal_number, DUET_FRAME_OK, error);
}

gboolean duet_instance_pause(DuetInstance *instance, GError **error)
{
    return request_simply(instance, DUET_FRAME_PAUSE, 0, DUET_FRAME_OK, error);
}

gboolean duet_instance_resume(DuetInstance *instance, GError **error)
{
    return request_simply(instance, DUET_FRAME_RESUME, 0, DUET_FRAME_OK, error);
}

gboolean duet_instance_check_health(DuetInstance *instance, gboolean *out_healthy, GError **error)
{
    DUET_AUTO_FD fd = duet_control_connect_or_fail(instance, error);
    g_autofree char *text =
        fd < 0 ? NULL : ask(instance, fd, DUET_FRAME_HEALTH, 0, DUET_FRAME_OK, error);
    if (!text)
        return FALSE;
    *out_healthy = g_str_equal(text, DUET_HEALTH_PASSED);
    return TRUE;
}

/* From the files alone. @over: nothing runs, whatever they say of pids */
static DuetInfo *info_from_files(DuetInstance *instance, gboolean over)
{
    g_autofree char *text = duet_file_read(instance->dir_fd, "state", 4u << 20, NULL, NULL);
    /* One that goes at its end leaves no state: while it is there, it was only made. */
    g_autofree char *dir = duet_instance_path(instance->context, instance->spec->id);
    gboolean made = !text && instance->spec->remove_at_exit && access(dir, F_OK) == 0;
    DuetInfo *info = duet_info_from_text(made ? "{}" : text, instance->spec);
    if (made)
        info->state = DUET_STATE_CREATED;
    if (!over)
        return info;
    if (duet_saved_is_there(instance->dir_fd))
        info->state = DUET_STATE_SAVED;
    else if (info->state != DUET_STATE_CREATED)
        info->state = DUET_STATE_EXITED;
    info->pid = info->monitor_pid = 0;
    return info;
}

DuetInfo *duet_instance_info(DuetInstance *instance, GError **error)
{
    (void)error;
    /* Ours is the lock of an instance that was created just now, or is about to be started. */
    DUET_AUTO_FD fd = instance->lock_fd >= 0 ? -1 : duet_control_connect(instance);
    /* One that is at work with its driver answers later: others must not be waited for with it. */
    const struct timeval patience = { .tv_sec = STATE_PATIENCE_S };
    g_autoptr(GError) failure = NULL;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    g_autofree char *live =
        fd < 0 ? NULL : ask(instance, fd, DUET_FRAME_STATE, 0, DUET_FRAME_STATE, &failure);
    if (g_error_matches(failure, DUET_ERROR, DUET_ERROR_TIMEOUT))
        return info_from_files(instance, FALSE);
    if (fd >= 0 && !live) {
        /* At its end: its file has the last word once the monitor let go of the lock. */
        duet_fd_clear(&fd);
        fd = duet_control_connect(instance);
    }
    return live ? duet_info_from_text(live, instance->spec) : info_from_files(instance, TRUE);
}

int duet_instance_wait(DuetInstance *instance, GError **error)
{
    DUET_AUTO_FD fd = duet_control_connect(instance);
    g_autofree char *text =
        fd < 0 ? NULL : ask(instance, fd, DUET_FRAME_WAIT, 0, DUET_FRAME_RELEASED, NULL);
    g_autoptr(DuetInfo) info = text ? duet_info_from_text(text, instance->spec) : NULL;
    if (!info) {
        /* It was at its end: its last word is in its file once it let go of the lock. */
        duet_fd_clear(&fd);
        fd = duet_control_connect(instance);
        info = info_from_files(instance, TRUE);
    }
    if (info->state == DUET_STATE_SAVED) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the instance '%s' is saved, and has not ended", instance->spec->name);
        return -1;
    }
    if (info->exit_code < 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE, "the instance '%s' was never started",
            instance->spec->name);
        return -1;
    }
    return info->exit_code;
}

gboolean duet_instance_remove(DuetInstance *instance, gboolean force, GError **error)
{
    DuetContext *context = instance->context;
    DUET_AUTO_FD lock_fd =
        instance->lock_fd >= 0 ? duet_fd_steal(&instance->lock_fd) : duet_control_lock(instance);
    int err = lock_fd < 0 ? errno : 0;
    if (lock_fd < 0 && !force)
        return lock_failed(instance, err, "is running; stop it first or use `duet rm -f`", error);
    /* Between RELEASED and our lock another command may have started it again: then once more. */
    for (int tries = 0; lock_fd < 0 && tries < 5; tries++) {
        g_autoptr(GError) failure = NULL;
        if (!duet_instance_stop(instance, 0, &failure) &&
            !g_error_matches(failure, DUET_ERROR, DUET_ERROR_STATE) && tries == 4) {
            g_propagate_error(error, g_steal_pointer(&failure));
            return FALSE;
        }
        lock_fd = duet_control_lock(instance);
        err = lock_fd < 0 ? errno : 0;
    }
    /* ENOENT: another removal was faster. */
    if (lock_fd < 0 && err != ENOENT)
        return lock_failed(instance, err, "does not end", error);
    if (lock_fd >= 0)
        read_again(instance, NULL);
    /* Its monitor died since this command began, or left something: that must not be forgotten. */
    if (duet_live_is_marked(context, instance->spec->id)) {
        if (!duet_live_clean_up(context, instance->spec->id)) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
                "processes of the instance '%s' do not end; try again", instance->spec->name);
            return FALSE;
        }
        if (!duet_driver_recover(context->drivers, instance->spec, 0, error))
            return FALSE;
        duet_live_tell_death(context, instance->dir_fd, instance->spec);
    }
    if (!duet_instance_discard(context, instance->spec, error))
        return FALSE;
    if (lock_fd >= 0)
        duet_event_emit(context, DUET_EVENT_REMOVE, instance->spec, NULL);
    duet_live_unmark(context, instance->spec->id);
    duet_trash_empty(context);
    return TRUE;
}
