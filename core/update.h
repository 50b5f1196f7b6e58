/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/state.h"

G_BEGIN_DECLS

/* Specs that change while there is an instance: its monitor's work, and where there is none, that
 * of whoever holds its lock. */

/**
 * duet_spec_with:
 * @changes: a{sv} of a spec's members (duet_spec_to_variant()); it may come from anywhere
 *
 * Returns: (transfer full): @spec with them, or NULL with %DUET_ERROR_INVALID if there is one that
 *     can't be changed, or can't be so, and %DUET_ERROR_UNSUPPORTED if its kind hasn't that.
 */
DuetSpec *duet_spec_with(const DuetSpec *spec, GVariant *changes, GError **error);

/**
 * duet_spec_replace: makes @to of the instance that is @from. One that gets another name has it as
 * soon as its spec says so, and another instance can have the old one soon after; a name that is in
 * use is %DUET_ERROR_EXISTS. The caller is its monitor, or holds its lock.
 */
gboolean duet_spec_replace(
    DuetContext *context, int dir_fd, const DuetSpec *from, const DuetSpec *to, GError **error);

/** duet_name_take: makes @name lead to @id; the spec with that name is there already. */
gboolean duet_name_take(DuetContext *context, const char *name, const char *id, GError **error);
/** duet_name_check_free: whether @name leads nowhere, now; else %DUET_ERROR_EXISTS. */
gboolean duet_name_check_free(DuetContext *context, const char *name, GError **error);
/** duet_name_recover: the monitor of who has @name may be dead, and the name to go with it. */
void duet_name_recover(DuetContext *context, const char *name);
/** duet_name_settle: after a duet_spec_replace() that was killed: it has one name. */
void duet_name_settle(DuetContext *context, int dir_fd, const DuetSpec *spec);
gboolean duet_name_check(const char *name, GError **error);
gboolean duet_name_is_valid(const char *name);

G_END_DECLS
