/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/mark.h>

#include "bench/instance/group.h"
#include "core/util.h"

/* What the process says when it is ready, in place of a time. */
#define READY 1
/* Every host has it, and no layer is below it: what is mounted there in a mount namespace of our
 * own leaves nothing. */
#define PLACE "/proc"
/* How long a wait for an answer doesn't see that the user wants an end. */
#define LOOK_MS 50

/* The payload that runs; 0: none. */
static pid_t spawned;

/* Returns: (transfer full): the options of the overlay; lowest layer last. */
static char *overlay_options(const DuetSpec *spec)
{
    g_autoptr(GString) options = g_string_new("lowerdir=");

    for (guint i = g_strv_length(spec->layers); i > 0; i--)
        g_string_append_printf(options, "%s%s", spec->layers[i - 1], i > 1 ? ":" : "");
    g_string_append(options, ",upperdir=" PLACE "/upper,workdir=" PLACE "/work");
    return g_string_free(g_steal_pointer(&options), FALSE);
}

/* In the process. */
static gboolean enter(const DuetSpec *spec)
{
    g_autofree char *options = overlay_options(spec);

    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("duet", PLACE, "tmpfs", 0, "mode=0755") == 0 && mkdir(PLACE "/upper", 0755) == 0 &&
        mkdir(PLACE "/work", 0755) == 0 && mkdir(PLACE "/root", 0755) == 0 &&
        mount("duet", PLACE "/root", "overlay", 0, options) == 0 && chroot(PLACE "/root") == 0 &&
        chdir(spec->cwd) == 0;
}

/* Whoever asked for it died, or waits no longer: the payload goes as well. */
static void end_all(int signal_number)
{
    (void)signal_number;
    if (spawned > 0)
        kill(spawned, SIGKILL);
    _exit(1);
}

static gint64 spawn_once(const DuetSpec *spec, const posix_spawnattr_t *attributes)
{
    siginfo_t info = { 0 };
    gint64 start_ns = duet_now_ns();

    if (posix_spawnp(&spawned, spec->argv[0], NULL, attributes, spec->argv, spec->env) != 0)
        return 0;
    while (waitid(P_PID, (id_t)spawned, &info, WEXITED) < 0 && errno == EINTR)
        ;
    gint64 took_ns = duet_now_ns() - start_ns;
    spawned = 0;
    return info.si_code == CLD_EXITED && info.si_status == 0 ? took_ns : 0;
}

static void serve(const DuetSpec *spec, int fd)
{
    const char *path = g_environ_getenv(spec->env, "PATH");
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char asked;

    if (path)
        setenv("PATH", path, TRUE);
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    gint64 answer = READY;
    while (duet_write_all(fd, &answer, sizeof answer) && read(fd, &asked, 1) == 1)
        answer = spawn_once(spec, &attributes);
}

static gboolean receive(int fd, gint64 *out_answer)
{
    ssize_t n;

    do
        n = recv(fd, out_answer, sizeof *out_answer, MSG_WAITALL);
    while (n < 0 && errno == EINTR);
    return n == sizeof *out_answer;
}

static gboolean check(const DuetSpec *spec, GError **error)
{
    gboolean as_root =
        !spec->user || g_str_equal(spec->user, "root") || g_str_equal(spec->user, "0");

    if (geteuid() == 0 && as_root && spec->mounts->len == 0 && spec->argv[0] && spec->layers[0])
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "only root can spawn a payload bare, and one of root's without folders of the host");
    return FALSE;
}

/* In the child: nothing of the caller's but the socket stays open. */
static void be_bare(const DuetSpec *spec, int fd)
{
    int null_fd = open("/dev/null", O_RDWR);
    sigset_t ending;

    signal(SIGTERM, end_all);
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &ending, NULL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGINT, SIG_IGN);
    dup2(null_fd, STDIN_FILENO);
    dup2(null_fd, STDOUT_FILENO);
    dup2(null_fd, STDERR_FILENO);
    dup2(fd, STDERR_FILENO + 1);
    fcntl(STDERR_FILENO + 1, F_SETFD, FD_CLOEXEC);
    close_range(STDERR_FILENO + 2, ~0u, 0);
    if (enter(spec))
        serve(spec, STDERR_FILENO + 1);
    _exit(1);
}

gboolean duet_bare_start(DuetBare *bare, const DuetSpec *spec, GError **error)
{
    int ends[2];
    gint64 answer = 0;

    *bare = (DuetBare){ .fd = -1, .timeout_ms = spec->timeout_ms };
    if (!check(spec, error))
        return FALSE;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return duet_error_set_errno(error, errno, "cannot prepare to spawn '%s'", spec->argv[0]);
    bare->fd = ends[0];
    DUET_AUTO_FD theirs = ends[1];
    bare->pid = fork();
    if (bare->pid < 0)
        return duet_error_set_errno(error, errno, "cannot fork");
    if (bare->pid == 0)
        be_bare(spec, theirs);
    duet_fd_clear(&theirs);
    if (receive(bare->fd, &answer) && answer == READY)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
        "the image's files could not be put together for a bare spawn of '%s'", spec->argv[0]);
    return FALSE;
}

/* Whether the child answered before the payload's time was up or the user wanted an end; what it
 * took is told by the child, and isn't the longer for looking now and then. */
static gboolean answers(DuetBare *bare)
{
    struct pollfd answered = { .fd = bare->fd, .events = POLLIN };
    gint64 until_us = g_get_monotonic_time() + bare->timeout_ms * 1000;
    int ready;

    do
        ready = poll(&answered, 1, LOOK_MS);
    while (ready <= 0 && !duet_signal_waits() &&
        (bare->timeout_ms <= 0 || g_get_monotonic_time() < until_us));
    return ready > 0;
}

gint64 duet_bare_take(DuetBare *bare)
{
    gint64 answer = 0;

    if (bare->fd < 0 || send(bare->fd, "", 1, MSG_NOSIGNAL) != 1)
        return 0;
    if (answers(bare) && receive(bare->fd, &answer))
        return answer;
    duet_bare_clear(bare);
    return 0;
}

void duet_bare_clear(DuetBare *bare)
{
    duet_fd_clear(&bare->fd);
    if (bare->pid > 0) {
        kill(bare->pid, SIGTERM);
        /* Its mounts go with it. */
        while (waitpid(bare->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    *bare = (DuetBare){ .fd = -1 };
}
