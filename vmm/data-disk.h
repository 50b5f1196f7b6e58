/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/disk-list.h"

G_BEGIN_DECLS

/**
 * duet_data_disk_check: refuses what can't be a disk: what is no file, what is not of the format
 * that was said, and images that name other files. A file that looks like a qcow2 image must be
 * said to be one or not to be: a guest can write any first bytes, and what an image names QEMU
 * would open. So a backing file is one that was said to be.
 */
gboolean duet_data_disk_check(const DuetDataDisk *disk, GError **error);

/**
 * duet_data_disk_open: the same, for a path that was resolved when the instance was made: whoever
 * can write to a directory on the way, a guest that shares it among them, must not be able to put a
 * link to another file of the host there. Refuses with %DUET_ERROR_FAILED what another VM has.
 *
 * Returns: a descriptor of the file that was checked, without its backing file, or -1
 */
int duet_data_disk_open(const DuetDataDisk *disk, GError **error);

G_END_DECLS
