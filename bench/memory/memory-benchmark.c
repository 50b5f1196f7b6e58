/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/bench.h>

#include "bench/benchmark.h"
#include "memory-view.h"

#define NOISE_MAX DUET_JSON_ARRAY_MAX

static JsonNode *write_count(const DuetPlan *plan, guint variant)
{
    JsonNode *node = json_node_new(JSON_NODE_VALUE);

    json_node_set_int(node, plan->counts[variant]);
    return node;
}

static int read_count(const DuetPlan *plan, JsonNode *node)
{
    for (guint i = 0; duet_json_holds(node, G_TYPE_INT64) && i < plan->n_variants; i++) {
        if (json_node_get_int(node) == plan->counts[i])
            return i;
    }
    return -1;
}

static const DuetVariants variants = { "order_counts", write_count, read_count };

static DuetPlan *new_plan(
    DuetJsonReader *reader, JsonObject *object, guint n_arms, guint n, guint64 seed)
{
    JsonArray *array = duet_json_get_array(reader, object, "counts", DUET_BENCH_COUNTS_MAX);
    gint64 age_ms = duet_json_get_int(reader, object, "age_ms", 0, G_MAXINT32, 0);
    guint counts[DUET_BENCH_COUNTS_MAX] = { 0 };
    guint n_counts = array ? json_array_get_length(array) : 0;

    for (guint i = 0; i < n_counts; i++) {
        JsonNode *node = json_array_get_element(array, i);
        gint64 count = duet_json_holds(node, G_TYPE_INT64) ? json_node_get_int(node) : -1;
        counts[i] = CLAMP(count, 0, DUET_BENCH_COUNT_MAX);
        if (counts[i] != count)
            duet_json_complain(
                reader, "'counts' holds what is not from 0 to %d", DUET_BENCH_COUNT_MAX);
    }
    if (n_counts == 0 || n > DUET_BENCH_ROUNDS_MAX)
        duet_json_complain(reader, "'counts' is empty, or 'n' above %d", DUET_BENCH_ROUNDS_MAX);
    double floor = duet_json_member(object, "floor") ? duet_json_get_double(reader, object, "floor")
                                                     : DUET_BENCH_FLOOR_DEFAULT;
    DuetPlan *plan = duet_plan_new_memory(
        n_arms, counts, MAX(n_counts, 1), MIN(n, DUET_BENCH_ROUNDS_MAX), seed, age_ms, floor);
    plan->equal_memory_bytes =
        (guint64)duet_json_get_int(reader, object, "equal_memory_bytes", 0, G_MAXINT64, 0);
    plan->balloon_bytes =
        (guint64)duet_json_get_int(reader, object, "balloon_bytes", 0, G_MAXINT64, 0);
    plan->ksm = g_strdup(duet_json_get_string(reader, object, "ksm"));
    plan->ksm_limit_ms = (guint)duet_json_get_int(reader, object, "ksm_limit_ms", 0, G_MAXINT32, 0);
    if (plan->ksm && !g_str_equal(plan->ksm, "on") && !g_str_equal(plan->ksm, "off"))
        duet_json_complain(reader, "'ksm' is neither on nor off");
    return plan;
}

static void write_plan(const DuetPlan *plan, JsonObject *object)
{
    JsonArray *counts = json_array_new();

    for (guint i = 0; i < plan->n_variants; i++)
        json_array_add_int_element(counts, plan->counts[i]);
    json_object_set_array_member(object, "counts", counts);
    json_object_set_int_member(object, "age_ms", plan->age_ms);
    json_object_set_double_member(object, "floor", plan->floor);
    if (plan->equal_memory_bytes > 0)
        json_object_set_int_member(object, "equal_memory_bytes", (gint64)plan->equal_memory_bytes);
    if (plan->balloon_bytes > 0)
        json_object_set_int_member(object, "balloon_bytes", (gint64)plan->balloon_bytes);
    if (!plan->ksm)
        return;
    json_object_set_string_member(object, "ksm", plan->ksm);
    json_object_set_int_member(object, "ksm_limit_ms", plan->ksm_limit_ms);
}

static void new_sample(const DuetPlan *plan, int variant, DuetSample *sample)
{
    sample->memory = duet_memory_point_new(variant < 0 ? 1 : plan->counts[variant]);
}

static char *describe(const DuetSample *sample)
{
    return g_strdup_printf("x %u", sample->memory->count);
}

static void write_sample(const DuetSample *sample, JsonObject *object)
{
    json_object_set_object_member(object, "memory", duet_memory_point_to_json(sample->memory));
}

static void read_sample(DuetJsonReader *reader, JsonObject *object, DuetSample *sample)
{
    sample->memory =
        duet_memory_point_from_json(reader, duet_json_get_object(reader, object, "memory"));
}

static void write_root(const DuetRun *run, JsonObject *root)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; run->idle_noise && i < run->idle_noise->len; i++)
        json_array_add_object_element(
            array, duet_host_memory_to_json(&g_array_index(run->idle_noise, DuetHostMemory, i)));
    json_object_set_array_member(root, "idle_noise", array);
    json_object_set_int_member(root, "reread_bytes", run->reread_bytes);
}

static void read_root(DuetJsonReader *reader, JsonObject *root, DuetRun *run)
{
    JsonArray *array = duet_json_get_array(reader, root, "idle_noise", NOISE_MAX);

    run->reread_bytes = duet_json_get_int(reader, root, "reread_bytes", 0, G_MAXINT64, 0);
    run->idle_noise = g_array_new(FALSE, FALSE, sizeof(DuetHostMemory));
    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        DuetHostMemory host = duet_host_memory_from_json(reader, object);
        if (!object)
            duet_json_complain(reader, "'idle_noise' holds something that is not an object");
        g_array_append_val(run->idle_noise, host);
    }
}

static const char *const formats[] = { "table", "json", "csv", "md", "openmetrics", NULL };
static char *(*const views[])(const DuetRun *, const DuetMemoryAnalysis *) = { duet_memory_table,
    duet_memory_result, duet_memory_csv, duet_memory_markdown, duet_memory_openmetrics };

static char *show(const DuetRun *run, guint format, gboolean ratio_with_failures)
{
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, ratio_with_failures);

    return views[format](run, analysis);
}

const DuetBenchmark duet_benchmark_memory = {
    .name = "memory",
    .variants = &variants,
    .new_plan = new_plan,
    .write_plan = write_plan,
    .new_sample = new_sample,
    .describe = describe,
    .write_sample = write_sample,
    .read_sample = read_sample,
    .write_root = write_root,
    .read_root = read_root,
    .plan_text = duet_memory_plan_text,
    .formats = formats,
    .show = show,
    .check = duet_memory_check,
    .measure = &duet_measure_memory,
};
