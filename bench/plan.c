/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include "random.h"

guint duet_plan_cells(const DuetPlan *plan)
{
    return plan->n_arms * MAX(plan->n_counts, 1);
}

guint duet_plan_cell(const DuetPlan *plan, guint cell, guint *out_count)
{
    *out_count = plan->n_counts > 0 ? plan->counts[cell % plan->n_counts] : 0;
    return cell / MAX(plan->n_counts, 1);
}

guint duet_plan_warm_count(const DuetPlan *plan)
{
    return plan->n_counts > 0 ? 1 : 0;
}

static void draw_order(DuetPlan *plan)
{
    guint cells = duet_plan_cells(plan);
    DuetRandom random;

    plan->order = g_new(guint, MAX((gsize)plan->n * cells, 1));
    duet_random_init(&random, plan->seed);
    for (guint block = 0; block < plan->n; block++) {
        guint *order = plan->order + (gsize)block * cells;
        for (guint cell = 0; cell < cells; cell++)
            order[cell] = cell;
        duet_random_shuffle(&random, order, cells);
    }
}

DuetPlan *duet_plan_new(guint n_arms, guint n, guint64 seed, gint64 timeout_ms, double floor)
{
    DuetPlan *plan = g_new0(DuetPlan, 1);

    plan->seed = seed;
    plan->n = n;
    plan->n_arms = n_arms;
    plan->mode = g_strdup("warm");
    plan->timeout_ms = timeout_ms;
    plan->floor = floor;
    draw_order(plan);
    return plan;
}

DuetPlan *duet_plan_new_memory(
    guint n_arms, const guint *counts, guint n_counts, guint n, guint64 seed, gint64 age_ms)
{
    DuetPlan *plan = g_new0(DuetPlan, 1);

    plan->seed = seed;
    plan->n = n;
    plan->n_arms = n_arms;
    plan->mode = g_strdup("warm");
    plan->n_counts = n_counts;
    plan->counts = g_memdup2(counts, n_counts * sizeof *counts);
    plan->age_ms = age_ms;
    draw_order(plan);
    return plan;
}

void duet_plan_free(DuetPlan *plan)
{
    if (!plan)
        return;
    g_free(plan->mode);
    g_free(plan->order);
    g_free(plan->counts);
    g_free(plan);
}
