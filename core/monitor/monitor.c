/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The monitor: one small single-threaded process that owns one instance from start to exit. It is
 * the child subreaper of all below it, keeps the log, the marks and the exit status, serves the
 * instance's socket, and takes away everything at the end. If it is killed, the instance dies with
 * it (PDEATHSIG for a container's agent, the closed channel for a VM's), and the next duet command
 * finds its lock free and its marker in live/, and cleans up (context.c).
 */
#include "core/loop.h"
#include "monitor-private.h"
#include "core/saved.h"
#include "core/cgroup/scope.h"
#include "core/stray.h"

#include <duet/error.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is in no cgroup of the payload's (a worker's helper, an ordinary user's QEMU) is killed
 * child by child. */
#define STRAY_TIMEOUT_MS 5000
#define LONG_RUN_US (G_USEC_PER_SEC / 4)
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
    if (goes_at_exit(monitor) || monitor->borrowed)
        return;
    g_autofree char *text = duet_info_to_text(monitor->info);
    g_autoptr(GError) error = NULL;
    if (!duet_file_replace_private(monitor->dir_fd, "state", text, strlen(text), &error) &&
        !monitor->info->error)
        monitor->info->error = g_strdup(error->message);
}

void monitor_tell_event(Monitor *monitor, DuetEventType type, GVariant *attributes)
{
    g_autoptr(GVariant) owned = attributes ? g_variant_ref_sink(attributes) : NULL;
    g_autoptr(GString) text = g_string_sized_new(512);
    if (monitor->borrowed)
        return;
    duet_event_add(text, type, monitor->spec, owned);
    duet_event_write(monitor->context, text);
}

void monitor_tell_start(Monitor *monitor, DuetEventType type)
{
    const DuetSpec *spec = monitor->spec;
    g_autoptr(GString) text = g_string_sized_new(1024);
    if (monitor->borrowed)
        return;
    monitor->ready = !monitor->info->health && (!spec->disk_image || spec->wait);
    duet_event_add(text, type, spec, NULL);
    if (monitor->ready)
        duet_event_add(text, DUET_EVENT_READY, spec, NULL);
    duet_event_write(monitor->context, text);
}

void monitor_tell_ready(Monitor *monitor)
{
    if (!monitor->ready)
        monitor_tell_event(monitor, DUET_EVENT_READY, NULL);
    monitor->ready = TRUE;
}

void monitor_tell_end(Monitor *monitor, gboolean removed)
{
    g_autoptr(GString) text = g_string_sized_new(1024);
    if (monitor->borrowed)
        return;
    if (!monitor->end_told && monitor->saved)
        duet_event_add(text, DUET_EVENT_SAVE, monitor->spec, NULL);
    else if (!monitor->end_told && monitor->info->state != DUET_STATE_SAVED)
        duet_event_add_died(text, monitor->spec, monitor->info);
    monitor->end_told = TRUE;
    if (removed)
        duet_event_add(text, DUET_EVENT_REMOVE, monitor->spec, NULL);
    duet_event_write(monitor->context, text);
}

/* ---- children ---- */

static gint64 rusage_ns(const struct rusage *usage)
{
    gint64 us = (gint64)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000 +
        usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
    return us * 1000;
}

void monitor_helper_gone(Monitor *monitor)
{
    monitor->helper_gone = TRUE;
    /* Who waits for its answer to the start is told by that. */
    if (monitor->over || monitor->payload_gone || !monitor->info->pid)
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
            monitor_helper_gone(monitor);
    }
}

void monitor_read_signals(Monitor *monitor)
{
    struct signalfd_siginfo info;
    while (read(monitor->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGCHLD)
            reap(monitor);
        else if (info.ssi_signo == DUET_LOOK_SIGNAL)
            monitor_pause_look(monitor);
        else if (info.ssi_signo == DUET_AGAIN_SIGNAL)
            monitor_end_for_another(monitor, STOP_GRACE_MS);
        else
            monitor_stop(monitor, is_orphan(monitor) ? 0 : STOP_GRACE_MS);
    }
}

static gboolean on_signal(int fd, GIOCondition condition, gpointer data)
{
    (void)fd;
    (void)condition;
    monitor_read_signals(data);
    return G_SOURCE_CONTINUE;
}

