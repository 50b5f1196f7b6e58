/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/job.h"
#include "overhead-plan.h"
#include "overhead-sampler.h"
#include "overhead-view.h"

gboolean duet_job_overhead(
    const DuetBenchRequest *asked, char **out_text, int *out_exit_code, GError **error)
{
    if (!duet_job_check(asked, error))
        return FALSE;
    g_autoptr(DuetOverheadPlan) plan = duet_overhead_plan_new(asked, error);
    if (!plan)
        return FALSE;
    const DuetBenchRequest *request = &plan->request;
    g_autoptr(DuetRun) run =
        duet_job_run(request, &duet_benchmark_overhead, duet_job_boot_plan(request, 0));
    run->plan->duration_s = request->duration_s;
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error))
        return FALSE;
    g_auto(DuetInstanceSampler) sampler = { 0 };
    duet_instance_sampler_init(&sampler, request, run, TRUE);
    if (!duet_job_carry_out(request, duet_overhead_sampler_take, &sampler, NULL, journal, error))
        return FALSE;
    g_autoptr(DuetOverheadAnalysis) analysis =
        duet_overhead_analysis_new(run, request->ratio_with_failures);
    const DuetJobAnswer answer = {
        .json = duet_overhead_result(run, analysis),
        .text = duet_overhead_table(run, analysis),
        .bad = duet_overhead_analysis_bad_arm(analysis),
    };
    duet_job_answer(request, run, journal, &answer, out_text, out_exit_code);
    return TRUE;
}
