/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

#define DUET_JSON_ARRAY_MAX 1000000

/**
 * DuetJsonReader: a walk through JSON that may come from anybody.
 * @broken: (nullable): the first thing that was wrong; look-ups go on with harmless values, and the
 *     caller checks once at the end
 */
typedef struct {
    char *broken;
} DuetJsonReader;

/**
 * duet_json_parse: for text of anybody's, neither too deep nor with numbers that are infinite.
 * Returns: (transfer full): its tree, or NULL with %DUET_ERROR_BROKEN.
 */
JsonNode *duet_json_parse(const char *json, gsize length, GError **error);
/** duet_json_print: Returns: (transfer full): @node as JSON with a newline at its end; one line
 * unless @pretty. */
char *duet_json_print(JsonNode *node, gboolean pretty);

void duet_json_complain(DuetJsonReader *reader, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** duet_json_member: Returns: (nullable): the member if it is there and not null. */
JsonNode *duet_json_member(JsonObject *object, const char *name);
/** duet_json_holds: Returns: whether @node is a value of @type. */
gboolean duet_json_holds(JsonNode *node, GType type);

/* Of these, a missing object or array is a complaint and NULL; a missing value is 0, NULL, or
 * @otherwise. */
JsonObject *duet_json_get_object(DuetJsonReader *reader, JsonObject *object, const char *name);
JsonArray *duet_json_get_array(
    DuetJsonReader *reader, JsonObject *object, const char *name, guint max);
gint64 duet_json_get_int(DuetJsonReader *reader, JsonObject *object, const char *name, gint64 min,
    gint64 max, gint64 otherwise);
double duet_json_get_double(DuetJsonReader *reader, JsonObject *object, const char *name);
gboolean duet_json_get_boolean(DuetJsonReader *reader, JsonObject *object, const char *name);
const char *duet_json_get_string(DuetJsonReader *reader, JsonObject *object, const char *name);
/** duet_json_get_strings: appends copies of an array's strings to @strings. */
void duet_json_get_strings(
    DuetJsonReader *reader, JsonObject *object, const char *name, GPtrArray *strings);

/** duet_json_set_double: NAN and infinity are no JSON: what is not defined is null. */
void duet_json_set_double(JsonObject *object, const char *name, double value);
/** duet_json_set_string: command lines and error texts are bytes, JSON is UTF-8. NULL is null. */
void duet_json_set_string(JsonObject *object, const char *name, const char *text);
void duet_json_set_strings(JsonObject *object, const char *name, char *const *strings, gsize n);

G_END_DECLS
