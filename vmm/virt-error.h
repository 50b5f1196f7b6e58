/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_virt_error_set: the one bridge from libvirt's thread-local error to ours.
 * @format: printf-style text of what failed on which 'object'; ": <libvirt's message>" follows
 *
 * Returns: always %FALSE.
 */
gboolean duet_virt_error_set(GError **error, const char *format, ...) G_GNUC_PRINTF(2, 3);

/** duet_virt_error_quiet: libvirt prints no error by itself any more, in this process. */
void duet_virt_error_quiet(void);

G_END_DECLS
