/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "result.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>

#include "core/util.h"
#include "bench/benchmark.h"
#include "json.h"

/* One entry for each sample of a block, as they came: its arm, or its variant. */
static JsonArray *order_row(const DuetRun *run, guint block, const DuetVariants *variants)
{
    const DuetPlan *plan = run->plan;
    guint cells = duet_plan_cells(plan);
    JsonArray *row = json_array_new();

    for (guint i = 0; i < cells; i++) {
        guint variant, arm = duet_plan_cell(plan, plan->order[block * cells + i], &variant);
        if (variants)
            json_array_add_element(row, variants->write(plan, variant));
        else
            json_array_add_string_element(row, duet_run_arm(run, arm)->name);
    }
    return row;
}

static void set_order(
    JsonObject *object, const char *name, const DuetRun *run, const DuetVariants *variants)
{
    JsonArray *order = json_array_new();

    for (guint block = 0; block < run->plan->n; block++)
        json_array_add_array_element(order, order_row(run, block, variants));
    json_object_set_array_member(object, name, order);
}

static JsonObject *plan_object(const DuetRun *run)
{
    const DuetPlan *plan = run->plan;
    const DuetVariants *variants = run->benchmark->variants;
    JsonObject *object = json_object_new();
    JsonArray *arms = json_array_new();

    json_object_set_int_member(object, "seed", plan->seed);
    json_object_set_int_member(object, "n", plan->n);
    json_object_set_string_member(object, "mode", plan->mode);
    json_object_set_int_member(object, "discarded_per_arm", 1);
    run->benchmark->write_plan(plan, object);
    if (plan->options)
        duet_json_set_strings(object, "options", plan->options, g_strv_length(plan->options));
    json_object_set_int_member(object, "resamples", DUET_STATS_RESAMPLES);
    for (guint arm = 0; arm < plan->n_arms; arm++)
        json_array_add_string_element(arms, duet_run_arm(run, arm)->name);
    json_object_set_array_member(object, "arms", arms);
    set_order(object, "order", run, NULL);
    if (variants)
        set_order(object, variants->order, run, variants);
    return object;
}

static JsonObject *arm_object(const DuetRunArm *arm)
{
    JsonObject *object = json_object_new();
    JsonObject *image = json_object_new(), *limits = json_object_new();

    duet_json_set_string(object, "name", arm->name);
    duet_json_set_string(object, "kind", arm->kind);
    json_object_set_object_member(
        object, "driver", arm->driver ? json_object_ref(arm->driver) : json_object_new());
    duet_json_set_string(image, "ref", arm->image_ref);
    duet_json_set_string(image, "digest", arm->image_digest);
    json_object_set_object_member(object, "image", image);
    duet_json_set_strings(object, "command", arm->argv, arm->argv ? g_strv_length(arm->argv) : 0);
    json_object_set_int_member(limits, "memory_bytes", arm->memory_bytes);
    duet_json_set_double(limits, "cpus", arm->cpus);
    json_object_set_int_member(limits, "pids", arm->pids_limit);
    json_object_set_object_member(object, "limits", limits);
    return object;
}

static void set_known(JsonObject *object, const char *name, gint64 value)
{
    if (value != 0)
        json_object_set_int_member(object, name, value);
}

