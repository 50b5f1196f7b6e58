/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

G_BEGIN_DECLS

/*
 * Looking into records that may come from anybody's file: what is not there, null, or of another
 * type is "not known", never an error. A @path has dots between members: "cpu.governor".
 */

/** duet_record_string: Returns: (nullable) (transfer none). */
const char *duet_record_string(JsonObject *record, const char *path);

/** duet_record_number: Returns: %FALSE, @out_number as it was, if it is not known. */
gboolean duet_record_number(JsonObject *record, const char *path, double *out_number);

/** duet_record_text: Returns: (transfer full): a string, number, boolean or array as text;
 * "unknown". */
char *duet_record_text(JsonObject *record, const char *path);

G_END_DECLS
