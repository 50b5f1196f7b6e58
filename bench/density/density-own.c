/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instances of ours, as a crowd. */
#include <errno.h>
#include <signal.h>

#include <duet/vm-limits.h>

#include "bench/instance/instance-sampler.h"
#include "density-crowd.h"

/* @spec: with the pool, if there is one. */
typedef struct {
    DuetDensityCrowd crowd;
    guint arm;
    DuetSpec *spec;
} Own;

static gboolean start(
    DuetDensityCrowd *crowd, DuetRun *run, DuetSample *sample, gint64 *out_ns, GError **error)
{
    const Own *own = (Own *)crowd;

    if (!duet_group_start(&crowd->group, error))
        return FALSE;
    const DuetInfo *info = duet_group_info(&crowd->group, crowd->count++);
    sample->marks = info->marks;
    sample->guest_agent_ns = info->guest_agent_ns;
    sample->guest_kernel_ns = info->guest_kernel_ns;
    duet_sample_check_marks(sample);
    duet_bench_take_facts(run, own->arm, info->facts, sample);
    *out_ns = info->marks.ns[DUET_MARK_EXEC] - info->marks.ns[DUET_MARK_REQUEST];
    return TRUE;
}

static void drop_failed(DuetDensityCrowd *crowd, DuetSample *sample)
{
    duet_group_drop_last(&crowd->group, crowd->count, &sample->oom, sample->warnings);
}

/* Asking all would take longer than a start: a process that is there costs a microsecond, and only
 * one that is not is asked. */
static char *find_ended(DuetDensityCrowd *crowd, gboolean *out_oom)
{
    for (guint i = 0; i < crowd->count; i++) {
        pid_t pid = (pid_t)duet_group_info(&crowd->group, i)->pid;
        if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
            continue;
        g_autoptr(DuetInfo) info = duet_instance_info(duet_group_instance(&crowd->group, i), NULL);
        if (!info || info->state == DUET_STATE_RUNNING)
            continue;
        *out_oom = info->oom;
        return info->oom ? g_strdup_printf("the kernel ended number %u for want of memory", i + 1)
                         : g_strdup_printf("number %u ended with code %d", i + 1, info->exit_code);
    }
    return NULL;
}

static guint64 sum_used(DuetDensityCrowd *crowd)
{
    guint64 sum = 0;

    for (guint i = 0; i < crowd->count; i++) {
        DuetMemory memory;
        gint64 age;
        if (!duet_group_read(&crowd->group, i, &memory, &age, NULL))
            continue;
        /* Without a memory controller the shares of what is mapped say it best. */
        guint64 cgroups = memory.cgroup_bytes + memory.managing_cgroup_bytes;
        sum += cgroups > 0 ? cgroups : memory.payload_pss_bytes + memory.managing_pss_bytes;
    }
    return sum;
}

/* Of files only what the kernel would not give back at once. */
static guint64 used_bytes(DuetDensityCrowd *crowd)
{
    DuetPool pool;

    if (crowd->pool_bytes == 0)
        return sum_used(crowd);
    for (guint i = 0; i < crowd->count; i++) {
        if (duet_instance_pool(duet_group_instance(&crowd->group, i), &pool, NULL))
            return pool.charged_bytes - pool.reclaimable_bytes;
    }
    return 0;
}

static void read_memory(DuetDensityCrowd *crowd, DuetMemoryPoint *point)
{
    for (guint i = 0; i < crowd->count; i++) {
        DuetInstanceMemory one = { 0 };
        if (duet_group_read(&crowd->group, i, &one.memory, &one.age_ns, NULL))
            g_array_append_val(point->instances, one);
    }
}

static void ask(DuetDensityCrowd *crowd, guint timeout_ms, DuetDensityAnswer *out_answers)
{
    g_autoptr(GPtrArray) instances = g_ptr_array_new();

    for (guint i = 0; i < crowd->count; i++)
        g_ptr_array_add(instances, duet_group_instance(&crowd->group, i));
    duet_density_probe(instances, timeout_ms, out_answers);
}

static void clear(DuetDensityCrowd *crowd, GPtrArray *warnings)
{
    duet_group_clear(&crowd->group, warnings);
    duet_spec_free(((Own *)crowd)->spec);
}

static const DuetDensityCrowdOps ops = {
    .start = start,
    .drop_failed = drop_failed,
    .find_ended = find_ended,
    .used_bytes = used_bytes,
    .read_memory = read_memory,
    .ask = ask,
    .clear = clear,
};

DuetDensityCrowd *duet_density_own_new(
    const DuetBenchRequest *request, guint arm, guint64 limit_bytes, GError **error)
{
    const DuetSpec *spec = request->arms[arm].spec;
    g_autoptr(GError) why = NULL;
    DuetSpec *copy = duet_bench_spec_copy(spec, error);

    if (!copy)
        return NULL;
    Own *own = g_new0(Own, 1);
    *own = (Own){ .crowd = { .ops = &ops }, .arm = arm, .spec = copy };
    own->crowd.reserved_bytes =
        spec->kind == DUET_KIND_VM ? duet_vm_memory_bytes(spec) : spec->memory_bytes;
    if (limit_bytes > 0 && duet_pool_check(copy, &why)) {
        copy->pool = g_strdup(copy->id);
        copy->pool_memory_bytes = own->crowd.pool_bytes = limit_bytes;
    }
    own->crowd.no_pool = why ? g_strdup(why->message) : NULL;
    duet_group_init(&own->crowd.group, request->context, copy);
    return &own->crowd;
}
