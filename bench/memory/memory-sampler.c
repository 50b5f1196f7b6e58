/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-sampler.h"

#include <string.h>

#include <duet/error.h>

#include "bench/instance/group.h"
#include "bench/instance/instance-sampler.h"
#include "reread.h"
#include "balloon.h"
#include "guest-memory.h"

/* What says how many run at a time. */
#define OPTION "--counts"
/* Readings of the idle host, over the time that instances are left to settle. */
#define NOISE_READINGS 11
/* What the instances of the sample before had comes back to the host with a delay. */
#define SETTLE_MS 1000

/* Of a run that was resumed: what did not fit then does not now. */
static void recall_room(DuetMemorySampler *sampler)
{
    for (guint i = 0; i < sampler->run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(sampler->run, i);
        if (sample->memory && sample->memory->no_room)
            sampler->too_many[sample->arm] = sample->memory->count;
    }
}

void duet_memory_sampler_init(
    DuetMemorySampler *sampler, const DuetBenchRequest *request, DuetRun *run)
{
    *sampler = (DuetMemorySampler){
        .request = request,
        .run = run,
        .read_host = duet_host_memory_read,
        .too_many = g_new0(guint, request->n_arms + 1),
    };
    recall_room(sampler);
    duet_hold_signals(&sampler->old_signals);
}

void duet_memory_sampler_clear(DuetMemorySampler *sampler)
{
    if (sampler->too_many)
        duet_release_signals(&sampler->old_signals);
    g_free(sampler->too_many);
    memset(sampler, 0, sizeof *sampler);
}

static gboolean start_all(
    DuetMemorySampler *sampler, DuetGroup *group, DuetSample *sample, GError **error)
{
    DuetMemoryPoint *point = sample->memory;

    for (point->started = 0; point->started < point->count; point->started++) {
        if (!duet_group_start(group, error))
            return FALSE;
    }
    g_autoptr(GVariant) facts = duet_group_facts(group);
    duet_bench_take_facts(sampler->run, sample->arm, facts, sample);
    return TRUE;
}

/* Last of all: a guest that is asked needs memory for the answer. */
static void read_guests(DuetGroup *group, DuetMemoryPoint *point, DuetSample *sample)
{
    gboolean vm = group->spec->kind == DUET_KIND_VM;

    for (guint i = 0; vm && i < point->instances->len; i++) {
        DuetInstanceMemory *one = &g_array_index(point->instances, DuetInstanceMemory, i);
        g_autoptr(GError) error = NULL;
        if (!duet_guest_memory_read(duet_group_instance(group, i), &one->guest, &error)) {
            duet_sample_warn(sample, "%s", error->message);
            return;
        }
    }
}

/* The host first: to read the instances takes memory, too. */
static gboolean read_all(DuetMemorySampler *sampler, DuetGroup *group, DuetMemoryPoint *point,
    DuetSample *sample, GError **error)
{
    DuetHostMemory host;

    if (!sampler->read_host(&host, error))
        return FALSE;
    for (guint i = 0; i < point->count; i++) {
        DuetInstanceMemory one = { 0 };
        if (!duet_group_read(group, i, &one.memory, &one.age_ns, error))
            return FALSE;
        g_array_append_val(point->instances, one);
    }
    point->host = host;
    read_guests(group, point, sample);
    return TRUE;
}

/* The same instances with less memory each, where that is asked for. */
static gboolean read_shrunk(
    DuetMemorySampler *sampler, DuetGroup *group, DuetSample *sample, GError **error)
{
    guint64 bytes = sampler->run->plan->balloon_bytes;
    DuetMemoryPoint *point = sample->memory;
    g_autoptr(GArray) took = NULL;

    if (bytes == 0 || !duet_balloon_shrink(group, bytes, sample, &took, error))
        return bytes == 0;
    if (!took)
        return TRUE;
    DuetMemoryPoint *shrunk = duet_memory_point_new(point->count);
    shrunk->before = point->before;
    if (!duet_group_pause(group, SETTLE_MS, error) ||
        !read_all(sampler, group, shrunk, sample, error)) {
        duet_memory_point_free(shrunk);
        return FALSE;
    }
    for (guint i = 0; i < took->len; i++)
        g_array_index(shrunk->instances, DuetInstanceMemory, i).shrink_ns =
            g_array_index(took, gint64, i);
    point->shrunk = shrunk;
    return TRUE;
}

