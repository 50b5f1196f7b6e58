/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/bench-cli.h"

G_BEGIN_DECLS

/**
 * DuetBenchSuite: what `bench all` was told and knows.
 * @words: (transfer none): all that, as it was typed
 * @folder: where the results go
 * @budget: for all together; @budget_s: in seconds
 * @block_s: what one sample of each arm takes, from start to gone; 0: a trial is to tell
 * @begun: (element-type utf8): the benchmarks whose files in @folder are this run's
 * @cut: (nullable): the benchmark that the user interrupted: its result is there, and not complete
 */
typedef struct {
    DuetBenchCli options;
    char *const *words;
    char *folder;
    gboolean resume;
    char *budget;
    double budget_s;
    double block_s;
    GPtrArray *begun;
    char *cut;
} DuetBenchSuite;

/** duet_bench_suite_verb: Returns: what the user called it. */
const char *duet_bench_suite_verb(gboolean quick);

/** duet_bench_suite_parse: @words: (transfer none): of the command line; they must outlive @suite.
 */
gboolean duet_bench_suite_parse(
    DuetBenchSuite *suite, char *const *words, gboolean quick, GError **error);
void duet_bench_suite_clear(DuetBenchSuite *suite);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetBenchSuite, duet_bench_suite_clear)

/**
 * duet_bench_suite_load: @suite becomes what the run in its folder was told, and what that knew.
 * @out_words: (out) (transfer full): as of that run; they must outlive @suite. Set on failure, too
 */
gboolean duet_bench_suite_load(
    DuetBenchSuite *suite, gboolean quick, char ***out_words, GError **error);

/** duet_bench_suite_save: what the run is, and how many samples there are: one that is resumed has
 * the same. */
gboolean duet_bench_suite_save(const DuetBenchSuite *suite, GError **error);

/**
 * duet_bench_suite_prepare: makes the folder.
 * Returns: %FALSE with %DUET_ERROR_EXISTS where results lie in it that are not of this run.
 */
gboolean duet_bench_suite_prepare(const DuetBenchSuite *suite, GError **error);

/** duet_bench_suite_begin: must be called before the benchmark @name writes its first file: a run
 * that is killed then goes on with that. */
gboolean duet_bench_suite_begin(DuetBenchSuite *suite, const char *name, GError **error);

/** duet_bench_suite_forget: what does not come to a trial of its own payload is no run. */
void duet_bench_suite_forget(const DuetBenchSuite *suite);

/** duet_bench_suite_path: Returns: (transfer full): of the file of the benchmark @name. */
char *duet_bench_suite_path(const DuetBenchSuite *suite, const char *name, const char *suffix);
/** duet_bench_suite_has: Returns: whether it is there. */
gboolean duet_bench_suite_has(const DuetBenchSuite *suite, const char *name, const char *suffix);

G_END_DECLS
