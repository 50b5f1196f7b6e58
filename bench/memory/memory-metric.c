/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-metric.h"

static const char *const ids[] = {
    [DUET_MEMORY_PSS] = "pss",
    [DUET_MEMORY_CGROUP] = "cgroup",
    [DUET_MEMORY_HOST] = "host",
    [DUET_MEMORY_FREE] = "host_free",
    [DUET_MEMORY_PSS_ANON] = "pss_anon",
    [DUET_MEMORY_PSS_FILE] = "pss_file",
    [DUET_MEMORY_PSS_SHMEM] = "pss_shmem",
    [DUET_MEMORY_CGROUP_ANON] = "cgroup_anon",
    [DUET_MEMORY_CGROUP_FILE] = "cgroup_file",
    [DUET_MEMORY_CGROUP_SHMEM] = "cgroup_shmem",
    [DUET_MEMORY_CGROUP_KERNEL] = "cgroup_kernel",
    [DUET_MEMORY_HOST_ANON] = "host_anon",
    [DUET_MEMORY_HOST_SHMEM] = "host_shmem",
    [DUET_MEMORY_HOST_KERNEL] = "host_kernel",
    [DUET_MEMORY_GUEST_RAM] = "guest_ram",
    [DUET_MEMORY_OWN_ANON] = "own_anon",
    [DUET_MEMORY_OWN_FILE] = "own_file",
    [DUET_MEMORY_OWN_SHMEM] = "own_shmem",
    [DUET_MEMORY_HELPERS] = "helpers",
    [DUET_MEMORY_MANAGING] = "managing",
    [DUET_MEMORY_PAGE_TABLES] = "page_tables",
    [DUET_MEMORY_KERNEL] = "kernel",
    [DUET_MEMORY_GUEST_CACHE] = "guest_cache",
    [DUET_MEMORY_GUEST_FREE] = "guest_free",
    [DUET_MEMORY_GUEST_AVAILABLE] = "guest_available",
    [DUET_MEMORY_KSM_SAVED] = "ksm_saved",
};

const char *duet_memory_metric_id(DuetMemoryMetric metric)
{
    g_return_val_if_fail((gsize)metric < G_N_ELEMENTS(ids), "pss");
    return ids[metric];
}

static guint64 of_cgroups(const DuetMemory *m, DuetMemoryMetric metric)
{
    switch (metric) {
    case DUET_MEMORY_CGROUP_ANON:
        return m->cgroup_anon_bytes + m->managing_cgroup_anon_bytes;
    case DUET_MEMORY_CGROUP_FILE:
        return m->cgroup_file_bytes + m->managing_cgroup_file_bytes;
    case DUET_MEMORY_CGROUP_SHMEM:
        return m->cgroup_shmem_bytes + m->managing_cgroup_shmem_bytes;
    case DUET_MEMORY_CGROUP_KERNEL:
        return m->cgroup_kernel_bytes + m->managing_cgroup_kernel_bytes;
    case DUET_MEMORY_KERNEL:
        return m->cgroup_kernel_bytes;
    default:
        return m->cgroup_bytes + m->managing_cgroup_bytes;
    }
}

static guint64 of_processes(const DuetMemory *m, DuetMemoryMetric metric)
{
    guint64 managing_anon =
        m->managing_pss_bytes - MIN(m->managing_pss_bytes, m->managing_file_pss_bytes);

    switch (metric) {
    case DUET_MEMORY_PSS_ANON:
        return m->anon_pss_bytes + managing_anon +
            (m->guest_ram_shared ? 0 : m->guest_ram_pss_bytes);
    case DUET_MEMORY_PSS_FILE:
        return m->file_pss_bytes + m->managing_file_pss_bytes;
    case DUET_MEMORY_PSS_SHMEM:
        return m->shmem_pss_bytes + (m->guest_ram_shared ? m->guest_ram_pss_bytes : 0);
    case DUET_MEMORY_GUEST_RAM:
        return m->guest_ram_pss_bytes;
    case DUET_MEMORY_OWN_ANON:
        return m->anon_pss_bytes;
    case DUET_MEMORY_OWN_FILE:
        return m->file_pss_bytes;
    case DUET_MEMORY_OWN_SHMEM:
        return m->shmem_pss_bytes;
    case DUET_MEMORY_HELPERS:
        return m->helpers_pss_bytes;
    case DUET_MEMORY_MANAGING:
        return m->managing_pss_bytes;
    case DUET_MEMORY_PAGE_TABLES:
        return m->page_table_bytes;
    default:
        return m->payload_pss_bytes + m->managing_pss_bytes;
    }
}

