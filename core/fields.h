/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/spec.h>

G_BEGIN_DECLS

/* Builds the payload of CONFIG and SPAWN frames; see enum duet_field in protocol.h. */

void duet_fields_add(GByteArray *fields, guint8 tag, const void *bytes, gsize length);
/** duet_fields_add_text: adds nothing when @text is NULL. */
void duet_fields_add_text(GByteArray *fields, guint8 tag, const char *text);

/** duet_fields_add_window: @window: rows, and columns in the upper half; 0, not known, adds
 * nothing.
 */
void duet_fields_add_window(GByteArray *fields, guint32 window);

/** duet_spawn_fields: @flags: of enum duet_spawn_flags. Returns: (transfer full): a SPAWN payload.
 */
GByteArray *duet_spawn_fields(const char *const *argv, const char *const *env, const char *cwd,
    const char *user, guint32 flags);

/** duet_fields_add_groups: those that a spec has beside its user's own. @groups: (nullable) */
void duet_fields_add_groups(GByteArray *fields, char *const *groups);

/** duet_config_fields: Returns: (transfer full): the CONFIG payload of an instance. */
GByteArray *duet_config_fields(const DuetSpec *spec);
/** duet_spawn_is_copy: whether a SPAWN payload asks to copy files, and for no program. */
gboolean duet_spawn_is_copy(const guint8 *payload, gsize length);
/** duet_payload_fields: Returns: (transfer full): the SPAWN payload of its session 0. */
GByteArray *duet_payload_fields(const DuetSpec *spec);

G_END_DECLS
