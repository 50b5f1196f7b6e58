/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/state.h"

G_BEGIN_DECLS

/*
 * Instances of a process, a benchmark, that stay when they end until it removes them. One that runs
 * is ended by its monitor when that process is gone; of one that does not, or was saved, nobody
 * would know any more. The symlink owned/<id>, whose target is PID:BEGAN:SPACE of the process,
 * tells of both: the next command in that PID namespace removes what is left.
 */

/** duet_owned_mark: an instance that is to be made; nothing if it has no owner, or goes at its
 * end. */
gboolean duet_owned_mark(DuetContext *context, const DuetSpec *spec, GError **error);
void duet_owned_unmark(DuetContext *context, const DuetSpec *spec);
/** duet_owned_sweep: removes those whose owner is gone and of which nothing runs. */
void duet_owned_sweep(DuetContext *context);
/** duet_owner_is_gone: @pid: a spec's owner_pid; 0: it has none, which can't be gone. */
gboolean duet_owner_is_gone(gint64 pid);

G_END_DECLS