static void check_swap(DuetSample *sample)
{
    const DuetHostMemory *before = &sample->memory->before, *after = &sample->memory->host;
    guint64 in = after->swap_in_pages - before->swap_in_pages;
    guint64 out = after->swap_out_pages - before->swap_out_pages;

    if (in + out > 0)
        duet_sample_warn(sample,
            "the host swapped meanwhile: %" G_GUINT64_FORMAT " pages in, %" G_GUINT64_FORMAT
            " out; neither PSS nor the cgroups have what is in swap",
            in, out);
}

static gboolean measure(DuetMemorySampler *sampler, DuetSample *sample, GError **error)
{
    const DuetSpec *spec = sampler->request->arms[sample->arm].spec;
    DuetMemoryPoint *point = sample->memory;
    DuetGroup group;

    duet_group_init(&group, sampler->request->context, spec);
    group.read_host = sampler->read_host;
    group.option = OPTION;
    gboolean done = duet_group_wait(&group, SETTLE_MS, error) &&
        sampler->read_host(&point->before, error) &&
        duet_ksm_begin(sampler->ksm, &point->ksm, error) &&
        start_all(sampler, &group, sample, error) &&
        duet_group_wait(&group, sampler->run->plan->age_ms, error) &&
        duet_ksm_settle(sampler->ksm, &group, sample, error) &&
        read_all(sampler, &group, point, sample, error) &&
        read_shrunk(sampler, &group, sample, error);
    duet_group_clear(&group, sample->warnings);
    sampler->interrupted |= group.interrupted;
    point->no_room = !done && group.no_room;
    if (point->no_room)
        sampler->too_many[sample->arm] = point->count;
    if (done)
        check_swap(sample);
    return done;
}

/* What was idle for a minute may have been reclaimed: "warm" would cool from block to block. */
static void begin_block(DuetMemorySampler *sampler, const DuetSample *sample)
{
    DuetReread reread;

    if (sample->discarded || sampler->block == sample->block + 1)
        return;
    duet_reread(sampler->request, sampler->run, &reread);
    if (reread.failed > 0 && sampler->block == 0)
        g_ptr_array_add(sampler->run->warnings,
            g_strdup_printf("%u files of the image could not be read before each block: they may "
                            "not be in the page cache",
                reread.failed));
    sampler->run->reread_bytes = reread.bytes;
    sampler->block = sample->block + 1;
}

gboolean duet_memory_sampler_take(DuetSample *sample, gpointer data, GError **error)
{
    DuetMemorySampler *sampler = data;
    guint too_many = sampler->too_many[sample->arm];
    g_autoptr(GError) failure = NULL;

    begin_block(sampler, sample);
    if (too_many > 0 && sample->memory->count >= too_many) {
        sample->error = g_strdup_printf("not tried: the host had no room for %u", too_many);
        return TRUE;
    }
    if (measure(sampler, sample, &failure)) {
        sample->status = DUET_SAMPLE_OK;
        sample->exit_code = 0;
        return TRUE;
    }
    sample->error = g_strdup(failure->message);
    /* Before the first sample worked, that no other can is an error of the whole benchmark. */
    if (!duet_bench_is_hopeless(failure))
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&failure));
    return FALSE;
}

gboolean duet_memory_sampler_interrupted(const DuetSample *sample, gpointer data)
{
    const DuetMemorySampler *sampler = data;

    (void)sample;
    return sampler->interrupted;
}

gboolean duet_memory_sampler_begin(DuetMemorySampler *sampler, GError **error)
{
    DuetRun *run = sampler->run;
    g_autoptr(GPtrArray) nothing = g_ptr_array_new_with_free_func(g_free);
    guint pause_ms = run->plan->age_ms / (NOISE_READINGS - 1);
    DuetHostMemory host;
    DuetGroup nobody;

    if (!sampler->read_host(&host, error) || !duet_host_memory_check(&host, OPTION, error))
        return FALSE;
    /* A run that was resumed has it. */
    if (run->idle_noise)
        return TRUE;
    if (sampler->request->progress)
        sampler->request->progress(
            "the idle host, to know its noise", sampler->request->progress_data);
    run->idle_noise = g_array_new(FALSE, FALSE, sizeof(DuetHostMemory));
    g_array_append_val(run->idle_noise, host);
    duet_group_init(&nobody, sampler->request->context, NULL);
    nobody.read_host = sampler->read_host;
    for (guint i = 1; i < NOISE_READINGS && duet_group_wait(&nobody, pause_ms, NULL); i++) {
        if (sampler->read_host(&host, NULL))
            g_array_append_val(run->idle_noise, host);
    }
    duet_group_clear(&nobody, nothing);
    sampler->interrupted = nobody.interrupted;
    run->interrupted = nobody.interrupted;
    if (sampler->request->progress)
        sampler->request->progress(NULL, sampler->request->progress_data);
    return TRUE;
}
