/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-sampler.h"

#include <errno.h>
#include <signal.h>

#include <duet/error.h>
#include <duet/vm-limits.h>

#include "bench/group.h"
#include "bench/instance-sampler.h"
#include "bench/leftover.h"
#include "bench/text.h"
#include "density-probe.h"

/* What the instances before had comes back to the host with a delay. */
#define SETTLE_MS 1000
/* A guest that shares a core with many others answers late, and is alive. */
#define PROBE_TIMEOUT_MS 30000

/* One arm under way. @spec: with the pool, if there is one. */
typedef struct {
    DuetDensitySampler *sampler;
    guint arm;
    DuetSpec *spec;
    DuetGroup group;
    DuetDensityWatch watch;
    DuetDensityOutcome *outcome;
} Arm;

static void warn_all(DuetRun *run, const char *name, GPtrArray *warnings)
{
    for (guint i = 0; i < warnings->len; i++)
        g_ptr_array_add(run->warnings,
            g_strdup_printf("%s: %s", name, (const char *)g_ptr_array_index(warnings, i)));
}

static DuetSample *add_sample(DuetRun *run, guint arm)
{
    DuetSample *sample = duet_sample_new(arm, 0, run->samples->len);

    sample->density = g_new0(DuetDensityStart, 1);
    g_ptr_array_add(run->samples, sample);
    return sample;
}

static void take_start(DuetRun *run, const DuetInfo *info, DuetSample *sample)
{
    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    sample->marks = info->marks;
    sample->guest_agent_ns = info->guest_agent_ns;
    sample->guest_kernel_ns = info->guest_kernel_ns;
    duet_sample_check_marks(sample);
    duet_bench_take_facts(run, sample->arm, info->facts, sample);
}

/* One start that is in no figure, so that the first that counts finds warm caches. */
static gboolean warm_up(DuetDensitySampler *sampler, guint arm, GError **error)
{
    const DuetBenchArm *bench_arm = &sampler->request->arms[arm];
    DuetSample *sample = add_sample(sampler->run, arm);
    g_autoptr(GError) failure = NULL;
    DuetGroup group;

    sample->discarded = TRUE;
    duet_group_init(&group, sampler->request->context, bench_arm->spec);
    if (!sampler->read_host(&sample->density->host, &failure) ||
        !duet_group_start(&group, &failure)) {
        sample->error = g_strdup(failure->message);
    } else {
        sample->density->running = 1;
        take_start(sampler->run, duet_group_info(&group, 0), sample);
    }
    duet_group_clear(&group, sample->warnings);
    sampler->run->interrupted |= group.interrupted;
    if (group.interrupted || !failure || !duet_bench_is_hopeless(failure))
        return TRUE;
    g_propagate_prefixed_error(
        error, g_steal_pointer(&failure), "cannot measure '%s': ", bench_arm->name);
    return FALSE;
}

static guint64 sum_used(Arm *arm)
{
    guint64 sum = 0;

    for (guint i = 0; i < arm->group.members->len; i++) {
        DuetMemory memory;
        gint64 age;
        if (!duet_group_read(&arm->group, i, &memory, &age, NULL))
            continue;
        /* Without a memory controller the shares of what is mapped say it best. */
        guint64 cgroups = memory.cgroup_bytes + memory.managing_cgroup_bytes;
        sum += cgroups > 0 ? cgroups : memory.payload_pss_bytes + memory.managing_pss_bytes;
    }
    return sum;
}

/* What all use together: of files only what the kernel would not give back at once. */
static guint64 used_bytes(Arm *arm)
{
    DuetPool pool;

    if (arm->watch.limits.budget_bytes == 0)
        return 0;
    if (!arm->spec->pool)
        return sum_used(arm);
    for (guint i = 0; i < arm->group.members->len; i++) {
        if (duet_instance_pool(duet_group_instance(&arm->group, i), &pool, NULL))
            return pool.charged_bytes - pool.reclaimable_bytes;
    }
    return 0;
}

static void tell(Arm *arm, guint64 used)
{
    const DuetBenchRequest *request = arm->sampler->request;

    if (!request->progress)
        return;
    g_autofree char *text = duet_text_bytes(used);
    g_autofree char *budget = duet_text_bytes(arm->watch.limits.budget_bytes);
    g_autofree char *line =
        g_strdup_printf("%s: %u running%s%s%s%s, %.0f s gone", request->arms[arm->arm].name,
            arm->watch.running, used > 0 ? ", " : "", used > 0 ? text : "", used > 0 ? " of " : "",
            used > 0 ? budget : "", (duet_now_ns() - arm->watch.first.memory.at_ns) / 1e9);
    request->progress(line, request->progress_data);
}

