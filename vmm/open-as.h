/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_vm_can_open: whether the user @uid, in the group @gid alone, can open @path with @mode. It
 * is the kernel that is asked, so every kind of permission counts.
 *
 * Returns: %FALSE with errno.
 */
gboolean duet_vm_can_open(const char *path, int mode, guint32 uid, guint32 gid);

G_END_DECLS
