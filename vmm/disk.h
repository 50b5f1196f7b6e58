/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/** Size of the writable layer's disk where the spec names none. */
#define DUET_DISK_DEFAULT_BYTES (G_GUINT64_CONSTANT(10) << 30)
/** The smallest that mkfs.ext4 makes a journalled file system of. */
#define DUET_DISK_MIN_BYTES (G_GUINT64_CONSTANT(16) << 20)

/**
 * duet_disk_ensure: makes the sparse ext4 image @path, which holds upper/ and work/, unless it
 * exists; an existing one keeps its size and contents. It belongs to @uid alone afterwards.
 * @bytes: 0: the default
 */
gboolean duet_disk_ensure(const char *path, guint64 bytes, guint32 uid, GError **error);

/** duet_disk_put: @fresh, which is whole, takes the place of @path; if it can't, it is removed. */
gboolean duet_disk_put(const char *fresh, const char *path, GError **error);

/** duet_disk_give: @path belongs to @uid alone afterwards. */
gboolean duet_disk_give(const char *path, guint32 uid, GError **error);

/** duet_file_clone: copies @source to the new file @target, holes as holes, sharing if it can. */
gboolean duet_file_clone(const char *source, const char *target, int mode, GError **error);

G_END_DECLS
