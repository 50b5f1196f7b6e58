/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "bench/instance/group.h"
#include "bench/result/run.h"

G_BEGIN_DECLS

/* `bench memory --balloon`: instances that are given less memory while they run. */

/** duet_balloon_check: Returns: %FALSE with @error if no instance of an arm can be given
 * @request's balloon_bytes while it runs. */
gboolean duet_balloon_check(const DuetBenchRequest *request, GError **error);

/**
 * duet_balloon_shrink: gives each of a group that limit.
 * @sample: of what refuses it is warned
 * @out_took: (transfer full) (element-type gint64): how long each took, in ns; NULL: not all took
 * it
 *
 * Returns: %FALSE with @error if the user wants an end.
 */
gboolean duet_balloon_shrink(
    DuetGroup *group, guint64 bytes, DuetSample *sample, GArray **out_took, GError **error);

G_END_DECLS
