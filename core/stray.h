/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * Ending processes where no cgroup says which they are.
 */

/** The name, in an instance's run directory, of the file that duet_stray_kill_holder() looks at. */
#define DUET_STRAY_LOCK "pid"

/**
 * duet_stray_kill_holder: kills whoever holds a POSIX lock on @run_dir's "pid" and waits for that.
 * A driver whose payload may outlive the monitor makes it, if need be as a symlink to the file that
 * the payload locks. The lock, unlike a number in a file, is never that of another process.
 */
void duet_stray_kill_holder(const char *run_dir);

/**
 * duet_stray_kill_children: kills and reaps all children of the calling process, and, as it is a
 * subreaper, what they leave, until none is left or @timeout_ms passed.
 */
void duet_stray_kill_children(guint timeout_ms);

G_END_DECLS
