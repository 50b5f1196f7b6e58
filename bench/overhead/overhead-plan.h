/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "overhead-test.h"

G_BEGIN_DECLS

/**
 * DuetOverheadPlan: the arms of `bench overhead`: each test in each kind of instance.
 * @request: the user's, but with these arms
 */
typedef struct {
    GPtrArray *specs;
    GPtrArray *names;
    GArray *arms;
    DuetBenchRequest request;
} DuetOverheadPlan;

/** duet_overhead_plan_new: Returns: (transfer full): or NULL with @error, as for unknown tests. */
DuetOverheadPlan *duet_overhead_plan_new(const DuetBenchRequest *request, GError **error);
void duet_overhead_plan_free(DuetOverheadPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetOverheadPlan, duet_overhead_plan_free)

G_END_DECLS
