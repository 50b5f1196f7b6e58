/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * DuetWaterfall: one sample to draw. @sample: (nullable): there is none.
 */
typedef struct {
    const char *name;
    const DuetSample *sample;
} DuetWaterfall;

/**
 * duet_waterfall_scale: appends a bar for each sample, from `request` to its last mark, all on one
 * scale.
 */
void duet_waterfall_scale(GString *out, const DuetWaterfall *rows, gsize n);

/**
 * duet_waterfall_draw: appends one sample's marks, each as a bar from the mark before it, on a
 * scale of its own; a mark that the sample has not is "not applicable".
 */
void duet_waterfall_draw(GString *out, const DuetWaterfall *row);

G_END_DECLS
