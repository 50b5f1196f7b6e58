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
