/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_vm_userns_make: a user namespace that no process is in.
 * @users, @groups: its maps, as /proc/PID/uid_map has them
 *
 * Returns: a descriptor of the caller's, or -1 with errno.
 */
int duet_vm_userns_make(const char *users, const char *groups);

G_END_DECLS
