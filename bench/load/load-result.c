/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/export/export.h"
#include "bench/result/result.h"
#include "load-analysis.h"

static JsonObject *level_object(
    const DuetRun *run, const DuetLoadAnalysis *analysis, guint arm, guint variant)
{
    const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
    gboolean rate = duet_load_by_rate(run->plan);
    JsonObject *object = json_object_new();

    json_object_set_member(object, rate ? "rate_per_s" : "level",
        duet_load_level_to_json(run->plan->counts[variant], rate));
    json_object_set_int_member(object, "ok", row->ok);
    json_object_set_int_member(object, "failed", row->failed);
    json_object_set_int_member(object, "timeouts", row->timeouts);
    json_object_set_int_member(object, "batches_cut", row->cut);
    if (analysis->nested)
        return object;
    if (row->latency.n > 0)
        json_object_set_object_member(object, "latency", duet_result_summary(&row->latency, "_ns"));
    else
        json_object_set_null_member(object, "latency");
    if (row->per_second.n > 0)
        json_object_set_object_member(
            object, "starts_per_second", duet_result_summary(&row->per_second, ""));
    else
        json_object_set_null_member(object, "starts_per_second");
    json_object_set_int_member(object, "most_waiting", row->waiting);
    json_object_set_int_member(object, "late", row->late);
    json_object_set_int_member(object, "latest_ns", row->latest_ns);
    return object;
}

static JsonArray *summary_array(const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    JsonArray *array = json_array_new();

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        JsonObject *object = json_object_new();
        JsonArray *levels = json_array_new();
        DuetLoadTotal total = duet_load_total(analysis, arm);
        for (guint variant = 0; variant < analysis->n_levels; variant++)
            json_array_add_object_element(levels, level_object(run, analysis, arm, variant));
        duet_json_set_string(object, "arm", duet_run_arm(run, arm)->name);
        json_object_set_int_member(object, "ok", total.ok);
        json_object_set_int_member(object, "failed", total.failed);
        json_object_set_int_member(object, "timeouts", total.timeouts);
        duet_json_set_string(object, "headline_to", duet_mark_to_string(analysis->headline_to));
        json_object_set_array_member(object, "levels", levels);
        json_array_add_object_element(array, object);
    }
    return array;
}

char *duet_load_result(const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    g_autoptr(JsonNode) node = duet_result_node_of_run(run);
    JsonObject *root = json_node_get_object(node);

    json_object_set_array_member(root, "summary", summary_array(run, analysis));
    json_object_set_array_member(
        root, "comparisons", duet_result_comparisons(&analysis->match, analysis->comparisons));
    return duet_json_print(node, TRUE);
}

/* ---- CSV ---- */

static void start_rows(
    GString *out, const char *head, const DuetLoadPoint *point, guint i, const char *level)
{
    const DuetLoadStart *start = duet_load_point_start(point, i);

    g_string_append_printf(
        out, "%s%s.%u.status,%s,\n", head, level, i, duet_sample_status_to_string(start->status));
    g_string_append_printf(out, "%s%s.%u.due,%" G_GINT64_FORMAT ",ns\n", head, level, i,
        start->intended_ns - point->began_ns);
    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        if (start->marks.ns[mark] != 0)
            g_string_append_printf(out, "%s%s.%u.%s,%" G_GINT64_FORMAT ",ns\n", head, level, i,
                duet_mark_to_string(mark), start->marks.ns[mark] - point->began_ns);
    }
}

char *duet_load_csv(const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    GString *out = g_string_new(duet_export_csv_header);

    (void)analysis;
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        g_autofree char *head = duet_export_csv_head(run, sample);
        g_autofree char *level = duet_load_level_text(sample->load->level, sample->load->rate);
        for (guint k = 0; k < sample->load->starts->len; k++)
            start_rows(out, head, sample->load, k, level);
        /* Nothing is dropped: what never began has a row, too. */
        if (sample->load->starts->len == 0)
            g_string_append_printf(out, "%s%s,,\n", head, sample->discarded ? "warm-up" : level);
    }
    return g_string_free(out, FALSE);
}
