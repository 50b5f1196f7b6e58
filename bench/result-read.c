/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "result.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "core/util.h"
#include "text.h"

/*
 * Theory of operation. A result file may come from anybody: each member is looked up by name, its
 * type checked, each number and index bounded before it is used. The first thing that is wrong
 * goes into `broken`; look-ups go on with harmless values, and the caller checks once at the end.
 */

#define RESULT_MAX_BYTES (256u * 1024 * 1024)
#define ARMS_MAX 64
#define SAMPLES_MAX 1000000
/* Ours are six deep. json-glib calls itself for each level and knows no end: the stack has one. */
#define DEPTH_MAX 64

typedef struct {
    char *broken;
} Reader;

static void complain(Reader *reader, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void complain(Reader *reader, const char *format, ...)
{
    va_list args;

    if (reader->broken)
        return;
    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    /* It may quote the file, and is shown on a terminal. */
    reader->broken = duet_text_line(text);
}

/* Returns: (nullable): the member if it is there and not null. */
static JsonNode *member(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && !JSON_NODE_HOLDS_NULL(node) ? node : NULL;
}

static JsonObject *get_object(Reader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    if (node && JSON_NODE_HOLDS_OBJECT(node))
        return json_node_get_object(node);
    complain(reader, "'%s' is not an object", name);
    return NULL;
}

static JsonArray *get_array(Reader *reader, JsonObject *object, const char *name, guint max)
{
    JsonNode *node = member(object, name);

    if (node && JSON_NODE_HOLDS_ARRAY(node) &&
        json_array_get_length(json_node_get_array(node)) <= max)
        return json_node_get_array(node);
    complain(reader, "'%s' is not an array of at most %u", name, max);
    return NULL;
}

static gboolean holds(JsonNode *node, GType type)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

/* A member that is absent or null gives @otherwise. */
static gint64 get_int(
    Reader *reader, JsonObject *object, const char *name, gint64 min, gint64 max, gint64 otherwise)
{
    JsonNode *node = member(object, name);

    if (!node)
        return otherwise;
    if (holds(node, G_TYPE_INT64)) {
        gint64 value = json_node_get_int(node);
        if (value >= min && value <= max)
            return value;
    }
    complain(reader, "'%s' is not a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT,
        name, min, max);
    return otherwise;
}

static double get_double(Reader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    if (!node)
        return 0;
    if (holds(node, G_TYPE_DOUBLE) || holds(node, G_TYPE_INT64)) {
        double value = json_node_get_double(node);
        if (isfinite(value) && value >= 0)
            return value;
    }
    complain(reader, "'%s' is not a number", name);
    return 0;
}

static gboolean get_boolean(Reader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    if (!node)
        return FALSE;
    if (holds(node, G_TYPE_BOOLEAN))
        return json_node_get_boolean(node);
    complain(reader, "'%s' is neither true nor false", name);
    return FALSE;
}

/* Returns: (nullable). */
static const char *get_string(Reader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = member(object, name);

    if (!node)
        return NULL;
    if (holds(node, G_TYPE_STRING))
        return json_node_get_string(node);
    complain(reader, "'%s' is not a string", name);
    return NULL;
}

static void read_strings(Reader *reader, JsonObject *object, const char *name, GPtrArray *strings)
{
    JsonArray *array = get_array(reader, object, name, SAMPLES_MAX);

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);
        if (holds(node, G_TYPE_STRING))
            g_ptr_array_add(strings, g_strdup(json_node_get_string(node)));
        else
            complain(reader, "'%s' holds something that is not a string", name);
    }
}

static DuetRunArm *read_arm(Reader *reader, JsonNode *node)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    const char *name = get_string(reader, object, "name");
    const char *kind = get_string(reader, object, "kind");
    DuetRunArm *arm = duet_run_arm_new(name ? name : "", kind ? kind : "");
    JsonObject *image = get_object(reader, object, "image");
    JsonObject *limits = get_object(reader, object, "limits");
    JsonObject *driver = get_object(reader, object, "driver");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    if (!name || !kind)
        complain(reader, "an arm has no name or no kind");
    arm->image_ref = g_strdup(get_string(reader, image, "ref"));
    arm->image_digest = g_strdup(get_string(reader, image, "digest"));
    arm->memory_bytes = get_int(reader, limits, "memory_bytes", 0, G_MAXINT64, 0);
    arm->cpus = get_double(reader, limits, "cpus");
    arm->pids_limit = get_int(reader, limits, "pids", 0, G_MAXINT64, 0);
    if (driver && json_object_get_size(driver) > 0)
        arm->driver = json_object_ref(driver);
    read_strings(reader, object, "command", argv);
    g_ptr_array_add(argv, NULL);
    arm->argv = (char **)g_ptr_array_free(g_steal_pointer(&argv), FALSE);
    return arm;
}

