/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/result/json.h"
#include "compare.h"

#include <math.h>

#include "core/util.h"
#include "bench/result/result.h"
#include "side.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/boot/waterfall.h"

#define LABEL_COLUMNS 32
#define VALUE_COLUMNS 16

const DuetSample *duet_compare_sample(const DuetRun *run, guint arm)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm == arm && !sample->discarded)
            return sample;
    }
    return NULL;
}

static void append_head(GString *out, const DuetCompareView *view)
{
    const DuetRunArm *arm = duet_run_arm(view->run, 0);
    g_autofree char *command = duet_text_command(arm->argv);
    g_autofree char *accel = duet_bench_table_accel(view->run);
    g_autofree char *image = g_strdup_printf("%s  %.19s", arm->image_ref ? arm->image_ref : "",
        arm->image_digest ? arm->image_digest : "");

    duet_bench_table_banner(out, view->analysis->nested, view->analysis->tcg);
    duet_text_append_wrapped(out, "image    ", "         ", image);
    duet_text_append_wrapped(out, "command  ", "         ", command);
    if (*accel)
        duet_text_append_wrapped(out, "ran on   ", "         ", accel);
}

static DuetSide side_of(const DuetCompareView *view, guint arm, gboolean of_stderr)
{
    const DuetInstanceSampler *sampler = view->sampler;
    const DuetSample *sample = duet_compare_sample(view->run, arm);
    gboolean ran = sample && sample->marks.ns[DUET_MARK_EXEC] != 0;

    return (DuetSide){ duet_run_arm(view->run, arm)->name,
        !ran            ? NULL
            : of_stderr ? sampler->captured_stderr[arm]
                        : sampler->captured_stdout[arm] };
}

static gboolean wrote(const DuetSide *side)
{
    return side->captured && side->captured->total > 0;
}

static void append_outputs(GString *out, const DuetCompareView *view)
{
    for (guint arm = 0; arm + 1 < view->run->arms->len; arm++) {
        DuetSide left = side_of(view, arm, FALSE), right = side_of(view, arm + 1, FALSE);
        DuetSide left_err = side_of(view, arm, TRUE), right_err = side_of(view, arm + 1, TRUE);
        g_string_append_c(out, '\n');
        duet_side_by_side(out, "output", &left, &right, view->color);
        if (!wrote(&left_err) && !wrote(&right_err))
            continue;
        g_string_append_c(out, '\n');
        duet_side_by_side(out, "standard error", &left_err, &right_err, view->color);
    }
}

static void append_exits(GString *out, const DuetCompareView *view)
{
    for (guint arm = 0; arm < view->run->arms->len; arm++) {
        const DuetSample *sample = duet_compare_sample(view->run, arm);
        const char *name = duet_run_arm(view->run, arm)->name;
        if (!sample || sample->status == DUET_SAMPLE_OK)
            continue;
        g_autofree char *text = sample->status == DUET_SAMPLE_TIMEOUT
            ? g_strdup_printf("%s: timed out", name)
            : g_strdup_printf("%s: exit code %d%s%s", name, sample->exit_code,
                  sample->error ? ": " : "", sample->error ? sample->error : "");
        duet_text_append_wrapped(out, "! ", "  ", text);
    }
}

static void append_waterfalls(GString *out, const DuetCompareView *view)
{
    guint n = view->run->arms->len;
    g_autofree DuetWaterfall *rows = g_new0(DuetWaterfall, n);

    for (guint arm = 0; arm < n; arm++)
        rows[arm] = (DuetWaterfall){ duet_run_arm(view->run, arm)->name,
            duet_compare_sample(view->run, arm) };
    g_string_append(out, "\ntime from request until all is released, on one scale\n");
    duet_waterfall_scale(out, rows, n);
    for (guint arm = 0; arm < n; arm++) {
        g_string_append_c(out, '\n');
        duet_waterfall_draw(out, &rows[arm]);
    }
}

