/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/**
 * duet_notes_new: what a reader must know of the figures: too few samples, how failed ones
 * ended, outliers, drift, a slow first sample, what was left behind.
 * @analysis: all but its notes are there
 * Returns: (transfer full) (element-type utf8): in order of weight.
 */
GPtrArray *duet_notes_new(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_note: appends a line to notes. */
void duet_note(GPtrArray *notes, const char *format, ...) G_GNUC_PRINTF(2, 3);
/** duet_notes_samples: tells of samples that have warnings of their own. */
void duet_notes_samples(GPtrArray *notes, const DuetRun *run);

G_END_DECLS
