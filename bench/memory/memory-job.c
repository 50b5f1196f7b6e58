/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/environment.h"
#include "bench/job.h"
#include "balloon.h"
#include "equal-memory.h"
#include "memory-sampler.h"
#include "memory-view.h"

static gboolean carry_out_memory(const DuetBenchRequest *request, DuetMemorySampler *sampler,
    DuetJournal *journal, GError **error)
{
    DuetRunner runner = duet_job_runner(
        request, duet_memory_sampler_take, duet_memory_sampler_interrupted, sampler, journal);

    return duet_memory_sampler_begin(sampler, error) &&
        (sampler->interrupted || duet_job_take(&runner, sampler->run, error));
}

static DuetPlan *memory_plan(const DuetBenchRequest *request)
{
    DuetPlan *plan = duet_plan_new_memory(request->n_arms, request->counts, request->n_counts,
        request->n, request->seed, request->age_ms, request->floor);

    plan->equal_memory_bytes = request->equal_memory_bytes;
    plan->balloon_bytes = request->balloon_bytes;
    plan->ksm = g_strdup(request->ksm);
    plan->ksm_limit_ms = request->ksm_limit_ms;
    return plan;
}

/* KSM is switched for as long as samples are taken. */
static gboolean measure_memory(
    const DuetBenchRequest *request, DuetRun *run, DuetJournal *journal, GError **error)
{
    g_auto(DuetMemorySampler) sampler = { 0 };
    DuetKsm ksm;

    duet_memory_sampler_init(&sampler, request, run);
    if (!duet_ksm_switch(&ksm, DUET_KSM_FOLDER, request->ksm, request->ksm_limit_ms, error))
        return FALSE;
    sampler.ksm = &ksm;
    gboolean measured = carry_out_memory(request, &sampler, journal, error);
    duet_ksm_clear(&ksm, run->warnings);
    return measured;
}

gboolean duet_job_memory(
    const DuetBenchRequest *asked, char **out_text, int *out_exit_code, GError **error)
{
    if (!duet_job_check(asked, error) || !duet_ksm_check(DUET_KSM_FOLDER, asked->ksm, error))
        return FALSE;
    g_autoptr(DuetEqualMemory) equal = duet_equal_memory_new(asked, error);
    if (!equal)
        return FALSE;
    const DuetBenchRequest *request = &equal->request;
    if (!duet_balloon_check(request, error))
        return FALSE;
    g_autoptr(DuetRun) run = duet_job_run(request, &duet_benchmark_memory, memory_plan(request));
    duet_environment_memory_warnings(run->host, run->warnings);
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error))
        return FALSE;
    if (!measure_memory(request, run, journal, error))
        return FALSE;
    g_autoptr(DuetMemoryAnalysis) analysis =
        duet_memory_analysis_new(run, request->ratio_with_failures);
    if (!duet_job_answer(request, journal, duet_memory_result(run, analysis),
            duet_memory_table(run, analysis), out_text, error))
        return FALSE;
    *out_exit_code = duet_job_exit_code(run, duet_memory_analysis_bad_arm(analysis));
    return TRUE;
}
