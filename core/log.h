/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/*
 * The log file: what the payload wrote, byte for byte, in the order in which it came. A record is
 * 16 bytes of header, little-endian (u32 length, u32 channel, u64 wall clock in us), then the
 * bytes.
 */

/** duet_log_append: Returns: %FALSE with errno; a part of a record is cut off again. */
gboolean duet_log_append(int fd, guint channel, const void *bytes, guint32 length);

/**
 * duet_log_copy: copies whole records from *@offset on to the two descriptors (-1: skip).
 * Returns: %FALSE with errno when a descriptor can't be written to.
 */
gboolean duet_log_copy(int fd, goffset *offset, int stdout_fd, int stderr_fd);

G_END_DECLS
