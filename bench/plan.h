/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetPlan: everything that is fixed before the first sample.
 * @n: samples per arm, one in each block
 * @mode: cache mode; "warm": one discarded sample of each arm comes first
 * @order: @n times @n_arms arm numbers: block by block, each a random order of all arms
 * @timeout_ms: after which a sample is given up and counted as censored
 * @floor: the smallest relative effect that may be called a difference
 */
typedef struct {
    guint64 seed;
    guint n;
    guint n_arms;
    char *mode;
    guint *order;
    gint64 timeout_ms;
    double floor;
} DuetPlan;

/**
 * duet_plan_new:
 * Returns: (transfer full): a plan in mode "warm", its order made from @seed alone.
 */
DuetPlan *duet_plan_new(guint n_arms, guint n, guint64 seed, gint64 timeout_ms, double floor);
void duet_plan_free(DuetPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPlan, duet_plan_free)

G_END_DECLS
