/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost.h"

#include "bench/text.h"

#define MEMBER "bare_spawn_ns"

static gboolean take(DuetSample *sample, gpointer data, GError **error)
{
    DuetCostSampler *sampler = data;

    if (!sampler->take(sample, sampler->data, error))
        return FALSE;
    if (sample->status == DUET_SAMPLE_OK)
        sample->bare_spawn_ns = duet_bare_take(&sampler->bare);
    return TRUE;
}

static gboolean interrupted(const DuetSample *sample, gpointer data)
{
    DuetCostSampler *sampler = data;

    return sampler->interrupted(sample, sampler->data);
}

gboolean duet_cost_sampler_init(
    DuetCostSampler *sampler, DuetRunner *runner, const DuetSpec *native, GError **error)
{
    *sampler = (DuetCostSampler){
        .take = runner->take,
        .interrupted = runner->interrupted,
        .data = runner->data,
        .bare.fd = -1,
    };
    if (!duet_bare_start(&sampler->bare, native, error))
        return FALSE;
    runner->take = take;
    runner->interrupted = interrupted;
    runner->data = sampler;
    return TRUE;
}

void duet_cost_sampler_clear(DuetCostSampler *sampler)
{
    duet_bare_clear(&sampler->bare);
}

/* Returns: whether an arm tells both, in nanoseconds. */
static gboolean find(const DuetAnalysis *analysis, double *out_native, double *out_bare)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetSummary *native = &analysis->arms[arm].summary[DUET_METRIC_TOTAL];
        const DuetSummary *bare = &analysis->arms[arm].summary[DUET_METRIC_BARE_SPAWN];
        if (native->n == 0 || bare->n == 0)
            continue;
        *out_native = native->median;
        *out_bare = bare->median;
        return TRUE;
    }
    return FALSE;
}

char *duet_cost_line(const DuetAnalysis *analysis)
{
    double native = 0, bare = 0;

    if (!find(analysis, &native, &bare))
        return NULL;
    g_autofree char *cost_text = duet_text_time(native - bare);
    g_autofree char *native_text = duet_text_time(native);
    g_autofree char *bare_text = duet_text_time(bare);
    return g_strdup_printf("%s: native takes %s until released, the same command spawned bare %s",
        cost_text, native_text, bare_text);
}

void duet_cost_sample_write(const DuetSample *sample, JsonObject *object)
{
    if (sample->bare_spawn_ns != 0)
        json_object_set_int_member(object, MEMBER, sample->bare_spawn_ns);
}

void duet_cost_sample_read(DuetJsonReader *reader, JsonObject *object, DuetSample *sample)
{
    sample->bare_spawn_ns = duet_json_get_int(reader, object, MEMBER, 0, G_MAXINT64, 0);
}