/* Returns: index of the arm of that name; 0 and a complaint if there is none. */
static guint find_arm(Reader *reader, const DuetRun *run, const char *name)
{
    for (guint i = 0; i < run->arms->len; i++) {
        if (g_strcmp0(duet_run_arm(run, i)->name, name) == 0)
            return i;
    }
    complain(reader, "no arm is named '%s'", name ? name : "");
    return 0;
}

static void read_order(Reader *reader, const DuetRun *run, JsonObject *plan)
{
    JsonArray *blocks = get_array(reader, plan, "order", SAMPLES_MAX);
    guint n_arms = run->plan->n_arms;

    if (!blocks || json_array_get_length(blocks) != run->plan->n) {
        complain(reader, "'order' has not the plan's %u blocks", run->plan->n);
        return;
    }
    for (guint block = 0; block < run->plan->n; block++) {
        JsonNode *node = json_array_get_element(blocks, block);
        JsonArray *names = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
        if (!names || json_array_get_length(names) != n_arms) {
            complain(reader, "block %u of 'order' has not one entry for each arm", block);
            return;
        }
        for (guint i = 0; i < n_arms; i++) {
            JsonNode *name = json_array_get_element(names, i);
            run->plan->order[block * n_arms + i] = find_arm(
                reader, run, holds(name, G_TYPE_STRING) ? json_node_get_string(name) : NULL);
        }
    }
}

static void read_marks(Reader *reader, JsonObject *object, DuetSample *sample)
{
    gint64 limit = G_MAXINT64 / 4;
    JsonObject *marks = get_object(reader, object, "marks_ns");
    gint64 request = get_int(reader, object, "request_monotonic_ns", 0, limit, 0);

    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        const char *name = duet_mark_to_string(mark);
        if (member(marks, name))
            sample->marks.ns[mark] = request + get_int(reader, marks, name, -limit, limit, 0);
    }
}

static DuetSample *read_sample(Reader *reader, const DuetRun *run, JsonNode *node)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    guint arm = find_arm(reader, run, get_string(reader, object, "arm"));
    guint block = get_int(reader, object, "block", 0, SAMPLES_MAX, 0);
    DuetSample *sample =
        duet_sample_new(arm, block, get_int(reader, object, "seq", 0, SAMPLES_MAX, 0));
    JsonObject *cpu = get_object(reader, object, "cpu_ns");
    JsonObject *guest = get_object(reader, object, "guest_clock_ns");
    JsonObject *memory = get_object(reader, object, "mem_bytes");

    if (!duet_sample_status_from_string(get_string(reader, object, "status"), &sample->status))
        complain(reader, "a sample's 'status' is none of ok, failed, timeout");
    sample->discarded = get_boolean(reader, object, "discarded");
    sample->exit_code = get_int(reader, object, "exit_code", 0, 255, -1);
    sample->exit_signal = get_int(reader, object, "exit_signal", 0, 255, 0);
    sample->oom = get_boolean(reader, object, "oom");
    sample->error = g_strdup(get_string(reader, object, "error"));
    read_marks(reader, object, sample);
    sample->managing_cpu_ns = get_int(reader, cpu, "managing", 0, G_MAXINT64, 0);
    sample->payload_cpu_ns = get_int(reader, cpu, "payload", 0, G_MAXINT64, 0);
    sample->guest_kernel_ns = get_int(reader, guest, "kernel", 0, G_MAXINT64, 0);
    sample->guest_agent_ns = get_int(reader, guest, "agent", 0, G_MAXINT64, 0);
    sample->peak_memory_bytes = get_int(reader, memory, "peak", 0, G_MAXINT64, 0);
    read_strings(reader, object, "warnings", sample->warnings);
    return sample;
}

static DuetPlan *read_plan(Reader *reader, JsonObject *plan, guint n_arms)
{
    DuetPlan *result = duet_plan_new(n_arms,
        get_int(reader, plan, "n", 0, SAMPLES_MAX / ARMS_MAX, 0),
        get_int(reader, plan, "seed", 0, DUET_BENCH_SEED_MAX, 0),
        get_int(reader, plan, "timeout_ms", 0, G_MAXINT64, 0), get_double(reader, plan, "floor"));
    const char *mode = get_string(reader, plan, "mode");

    if (mode) {
        g_free(result->mode);
        result->mode = g_strdup(mode);
    }
    return result;
}

