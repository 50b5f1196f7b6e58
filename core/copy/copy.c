/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation: `duet cp` is two processes and a pipe: one packs files as a stream, the
 * other makes files of it. Each is at the host's files, at a tar archive, or the client of a
 * session in an instance, whose agent does it there. This one watches both and hears the signals,
 * so that what was borrowed is given back however it ends; if it is killed, both go with it, and a
 * borrowed instance ends as its connection does.
 *
 * What is copied gets its name, and "is it the directory, or what is in it?" its answer, from the
 * words of the command alone, never from the stream: an instance must not choose which of the
 * caller's files are replaced.
 */
#include "copy-place.h"
#include "core/session.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* All that a half may tell. */
#define REPORT_BYTES (64 * 1024)

typedef struct {
    DuetCopyHalf half;
    pid_t pid;
    int code; /* once it has ended; 1 also if it was killed */
} Process;

typedef struct {
    const DuetCopyRequest *request;
    char *name; /* of what is copied, or NULL: what is in it */
    int lent[2];
    sigset_t old_mask;
    int signal_fd;
    int ended_by;
    Process source, target;
} Copy;

/* "dir/." and "/" are what is in them. */
static gboolean take_name(const char *path, char **out_name, GError **error)
{
    gsize length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    g_autofree char *trimmed = g_strndup(path, length);
    const char *slash = strrchr(trimmed, '/');
    const char *base = slash ? slash + 1 : trimmed;
    if (g_str_equal(base, "..")) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' has no name at its end: name the directory, or what is in it with '%s/.'", path,
            path);
        return FALSE;
    }
    /* A slash behind "." changes nothing. */
    *out_name = !*base || g_str_equal(base, ".") ? NULL : g_strdup(base);
    return TRUE;
}

/* Returns: FALSE with @error; *out_lent: what is to be given back, or -1. */
static gboolean make_ready(DuetInstance *instance, int *out_lent, GError **error)
{
    g_autoptr(DuetInfo) info = duet_instance_info(instance, error);
    const char *name = duet_instance_spec(instance)->name;
    if (!info)
        return FALSE;
    switch (info->state) {
    case DUET_STATE_RUNNING:
        return TRUE;
    case DUET_STATE_CREATED:
    case DUET_STATE_EXITED:
        if (duet_instance_spec(instance)->disk_image) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
                "the instance '%s' runs a disk, whose files duet sees only while it runs: `duet "
                "start "
                "%s` first, or look into its 'rw.qcow2' with guestfish --ro (package "
                "libguestfs-tools)",
                name, name);
            return FALSE;
        }
        *out_lent = duet_instance_borrow(instance, error);
        if (*out_lent < 0)
            g_prefix_error(error, "no copy: ");
        return *out_lent >= 0;
    case DUET_STATE_SAVED:
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the instance '%s' is saved, and its memory knows its files as they are; `duet restore "
            "%s` lets it go on",
            name, name);
        return FALSE;
    case DUET_STATE_PAUSED:
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the instance '%s' is paused; let it go on with `duet unpause %s`", name, name);
        return FALSE;
    default:
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the instance '%s' is %s; try again in a moment", name,
            duet_state_to_string(info->state));
        return FALSE;
    }
}

static gboolean make_both_ready(Copy *copy, GError **error)
{
    DuetInstance *from = copy->request->from.instance, *to = copy->request->to.instance;
    if (from && !make_ready(from, &copy->lent[0], error))
        return FALSE;
    return !to || to == from || make_ready(to, &copy->lent[1], error);
}

/* Cannot grow: what an instance tells is not kept without end. */
static int make_report(GError **error)
{
    DUET_AUTO_FD fd = memfd_create("duet-cp", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, REPORT_BYTES) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK) < 0) {
        duet_error_set_errno(error, errno, "cannot make a memfd");
        return -1;
    }
    return duet_fd_steal(&fd);
}

/* The options that a half needs to know. */
static guint32 options_for(const Copy *copy, gboolean is_source)
{
    const DuetCopyRequest *request = copy->request;
    const DuetCopyPlace *place = is_source ? &request->from : &request->to;
    guint32 options = request->keep_owners ? DUET_COPY_KEEP_OWNERS : 0;
    if (is_source)
        return options;
    if (request->overwrite)
        options |= DUET_COPY_OVERWRITE;
    if (!copy->name)
        options |= DUET_COPY_CONTENTS;
    if (!request->from.instance && g_str_equal(request->from.path, "-"))
        options |= DUET_COPY_ARCHIVE;
    if (place->instance)
        options |= DUET_COPY_FOLLOW;
    /* A guest that is ended at once must not lose what is not on its disk yet. */
    if (place->instance && (copy->lent[0] >= 0 || copy->lent[1] >= 0) &&
        duet_instance_spec(place->instance)->kind == DUET_KIND_VM)
        options |= DUET_COPY_SYNC;
    return options;
}

static G_NORETURN void half_main(Copy *copy, Process *process, int other_fd, pid_t parent)
{
    close(other_fd);
    for (guint i = 0; i < G_N_ELEMENTS(copy->lent); i++)
        duet_fd_clear(&copy->lent[i]);
    duet_fd_clear(&copy->signal_fd);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &copy->old_mask, NULL);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    _exit(duet_copy_half_run(&process->half));
}

