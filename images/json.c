/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/json.h"

#include <string.h>

#include <duet/error.h>

#include "core/json-guard.h"

JsonNode *duet_json_parse(
    const char *bytes, gsize length, JsonNodeType type, const char *what, GError **error)
{
    const char *why = NULL;
    if (length > DUET_JSON_MAX_BYTES)
        why = "it is too long";
    else if (!g_utf8_validate_len(bytes, length, NULL))
        why = "it is not UTF-8";
    else
        why = duet_json_hazard(bytes, length);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) local = NULL;
    if (!why && !json_parser_load_from_data(parser, bytes, (gssize)length, &local))
        why = local->message;
    JsonNode *root = why ? NULL : json_parser_get_root(parser);
    if (!why && (!root || JSON_NODE_TYPE(root) != type))
        why = type == JSON_NODE_ARRAY ? "it is not a JSON array" : "it is not a JSON object";
    if (why) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is damaged: %s", what, why);
        return NULL;
    }
    return json_parser_steal_root(parser);
}

static JsonNode *member_of_type(JsonObject *object, const char *member, JsonNodeType type)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    return node && JSON_NODE_TYPE(node) == type ? node : NULL;
}

const char *duet_json_string(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_VALUE);
    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                   : NULL;
}

gint64 duet_json_int(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_VALUE);
    return node && json_node_get_value_type(node) == G_TYPE_INT64 ? json_node_get_int(node) : 0;
}

JsonObject *duet_json_object(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_OBJECT);
    return node ? json_node_get_object(node) : NULL;
}

JsonArray *duet_json_array(JsonObject *object, const char *member)
{
    JsonNode *node = member_of_type(object, member, JSON_NODE_ARRAY);
    return node ? json_node_get_array(node) : NULL;
}

JsonObject *duet_json_element(JsonArray *array, guint n)
{
    JsonNode *node = json_array_get_element(array, n);
    return JSON_NODE_TYPE(node) == JSON_NODE_OBJECT ? json_node_get_object(node) : NULL;
}

gboolean duet_json_strv(
    JsonObject *object, const char *member, const char *what, char ***out_strv, GError **error)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    if (!node || JSON_NODE_TYPE(node) == JSON_NODE_NULL) {
        *out_strv = NULL;
        return TRUE;
    }
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    gboolean good = JSON_NODE_TYPE(node) == JSON_NODE_ARRAY;
    JsonArray *array = good ? json_node_get_array(node) : NULL;
    for (guint i = 0; good && i < json_array_get_length(array); i++) {
        JsonNode *element = json_array_get_element(array, i);
        good = JSON_NODE_TYPE(element) == JSON_NODE_VALUE &&
            json_node_get_value_type(element) == G_TYPE_STRING;
        if (good)
            g_strv_builder_add(builder, json_node_get_string(element));
    }
    if (!good) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is damaged: '%s' is not a list of strings", what, member);
        return FALSE;
    }
    *out_strv = g_strv_builder_end(builder);
    return TRUE;
}

gboolean duet_json_pairs(
    JsonObject *object, const char *member, const char *what, char ***out_pairs, GError **error)
{
    JsonNode *node = object ? json_object_get_member(object, member) : NULL;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    gboolean none = !node || JSON_NODE_TYPE(node) == JSON_NODE_NULL;
    gboolean good = none || JSON_NODE_TYPE(node) == JSON_NODE_OBJECT;
    JsonObject *pairs = good && !none ? json_node_get_object(node) : NULL;
    g_autoptr(GList) names = pairs ? json_object_get_members(pairs) : NULL;
    for (GList *name = names; good && name; name = name->next) {
        /* As Go reads it. */
        const char *value = json_object_get_null_member(pairs, name->data)
            ? ""
            : duet_json_string(pairs, name->data);
        g_autofree char *pair = g_strconcat(name->data, "=", value, NULL);
        good = value != NULL;
        if (*pair != '=' && !strchr(name->data, '='))
            g_strv_builder_add(builder, pair);
    }
    if (!good) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is damaged: '%s' is not an object of strings", what, member);
        return FALSE;
    }
    *out_pairs = g_strv_builder_end(builder);
    return TRUE;
}

char *duet_json_text(JsonNode *node, gboolean pretty)
{
    return json_to_string(node, pretty);
}
