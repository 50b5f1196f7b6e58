/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "probe.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "group.h"

/* So often it is looked whether the user wants an end; output wakes us at once. */
#define WATCH_MS 100
/* Between two tries of a command: it must not take the CPU from what it waits for. */
#define COMMAND_PAUSE_US 5000
#define LINE_MAX_BYTES 65536

typedef gboolean (*WaitFunc)(const DuetProbe *probe, DuetInstance *instance, gint64 until_ns,
    gint64 *out_ready_ns, gboolean *out_interrupted, GError **error);

struct _DuetProbe {
    DuetMark mark;
    WaitFunc wait;
    GRegex *regex;
    char **argv;
    guint16 port;
};

/* Returns: FALSE with @error when it is not to be waited for any longer. */
static gboolean may_wait(gint64 until_ns, gboolean *out_interrupted, GError **error)
{
    if (duet_signal_waits()) {
        *out_interrupted = TRUE;
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, "the user interrupted");
        return FALSE;
    }
    if (duet_now_ns() < until_ns)
        return TRUE;
    g_set_error_literal(
        error, DUET_ERROR, DUET_ERROR_TIMEOUT, "timed out: it was not ready by then");
    return FALSE;
}

static gboolean wait_exec(const DuetProbe *probe, DuetInstance *instance, gint64 until_ns,
    gint64 *out_ready_ns, gboolean *out_interrupted, GError **error)
{
    (void)probe;
    (void)instance;
    /* It was started: that is all. */
    *out_ready_ns = duet_now_ns();
    return may_wait(until_ns, out_interrupted, error);
}

/* ---- output ---- */

/* A process and not a thread: see capture.h. Returns: its end of a pipe with all output, or -1. */
static int follow(DuetInstance *instance, pid_t *out_pid, GError **error)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) {
        duet_error_set_errno(error, errno, "cannot make a pipe for the output");
        return -1;
    }
    *out_pid = fork();
    if (*out_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        duet_instance_logs(instance, ends[1], ends[1], TRUE, NULL);
        _exit(0);
    }
    int err = errno;
    close(ends[1]);
    if (*out_pid > 0)
        return ends[0];
    close(ends[0]);
    duet_error_set_errno(error, err, "cannot fork to watch the output");
    return -1;
}

/* Whether a whole line of @seen matches; those that don't are taken out of it. */
static gboolean has_line(const DuetProbe *probe, GString *seen)
{
    char *end;

    if (!probe->regex)
        return seen->len > 0;
    while ((end = memchr(seen->str, '\n', seen->len))) {
        gssize length = end - seen->str;
        if (g_regex_match_full(probe->regex, seen->str, length, 0, 0, NULL, NULL))
            return TRUE;
        g_string_erase(seen, 0, length + 1);
    }
    if (seen->len > LINE_MAX_BYTES)
        g_string_truncate(seen, LINE_MAX_BYTES);
    return FALSE;
}