void monitor_end_with_owner(const Monitor *monitor)
{
    if (monitor->spec->owner_pid != 0)
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    /* It may have died before that. */
    if (is_orphan(monitor))
        raise(SIGTERM);
}

/* ---- the end ---- */

/* A guest's machine that ends takes its agent along: only its driver, and its console, tell why. */
static void tell_panic(Monitor *monitor, const char *line, gsize length)
{
    g_auto(GVariantDict) attributes = G_VARIANT_DICT_INIT(NULL);
    g_autofree char *said = length ? duet_event_text(line, length) : g_strdup("");
    g_free(monitor->info->error);
    monitor->info->error = length
        ? g_strdup_printf("the guest's kernel panicked: '%.*s'", (int)length, line)
        : g_strdup("the guest's kernel panicked");
    g_variant_dict_insert(&attributes, "message", "s", said);
    monitor_tell_event(monitor, DUET_EVENT_PANIC, g_variant_dict_end(&attributes));
}

/* Whoever has a machine switched off from inside got what was wanted; a reboot is another run, if
 * there may be one, and a reset is one that was asked for, as by `duet restart`. */
static void take_machine_end(Monitor *monitor, DuetEnd end)
{
    DuetInfo *info = monitor->info;
    if (end == DUET_END_POWER_OFF) {
        info->exit_code = info->exit_signal = 0;
        monitor->exit_known = TRUE;
    } else if (end == DUET_END_RESET) {
        monitor->again = TRUE;
    } else if (end == DUET_END_REBOOT) {
        monitor->again = monitor_has_policy(monitor);
        if (!monitor->again && !info->error)
            info->error =
                g_strdup("the guest rebooted, with which a VM ends that has no --restart");
    }
}

static gboolean is_unexplained(const Monitor *monitor)
{
    return !monitor->exit_known && !monitor->failure && !monitor->asked_to_stop && monitor->runtime;
}

static void judge_machine(Monitor *monitor, DuetEnd end)
{
    static const char panic[] = "Kernel panic";

    if (!is_unexplained(monitor))
        return;
    g_autofree char *tail = duet_runtime_console_tail(monitor->runtime);
    const char *line = tail ? strstr(tail, panic) : NULL;
    /* A payload may write to the console whatever it likes; no panic switches a machine off, or has
     * somebody else reset it. */
    if (end == DUET_END_PANIC || (line && end != DUET_END_POWER_OFF && end != DUET_END_RESET))
        tell_panic(monitor, line, line ? strcspn(line, "\n") : 0);
    else
        take_machine_end(monitor, end);
}

/* How QEMU, or the container's agent, ended: of a guest that died without a word nothing else
 * tells. */
static char *process_end(const Monitor *monitor)
{
    int status = monitor->wait_status;
    DuetCgroupUsage usage = { 0 };
    duet_cgroup_usage(monitor->cgroup, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_PEAK, &usage);
    if (usage.oom_kills > 0)
        return g_strdup(" (it ran out of memory: give it more with --memory)");
    if (status == NOT_REAPED)
        return g_strdup("");
    return WIFSIGNALED(status)
        ? g_strdup_printf(" (its process was killed by signal %d)", WTERMSIG(status))
        : g_strdup_printf(" (its process ended by itself, with exit code %d)", WEXITSTATUS(status));
}

