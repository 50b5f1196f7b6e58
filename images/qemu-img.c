/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * qemu-img reads what strangers wrote. It runs with the caller's rights, on a descriptor, so that
 * it reads the file that was looked at; is told the format and that there is no backing file,
 * whatever the header says by now; has bounds of memory and CPU time; is killed where it does
 * nothing; and dies with its caller.
 */
#include "images/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

/* qemu-img takes 0.3 GiB, most of it for stacks; a large disk's tables some hundred MiB. */
#define MAX_MEMORY_BYTES ((rlim_t)2 << 30)
#define CPU_S 60
#define CPU_S_PER_GIB 30
/* Without a single tick of CPU time in this time it hangs. */
#define STALL_MS 20000
/* The child's descriptors. */
#define SOURCE_FD 3
#define TARGET_FD 4
#define TARGET "/proc/self/fd/4"
#define HEAD_BYTES (64 * 1024)
/* Exit codes of qemu-img check. */
#define CHECK_ERRORS 2
#define CHECK_LEAKS 3

/* One run of qemu-img. @to_fd: what it writes, or -1. @verb: what it does with @what, for messages
 */
typedef struct {
    int fd;
    int to_fd;
    const char *verb;
    const char *what;
    guint64 cpu_s;
    int log_fd;
    GPid pid;
} Run;

/* In the child: only what is async-signal-safe. */
static void bound(gpointer data)
{
    const Run *run = data;
    const struct rlimit memory = { MAX_MEMORY_BYTES, MAX_MEMORY_BYTES };
    const struct rlimit cpu = { run->cpu_s, run->cpu_s };
    const struct rlimit core = { 0, 0 };
    setrlimit(RLIMIT_AS, &memory);
    setrlimit(RLIMIT_CPU, &cpu);
    setrlimit(RLIMIT_CORE, &core);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static char *source_json(DuetDiskFormat format)
{
    return g_strdup_printf(
        "json:{\"driver\":\"%s\",%s\"read-only\":true,\"file\":{\"driver\":\"file\","
        "\"filename\":\"/proc/self/fd/%d\"}}",
        duet_disk_format_to_string(format), format == DUET_DISK_RAW ? "" : "\"backing\":null,",
        SOURCE_FD);
}

static gboolean start(Run *run, const char *const *argv, GError **error)
{
    const int sources[] = { run->fd, run->to_fd }, targets[] = { SOURCE_FD, TARGET_FD };
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), "LC_ALL", "C", TRUE);
    g_autoptr(GError) local = NULL;
    if (g_spawn_async_with_pipes_and_fds(NULL, argv, (const char *const *)env,
            G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL, bound,
            run, -1, -1, run->log_fd, sources, targets, run->to_fd < 0 ? 1 : 2, &run->pid, NULL,
            NULL, NULL, &local))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED,
        "cannot run 'qemu-img', which checks and converts disks: %s; install the package "
        "qemu-utils",
        local->message);
    return FALSE;
}

static gint64 cpu_ns(GPid pid)
{
    clockid_t clock;
    struct timespec time = { 0 };
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &time) < 0)
        return 0;
    return time.tv_sec * G_GINT64_CONSTANT(1000000000) + time.tv_nsec;
}

/* Returns: its wait status, or -1 if it hung and was killed. */
static int finish(const Run *run)
{
    DUET_AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, run->pid, 0);
    struct pollfd wait = { .fd = pidfd, .events = POLLIN };
    gboolean stalled = FALSE;
    for (gint64 before = -1; pidfd >= 0 && !stalled;) {
        int r = poll(&wait, 1, STALL_MS);
        gint64 now = cpu_ns(run->pid);
        if (r > 0)
            break;
        stalled = r == 0 && now == before;
        before = now;
    }
    if (stalled)
        kill(run->pid, SIGKILL);
    int status = 0;
    while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
        ;
    return stalled ? -1 : status;
}

