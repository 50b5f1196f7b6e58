/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor: one small single-threaded process that owns one instance from start to exit. It is
 * the child subreaper of all below it, keeps the log, the marks and the exit status, serves the
 * instance's socket, and takes away everything at the end. If it is killed, the instance dies with
 * it (PDEATHSIG for a container's agent, the closed channel for a VM's), and the next duet command
 * finds its lock free and its marker in live/, and cleans up (context.c).
 */
#include "core/monitor-private.h"
#include "core/stray.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* What has no cgroup is killed child by child. */
#define STRAY_TIMEOUT_MS 5000
/* No status that wait() gives. */
#define NOT_REAPED (-1)

/* Whoever it was started for was killed, and nobody else knows of it. */
static gboolean is_orphan(const Monitor *monitor)
{
    return monitor->spec->owner_pid != 0 && getppid() != (pid_t)monitor->spec->owner_pid;
}

/* Whether nobody will ask for anything of it once it is over. */
static gboolean goes_at_exit(const Monitor *monitor)
{
    return (monitor->spec->remove_at_exit || is_orphan(monitor)) && !monitor->left_behind;
}

void monitor_save_state(Monitor *monitor)
{
    if (goes_at_exit(monitor))
        return;
    g_autofree char *text = duet_info_to_text(monitor->info);
    g_autoptr(GError) error = NULL;
    if (!duet_file_replace(monitor->dir_fd, "state", text, strlen(text), &error) &&
        !monitor->info->error)
        monitor->info->error = g_strdup(error->message);
}

/* ---- children ---- */

static gint64 rusage_ns(const struct rusage *usage)
{
    gint64 us = (gint64)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
        usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
    return us * 1000;
}

/* Nobody can manage the instance any more: it ends. */
static void on_helper_gone(Monitor *monitor)
{
    if (monitor->over || monitor->payload_gone)
        return;
    if (!monitor->failure)
        g_set_error(&monitor->failure, DUET_ERROR, DUET_ERROR_FAILED, "the %s driver's worker died",
            monitor->runtime->driver_name);
    monitor_kill_payload(monitor);
}

static void reap(Monitor *monitor)
{
    struct rusage usage;
    int status;
    pid_t pid;
    while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
        if (pid != monitor->info->pid) {
            monitor->info->managing_cpu_ns += rusage_ns(&usage);
        } else {
            monitor->wait_status = status;
            monitor->info->payload_cpu_ns =
                rusage_ns(&usage); /* where no cgroup has a better figure */
        }
        if (monitor->runtime && pid == monitor->runtime->helper_pid)
            on_helper_gone(monitor);
    }
}

static void read_signals(gpointer data)
{
    Monitor *monitor = data;
    struct signalfd_siginfo info;
    while (read(monitor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(monitor);
        else
            monitor_stop(monitor, is_orphan(monitor) ? 0 : 10000);
    }
}

static gboolean on_signal(int fd, GIOCondition condition, gpointer data)
{
    (void)fd;
    (void)condition;
    read_signals(data);
    return G_SOURCE_CONTINUE;
}

/* ---- starting ---- */

static gboolean listen_on_socket(Monitor *monitor, GError **error)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    g_autofree char *path = g_build_filename(monitor->run_dir, "sock", NULL);
    if (strlen(path) >= sizeof address.sun_path) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "'%s' is too long for a socket's path; set XDG_RUNTIME_DIR to a shorter one", path);
        return FALSE;
    }
    strcpy(address.sun_path, path);
    monitor->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (monitor->listen_fd < 0 ||
        bind(monitor->listen_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(path, 0600) < 0 || listen(monitor->listen_fd, 64) < 0)
        return duet_error_set_errno(error, errno, "cannot listen on '%s'", path);
    monitor_clients_listen(monitor);
    return TRUE;
}

/* What the kernel is told of the spec's limits. A VM's RAM is QEMU's: see vm-limits.h. A daemon
 * keeps them in a cgroup of its own. */
static DuetLimits cgroup_limits(const DuetSpec *spec)
{
    if (spec->connect)
        return (DuetLimits){ 0 };
    DuetLimits limits = {
        .memory_bytes = spec->memory_bytes, .cpus = spec->cpus, .pids = spec->pids_limit
    };
    if (spec->kind == DUET_KIND_VM) {
        limits.memory_bytes = duet_vm_memory_bytes(spec) + duet_vm_memory_allowance_bytes(spec);
        limits.pids = 0;
        limits.memory_is_guard = TRUE;
        limits.cpus_is_guard = spec->cpus == (double)duet_vm_vcpus(spec);
    }
    return limits;
}

