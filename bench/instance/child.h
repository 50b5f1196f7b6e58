/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/types.h>

G_BEGIN_DECLS

/**
 * duet_child_wait: waits for a child that asks an instance something, which may hang; what is not
 * done by @deadline_ns (CLOCK_MONOTONIC) is killed.
 * @pid: below 0: the fork failed
 *
 * Returns: its exit code, or -1: it was killed, here or by another.
 */
int duet_child_wait(pid_t pid, gint64 deadline_ns);

/**
 * duet_process_wait_gone: waits for any process, until @until_ns (CLOCK_MONOTONIC).
 * Returns: whether it has ended; one that was not reaped yet (process 1 may be slow) has, too
 */
gboolean duet_process_wait_gone(pid_t pid, gint64 until_ns);

G_END_DECLS
