/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "result.h"

#include <fcntl.h>
#include <string.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "core/util.h"
#include "bench/benchmark.h"
#include "journal.h"
#include "json.h"
#include "bench/text.h"

/*
 * Theory of operation. A result file may come from anybody: each member is looked up by name, its
 * type checked, each number and index bounded before it is used. The first thing that is wrong
 * goes into `broken`; look-ups go on with harmless values, and the caller checks once at the end.
 */

#define RESULT_MAX_BYTES (256u * 1024 * 1024)
#define ARMS_MAX 64
#define SAMPLES_MAX DUET_JSON_ARRAY_MAX

static DuetRunArm *read_arm(DuetJsonReader *reader, JsonNode *node)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    const char *name = duet_json_get_string(reader, object, "name");
    const char *kind = duet_json_get_string(reader, object, "kind");
    DuetRunArm *arm = duet_run_arm_new(name ? name : "", kind ? kind : "");
    JsonObject *image = duet_json_get_object(reader, object, "image");
    JsonObject *limits = duet_json_get_object(reader, object, "limits");
    JsonObject *driver = duet_json_get_object(reader, object, "driver");
    g_autoptr(GPtrArray) argv = g_ptr_array_new();

    if (!name || !kind)
        duet_json_complain(reader, "an arm has no name or no kind");
    arm->image_ref = g_strdup(duet_json_get_string(reader, image, "ref"));
    arm->image_digest = g_strdup(duet_json_get_string(reader, image, "digest"));
    arm->memory_bytes = duet_json_get_int(reader, limits, "memory_bytes", 0, G_MAXINT64, 0);
    arm->cpus = duet_json_get_double(reader, limits, "cpus");
    arm->pids_limit = duet_json_get_int(reader, limits, "pids", 0, G_MAXINT64, 0);
    if (driver && json_object_get_size(driver) > 0)
        arm->driver = json_object_ref(driver);
    duet_json_get_strings(reader, object, "command", argv);
    g_ptr_array_add(argv, NULL);
    arm->argv = (char **)g_ptr_array_free(g_steal_pointer(&argv), FALSE);
    return arm;
}

/* Samples name their arm, so there must be one of each name. */
static void add_arm(DuetJsonReader *reader, DuetRun *run, JsonNode *node)
{
    DuetRunArm *arm = read_arm(reader, node);

    for (guint i = 0; i < run->arms->len; i++) {
        if (g_str_equal(duet_run_arm(run, i)->name, arm->name))
            duet_json_complain(reader, "two arms are named '%s'", arm->name);
    }
    g_ptr_array_add(run->arms, arm);
}

/* Returns: index of the arm of that name; 0 and a complaint if there is none. */
static guint find_arm(DuetJsonReader *reader, const DuetRun *run, const char *name)
{
    for (guint i = 0; i < run->arms->len; i++) {
        if (g_strcmp0(duet_run_arm(run, i)->name, name) == 0)
            return i;
    }
    duet_json_complain(reader, "no arm is named '%s'", name ? name : "");
    return 0;
}

/* Returns: the variant that @node names; 0 and a complaint if there is none. */
static guint find_variant(
    DuetJsonReader *reader, const DuetPlan *plan, const DuetVariants *variants, JsonNode *node)
{
    int variant = variants->read(plan, node);

    if (variant >= 0)
        return variant;
    duet_json_complain(reader, "'%s' holds what the plan has not", variants->order);
    return 0;
}

/* Returns: (nullable): row @block of an array of arrays, if it has @n entries. */
static JsonArray *block_row(
    DuetJsonReader *reader, JsonArray *blocks, const char *name, guint block, guint n)
{
    JsonNode *node = blocks && block < json_array_get_length(blocks)
        ? json_array_get_element(blocks, block)
        : NULL;
    JsonArray *row = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;

    if (row && json_array_get_length(row) == n)
        return row;
    duet_json_complain(reader, "block %u of '%s' has not one entry for each sample", block, name);
    return NULL;
}

static void read_order(DuetJsonReader *reader, const DuetRun *run, JsonObject *plan)
{
    DuetPlan *to = run->plan;
    const DuetVariants *variants = run->benchmark->variants;
    guint cells = duet_plan_cells(to);
    JsonArray *blocks = duet_json_get_array(reader, plan, "order", SAMPLES_MAX);
    JsonArray *others =
        variants ? duet_json_get_array(reader, plan, variants->order, SAMPLES_MAX) : NULL;

    if (!blocks || json_array_get_length(blocks) != to->n) {
        duet_json_complain(reader, "'order' has not the plan's %u blocks", to->n);
        return;
    }
    for (guint block = 0; block < to->n && !reader->broken; block++) {
        JsonArray *names = block_row(reader, blocks, "order", block, cells);
        JsonArray *row = variants ? block_row(reader, others, variants->order, block, cells) : NULL;
        for (guint i = 0; i < cells && !reader->broken; i++) {
            JsonNode *name = json_array_get_element(names, i);
            guint arm = find_arm(reader, run,
                duet_json_holds(name, G_TYPE_STRING) ? json_node_get_string(name) : NULL);
            guint variant =
                row ? find_variant(reader, to, variants, json_array_get_element(row, i)) : 0;
            to->order[block * cells + i] = arm * to->n_variants + variant;
        }
    }
}

