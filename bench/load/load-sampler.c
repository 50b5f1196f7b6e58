/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load-sampler.h"

#include <string.h>

#include <duet/error.h>
#include <duet/vm-limits.h>

#include "bench/density/density-host.h"
#include "bench/instance/group.h"
#include "bench/random.h"
#include "bench/text.h"

/* So often it is looked at the host while a batch runs. */
#define WATCH_MS 100
/* A payload that does not end when it is asked to is killed then. */
#define GRACE_MS 3000
/* What a killed process had started ends with it, within this. */
#define ORPHANS_MS 20000
/* Streams of the plan's seed that nothing else draws from. */
#define SCHEDULE_STREAM G_GUINT64_CONSTANT(3000000000)

/* What a batch's processes need to know. */
typedef struct {
    DuetLoadSampler *sampler;
    const DuetSample *sample;
    DuetDensityWatch host;
} Batch;

/* Of a run that was resumed: what was too much then is so now. */
static void recall_bounds(DuetLoadSampler *sampler)
{
    for (guint i = 0; i < sampler->run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(sampler->run, i);
        if (sample->load && sample->load->bound)
            sampler->too_much[sample->arm] = sample->load->level;
    }
}

void duet_load_sampler_init(DuetLoadSampler *sampler, const DuetBenchRequest *request, DuetRun *run)
{
    *sampler = (DuetLoadSampler){
        .request = request,
        .run = run,
        .too_much = g_new0(guint, request->n_arms + 1),
    };
    recall_bounds(sampler);
    duet_instance_sampler_init(&sampler->one, request, run, FALSE);
    duet_hold_signals(&sampler->old_signals);
}

void duet_load_sampler_clear(DuetLoadSampler *sampler)
{
    if (sampler->too_much)
        duet_release_signals(&sampler->old_signals);
    duet_instance_sampler_clear(&sampler->one);
    g_free(sampler->too_much);
    memset(sampler, 0, sizeof *sampler);
}

gboolean duet_load_sampler_check(const DuetLoadSampler *sampler, GError **error)
{
    const DuetPlan *plan = sampler->run->plan;
    DuetHostMemory host;
    guint most = 0;

    if (!duet_host_memory_read(&host, error) ||
        !duet_host_memory_check(&host, plan->load_starts == 0 ? "--parallel" : "--rate", error))
        return FALSE;
    for (guint i = 0; i < plan->n_variants && plan->load_starts == 0; i++)
        most = MAX(most, plan->counts[i]);
    guint64 room = host.available_bytes - duet_host_memory_floor(&host);
    for (gsize i = 0; i < sampler->request->n_arms; i++) {
        const DuetSpec *spec = sampler->request->arms[i].spec;
        guint64 each = spec->kind == DUET_KIND_VM ? duet_vm_memory_bytes(spec) : 0;
        if (each == 0 || most <= room / each)
            continue;
        g_autofree char *wants = duet_text_bytes((double)each * most);
        g_autofree char *has = duet_text_bytes((double)room);
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "--parallel %u: so many VMs at once may use %s, the host has %s to spare; take a lower "
            "level or a smaller --memory",
            most, wants, has);
        return FALSE;
    }
    return TRUE;
}

/* There is room for the first. */
static void take_warning(const DuetSample *sample, DuetLoadStart *out_start)
{
    if (sample->warnings->len > 0 && !*out_start->warning)
        g_strlcpy(
            out_start->warning, g_ptr_array_index(sample->warnings, 0), sizeof out_start->warning);
}

/* In a process of its own: an instance of the arm, as a sample of `bench boot`. */
static void start(guint i, DuetLoadStart *out_start, gpointer data)
{
    Batch *batch = data;
    g_autoptr(DuetSample) sample = duet_sample_new(batch->sample->arm, batch->sample->block, i);
    g_autoptr(GError) error = NULL;

    batch->sampler->one.looks_later = TRUE;
    duet_instance_sampler_take(sample, &batch->sampler->one, &error);
    duet_sample_check_marks(sample);
    out_start->status = sample->status;
    out_start->exit_code = sample->exit_code;
    out_start->exit_signal = sample->exit_signal;
    out_start->oom = sample->oom;
    out_start->marks = sample->marks;
    out_start->managing_cpu_ns = sample->managing_cpu_ns;
    out_start->payload_cpu_ns = sample->payload_cpu_ns;
    if (sample->error)
        g_strlcpy(out_start->error, sample->error, sizeof out_start->error);
    take_warning(sample, out_start);
}

/* In the same process, when no start of the batch is timed any more. */
static void look(guint i, DuetLoadStart *out_start, gpointer data)
{
    Batch *batch = data;
    g_autoptr(DuetSample) sample = duet_sample_new(batch->sample->arm, batch->sample->block, i);

    duet_instance_sampler_look(&batch->sampler->one, sample);
    take_warning(sample, out_start);
}

static char *look_at_host(gpointer data)
{
    Batch *batch = data;
    DuetDensityHost now;
    char *detail = NULL;

    if (!duet_density_host_read(&now, NULL))
        return NULL;
    DuetDensityBound bound = duet_density_watch_check(&batch->host, &now, 0, &detail);
    if (bound == DUET_DENSITY_BOUND_NONE)
        return NULL;
    g_autofree char *reading = detail;
    return g_strdup_printf("%s: %s", duet_density_bound_to_string(bound), reading);
}

