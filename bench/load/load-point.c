/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load-point.h"

#include <math.h>

#include <duet/bench.h>

#include "bench/result/run.h"

#define TIME_MAX (G_MAXINT64 / 4)

DuetLoadPoint *duet_load_point_new(guint level, gboolean rate)
{
    DuetLoadPoint *point = g_new0(DuetLoadPoint, 1);

    point->level = level;
    point->rate = rate;
    point->starts = g_array_new(FALSE, TRUE, sizeof(DuetLoadStart));
    return point;
}

void duet_load_point_free(DuetLoadPoint *point)
{
    if (!point)
        return;
    g_free(point->bound);
    g_array_unref(point->starts);
    g_free(point);
}

const DuetLoadStart *duet_load_point_start(const DuetLoadPoint *point, guint i)
{
    return &g_array_index(point->starts, DuetLoadStart, i);
}

char *duet_load_level_text(guint level, gboolean rate)
{
    return rate ? g_strdup_printf("%.7g/s", level / 1000.0) : g_strdup_printf("x%u", level);
}

JsonNode *duet_load_level_to_json(guint level, gboolean rate)
{
    JsonNode *node = json_node_new(JSON_NODE_VALUE);

    if (rate)
        json_node_set_double(node, level / 1000.0);
    else
        json_node_set_int(node, level);
    return node;
}

guint duet_load_level_from_json(DuetJsonReader *reader, JsonNode *node, gboolean rate)
{
    gboolean number = node &&
        (duet_json_holds(node, G_TYPE_INT64) || (rate && duet_json_holds(node, G_TYPE_DOUBLE)));
    double value = number ? json_node_get_double(node) * (rate ? 1000 : 1) : 0;
    double most = rate ? DUET_BENCH_RATE_MAX * 1000.0 : DUET_BENCH_LEVEL_MAX;

    if (value >= 0.5 && value <= most)
        return (guint)lround(value);
    duet_json_complain(reader, "a level is not from 1 to %d, or a rate not from 0.001 to %d",
        DUET_BENCH_LEVEL_MAX, DUET_BENCH_RATE_MAX);
    return 0;
}

static JsonObject *start_to_json(const DuetLoadPoint *point, const DuetLoadStart *start)
{
    JsonObject *object = json_object_new(), *marks = json_object_new(), *cpu = json_object_new();
    gint64 request = start->marks.ns[DUET_MARK_REQUEST];

    duet_json_set_string(object, "status", duet_sample_status_to_string(start->status));
    if (start->exit_code >= 0)
        json_object_set_int_member(object, "exit_code", start->exit_code);
    else
        json_object_set_null_member(object, "exit_code");
    json_object_set_int_member(object, "exit_signal", start->exit_signal);
    json_object_set_boolean_member(object, "oom", start->oom);
    duet_json_set_string(object, "error", *start->error ? start->error : NULL);
    json_object_set_int_member(object, "intended_ns", start->intended_ns - point->began_ns);
    if (request != 0)
        json_object_set_int_member(object, "request_ns", request - point->began_ns);
    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        if (start->marks.ns[mark] != 0)
            json_object_set_int_member(
                marks, duet_mark_to_string(mark), start->marks.ns[mark] - request);
    }
    json_object_set_object_member(object, "marks_ns", marks);
    if (start->managing_cpu_ns != 0)
        json_object_set_int_member(cpu, "managing", start->managing_cpu_ns);
    if (start->payload_cpu_ns != 0)
        json_object_set_int_member(cpu, "payload", start->payload_cpu_ns);
    json_object_set_object_member(object, "cpu_ns", cpu);
    return object;
}

JsonObject *duet_load_point_to_json(const DuetLoadPoint *point)
{
    JsonObject *object = json_object_new();
    JsonArray *starts = json_array_new();

    json_object_set_member(object, point->rate ? "rate_per_s" : "level",
        duet_load_level_to_json(point->level, point->rate));
    json_object_set_int_member(object, "began_monotonic_ns", point->began_ns);
    duet_json_set_string(object, "bound", point->bound);
    for (guint i = 0; i < point->starts->len; i++)
        json_array_add_object_element(
            starts, start_to_json(point, duet_load_point_start(point, i)));
    json_object_set_array_member(object, "starts", starts);
    return object;
}

static void read_start(
    DuetJsonReader *reader, const DuetLoadPoint *point, JsonObject *object, DuetLoadStart *start)
{
    JsonObject *marks = duet_json_get_object(reader, object, "marks_ns");
    JsonObject *cpu = duet_json_get_object(reader, object, "cpu_ns");
    const char *error = duet_json_get_string(reader, object, "error");
    DuetSampleStatus status = DUET_SAMPLE_FAILED;

    if (!duet_sample_status_from_string(duet_json_get_string(reader, object, "status"), &status))
        duet_json_complain(reader, "a start's 'status' is none of ok, failed, timeout");
    start->status = status;
    start->exit_code = (int)duet_json_get_int(reader, object, "exit_code", 0, 255, -1);
    start->exit_signal = (int)duet_json_get_int(reader, object, "exit_signal", 0, 255, 0);
    start->oom = duet_json_get_boolean(reader, object, "oom");
    g_strlcpy(start->error, error ? error : "", sizeof start->error);
    start->intended_ns =
        point->began_ns + duet_json_get_int(reader, object, "intended_ns", 0, TIME_MAX, 0);
    gint64 request =
        point->began_ns + duet_json_get_int(reader, object, "request_ns", -TIME_MAX, TIME_MAX, 0);
    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        const char *name = duet_mark_to_string(mark);
        if (duet_json_member(marks, name))
            start->marks.ns[mark] =
                request + duet_json_get_int(reader, marks, name, -TIME_MAX, TIME_MAX, 0);
    }
    start->managing_cpu_ns = duet_json_get_int(reader, cpu, "managing", 0, G_MAXINT64, 0);
    start->payload_cpu_ns = duet_json_get_int(reader, cpu, "payload", 0, G_MAXINT64, 0);
}

DuetLoadPoint *duet_load_point_from_json(DuetJsonReader *reader, JsonObject *object, gboolean rate)
{
    const char *name = rate ? "rate_per_s" : "level";
    JsonArray *starts = duet_json_get_array(reader, object, "starts", DUET_BENCH_LEVEL_MAX);
    guint level =
        duet_load_level_from_json(reader, object ? duet_json_member(object, name) : NULL, rate);
    DuetLoadPoint *point = duet_load_point_new(level, rate);

    point->began_ns = duet_json_get_int(reader, object, "began_monotonic_ns", 0, TIME_MAX, 0);
    point->bound = g_strdup(duet_json_get_string(reader, object, "bound"));
    for (guint i = 0; starts && i < json_array_get_length(starts); i++) {
        JsonNode *node = json_array_get_element(starts, i);
        DuetLoadStart start = { 0 };
        read_start(reader, point, JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL,
            &start);
        g_array_append_val(point->starts, start);
    }
    return point;
}
