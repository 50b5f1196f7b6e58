/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/benchmark.h"
#include "bench/peers/peer-result.h"
#include "density-analysis.h"

static DuetPlan *new_plan(
    DuetJsonReader *reader, JsonObject *object, guint n_arms, guint n, guint64 seed)
{
    DuetDensityLimits limits =
        duet_density_limits_from_json(reader, duet_json_get_object(reader, object, "density"));

    if (n != 1)
        duet_json_complain(reader, "'n' is not 1");
    return duet_plan_new_density(
        n_arms, &limits, seed, duet_json_get_int(reader, object, "age_ms", 0, G_MAXINT32, 0));
}

static void write_plan(const DuetPlan *plan, JsonObject *object)
{
    JsonObject *limits = json_object_new();

    duet_density_limits_to_json(plan->density, limits);
    json_object_set_object_member(object, "density", limits);
    json_object_set_int_member(object, "age_ms", plan->age_ms);
}

static void write_sample(const DuetSample *sample, JsonObject *object)
{
    json_object_set_object_member(object, "density", duet_density_start_to_json(sample->density));
    duet_peer_sample_write(sample, object);
}

static void read_sample(DuetJsonReader *reader, JsonObject *object, DuetSample *sample)
{
    sample->density =
        duet_density_start_from_json(reader, duet_json_get_object(reader, object, "density"));
    duet_peer_sample_read(reader, object, sample);
}

static void write_root(const DuetRun *run, JsonObject *root)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < run->density->len; i++) {
        JsonObject *object = duet_density_outcome_to_json(run->density->pdata[i]);
        duet_json_set_string(object, "arm", duet_run_arm(run, i)->name);
        json_array_add_object_element(array, object);
    }
    json_object_set_array_member(root, "density", array);
    duet_peer_root_write(run, root);
}

/* A journal ends in the middle of an arm: its starts are known, and that they were cut short. */
static void set_cut(DuetRun *run)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        DuetDensityOutcome *outcome = run->density->pdata[sample->arm];
        if (sample->discarded || outcome->detail || duet_density_is_over(outcome))
            continue;
        outcome->bound = DUET_DENSITY_BOUND_INTERRUPTED;
        outcome->reached = MAX(outcome->reached, sample->density->running);
    }
}

/* One for each arm, in the order of the arms. */
static void read_root(DuetJsonReader *reader, JsonObject *root, DuetRun *run)
{
    JsonArray *array = duet_json_get_array(reader, root, "density", DUET_JSON_ARRAY_MAX);

    duet_peer_root_read(reader, root, run);
    run->density = g_ptr_array_new_with_free_func((GDestroyNotify)duet_density_outcome_free);
    for (guint i = 0; i < run->arms->len; i++) {
        JsonNode *node =
            array && i < json_array_get_length(array) ? json_array_get_element(array, i) : NULL;
        JsonObject *object =
            node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        const char *name = duet_json_get_string(reader, object, "arm");
        if (!object || g_strcmp0(name, duet_run_arm(run, i)->name) != 0)
            duet_json_complain(reader, "'density' has not one object for each arm");
        g_ptr_array_add(run->density, duet_density_outcome_from_json(reader, object));
    }
    if (run->interrupted)
        set_cut(run);
}

/* What ran at the same time ended with the run: of an arm that was cut no start counts any more. */
static char *go_on(DuetRun *run)
{
    guint over = 0;

    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        sample->discarded |= !duet_density_is_over(run->density->pdata[sample->arm]);
    }
    for (guint i = 0; i < run->density->len; i++) {
        if (duet_density_is_over(run->density->pdata[i])) {
            over++;
            continue;
        }
        duet_density_outcome_free(run->density->pdata[i]);
        run->density->pdata[i] = duet_density_outcome_new();
    }
    return g_strdup_printf("%u of %u arms", over, run->density->len);
}

static const char *const formats[] = { "table", "json", "csv", "md", "openmetrics", NULL };
static char *(*const views[])(const DuetRun *, const DuetDensityAnalysis *) = { duet_density_table,
    duet_density_result, duet_density_csv, duet_density_markdown, duet_density_openmetrics };

static char *show(const DuetRun *run, guint format, gboolean ratio_with_failures)
{
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);

    (void)ratio_with_failures;
    return views[format](run, analysis);
}

const DuetBenchmark duet_benchmark_density = {
    .name = "density",
    .new_plan = new_plan,
    .write_plan = write_plan,
    .write_sample = write_sample,
    .read_sample = read_sample,
    .write_root = write_root,
    .read_root = read_root,
    .go_on = go_on,
    .plan_text = duet_density_plan_text,
    .formats = formats,
    .show = show,
    .check = duet_density_check,
    .measure = &duet_measure_density,
};