static double kernel_of(const DuetHostMemory *host)
{
    return (double)host->page_table_bytes + host->slab_unreclaimable_bytes +
        host->kernel_stack_bytes + host->percpu_bytes;
}

static double of_host(const DuetMemoryPoint *point, DuetMemoryMetric metric)
{
    const DuetHostMemory *before = &point->before, *after = &point->host;

    switch (metric) {
    case DUET_MEMORY_FREE:
        return (double)before->free_bytes - after->free_bytes;
    case DUET_MEMORY_HOST_ANON:
        return (double)after->anon_bytes - before->anon_bytes;
    case DUET_MEMORY_HOST_SHMEM:
        return (double)after->shmem_bytes - before->shmem_bytes;
    case DUET_MEMORY_HOST_KERNEL:
        return kernel_of(after) - kernel_of(before);
    default:
        return (double)before->available_bytes - after->available_bytes;
    }
}

static guint64 of_guest(const DuetHostMemory *guest, DuetMemoryMetric metric)
{
    switch (metric) {
    case DUET_MEMORY_GUEST_CACHE:
        return guest->cached_bytes + guest->buffers_bytes;
    case DUET_MEMORY_GUEST_FREE:
        return guest->free_bytes;
    default:
        return guest->available_bytes;
    }
}

static gboolean is_of_guest(DuetMemoryMetric metric)
{
    return metric >= DUET_MEMORY_GUEST_CACHE && metric <= DUET_MEMORY_GUEST_AVAILABLE;
}

static gboolean is_of_host(DuetMemoryMetric metric)
{
    return metric == DUET_MEMORY_HOST || metric == DUET_MEMORY_FREE ||
        (metric >= DUET_MEMORY_HOST_ANON && metric <= DUET_MEMORY_HOST_KERNEL);
}

static gboolean is_of_cgroups(DuetMemoryMetric metric)
{
    return metric == DUET_MEMORY_CGROUP || metric == DUET_MEMORY_KERNEL ||
        (metric >= DUET_MEMORY_CGROUP_ANON && metric <= DUET_MEMORY_CGROUP_KERNEL);
}

/* Returns: FALSE if it is not known. */
static gboolean add_instance(const DuetInstanceMemory *one, DuetMemoryMetric metric, double *sum)
{
    const DuetMemory *m = &one->memory;
    gboolean cgroups = is_of_cgroups(metric);

    if (is_of_guest(metric)) {
        *sum += of_guest(&one->guest, metric);
        return one->guest.at_ns > 0;
    }
    *sum += cgroups ? of_cgroups(m, metric) : of_processes(m, metric);
    return (cgroups ? m->cgroup_bytes : m->payload_pss_bytes) > 0;
}

gboolean duet_memory_point_value(
    const DuetMemoryPoint *point, DuetMemoryMetric metric, double *out_bytes)
{
    double sum = 0;

    if (point->instances->len != point->count || point->host.at_ns == 0)
        return FALSE;
    if (metric == DUET_MEMORY_KSM_SAVED) {
        *out_bytes = (double)duet_ksm_saved_bytes(&point->ksm);
        return point->ksm.after.at_ns > 0;
    }
    if (is_of_host(metric))
        sum = of_host(point, metric);
    for (guint i = 0; !is_of_host(metric) && i < point->count; i++) {
        if (!add_instance(&g_array_index(point->instances, DuetInstanceMemory, i), metric, &sum))
            return FALSE;
    }
    *out_bytes = sum;
    return TRUE;
}

gboolean duet_memory_metric_value(
    const DuetSample *sample, DuetMemoryMetric metric, double *out_bytes)
{
    return sample->memory && sample->status == DUET_SAMPLE_OK &&
        duet_memory_point_value(sample->memory, metric, out_bytes);
}
