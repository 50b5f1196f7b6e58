/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/restart.h"

gboolean duet_restart_due(const DuetSpec *spec, gint64 restarts, gboolean failed)
{
    switch (spec->restart) {
    case DUET_RESTART_ALWAYS:
        return TRUE;
    case DUET_RESTART_ON_FAILURE:
        return failed && (spec->restart_retries == 0 || restarts < spec->restart_retries);
    case DUET_RESTART_NO:
        break;
    }
    return FALSE;
}

guint duet_restart_delay(guint last_ms, gint64 ran_ns)
{
    if (last_ms == 0 || ran_ns >= DUET_RESTART_LASTED_NS)
        return DUET_RESTART_DELAY_MIN_MS;
    return MIN(last_ms * 2, DUET_RESTART_DELAY_MAX_MS);
}
