/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "claim.h"

G_BEGIN_DECLS

/**
 * duet_claims_gather: the results that claims rest on: from files, or, if there are none, measured
 * now.
 * @needs: what of #DuetClaimNeeds all claims need
 * Returns: %FALSE with @error for a file that is none, or one too many. What can't be measured is
 *     none: it is why there is none.
 */
gboolean duet_claims_gather(DuetClaimTrial *trial, guint needs, GError **error);

/**
 * duet_claims_load:
 * @paths: ended by NULL
 * Returns: (transfer full) (element-type DuetRun): one of each benchmark at most; or NULL with
 *     @error.
 */
GPtrArray *duet_claims_load(char *const *paths, GError **error);

G_END_DECLS
