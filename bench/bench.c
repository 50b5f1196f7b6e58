/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/bench.h>

#include <errno.h>
#include <unistd.h>

#include <duet/error.h>

#include "benchmark.h"
#include "cache.h"
#include "compare.h"
#include "cost/cost.h"
#include "density/density-analysis.h"
#include "density/density-sampler.h"
#include "environment.h"
#include "instance-sampler.h"
#include "journal.h"
#include "load/load-analysis.h"
#include "load/load-sampler.h"
#include "memory/equal-memory.h"
#include "memory/memory-sampler.h"
#include "memory/memory-view.h"
#include "overhead/overhead-plan.h"
#include "overhead/overhead-sampler.h"
#include "overhead/overhead-view.h"
#include "peers/peers.h"
#include "result.h"
#include "runner.h"
#include "table.h"

#define EXIT_INTERRUPTED 130

static DuetPlan *boot_plan(const DuetBenchRequest *request, guint n_peers)
{
    DuetPlan *plan = duet_plan_new((guint)request->n_arms + n_peers, request->n, request->seed,
        request->arms[0].spec->timeout_ms, request->floor);

    duet_plan_set_mode(plan, request->cache_mode);
    plan->ready = g_strdup(request->ready);
    return plan;
}

/* @plan: (transfer full). */
static DuetRun *new_run(
    const DuetBenchRequest *request, const DuetBenchmark *benchmark, DuetPlan *plan)
{
    DuetRun *run = duet_run_new(benchmark, plan);

    json_object_unref(run->tool);
    run->tool = duet_environment_tool();
    json_object_unref(run->host);
    run->host = duet_environment_host(duet_context_store_dir(request->context));
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

static gboolean check_request(const DuetBenchRequest *request, GError **error)
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
    g_autofree char *folder = g_path_get_dirname(request->output_path);
    errno = 0;
    if (access(folder, W_OK | X_OK) == 0 && !g_file_test(request->output_path, G_FILE_TEST_IS_DIR))
        return TRUE;
    return duet_error_set_errno(
        error, errno ? errno : EISDIR, "cannot write a result to '%s'", request->output_path);
}

static const DuetSpec *native_spec(const DuetBenchRequest *request)
{
    for (gsize i = 0; i < request->n_arms; i++) {
        if (request->arms[i].spec->kind == DUET_KIND_NATIVE)
            return request->arms[i].spec;
    }
    return NULL;
}

static gboolean is_plain(const DuetBenchRequest *request)
{
    return !request->ready && (!request->cache_mode || g_str_equal(request->cache_mode, "warm"));
}

/*
 * @take: of samples that each run one instance to its end; it gets @sampler
 * @peers: (nullable): measured beside ours, by whole commands
 */
static gboolean carry_out(const DuetBenchRequest *request, DuetSampleFunc take,
    DuetInstanceSampler *sampler, DuetPeers *peers, DuetJournal *journal, GError **error)
{
    DuetRun *run = sampler->run;
    if (peers)
        duet_peers_measure(peers, sampler);
    DuetRunner runner = {
        .take = peers ? duet_peers_take : take,
        .interrupted = peers ? duet_peers_interrupted : duet_instance_sampler_interrupted,
        .data = peers ? (gpointer)peers : (gpointer)sampler,
        .progress = request->progress,
        .progress_data = request->progress_data,
        .record = duet_journal_add,
        .record_data = journal,
    };

    g_autofree char *root = g_path_get_dirname(duet_context_store_dir(request->context));
    g_auto(DuetCostSampler) cost = { .bare.fd = -1 };
    if (!sampler->capture && is_plain(request))
        duet_cost_sampler_init(&cost, &runner, run, native_spec(request), root);
    DuetEnvironmentCount before;
    duet_environment_count(&before);
    if (!duet_runner_run(&runner, run, error))
        return FALSE;
    duet_environment_finish(run->host, &before);
    g_ptr_array_extend_and_steal(run->warnings, duet_environment_warnings_after(run->host));
    return TRUE;
}

