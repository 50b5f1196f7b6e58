/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/spec.h>

G_BEGIN_DECLS

/** What cloud-init's data source NoCloud looks for: a file system of this label. */
#define DUET_SEED_LABEL "CIDATA"

/**
 * duet_seed_meta_data: Returns: (transfer full): JSON, which is YAML: the instance-id of @spec, its
 * host name and keys.
 */
char *duet_seed_meta_data(const DuetSpec *spec);

/**
 * duet_seed_make: writes the ISO 9660 file system (with Joliet and Rock Ridge) of @spec's
 * cloud-init data, in place of what is at @path. It belongs to @uid alone: user-data may hold
 * secrets.
 */
gboolean duet_seed_make(const DuetSpec *spec, const char *path, guint32 uid, GError **error);

G_END_DECLS
