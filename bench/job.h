/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "benchmark.h"
#include "bench/host/environment.h"
#include "bench/instance/instance-sampler.h"
#include "bench/result/journal.h"
#include "peers/peers.h"
#include "runner.h"

G_BEGIN_DECLS

/* What the jobs of #DuetBenchOps, a function each, have in common. */

gboolean duet_job_boot(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
gboolean duet_job_cost(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
gboolean duet_job_load(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
gboolean duet_job_compare(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
gboolean duet_job_memory(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
gboolean duet_job_density(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);
gboolean duet_job_overhead(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);

/** duet_job_check: Returns: %FALSE where the request could not end in a result. */
gboolean duet_job_check(const DuetBenchRequest *request, GError **error);

/** duet_job_boot_plan: Returns: (transfer full): of samples that are one instance each. */
DuetPlan *duet_job_boot_plan(const DuetBenchRequest *request, guint n_peers);

/**
 * duet_job_run: Returns: (transfer full): a run without samples, with the host and the request's
 *     arms in it.
 * @plan: (transfer full)
 */
DuetRun *duet_job_run(
    const DuetBenchRequest *request, const DuetBenchmark *benchmark, DuetPlan *plan);

/** duet_job_runner: Returns: one that keeps @journal and tells how far it is.
 * @journal: (nullable) */
DuetRunner duet_job_runner(const DuetBenchRequest *request, DuetSampleFunc take,
    gboolean (*interrupted)(const DuetSample *sample, gpointer data), gpointer data,
    DuetJournal *journal);

/** duet_job_is_plain: Returns: whether neither a probe nor a cache mode was asked for. */
gboolean duet_job_is_plain(const DuetBenchRequest *request);

/**
 * duet_job_carry_out: duet_job_take() of samples that are one instance each, run to its end.
 * @take: gets @sampler
 * @peers: (nullable): measured beside ours, by whole commands
 * @journal: (nullable)
 */
gboolean duet_job_carry_out(const DuetBenchRequest *request, DuetSampleFunc take,
    DuetInstanceSampler *sampler, DuetPeers *peers, DuetJournal *journal, GError **error);

/** duet_job_note_host: what the host did since @before goes into the run, with its warnings. */
void duet_job_note_host(DuetRun *run, const DuetEnvironmentCount *before);

/** duet_job_take: takes all samples of a run; what the host did meanwhile goes into it. */
gboolean duet_job_take(const DuetRunner *runner, DuetRun *run, GError **error);

/**
 * DuetJobAnswer: what a run came to.
 * @json, @text: (transfer full)
 * @bad: no sample of an arm is good
 */
typedef struct {
    char *json, *text;
    gboolean bad;
} DuetJobAnswer;

/**
 * duet_job_answer: saves the result where a file was asked for; its journal goes then. If that
 *     fails the user is told, and the journal stays.
 * @journal: (nullable)
 * @answer: what is in it is taken
 * @out_text: (out) (transfer full): the one of its texts that was asked for
 * @out_exit_code: (out): see #DuetBenchOps
 */
void duet_job_answer(const DuetBenchRequest *request, const DuetRun *run, DuetJournal *journal,
    const DuetJobAnswer *answer, char **out_text, int *out_exit_code);

G_END_DECLS
