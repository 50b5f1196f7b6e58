/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_tree_digest: of everything below some folders or files: names, types, modes, owners, sizes,
 * times of change of the content, targets of links, content.
 * @paths: ended by NULL
 * Returns: (transfer full): a SHA-256; NULL with @error.
 */
char *duet_tree_digest(char *const *paths, GError **error);

/** duet_tree_disk_use: what is allocated on disk for them, each inode once. */
gboolean duet_tree_disk_use(char *const *paths, guint64 *out_bytes, GError **error);

G_END_DECLS
