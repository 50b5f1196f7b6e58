/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/instance/instance-sampler.h"

G_BEGIN_DECLS

/**
 * duet_overhead_sampler_take: a #DuetSampleFunc: one tool in one instance, its output captured and
 * read; @data is a #DuetInstanceSampler that captures.
 */
gboolean duet_overhead_sampler_take(DuetSample *sample, gpointer data, GError **error);

/**
 * duet_overhead_sampler_read: what the tool of a sample wrote becomes the sample's values; a sample
 * that ended well with an output that is not understood has failed.
 * @out, @err: (nullable): both streams
 */
void duet_overhead_sampler_read(DuetSample *sample, const DuetOverheadTest *test,
    const DuetCaptured *out, const DuetCaptured *err);

G_END_DECLS