static void read_marks(DuetJsonReader *reader, JsonObject *object, DuetSample *sample)
{
    gint64 limit = G_MAXINT64 / 4;
    JsonObject *marks = duet_json_get_object(reader, object, "marks_ns");
    gint64 request = duet_json_get_int(reader, object, "request_monotonic_ns", 0, limit, 0);

    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        const char *name = duet_mark_to_string(mark);
        if (duet_json_member(marks, name))
            sample->marks.ns[mark] =
                request + duet_json_get_int(reader, marks, name, -limit, limit, 0);
    }
    if (duet_json_member(marks, "ready"))
        sample->ready_ns = request + duet_json_get_int(reader, marks, "ready", -limit, limit, 0);
}

static DuetSample *read_sample(DuetJsonReader *reader, const DuetRun *run, JsonNode *node)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    guint arm = find_arm(reader, run, duet_json_get_string(reader, object, "arm"));
    guint block = duet_json_get_int(reader, object, "block", 0, SAMPLES_MAX, 0);
    DuetSample *sample =
        duet_sample_new(arm, block, duet_json_get_int(reader, object, "seq", 0, SAMPLES_MAX, 0));
    JsonObject *cpu = duet_json_get_object(reader, object, "cpu_ns");
    JsonObject *guest = duet_json_get_object(reader, object, "guest_clock_ns");
    JsonObject *memory = duet_json_get_object(reader, object, "mem_bytes");

    if (!duet_sample_status_from_string(
            duet_json_get_string(reader, object, "status"), &sample->status))
        duet_json_complain(reader, "a sample's 'status' is none of ok, failed, timeout");
    sample->discarded = duet_json_get_boolean(reader, object, "discarded");
    sample->exit_code = duet_json_get_int(reader, object, "exit_code", 0, 255, -1);
    sample->exit_signal = duet_json_get_int(reader, object, "exit_signal", 0, 255, 0);
    sample->oom = duet_json_get_boolean(reader, object, "oom");
    sample->error = g_strdup(duet_json_get_string(reader, object, "error"));
    read_marks(reader, object, sample);
    sample->managing_cpu_ns = duet_json_get_int(reader, cpu, "managing", 0, G_MAXINT64, 0);
    sample->payload_cpu_ns = duet_json_get_int(reader, cpu, "payload", 0, G_MAXINT64, 0);
    sample->guest_kernel_ns = duet_json_get_int(reader, guest, "kernel", 0, G_MAXINT64, 0);
    sample->guest_agent_ns = duet_json_get_int(reader, guest, "agent", 0, G_MAXINT64, 0);
    sample->peak_memory_bytes = duet_json_get_int(reader, memory, "peak", 0, G_MAXINT64, 0);
    if (run->benchmark->read_sample)
        run->benchmark->read_sample(reader, object, sample);
    duet_json_get_strings(reader, object, "warnings", sample->warnings);
    return sample;
}

