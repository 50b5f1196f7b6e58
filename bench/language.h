/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_language: has the words of reports and claims be of a language from now on.
 * @wanted: (nullable): "en" or "ko"; NULL: what the user's locale says, English if there is no such
 *     translation
 * Returns: (transfer none): it, as in HTML's lang; or NULL with %DUET_ERROR_INVALID, or
 *     %DUET_ERROR_UNSUPPORTED where its words are not installed.
 */
const char *duet_language(const char *wanted, GError **error);

G_END_DECLS
