/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-sampler.h"

#include "density-arm.h"

static DuetDensityCrowd *crowd_new(
    DuetDensitySampler *sampler, guint arm, guint64 limit_bytes, GError **error)
{
    const DuetBenchRequest *request = sampler->request;
    DuetDensityCrowd *crowd = arm < request->n_arms
        ? duet_density_own_new(request, arm, limit_bytes, error)
        : duet_density_peer_new(
              request, sampler->peers, arm - (guint)request->n_arms, limit_bytes, error);

    if (crowd)
        crowd->group.option = "--max";
    return crowd;
}

gboolean duet_density_crowd_free(DuetDensityCrowd *crowd, GPtrArray *warnings)
{
    crowd->ops->clear(crowd, warnings);
    gboolean interrupted = crowd->group.interrupted;
    g_free(crowd->no_pool);
    g_free(crowd);
    return interrupted;
}

void duet_density_sampler_init(
    DuetDensitySampler *sampler, const DuetBenchRequest *request, DuetRun *run)
{
    *sampler = (DuetDensitySampler){
        .request = request,
        .run = run,
        .read_host = duet_density_host_read,
        .new_crowd = crowd_new,
    };
    duet_hold_signals(&sampler->old_signals);
}

void duet_density_sampler_clear(DuetDensitySampler *sampler)
{
    if (sampler->request)
        duet_release_signals(&sampler->old_signals);
    *sampler = (DuetDensitySampler){ 0 };
}

/* Those that a run that is resumed has already. */
static gboolean is_over(const DuetDensitySampler *sampler, guint arm)
{
    return duet_density_is_over(sampler->run->density->pdata[arm]);
}

static gboolean warm_up_all(DuetDensitySampler *sampler, GError **error)
{
    const DuetPlan *plan = sampler->run->plan;

    for (guint i = 0; i < plan->n_arms && !sampler->run->interrupted; i++) {
        guint arm = plan->order[i];
        if (!is_over(sampler, arm) && !duet_density_arm_warm_up(sampler, arm, error))
            return FALSE;
    }
    return TRUE;
}

/* What was measured of it stays among the samples. */
static void note_failed(DuetRun *run, guint arm, const GError *why)
{
    DuetDensityOutcome *outcome = run->density->pdata[arm];

    outcome->bound = DUET_DENSITY_BOUND_NONE;
    g_free(outcome->detail);
    outcome->detail = g_strdup(why->message);
    g_ptr_array_add(run->warnings,
        g_strdup_printf(
            "%s: could not be measured: %s", duet_run_arm(run, arm)->name, why->message));
}

/* An arm may take ten minutes: what fails in one takes nothing from the others. */
static gboolean measure_all(DuetDensitySampler *sampler, GError **error)
{
    DuetRun *run = sampler->run;
    g_autoptr(GError) first = NULL;
    guint finished = 0;

    for (guint i = 0; i < run->plan->n_arms && !run->interrupted; i++) {
        guint arm = run->plan->order[i];
        g_autoptr(GError) failure = NULL;
        if (is_over(sampler, arm) || duet_density_arm_measure(sampler, arm, &failure)) {
            finished++;
            continue;
        }
        note_failed(run, arm, failure);
        if (!first)
            first = g_steal_pointer(&failure);
    }
    if (finished > 0 || !first)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&first));
    return FALSE;
}

gboolean duet_density_sampler_run(DuetDensitySampler *sampler, GError **error)
{
    DuetRun *run = sampler->run;

    if (!run->density)
        run->density = g_ptr_array_new_with_free_func((GDestroyNotify)duet_density_outcome_free);
    for (guint i = run->density->len; i < run->plan->n_arms; i++)
        g_ptr_array_add(run->density, duet_density_outcome_new());
    gboolean measured = warm_up_all(sampler, error) && measure_all(sampler, error);
    if (sampler->request->progress)
        sampler->request->progress(NULL, sampler->request->progress_data);
    return measured;
}