static void judge_exit(Monitor *monitor)
{
    DuetInfo *info = monitor->info;
    DuetEnd machine_end = is_unexplained(monitor)
        ? duet_runtime_how_ended(monitor->runtime, &monitor->failure)
        : DUET_END_UNKNOWN;
    /* Whoever resets a machine that boots has it boot anew. */
    if (!monitor->failure && !monitor->started && !monitor->asked_to_stop &&
        machine_end != DUET_END_RESET) {
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
    judge_machine(monitor, machine_end);
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

static void release_run(Monitor *monitor)
{
    reap(monitor);
    if (monitor->runtime)
        monitor_release_runtime(monitor);
    reap(monitor);
    duet_stray_kill_children(STRAY_TIMEOUT_MS);
    take_usage(monitor);
    if (monitor->cgroup) {
        g_autoptr(GError) error = NULL;
        /* What a short run left there the next one uses again. */
        if (g_get_real_time() - monitor->info->started_us >= LONG_RUN_US)
            duet_cgroup_drop_cache(monitor->cgroup, DUET_CGROUP_MONITOR);
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
    if (monitor->run_dir && access(monitor->run_dir, F_OK) == 0)
        duet_remove_tree(AT_FDCWD, monitor->run_dir, NULL);
}

static void end_run(Monitor *monitor)
{
    monitor_health_end(monitor);
    if (!monitor->saved)
        judge_exit(monitor);
    release_run(monitor);
    monitor->info->pid = 0;
    monitor->info->exited_us = g_get_real_time();
    duet_marks_set(&monitor->info->marks, DUET_MARK_EXITED);
}

/* What the instance is to others. */
static void release_place(Monitor *monitor)
{
    duet_loop_remove(&monitor->listen_source);
    duet_fd_clear(&monitor->listen_fd);
    unlinkat(monitor->dir_fd, DUET_SOCKET, 0);
    duet_fd_clear(&monitor->ids_fd);
}

static gboolean all_flushed(Monitor *monitor)
{
    for (guint i = 0; i < monitor->clients->len; i++)
        if (!duet_link_flushed(((Client *)monitor->clients->pdata[i])->link))
            return FALSE;
    return TRUE;
}

/* Also if it could not be restored: it is as it was before. */
static void settle_saved(Monitor *monitor)
{
    if (duet_saved_is_there(monitor->dir_fd)) {
        monitor->info->state = DUET_STATE_SAVED;
        monitor->info->exit_code = -1;
    }
    monitor->left_behind |= !duet_saved_tidy(monitor->dir_fd);
}

static G_NORETURN void finish(Monitor *monitor)
{
    DuetInfo *info = monitor->info;
    release_place(monitor);
    info->state = DUET_STATE_EXITED;
    info->monitor_pid = 0;
    if (monitor_can_be_saved(monitor))
        settle_saved(monitor);
    gboolean remove = goes_at_exit(monitor);
    gboolean removed = remove && duet_instance_discard(monitor->context, monitor->spec, NULL);
    monitor->left_behind |= remove && !removed;
    duet_marks_set(&info->marks, DUET_MARK_RELEASED);
    monitor_save_state(monitor);
    monitor_tell_end(monitor, removed);
    if (!monitor->left_behind)
        duet_live_unmark(monitor->context, monitor->spec->id);
    duet_fd_clear(&monitor->lock_fd);
    monitor_clients_tell_released(monitor);
    /* Who reads slowly still gets all of it; it holds nothing but this process. */
    while (!all_flushed(monitor))
        duet_loop_step();
    if (remove) {
        g_autofree char *trash = g_strconcat("trash/", monitor->spec->id, NULL);
        duet_remove_tree(monitor->context->root_fd, trash, NULL);
    }
    _exit(0);
}

static const DuetDriverEntry *find_driver(DuetContext *context, DuetKind kind, GError **error)
{
    const DuetDriverEntry *entry = duet_driver_find(context->drivers, kind);
    if (!entry)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "this duet has no driver for the kind '%s'", duet_kind_to_string(kind));
    return entry;
}

static char *words;
static gsize words_size;
static GArray *callers_fds;

static void set_words(char **argv)
{
    char **last = argv;
    while (*last && last[1])
        last++;
    words = argv[0];
    /* They lie one behind the other. */
    words_size = words ? (gsize)(*last - words) + strlen(*last) + 1 : 0;
}

void duet_monitor_set_caller(char **argv)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    set_words(argv);
    callers_fds = g_array_new(FALSE, FALSE, sizeof(int));
    while (dir && (entry = readdir(dir))) {
        int fd = atoi(entry->d_name);
        if (fd > STDERR_FILENO && fd != dirfd(dir))
            g_array_append_val(callers_fds, fd);
    }
    if (dir)
        closedir(dir);
}

void monitor_show_name(const Monitor *monitor)
{
    if (!words)
        return;
    memset(words, 0, words_size);
    g_snprintf(words, words_size, "duet-monitor %s", monitor->spec->name);
}

/* What the caller had open, a lock or a pipe, must not stay open for as long as the instance lives.
 * All that is ours is closed by an exec, and so can be told from it. */
static void close_callers(void)
{
    for (guint i = 0; callers_fds && i < callers_fds->len; i++) {
        int fd = g_array_index(callers_fds, int, i);
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && !(flags & FD_CLOEXEC))
            close(fd);
    }
}

