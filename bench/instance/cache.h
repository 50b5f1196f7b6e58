/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * duet_cache_mode_check: whether this process may bring the host into @mode before each sample.
 * Returns: %FALSE with %DUET_ERROR_INVALID for a mode that is none, or with what is missing.
 */
gboolean duet_cache_mode_check(const char *mode, GError **error);

/**
 * duet_cache_cool: before a sample, outside of what is timed: "cold-guest" puts the files that an
 * instance of @spec is made of out of the page cache: the layers' files, a VM's root disk and what
 * @facts name of its kernel. "cold-host" puts out all there is, names and inodes too. What stays,
 * as something else uses it, is a warning of @sample.
 * @saved: (nullable): the folder of the saved memory that it goes on from
 * @facts: (nullable): the driver's facts of the arm
 */
void duet_cache_cool(const char *mode, const DuetSpec *spec, const char *saved, JsonObject *facts,
    DuetSample *sample);

/**
 * duet_cache_evict: writes back what is dirty of a file, or of all files below a folder, and puts
 * it out of the page cache.
 * @out_bytes: (inout): gets the length of the files added
 * @out_left_bytes: (inout): gets what of them stayed added
 */
void duet_cache_evict(const char *path, guint64 *out_bytes, guint64 *out_left_bytes);

G_END_DECLS
