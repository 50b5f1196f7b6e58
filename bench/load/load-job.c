/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/job.h"
#include "load-analysis.h"
#include "load-sampler.h"

static DuetPlan *load_plan(const DuetBenchRequest *request)
{
    DuetPlan *plan = duet_plan_new_load((guint)request->n_arms, request->counts, request->n_counts,
        request->n, request->seed, request->load_starts);

    plan->timeout_ms = request->arms[0].spec->timeout_ms;
    plan->floor = request->floor;
    return plan;
}

static gboolean carry_out_load(
    const DuetBenchRequest *request, DuetLoadSampler *sampler, DuetJournal *journal, GError **error)
{
    DuetRunner runner = duet_job_runner(
        request, duet_load_sampler_take, duet_load_sampler_interrupted, sampler, journal);

    return duet_load_sampler_check(sampler, error) && duet_job_take(&runner, sampler->run, error);
}

gboolean duet_job_load(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    if (!duet_job_check(request, error))
        return FALSE;
    g_autoptr(DuetRun) run = duet_job_run(request, &duet_benchmark_load, load_plan(request));
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error))
        return FALSE;
    g_auto(DuetLoadSampler) sampler = { 0 };
    duet_load_sampler_init(&sampler, request, run);
    if (!carry_out_load(request, &sampler, journal, error))
        return FALSE;
    g_autoptr(DuetLoadAnalysis) analysis =
        duet_load_analysis_new(run, request->ratio_with_failures);
    const DuetJobAnswer answer = {
        .json = duet_load_result(run, analysis),
        .text = duet_load_table(run, analysis),
        .bad = duet_load_analysis_bad_arm(analysis),
    };
    duet_job_answer(request, run, journal, &answer, out_text, out_exit_code);
    return TRUE;
}
