/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/environment.h"
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
    DuetEnvironmentCount before;

    duet_environment_count(&before);
    if (!duet_load_sampler_check(sampler, error) || !duet_runner_run(&runner, sampler->run, error))
        return FALSE;
    duet_environment_finish(sampler->run->host, &before);
    g_ptr_array_extend_and_steal(
        sampler->run->warnings, duet_environment_warnings_after(sampler->run->host));
    return TRUE;
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
    int code = run->interrupted                ? DUET_EXIT_INTERRUPTED
        : duet_load_analysis_bad_arm(analysis) ? 1
                                               : 0;
    if (!duet_job_answer(request, duet_load_result(run, analysis), duet_load_table(run, analysis),
            out_text, error))
        return FALSE;
    duet_journal_finish(journal);
    *out_exit_code = code;
    return TRUE;
}
