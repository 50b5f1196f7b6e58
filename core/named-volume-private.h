/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/named-volume.h"

G_BEGIN_DECLS

/* What named-volume.c and named-volume-use.c share. */

/* In a volume's directory: its files, what is known of it, and a sign that no instance had it. */
#define DUET_VOLUME_DATA "_data"
#define DUET_VOLUME_RECORD "record"
#define DUET_VOLUME_UNUSED "unused"

/**
 * duet_volumes_lock: locks the folder of all volumes, and waits for that.
 * @operation: LOCK_SH: none goes; LOCK_EX: none comes either
 * @make: makes the folder if need be; if not, there being none is %DUET_ERROR_NOT_FOUND
 * Returns: a descriptor of the folder, which is the lock, or -1 with @error.
 */
int duet_volumes_lock(DuetContext *context, int operation, gboolean make, GError **error);
/** duet_volumes_relock: changes what @volumes_fd was locked for; others may come in between. */
gboolean duet_volumes_relock(DuetContext *context, int volumes_fd, int operation, GError **error);
/** duet_volume_exists: in the folder of volumes. */
gboolean duet_volume_exists(int volumes_fd, const char *name);
/** duet_volume_make: @volumes_fd: locked with LOCK_EX; there is none of that name */
gboolean duet_volume_make(int volumes_fd, const char *name, char *const *labels, GError **error);
/** duet_volume_discard: renames it to the trash. @volumes_fd: locked with LOCK_EX */
gboolean duet_volume_discard(
    DuetContext *context, int volumes_fd, const char *name, GError **error);

G_END_DECLS
