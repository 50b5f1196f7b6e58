/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claim.h"

#include "bench/words.h"

/* Returns: (nullable) (transfer none): why what a claim needs is not there. */
static const char *lacks(const DuetClaim *claim, const DuetClaimTrial *trial)
{
    const DuetClaimsRequest *request = trial->request;
    const struct {
        guint need;
        gboolean is_there;
        const char *why;
    } needs[] = {
        { DUET_CLAIM_BOOT, trial->boot != NULL, trial->no_boot },
        { DUET_CLAIM_MEMORY, trial->memory != NULL, trial->no_memory },
        { DUET_CLAIM_DENSITY, trial->density != NULL, trial->no_density },
        { DUET_CLAIM_CONTAINER, request->container != NULL, request->no_container },
        { DUET_CLAIM_VM, request->vm != NULL, request->no_vm },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(needs); i++)
        if ((claim->needs & needs[i].need) && !needs[i].is_there)
            return needs[i].why ? needs[i].why : _("no image was given");
    return NULL;
}

void duet_claim_apply(const DuetClaim *claim, DuetClaimTrial *trial, DuetFinding *finding)
{
    const char *why = trial->interrupted ? _("the user interrupted") : lacks(claim, trial);
    g_autoptr(GError) error = NULL;

    if (!why && !claim->try(trial, finding, &error))
        why = trial->interrupted ? _("the user interrupted") : error->message;
    if (why)
        duet_finding_set(finding, DUET_FINDING_NOT_RUN, "%s", why);
}

void duet_claims_judge(DuetFinding *findings, gsize n)
{
    g_autofree double *p = g_new(double, n + 1), *adjusted = g_new(double, n + 1);

    for (gsize i = 0; i < n; i++)
        p[i] = findings[i].contrast.p;
    duet_holm(p, n, adjusted);
    for (gsize i = 0; i < n; i++)
        duet_finding_judge(&findings[i], adjusted[i]);
}

void duet_claim_trial_clear(DuetClaimTrial *trial)
{
    g_clear_pointer(&trial->boot, duet_run_free);
    g_clear_pointer(&trial->memory, duet_run_free);
    g_clear_pointer(&trial->density, duet_run_free);
    g_clear_pointer(&trial->no_boot, g_free);
    g_clear_pointer(&trial->no_memory, g_free);
    g_clear_pointer(&trial->no_density, g_free);
}