static gboolean make_place(Monitor *monitor, GError **error)
{
    DuetContext *context = monitor->context;
    const char *id = monitor->spec->id;
    DuetLimits limits = cgroup_limits(monitor->spec);
    limits.pool = monitor->spec->pool;
    limits.pool_memory_bytes = monitor->spec->pool_memory_bytes;
    monitor->cgroup = duet_cgroup_plan(id, monitor->spec->name, &limits, error);
    if (!monitor->cgroup || !duet_live_mark(context, id, duet_cgroup_path(monitor->cgroup), error))
        return FALSE;
    monitor->run_dir = duet_run_path(context, id);
    if (mkdir(monitor->run_dir, 0711) < 0 && errno != EEXIST &&
        (!duet_mkdir_p(context->run_base, 0711, error) ||
            (mkdir(monitor->run_dir, 0711) < 0 && errno != EEXIST &&
                !duet_error_set_errno(
                    error, errno, "cannot make the directory '%s'", monitor->run_dir))))
        return FALSE;
    if (!duet_ids_take(context, id, &monitor->ids_fd, &monitor->place.id_base, error))
        return FALSE;
    if (!duet_cgroup_make(monitor->cgroup, error))
        return FALSE;
    monitor->info->cgroup = g_strdup(duet_cgroup_path(monitor->cgroup));
    int joined = duet_cgroup_join(monitor->cgroup, DUET_CGROUP_MONITOR);
    if (joined != 0)
        return duet_error_set_errno(
            error, joined, "cannot join the cgroup '%s'", duet_cgroup_path(monitor->cgroup));
    monitor->log_fd = openat(monitor->dir_fd, "log", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (monitor->log_fd < 0)
        return duet_error_set_errno(error, errno, "cannot create the log in '%s'", monitor->dir);
    return listen_on_socket(monitor, error);
}

static void tell_notice(Monitor *monitor, const char *notice)
{
    for (guint i = 0; notice && i < monitor->clients->len; i++) {
        Client *client = monitor->clients->pdata[i];
        duet_link_send(client->link, DUET_FRAME_NOTICE, 0, 0, notice, (guint32)strlen(notice));
    }
}

static void end_with_owner(const Monitor *monitor)
{
    if (monitor->spec->owner_pid != 0)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* It may have died before that. */
    if (is_orphan(monitor))
        raise(SIGTERM);
}

static gboolean bring_up(Monitor *monitor, GError **error)
{
    DuetStarted started = { .agent_fd = -1, .pidfd = -1 };
    monitor->info->state = DUET_STATE_STARTING;
    monitor->info->monitor_pid = getpid();
    monitor_save_state(monitor);
    monitor->private_fds[0] = monitor->lock_fd;
    monitor->private_fds[1] = monitor->listen_fd;
    monitor->private_fds[2] = monitor->log_fd;
    monitor->private_fds[3] = monitor->signal_fd;
    monitor->place.instance_dir = monitor->dir;
    monitor->place.run_dir = monitor->run_dir;
    monitor->place.cgroup = monitor->cgroup;
    monitor->place.child_fd = monitor->signal_fd;
    monitor->place.on_child = read_signals;
    monitor->place.on_child_data = monitor;
    monitor->place.private_fds = monitor->private_fds;
    monitor->place.n_private_fds = G_N_ELEMENTS(monitor->private_fds);
    monitor->runtime = duet_runtime_new(monitor->entry, monitor->spec, &monitor->place, error);
    if (!monitor->runtime ||
        !duet_runtime_start(monitor->runtime, &monitor->info->marks, &started, error))
        return FALSE;
    /* A driver that took other ids for a moment made the kernel forget it. */
    end_with_owner(monitor);
    monitor->info->pid = started.pid;
    monitor->info->facts = started.facts;
    monitor->pidfd = started.pidfd;
    monitor->boot_timeout_s = started.boot_timeout_s ? started.boot_timeout_s : DUET_BOOT_TIMEOUT_S;
    monitor_elsewhere_open(monitor, started.cgroup);
    tell_notice(monitor, started.notice);
    g_free(started.notice);
    monitor_agent_attach(monitor, started.agent_fd);
    monitor_agent_begin(monitor);
    monitor_watch(monitor);
    /* A signal to us came while the driver was at work. */
    if (monitor->asked_to_stop)
        monitor_shut_down(monitor, 0);
    return TRUE;
}

/* ---- the end ---- */

/* A guest whose kernel panics takes its agent along: only its console tells why it ended. */
static void tell_panic(Monitor *monitor)
{
    static const char panic[] = "Kernel panic";

    if (monitor->exit_known || monitor->failure || monitor->asked_to_stop || !monitor->runtime)
        return;
    g_autofree char *tail = duet_runtime_console_tail(monitor->runtime);
    const char *line = tail ? strstr(tail, panic) : NULL;
    if (line)
        monitor->info->error =
            g_strdup_printf("the guest's kernel panicked: '%.*s'", (int)strcspn(line, "\n"), line);
}

/* How QEMU, or the container's agent, ended: of a guest that died without a word nothing else
 * tells. */
static char *process_end(const Monitor *monitor)
{
    int status = monitor->wait_status;
    if (status == NOT_REAPED)
        return g_strdup("");
    return WIFSIGNALED(status)
        ? g_strdup_printf(" (its process was killed by signal %d)", WTERMSIG(status))
        : g_strdup_printf(" (its process ended by itself, with exit code %d)", WEXITSTATUS(status));
}

static void judge_exit(Monitor *monitor)
{
    DuetInfo *info = monitor->info;
    if (!monitor->failure && !monitor->started && !monitor->asked_to_stop) {
        g_autofree char *end = process_end(monitor);
        g_set_error(&monitor->failure, DUET_ERROR, DUET_ERROR_BOOT,
            "the instance ended before its payload could be started%s", end);
    }
    if (g_error_matches(monitor->failure, DUET_ERROR, DUET_ERROR_BOOT) && monitor->runtime) {
        g_autofree char *tail = duet_runtime_console_tail(monitor->runtime);
        if (tail) {
            g_autofree char *message = g_strdup_printf(
                "%s; its console's last lines:\n%s", monitor->failure->message, tail);
            g_clear_error(&monitor->failure);
            g_set_error_literal(&monitor->failure, DUET_ERROR, DUET_ERROR_BOOT, message);
        }
    }
    tell_panic(monitor);
    if (!monitor->exit_known) {
        info->exit_code = monitor->failure ? duet_error_exit_code(monitor->failure) : 128 + SIGKILL;
        info->exit_signal = monitor->failure ? 0 : SIGKILL;
    }
    if (monitor->failure && !info->error)
        info->error = g_strdup(monitor->failure->message);
}

static void take_usage(Monitor *monitor)
{
    DuetCgroupUsage usage = { 0 }, managing = { 0 };
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    if (monitor->cgroup && !monitor->spec->connect) {
        duet_cgroup_usage(monitor->cgroup, DUET_CGROUP_PAYLOAD,
            DUET_CGROUP_WANT_CPU | DUET_CGROUP_WANT_PEAK, &usage);
        if (usage.cpu_ns)
            monitor->info->payload_cpu_ns = (gint64)usage.cpu_ns;
        monitor->info->peak_memory_bytes = usage.memory_peak_bytes;
        monitor->info->oom = usage.oom_kills > 0;
    }
    monitor->info->managing_cpu_ns += rusage_ns(&own);
    /* The worker may not have been reaped yet; its cgroup knows what it used. */
    if (monitor->cgroup)
        duet_cgroup_usage(monitor->cgroup, DUET_CGROUP_MONITOR, DUET_CGROUP_WANT_CPU, &managing);
    monitor->info->managing_cpu_ns = MAX(monitor->info->managing_cpu_ns, (gint64)managing.cpu_ns);
}

/* As a rule there is the socket alone; listing directories is for what a driver left. */
static void remove_run_dir(const char *run_dir)
{
    g_autofree char *socket_path = g_build_filename(run_dir, "sock", NULL);
    unlink(socket_path);
    if (rmdir(run_dir) < 0 && errno != ENOENT)
        duet_remove_tree(AT_FDCWD, run_dir, NULL);
}

static void release_all(Monitor *monitor)
{
    reap(monitor);
    if (monitor->runtime)
        monitor_release_runtime(monitor);
    reap(monitor);
    if (monitor->cgroup && !duet_cgroup_tracks(monitor->cgroup, DUET_CGROUP_PAYLOAD))
        duet_stray_kill_children(STRAY_TIMEOUT_MS);
    take_usage(monitor);
    if (monitor->cgroup) {
        g_autoptr(GError) error = NULL;
        if (!duet_cgroup_remove(monitor->cgroup, NULL)) {
            duet_cgroup_kill(monitor->cgroup, DUET_CGROUP_PAYLOAD, 5000, NULL);
            reap(monitor);
            if (!duet_cgroup_remove(monitor->cgroup, &error)) {
                monitor->left_behind = TRUE;
                if (!monitor->info->error)
                    monitor->info->error = g_strdup(error->message);
            }
        }
    }
    g_clear_handle_id(&monitor->listen_source, g_source_remove);
    duet_fd_clear(&monitor->listen_fd);
    if (monitor->run_dir)
        remove_run_dir(monitor->run_dir);
    duet_fd_clear(&monitor->ids_fd);
}

static gboolean all_flushed(Monitor *monitor)
{
    for (guint i = 0; i < monitor->clients->len; i++)
        if (!duet_link_flushed(((Client *)monitor->clients->pdata[i])->link))
            return FALSE;
    return TRUE;
}

static G_NORETURN void finish(Monitor *monitor)
{
    DuetInfo *info = monitor->info;
    judge_exit(monitor);
    release_all(monitor);
    info->state = DUET_STATE_EXITED;
    info->pid = info->monitor_pid = 0;
    info->exited_us = g_get_real_time();
    duet_marks_set(&info->marks, DUET_MARK_EXITED);
    gboolean remove = goes_at_exit(monitor);
    if (remove)
        duet_instance_discard(monitor->context, monitor->spec, NULL);
    duet_marks_set(&info->marks, DUET_MARK_RELEASED);
    monitor_save_state(monitor);
    if (!monitor->left_behind)
        duet_live_unmark(monitor->context, monitor->spec->id);
    duet_fd_clear(&monitor->lock_fd);
    monitor_clients_tell_released(monitor);
    /* Who reads slowly still gets all of it; it holds nothing but this process. */
    while (!all_flushed(monitor))
        g_main_context_iteration(NULL, TRUE);
    if (remove) {
        g_autofree char *trash = g_strconcat("trash/", monitor->spec->id, NULL);
        duet_remove_tree(monitor->context->root_fd, trash, NULL);
    }
    _exit(0);
}

static const DuetDriverEntry *find_driver(DuetContext *context, DuetKind kind, GError **error)
{
    for (const DuetDriverEntry *entry = context->drivers; entry->ops || entry->module; entry++)
        if (entry->kind == kind)
            return entry;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "this duet has no driver for the kind '%s'", duet_kind_to_string(kind));
    return NULL;
}