/* They are shown as a part of a command: nothing but options, each with its value. */
static char **read_options(DuetJsonReader *reader, JsonObject *plan)
{
    g_autoptr(GPtrArray) words = g_ptr_array_new();

    duet_json_get_strings(reader, plan, "options", words);
    for (guint i = 0, n; i < words->len; i += n) {
        n = duet_plan_option_words(words->pdata[i]);
        if (!g_str_has_prefix(words->pdata[i], "--") || i + n > words->len)
            duet_json_complain(reader, "'options' are not options, each with its value");
    }
    g_ptr_array_add(words, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

static DuetPlan *read_plan(
    DuetJsonReader *reader, const DuetBenchmark *benchmark, JsonObject *plan, guint n_arms)
{
    guint n = duet_json_get_int(reader, plan, "n", 0, SAMPLES_MAX / ARMS_MAX, 0);
    guint64 seed = duet_json_get_int(reader, plan, "seed", 0, DUET_BENCH_SEED_MAX, 0);
    const char *mode = duet_json_get_string(reader, plan, "mode");
    DuetPlan *result = benchmark->new_plan(reader, plan, n_arms, n, seed);

    duet_plan_set_mode(result, mode);
    if (duet_json_member(plan, "options"))
        result->options = read_options(reader, plan);
    return result;
}

static void read_run(DuetJsonReader *reader, JsonObject *root, DuetRun *run, JsonArray *arms)
{
    JsonArray *samples = duet_json_get_array(reader, root, "samples", SAMPLES_MAX);
    JsonObject *tool = duet_json_get_object(reader, root, "tool");
    JsonObject *host = duet_json_get_object(reader, root, "host");
    const char *run_id = duet_json_get_string(reader, root, "run_id");
    const char *started = duet_json_get_string(reader, root, "started");

    g_free(run->run_id);
    run->run_id = g_strdup(run_id ? run_id : "");
    g_free(run->started);
    run->started = g_strdup(started ? started : "");
    run->interrupted = duet_json_get_boolean(reader, root, "interrupted");
    if (tool && host) {
        json_object_unref(run->tool);
        run->tool = json_object_ref(tool);
        json_object_unref(run->host);
        run->host = json_object_ref(host);
    }
    for (guint i = 0; arms && i < json_array_get_length(arms); i++)
        add_arm(reader, run, json_array_get_element(arms, i));
    if (run->arms->len == 0) {
        duet_json_complain(reader, "there are no arms");
        return;
    }
    read_order(reader, run, duet_json_get_object(reader, root, "plan"));
    for (guint i = 0; samples && i < json_array_get_length(samples); i++)
        g_ptr_array_add(run->samples, read_sample(reader, run, json_array_get_element(samples, i)));
    if (run->benchmark->read_root)
        run->benchmark->read_root(reader, root, run);
    duet_json_get_strings(reader, root, "warnings", run->warnings);
}

static gboolean check_schema(DuetJsonReader *reader, JsonObject *root, GError **error)
{
    gint64 schema = duet_json_get_int(reader, root, "schema_version", 1, G_MAXINT32, 0);

    if (reader->broken || schema == DUET_RESULT_SCHEMA)
        return TRUE;
    if (schema == 0)
        g_set_error_literal(
            error, DUET_ERROR, DUET_ERROR_BROKEN, "not a result file: it has no 'schema_version'");
    else
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "it has schema %" G_GINT64_FORMAT ", this duet reads schema %d", schema,
            DUET_RESULT_SCHEMA);
    return FALSE;
}

static const DuetBenchmark *find_benchmark(DuetJsonReader *reader, JsonObject *root, GError **error)
{
    const char *name = duet_json_get_string(reader, root, "benchmark");
    const DuetBenchmark *benchmark = duet_benchmark_find(name ? name : "boot");

    if (benchmark)
        return benchmark;
    g_autofree char *line = duet_text_line(name);
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "it is of the benchmark '%s', which this duet does not know", line);
    return NULL;
}

DuetRun *duet_result_parse(const char *json, gssize length, GError **error)
{
    gsize size = length < 0 ? strlen(json) : (gsize)length;
    g_autoptr(JsonNode) node = duet_journal_is(json, size) ? duet_journal_parse(json, size, error)
                                                           : duet_json_parse(json, size, error);

    if (!node)
        return NULL;
    JsonObject *root = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    DuetJsonReader reader = { 0 };
    if (!check_schema(&reader, root, error))
        return NULL;
    const DuetBenchmark *benchmark = find_benchmark(&reader, root, error);
    if (!benchmark) {
        g_free(reader.broken);
        return NULL;
    }
    JsonArray *arms = duet_json_get_array(&reader, root, "arms", ARMS_MAX);
    DuetPlan *plan = read_plan(&reader, benchmark, duet_json_get_object(&reader, root, "plan"),
        arms ? json_array_get_length(arms) : 0);
    g_autoptr(DuetRun) run = duet_run_new(benchmark, plan);
    read_run(&reader, root, run, arms);
    if (reader.broken) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "not a result of schema %d: %s",
            DUET_RESULT_SCHEMA, reader.broken);
        g_free(reader.broken);
        return NULL;
    }
    return g_steal_pointer(&run);
}

DuetRun *duet_result_load_whole(const char *path, GBytes **out_text, GError **error)
{
    gsize length = 0;
    g_autofree char *json = duet_file_read(AT_FDCWD, path, RESULT_MAX_BYTES, &length, error);
    DuetRun *run = json ? duet_result_parse(json, length, error) : NULL;

    if (json && !run)
        g_prefix_error(error, "cannot read the result '%s': ", path);
    if (run && out_text)
        *out_text = g_bytes_new_take(g_steal_pointer(&json), length);
    return run;
}

DuetRun *duet_result_load(const char *path, GError **error)
{
    return duet_result_load_whole(path, NULL, error);
}