JsonObject *duet_result_sample(const DuetRun *run, const DuetSample *sample)
{
    JsonObject *object = json_object_new(), *marks = json_object_new();
    JsonObject *cpu = json_object_new(), *guest = json_object_new(), *memory = json_object_new();
    gint64 request = sample->marks.ns[DUET_MARK_REQUEST];

    duet_json_set_string(object, "arm", duet_run_arm(run, sample->arm)->name);
    json_object_set_int_member(object, "block", sample->block);
    json_object_set_int_member(object, "seq", sample->seq);
    json_object_set_boolean_member(object, "discarded", sample->discarded);
    duet_json_set_string(object, "status", duet_sample_status_to_string(sample->status));
    if (sample->exit_code >= 0)
        json_object_set_int_member(object, "exit_code", sample->exit_code);
    else
        json_object_set_null_member(object, "exit_code");
    json_object_set_int_member(object, "exit_signal", sample->exit_signal);
    json_object_set_boolean_member(object, "oom", sample->oom);
    duet_json_set_string(object, "error", sample->error);
    set_known(object, "request_monotonic_ns", request);
    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        if (sample->marks.ns[mark] != 0)
            json_object_set_int_member(
                marks, duet_mark_to_string(mark), sample->marks.ns[mark] - request);
    }
    if (sample->ready_ns != 0)
        json_object_set_int_member(marks, "ready", sample->ready_ns - request);
    json_object_set_object_member(object, "marks_ns", marks);
    set_known(cpu, "managing", sample->managing_cpu_ns);
    set_known(cpu, "payload", sample->payload_cpu_ns);
    json_object_set_object_member(object, "cpu_ns", cpu);
    set_known(guest, "kernel", sample->guest_kernel_ns);
    set_known(guest, "agent", sample->guest_agent_ns);
    json_object_set_object_member(object, "guest_clock_ns", guest);
    set_known(memory, "peak", sample->peak_memory_bytes);
    json_object_set_object_member(object, "mem_bytes", memory);
    if (run->benchmark->write_sample)
        run->benchmark->write_sample(sample, object);
    duet_json_set_strings(
        object, "warnings", (char *const *)sample->warnings->pdata, sample->warnings->len);
    return object;
}

static void set_figure(JsonObject *object, const char *name, const char *unit, double value)
{
    g_autofree char *member = g_strconcat(name, unit, NULL);

    duet_json_set_double(object, member, value);
}

JsonObject *duet_result_summary(const DuetSummary *summary, const char *unit)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "n", summary->n);
    set_figure(object, "median", unit, summary->median);
    set_figure(object, "median_low", unit, summary->low);
    set_figure(object, "median_high", unit, summary->high);
    set_figure(object, "q1", unit, summary->q1);
    set_figure(object, "q3", unit, summary->q3);
    set_figure(object, "iqr", unit, summary->q3 - summary->q1);
    set_figure(object, "p95", unit, summary->p95);
    set_figure(object, "p99", unit, summary->p99);
    set_figure(object, "min", unit, summary->min);
    set_figure(object, "max", unit, summary->max);
    set_figure(object, "mad", unit, summary->mad);
    set_figure(object, "mean", unit, summary->mean);
    set_figure(object, "sd", unit, summary->sd);
    set_figure(object, "standard_error", unit, summary->standard_error);
    json_object_set_int_member(object, "outliers", summary->outliers);
    duet_json_set_double(object, "autocorrelation_lag1", summary->autocorrelation);
    duet_json_set_double(object, "drift", summary->drift);
    duet_json_set_double(object, "trend_z", summary->trend);
    json_object_set_boolean_member(object, "slow_first", summary->slow_first);
    return object;
}

static JsonArray *summary_array(const DuetRun *run, const DuetAnalysis *analysis)
{
    JsonArray *array = json_array_new();

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetArmAnalysis *a = &analysis->arms[arm];
        JsonObject *object = json_object_new(), *metrics = json_object_new();
        duet_json_set_string(object, "arm", duet_run_arm(run, arm)->name);
        json_object_set_int_member(object, "ok", a->ok);
        json_object_set_int_member(object, "failed", a->failed);
        json_object_set_int_member(object, "timeouts", a->timeouts);
        duet_json_set_double(object, "censored_median_ns", a->censored_median_ns);
        for (guint metric = 0; metric < DUET_METRIC_COUNT; metric++) {
            g_autofree char *id = duet_metric_id(metric, analysis->headline_to);
            if (a->summary[metric].n > 0)
                json_object_set_object_member(
                    metrics, id, duet_result_summary(&a->summary[metric], "_ns"));
            else
                json_object_set_null_member(metrics, id);
        }
        json_object_set_object_member(object, "metrics", metrics);
        json_array_add_object_element(array, object);
    }
    return array;
}

static void set_difference(
    JsonObject *object, const char *name, const DuetMeasure *measure, double value)
{
    g_autofree char *member = g_strdup_printf("%s_%s", name, measure->unit);

    duet_json_set_double(object, member, value);
}