static gboolean answer(
    const DuetBenchRequest *request, char *json, char *text, char **out_text, GError **error)
{
    if (request->output_path && !duet_result_save(request->output_path, json, error)) {
        g_free(json);
        g_free(text);
        return FALSE;
    }
    *out_text = request->json ? json : text;
    g_free(request->json ? text : json);
    return TRUE;
}

/* A foreign engine's images are not ours to put out of the page cache, nor its payloads to probe.
 */
static gboolean check_modes(const DuetBenchRequest *request, gboolean with_peers, GError **error)
{
    if (request->cache_mode && !duet_cache_mode_check(request->cache_mode, error))
        return FALSE;
    if (!with_peers || is_plain(request))
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--cache and --ready are not for runs with foreign engines; leave --peers out");
    return FALSE;
}

static gboolean boot(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    if (!check_request(request, error))
        return FALSE;
    g_autoptr(DuetPeers) peers = NULL;
    gboolean with_peers = request->peers || request->peer_files;
    if (!check_modes(request, with_peers, error))
        return FALSE;
    if (with_peers && !(peers = duet_peers_open(request, DUET_PEERS_COMMANDS, error)))
        return FALSE;
    g_autoptr(DuetRun) run =
        new_run(request, &duet_benchmark_boot, boot_plan(request, duet_peers_count(peers)));
    if (peers)
        duet_peers_join(peers, run);
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error))
        return FALSE;
    g_auto(DuetInstanceSampler) sampler = { 0 };
    duet_instance_sampler_init(&sampler, request, run, FALSE);
    gboolean measured = duet_instance_sampler_set_ready(&sampler, request->ready, error) &&
        carry_out(request, duet_instance_sampler_take, &sampler, peers, journal, error);
    duet_peers_close(g_steal_pointer(&peers), run->warnings);
    if (!measured)
        return FALSE;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, request->ratio_with_failures);
    int code = run->interrupted ? EXIT_INTERRUPTED : duet_analysis_bad_arm(analysis) ? 1 : 0;
    if (!answer(request, duet_result_to_json(run, analysis), duet_bench_table(run, analysis),
            out_text, error))
        return FALSE;
    duet_journal_finish(journal);
    *out_exit_code = code;
    return TRUE;
}

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
    DuetRunner runner = {
        .take = duet_load_sampler_take,
        .interrupted = duet_load_sampler_interrupted,
        .data = sampler,
        .progress = request->progress,
        .progress_data = request->progress_data,
        .record = duet_journal_add,
        .record_data = journal,
    };
    DuetEnvironmentCount before;

    duet_environment_count(&before);
    if (!duet_load_sampler_check(sampler, error) || !duet_runner_run(&runner, sampler->run, error))
        return FALSE;
    duet_environment_finish(sampler->run->host, &before);
    g_ptr_array_extend_and_steal(
        sampler->run->warnings, duet_environment_warnings_after(sampler->run->host));
    return TRUE;
}

static gboolean load(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    if (!check_request(request, error))
        return FALSE;
    g_autoptr(DuetRun) run = new_run(request, &duet_benchmark_load, load_plan(request));
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error))
        return FALSE;
    g_auto(DuetLoadSampler) sampler = { 0 };
    duet_load_sampler_init(&sampler, request, run);
    if (!carry_out_load(request, &sampler, journal, error))
        return FALSE;
    g_autoptr(DuetLoadAnalysis) analysis =
        duet_load_analysis_new(run, request->ratio_with_failures);
    int code = run->interrupted ? EXIT_INTERRUPTED : duet_load_analysis_bad_arm(analysis) ? 1 : 0;
    if (!answer(request, duet_load_result(run, analysis), duet_load_table(run, analysis), out_text,
            error))
        return FALSE;
    duet_journal_finish(journal);
    *out_exit_code = code;
    return TRUE;
}

