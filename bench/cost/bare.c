/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bare.h"

#include <errno.h>
#include <fcntl.h>
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

#include "core/util.h"

/* What the process says when it is ready, in place of a time. */
#define READY 1

/* Returns: (transfer full): the options of the overlay; lowest layer last. */
static char *overlay_options(const DuetSpec *spec, const char *dir)
{
    g_autoptr(GString) options = g_string_new("lowerdir=");

    for (guint i = g_strv_length(spec->layers); i > 0; i--)
        g_string_append_printf(options, "%s%s", spec->layers[i - 1], i > 1 ? ":" : "");
    g_string_append_printf(options, ",upperdir=%s/upper,workdir=%s/work", dir, dir);
    return g_string_free(g_steal_pointer(&options), FALSE);
}

static gboolean make_folders(const char *dir)
{
    static const char *const names[] = { "upper", "work", "root" };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_build_filename(dir, names[i], NULL);
        if (mkdir(path, 0755) < 0)
            return FALSE;
    }
    return TRUE;
}

/* In the process. Returns: FALSE with errno. */
static gboolean enter(const DuetSpec *spec, const char *dir)
{
    g_autofree char *root = g_build_filename(dir, "root", NULL);
    g_autofree char *options = overlay_options(spec, dir);

    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
        mount("duet", dir, "tmpfs", 0, "mode=0755") == 0 && make_folders(dir) &&
        mount("duet", root, "overlay", 0, options) == 0 && chroot(root) == 0 &&
        chdir(spec->cwd) == 0;
}

static gint64 spawn_once(const DuetSpec *spec, const posix_spawnattr_t *attributes)
{
    siginfo_t info = { 0 };
    pid_t pid;
    gint64 start_ns = duet_now_ns();

    if (posix_spawnp(&pid, spec->argv[0], NULL, attributes, spec->argv, spec->env) != 0)
        return 0;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
        ;
    gint64 took_ns = duet_now_ns() - start_ns;
    return info.si_code == CLD_EXITED && info.si_status == 0 ? took_ns : 0;
}

static void serve(const DuetSpec *spec, int fd)
{
    const char *path = g_environ_getenv(spec->env, "PATH");
    posix_spawnattr_t attributes;
    sigset_t none;
    char asked;

    if (path)
        setenv("PATH", path, TRUE);
    sigemptyset(&none);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
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
static void be_bare(const DuetSpec *spec, const char *dir, int fd)
{
    int null_fd = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    dup2(null_fd, STDIN_FILENO);
    dup2(null_fd, STDOUT_FILENO);
    dup2(null_fd, STDERR_FILENO);
    dup2(fd, STDERR_FILENO + 1);
    fcntl(STDERR_FILENO + 1, F_SETFD, FD_CLOEXEC);
    close_range(STDERR_FILENO + 2, ~0u, 0);
    if (enter(spec, dir))
        serve(spec, STDERR_FILENO + 1);
    _exit(1);
}

gboolean duet_bare_start(DuetBare *bare, const DuetSpec *spec, const char *parent, GError **error)
{
    g_autofree char *dir = g_build_filename(parent, "bare-XXXXXX", NULL);
    int ends[2];
    gint64 answer = 0;

    *bare = (DuetBare){ .fd = -1 };
    if (!check(spec, error))
        return FALSE;
    if (!g_mkdtemp(dir) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
        return duet_error_set_errno(error, errno, "cannot prepare to spawn '%s'", spec->argv[0]);
    bare->dir = g_steal_pointer(&dir);
    bare->fd = ends[0];
    DUET_AUTO_FD theirs = ends[1];
    bare->pid = fork();
    if (bare->pid < 0)
        return duet_error_set_errno(error, errno, "cannot fork");
    if (bare->pid == 0)
        be_bare(spec, bare->dir, theirs);
    duet_fd_clear(&theirs);
    if (receive(bare->fd, &answer) && answer == READY)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
        "the image's files could not be put together for a bare spawn of '%s'", spec->argv[0]);
    return FALSE;
}

gint64 duet_bare_take(DuetBare *bare)
{
    gint64 answer = 0;

    return send(bare->fd, "", 1, MSG_NOSIGNAL) == 1 && receive(bare->fd, &answer) ? answer : 0;
}

void duet_bare_clear(DuetBare *bare)
{
    if (bare->dir) {
        duet_fd_clear(&bare->fd);
        /* Its mounts go with it. */
        while (bare->pid > 0 && waitpid(bare->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        rmdir(bare->dir);
    }
    g_free(bare->dir);
    *bare = (DuetBare){ .fd = -1 };
}
