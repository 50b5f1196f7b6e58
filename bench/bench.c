/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job.h"

/* The one name that the executable looks up in the module; all others stay inside. */
__attribute__((visibility("default"))) const DuetBenchOps duet_bench = {
    .boot = duet_job_boot,
    .cost = duet_job_cost,
    .load = duet_job_load,
    .compare = duet_job_compare,
    .memory = duet_job_memory,
    .density = duet_job_density,
    .overhead = duet_job_overhead,
};