typedef struct {
    const char *label;
    gsize offset;
} MemoryRow;

static const MemoryRow memory_rows[] = {
    { "  payload's side, PSS", G_STRUCT_OFFSET(DuetMemory, payload_pss_bytes) },
    { "  monitor and worker, PSS", G_STRUCT_OFFSET(DuetMemory, managing_pss_bytes) },
    { "  cgroup of the payload's side", G_STRUCT_OFFSET(DuetMemory, cgroup_bytes) },
    { "    of it anonymous", G_STRUCT_OFFSET(DuetMemory, cgroup_anon_bytes) },
    { "    of it file", G_STRUCT_OFFSET(DuetMemory, cgroup_file_bytes) },
    { "    of it kernel", G_STRUCT_OFFSET(DuetMemory, cgroup_kernel_bytes) },
};

static guint64 pss_of(const DuetIdle *idle)
{
    return idle->memory.payload_pss_bytes + idle->memory.managing_pss_bytes;
}

static void append_memory_row(GString *out, const DuetCompareView *view, const MemoryRow *row)
{
    gboolean of_cgroup = row->offset >= G_STRUCT_OFFSET(DuetMemory, cgroup_bytes);

    duet_text_append_padded(out, row->label, LABEL_COLUMNS);
    for (guint arm = 0; arm < view->run->arms->len; arm++) {
        const DuetIdle *idle = &view->idle[arm];
        guint64 bytes = G_STRUCT_MEMBER(guint64, &idle->memory, row->offset);
        gboolean known = idle->measured && !(of_cgroup && idle->memory.cgroup_bytes == 0);
        g_autofree char *text = known ? duet_format_bytes(bytes) : g_strdup("n/a");
        duet_text_append_figure(out, text, VALUE_COLUMNS);
    }
    g_string_append_c(out, '\n');
}

static void append_memory(GString *out, const DuetCompareView *view)
{
    g_string_append(out, "\n");
    g_autofree char *title = g_strdup_printf("memory, idle for %g s", DUET_COMPARE_AGE_MS / 1000.0);
    duet_text_append_padded(out, title, LABEL_COLUMNS);
    for (guint arm = 0; arm < view->run->arms->len; arm++)
        duet_text_append_right(out, duet_run_arm(view->run, arm)->name, VALUE_COLUMNS);
    g_string_append_c(out, '\n');
    for (gsize i = 0; i < G_N_ELEMENTS(memory_rows); i++)
        append_memory_row(out, view, &memory_rows[i]);
    for (guint arm = 0; arm < view->run->arms->len; arm++) {
        if (view->idle[arm].measured || !view->idle[arm].error)
            continue;
        g_autofree char *text = g_strdup_printf("%s: memory not measured: %s",
            duet_run_arm(view->run, arm)->name, view->idle[arm].error);
        duet_text_append_wrapped(out, "! ", "  ", text);
    }
}

static void append_ratio(GString *out, const DuetCompareView *view, const DuetComparison *pair)
{
    const char *a = duet_run_arm(view->run, pair->a)->name;
    const char *b = duet_run_arm(view->run, pair->b)->name;
    const DuetIdle *idle_a = &view->idle[pair->a], *idle_b = &view->idle[pair->b];

    if (duet_verdict_withholds(pair->verdict)) {
        g_string_append_printf(
            out, "ratio of times, %s / %s: %s\n", a, b, duet_verdict_to_string(pair->verdict));
    } else {
        g_autofree char *ratio = duet_text_ratio(pair->contrast.ratio);
        g_autofree char *line = g_strdup_printf("ratio of times, %s / %s: %s (request to %s%s)", a,
            b, ratio, duet_mark_to_string(view->analysis->headline_to),
            view->analysis->tcg ? "; no KVM: an upper bound" : "");
        duet_text_append_wrapped(out, "", "    ", line);
    }
    if (idle_a->measured && idle_b->measured && pss_of(idle_b) > 0) {
        g_autofree char *ratio = duet_text_ratio((double)pss_of(idle_a) / (double)pss_of(idle_b));
        g_string_append_printf(
            out, "ratio of memory, %s / %s: %s (PSS, all processes)\n", a, b, ratio);
    }
}

