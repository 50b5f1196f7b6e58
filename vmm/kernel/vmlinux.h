/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * duet_kernel_image_version:
 * @image: a bzImage or an ELF vmlinux
 *
 * Returns: (transfer full): the release ("6.1.0-9-cloud-amd64") that the image names, or NULL.
 */
char *duet_kernel_image_version(GBytes *image);

/** duet_kernel_image_is_pvh: Returns: whether @image is an ELF with a PVH entry note. */
gboolean duet_kernel_image_is_pvh(GBytes *image);

/**
 * duet_kernel_image_unpack:
 *
 * Returns: (transfer full): the vmlinux inside a bzImage; NULL where @image is none, or has a
 *     compression that libarchive cannot read (LZO): boot it as it is then.
 */
GBytes *duet_kernel_image_unpack(GBytes *image);

G_END_DECLS
