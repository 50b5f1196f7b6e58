/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

#define DUET_JSON_DEPTH_MAX 64

/**
 * duet_json_hazard: to be asked of foreign text before json-glib, which calls itself once per
 * level, reads it: a million brackets would take the whole stack.
 *
 * Returns: (nullable) (transfer none): why it is not to be read, as the end of a sentence; NULL: it
 *     is nested DUET_JSON_DEPTH_MAX deep at most.
 */
const char *duet_json_hazard(const char *json, gsize length);

G_END_DECLS