/* Its first line, without its own name and ours for the disk. */
static char *reason(const Run *run)
{
    char text[1024];
    ssize_t n = pread(run->log_fd, text, sizeof text - 1, 0);
    text[MAX(n, 0)] = '\0';
    text[strcspn(text, "\n")] = '\0';
    const char *line = g_str_has_prefix(text, "qemu-img: ") ? text + strlen("qemu-img: ") : text;
    const char *json = strstr(line, "json:{");
    const char *after = json ? strstr(json, "}}") : NULL;
    if (after)
        line = after + 2 + strspn(after + 2, "': ");
    return g_utf8_make_valid(line, -1);
}

static gboolean set_failure(const Run *run, int status, GError **error)
{
    g_autofree char *text = reason(run);
    if (status == -1)
        g_set_error(error, DUET_ERROR, DUET_ERROR_TIMEOUT,
            "cannot %s '%s': 'qemu-img' did nothing for 20 s and was killed", run->verb, run->what);
    else if (WIFSIGNALED(status))
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "cannot %s '%s': 'qemu-img' died of signal %d (its bounds are %" G_GUINT64_FORMAT
            " s of CPU time and 2 GiB of memory)",
            run->verb, run->what, WTERMSIG(status), run->cpu_s);
    else if (WEXITSTATUS(status) == CHECK_ERRORS)
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is damaged or cut short: 'qemu-img check' finds errors in it; get it again",
            run->what);
    else if (strstr(text, "No space left on device"))
        duet_error_set_errno(error, ENOSPC, "cannot %s '%s'", run->verb, run->what);
    else
        g_set_error(
            error, DUET_ERROR, DUET_ERROR_BROKEN, "cannot %s '%s': %s", run->verb, run->what, text);
    return FALSE;
}

/* @fine: an exit code that is as good as 0 */
static gboolean run_it(Run *run, const char *const *argv, int fine, GError **error)
{
    run->log_fd = memfd_create("log", MFD_CLOEXEC);
    if (run->log_fd < 0)
        return duet_error_set_errno(error, errno, "cannot make a memory file");
    gboolean good = start(run, argv, error);
    int status = good ? finish(run) : 0;
    gboolean ended = status != -1 && WIFEXITED(status);
    if (good && (!ended || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != fine)))
        good = set_failure(run, status, error);
    duet_fd_clear(&run->log_fd);
    return good;
}

static guint64 cpu_bound(guint64 bytes)
{
    return CPU_S + (bytes >> 30) * CPU_S_PER_GIB;
}

gboolean duet_qemu_img_check(
    int fd, DuetDiskFormat format, guint64 bytes, const char *what, GError **error)
{
    /* A raw disk has nothing to check. */
    if (format == DUET_DISK_RAW)
        return TRUE;
    g_autofree char *source = source_json(format);
    const char *argv[] = { "qemu-img", "check", "-q", source, NULL };
    Run run = { .fd = fd, .to_fd = -1, .verb = "check", .what = what, .cpu_s = cpu_bound(bytes) };
    return run_it(&run, argv, CHECK_LEAKS, error);
}

gboolean duet_qemu_img_convert(int fd, DuetDiskFormat format, guint64 bytes, const char *what,
    DuetDiskFormat to, int to_fd, GError **error)
{
    g_autofree char *source = source_json(format);
    const char *argv[] = { "qemu-img", "convert", "-q", "-O", duet_disk_format_to_string(to),
        source, TARGET, NULL };
    Run run = {
        .fd = fd, .to_fd = to_fd, .verb = "convert", .what = what, .cpu_s = cpu_bound(bytes)
    };
    return run_it(&run, argv, 0, error);
}

gboolean duet_qemu_img_head(
    int fd, DuetDiskFormat format, const char *what, int to_fd, GError **error)
{
    g_autofree char *source = source_json(format);
    g_autofree char *input = g_strconcat("if=", source, NULL);
    g_autofree char *block = g_strdup_printf("bs=%d", HEAD_BYTES);
    const char *argv[] = { "qemu-img", "dd", "-O", "raw", block, "count=1", input, "of=" TARGET,
        NULL };
    Run run = { .fd = fd, .to_fd = to_fd, .verb = "read", .what = what, .cpu_s = CPU_S };
    return run_it(&run, argv, 0, error);
}
