/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How an instance is brought to its end: what asks for it, and the steps from a polite signal to
 * SIGKILL, each with a time. */
#include "core/loop.h"
#include "monitor-private.h"
#include "core/stray.h"

#include <duet/error.h>

#include <signal.h>
#include <sys/pidfd.h>

/* How long a driver that is at work on the start may go on with it after a stop was asked for. */
#define START_PATIENCE_MS 5000

/* What a grace is followed by: the time to end everything. */
#define SHUT_DOWN_MS 3000

/* By whatever leads to it: the cgroup, the process that stands for it (a daemon's QEMU is in no
 * cgroup of ours), the lock that it holds. */
void monitor_kill_payload(Monitor *monitor)
{
    duet_cgroup_kill(monitor->cgroup, DUET_CGROUP_PAYLOAD, 1000, NULL);
    if (!monitor->spec->connect && duet_cgroup_tracks(monitor->cgroup, DUET_CGROUP_PAYLOAD))
        return;
    if (monitor->pidfd >= 0)
        pidfd_send_signal(monitor->pidfd, SIGKILL, NULL, 0);
    else
        duet_stray_kill_holder(monitor->run_dir);
}

static gboolean on_last_resort(gpointer data)
{
    monitor_kill_payload(data);
    return G_SOURCE_CONTINUE;
}

/* A later end that is asked for puts off none that is under way. */
static gboolean is_sooner(Monitor *monitor, guint ms)
{
    gint64 due_us = g_get_monotonic_time() + ms * G_GINT64_CONSTANT(1000);
    if (monitor->stop_timer && monitor->kill_due_us <= due_us)
        return FALSE;
    duet_loop_remove(&monitor->stop_timer);
    monitor->kill_due_us = due_us;
    return TRUE;
}

static void kill_now(Monitor *monitor)
{
    duet_loop_remove(&monitor->stop_timer);
    monitor->kill_due_us = 0;
    monitor->stop_timer = duet_loop_add_timeout(2000, on_last_resort, monitor);
    /* A driver in a worker may wait for a daemon that hangs. */
    if (monitor->runtime->helper_pid > 0 && monitor->pidfd >= 0)
        pidfd_send_signal(monitor->pidfd, SIGKILL, NULL, 0);
    else
        duet_runtime_kill(monitor->runtime, NULL);
}

static gboolean on_patience_over(gpointer data)
{
    Monitor *monitor = data;
    monitor->stop_timer = 0;
    /* Its payload ended well, but what that wrote may still have been on its way to the disk. */
    if (monitor->exit_known && monitor->spec->kind == DUET_KIND_VM && !monitor->info->error)
        monitor->info->error = g_strdup("its guest did not power off in time and was killed: what "
                                        "was written last may be lost");
    kill_now(monitor);
    return G_SOURCE_REMOVE;
}

/* Before the agent is told anything. */
static void give_up_save(Monitor *monitor)
{
    g_autoptr(GError) why = g_error_new_literal(
        DUET_ERROR, DUET_ERROR_STATE, "it was stopped, or ended, before it was saved");
    monitor_save_cancel(monitor, why);
}

void monitor_shut_down(Monitor *monitor, guint patience_ms)
{
    if (monitor->over || !monitor->runtime || monitor->starting)
        return;
    give_up_save(monitor);
    monitor->stopping = TRUE;
    monitor_elsewhere_sample(monitor);
    if (monitor->info->state == DUET_STATE_PAUSED)
        duet_runtime_resume(monitor->runtime, NULL);
    if (monitor->agent)
        duet_link_send(monitor->agent, DUET_FRAME_SHUTDOWN, 0, 0, NULL, 0);
    /* An agent that never spoke won't listen. Where its channel is closed, its process is at its
     * end, which is to be told as it is, not as our kill. */
    if (patience_ms == 0 || (monitor->agent && !monitor->hello))
        kill_now(monitor);
    else if (is_sooner(monitor, patience_ms))
        monitor->stop_timer = duet_loop_add_timeout(patience_ms, on_patience_over, monitor);
}

static gboolean on_grace_over(gpointer data)
{
    Monitor *monitor = data;
    monitor->stop_timer = 0;
    monitor_shut_down(monitor, SHUT_DOWN_MS);
    return G_SOURCE_REMOVE;
}

/* It may be fetching a kernel. Its death answers for it, and what it began is cleaned up. */
static gboolean on_start_too_long(gpointer data)
{
    Monitor *monitor = data;
    monitor->stop_timer = 0;
    if (monitor->starting && monitor->runtime->helper_pid > 0)
        kill(monitor->runtime->helper_pid, SIGKILL);
    return G_SOURCE_REMOVE;
}

