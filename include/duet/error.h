/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetError:
 * @DUET_ERROR_FAILED: a system call or a helper failed; the message has the reason
 * @DUET_ERROR_INVALID: the caller asked for something that can't be (a bad option, limit, name)
 * @DUET_ERROR_NOT_FOUND: no such instance, image, file or module
 * @DUET_ERROR_EXISTS: the name is taken
 * @DUET_ERROR_STATE: the instance is in a state that forbids the request
 * @DUET_ERROR_UNSUPPORTED: the driver, kernel or host can't do this
 * @DUET_ERROR_BROKEN: foreign data is damaged or hostile (an archive, a blob, a frame)
 * @DUET_ERROR_PLATFORM: the image has no variant for this host's platform
 * @DUET_ERROR_SPACE: the disk is full
 * @DUET_ERROR_PERMISSION: the kernel said no; the message says what would help
 * @DUET_ERROR_TIMEOUT: it did not happen in time
 * @DUET_ERROR_NOT_RUNNABLE: the payload exists but can't be executed (exit code 126)
 * @DUET_ERROR_COMMAND_NOT_FOUND: there is no such payload in the image (exit code 127)
 * @DUET_ERROR_BOOT: a guest did not come up; the message quotes its console
 * @DUET_ERROR_STALE: derived data no longer matches its source and must be made anew
 *
 * Callers branch on these codes and never on the text of a message.
 */
typedef enum {
    DUET_ERROR_FAILED,
    DUET_ERROR_INVALID,
    DUET_ERROR_NOT_FOUND,
    DUET_ERROR_EXISTS,
    DUET_ERROR_STATE,
    DUET_ERROR_UNSUPPORTED,
    DUET_ERROR_BROKEN,
    DUET_ERROR_PLATFORM,
    DUET_ERROR_SPACE,
    DUET_ERROR_PERMISSION,
    DUET_ERROR_TIMEOUT,
    DUET_ERROR_NOT_RUNNABLE,
    DUET_ERROR_COMMAND_NOT_FOUND,
    DUET_ERROR_BOOT,
    DUET_ERROR_STALE,
} DuetError;

#define DUET_ERROR (duet_error_quark())
GQuark duet_error_quark(void);

/**
 * duet_error_set_errno:
 * @error: (out) (optional): where the error goes
 * @err: an errno value; ENOSPC and EDQUOT become %DUET_ERROR_SPACE, EACCES and EPERM
 *     %DUET_ERROR_PERMISSION, ENOENT %DUET_ERROR_NOT_FOUND, the rest %DUET_ERROR_FAILED
 * @format: printf-style text of what failed on which 'object'; ": <strerror>" is appended
 *
 * Returns: always %FALSE, so that a caller can `return duet_error_set_errno(...)`.
 */
gboolean duet_error_set_errno(GError **error, int err, const char *format, ...) G_GNUC_PRINTF(3, 4);

/**
 * duet_error_exit_code:
 * @error: an error of any domain
 *
 * Returns: the process exit code that stands for @error: 126, 127, or 125 for all else
 *     (podman's convention).
 */
int duet_error_exit_code(const GError *error);

G_END_DECLS