static void read_run(Reader *reader, JsonObject *root, DuetRun *run, JsonArray *arms)
{
    JsonArray *samples = get_array(reader, root, "samples", SAMPLES_MAX);
    JsonObject *tool = get_object(reader, root, "tool");
    JsonObject *host = get_object(reader, root, "host");
    const char *run_id = get_string(reader, root, "run_id");
    const char *started = get_string(reader, root, "started");

    g_free(run->run_id);
    run->run_id = g_strdup(run_id ? run_id : "");
    g_free(run->started);
    run->started = g_strdup(started ? started : "");
    run->interrupted = get_boolean(reader, root, "interrupted");
    if (tool && host) {
        json_object_unref(run->tool);
        run->tool = json_object_ref(tool);
        json_object_unref(run->host);
        run->host = json_object_ref(host);
    }
    for (guint i = 0; arms && i < json_array_get_length(arms); i++)
        g_ptr_array_add(run->arms, read_arm(reader, json_array_get_element(arms, i)));
    if (run->arms->len == 0) {
        complain(reader, "there are no arms");
        return;
    }
    read_order(reader, run, get_object(reader, root, "plan"));
    for (guint i = 0; samples && i < json_array_get_length(samples); i++)
        g_ptr_array_add(run->samples, read_sample(reader, run, json_array_get_element(samples, i)));
    read_strings(reader, root, "warnings", run->warnings);
}

/* Comments and 'strings' are json-glib's own: no JSON, and a place to hide brackets from us. */
static gboolean check_depth(const char *json, gsize length, GError **error)
{
    gboolean in_string = FALSE;
    guint depth = 0;

    for (gsize i = 0; i < length && depth <= DEPTH_MAX; i++) {
        if (in_string) {
            in_string = json[i] != '"';
            i += json[i] == '\\';
            continue;
        }
        in_string = json[i] == '"';
        depth += json[i] == '[' || json[i] == '{';
        depth -= depth > 0 && (json[i] == ']' || json[i] == '}');
        if (json[i] == '/' || json[i] == '\'') {
            g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "not JSON: '%c' outside of a string",
                json[i]);
            return FALSE;
        }
    }
    if (depth > DEPTH_MAX)
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "not a result file: nested more than %d deep", DEPTH_MAX);
    return depth <= DEPTH_MAX;
}

/* "1e999" is JSON, and infinity to json-glib, which would write it back as "inf". */
static gboolean is_finite(JsonNode *node)
{
    if (JSON_NODE_HOLDS_OBJECT(node)) {
        JsonObjectIter iter;
        JsonNode *child;
        json_object_iter_init(&iter, json_node_get_object(node));
        while (json_object_iter_next(&iter, NULL, &child)) {
            if (!is_finite(child))
                return FALSE;
        }
    } else if (JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *array = json_node_get_array(node);
        for (guint i = 0; i < json_array_get_length(array); i++) {
            if (!is_finite(json_array_get_element(array, i)))
                return FALSE;
        }
    }
    return !holds(node, G_TYPE_DOUBLE) || isfinite(json_node_get_double(node));
}

DuetRun *duet_result_parse(const char *json, gssize length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    g_autoptr(GError) local = NULL;

    if (!check_depth(json, length < 0 ? strlen(json) : (gsize)length, error))
        return NULL;
    if (!json_parser_load_from_data(parser, json, length, &local)) {
        g_autofree char *message = duet_text_line(local->message);
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "not JSON: %s", message);
        return NULL;
    }
    JsonNode *node = json_parser_get_root(parser);
    JsonObject *root = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    Reader reader = { 0 };
    if (node && !is_finite(node))
        complain(&reader, "a number is larger than any can be");
    gint64 schema = get_int(&reader, root, "schema_version", 1, G_MAXINT32, 0);
    if (!reader.broken && schema != DUET_RESULT_SCHEMA) {
        if (schema == 0)
            g_set_error_literal(error, DUET_ERROR, DUET_ERROR_BROKEN,
                "not a result file: it has no 'schema_version'");
        else
            g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
                "it has schema %" G_GINT64_FORMAT ", this duet reads schema %d", schema,
                DUET_RESULT_SCHEMA);
        return NULL;
    }
    const char *benchmark = get_string(&reader, root, "benchmark");
    if (!reader.broken && benchmark && strcmp(benchmark, "boot") != 0) {
        g_autofree char *name = duet_text_line(benchmark);
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "it is a result of `duet bench %s`; those of `duet bench boot` can be read", name);
        return NULL;
    }
    JsonArray *arms = get_array(&reader, root, "arms", ARMS_MAX);
    DuetPlan *plan = read_plan(
        &reader, get_object(&reader, root, "plan"), arms ? json_array_get_length(arms) : 0);
    g_autoptr(DuetRun) run = duet_run_new(plan);
    read_run(&reader, root, run, arms);
    if (reader.broken) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "not a result of schema %d: %s",
            DUET_RESULT_SCHEMA, reader.broken);
        g_free(reader.broken);
        return NULL;
    }
    return g_steal_pointer(&run);
}

DuetRun *duet_result_load(const char *path, GError **error)
{
    gsize length = 0;
    g_autofree char *json = duet_file_read(AT_FDCWD, path, RESULT_MAX_BYTES, &length, error);
    DuetRun *run = json ? duet_result_parse(json, length, error) : NULL;

    if (json && !run)
        g_prefix_error(error, "cannot read the result '%s': ", path);
    return run;
}
