/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "benchmark.h"

static const DuetBenchmark *const benchmarks[] = {
    &duet_benchmark_boot,
    &duet_benchmark_cost,
    &duet_benchmark_memory,
    &duet_benchmark_density,
    &duet_benchmark_overhead,
    &duet_benchmark_load,
};

const DuetBenchmark *duet_benchmark_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(benchmarks); i++) {
        if (g_str_equal(benchmarks[i]->name, name))
            return benchmarks[i];
    }
    return NULL;
}

static char *describe(const DuetBenchmark *benchmark, const DuetSample *sample)
{
    return benchmark->describe ? benchmark->describe(sample) : g_strdup("");
}

gboolean duet_benchmark_planned(const DuetRun *run, const DuetSample *sample, guint place)
{
    const DuetPlan *plan = run->plan;
    guint cells = duet_plan_cells(plan), variant;

    if (place >= plan->n * cells)
        return FALSE;
    g_autoptr(DuetSample) wanted = duet_sample_new(
        duet_plan_cell(plan, plan->order[place], &variant), place / cells, sample->seq);
    if (run->benchmark->new_sample)
        run->benchmark->new_sample(plan, (int)variant, wanted);
    g_autofree char *one = describe(run->benchmark, sample);
    g_autofree char *other = describe(run->benchmark, wanted);
    return sample->arm == wanted->arm && sample->block == wanted->block && g_str_equal(one, other);
}