static gboolean fork_half(Copy *copy, gboolean is_source, int fd, int other_fd, GError **error)
{
    Process *process = is_source ? &copy->source : &copy->target;
    pid_t parent = getpid();
    process->half = (DuetCopyHalf){ copy->request, is_source, copy->name, fd, make_report(error),
        options_for(copy, is_source) };
    if (process->half.report_fd < 0)
        return FALSE;
    process->pid = fork();
    if (process->pid == 0)
        half_main(copy, process, other_fd, parent);
    return process->pid > 0 || duet_error_set_errno(error, errno, "cannot fork");
}

static gboolean fork_both(Copy *copy, GError **error)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return duet_error_set_errno(error, errno, "cannot make a pipe");
    /* A bulk stream; a refusal changes nothing. */
    fcntl(fds[0], F_SETPIPE_SZ, 256 * 1024);
    gboolean ok = fork_half(copy, TRUE, fds[1], fds[0], error) &&
        fork_half(copy, FALSE, fds[0], fds[1], error);
    close(fds[0]);
    close(fds[1]);
    return ok;
}

static void kill_half(Process *process)
{
    if (process->pid > 0)
        kill(process->pid, SIGKILL);
}

static void reap_half(Process *process, int flags)
{
    int status;
    pid_t pid;
    if (process->pid <= 0)
        return;
    do
        pid = waitpid(process->pid, &status, flags);
    while (pid < 0 && errno == EINTR);
    if (pid == 0)
        return;
    process->pid = 0;
    process->code = pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* Until both ended. A source may wait for its input for ever when nobody wants it any more. */
static void watch(Copy *copy)
{
    struct signalfd_siginfo info;
    for (;;) {
        reap_half(&copy->source, WNOHANG);
        reap_half(&copy->target, WNOHANG);
        if (copy->target.pid == 0 && copy->target.code != 0 && copy->target.code != 2)
            kill_half(&copy->source);
        if (copy->source.pid == 0 && copy->target.pid == 0)
            return;
        if (read(copy->signal_fd, &info, sizeof info) != (ssize_t)sizeof info ||
            info.ssi_signo == SIGCHLD)
            continue;
        if (info.ssi_signo != SIGINT && info.ssi_signo != SIGTERM && info.ssi_signo != SIGHUP &&
            info.ssi_signo != SIGQUIT)
            continue;
        copy->ended_by = (int)info.ssi_signo;
        kill_half(&copy->source);
        kill_half(&copy->target);
    }
}

/* Passes warnings on. Returns: (transfer full): why it failed, if it said so. */
static char *read_report(const Copy *copy, const Process *process)
{
    const DuetCopyHalf *half = &process->half;
    const DuetCopyPlace *place = half->is_source ? &copy->request->from : &copy->request->to;
    g_autofree char *bytes = g_malloc0(REPORT_BYTES + 1);
    g_autofree char *where = place->instance
        ? g_strdup_printf("in the instance '%s': ", duet_instance_spec(place->instance)->name)
        : g_strdup("");
    char *failure = NULL;
    ssize_t length = pread(half->report_fd, bytes, REPORT_BYTES, 0);
    for (ssize_t at = 0; at < length && bytes[at]; at += (ssize_t)strlen(bytes + at) + 1) {
        g_autofree char *text = g_strconcat(where, bytes + at + 1, NULL);
        if (bytes[at] == 'w' && copy->request->warn)
            copy->request->warn(text);
        else if (bytes[at] == 'e' && !failure)
            failure = g_steal_pointer(&text);
    }
    return failure;
}

/* A half that can't go on because of the other one's end is not the one to ask. */
static gboolean judge(const Copy *copy, GError **error)
{
    g_autofree char *source = read_report(copy, &copy->source);
    g_autofree char *target = read_report(copy, &copy->target);
    const char *why = copy->target.code == 1 && target ? target : source ? source : target;
    if (copy->source.code == 0 && copy->target.code == 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "%s",
        why ? why : "the copy was cut short: an instance, or a process of `duet cp`, ended early");
    return FALSE;
}

static void hold_signals(Copy *copy)
{
    sigset_t children;
    duet_session_block_signals(&copy->old_mask);
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
}

static gboolean open_signals(Copy *copy, GError **error)
{
    sigset_t watched;
    sigprocmask(SIG_SETMASK, NULL, &watched);
    copy->signal_fd = signalfd(-1, &watched, SFD_CLOEXEC);
    return copy->signal_fd >= 0 || duet_error_set_errno(error, errno, "cannot watch for signals");
}

gboolean duet_copy_run(const DuetCopyRequest *request, GError **error)
{
    Copy copy = { .request = request, .lent = { -1, -1 }, .signal_fd = -1 };
    gboolean archive = !request->from.instance && g_str_equal(request->from.path, "-");
    copy.source.half.report_fd = copy.target.half.report_fd = -1;
    if (!archive && !take_name(request->from.path, &copy.name, error))
        return FALSE;
    hold_signals(&copy);
    gboolean ok =
        make_both_ready(&copy, error) && open_signals(&copy, error) && fork_both(&copy, error);
    if (ok)
        watch(&copy);
    kill_half(&copy.source);
    reap_half(&copy.source, 0);
    reap_half(&copy.target, 0);
    for (guint i = 0; i < G_N_ELEMENTS(copy.lent); i++)
        duet_instance_give_back(&copy.lent[i]);
    ok = ok && judge(&copy, error);
    duet_fd_clear(&copy.signal_fd);
    duet_fd_clear(&copy.source.half.report_fd);
    duet_fd_clear(&copy.target.half.report_fd);
    sigprocmask(SIG_SETMASK, &copy.old_mask, NULL);
    g_free(copy.name);
    if (copy.ended_by)
        raise(copy.ended_by);
    return ok;
}
