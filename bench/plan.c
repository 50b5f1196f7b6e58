/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plan.h"

#include "random.h"

guint duet_plan_cells(const DuetPlan *plan)
{
    return plan->n_arms * plan->n_variants;
}

guint duet_plan_cell(const DuetPlan *plan, guint cell, guint *out_variant)
{
    *out_variant = cell % plan->n_variants;
    return cell / plan->n_variants;
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

static DuetPlan *new_plan(guint n_arms, guint n_variants, guint n, guint64 seed)
{
    DuetPlan *plan = g_new0(DuetPlan, 1);

    plan->seed = seed;
    plan->n = n;
    plan->n_arms = n_arms;
    plan->n_variants = n_variants;
    plan->mode = g_strdup("warm");
    draw_order(plan);
    return plan;
}

DuetPlan *duet_plan_new(guint n_arms, guint n, guint64 seed, gint64 timeout_ms, double floor)
{
    DuetPlan *plan = new_plan(n_arms, 1, n, seed);

    plan->timeout_ms = timeout_ms;
    plan->floor = floor;
    return plan;
}

DuetPlan *duet_plan_new_memory(guint n_arms, const guint *counts, guint n_counts, guint n,
    guint64 seed, gint64 age_ms, double floor)
{
    DuetPlan *plan = new_plan(n_arms, n_counts, n, seed);

    plan->counts = g_memdup2(counts, n_counts * sizeof *counts);
    plan->age_ms = age_ms;
    plan->floor = floor;
    return plan;
}

DuetPlan *duet_plan_new_load(
    guint n_arms, const guint *levels, guint n_levels, guint n, guint64 seed, guint starts)
{
    DuetPlan *plan = new_plan(n_arms, n_levels, n, seed);

    plan->counts = g_memdup2(levels, n_levels * sizeof *levels);
    plan->load_starts = starts;
    return plan;
}

DuetPlan *duet_plan_new_density(
    guint n_arms, const DuetDensityLimits *limits, guint64 seed, gint64 age_ms)
{
    DuetPlan *plan = duet_plan_new(n_arms, 1, seed, 0, 0);

    plan->density = g_memdup2(limits, sizeof *limits);
    plan->age_ms = age_ms;
    return plan;
}

guint duet_plan_option_words(const char *option)
{
    return g_str_equal(option, "--read-only") ? 1 : 2;
}

void duet_plan_set_mode(DuetPlan *plan, const char *mode)
{
    if (!mode)
        return;
    g_free(plan->mode);
    plan->mode = g_strdup(mode);
}

gboolean duet_plan_is_blocked(const DuetPlan *plan)
{
    return !g_str_equal(plan->mode, DUET_PLAN_IMPORTED);
}

void duet_plan_free(DuetPlan *plan)
{
    if (!plan)
        return;
    g_free(plan->mode);
    g_free(plan->ready);
    g_free(plan->from);
    g_free(plan->ksm);
    g_free(plan->order);
    g_free(plan->counts);
    g_free(plan->density);
    g_strfreev(plan->options);
    g_free(plan);
}