static gboolean all_ran(const DuetRun *run)
{
    for (guint arm = 0; arm < run->arms->len; arm++) {
        const DuetSample *sample = duet_compare_sample(run, arm);
        if (!sample || sample->marks.ns[DUET_MARK_EXEC] == 0 ||
            sample->status == DUET_SAMPLE_TIMEOUT)
            return FALSE;
    }
    return TRUE;
}

static void measure_idle(const DuetBenchRequest *request, DuetRun *run, DuetIdle *idle)
{
    for (gsize i = 0; i < request->n_arms && !run->interrupted; i++) {
        if (request->progress) {
            g_autofree char *line = g_strdup_printf(
                "memory: an idle %s, %g s", request->arms[i].name, DUET_COMPARE_AGE_MS / 1000.0);
            request->progress(line, request->progress_data);
        }
        duet_idle_measure(request->context, &request->arms[i], DUET_COMPARE_AGE_MS, run, &idle[i]);
    }
    if (request->progress)
        request->progress(NULL, request->progress_data);
}

static gboolean compare(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    DuetBenchRequest once = *request;
    once.n = 1;
    if (!check_request(&once, error))
        return FALSE;
    g_autoptr(DuetRun) run = new_run(&once, &duet_benchmark_boot, boot_plan(&once, 0));
    g_auto(DuetInstanceSampler) sampler = { 0 };
    duet_instance_sampler_init(&sampler, &once, run, TRUE);
    if (!carry_out(&once, duet_instance_sampler_take, &sampler, NULL, NULL, error))
        return FALSE;
    g_autofree DuetIdle *idle = g_new0(DuetIdle, once.n_arms);
    measure_idle(&once, run, idle);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, once.ratio_with_failures);
    DuetCompareView view = {
        .run = run,
        .analysis = analysis,
        .sampler = &sampler,
        .idle = idle,
        .color = once.color,
        .ratio_with_failures = once.ratio_with_failures,
    };
    int code = run->interrupted ? EXIT_INTERRUPTED : all_ran(run) ? 0 : 1;
    gboolean answered =
        answer(&once, duet_compare_json(&view), duet_compare_text(&view), out_text, error);
    for (gsize i = 0; i < once.n_arms; i++)
        duet_idle_clear(&idle[i]);
    if (answered)
        *out_exit_code = code;
    return answered;
}

static gboolean carry_out_memory(const DuetBenchRequest *request, DuetMemorySampler *sampler,
    DuetJournal *journal, GError **error)
{
    DuetRunner runner = {
        .take = duet_memory_sampler_take,
        .interrupted = duet_memory_sampler_interrupted,
        .data = sampler,
        .progress = request->progress,
        .progress_data = request->progress_data,
        .record = duet_journal_add,
        .record_data = journal,
    };

    return duet_memory_sampler_begin(sampler, error) &&
        (sampler->interrupted || duet_runner_run(&runner, sampler->run, error));
}

static DuetPlan *memory_plan(const DuetBenchRequest *request)
{
    DuetPlan *plan = duet_plan_new_memory(request->n_arms, request->counts, request->n_counts,
        request->n, request->seed, request->age_ms, request->floor);

    plan->equal_memory_bytes = request->equal_memory_bytes;
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

static gboolean memory(
    const DuetBenchRequest *asked, char **out_text, int *out_exit_code, GError **error)
{
    if (!check_request(asked, error) || !duet_ksm_check(DUET_KSM_FOLDER, asked->ksm, error))
        return FALSE;
    g_autoptr(DuetEqualMemory) equal = duet_equal_memory_new(asked, error);
    if (!equal)
        return FALSE;
    const DuetBenchRequest *request = &equal->request;
    g_autoptr(DuetRun) run = new_run(request, &duet_benchmark_memory, memory_plan(request));
    duet_environment_memory_warnings(run->host, run->warnings);
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error))
        return FALSE;
    if (!measure_memory(request, run, journal, error))
        return FALSE;
    g_autoptr(DuetMemoryAnalysis) analysis =
        duet_memory_analysis_new(run, request->ratio_with_failures);
    int code = run->interrupted ? EXIT_INTERRUPTED : duet_memory_analysis_bad_arm(analysis) ? 1 : 0;
    if (!answer(request, duet_memory_result(run, analysis), duet_memory_table(run, analysis),
            out_text, error))
        return FALSE;
    duet_journal_finish(journal);
    *out_exit_code = code;
    return TRUE;
}