static void become_monitor(Monitor *monitor)
{
    setsid();
    umask(022);
    prctl(PR_SET_NAME, "duet-monitor");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigprocmask(SIG_SETMASK, &watched, NULL);
    monitor->signal_fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    end_with_owner(monitor);
    g_unix_fd_add(monitor->signal_fd, G_IO_IN, on_signal, monitor);
    DUET_AUTO_FD null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null_fd, fd);
}

G_NORETURN void duet_monitor_main(const DuetMonitorArgs *args)
{
    DuetInstance *instance = args->instance;
    Monitor *monitor = g_new0(Monitor, 1);
    monitor->context = instance->context;
    monitor->spec = instance->spec;
    monitor->dir = duet_instance_path(instance->context, instance->spec->id);
    monitor->dir_fd = instance->dir_fd;
    monitor->lock_fd = instance->lock_fd;
    monitor->ids_fd = monitor->listen_fd = monitor->log_fd = monitor->pidfd = -1;
    for (guint i = 0; i < G_N_ELEMENTS(monitor->private_fds); i++)
        monitor->private_fds[i] = -1;
    monitor->wait_status = NOT_REAPED;
    monitor->private_fds[4] = args->client_fd;
    monitor->loop = g_main_loop_new(NULL, FALSE);
    monitor->clients = g_ptr_array_new_with_free_func(g_free);
    /* Its spec is the monitor's: a copy would stand in the way of the start. */
    monitor->info = duet_info_new(NULL);
    monitor->info->created_us = g_get_real_time();
    monitor->info->marks.ns[DUET_MARK_REQUEST] = args->request_ns;
    become_monitor(monitor);

    Client *client = monitor_client_add(monitor, args->client_fd);
    client->wants_started = client->wants_released = TRUE;
    if (args->attach) {
        client->session = 0;
        monitor->sessions[0] = client;
    }
    monitor->entry = find_driver(monitor->context, monitor->spec->kind, &monitor->failure);
    if (monitor->entry && make_place(monitor, &monitor->failure) &&
        bring_up(monitor, &monitor->failure))
        g_main_loop_run(monitor->loop);
    finish(monitor);
}