static void become_monitor(Monitor *monitor)
{
    setsid();
    monitor_show_name(monitor);
    close_callers();
    (void)!chdir("/");
    umask(022);
    prctl(PR_SET_NAME, "duet-monitor");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_IGN);
    sigset_t watched;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, DUET_LOOK_SIGNAL);
    sigaddset(&watched, DUET_AGAIN_SIGNAL);
    /* Some may have come before this was a session of its own. */
    static const int ending[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };
    for (guint i = 0; i < G_N_ELEMENTS(ending); i++)
        sigaddset(&watched, ending[i]);
    sigaddset(&watched, DUET_SCOPE_STOP_SIGNAL);
    sigprocmask(SIG_SETMASK, &watched, NULL);
    monitor->signal_fd = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    monitor_end_with_owner(monitor);
    DUET_AUTO_FD null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = 0; fd <= 2; fd++)
        dup2(null_fd, fd);
}

/* Not before the driver has forked its worker, which has a main loop of its own and must not get
 * ours: no source, and no descriptor that wakes it, before that. */
static void serve(Monitor *monitor, const DuetMonitorArgs *args)
{
    if (monitor_may_restart(monitor))
        g_main_context_push_thread_default(g_main_context_new());
    monitor->loop = g_main_loop_new(g_main_context_get_thread_default(), FALSE);
    duet_loop_add_fd(monitor->signal_fd, G_IO_IN, G_PRIORITY_DEFAULT, on_signal, monitor);
    Client *client = monitor_client_add(monitor, args->client_fd);
    client->wants_started = client->wants_released = TRUE;
    client->lends = monitor->borrowed;
    if (args->attach)
        monitor_attach(client, TRUE);
    if (monitor->listen_fd >= 0)
        monitor_clients_listen(monitor);
}

/* It is there afterwards: what ends it, or takes it away, is not for this time. */
static void lend(DuetSpec *spec)
{
    spec->remove_at_exit = FALSE;
    spec->owner_pid = 0;
    spec->timeout_ms = 0;
    spec->idle = TRUE;
    spec->open_stdin = spec->tty = FALSE;
    spec->restart = DUET_RESTART_NO;
    g_clear_pointer(&spec->health.test, g_strfreev);
}

G_NORETURN void duet_monitor_main(const DuetMonitorArgs *args)
{
    DuetInstance *instance = args->instance;
    Monitor *monitor = g_new0(Monitor, 1);
    monitor->context = instance->context;
    if (args->borrowed)
        lend(instance->spec);
    monitor->spec = instance->spec;
    monitor->dir = duet_instance_path(instance->context, instance->spec->id);
    monitor->dir_fd = instance->dir_fd;
    monitor->lock_fd = instance->lock_fd;
    monitor->ids_fd = monitor->listen_fd = monitor->log.fd = monitor->pidfd = -1;
    monitor->private_fds = g_array_new(FALSE, FALSE, sizeof(int));
    g_array_append_val(monitor->private_fds, args->client_fd);
    monitor->wait_status = NOT_REAPED;
    monitor->borrowed = args->borrowed;
    monitor->window = args->window;
    monitor->clients = g_ptr_array_new_with_free_func(g_free);
    /* Its spec is the monitor's: a copy would stand in the way of the start. */
    monitor->info = duet_info_new(NULL);
    monitor->info->created_us = g_get_real_time();
    monitor->info->marks.ns[DUET_MARK_REQUEST] = args->request_ns;
    become_monitor(monitor);

    monitor->entry = find_driver(monitor->context, monitor->spec->kind, &monitor->failure);
    gboolean ok = monitor->entry && monitor_prepare(monitor, &monitor->failure);
    serve(monitor, args);
    for (;;) {
        if (ok && monitor_bring_up(monitor, &monitor->failure))
            g_main_loop_run(monitor->loop);
        else if (monitor->asked_to_stop)
            /* What was given up because of that is no failure. */
            g_clear_error(&monitor->failure);
        end_run(monitor);
        if (!monitor_rest(monitor))
            finish(monitor);
        ok = monitor_prepare_again(monitor, &monitor->failure);
    }
}
