/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stopwatch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/mark.h>

#include "core/util.h"

#define KEPT_BYTES (64u * 1024)
#define WORDS_BYTES 4096
#define END_PATIENCE_MS 2000

/* What a lap waits for. */
typedef struct {
    int pid_fd, out_fd, signal_fd;
    gint64 start_ns, end_ns;
    GString *text;
} Watch;

void duet_lap_clear(DuetLap *lap)
{
    g_clear_pointer(&lap->words, g_free);
}

static void set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, defaults;

    sigemptyset(&none);
    sigfillset(&defaults);
    posix_spawnattr_init(attributes);
    posix_spawnattr_setsigmask(attributes, &none);
    posix_spawnattr_setsigdefault(attributes, &defaults);
    /* A session: what is killed at a time-out is the command and all that it started. */
    posix_spawnattr_setflags(
        attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
}

/* glibc's posix_spawn() shares the memory of the caller until the execve (CLONE_VFORK): what it
 * costs does not grow with the caller. */
static int spawn(const char *program, char *const *argv, char *const *env, int out_fd, int err_fd,
    gint64 *out_start_ns, pid_t *out_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;

    set_attributes(&attributes);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
    *out_start_ns = duet_now_ns();
    int failure = posix_spawn(out_pid, program, &actions, &attributes, argv, env);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return failure;
}

/* Reads what there is; the first byte's time is when we were woken, not when all was read. */
static void take_output(Watch *watch, gint64 now_ns, DuetLap *lap)
{
    char chunk[16384];

    for (;;) {
        ssize_t n = read(watch->out_fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            duet_fd_clear(&watch->out_fd);
            return;
        }
        if (lap->output_ns == 0)
            lap->output_ns = now_ns - watch->start_ns;
        if (watch->text && watch->text->len < KEPT_BYTES)
            g_string_append_len(watch->text, chunk, MIN((gsize)n, KEPT_BYTES - watch->text->len));
    }
}

static int patience_ms(const Watch *watch)
{
    gint64 left = watch->end_ns - duet_now_ns();

    /* Rounded up: a wake-up a moment too early would only wait once more. */
    return watch->end_ns == 0 ? -1 : (int)CLAMP(left / 1000000 + 1, 0, G_MAXINT);
}

/* Returns when the command ended, or must. */
static void watch_lap(Watch *watch, DuetLap *lap)
{
    for (;;) {
        struct pollfd polls[] = {
            { .fd = watch->out_fd, .events = POLLIN },
            { .fd = watch->pid_fd, .events = POLLIN },
            { .fd = watch->signal_fd, .events = POLLIN },
        };
        int ready = poll(polls, G_N_ELEMENTS(polls), patience_ms(watch));
        gint64 now_ns = duet_now_ns();
        if (ready < 0 && errno == EINTR)
            continue;
        if (polls[0].revents)
            take_output(watch, now_ns, lap);
        if (polls[1].revents) {
            lap->exit_ns = now_ns - watch->start_ns;
            /* What it wrote last may have come between the two looks. */
            if (watch->out_fd >= 0)
                take_output(watch, now_ns, lap);
            return;
        }
        lap->interrupted = polls[2].revents != 0;
        lap->timed_out = watch->end_ns != 0 && now_ns >= watch->end_ns;
        if (lap->interrupted || lap->timed_out || ready < 0)
            return;
    }
}

void duet_lap_end(gint session)
{
    DUET_AUTO_FD pid_fd = (int)syscall(SYS_pidfd_open, session, 0);
    struct pollfd wait = { .fd = pid_fd, .events = POLLIN };
    int ready;

    kill(-session, SIGTERM);
    do
        ready = poll(&wait, 1, END_PATIENCE_MS);
    while (ready < 0 && errno == EINTR);
    kill(-session, SIGKILL);
    kill(session, SIGKILL);
}

static void reap(pid_t pid, gint64 start_ns, DuetLap *lap)
{
    siginfo_t info = { 0 };

    if (lap->exit_ns == 0)
        duet_lap_end(pid);
    while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
        ;
    if (lap->exit_ns == 0)
        lap->exit_ns = duet_now_ns() - start_ns;
    lap->exit_signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
    lap->exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

static char *last_words(int fd)
{
    char bytes[WORDS_BYTES + 1];
    off_t size = lseek(fd, 0, SEEK_END);
    ssize_t n = pread(fd, bytes, WORDS_BYTES, MAX(size - WORDS_BYTES, 0));

    bytes[MAX(n, 0)] = '\0';
    char *text = g_strstrip(bytes), *line = strrchr(text, '\n');
    return *text ? g_utf8_make_valid(line ? line + 1 : text, -1) : NULL;
}

static void set_session(gint *session, pid_t pid)
{
    if (session)
        g_atomic_int_set(session, pid);
}

static int open_signals(void)
{
    sigset_t set;

    duet_signals_ending(&set);
    /* Only looked at: whoever blocked them takes them. */
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

gboolean duet_lap_take(char *const *argv, gboolean deaf, gint *session, gint64 timeout_ms,
    DuetLap *out_lap, char **out_text, GError **error)
{
    g_autofree char *program = g_find_program_in_path(argv[0]);
    int ends[2];
    pid_t pid;

    *out_lap = (DuetLap){ .exit_code = 127 };
    if (!program) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND, "there is no program '%s'", argv[0]);
        return FALSE;
    }
    DUET_AUTO_FD err_fd = memfd_create("stderr", MFD_CLOEXEC);
    DUET_AUTO_FD signal_fd = deaf ? -1 : open_signals();
    if (err_fd < 0 || (!deaf && signal_fd < 0) || pipe2(ends, O_CLOEXEC) < 0)
        return duet_error_set_errno(error, errno, "cannot prepare to run '%s'", argv[0]);
    DUET_AUTO_FD out_fd = ends[0];
    DUET_AUTO_FD write_fd = ends[1];
    Watch watch = { .pid_fd = -1, .signal_fd = signal_fd };
    fcntl(out_fd, F_SETFL, O_NONBLOCK);
    int failure = spawn(program, argv, environ, write_fd, err_fd, &watch.start_ns, &pid);
    if (failure != 0)
        return duet_error_set_errno(error, failure, "cannot run '%s'", program);
    set_session(session, pid);
    duet_fd_clear(&write_fd);
    DUET_AUTO_FD pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    g_autoptr(GString) text = g_string_new(NULL);
    watch.pid_fd = pid_fd;
    watch.out_fd = duet_fd_steal(&out_fd);
    watch.end_ns = timeout_ms > 0 ? watch.start_ns + timeout_ms * 1000000 : 0;
    watch.text = out_text ? text : NULL;
    if (pid_fd >= 0)
        watch_lap(&watch, out_lap);
    duet_fd_clear(&watch.out_fd);
    reap(pid, watch.start_ns, out_lap);
    set_session(session, 0);
    out_lap->words = last_words(err_fd);
    if (out_text)
        *out_text = g_string_free(g_steal_pointer(&text), FALSE);
    return TRUE;
}
