/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pausing: for a client, or behind our back, by another tool of the manager that has it. */
#include "core/loop.h"
#include "monitor-private.h"

#include <duet/error.h>

static void set_paused(Monitor *monitor, gboolean paused)
{
    monitor->info->state = paused ? DUET_STATE_PAUSED : DUET_STATE_RUNNING;
    monitor_save_state(monitor);
    monitor_tell_event(monitor, paused ? DUET_EVENT_PAUSE : DUET_EVENT_UNPAUSE, NULL);
}

gboolean monitor_pause(Monitor *monitor, gboolean pause, GError **error)
{
    DuetState from = pause ? DUET_STATE_RUNNING : DUET_STATE_PAUSED;
    if (monitor->info->state != from || monitor->saving || monitor->saved) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE,
            monitor->saving || monitor->saved ? BEING_SAVED
                : monitor->resting            ? RESTING
                : pause                       ? "it is not running"
                                              : "it is not paused");
        return FALSE;
    }
    gboolean ok = pause ? duet_runtime_pause(monitor->runtime, error)
                        : duet_runtime_resume(monitor->runtime, error);
    if (ok)
        set_paused(monitor, pause);
    return ok;
}

static gboolean on_look(gpointer data)
{
    Monitor *monitor = data;
    DuetState state = monitor->info->state;
    gboolean is_paused;
    monitor->look_source = 0;
    if ((state == DUET_STATE_RUNNING || state == DUET_STATE_PAUSED) && !monitor->saving &&
        !monitor->saved && !monitor->over &&
        duet_runtime_is_paused(monitor->runtime, &is_paused, NULL) &&
        is_paused != (state == DUET_STATE_PAUSED))
        set_paused(monitor, is_paused);
    return G_SOURCE_REMOVE;
}

void monitor_pause_look(Monitor *monitor)
{
    if (!monitor->look_source)
        monitor->look_source = duet_loop_add_idle(on_look, monitor);
}
