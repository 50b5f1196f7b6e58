/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/** DUET_JSON_MAX_BYTES: no index, manifest or config may be longer. */
#define DUET_JSON_MAX_BYTES (4 * 1024 * 1024)

/**
 * duet_json_parse: parses foreign bytes: bounded in size and depth, valid UTF-8, one value.
 * @what: names the bytes in messages
 * @type: the type that the root must have
 *
 * Returns: (transfer full): the root, or NULL with %DUET_ERROR_BROKEN.
 */
JsonNode *duet_json_parse(
    const char *bytes, gsize length, JsonNodeType type, const char *what, GError **error);

/* Members of foreign objects: NULL (0) where missing, null or of another type. */
const char *duet_json_string(JsonObject *object, const char *member);
gint64 duet_json_int(JsonObject *object, const char *member);
JsonObject *duet_json_object(JsonObject *object, const char *member);
JsonArray *duet_json_array(JsonObject *object, const char *member);
/** duet_json_element: the n-th element if it is an object, else NULL. */
JsonObject *duet_json_element(JsonArray *array, guint n);

/**
 * duet_json_strv:
 * @out_strv: (out) (transfer full) (nullable): NULL where the member is missing or null
 *
 * Returns: %FALSE with %DUET_ERROR_BROKEN if it is anything but an array of strings.
 */
gboolean duet_json_strv(
    JsonObject *object, const char *member, const char *what, char ***out_strv, GError **error);

/**
 * duet_json_pairs: a member that is an object of strings, as "NAME=value" strings in its order. A
 * name that is empty or has a "=" in it can't be told so, and is left out.
 * @out_pairs: (out) (transfer full): never NULL
 *
 * Returns: %FALSE with %DUET_ERROR_BROKEN if it is anything else, but for missing or null.
 */
gboolean duet_json_pairs(
    JsonObject *object, const char *member, const char *what, char ***out_pairs, GError **error);

/** duet_json_text: Returns: (transfer full): @node as compact text. */
char *duet_json_text(JsonNode *node, gboolean pretty);

G_END_DECLS