static gboolean on_deferred_stop(gpointer data)
{
    Monitor *monitor = data;
    monitor_stop(monitor, monitor->deferred_grace_ms);
    return G_SOURCE_REMOVE;
}

void monitor_stop(Monitor *monitor, guint grace_ms)
{
    monitor->asked_to_stop = monitor->for_good = TRUE;
    monitor_end_payload(monitor, grace_ms);
}

void monitor_end_payload(Monitor *monitor, guint grace_ms)
{
    duet_marks_set(&monitor->info->marks, DUET_MARK_STOP);
    if (monitor->over || monitor->resting || (monitor->payload_gone && grace_ms != 0))
        return;
    if (monitor->waiting) {
        monitor->deferred_grace_ms = grace_ms;
        duet_loop_add_idle(on_deferred_stop, monitor);
        return;
    }
    if (monitor->starting) {
        if (!monitor->stop_timer)
            monitor->stop_timer =
                duet_loop_add_timeout(START_PATIENCE_MS, on_start_too_long, monitor);
        /* It ends the driver's work alone. */
        monitor->kill_due_us = G_MAXINT64;
        return;
    }
    if (!monitor->started || grace_ms == 0) {
        monitor_shut_down(monitor, SHUT_DOWN_MS);
        return;
    }
    if (monitor->info->state == DUET_STATE_PAUSED)
        monitor_pause(monitor, FALSE, NULL);
    give_up_save(monitor);
    if (monitor->agent)
        duet_link_send_u32(
            monitor->agent, DUET_FRAME_SIGNAL, 0, 0, (guint32)monitor->spec->stop_signal);
    if (is_sooner(monitor, grace_ms + SHUT_DOWN_MS))
        monitor->stop_timer = duet_loop_add_timeout(grace_ms, on_grace_over, monitor);
}

void monitor_end_for_another(Monitor *monitor, guint grace_ms)
{
    monitor->again = TRUE;
    monitor_end_payload(monitor, grace_ms);
}

static gboolean on_run_timeout(gpointer data)
{
    Monitor *monitor = data;
    monitor->run_timer = 0;
    g_free(monitor->info->error);
    monitor->info->error = g_strdup_printf("timed out: it %s %g s and was killed",
        monitor->started ? "ran for more than" : "had not started after",
        (double)monitor->spec->timeout_ms / 1000);
    monitor->asked_to_stop |= !monitor->started;
    monitor_shut_down(monitor, 2000);
    return G_SOURCE_REMOVE;
}

static gboolean on_boot_timeout(gpointer data)
{
    Monitor *monitor = data;
    monitor->boot_timer = 0;
    if (!monitor->failure)
        g_set_error(&monitor->failure, DUET_ERROR, DUET_ERROR_BOOT,
            "it did not come up within %u s%s", monitor->boot_timeout_s,
            monitor->spec->disk_image && monitor->spec->mounts->len
                ? ": its guest agent, which mounts its folders, has to answer (package "
                  "qemu-guest-agent)"
                : "");
    monitor_shut_down(monitor, 0);
    return G_SOURCE_REMOVE;
}

static gboolean on_quit(gpointer data)
{
    Monitor *monitor = data;
    monitor->quit_timer = 0;
    g_main_loop_quit(monitor->loop);
    return G_SOURCE_REMOVE;
}

static gboolean on_over(int fd, GIOCondition condition, gpointer data)
{
    Monitor *monitor = data;
    (void)fd;
    (void)condition;
    monitor->over_source = 0;
    duet_marks_set(&monitor->info->marks, DUET_MARK_EXITED);
    monitor_elsewhere_sample(monitor);
    monitor->over = TRUE;
    duet_loop_remove(&monitor->stop_timer);
    /* The agent's last frames may still wait to be read: its end of the channel is closed now. */
    if (monitor->agent)
        monitor->quit_timer = duet_loop_add_timeout(1000, on_quit, monitor);
    else
        g_main_loop_quit(monitor->loop);
    return G_SOURCE_REMOVE;
}

void monitor_watch(Monitor *monitor)
{
    /* After the agent's channel: what the payload wrote came before its end. */
    monitor->over_source =
        duet_loop_add_fd(monitor->pidfd, G_IO_IN, G_PRIORITY_DEFAULT + 10, on_over, monitor);
    monitor->boot_timer =
        duet_loop_add_timeout(monitor->boot_timeout_s * 1000, on_boot_timeout, monitor);
    if (monitor->spec->timeout_ms)
        monitor->run_timer = duet_loop_add_timeout(
            (guint)MAX(monitor->spec->timeout_ms - monitor->ran_ms, 1), on_run_timeout, monitor);
}
