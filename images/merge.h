/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_merge_write: writes what overlayfs would show of @layer_dirs as a pax tar stream, sorted by
 * name. Files that are one inode are one file and hard links to it. POSIX ACLs are left out.
 * @layer_dirs: absolute paths, lowest first
 * @socket_fd: a connected stream socket
 *
 * Returns: %FALSE with %DUET_ERROR_STATE if the other end has closed the connection.
 */
gboolean duet_merge_write(char **layer_dirs, int socket_fd, GError **error);

G_END_DECLS
