/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another run of the same instance (`--restart`). All that a run made is gone by then: runtime,
 * cgroup, mounts. What the instance is to others stays, and is never let go of in between: the
 * lock, the marker, the socket with its clients, the range of ids, the log. The same process goes
 * on, so that nobody can take the instance for one that ended.
 */
#include "core/loop.h"
#include "monitor-private.h"
#include "core/restart.h"

#include <string.h>

gboolean monitor_has_policy(const Monitor *monitor)
{
    return monitor->spec->restart != DUET_RESTART_NO ||
        (monitor->spec->health.test && monitor->spec->health.on_failure == DUET_HEALTH_RESTART);
}

gboolean monitor_may_restart(const Monitor *monitor)
{
    return monitor_has_policy(monitor) || monitor->spec->connect;
}

static gint64 run_ns(const DuetInfo *info)
{
    gint64 began_ns = info->marks.ns[DUET_MARK_EXEC];
    return began_ns ? info->marks.ns[DUET_MARK_EXITED] - began_ns : 0;
}

static gboolean is_due(const Monitor *monitor)
{
    const DuetInfo *info = monitor->info;
    return !monitor->for_good && !monitor->left_behind &&
        (monitor->again ||
            (monitor->ran &&
                duet_restart_due(
                    monitor->spec, info->restarts, monitor->failure || info->exit_code != 0)));
}

static gboolean on_rested(gpointer data)
{
    *(gboolean *)data = TRUE;
    return G_SOURCE_REMOVE;
}

/* Nothing of the run that is over acts on what follows. */
static void end_sources(Monitor *monitor)
{
    guint *const sources[] = { &monitor->boot_timer, &monitor->run_timer, &monitor->stop_timer,
        &monitor->quit_timer, &monitor->over_source, &monitor->look_source };
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++)
        duet_loop_remove(sources[i]);
    duet_link_free(g_steal_pointer(&monitor->agent));
}

gboolean monitor_rest(Monitor *monitor)
{
    gboolean rested = FALSE;
    if (!is_due(monitor))
        return FALSE;
    monitor->restart_delay_ms =
        duet_restart_delay(monitor->restart_delay_ms, run_ns(monitor->info));
    end_sources(monitor);
    monitor->resting = TRUE;
    monitor->over = FALSE;
    monitor->info->state = DUET_STATE_RESTARTING;
    monitor_save_state(monitor);
    monitor_tell_end(monitor, FALSE);
    monitor_clients_end_run(monitor);
    guint timer = duet_loop_add_timeout(monitor->restart_delay_ms, on_rested, &rested);
    /* A payload that ends at once while its reader stalls would fill our memory. */
    while (!monitor->for_good && (!rested || monitor_attached_lag(monitor)))
        duet_loop_step();
    if (!rested)
        duet_loop_remove(&timer);
    monitor->resting = FALSE;
    return !monitor->for_good;
}

static DuetInfo *next_info(const DuetInfo *last)
{
    DuetInfo *info = duet_info_new(NULL);
    info->created_us = last->created_us;
    info->restarts = last->restarts + 1;
    duet_marks_set(&info->marks, DUET_MARK_REQUEST);
    return info;
}

/* Each member that a run sets, as it was before the first. */
static void clear_run(Monitor *monitor)
{
    g_clear_pointer(&monitor->cgroup, duet_cgroup_free);
    g_clear_pointer(&monitor->elsewhere, duet_cgroup_free);
    duet_fd_clear(&monitor->pidfd);
    monitor->wait_status = -1;
    g_clear_error(&monitor->failure);
    memset(monitor->taken, 0, sizeof monitor->taken);
    monitor->helper_gone = monitor->hello = monitor->started = monitor->ready = FALSE;
    monitor->exit_known = monitor->payload_gone = monitor->over = FALSE;
    monitor->stopping = monitor->asked_to_stop = monitor->again = monitor->payload_ended = FALSE;
    monitor->end_told = FALSE;
    monitor->kill_due_us = 0;
    DuetInfo *info = next_info(monitor->info);
    duet_info_free(monitor->info);
    monitor->info = info;
}

gboolean monitor_prepare_again(Monitor *monitor, GError **error)
{
    clear_run(monitor);
    monitor_tell_event(monitor, DUET_EVENT_RESTART, NULL);
    g_array_set_size(monitor->private_fds, 0);
    for (guint i = 0; i < monitor->clients->len; i++) {
        int fd = duet_link_fd(((Client *)monitor->clients->pdata[i])->link);
        if (fd >= 0)
            g_array_append_val(monitor->private_fds, fd);
    }
    return monitor_prepare(monitor, error);
}
