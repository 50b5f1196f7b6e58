/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/error.h>

#include "bench/instance/cache.h"
#include "bench/job.h"
#include "bench/result/result.h"
#include "bench/table.h"

/* A foreign engine's images are not ours to put out of the page cache, nor its payloads to probe.
 */
static gboolean check_modes(const DuetBenchRequest *request, gboolean with_peers, GError **error)
{
    if (request->cache_mode && !duet_cache_mode_check(request->cache_mode, error))
        return FALSE;
    if (!with_peers || duet_job_is_plain(request))
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--cache and --ready are not for runs with foreign engines; leave --peers out");
    return FALSE;
}

/* Before an image is unpacked and a VM boots in vain. */
static gboolean check_saved(const DuetBenchRequest *request, GError **error)
{
    for (gsize i = 0; i < request->n_arms; i++) {
        const DuetBenchArm *arm = &request->arms[i];
        if (arm->saved && !duet_template_check(arm->spec, arm->name, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean measure(const DuetBenchRequest *request, const DuetBenchmark *benchmark,
    char **out_text, int *out_exit_code, GError **error)
{
    if (!duet_job_check(request, error))
        return FALSE;
    g_autoptr(DuetPeers) peers = NULL;
    gboolean with_peers = request->peers || request->peer_files;
    if (!check_modes(request, with_peers, error) || !check_saved(request, error))
        return FALSE;
    if (with_peers && !(peers = duet_peers_open(request, DUET_PEERS_COMMANDS, error)))
        return FALSE;
    g_autoptr(DuetRun) run =
        duet_job_run(request, benchmark, duet_job_boot_plan(request, duet_peers_count(peers)));
    if (peers)
        duet_peers_join(peers, run);
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error))
        return FALSE;
    g_auto(DuetInstanceSampler) sampler = { 0 };
    duet_instance_sampler_init(&sampler, request, run, FALSE);
    gboolean measured = duet_instance_sampler_set_ready(&sampler, request->ready, error) &&
        duet_job_carry_out(request, duet_instance_sampler_take, &sampler, peers, journal, error);
    duet_instance_sampler_end(&sampler);
    duet_peers_close(g_steal_pointer(&peers), run->warnings);
    if (!measured)
        return FALSE;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, request->ratio_with_failures);
    const DuetJobAnswer answer = {
        .json = duet_result_to_json(run, analysis),
        .text = duet_bench_table(run, analysis),
        .bad = duet_analysis_bad_arm(analysis),
    };
    duet_job_answer(request, run, journal, &answer, out_text, out_exit_code);
    return TRUE;
}

gboolean duet_job_boot(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    return measure(request, &duet_benchmark_boot, out_text, out_exit_code, error);
}

gboolean duet_job_cost(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    return measure(request, &duet_benchmark_cost, out_text, out_exit_code, error);
}
