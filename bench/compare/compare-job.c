/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `duet compare`: one sample of each arm, and what it wrote. */
#include "compare.h"
#include "bench/job.h"

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

gboolean duet_job_compare(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    DuetBenchRequest once = *request;
    once.n = 1;
    if (!duet_job_check(&once, error))
        return FALSE;
    g_autoptr(DuetRun) run =
        duet_job_run(&once, &duet_benchmark_boot, duet_job_boot_plan(&once, 0));
    g_auto(DuetInstanceSampler) sampler = { 0 };
    duet_instance_sampler_init(&sampler, &once, run, TRUE);
    if (!duet_job_carry_out(&once, duet_instance_sampler_take, &sampler, NULL, NULL, error))
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
    const DuetJobAnswer answer = {
        .json = duet_compare_json(&view),
        .text = duet_compare_text(&view),
        .bad = !all_ran(run),
    };
    duet_job_answer(&once, run, NULL, &answer, out_text, out_exit_code);
    for (gsize i = 0; i < once.n_arms; i++)
        duet_idle_clear(&idle[i]);
    return TRUE;
}