static gboolean is_of(const DuetInstance *instance, const GArray *pids)
{
    gint64 owner = duet_instance_spec((DuetInstance *)instance)->owner_pid;

    for (guint i = 0; i < pids->len; i++) {
        if (owner == g_array_index(pids, pid_t, i))
            return TRUE;
    }
    return FALSE;
}

static guint count_of(DuetContext *context, const GArray *pids)
{
    g_autoptr(GPtrArray) all = NULL;
    guint n = 0;

    duet_context_sweep(context, 0);
    all = duet_instance_list(context, NULL);
    for (guint i = 0; all && i < all->len; i++)
        n += is_of(all->pdata[i], pids);
    return n;
}

/* The next batch must not find them still ending, nor the user find them at all. */
static void wait_for_orphans(DuetLoadSampler *sampler, const GArray *pids, DuetSample *sample)
{
    gint64 until_ns = duet_now_ns() + ORPHANS_MS * G_GINT64_CONSTANT(1000000);
    guint left = pids->len > 0 ? count_of(sampler->request->context, pids) : 0;

    while (left > 0 && duet_now_ns() < until_ns) {
        g_usleep(50000);
        left = count_of(sampler->request->context, pids);
    }
    if (left > 0)
        duet_sample_warn(sample, "%u instances of starts that were given up are left behind", left);
}

static void judge(DuetSample *sample)
{
    const DuetLoadPoint *point = sample->load;
    guint bad = 0, timeouts = 0;
    const char *first = NULL;

    for (guint i = 0; i < point->starts->len; i++) {
        const DuetLoadStart *one = duet_load_point_start(point, i);
        bad += one->status != DUET_SAMPLE_OK;
        timeouts += one->status == DUET_SAMPLE_TIMEOUT;
        if (one->status != DUET_SAMPLE_OK && !first)
            first = *one->error ? one->error : "its payload failed";
        if (*one->warning)
            duet_sample_warn(sample, "%s", one->warning);
    }
    sample->status = bad == 0 ? DUET_SAMPLE_OK
        : bad == timeouts     ? DUET_SAMPLE_TIMEOUT
                              : DUET_SAMPLE_FAILED;
    sample->exit_code = bad == 0 ? 0 : -1;
    if (bad > 0)
        sample->error = g_strdup_printf("%u of %u starts: %s", bad, point->starts->len, first);
}

static gboolean run_batch(DuetLoadSampler *sampler, DuetSample *sample, GError **error)
{
    const DuetPlan *plan = sampler->run->plan;
    DuetLoadPoint *point = sample->load;
    guint n = point->rate ? plan->load_starts : point->level, variant = 0;
    g_autofree gint64 *offsets_ns = g_new0(gint64, n + 1);
    g_auto(DuetLoadEnd) end = { 0 };
    Batch batch = { .sampler = sampler, .sample = sample };
    DuetDensityHost first;

    while (plan->counts[variant] != point->level)
        variant++;
    /* Of the block and the level alone: all arms of a block meet the same arrivals. */
    guint64 stream = SCHEDULE_STREAM + (guint64)sample->block * DUET_BENCH_COUNTS_MAX + variant;
    duet_load_schedule(
        point->level, point->rate, n, duet_random_derive(plan->seed, stream), offsets_ns);
    if (!duet_density_host_read(&first, error))
        return FALSE;
    duet_density_watch_init(&batch.host, &(DuetDensityLimits){ 0 }, &first);
    DuetLoadBatch load = { n, offsets_ns, start, look, look_at_host, &batch, WATCH_MS, GRACE_MS };
    gboolean ran = duet_load_batch_run(&load, point, &end, error);
    duet_density_watch_clear(&batch.host);
    wait_for_orphans(sampler, end.killed, sample);
    sampler->interrupted |= end.interrupted;
    if (end.bound)
        sampler->too_much[sample->arm] = point->level;
    return ran;
}

gboolean duet_load_sampler_take(DuetSample *sample, gpointer data, GError **error)
{
    DuetLoadSampler *sampler = data;
    guint too_much = sampler->too_much[sample->arm];
    g_autoptr(GError) failure = NULL;

    if (sample->discarded)
        return duet_instance_sampler_take(sample, &sampler->one, error);
    if (too_much > 0 && sample->load->level >= too_much) {
        g_autofree char *level = duet_load_level_text(too_much, sample->load->rate);
        sample->error = g_strdup_printf("not tried: %s was too much for the host", level);
        return TRUE;
    }
    if (run_batch(sampler, sample, &failure))
        judge(sample);
    else
        sample->error = g_strdup(failure->message);
    return TRUE;
}

gboolean duet_load_sampler_interrupted(const DuetSample *sample, gpointer data)
{
    const DuetLoadSampler *sampler = data;

    return sampler->interrupted || duet_signal_waits() ||
        (sample->discarded && duet_instance_sampler_interrupted(sample, (gpointer)&sampler->one));
}
