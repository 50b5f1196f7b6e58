/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format.h"

#include <duet/error.h>

int duet_format_find(const char *const *formats, const char *format, GError **error)
{
    for (int i = 0; formats[i]; i++) {
        if (!format || g_str_equal(format, formats[i]))
            return i;
    }
    g_autofree char *known = g_strjoinv(", ", (char **)formats);
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' is no format: use one of %s", format, known);
    return -1;
}
