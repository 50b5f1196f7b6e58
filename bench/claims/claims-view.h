/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "claim.h"

G_BEGIN_DECLS

/**
 * DuetClaimsPage: all that is shown.
 * @claims: (element-type DuetClaim), @findings: one for each
 * @command: the words that repeat it, but for which claim
 * @tcg, @nested: what must stand above
 */
typedef struct {
    GPtrArray *claims;
    const DuetFinding *findings;
    char *const *command;
    gboolean tcg, nested;
} DuetClaimsPage;

/** Each returns: (transfer full): the page as text. */
char *duet_claims_table(const DuetClaimsPage *page);
char *duet_claims_json(const DuetClaimsPage *page);
char *duet_claims_markdown(const DuetClaimsPage *page);

G_END_DECLS