/* A start that failed. Returns: what that is a sign of, or NONE. */
static DuetDensityBound failed_start(Arm *arm, DuetSample *sample, const GError *failure)
{
    gboolean timeout = g_error_matches(failure, DUET_ERROR, DUET_ERROR_TIMEOUT);

    sample->status = timeout ? DUET_SAMPLE_TIMEOUT : DUET_SAMPLE_FAILED;
    sample->exit_code = duet_error_exit_code(failure);
    sample->error = g_strdup(failure->message);
    duet_group_drop_last(&arm->group, arm->watch.running, &sample->oom, sample->warnings);
    duet_density_watch_failed(&arm->watch);
    if (arm->group.no_room)
        return DUET_DENSITY_BOUND_HOST_MEMORY;
    return sample->oom && arm->spec->pool ? DUET_DENSITY_BOUND_BUDGET : DUET_DENSITY_BOUND_NONE;
}

static DuetDensityBound start_one(Arm *arm, const DuetDensityHost *host, guint64 used)
{
    DuetRun *run = arm->sampler->run;
    g_autoptr(GError) failure = NULL;
    gboolean started = duet_group_start(&arm->group, &failure);

    if (!started && arm->group.interrupted)
        return DUET_DENSITY_BOUND_INTERRUPTED;
    DuetSample *sample = add_sample(run, arm->arm);
    sample->density->host = *host;
    sample->density->used_bytes = used;
    sample->density->running = arm->watch.running + started;
    if (!started) {
        DuetDensityBound bound = failed_start(arm, sample, failure);
        if (bound != DUET_DENSITY_BOUND_NONE)
            arm->outcome->detail = g_strdup(failure->message);
        return bound;
    }
    const DuetInfo *info = duet_group_info(&arm->group, arm->watch.running);
    take_start(run, info, sample);
    duet_density_watch_started(
        &arm->watch, info->marks.ns[DUET_MARK_EXEC] - info->marks.ns[DUET_MARK_REQUEST]);
    return DUET_DENSITY_BOUND_NONE;
}

/* Looks for one that is no more. Asking all would take longer than a start: a process that is there
 * costs a microsecond, and only one that is not is asked. */
static DuetDensityBound look_for_ended(Arm *arm)
{
    for (guint i = 0; i < arm->group.members->len; i++) {
        pid_t pid = (pid_t)duet_group_info(&arm->group, i)->pid;
        if (pid <= 0 || kill(pid, 0) == 0 || errno != ESRCH)
            continue;
        g_autoptr(DuetInfo) info = duet_instance_info(duet_group_instance(&arm->group, i), NULL);
        if (!info || info->state == DUET_STATE_RUNNING)
            continue;
        gboolean full = info->oom && arm->spec->pool;
        arm->outcome->detail = full
            ? g_strdup_printf("the kernel ended number %u to keep it", i + 1)
            : g_strdup_printf("number %u ended with code %d", i + 1, info->exit_code);
        return full ? DUET_DENSITY_BOUND_BUDGET : DUET_DENSITY_BOUND_ENDED;
    }
    return DUET_DENSITY_BOUND_NONE;
}

static gboolean start_all(Arm *arm, GError **error)
{
    DuetDensityOutcome *outcome = arm->outcome;

    while (outcome->bound == DUET_DENSITY_BOUND_NONE) {
        DuetDensityHost now;
        if (!arm->sampler->read_host(&now, error))
            return FALSE;
        outcome->bound = look_for_ended(arm);
        if (outcome->bound != DUET_DENSITY_BOUND_NONE)
            break;
        outcome->used_bytes = used_bytes(arm);
        tell(arm, outcome->used_bytes);
        outcome->bound =
            duet_density_watch_check(&arm->watch, &now, outcome->used_bytes, &outcome->detail);
        if (outcome->bound == DUET_DENSITY_BOUND_NONE)
            outcome->bound = start_one(arm, &now, outcome->used_bytes);
    }
    outcome->reached = arm->watch.running;
    return TRUE;
}

/* The host first: to read the instances takes memory, too. */
static void read_memory(Arm *arm)
{
    DuetMemoryPoint *point = arm->outcome->memory;
    DuetHostMemory host;

    if (!arm->group.read_host(&host, NULL))
        return;
    for (guint i = 0; i < arm->group.members->len; i++) {
        DuetInstanceMemory one = { 0 };
        if (duet_group_read(&arm->group, i, &one.memory, &one.age_ns, NULL))
            g_array_append_val(point->instances, one);
    }
    point->count = point->started = point->instances->len;
    point->before = arm->watch.first.memory;
    point->host = host;
}

