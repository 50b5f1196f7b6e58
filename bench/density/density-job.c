/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/host/environment.h"
#include "bench/job.h"
#include "density-analysis.h"
#include "density-sampler.h"

/* @sampler: holds signals back since before there were peers */
static gboolean carry_out_density(DuetDensitySampler *sampler, DuetRun *run, GError **error)
{
    DuetEnvironmentCount before;

    sampler->run = run;
    duet_environment_count(&before);
    gboolean measured = duet_density_sampler_run(sampler, error);
    duet_peers_close(g_steal_pointer(&sampler->peers), run->warnings);
    duet_job_note_host(run, &before);
    return measured;
}

gboolean duet_job_density(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    if (!duet_job_check(request, error))
        return FALSE;
    g_auto(DuetDensitySampler) sampler = { 0 };
    duet_density_sampler_init(&sampler, request, NULL);
    if ((request->peers || request->peer_files) &&
        !(sampler.peers = duet_peers_open(request, DUET_PEERS_INSTANCES, error)))
        return FALSE;
    g_autoptr(DuetRun) run = duet_job_run(request, &duet_benchmark_density,
        duet_plan_new_density((guint)request->n_arms + duet_peers_count(sampler.peers),
            &request->density, request->seed, request->age_ms));
    if (sampler.peers)
        duet_peers_join(sampler.peers, run);
    duet_environment_memory_warnings(run->host, run->warnings);
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error)) {
        duet_peers_close(g_steal_pointer(&sampler.peers), run->warnings);
        return FALSE;
    }
    sampler.journal = journal;
    if (!carry_out_density(&sampler, run, error))
        return FALSE;
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    const DuetJobAnswer answer = {
        .json = duet_density_result(run, analysis),
        .text = duet_density_table(run, analysis),
        .bad = duet_density_analysis_bad_arm(analysis),
    };
    duet_job_answer(request, run, journal, &answer, out_text, out_exit_code);
    return TRUE;
}
