/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In the module duet-tools: what needs json-glib. */
#include <json-glib/json-glib.h>

static char *serialise(GVariant *value)
{
    g_autoptr(JsonNode) node = json_gvariant_serialize(value);
    g_autoptr(JsonGenerator) generator = json_generator_new();
    json_generator_set_root(generator, node);
    json_generator_set_pretty(generator, TRUE);
    return json_generator_to_data(generator, NULL);
}

/** duet_json: Returns: (transfer full): a GVariant as pretty JSON text. */
extern char *(*const duet_json)(GVariant *value);
char *(*const duet_json)(GVariant *value) = serialise;