static void ask_all(Arm *arm)
{
    guint n = arm->group.members->len;
    g_autofree DuetDensityAnswer *answers = g_new0(DuetDensityAnswer, n + 1);
    g_autoptr(GPtrArray) instances = g_ptr_array_new();

    for (guint i = 0; i < n; i++)
        g_ptr_array_add(instances, duet_group_instance(&arm->group, i));
    duet_density_probe(instances, PROBE_TIMEOUT_MS, answers);
    for (guint i = 0; i < n; i++) {
        arm->outcome->answered += answers[i] == DUET_DENSITY_ANSWERED;
        arm->outcome->ended += answers[i] == DUET_DENSITY_ENDED;
        arm->outcome->silent += answers[i] == DUET_DENSITY_SILENT;
    }
}

static gboolean arm_init(
    Arm *arm, DuetDensitySampler *sampler, guint index, DuetDensityOutcome *outcome, GError **error)
{
    const DuetSpec *spec = sampler->request->arms[index].spec;
    const DuetDensityLimits *limits = sampler->run->plan->density;
    g_autoptr(GError) why = NULL;
    DuetSpec *copy = duet_bench_spec_copy(spec, error);

    if (!copy)
        return FALSE;
    *arm = (Arm){ .sampler = sampler, .arm = index, .spec = copy, .outcome = outcome };
    outcome->reserved_bytes =
        spec->kind == DUET_KIND_VM ? duet_vm_memory_bytes(spec) : spec->memory_bytes;
    if (limits->budget_bytes > 0 && duet_pool_check(copy, &why)) {
        copy->pool = g_strdup(copy->id);
        copy->pool_memory_bytes = limits->budget_bytes;
    }
    outcome->no_pool = why ? g_strdup(why->message) : NULL;
    duet_group_init(&arm->group, sampler->request->context, copy);
    return TRUE;
}

static gboolean measure(Arm *arm, GError **error)
{
    DuetDensityHost first;

    if (!duet_group_wait(&arm->group, SETTLE_MS, NULL)) {
        arm->outcome->bound = arm->group.interrupted ? DUET_DENSITY_BOUND_INTERRUPTED
                                                     : DUET_DENSITY_BOUND_HOST_MEMORY;
        return TRUE;
    }
    if (!arm->sampler->read_host(&first, error))
        return FALSE;
    duet_density_watch_init(&arm->watch, arm->sampler->run->plan->density, &first);
    gboolean done = start_all(arm, error);
    /* Also when the host has become too full to wait: those that run are asked all the same. */
    if (done && !arm->group.interrupted)
        duet_group_wait(&arm->group, arm->sampler->run->plan->age_ms, NULL);
    if (done && !arm->group.interrupted) {
        arm->outcome->used_bytes = used_bytes(arm);
        read_memory(arm);
        ask_all(arm);
    }
    duet_density_watch_clear(&arm->watch);
    return done;
}

static gboolean run_arm(DuetDensitySampler *sampler, guint index, GError **error)
{
    DuetRun *run = sampler->run;
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    Arm arm;

    if (!warm_up(sampler, index, error))
        return FALSE;
    if (run->interrupted)
        return TRUE;
    if (!arm_init(&arm, sampler, index, run->density->pdata[index], error))
        return FALSE;
    gboolean done = measure(&arm, error);
    duet_group_clear(&arm.group, warnings);
    run->interrupted |= arm.group.interrupted;
    if (arm.group.interrupted)
        arm.outcome->bound = DUET_DENSITY_BOUND_INTERRUPTED;
    warn_all(run, sampler->request->arms[index].name, warnings);
    duet_spec_free(arm.spec);
    return done;
}

void duet_density_sampler_init(
    DuetDensitySampler *sampler, const DuetBenchRequest *request, DuetRun *run)
{
    *sampler = (DuetDensitySampler){
        .request = request,
        .run = run,
        .read_host = duet_density_host_read,
    };
    duet_hold_signals(&sampler->old_signals);
}

void duet_density_sampler_clear(DuetDensitySampler *sampler)
{
    if (sampler->run)
        duet_release_signals(&sampler->old_signals);
    *sampler = (DuetDensitySampler){ 0 };
}

gboolean duet_density_sampler_run(DuetDensitySampler *sampler, GError **error)
{
    DuetRun *run = sampler->run;
    gboolean going = TRUE;

    run->density = g_ptr_array_new_with_free_func((GDestroyNotify)duet_density_outcome_free);
    for (guint i = 0; i < run->plan->n_arms; i++)
        g_ptr_array_add(run->density, duet_density_outcome_new());
    for (guint i = 0; going && i < run->plan->n_arms && !run->interrupted; i++)
        going = run_arm(sampler, run->plan->order[i], error);
    if (sampler->request->progress)
        sampler->request->progress(NULL, sampler->request->progress_data);
    return going;
}
