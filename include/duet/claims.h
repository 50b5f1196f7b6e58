/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/**
 * DuetClaimsRequest: what `bench claims` was asked.
 * @context: (nullable): NULL: nothing is started, only result files are read
 * @container, @vm: (nullable): what instances are made from, image resolved; both of one image
 * @no_container, @no_vm: (nullable): why there is none
 * @results: (nullable): paths of result files; NULL: what they would tell is measured at once
 * @only: (nullable): comma-separated ids of claims; NULL: all
 * @format: (nullable): "table", "json" or "md"
 * @language: (nullable): "en" or "ko", of what is no JSON; NULL: the user's
 * @command: what the user typed but for `--only`, `--format` and `--lang`, to be shown with each
 * claim
 * @seed: of what is measured at once
 * @progress: (nullable): called with one line before each claim, and with NULL at the end
 */
typedef struct {
    DuetContext *context;
    const DuetSpec *container, *vm;
    const char *no_container, *no_vm;
    char *const *results;
    const char *only;
    const char *format, *language;
    char *const *command;
    guint64 seed;
    void (*progress)(const char *line, gpointer data);
    gpointer progress_data;
} DuetClaimsRequest;

/**
 * DuetClaimsOps: the common statements about VMs and containers, tried one by one, and published
 * figures beside ours. In the module "duet-tools" under the symbol "duet_claims".
 */
typedef struct {
    /**
     * claims:
     * @out_text: (out) (transfer full): for standard output
     * @out_exit_code: 0; 1: a claim does not hold; 130: the user interrupted, and the claims that
     *     were tried until then are in the text
     */
    gboolean (*claims)(
        const DuetClaimsRequest *request, char **out_text, int *out_exit_code, GError **error);
    /**
     * reproduce:
     * @id: (nullable): of a published figure; NULL: lists them
     * @results: (nullable): paths of result files, one at least if there is an @id
     */
    gboolean (*reproduce)(
        const char *id, char *const *results, const char *format, char **out_text, GError **error);
} DuetClaimsOps;

extern const DuetClaimsOps duet_claims;

G_END_DECLS
