/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/spec.h>

G_BEGIN_DECLS

/* Docker's: the wait before another run, doubled each time, and from anew after a run that lasted.
 */
#define DUET_RESTART_DELAY_MIN_MS 100u
#define DUET_RESTART_DELAY_MAX_MS 60000u
#define DUET_RESTART_LASTED_NS (10 * G_GINT64_CONSTANT(1000000000))

/**
 * duet_restart_due: whether a payload that ended by itself is to be started again.
 * @restarts: how often it was since somebody started it
 * @failed: its exit code is not 0, or it could not be started
 */
gboolean duet_restart_due(const DuetSpec *spec, gint64 restarts, gboolean failed);

/**
 * duet_restart_delay:
 * @last_ms: the wait before the run that is over; 0: it was the first
 * @ran_ns: how long that lasted
 */
guint duet_restart_delay(guint last_ms, gint64 ran_ns);

G_END_DECLS
