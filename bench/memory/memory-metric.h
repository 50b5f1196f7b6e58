/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * DuetMemoryMetric: what can be read off a sample of `bench memory`, each a sum over its instances
 * or a difference of the host's. First the three estimators; then MemFree, which is shown and not
 * fitted; then what the estimators are made of; then what an instance is made of; then what a guest
 * says of its own, and what KSM saved the host.
 */
typedef enum {
    DUET_MEMORY_PSS,
    DUET_MEMORY_CGROUP,
    DUET_MEMORY_HOST,
    DUET_MEMORY_FREE,
    DUET_MEMORY_PSS_ANON,
    DUET_MEMORY_PSS_FILE,
    DUET_MEMORY_PSS_SHMEM,
    DUET_MEMORY_CGROUP_ANON,
    DUET_MEMORY_CGROUP_FILE,
    DUET_MEMORY_CGROUP_SHMEM,
    DUET_MEMORY_CGROUP_KERNEL,
    DUET_MEMORY_HOST_ANON,
    DUET_MEMORY_HOST_SHMEM,
    DUET_MEMORY_HOST_KERNEL,
    DUET_MEMORY_GUEST_RAM,
    DUET_MEMORY_OWN_ANON,
    DUET_MEMORY_OWN_FILE,
    DUET_MEMORY_OWN_SHMEM,
    DUET_MEMORY_HELPERS,
    DUET_MEMORY_MANAGING,
    DUET_MEMORY_PAGE_TABLES,
    DUET_MEMORY_KERNEL,
    DUET_MEMORY_GUEST_CACHE,
    DUET_MEMORY_GUEST_FREE,
    DUET_MEMORY_GUEST_AVAILABLE,
    DUET_MEMORY_KSM_SAVED,
    DUET_MEMORY_METRIC_COUNT,
} DuetMemoryMetric;

#define DUET_MEMORY_ESTIMATORS (DUET_MEMORY_HOST + 1)

/** duet_memory_metric_id: its name in the result file ("pss", "cgroup_anon"). */
const char *duet_memory_metric_id(DuetMemoryMetric metric);

/** duet_memory_point_value: Returns: %FALSE if the point, of a good sample, does not tell. */
gboolean duet_memory_point_value(
    const DuetMemoryPoint *point, DuetMemoryMetric metric, double *out_bytes);
/**
 * duet_memory_metric_value:
 * Returns: %FALSE if the sample does not tell: it failed, there is no cgroup.
 */
gboolean duet_memory_metric_value(
    const DuetSample *sample, DuetMemoryMetric metric, double *out_bytes);

G_END_DECLS
