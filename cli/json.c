/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In the module duet-tools: what needs json-glib. */
#include <json-glib/json-glib.h>

static char *generate(GVariant *value, gboolean pretty)
{
    g_autoptr(JsonNode) node = json_gvariant_serialize(value);
    g_autoptr(JsonGenerator) generator = json_generator_new();
    json_generator_set_root(generator, node);
    json_generator_set_pretty(generator, pretty);
    return json_generator_to_data(generator, NULL);
}

static char *serialise(GVariant *value)
{
    return generate(value, TRUE);
}

static char *serialise_line(GVariant *value)
{
    return generate(value, FALSE);
}

/** duet_json: Returns: (transfer full): a GVariant as pretty JSON text. */
extern char *(*const duet_json)(GVariant *value);
char *(*const duet_json)(GVariant *value) = serialise;

/** duet_json_line: Returns: (transfer full): the same on one line, without its end. */
extern char *(*const duet_json_line)(GVariant *value);
char *(*const duet_json_line)(GVariant *value) = serialise_line;
