/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/state.h"

G_BEGIN_DECLS

/* What all that asks something of an instance's monitor is made of (control.c). */

/**
 * duet_control_connect: waits while the lock is held but nobody listens: a monitor that is just
 * starting, or one that is at its very end.
 * Returns: a connection, or -1: there is no monitor any more.
 */
int duet_control_connect(DuetInstance *instance);
/** duet_control_connect_or_fail: the same, with %DUET_ERROR_STATE: it is not running. */
int duet_control_connect_or_fail(DuetInstance *instance, GError **error);
/**
 * duet_control_lock: takes the lock. Who looks whether there is a monitor, or cleans up after one,
 * holds it for an instant: only with a monitor, or for longer, it is taken.
 * Returns: -1 with errno; ENOENT: it was removed
 */
int duet_control_lock(DuetInstance *instance);
/**
 * duet_control_lock_stopped: the same of an instance whose files are needed, and whose spec is read
 * again: nothing of it runs, or is left of a monitor that was killed.
 * Returns: -1 with @error: %DUET_ERROR_STATE if something does
 */
int duet_control_lock_stopped(DuetInstance *instance, GError **error);
/**
 * duet_control_ask: sends one request on @fd and waits for a frame of @answer.
 * Returns: (transfer full): its payload, or NULL.
 */
char *duet_control_ask(DuetInstance *instance, int fd, guint8 type, const void *payload,
    guint32 length, guint8 answer, GError **error);

G_END_DECLS
/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/state.h"

G_BEGIN_DECLS

/** duet_instance_connect: Returns: a connection to its monitor, or -1: there is none. */
int duet_instance_connect(DuetInstance *instance);

G_END_DECLS
