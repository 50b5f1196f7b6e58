/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/* What the log's writer and its reader know of its files. */

#define DUET_LOG "log"
#define DUET_LOG_HEADER_BYTES 16

/** duet_log_part_name: Returns: (transfer full): "log.<n>". */
char *duet_log_part_name(guint64 sequence);
/**
 * duet_log_parts: Returns: (transfer full) (element-type guint64): the numbers that parts of the
 *     log in @dir_fd have, from @first on, ascending.
 */
GArray *duet_log_parts(int dir_fd, guint64 first);

G_END_DECLS
