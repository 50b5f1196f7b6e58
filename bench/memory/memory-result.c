/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "bench/result/json.h"
#include "memory-view.h"
#include "bench/result/result.h"

static JsonObject *line_object(const DuetLine *line, gboolean intervals)
{
    JsonObject *object = json_object_new();

    json_object_set_int_member(object, "n", line->n);
    duet_json_set_double(object, "slope_bytes", line->slope);
    duet_json_set_double(object, "intercept_bytes", line->intercept);
    if (!intervals)
        return object;
    duet_json_set_double(object, "slope_low_bytes", line->slope_low);
    duet_json_set_double(object, "slope_high_bytes", line->slope_high);
    duet_json_set_double(object, "intercept_low_bytes", line->intercept_low);
    duet_json_set_double(object, "intercept_high_bytes", line->intercept_high);
    return object;
}

static JsonArray *rows_array(const DuetRun *run, const DuetMemoryArm *arm, guint n_rows)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < n_rows; i++) {
        const DuetMemoryRow *row = &arm->rows[i];
        JsonObject *object = json_object_new();
        json_object_set_int_member(object, "count", row->count);
        json_object_set_int_member(object, "ok", row->ok);
        json_object_set_int_member(object, "failed", row->failed);
        for (guint metric = 0; metric < G_N_ELEMENTS(row->median); metric++) {
            g_autofree char *name =
                g_strdup_printf("median_%s_bytes", duet_memory_metric_id(metric));
            duet_json_set_double(object, name, row->median[metric]);
        }
        if (!isnan(row->ksm_saved_bytes)) {
            duet_json_set_double(object, "median_ksm_saved_bytes", row->ksm_saved_bytes);
            duet_json_set_double(object, "median_ksm_waited_ns", row->ksm_waited_ns);
            duet_json_set_double(object, "median_ksmd_cpu_ns", row->ksm_cpu_ns);
            json_object_set_int_member(object, "ksm_settled", row->ksm_settled);
        }
        duet_memory_balloon_json(object, run, row);
        json_array_add_object_element(array, object);
    }
    return array;
}

static void set_lines(JsonObject *object, const DuetMemoryArm *arm)
{
    JsonObject *estimators = json_object_new(), *parts = json_object_new();

    for (guint metric = 0; metric < DUET_MEMORY_METRIC_COUNT; metric++) {
        gboolean estimator = metric < DUET_MEMORY_ESTIMATORS;
        /* Reclaim moves MemFree: shown, not fitted. */
        if (metric == DUET_MEMORY_FREE)
            continue;
        json_object_set_object_member(estimator ? estimators : parts, duet_memory_metric_id(metric),
            line_object(&arm->lines[metric], estimator));
    }
    json_object_set_object_member(object, "estimators", estimators);
    json_object_set_object_member(object, "parts", parts);
    duet_json_set_double(object, "managing_share", duet_memory_managing_share(arm));
    double by =
        arm->most == arm->least ? NAN : duet_memory_disagreement(arm, arm->most, arm->least);
    duet_json_set_double(object, "disagreement", by);
    json_object_set_boolean_member(object, "estimators_disagree", by > DUET_MEMORY_DISAGREEMENT);
}

static JsonArray *summary_array(const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < analysis->n_arms; i++) {
        const DuetMemoryArm *arm = &analysis->arms[i];
        JsonObject *object = json_object_new();
        duet_json_set_string(object, "arm", duet_run_arm(run, i)->name);
        json_object_set_int_member(object, "ok", arm->ok);
        json_object_set_int_member(object, "failed", arm->failed);
        json_object_set_array_member(object, "counts", rows_array(run, arm, analysis->n_rows));
        duet_json_set_string(object, "verdict",
            analysis->nested                               ? "withheld: nested under TCG"
                : arm->ok == 0                             ? "no data"
                : isnan(arm->lines[DUET_MEMORY_PSS].slope) ? "no line"
                                                           : "measured");
        if (!analysis->nested) {
            set_lines(object, arm);
            json_object_set_object_member(
                object, "per_gib", duet_memory_density_json(run, analysis, i));
        }
        json_array_add_object_element(array, object);
    }
    return array;
}

char *duet_memory_result(const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    g_autoptr(JsonNode) node = duet_result_node_of_run(run);
    JsonObject *root = json_node_get_object(node);

    duet_json_set_double(root, "idle_noise_range_bytes", analysis->noise_bytes);
    duet_json_set_double(root, "zero_noise_bytes", analysis->zero_noise_bytes);
    json_object_set_array_member(root, "summary", summary_array(run, analysis));
    json_object_set_array_member(
        root, "comparisons", duet_result_comparisons(&analysis->match, analysis->comparisons));
    return duet_json_print(node, TRUE);
}
