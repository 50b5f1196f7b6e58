/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-view.h"

#include "bench/result/json.h"
#include "bench/result/result.h"

static JsonArray *summary_array(const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < analysis->n_arms; i++) {
        const DuetOverheadArm *arm = &analysis->arms[i];
        const DuetOverheadTest *test = duet_overhead_arm_test(duet_run_arm(run, i));
        JsonObject *object = json_object_new(), *values = json_object_new();
        duet_json_set_string(object, "arm", duet_run_arm(run, i)->name);
        json_object_set_int_member(object, "ok", arm->ok);
        json_object_set_int_member(object, "failed", arm->failed);
        json_object_set_int_member(object, "timeouts", arm->timeouts);
        for (guint value = 0; test->values[value].id; value++) {
            if (arm->summary[value].n > 0)
                json_object_set_object_member(
                    values, test->values[value].id, duet_result_summary(&arm->summary[value], ""));
            else
                json_object_set_null_member(values, test->values[value].id);
        }
        json_object_set_object_member(object, "values", values);
        json_array_add_object_element(array, object);
    }
    return array;
}

static JsonObject *comparison_object(const DuetRun *run, const DuetComparison *comparison)
{
    JsonObject *object = json_object_new();
    const DuetRunArm *a = duet_run_arm(run, comparison->a);

    duet_json_set_string(object, "a", a->name);
    duet_json_set_string(object, "b", duet_run_arm(run, comparison->b)->name);
    duet_json_set_string(object, "metric",
        duet_overhead_arm_test(a)->values[duet_overhead_metric_value(comparison->metric)].id);
    duet_json_set_string(object, "verdict", duet_verdict_to_string(comparison->verdict));
    if (!duet_verdict_withholds(comparison->verdict))
        duet_result_set_contrast(object, &duet_measure_overhead, &comparison->contrast);
    return object;
}

char *duet_overhead_result(const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    g_autoptr(JsonNode) node = duet_result_node_of_run(run);
    JsonObject *root = json_node_get_object(node);
    JsonArray *comparisons = json_array_new();

    json_object_set_array_member(root, "summary", summary_array(run, analysis));
    for (guint i = 0; i < analysis->comparisons->len; i++)
        json_array_add_object_element(comparisons,
            comparison_object(run, &g_array_index(analysis->comparisons, DuetComparison, i)));
    json_object_set_array_member(root, "comparisons", comparisons);
    return duet_json_print(node, TRUE);
}
