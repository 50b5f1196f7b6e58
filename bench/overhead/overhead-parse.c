/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-parse.h"

#include <math.h>
#include <string.h>

#include <duet/error.h>

#include "bench/result/record.h"
#include "core/json-guard.h"

#define MEBI (1024.0 * 1024)
#define VERSION_CHARACTERS "0123456789.+~-abcdefghijklmnopqrstuvwxyz"

static gboolean broken(GError **error, const char *tool, const char *what)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "%s's output has no %s", tool, what);
    return FALSE;
}

static gboolean accept(double value, double *out_value)
{
    if (!isfinite(value) || !(value > 0))
        return FALSE;
    *out_value = value;
    return TRUE;
}

/* The rest of the first line that begins with @key, whatever blanks and dashes are before it. */
static char *line_after(const char *output, const char *key)
{
    g_auto(GStrv) lines = g_strsplit(output, "\n", -1);

    for (char **line = lines; *line; line++) {
        const char *at = *line + strspn(*line, " \t-");
        if (g_str_has_prefix(at, key))
            return g_strstrip(g_strdup(at + strlen(key)));
    }
    return NULL;
}

static gboolean number_after(const char *output, const char *key, double *out_value)
{
    g_autofree char *text = line_after(output, key);
    char *end = NULL;
    double value = text ? g_ascii_strtod(text, &end) : 0;

    /* A word may follow: a unit. Part of a number may not. */
    return text && end != text && (*end == '\0' || *end == ' ') && accept(value, out_value);
}

/* "NAME-VERSION", from what follows @key; a version begins with a digit and ends with it. */
static gboolean take_version(
    const char *output, const char *key, const char *name, DuetOverheadPoint *point, GError **error)
{
    const char *at = strstr(output, key);

    at = at ? at + strlen(key) : "";
    at += strspn(at, " ");
    if (!g_ascii_isdigit(*at))
        return broken(error, name, "version");
    g_free(point->tool);
    point->tool = g_strdup_printf("%s-%.*s", name, (int)strspn(at, VERSION_CHARACTERS), at);
    return TRUE;
}

gboolean duet_parse_sysbench_cpu(const char *output, DuetOverheadPoint *point, GError **error)
{
    if (!number_after(output, "events per second:", &point->values[0]))
        return broken(error, "sysbench", "events per second");
    return take_version(output, "sysbench ", "sysbench", point, error);
}

/* "3776.00 MiB transferred (3638.70 MiB/sec)" */
gboolean duet_parse_sysbench_memory(const char *output, DuetOverheadPoint *point, GError **error)
{
    static const char before[] = " MiB transferred (";
    const char *at = strstr(output, before);
    char *end = NULL;
    double rate = at ? g_ascii_strtod(at + strlen(before), &end) : 0;

    if (!at || !g_str_has_prefix(end, " MiB/sec)") || !accept(rate * MEBI, &point->values[0]))
        return broken(error, "sysbench", "MiB/sec");
    return take_version(output, "sysbench ", "sysbench", point, error);
}

/* "77965 bytes (78 kB, 76 KiB) copied, 0.835772 s, 93.3 kB/s": two calls for each byte. */
gboolean duet_parse_dd(const char *output, DuetOverheadPoint *point, GError **error)
{
    static const char before[] = " copied, ";
    const char *copied = strstr(output, before), *line = copied;
    char *end = NULL;

    while (line && line > output && line[-1] != '\n')
        line--;
    double bytes = line ? g_ascii_strtod(line, &end) : 0;
    gboolean good = line && g_str_has_prefix(end, " byte");
    double seconds = good ? g_ascii_strtod(copied + strlen(before), &end) : 0;
    if (!good || !g_str_has_prefix(end, " s,") || !(bytes > 0) ||
        !accept(seconds * 1e9 / (2 * bytes), &point->values[0]))
        return broken(error, "dd", "bytes and seconds");
    return take_version(output, "dd (coreutils) ", "coreutils", point, error);
}

gboolean duet_parse_programs(const char *output, DuetOverheadPoint *point, GError **error)
{
    double programs = 0, ns = 0;

    if (!number_after(output, "programs:", &programs) ||
        !number_after(output, "nanoseconds:", &ns) ||
        !accept(programs * 1e9 / ns, &point->values[0]))
        return broken(error, "sh", "count of programs");
    return take_version(output, "true (GNU coreutils) ", "coreutils", point, error);
}

gboolean duet_parse_stress_switch(const char *output, DuetOverheadPoint *point, GError **error)
{
    if (!number_after(output, "nanosecs-per-context-switch-pipe-method:", &point->values[0]))
        return broken(error, "stress-ng", "time of a context switch");
    return take_version(output, "stress-ng-version:", "stress-ng", point, error);
}

