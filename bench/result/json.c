/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json.h"

#include <math.h>

#include <duet/error.h>

#include "core/json-guard.h"
#include "bench/text.h"

void duet_json_complain(DuetJsonReader *reader, const char *format, ...)
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

JsonNode *duet_json_member(JsonObject *object, const char *name)
{
    JsonNode *node = object ? json_object_get_member(object, name) : NULL;

    return node && !JSON_NODE_HOLDS_NULL(node) ? node : NULL;
}

JsonObject *duet_json_get_object(DuetJsonReader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = duet_json_member(object, name);

    if (node && JSON_NODE_HOLDS_OBJECT(node))
        return json_node_get_object(node);
    duet_json_complain(reader, "'%s' is not an object", name);
    return NULL;
}

JsonArray *duet_json_get_array(
    DuetJsonReader *reader, JsonObject *object, const char *name, guint max)
{
    JsonNode *node = duet_json_member(object, name);

    if (node && JSON_NODE_HOLDS_ARRAY(node) &&
        json_array_get_length(json_node_get_array(node)) <= max)
        return json_node_get_array(node);
    duet_json_complain(reader, "'%s' is not an array of at most %u", name, max);
    return NULL;
}

gboolean duet_json_holds(JsonNode *node, GType type)
{
    return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

gint64 duet_json_get_int(DuetJsonReader *reader, JsonObject *object, const char *name, gint64 min,
    gint64 max, gint64 otherwise)
{
    JsonNode *node = duet_json_member(object, name);

    if (!node)
        return otherwise;
    if (duet_json_holds(node, G_TYPE_INT64)) {
        gint64 value = json_node_get_int(node);
        if (value >= min && value <= max)
            return value;
    }
    duet_json_complain(reader,
        "'%s' is not a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT, name, min,
        max);
    return otherwise;
}

double duet_json_get_double(DuetJsonReader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = duet_json_member(object, name);

    if (!node)
        return 0;
    if (duet_json_holds(node, G_TYPE_DOUBLE) || duet_json_holds(node, G_TYPE_INT64)) {
        double value = json_node_get_double(node);
        if (isfinite(value) && value >= 0)
            return value;
    }
    duet_json_complain(reader, "'%s' is not a number", name);
    return 0;
}

gboolean duet_json_get_boolean(DuetJsonReader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = duet_json_member(object, name);

    if (!node)
        return FALSE;
    if (duet_json_holds(node, G_TYPE_BOOLEAN))
        return json_node_get_boolean(node);
    duet_json_complain(reader, "'%s' is neither true nor false", name);
    return FALSE;
}

const char *duet_json_get_string(DuetJsonReader *reader, JsonObject *object, const char *name)
{
    JsonNode *node = duet_json_member(object, name);

    if (!node)
        return NULL;
    if (duet_json_holds(node, G_TYPE_STRING))
        return json_node_get_string(node);
    duet_json_complain(reader, "'%s' is not a string", name);
    return NULL;
}

void duet_json_get_strings(
    DuetJsonReader *reader, JsonObject *object, const char *name, GPtrArray *strings)
{
    JsonArray *array = duet_json_get_array(reader, object, name, DUET_JSON_ARRAY_MAX);

    for (guint i = 0; array && i < json_array_get_length(array); i++) {
        JsonNode *node = json_array_get_element(array, i);
        if (duet_json_holds(node, G_TYPE_STRING))
            g_ptr_array_add(strings, g_strdup(json_node_get_string(node)));
        else
            duet_json_complain(reader, "'%s' holds something that is not a string", name);
    }
}

void duet_json_set_double(JsonObject *object, const char *name, double value)
{
    if (isfinite(value))
        json_object_set_double_member(object, name, value);
    else
        json_object_set_null_member(object, name);
}

void duet_json_set_string(JsonObject *object, const char *name, const char *text)
{
    if (text) {
        g_autofree char *valid = g_utf8_make_valid(text, -1);
        json_object_set_string_member(object, name, valid);
    } else {
        json_object_set_null_member(object, name);
    }
}

void duet_json_set_strings(JsonObject *object, const char *name, char *const *strings, gsize n)
{
    JsonArray *array = json_array_new();

    for (gsize i = 0; i < n; i++) {
        g_autofree char *valid = g_utf8_make_valid(strings[i], -1);
        json_array_add_string_element(array, valid);
    }
    json_object_set_array_member(object, name, array);
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
    return !duet_json_holds(node, G_TYPE_DOUBLE) || isfinite(json_node_get_double(node));
}

JsonNode *duet_json_parse(const char *json, gsize length, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) local = NULL;
    const char *hazard = duet_json_hazard(json, length);

    if (hazard) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "not a result file: %s", hazard);
        return NULL;
    }
    if (!json_parser_load_from_data(parser, json, length, &local)) {
        g_autofree char *message = duet_text_line(local->message);
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "not JSON: %s", message);
        return NULL;
    }
    g_autoptr(JsonNode) node = json_parser_steal_root(parser);
    if (node && is_finite(node))
        return g_steal_pointer(&node);
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_BROKEN,
        node ? "a number is larger than any can be" : "not JSON: it is empty");
    return NULL;
}

/* Strings are passed over: only the number is a group. */
static gboolean mend_number(const GMatchInfo *match, GString *out, gpointer data)
{
    int begin, end;

    (void)data;
    g_autofree char *number = g_match_info_fetch(match, 1);
    g_autofree char *all = g_match_info_fetch(match, 0);
    gboolean is_number = g_match_info_fetch_pos(match, 1, &begin, &end) && begin >= 0;
    g_string_append(out, is_number ? number : all);
    return FALSE;
}

/* json-glib (1.6) ends each number that has no point with ".0": 1e+308.0 is none. */
static char *mend_numbers(const char *text)
{
    g_autoptr(GRegex) regex = g_regex_new("\"(?:[^\"\\\\]|\\\\.)*+\"|(-?[0-9]+[eE][-+]?[0-9]+)\\.0",
        G_REGEX_OPTIMIZE | G_REGEX_RAW, 0, NULL);

    return g_regex_replace_eval(regex, text, -1, 0, 0, mend_number, NULL, NULL);
}

char *duet_json_print(JsonNode *node, gboolean pretty)
{
    g_autoptr(JsonGenerator) generator = json_generator_new();

    json_generator_set_pretty(generator, pretty);
    json_generator_set_indent(generator, 1);
    json_generator_set_root(generator, node);
    g_autofree char *text = json_generator_to_data(generator, NULL);
    g_autofree char *mended = mend_numbers(text);
    return g_strconcat(mended, "\n", NULL);
}
