/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/host/environment.h"
#include "bench/job.h"
#include "bench/result/resume.h"
#include "balloon.h"
#include "equal-memory.h"
#include "memory-counts.h"
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

/* A run that is resumed keeps what fitted when it began. Returns: (transfer full) (nullable). */
static GArray *counts_of_then(const DuetBenchRequest *request)
{
    if (!request->counts_unasked || !request->resume || !request->output_path)
        return NULL;
    g_autofree char *part = duet_journal_path(request->output_path);
    g_autoptr(DuetRun) then = duet_resume_load(request->output_path, part, NULL);
    if (!then || then->benchmark != &duet_benchmark_memory)
        return NULL; /* to be refused in due course */
    GArray *counts = g_array_new(FALSE, FALSE, sizeof(guint));
    return g_array_append_vals(counts, then->plan->counts, then->plan->n_variants);
}

static GArray *counts_of_now(const DuetBenchRequest *request, char **out_note, GError **error)
{
    DuetHostMemory host;

    return duet_host_memory_read(&host, error) ? duet_memory_counts(request, &host, out_note)
                                               : NULL;
}

/* @out_note: (out) (transfer full) (nullable): what is not in it that could be expected. */
static DuetPlan *memory_plan(const DuetBenchRequest *request, char **out_note, GError **error)
{
    g_autoptr(GArray) counts = counts_of_then(request);

    if (!counts && !(counts = counts_of_now(request, out_note, error)))
        return NULL;
    DuetPlan *plan = duet_plan_new_memory(request->n_arms, (const guint *)(void *)counts->data,
        counts->len, request->n, request->seed, request->age_ms, request->floor);

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
    g_autofree char *note = NULL;
    DuetPlan *plan = memory_plan(request, &note, error);
    if (!plan)
        return FALSE;
    g_autoptr(DuetRun) run = duet_job_run(request, &duet_benchmark_memory, plan);
    if (note && request->notice)
        request->notice(note);
    duet_environment_memory_warnings(run->host, run->warnings);
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error))
        return FALSE;
    if (!measure_memory(request, run, journal, error))
        return FALSE;
    g_autoptr(DuetMemoryAnalysis) analysis =
        duet_memory_analysis_new(run, request->ratio_with_failures);
    const DuetJobAnswer answer = {
        .json = duet_memory_result(run, analysis),
        .text = duet_memory_table(run, analysis),
        .bad = duet_memory_analysis_bad_arm(analysis),
    };
    duet_job_answer(request, run, journal, &answer, out_text, out_exit_code);
    return TRUE;
}