/* Its MB are of 2^20 bytes. What is read and what is written are in a fixed proportion: their sum
 * is what STREAM's own rates count. */
gboolean duet_parse_stress_stream(const char *output, DuetOverheadPoint *point, GError **error)
{
    static const char before[] = "Using CPU cache size of ";
    const char *at = strstr(output, before);
    g_autofree char *host = line_after(output, "cache of the host:");
    double read = 0, written = 0;

    if (!number_after(output, "memory-read-rate-mb-per-sec:", &read) ||
        !number_after(output, "memory-write-rate-mb-per-sec:", &written) ||
        !accept((read + written) * MEBI, &point->values[0]))
        return broken(error, "stress-ng", "memory rates");
    if (!at || !host)
        return broken(error, "stress-ng", "size of a cache");
    at += strlen(before);
    g_free(point->mode);
    point->mode = g_strdup_printf("cache=%.*s,host=%s", (int)strspn(at, "0123456789K"), at, host);
    return take_version(output, "stress-ng-version:", "stress-ng", point, error);
}

/* Returns: (transfer full) (nullable): the object that @output is. */
static JsonObject *json_of(const char *output, const char *tool, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new_immutable();
    JsonNode *root = NULL;

    if (!duet_json_hazard(output, strlen(output)) &&
        json_parser_load_from_data(parser, output, -1, NULL))
        root = json_parser_get_root(parser);
    if (root && JSON_NODE_HOLDS_OBJECT(root))
        return json_object_ref(json_node_get_object(root));
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "%s's output is no JSON", tool);
    return NULL;
}

static JsonObject *fio_job(JsonObject *root)
{
    JsonNode *jobs = duet_json_member(root, "jobs");
    JsonArray *array = jobs && JSON_NODE_HOLDS_ARRAY(jobs) ? json_node_get_array(jobs) : NULL;
    JsonNode *job =
        array && json_array_get_length(array) == 1 ? json_array_get_element(array, 0) : NULL;

    return job && JSON_NODE_HOLDS_OBJECT(job) ? json_node_get_object(job) : NULL;
}

/* Returns: (nullable): "read" or "write" of a job, if it did that. */
static JsonObject *fio_direction(JsonObject *job, const char *name)
{
    JsonNode *node = duet_json_member(job, name);
    JsonObject *direction =
        node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    double count = 0;

    return duet_record_number(direction, "total_ios", &count) && count > 0 ? direction : NULL;
}

gboolean duet_parse_fio(const char *output, DuetOverheadPoint *point, GError **error)
{
    static const char *const figures[] = { "iops", "lat_ns.mean" };
    g_autoptr(JsonObject) root = json_of(output, "fio", error);

    if (!root)
        return FALSE;
    const char *version = duet_record_string(root, "fio version");
    JsonObject *job = fio_job(root);
    const char *direct = duet_record_string(job, "job options.direct");
    JsonObject *direction = fio_direction(job, "read");
    if (!direction)
        direction = fio_direction(job, "write");
    if (!version)
        return broken(error, "fio", "version");
    if (!direction)
        return broken(error, "fio", "job that read or wrote");
    for (gsize i = 0; i < G_N_ELEMENTS(figures); i++) {
        double value = 0;
        if (!duet_record_number(direction, figures[i], &value) || !accept(value, &point->values[i]))
            return broken(error, "fio", figures[i]);
    }
    point->tool = g_strdup(version);
    point->mode = g_strdup_printf("direct=%s", direct ? direct : "0");
    return TRUE;
}

gboolean duet_parse_iperf(const char *output, DuetOverheadPoint *point, GError **error)
{
    g_autoptr(JsonObject) root = json_of(output, "iperf3", error);
    double bits = 0;

    if (!root)
        return FALSE;
    const char *failure = duet_record_string(root, "error");
    const char *version = duet_record_string(root, "start.version");
    if (failure) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "iperf3: %s", failure);
        return FALSE;
    }
    if (!version)
        return broken(error, "iperf3", "version");
    if (!duet_record_number(root, "end.sum_received.bits_per_second", &bits) ||
        !accept(bits / 8, &point->values[0]))
        return broken(error, "iperf3", "end.sum_received.bits_per_second");
    point->tool = g_strdelimit(g_strdup(version), " ", '-');
    return TRUE;
}

gboolean duet_parse_sockperf(const char *output, DuetOverheadPoint *point, GError **error)
{
    double us = 0;

    if (!number_after(output, "sockperf: Summary: Round trip is", &us))
        return broken(error, "sockperf", "summary of round trips");
    point->values[0] = us * 1000;
    return take_version(output, "== version #", "sockperf", point, error);
}
