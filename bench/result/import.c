/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Times that others measured, as a result of ours: lists of numbers, and what hyperfine exports. */
#include "import.h"

#include <fcntl.h>
#include <math.h>
#include <string.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/analysis.h"
#include "bench/benchmark.h"
#include "core/util.h"
#include "bench/host/environment.h"
#include "json.h"
#include "result.h"
#include "bench/text.h"
#include "bench/words.h"

#define FILE_MAX_BYTES (256u * 1024 * 1024)
/* As many blocks as a result file may have. */
#define ARMS_MAX 64u
#define VALUES_MAX (DUET_JSON_ARRAY_MAX / ARMS_MAX)
/* A day: the sum of a mark and the longest time is far from where a mark would overflow. */
#define TIME_MAX_NS 86400e9

typedef struct {
    DuetRun *run;
    double unit_ns;
    guint column;
    const char *kind;
    GPtrArray *series; /* (element-type GArray of double): nanoseconds, of each arm */
} Import;

static gboolean unit_of(const char *name, double *out_ns, GError **error)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = { { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 } };

    for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
        if (g_str_equal(units[i].name, name ? name : "ms")) {
            *out_ns = units[i].ns;
            return TRUE;
        }
    }
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no unit of time: use ns, us, ms or s", name);
    return FALSE;
}

static gboolean broken(GError **error, const char *path, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static gboolean broken(GError **error, const char *path, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *why = g_strdup_vprintf(format, args);
    va_end(args);
    g_autofree char *line = duet_text_line(why);
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "cannot import '%s': %s", path, line);
    return FALSE;
}

static gboolean add_value(GArray *values, double ns, const char *path, GError **error)
{
    if (!isfinite(ns) || ns < 1 || ns > TIME_MAX_NS)
        return broken(error, path, "a time of %g s is none; see --unit", ns / 1e9);
    if (values->len >= VALUES_MAX)
        return broken(error, path, "it has more than %u values", (guint)VALUES_MAX);
    g_array_append_val(values, ns);
    return TRUE;
}

/* Returns: (transfer none) (nullable): field @column (from 1) of @line, which is cut up. Blanks go
 * together, and between two commas is an empty field. */
static char *field_of(char *line, guint column)
{
    const char *blanks = strpbrk(line, ",;") ? NULL : " \t";
    char *rest = line, *field = NULL;

    while (column > 0 && (field = strsep(&rest, blanks ? blanks : ",;")))
        column -= !blanks || *field;
    return field ? g_strstrip(field) : NULL;
}

/* Decimal: strtod() would read "0x10" as well, which nobody means by it. */
static gboolean read_number(const char *field, double *out_value)
{
    char *end = NULL;

    *out_value = g_ascii_strtod(field, &end);
    return *field && !*end && strspn(field, "+-.0123456789Ee") == strlen(field);
}

static gboolean read_list(
    const Import *import, char *text, const char *path, GArray *values, GError **error)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (guint i = 0; lines[i]; i++) {
        char *line = g_strstrip(lines[i]);
        if (!*line || *line == '#')
            continue;
        const char *field = field_of(line, import->column);
        double value = 0;
        if (!field || !read_number(field, &value))
            return broken(error, path, "line %u has no number in column %u%s%s", i + 1,
                import->column, field ? ": " : "", field ? field : "");
        if (!add_value(values, value * import->unit_ns, path, error))
            return FALSE;
    }
    return values->len > 0 || broken(error, path, "there is no value in it");
}

/* Returns: (transfer none): where the next arm's values go. */
static GArray *add_arm(Import *import, const char *name, const char *path, GError **error)
{
    DuetKind kind;
    if (import->run->arms->len >= ARMS_MAX) {
        broken(error, path, "a result has at most %u arms", ARMS_MAX);
        return NULL;
    }
    /* An arm that is called as a kind is one of it. */
    DuetRunArm *arm =
        duet_run_arm_new(name, duet_kind_from_string(name, &kind) ? name : import->kind);

    for (guint i = 0; i < import->run->arms->len; i++) {
        if (!g_str_equal(duet_run_arm(import->run, i)->name, name))
            continue;
        duet_run_arm_free(arm);
        broken(error, path, "there is an arm '%s' already", name);
        return NULL;
    }
    arm->argv = g_new0(char *, 1);
    g_ptr_array_add(import->run->arms, arm);
    g_ptr_array_add(import->series, g_array_new(FALSE, FALSE, sizeof(double)));
    return import->series->pdata[import->series->len - 1];
}

static gboolean all_zero(JsonNode *codes)
{
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(codes) ? json_node_get_array(codes) : NULL;

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *code = json_array_get_element(array, i);
        if (!JSON_NODE_HOLDS_VALUE(code) || json_node_get_int(code) != 0)
            return FALSE;
    }
    return TRUE;
}

