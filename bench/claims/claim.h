/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/claims.h>

#include "bench/result/run.h"
#include "finding.h"

G_BEGIN_DECLS

/**
 * DuetClaimNeeds: without which a claim is not run.
 * @DUET_CLAIM_BOOT, @DUET_CLAIM_MEMORY, @DUET_CLAIM_DENSITY: a result of that benchmark
 * @DUET_CLAIM_CONTAINER, @DUET_CLAIM_VM: an image that can be run so
 */
typedef enum {
    DUET_CLAIM_BOOT = 1 << 0,
    DUET_CLAIM_MEMORY = 1 << 1,
    DUET_CLAIM_DENSITY = 1 << 2,
    DUET_CLAIM_CONTAINER = 1 << 3,
    DUET_CLAIM_VM = 1 << 4,
} DuetClaimNeeds;

/**
 * DuetClaimTrial: what claims are tried with.
 * @boot, @memory, @density: (nullable)
 * @no_boot, @no_memory, @no_density: (nullable): why there is none
 * @interrupted: the user wanted an end
 */
typedef struct {
    const DuetClaimsRequest *request;
    DuetRun *boot, *memory, *density;
    char *no_boot, *no_memory, *no_density;
    gboolean interrupted;
} DuetClaimTrial;

void duet_claim_trial_clear(DuetClaimTrial *trial);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetClaimTrial, duet_claim_trial_clear)

/**
 * DuetClaim: one row of the table.
 * @sentence: what is claimed, in plain words
 * @how: how it is tried
 * @try: gives @finding a verdict; called only if all of @needs are there. An error that it can't
 *     tell more about is "not run".
 */
typedef struct {
    const char *id;
    const char *sentence;
    const char *how;
    guint needs;
    gboolean (*try)(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
} DuetClaim;

/** duet_claims_rows: Returns: the table, ended by a row without an id. */
const DuetClaim *duet_claims_rows(void);

/** duet_claim_apply: tries one claim, or tells what it lacks. */
void duet_claim_apply(const DuetClaim *claim, DuetClaimTrial *trial, DuetFinding *finding);

/** duet_claims_judge: after all were tried: the verdicts that depend on how many there were. */
void duet_claims_judge(DuetFinding *findings, gsize n);

/* What the rows call. Those of figures look into results; the others try it with instances. */
gboolean duet_claim_memory(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_start(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_stop(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_density(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_cpu(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_kernel_shared(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_kernel_own(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_processes(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_unchanged(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_portable(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_layers(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_throttle(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_panic(DuetClaimTrial *trial, DuetFinding *finding, GError **error);
gboolean duet_claim_panic_container(DuetClaimTrial *trial, DuetFinding *finding, GError **error);

G_END_DECLS