char *duet_compare_text(const DuetCompareView *view)
{
    GString *out = g_string_new(NULL);
    const DuetAnalysis *analysis = view->analysis;

    append_head(out, view);
    append_outputs(out, view);
    append_exits(out, view);
    append_waterfalls(out, view);
    append_memory(out, view);
    g_string_append_c(out, '\n');
    g_autoptr(GArray) times = duet_analysis_comparisons(analysis, DUET_METRIC_HEADLINE);
    for (guint i = 0; i < times->len; i++)
        append_ratio(out, view, &g_array_index(times, DuetComparison, i));
    duet_text_append_wrapped(out, "", "",
        "One sample of each after one discarded: `duet bench boot` gives medians and intervals.");
    if (view->run->interrupted)
        g_string_append(out, "! interrupted: this is a part of it only\n");
    for (guint i = 0; i < view->run->warnings->len; i++)
        duet_text_append_wrapped(out, "! ", "  ", g_ptr_array_index(view->run->warnings, i));
    for (guint i = 0; i < view->run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(view->run, i);
        for (guint w = 0; w < sample->warnings->len; w++)
            duet_text_append_wrapped(out, "! ", "  ", g_ptr_array_index(sample->warnings, w));
    }
    return g_string_free(out, FALSE);
}

static JsonObject *stream_object(const DuetCaptured *captured)
{
    JsonObject *object = json_object_new();
    gsize length = 0;
    const char *bytes = g_bytes_get_data(captured->kept, &length);

    json_object_set_int_member(object, "bytes", captured->total);
    json_object_set_string_member(object, "sha256", captured->sha256);
    json_object_set_boolean_member(object, "cut", captured->total > length);
    if (duet_captured_is_text(captured)) {
        g_autofree char *text = g_utf8_make_valid(length > 0 ? bytes : "", length);
        json_object_set_string_member(object, "text", text);
    } else {
        g_autofree char *encoded = g_base64_encode((const guchar *)bytes, length);
        json_object_set_string_member(object, "base64", encoded);
    }
    return object;
}

static JsonArray *outputs_array(const DuetCompareView *view)
{
    JsonArray *array = json_array_new();

    for (guint arm = 0; arm < view->run->arms->len; arm++) {
        JsonObject *object = json_object_new();
        DuetSide out = side_of(view, arm, FALSE), err = side_of(view, arm, TRUE);
        json_object_set_string_member(object, "arm", out.name);
        if (out.captured)
            json_object_set_object_member(object, "stdout", stream_object(out.captured));
        if (err.captured)
            json_object_set_object_member(object, "stderr", stream_object(err.captured));
        json_array_add_object_element(array, object);
    }
    return array;
}

static JsonArray *idle_array(const DuetCompareView *view)
{
    JsonArray *array = json_array_new();

    for (guint arm = 0; arm < view->run->arms->len; arm++) {
        const DuetIdle *idle = &view->idle[arm];
        JsonObject *object = json_object_new();
        json_object_set_string_member(object, "arm", duet_run_arm(view->run, arm)->name);
        if (idle->error)
            json_object_set_string_member(object, "error", idle->error);
        if (idle->measured) {
            json_object_set_int_member(object, "age_ns", idle->age_ns);
            duet_memory_set_members(object, &idle->memory);
        }
        json_array_add_object_element(array, object);
    }
    return array;
}

char *duet_compare_json(const DuetCompareView *view)
{
    g_autoptr(JsonNode) node = duet_result_node(view->run, view->analysis);
    JsonObject *root = json_node_get_object(node);

    json_object_set_array_member(root, "outputs", outputs_array(view));
    json_object_set_array_member(root, "idle_memory", idle_array(view));
    return duet_json_print(node, TRUE);
}
