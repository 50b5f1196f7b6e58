/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetKsmGuard: a small process that puts a setting of the kernel back when this one ends, however
 * it ends: it is in a session of its own, ignores what a terminal sends, and sees our death by a
 * pidfd. What kills it too (a whole cgroup's end, the host's) leaves the setting as it is.
 */
typedef struct _DuetKsmGuard DuetKsmGuard;

/**
 * duet_ksm_guard_new: sets @path to @wanted, and is there to set it to @before.
 * Returns: (transfer full): or NULL with @error, and nothing changed.
 */
DuetKsmGuard *duet_ksm_guard_new(const char *path, char wanted, char before, GError **error);

/**
 * duet_ksm_guard_free: puts it back now. Who else set it meanwhile is not overruled.
 * Returns: whether it is as it was before.
 */
gboolean duet_ksm_guard_free(DuetKsmGuard *guard);

G_END_DECLS
