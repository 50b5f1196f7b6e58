/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <duet/error.h>

#include <errno.h>

G_DEFINE_QUARK(duet - error - quark, duet_error)

static int error_code_of(int err)
{
    switch (err) {
    case ENOSPC:
    case EDQUOT:
        return DUET_ERROR_SPACE;
    case EACCES:
    case EPERM:
        return DUET_ERROR_PERMISSION;
    case ENOENT:
        return DUET_ERROR_NOT_FOUND;
    default:
        return DUET_ERROR_FAILED;
    }
}

gboolean duet_error_set_errno(GError **error, int err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    g_autofree char *what = g_strdup_vprintf(format, args);
    va_end(args);
    g_set_error(error, DUET_ERROR, error_code_of(err), "%s: %s", what, g_strerror(err));
    return FALSE;
}

int duet_error_exit_code(const GError *error)
{
    if (g_error_matches(error, DUET_ERROR, DUET_ERROR_NOT_RUNNABLE))
        return 126;
    if (g_error_matches(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND))
        return 127;
    return 125;
}
