/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/machine.h"

G_BEGIN_DECLS

/* A spec's further disks, and how one comes and goes. A disk keeps its name, and the serial number
 * that follows from it, for as long as the instance has it. */

/**
 * duet_disk_list_parse: one that does not say its target has the first that is free.
 * Returns: (transfer full) (element-type DuetDataDisk): of a spec's @disks, in the order of their
 *     indexes, which a guest's kernel meets them in, or
 *     NULL with %DUET_ERROR_INVALID: two have the same target, or there are too many.
 */
GPtrArray *duet_disk_list_parse(char *const *texts, GError **error);

/** duet_disk_list_find: Returns: (nullable): what has that target, or that file. */
const DuetDataDisk *duet_disk_list_find(const GPtrArray *disks, const char *word);

/**
 * duet_disk_list_attach: adds the disk that @text tells of to those of @spec.
 * Returns: %FALSE with %DUET_ERROR_EXISTS if it has that file already.
 */
gboolean duet_disk_list_attach(DuetSpec *spec, const char *text, GError **error);

/**
 * duet_disk_list_detach: takes away what @word, a target or a file, names.
 * Returns: %FALSE with %DUET_ERROR_NOT_FOUND if there is none.
 */
gboolean duet_disk_list_detach(DuetSpec *spec, const char *word, GError **error);

/** duet_disk_list_missing: Returns: (transfer full): texts of the disks that @has has and @of not.
 */
char **duet_disk_list_missing(const DuetSpec *has, const DuetSpec *of);

G_END_DECLS