/* One of hyperfine's "results": a command with all its "times", in seconds. */
static gboolean read_command(
    Import *import, const char *name, JsonNode *node, const char *path, GError **error)
{
    DuetJsonReader reader = { 0 };
    JsonObject *result = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    const char *command = duet_json_get_string(&reader, result, "command");
    JsonArray *times = duet_json_get_array(&reader, result, "times", VALUES_MAX);
    JsonNode *codes = duet_json_member(result, "exit_codes");
    GArray *values = NULL;

    g_free(reader.broken);
    if (!command || !times || json_array_get_length(times) == 0)
        return broken(error, path, "a result has no 'command', or no 'times'");
    if (codes && !all_zero(codes))
        return broken(error, path, "runs of '%s' failed: their times are no result", command);
    values = add_arm(import, name ? name : command, path, error);
    if (!values)
        return FALSE;
    for (guint i = 0; i < json_array_get_length(times); i++) {
        JsonNode *time = json_array_get_element(times, i);
        if (!JSON_NODE_HOLDS_VALUE(time))
            return broken(error, path, "one of 'times' is no number");
        if (!add_value(values, json_node_get_double(time) * 1e9, path, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean read_hyperfine(
    Import *import, const char *name, const char *text, const char *path, GError **error)
{
    g_autoptr(JsonNode) node = duet_json_parse(text, strlen(text), error);
    DuetJsonReader reader = { 0 };

    if (!node) {
        g_prefix_error(error, "cannot import '%s': ", path);
        return FALSE;
    }
    JsonObject *root = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    JsonArray *results = duet_json_get_array(&reader, root, "results", ARMS_MAX);
    guint n = results ? json_array_get_length(results) : 0;
    g_free(reader.broken);
    if (n == 0)
        return broken(error, path, "it is no export of hyperfine: it has no 'results'");
    if (name && n > 1)
        return broken(error, path, "it has %u commands: give it without a name", n);
    for (guint i = 0; i < n; i++)
        if (!read_command(import, name, json_array_get_element(results, i), path, error))
            return FALSE;
    return TRUE;
}

/* Returns: (transfer full): the whole file: what is behind a NUL byte must not be dropped. */
static char *read_text(const char *path, GError **error)
{
    gsize length = 0;
    g_autofree char *text = duet_file_read(AT_FDCWD, path, FILE_MAX_BYTES, &length, error);

    if (!text || strlen(text) == length)
        return g_steal_pointer(&text);
    guint line = 1;
    for (const char *c = text; *c; c++)
        line += *c == '\n';
    broken(error, path, "line %u has a NUL byte in it", line);
    return NULL;
}

/* @word: "NAME=FILE", or a FILE of hyperfine's. */
static gboolean read_word(Import *import, const char *word, GError **error)
{
    const char *equals = strchr(word, '=');
    g_autofree char *name = equals && equals > word ? g_strndup(word, equals - word) : NULL;
    const char *path = name ? equals + 1 : word;
    g_autofree char *text = read_text(path, error);

    if (!text)
        return FALSE;
    if (name && !g_utf8_validate(name, -1, NULL))
        return broken(error, path, "the name of its arm is not UTF-8");
    if (*g_strchug(text) == '{')
        return read_hyperfine(import, name, text, path, error);
    if (!name)
        return broken(error, path, "give its arm a name: NAME=%s", path);
    GArray *values = add_arm(import, name, path, error);
    return values && read_list(import, text, path, values, error);
}

/* One arm after the other, as they were measured. */
static void add_samples(Import *import)
{
    DuetRun *run = import->run;

    for (guint arm = 0; arm < import->series->len; arm++) {
        const GArray *values = import->series->pdata[arm];
        for (guint i = 0; i < values->len; i++) {
            DuetSample *sample = duet_sample_new(arm, i, run->samples->len);
            gint64 at = G_GINT64_CONSTANT(1000000000);
            sample->status = DUET_SAMPLE_OK;
            sample->exit_code = 0;
            sample->marks.ns[DUET_MARK_REQUEST] = at;
            sample->marks.ns[DUET_MARK_OUTPUT] =
                at + (gint64)llround(g_array_index(values, double, i));
            g_ptr_array_add(run->samples, sample);
        }
    }
}

static guint longest(const GPtrArray *series)
{
    guint most = 0;

    for (guint i = 0; i < series->len; i++)
        most = MAX(most, ((const GArray *)series->pdata[i])->len);
    return most;
}

gboolean duet_import(const DuetResultsImport *request, GError **error)
{
    g_autoptr(DuetRun) run =
        duet_run_new(&duet_benchmark_boot, duet_plan_new(0, 0, 1, 0, DUET_BENCH_FLOOR_DEFAULT));
    g_autoptr(GPtrArray) series = g_ptr_array_new_with_free_func((GDestroyNotify)g_array_unref);
    Import import = { run, 0, request->column, request->kind, series };

    if (!unit_of(request->unit, &import.unit_ns, error))
        return FALSE;
    for (char *const *word = request->arms; *word; word++)
        if (!read_word(&import, *word, error))
            return FALSE;
    duet_plan_free(run->plan);
    run->plan = duet_plan_new(run->arms->len, longest(series), 1, 0, DUET_BENCH_FLOOR_DEFAULT);
    duet_plan_set_mode(run->plan, DUET_PLAN_IMPORTED);
    json_object_unref(run->tool);
    run->tool = duet_environment_tool();
    add_samples(&import);
    g_ptr_array_add(run->warnings,
        g_strdup(
            N_("imported: duet did not measure this; 'request' to 'output' is what the imported "
               "times are, and nothing is known of their host")));
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    return duet_result_save(request->output, json, error);
}
