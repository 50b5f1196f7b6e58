/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_unpack_bytes:
 * @packed: bytes in any compression that libarchive knows, or in none
 * @expected_bytes: stop after that many; 0: read to the end
 * @max_bytes: more is an error
 *
 * Returns: (transfer full): the unpacked bytes, or NULL with %DUET_ERROR_BROKEN.
 */
GBytes *duet_unpack_bytes(GBytes *packed, gsize expected_bytes, gsize max_bytes, GError **error);

G_END_DECLS
