/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "record.h"

#include <math.h>

static JsonNode *find_any(JsonObject *record, const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, ".", -1);
    JsonNode *node = NULL;

    for (char **name = names; *name; name++) {
        if (name != names)
            record = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        node = record ? json_object_get_member(record, *name) : NULL;
    }
    return node;
}

static JsonNode *find(JsonObject *record, const char *path)
{
    JsonNode *node = find_any(record, path);

    return node && JSON_NODE_HOLDS_VALUE(node) ? node : NULL;
}

const char *duet_record_string(JsonObject *record, const char *path)
{
    JsonNode *node = find(record, path);

    return node && json_node_get_value_type(node) == G_TYPE_STRING ? json_node_get_string(node)
                                                                   : NULL;
}

gboolean duet_record_number(JsonObject *record, const char *path, double *out_number)
{
    JsonNode *node = find(record, path);
    GType type = node ? json_node_get_value_type(node) : G_TYPE_INVALID;

    if ((type != G_TYPE_INT64 && type != G_TYPE_DOUBLE) || !isfinite(json_node_get_double(node)))
        return FALSE;
    *out_number = json_node_get_double(node);
    return TRUE;
}

char *duet_record_text(JsonObject *record, const char *path)
{
    JsonNode *node = find(record, path);
    const char *text = duet_record_string(record, path);
    double number;

    if (text)
        return g_strdup(text);
    if (duet_record_number(record, path, &number))
        return g_strdup_printf("%.15g", number);
    if (node && json_node_get_value_type(node) == G_TYPE_BOOLEAN)
        return g_strdup(json_node_get_boolean(node) ? "yes" : "no");
    node = find_any(record, path);
    if (node && JSON_NODE_HOLDS_ARRAY(node))
        return json_to_string(node, FALSE);
    return g_strdup("unknown");
}