/* @sampler: holds signals back since before there were peers */
static gboolean carry_out_density(DuetDensitySampler *sampler, DuetRun *run, GError **error)
{
    DuetEnvironmentCount before;

    sampler->run = run;
    duet_environment_count(&before);
    gboolean measured = duet_density_sampler_run(sampler, error);
    duet_peers_close(g_steal_pointer(&sampler->peers), run->warnings);
    duet_environment_finish(run->host, &before);
    return measured;
}

static gboolean density(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    if (!check_request(request, error))
        return FALSE;
    g_auto(DuetDensitySampler) sampler = { 0 };
    duet_density_sampler_init(&sampler, request, NULL);
    if ((request->peers || request->peer_files) &&
        !(sampler.peers = duet_peers_open(request, DUET_PEERS_INSTANCES, error)))
        return FALSE;
    g_autoptr(DuetRun) run = new_run(request, &duet_benchmark_density,
        duet_plan_new_density((guint)request->n_arms + duet_peers_count(sampler.peers),
            &request->density, request->seed, request->age_ms));
    if (sampler.peers)
        duet_peers_join(sampler.peers, run);
    duet_environment_memory_warnings(run->host, run->warnings);
    if (!carry_out_density(&sampler, run, error))
        return FALSE;
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    int code = run->interrupted                   ? EXIT_INTERRUPTED
        : duet_density_analysis_bad_arm(analysis) ? 1
                                                  : 0;
    if (!answer(request, duet_density_result(run, analysis), duet_density_table(run, analysis),
            out_text, error))
        return FALSE;
    *out_exit_code = code;
    return TRUE;
}

static gboolean overhead(
    const DuetBenchRequest *asked, char **out_text, int *out_exit_code, GError **error)
{
    if (!check_request(asked, error))
        return FALSE;
    g_autoptr(DuetOverheadPlan) plan = duet_overhead_plan_new(asked, error);
    if (!plan)
        return FALSE;
    const DuetBenchRequest *request = &plan->request;
    g_autoptr(DuetRun) run = new_run(request, &duet_benchmark_overhead, boot_plan(request, 0));
    run->plan->duration_s = request->duration_s;
    g_autoptr(DuetJournal) journal = NULL;
    if (!duet_journal_open(request, &run, &journal, error))
        return FALSE;
    g_auto(DuetInstanceSampler) sampler = { 0 };
    duet_instance_sampler_init(&sampler, request, run, TRUE);
    if (!carry_out(request, duet_overhead_sampler_take, &sampler, NULL, journal, error))
        return FALSE;
    g_autoptr(DuetOverheadAnalysis) analysis =
        duet_overhead_analysis_new(run, request->ratio_with_failures);
    int code = run->interrupted                    ? EXIT_INTERRUPTED
        : duet_overhead_analysis_bad_arm(analysis) ? 1
                                                   : 0;
    if (!answer(request, duet_overhead_result(run, analysis), duet_overhead_table(run, analysis),
            out_text, error))
        return FALSE;
    duet_journal_finish(journal);
    *out_exit_code = code;
    return TRUE;
}

/* The one name that the executable looks up in the module; all others stay inside. */
__attribute__((visibility("default"))) const DuetBenchOps duet_bench = {
    .boot = boot,
    .load = load,
    .compare = compare,
    .memory = memory,
    .density = density,
    .overhead = overhead,
};
