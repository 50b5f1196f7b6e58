/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "run.h"

G_BEGIN_DECLS

/**
 * DuetJournal: what keeps a run through a kill. While a run with a result file goes on, FILE.part
 * beside it is locked, and holds the run in lines of JSON: first all but the samples, then a line
 * for each sample, for the facts of each arm's driver, and for what a benchmark has beside samples,
 * as soon as they are known. A line is on the disk before the next sample begins.
 */
typedef struct _DuetJournal DuetJournal;

/** duet_journal_path: Returns: (transfer full): FILE.part of FILE. */
char *duet_journal_path(const char *output_path);

/** duet_journal_holds: Returns: whether a run was begun there; one that was killed before its first
 * sample leaves an empty file. */
gboolean duet_journal_holds(const char *path);

/**
 * duet_journal_open: takes FILE.part, empty until the first sample, or goes on with it.
 * @run: (inout) (transfer full): what is about to be measured. If it is to be resumed, it becomes
 *     the run that was cut short: of FILE.part or, where the user interrupted it, of FILE
 * @out_journal: (out) (nullable): %NULL if @request names no file; all functions take that
 *
 * Returns: %FALSE with %DUET_ERROR_EXISTS when there is a FILE.part and the user did not ask to
 *     resume it, %DUET_ERROR_STATE when it is still being written or complete,
 *     %DUET_ERROR_NOT_FOUND when there is nothing to resume, %DUET_ERROR_INVALID when what is to
 *     be measured, with what, or where, is not the same as then.
 */
gboolean duet_journal_open(
    const DuetBenchRequest *request, DuetRun **run, DuetJournal **out_journal, GError **error);

/** duet_journal_add: appends the latest sample of @run; fsyncs. A #DuetRunner.record. */
gboolean duet_journal_add(const DuetRun *run, gpointer journal, GError **error);

/** duet_journal_add_root: appends what #DuetBenchmark.write_root has of @run now; fsyncs. */
gboolean duet_journal_add_root(const DuetRun *run, gpointer journal, GError **error);

/** duet_journal_finish: the result file was written: removes FILE.part. */
void duet_journal_finish(DuetJournal *journal);

/** duet_journal_kept: Returns: (transfer none) (nullable): FILE.part if it stays when @journal is
 * freed. @journal: (nullable) */
const char *duet_journal_kept(const DuetJournal *journal);

/** duet_journal_free: FILE.part stays if it holds a sample that counts. */
void duet_journal_free(DuetJournal *journal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetJournal, duet_journal_free)

/** duet_journal_is: whether @text is a journal and not a result file. */
gboolean duet_journal_is(const char *text, gsize length);

/**
 * duet_journal_parse: what a result file of the same run, interrupted, would hold. A last line
 * that was cut is left out.
 */
JsonNode *duet_journal_parse(const char *text, gsize length, GError **error);

/** duet_run_taken: Returns: how many samples of the plan were taken; others were warm-ups. */
guint duet_run_taken(const DuetRun *run);

G_END_DECLS
