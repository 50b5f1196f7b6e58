/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-analysis.h"

#include "bench/result/json.h"
#include "bench/result/result.h"

static JsonArray *curve_array(const DuetDensityArm *arm)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < arm->n_rows; i++) {
        const DuetDensityRow *row = &arm->rows[i];
        JsonObject *object = json_object_new();
        json_object_set_int_member(object, "from", row->from);
        json_object_set_int_member(object, "to", row->to);
        json_object_set_int_member(object, "n", row->n);
        duet_json_set_double(object, "median_ns", row->median_ns);
        duet_json_set_double(object, "max_ns", row->max_ns);
        json_array_add_object_element(array, object);
    }
    return array;
}

static void set_figures(JsonObject *object, const DuetDensityArm *arm)
{
    JsonObject *each = json_object_new(), *per_gib = json_object_new();
    JsonObject *room = json_object_new();

    if (arm->latency.n > 0)
        json_object_set_object_member(
            object, "start_latency", duet_result_summary(&arm->latency, "_ns"));
    else
        json_object_set_null_member(object, "start_latency");
    duet_json_set_double(object, "latency_per_instance_ns", arm->trend.slope);
    duet_json_set_double(object, "latency_per_instance_low_ns", arm->trend.slope_low);
    duet_json_set_double(object, "latency_per_instance_high_ns", arm->trend.slope_high);
    duet_json_set_double(object, "starts_per_second", arm->starts_per_s);
    for (guint meter = 0; meter < DUET_DENSITY_METERS; meter++) {
        g_autofree char *bytes = g_strconcat(duet_density_meter_id(meter), "_bytes", NULL);
        duet_json_set_double(each, bytes, arm->each_bytes[meter]);
        duet_json_set_double(per_gib, duet_density_meter_id(meter), arm->per_gib[meter]);
    }
    json_object_set_object_member(object, "memory_per_instance", each);
    json_object_set_object_member(object, "instances_per_gib", per_gib);
    duet_json_set_double(room, "host", arm->room_host);
    duet_json_set_double(room, "memory_budget", arm->room_budget);
    json_object_set_object_member(object, "extrapolated_instances", room);
    json_object_set_array_member(object, "latency_curve", curve_array(arm));
}

static JsonArray *summary_array(const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < analysis->n_arms; i++) {
        const DuetDensityArm *arm = &analysis->arms[i];
        JsonObject *object = json_object_new();
        gboolean none = arm->outcome->bound == DUET_DENSITY_BOUND_NONE;
        duet_json_set_string(object, "arm", duet_run_arm(run, i)->name);
        json_object_set_int_member(object, "ok", arm->ok);
        json_object_set_int_member(object, "failed", arm->failed);
        duet_json_set_string(object, "verdict",
            analysis->nested                                     ? "withheld: nested under TCG"
                : none                                           ? "no data"
                : !duet_density_was_asked(arm->outcome)          ? "interrupted"
                : arm->outcome->answered < arm->outcome->reached ? "not all answered"
                                                                 : "measured");
        if (!analysis->nested && !none)
            set_figures(object, arm);
        json_array_add_object_element(array, object);
    }
    return array;
}

char *duet_density_result(const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    g_autoptr(JsonNode) node = duet_result_node_of_run(run);
    JsonObject *root = json_node_get_object(node);

    json_object_set_array_member(root, "summary", summary_array(run, analysis));
    json_object_set_array_member(root, "comparisons", json_array_new());
    return duet_json_print(node, TRUE);
}
