/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include "random.h"

DuetPlan *duet_plan_new(guint n_arms, guint n, guint64 seed, gint64 timeout_ms, double floor)
{
    DuetPlan *plan = g_new0(DuetPlan, 1);
    DuetRandom random;

    plan->seed = seed;
    plan->n = n;
    plan->n_arms = n_arms;
    plan->mode = g_strdup("warm");
    plan->timeout_ms = timeout_ms;
    plan->floor = floor;
    plan->order = g_new(guint, MAX((gsize)n * n_arms, 1));
    duet_random_init(&random, seed);
    for (guint block = 0; block < n; block++) {
        guint *order = plan->order + (gsize)block * n_arms;
        for (guint arm = 0; arm < n_arms; arm++)
            order[arm] = arm;
        duet_random_shuffle(&random, order, n_arms);
    }
    return plan;
}

void duet_plan_free(DuetPlan *plan)
{
    if (!plan)
        return;
    g_free(plan->mode);
    g_free(plan->order);
    g_free(plan);
}
