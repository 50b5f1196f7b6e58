/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_seccomp_compile: makes the kernel's filter of a profile in Docker's format, which is that of
 * the OCI runtime specification with conditions (moby, profiles/seccomp).
 * @profile: JSON of @length bytes; may be anybody's
 * @capabilities: what root in the container may do, a bit for each, for "includes" and "excludes"
 *
 * Returns: (transfer full): an array of struct sock_filter, or NULL with %DUET_ERROR_INVALID: what
 * is wrong with the profile, or %DUET_ERROR_UNSUPPORTED: it asks for what duet has not.
 */
GBytes *duet_seccomp_compile(
    const char *profile, gsize length, guint64 capabilities, GError **error);

/** duet_capability_number: @name: "CAP_SYS_ADMIN" or "sys_admin". Returns: its bit's number, or -1:
 * there is none of that name. */
int duet_capability_number(const char *name);
/** duet_capability_name: Returns: (transfer full) (nullable): "CAP_SYS_ADMIN"; NULL: nobody knows.
 */
char *duet_capability_name(int number);

G_END_DECLS
