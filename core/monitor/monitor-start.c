/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How an instance begins: its place on the host, its driver, and what the monitor does while that
 * is at work. */
#include "core/spec-limits.h"
#include "core/loop.h"
#include "monitor-private.h"
#include "core/saved.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static gboolean listen_on_socket(Monitor *monitor, GError **error)
{
    struct sockaddr_un address;
    duet_socket_address(monitor->dir_fd, &address);
    /* Of a monitor that was killed, if nobody cleaned up meanwhile: the lock is ours. */
    unlinkat(monitor->dir_fd, DUET_SOCKET, 0);
    monitor->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (monitor->listen_fd < 0 ||
        bind(monitor->listen_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        fchmodat(monitor->dir_fd, DUET_SOCKET, 0600, 0) < 0 || listen(monitor->listen_fd, 64) < 0)
        return duet_error_set_errno(
            error, errno, "cannot listen on a socket in '%s'", monitor->dir);
    return TRUE;
}

static void make_paths(Monitor *monitor)
{
    monitor->run_dir = duet_run_path(monitor->context, monitor->spec->id);
    monitor->saved_dir = g_build_filename(monitor->dir, DUET_SAVED, NULL);
    monitor->used_dir = g_build_filename(monitor->dir, DUET_SAVED_USED, NULL);
    monitor->save_path = g_build_filename(monitor->dir, DUET_SAVED_NEW, DUET_SAVED_MEMORY, NULL);
}

static gboolean make_place(Monitor *monitor, GError **error)
{
    DuetContext *context = monitor->context;
    const char *id = monitor->spec->id;
    gboolean first = !monitor->run_dir;
    DuetLimits limits = monitor_limits(monitor, monitor->spec);
    monitor->cgroup = duet_cgroup_plan(id, monitor->spec->name, &limits, error);
    if (!monitor->cgroup ||
        !duet_live_mark(context, id, duet_cgroup_path(monitor->cgroup), monitor->borrowed, error))
        return FALSE;
    /* What is below stays from one run to the next. */
    if (first)
        make_paths(monitor);
    /* The baseline is the host's root. */
    if (first && monitor->spec->kind != DUET_KIND_NATIVE &&
        !duet_ids_take(context, id, &monitor->ids_fd, &monitor->place.id_base, error))
        return FALSE;
    if (!duet_cgroup_make(monitor->cgroup, error))
        return FALSE;
    monitor->info->cgroup = g_strdup(duet_cgroup_path(monitor->cgroup));
    int joined = duet_cgroup_join(monitor->cgroup, DUET_CGROUP_MONITOR);
    return joined == 0 ||
        duet_error_set_errno(
            error, joined, "cannot join the cgroup '%s'", duet_cgroup_path(monitor->cgroup));
}

static void keep_private(Monitor *monitor, int fd, int other_fd)
{
    g_array_append_val(monitor->private_fds, fd);
    g_array_append_val(monitor->private_fds, other_fd);
    monitor->place.private_fds = (const int *)(gpointer)monitor->private_fds->data;
    monitor->place.n_private_fds = monitor->private_fds->len;
}

/* As DuetPlace.meanwhile: what stays from one run to the next, and neither driver nor agent needs
 * before they have something to say. */
static gboolean open_doors(gpointer data, GError **error)
{
    Monitor *monitor = data;
    gboolean goes_on = monitor->restored != NULL;
    if (!monitor->borrowed &&
        !duet_log_open(&monitor->log, monitor->dir_fd, monitor->spec, goes_on, error)) {
        g_prefix_error(error, "in '%s': ", monitor->dir);
        return FALSE;
    }
    if (!listen_on_socket(monitor, error))
        return FALSE;
    keep_private(monitor, monitor->listen_fd, monitor->log.fd);
    monitor->place.meanwhile = NULL;
    /* Else nobody serves yet: see serve(). */
    if (monitor->loop)
        monitor_clients_listen(monitor);
    return TRUE;
}

/* As DuetPlace.wait. No client is answered, so nothing more is asked of the driver; a signal's stop
 * waits. */
static int wait_alone(Monitor *monitor, int fd, int timeout_ms)
{
    gint64 deadline_us = g_get_monotonic_time() + timeout_ms * G_GINT64_CONSTANT(1000);
    struct pollfd fds[] = { { fd, POLLIN, 0 }, { monitor->signal_fd, POLLIN, 0 } };
    int polled;
    monitor->waiting = TRUE;
    do {
        gint64 left_ms = (deadline_us - g_get_monotonic_time()) / 1000;
        polled = left_ms > 0 ? poll(fds, 2, (int)left_ms) : 0;
        if (polled > 0 && fds[1].revents)
            monitor_read_signals(monitor);
    } while ((polled > 0 && !fds[0].revents) || (polled < 0 && errno == EINTR));
    monitor->waiting = FALSE;
    return polled < 0 ? -1 : polled > 0;
}

typedef enum { WAITING, READY, LATE } Wait;

static gboolean on_ready(int fd, GIOCondition condition, gpointer data)
{
    (void)fd;
    (void)condition;
    *(Wait *)data = READY;
    return G_SOURCE_CONTINUE;
}

static gboolean on_late(gpointer data)
{
    *(Wait *)data = LATE;
    return G_SOURCE_CONTINUE;
}

static int wait_serving(int fd, int timeout_ms)
{
    Wait wait = WAITING;
    guint ready =
        duet_loop_add_fd(fd, G_IO_IN | G_IO_HUP | G_IO_ERR, G_PRIORITY_DEFAULT, on_ready, &wait);
    guint late = duet_loop_add_timeout((guint)timeout_ms, on_late, &wait);
    while (wait == WAITING)
        duet_loop_step();
    duet_loop_remove(&ready);
    duet_loop_remove(&late);
    return wait == READY;
}

static int wait_readable(int fd, int timeout_ms, gpointer data)
{
    Monitor *monitor = data;
    return monitor->starting ? wait_serving(fd, timeout_ms) : wait_alone(monitor, fd, timeout_ms);
}

static void tell_notice(Monitor *monitor, const char *notice)
{
    for (guint i = 0; notice && i < monitor->clients->len; i++) {
        Client *client = monitor->clients->pdata[i];
        if (client->wants_started)
            duet_link_send(client->link, DUET_FRAME_NOTICE, 0, 0, notice, (guint32)strlen(notice));
    }
}

gboolean monitor_prepare(Monitor *monitor, GError **error)
{
    /* What was saved may have more vCPUs than a start would give it. */
    if (!monitor_saved_load(monitor, error) || !make_place(monitor, error))
        return FALSE;
    monitor->info->state = DUET_STATE_STARTING;
    monitor->info->monitor_pid = getpid();
    monitor_save_state(monitor);
    monitor->place = (DuetPlace){
        .instance_dir = monitor->dir,
        .run_dir = monitor->run_dir,
        .cgroup = monitor->cgroup,
        .id_base = monitor->place.id_base,
        .saved = monitor->place.saved,
        .saved_dir = monitor->saved_dir,
        .used_dir = monitor->used_dir,
        .save_path = monitor->save_path,
        .wait = wait_readable,
        .data = monitor,
    };
    keep_private(monitor, monitor->lock_fd, monitor->signal_fd);
    if (monitor->listen_fd >= 0)
        keep_private(monitor, monitor->listen_fd, monitor->log.fd);
    else if (!monitor->entry->module)
        monitor->place.meanwhile = open_doors;
    else if (!open_doors(monitor, error)) /* a worker closes them */
        return FALSE;
    monitor->runtime = duet_runtime_new(monitor->entry, monitor->spec, &monitor->place, error);
    return monitor->runtime != NULL;
}

gboolean monitor_bring_up(Monitor *monitor, GError **error)
{
    DuetStarted started = { .agent_fd = -1, .pidfd = -1 };
    if (monitor->asked_to_stop)
        return FALSE;
    monitor_agent_begin(monitor);
    if (monitor->info->restarts)
        monitor_attached_begin_run(monitor);
    monitor->starting = TRUE;
    gboolean ok = duet_runtime_start(monitor->runtime, &monitor->info->marks, &started, error);
    monitor->starting = FALSE;
    if (!ok)
        return FALSE;
    if (!duet_place_meanwhile(&monitor->place, error)) {
        duet_runtime_kill(monitor->runtime, NULL);
        monitor->pidfd = started.pidfd;
        close(started.agent_fd);
        return FALSE;
    }
    /* A driver that took other ids for a moment made the kernel forget it. */
    monitor_end_with_owner(monitor);
    monitor->info->pid = started.pid;
    monitor->vcpus_max = duet_vm_vcpus_max(monitor->spec);
    monitor->memory_max_bytes = duet_vm_memory_bytes(monitor->spec);
    monitor->info->facts = started.facts;
    monitor->pidfd = started.pidfd;
    monitor->boot_timeout_s = started.boot_timeout_s ? started.boot_timeout_s : DUET_BOOT_TIMEOUT_S;
    monitor_elsewhere_open(monitor, started.cgroup);
    if (monitor->info->restarts == 0)
        tell_notice(monitor, started.notice);
    g_free(started.notice);
    if (monitor->restored)
        monitor_restore_connected(monitor);
    duet_link_connect(monitor->agent, started.agent_fd);
    monitor_watch(monitor);
    if (monitor->helper_gone)
        monitor_helper_gone(monitor);
    /* A stop was asked for while the driver was at work. */
    if (monitor->asked_to_stop)
        monitor_shut_down(monitor, 0);
    return TRUE;
}
