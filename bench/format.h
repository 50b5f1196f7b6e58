/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_format_find:
 * @formats: ended by NULL
 * Returns: which of @formats @format is; the first if it is NULL; or -1 with @error.
 */
int duet_format_find(const char *const *formats, const char *format, GError **error);

G_END_DECLS
