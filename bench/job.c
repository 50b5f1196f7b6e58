/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job.h"

#include <errno.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "cost/cost.h"
#include "bench/instance/group.h"
#include "bench/result/result.h"

DuetPlan *duet_job_boot_plan(const DuetBenchRequest *request, guint n_peers)
{
    DuetPlan *plan = duet_plan_new((guint)request->n_arms + n_peers, request->n, request->seed,
        request->arms[0].spec->timeout_ms, request->floor);

    duet_plan_set_mode(plan, request->cache_mode);
    plan->ready = g_strdup(request->ready);
    plan->from = g_strdup(request->from);
    return plan;
}

DuetRun *duet_job_run(
    const DuetBenchRequest *request, const DuetBenchmark *benchmark, DuetPlan *plan)
{
    DuetRun *run = duet_run_new(benchmark, plan);

    json_object_unref(run->tool);
    run->tool = duet_environment_tool();
    plan->options = g_strdupv((char **)request->options);
    json_object_unref(run->host);
    run->host = duet_environment_host(duet_context_store_dir(request->context));
    if (request->after_own)
        json_object_set_boolean_member(run->host, DUET_ENVIRONMENT_LOAD_OWN, TRUE);
    g_ptr_array_unref(run->warnings);
    run->warnings = duet_environment_warnings(run->host, run->tool);
    for (gsize i = 0; i < request->n_arms; i++) {
        const DuetSpec *spec = request->arms[i].spec;
        DuetRunArm *arm = duet_run_arm_new(request->arms[i].name, duet_kind_to_string(spec->kind));
        arm->image_ref = g_strdup(spec->image_ref);
        arm->image_digest = g_strdup(spec->image_digest);
        arm->argv = spec->idle ? g_new0(char *, 1) : g_strdupv(spec->argv);
        arm->memory_bytes = spec->memory_bytes;
        arm->cpus = spec->cpus;
        arm->pids_limit = spec->pids_limit;
        g_ptr_array_add(run->arms, arm);
    }
    return run;
}

gboolean duet_job_check(const DuetBenchRequest *request, GError **error)
{
    if (request->n_arms < 1 || request->n < 1 || request->seed > DUET_BENCH_SEED_MAX) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot measure: there must be at least one arm and one sample, and the seed must be "
            "below 2^53");
        return FALSE;
    }
    if (!request->output_path)
        return TRUE;
    /* Better now than after half an hour. */
    if (!*request->output_path) {
        g_set_error_literal(
            error, DUET_ERROR, DUET_ERROR_INVALID, "-o: the name of the result's file is empty");
        return FALSE;
    }
    if (!duet_file_may_replace(request->output_path, error))
        return FALSE;
    g_autofree char *folder = g_path_get_dirname(request->output_path);
    errno = 0;
    if (access(folder, W_OK | X_OK) == 0)
        return TRUE;
    return duet_error_set_errno(
        error, errno, "cannot write a result to '%s'", request->output_path);
}

DuetRunner duet_job_runner(const DuetBenchRequest *request, DuetSampleFunc take,
    gboolean (*interrupted)(const DuetSample *sample, gpointer data), gpointer data,
    DuetJournal *journal)
{
    return (DuetRunner){
        .take = take,
        .interrupted = interrupted,
        .data = data,
        .progress = request->progress,
        .progress_data = request->progress_data,
        .record = duet_journal_add,
        .record_data = journal,
    };
}

void duet_job_note_host(DuetRun *run, const DuetEnvironmentCount *before)
{
    duet_environment_finish(run->host, before);
    g_ptr_array_extend_and_steal(run->warnings, duet_environment_warnings_after(run->host));
}

gboolean duet_job_take(const DuetRunner *runner, DuetRun *run, GError **error)
{
    DuetEnvironmentCount before;
    sigset_t old;

    duet_environment_count(&before);
    /* Between samples, too, a signal is the user's wish for what there is so far. */
    duet_hold_signals(&old);
    gboolean taken = duet_runner_run(runner, run, error);
    run->interrupted |= duet_release_signals(&old);
    if (taken)
        duet_job_note_host(run, &before);
    return taken;
}

gboolean duet_job_is_plain(const DuetBenchRequest *request)
{
    return !request->ready && (!request->cache_mode || g_str_equal(request->cache_mode, "warm"));
}

gboolean duet_job_carry_out(const DuetBenchRequest *request, DuetSampleFunc take,
    DuetInstanceSampler *sampler, DuetPeers *peers, DuetJournal *journal, GError **error)
{
    DuetRun *run = sampler->run;
    if (peers)
        duet_peers_measure(peers, sampler);
    DuetRunner runner = duet_job_runner(request, peers ? duet_peers_take : take,
        peers ? duet_peers_interrupted : duet_instance_sampler_interrupted,
        peers ? (gpointer)peers : (gpointer)sampler, journal);

    g_auto(DuetCostSampler) cost = { .bare.fd = -1 };
    if (run->benchmark == &duet_benchmark_cost &&
        !duet_cost_sampler_init(&cost, &runner, request->arms[0].spec, error))
        return FALSE;
    return duet_job_take(&runner, run, error);
}

/* What was measured is shown all the same: it took its time. */
static void tell_unsaved(
    const DuetBenchRequest *request, const DuetJournal *journal, const GError *why)
{
    const char *part = duet_journal_kept(journal);
    g_autofree char *hint = part
        ? g_strdup_printf("; '%s' holds what was measured: once there is room, add --resume", part)
        : g_strdup("");
    g_autofree char *line = g_strconcat(why->message, hint, NULL);

    if (request->notice)
        request->notice(line);
}

void duet_job_answer(const DuetBenchRequest *request, const DuetRun *run, DuetJournal *journal,
    const DuetJobAnswer *answer, char **out_text, int *out_exit_code)
{
    g_autoptr(GError) error = NULL;

    *out_exit_code = run->interrupted ? DUET_BENCH_EXIT_INTERRUPTED : answer->bad ? 1 : 0;
    if (!request->output_path || duet_result_save(request->output_path, answer->json, &error)) {
        duet_journal_finish(journal);
    } else {
        tell_unsaved(request, journal, error);
        *out_exit_code = DUET_BENCH_EXIT_UNSAVED;
    }
    *out_text = request->json ? answer->json : answer->text;
    g_free(request->json ? answer->text : answer->json);
}