void duet_result_set_contrast(
    JsonObject *object, const DuetMeasure *measure, const DuetContrast *contrast)
{
    duet_json_set_double(object, "ratio", contrast->ratio);
    duet_json_set_double(object, "ratio_low", contrast->ratio_low);
    duet_json_set_double(object, "ratio_high", contrast->ratio_high);
    set_difference(object, "difference", measure, contrast->difference);
    set_difference(object, "difference_low", measure, contrast->difference_low);
    set_difference(object, "difference_high", measure, contrast->difference_high);
    duet_json_set_double(object, "p", contrast->p);
    duet_json_set_double(object, "p_holm", contrast->p_holm);
    duet_json_set_double(object, "cliffs_delta", contrast->cliffs_delta);
    duet_json_set_double(object, "smallest_detectable_effect", contrast->detectable);
}

JsonArray *duet_result_comparisons(const DuetMatch *match, GArray *comparisons)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < comparisons->len; i++) {
        const DuetComparison *comparison = &g_array_index(comparisons, DuetComparison, i);
        JsonObject *object = json_object_new();
        g_autofree char *metric = match->measure->id(match, comparison->metric);
        duet_json_set_string(object, "a", duet_run_arm(match->a, comparison->a)->name);
        duet_json_set_string(object, "b", duet_run_arm(match->b, comparison->b)->name);
        duet_json_set_string(object, "metric", metric);
        duet_json_set_string(object, "verdict", duet_verdict_to_string(comparison->verdict));
        if (!duet_verdict_withholds(comparison->verdict))
            duet_result_set_contrast(object, match->measure, &comparison->contrast);
        json_array_add_object_element(array, object);
    }
    return array;
}

JsonNode *duet_result_node_of_run(const DuetRun *run)
{
    JsonObject *root = json_object_new();
    JsonArray *arms = json_array_new(), *samples = json_array_new();

    json_object_set_int_member(root, "schema_version", DUET_RESULT_SCHEMA);
    json_object_set_string_member(root, "benchmark", run->benchmark->name);
    duet_json_set_string(root, "run_id", run->run_id);
    duet_json_set_string(root, "started", run->started);
    json_object_set_boolean_member(root, "interrupted", run->interrupted);
    json_object_set_object_member(root, "tool", json_object_ref(run->tool));
    json_object_set_object_member(root, "host", json_object_ref(run->host));
    json_object_set_object_member(root, "plan", plan_object(run));
    for (guint i = 0; i < run->arms->len; i++)
        json_array_add_object_element(arms, arm_object(duet_run_arm(run, i)));
    json_object_set_array_member(root, "arms", arms);
    if (run->benchmark->write_root)
        run->benchmark->write_root(run, root);
    for (guint i = 0; i < run->samples->len; i++)
        json_array_add_object_element(samples, duet_result_sample(run, duet_run_sample(run, i)));
    json_object_set_array_member(root, "samples", samples);
    duet_json_set_strings(
        root, "warnings", (char *const *)run->warnings->pdata, run->warnings->len);

    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    json_node_take_object(node, root);
    return node;
}

JsonNode *duet_result_node(const DuetRun *run, const DuetAnalysis *analysis)
{
    JsonNode *node = duet_result_node_of_run(run);
    JsonObject *root = json_node_get_object(node);

    json_object_set_array_member(root, "summary", summary_array(run, analysis));
    json_object_set_array_member(
        root, "comparisons", duet_result_comparisons(&analysis->match, analysis->comparisons));
    return node;
}

char *duet_result_to_json(const DuetRun *run, const DuetAnalysis *analysis)
{
    g_autoptr(JsonNode) node = duet_result_node(run, analysis);

    return duet_json_print(node, TRUE);
}

gboolean duet_result_save(const char *path, const char *json, GError **error)
{
    if (duet_file_may_replace(path, error) &&
        duet_file_replace(AT_FDCWD, path, json, strlen(json), error))
        return TRUE;
    g_prefix_error(error, "cannot save the result: ");
    return FALSE;
}
