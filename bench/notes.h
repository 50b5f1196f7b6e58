/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/**
 * DuetNote: something that a reader must know of figures.
 * @code: what it is, for programs: docs/result-file.md lists them
 * @weak: the run is weak because of it; else it is only good to know
 */
typedef struct {
    const char *code;
    gboolean weak;
    char *text;
} DuetNote;

/** duet_notes_empty: Returns: (transfer full) (element-type DuetNote): none yet. */
GPtrArray *duet_notes_empty(void);

/** duet_notes_add: appends a note to @notes, as duet_notes_new() makes them. @format: is
 * translated.
 */
void duet_notes_add(GPtrArray *notes, const char *code, gboolean weak, const char *format, ...)
    G_GNUC_PRINTF(4, 5);

/** duet_notes_drop_known: leaves those that make a run weak. */
void duet_notes_drop_known(GPtrArray *notes);

/** duet_notes_drifts: Returns: whether first and last fifth differ and neighbours are alike. */
gboolean duet_notes_drifts(const DuetSummary *series);

/**
 * duet_notes_series: adds what a series of one value, in the order of measuring, tells against
 * itself: outliers, a slow first value, drift. @name: whose it is, for people
 */
void duet_notes_series(GPtrArray *notes, const char *name, const DuetSummary *series);

/**
 * duet_notes_new: what a reader must know of the figures: too few samples, how failed ones
 * ended, outliers, drift, a slow first sample, what was left behind.
 * @analysis: all but its notes are there
 * Returns: (transfer full) (element-type DuetNote): in order of weight.
 */
GPtrArray *duet_notes_new(const DuetRun *run, const DuetAnalysis *analysis);

/* What benchmarks have in common; each adds to @notes if there is something to tell. */

/** duet_notes_interrupted: the user ended the run before its plan's end. */
void duet_notes_interrupted(GPtrArray *notes, const DuetRun *run);
/** duet_notes_few: the plan has fewer samples of an arm than one may rest on. */
void duet_notes_few(GPtrArray *notes, const DuetRun *run);
/** duet_notes_host: what makes the host or the whole run doubtful. */
void duet_notes_host(GPtrArray *notes, const DuetRun *run);
/** duet_notes_peers: tells which foreign engines were left out. */
void duet_notes_peers(GPtrArray *notes, const DuetRun *run);
/** duet_notes_samples: tells of samples that have warnings of their own. */
void duet_notes_samples(GPtrArray *notes, const DuetRun *run);

G_END_DECLS
