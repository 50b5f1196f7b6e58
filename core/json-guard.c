/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "json-guard.h"

const char *duet_json_hazard(const char *json, gsize length)
{
    gboolean in_string = FALSE;
    guint depth = 0;

    for (gsize i = 0; i < length; i++) {
        if (in_string) {
            in_string = json[i] != '"';
            i += json[i] == '\\';
            continue;
        }
        in_string = json[i] == '"';
        depth += json[i] == '[' || json[i] == '{';
        depth -= depth > 0 && (json[i] == ']' || json[i] == '}');
        if (depth > DUET_JSON_DEPTH_MAX)
            return "it is nested too deep";
        /* Comments and 'strings' are json-glib's own: no JSON, and a place to hide brackets from
         * us. */
        if (json[i] == '/' || json[i] == '\'')
            return "it has a comment or a single quote outside of a string";
    }
    return NULL;
}