static gboolean read_until(const DuetProbe *probe, int fd, gint64 until_ns, gint64 *out_ready_ns,
    gboolean *out_interrupted, GError **error)
{
    g_autoptr(GString) seen = g_string_new(NULL);
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    char bytes[4096];

    while (may_wait(until_ns, out_interrupted, error)) {
        gint64 left_ms = (until_ns - duet_now_ns()) / 1000000 + 1;
        if (poll(&wait, 1, (int)CLAMP(left_ms, 1, WATCH_MS)) <= 0)
            continue;
        ssize_t n = read(fd, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            g_set_error_literal(
                error, DUET_ERROR, DUET_ERROR_STATE, "it ended before it was ready");
            return FALSE;
        }
        gint64 now = duet_now_ns();
        g_string_append_len(seen, bytes, n);
        if (has_line(probe, seen)) {
            *out_ready_ns = now;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean wait_output(const DuetProbe *probe, DuetInstance *instance, gint64 until_ns,
    gint64 *out_ready_ns, gboolean *out_interrupted, GError **error)
{
    pid_t pid = -1;
    DUET_AUTO_FD fd = follow(instance, &pid, error);

    if (fd < 0)
        return FALSE;
    gboolean ready = read_until(probe, fd, until_ns, out_ready_ns, out_interrupted, error);
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return ready;
}

/* ---- a command, or what the agent does in its place ---- */

static gboolean wait_command(const DuetProbe *probe, DuetInstance *instance, gint64 until_ns,
    gint64 *out_ready_ns, gboolean *out_interrupted, GError **error)
{
    DuetExec exec = { .argv = probe->argv, .port = probe->port };
    DUET_AUTO_FD null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    DuetIo io = { -1, null_fd, null_fd, TRUE };

    while (may_wait(until_ns, out_interrupted, error)) {
        int code = duet_instance_exec(instance, &exec, &io, error);
        if (code < 0)
            return FALSE;
        if (code == 0) {
            *out_ready_ns = duet_now_ns();
            return TRUE;
        }
        /* What the user sent us went on to the command. */
        if (code == 128 + SIGINT || code == 128 + SIGTERM || code == 128 + SIGHUP) {
            *out_interrupted = TRUE;
            g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, "the user interrupted");
            return FALSE;
        }
        g_usleep(COMMAND_PAUSE_US);
    }
    return FALSE;
}

/* ---- what there is ---- */

static gboolean parse_regex(DuetProbe *probe, const char *text, GError **error)
{
    g_autoptr(GError) why = NULL;

    probe->regex = g_regex_new(text, G_REGEX_RAW | G_REGEX_OPTIMIZE, 0, &why);
    if (probe->regex)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "--ready log: %s", why->message);
    return FALSE;
}

static gboolean parse_command(DuetProbe *probe, const char *text, GError **error)
{
    g_autoptr(GError) why = NULL;

    if (g_shell_parse_argv(text, NULL, &probe->argv, &why))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID, "--ready cmd: %s", why->message);
    return FALSE;
}

static gboolean parse_port(DuetProbe *probe, const char *text, GError **error)
{
    guint64 port;

    if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT16, &port, NULL)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "--ready tcp:%s: a port is a number from 1 to 65535", text);
        return FALSE;
    }
    probe->port = (guint16)port;
    return TRUE;
}

static const struct {
    const char *name;
    DuetMark mark;
    WaitFunc wait;
    gboolean (*parse)(DuetProbe *probe, const char *text, GError **error);
} kinds[] = {
    { "exec", DUET_MARK_EXEC, wait_exec, NULL },
    { "output", DUET_MARK_OUTPUT, wait_output, NULL },
    { "log", DUET_MARK_REQUEST, wait_output, parse_regex },
    { "cmd", DUET_MARK_REQUEST, wait_command, parse_command },
    { "tcp", DUET_MARK_REQUEST, wait_command, parse_port },
};

DuetProbe *duet_probe_new(const char *text, GError **error)
{
    const char *colon = strchr(text, ':');
    g_autofree char *name = colon ? g_strndup(text, colon - text) : g_strdup(text);

    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (!g_str_equal(name, kinds[i].name) || (kinds[i].parse != NULL) != (colon != NULL))
            continue;
        g_autoptr(DuetProbe) probe = g_new0(DuetProbe, 1);
        probe->mark = kinds[i].mark;
        probe->wait = kinds[i].wait;
        if (kinds[i].parse && !kinds[i].parse(probe, colon + 1, error))
            return NULL;
        return g_steal_pointer(&probe);
    }
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--ready '%s': use exec, output, log:REGEX, cmd:COMMAND or tcp:PORT", text);
    return NULL;
}

void duet_probe_free(DuetProbe *probe)
{
    if (!probe)
        return;
    g_clear_pointer(&probe->regex, g_regex_unref);
    g_strfreev(probe->argv);
    g_free(probe);
}

DuetMark duet_probe_mark(const DuetProbe *probe)
{
    return probe->mark;
}

gboolean duet_probe_wait(const DuetProbe *probe, DuetInstance *instance, gint64 until_ns,
    gint64 *out_ready_ns, gboolean *out_interrupted, GError **error)
{
    return probe->wait(probe, instance, until_ns, out_ready_ns, out_interrupted, error);
}
