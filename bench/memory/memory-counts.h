/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "bench/host/host-memory.h"

G_BEGIN_DECLS

/**
 * duet_memory_counts: how many instances at a time are measured: what was asked for; or, where
 * nobody said it, those whose RAM @host has to spare, if all of it were used, and always one.
 * @out_note: (out) (transfer full) (nullable): which are left out, and why
 *
 * Returns: (transfer full) (element-type guint)
 */
GArray *duet_memory_counts(
    const DuetBenchRequest *request, const DuetHostMemory *host, char **out_note);

G_END_DECLS
