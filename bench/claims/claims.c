/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claims-view.h"

#include <string.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/host/environment.h"
#include "bench/format.h"
#include "bench/instance/group.h"
#include "bench/language.h"
#include "gather.h"
#include "published.h"

static const char *const formats[] = { "table", "json", "md", NULL };
static char *(*const renders[])(
    const DuetClaimsPage *) = { duet_claims_table, duet_claims_json, duet_claims_markdown };

static const DuetClaim *find(const char *id, GError **error)
{
    g_autoptr(GString) known = g_string_new(NULL);

    for (const DuetClaim *row = duet_claims_rows(); row->id; row++) {
        if (g_str_equal(row->id, id))
            return row;
        g_string_append_printf(known, "%s%s", known->len > 0 ? ", " : "", row->id);
    }
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "'%s' is no claim: choose from %s", id, known->str);
    return NULL;
}

/* Returns: (transfer full) (element-type DuetClaim): those wanted, in the order of the table. */
static GPtrArray *choose(const char *only, GError **error)
{
    g_auto(GStrv) ids = g_strsplit(only ? only : "", ",", -1);
    g_autoptr(GPtrArray) claims = g_ptr_array_new();

    for (char **id = ids; *id; id++)
        if (!find(g_strstrip(*id), error))
            return NULL;
    for (const DuetClaim *row = duet_claims_rows(); row->id; row++)
        if (!only || g_strv_contains((const char *const *)ids, row->id))
            g_ptr_array_add(claims, (gpointer)row);
    if (claims->len > 0)
        return g_steal_pointer(&claims);
    find(only, error);
    return NULL;
}

static void try_all(DuetClaimTrial *trial, const GPtrArray *claims, DuetFinding *findings)
{
    sigset_t old;

    /* Between two claims, too, there may be files to be removed. */
    duet_hold_signals(&old);
    for (guint i = 0; i < claims->len; i++) {
        const DuetClaim *claim = g_ptr_array_index(claims, i);
        g_autofree char *line =
            g_strdup_printf("claim %u of %u: %s", i + 1, claims->len, claim->id);
        if (trial->request->progress)
            trial->request->progress(line, trial->request->progress_data);
        duet_finding_init(&findings[i]);
        duet_claim_apply(claim, trial, &findings[i]);
    }
    trial->interrupted |= duet_release_signals(&old);
    if (trial->request->progress)
        trial->request->progress(NULL, trial->request->progress_data);
    duet_claims_judge(findings, claims->len);
}

static gboolean has_tcg(const DuetRun *run)
{
    return run && duet_run_tcg(run);
}

static gboolean is_nested(const DuetRun *run)
{
    return run && duet_environment_under_tcg(run->host);
}

static int exit_code(const DuetClaimTrial *trial, const DuetFinding *findings, guint n)
{
    if (trial->interrupted)
        return DUET_BENCH_EXIT_INTERRUPTED;
    for (guint i = 0; i < n; i++)
        if (findings[i].verdict == DUET_FINDING_FAILS)
            return 1;
    return 0;
}

static gboolean claims(
    const DuetClaimsRequest *request, char **out_text, int *out_exit_code, GError **error)
{
    g_auto(DuetClaimTrial) trial = { .request = request };
    int row = duet_format_find(formats, request->format, error);
    g_autoptr(GPtrArray) chosen = row >= 0 ? choose(request->only, error) : NULL;
    guint needs = 0;

    /* What programs read is in no language. */
    if (!chosen || (renders[row] != duet_claims_json && !duet_language(request->language, error)))
        return FALSE;
    for (guint i = 0; i < chosen->len; i++)
        needs |= ((const DuetClaim *)g_ptr_array_index(chosen, i))->needs;
    if (!duet_claims_gather(&trial, needs, error))
        return FALSE;
    g_autofree DuetFinding *findings = g_new0(DuetFinding, chosen->len);
    try_all(&trial, chosen, findings);
    DuetClaimsPage page = {
        .claims = chosen,
        .findings = findings,
        .command = request->command,
        .tcg = has_tcg(trial.boot) || has_tcg(trial.memory) || has_tcg(trial.density),
        .nested = is_nested(trial.boot) || is_nested(trial.memory) || is_nested(trial.density),
    };
    *out_text = renders[row](&page);
    *out_exit_code = exit_code(&trial, findings, chosen->len);
    for (guint i = 0; i < chosen->len; i++)
        duet_finding_clear(&findings[i]);
    return TRUE;
}

static const DuetPublished *find_published(const char *id, GError **error)
{
    for (const DuetPublished *row = duet_published_rows(); row->id; row++)
        if (g_str_equal(row->id, id))
            return row;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no published figure: `duet bench reproduce` lists them", id);
    return NULL;
}

static gboolean reproduce(
    const char *id, char *const *results, const char *format, char **out_text, GError **error)
{
    int row = duet_format_find(formats, format, error);
    const DuetPublished *published = row >= 0 && id ? find_published(id, error) : NULL;

    if (row < 0 || (id && !published))
        return FALSE;
    if (!published && !results) {
        *out_text = duet_published_list(row);
        return TRUE;
    }
    if (!published || !results) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
            published ? "give results of ours with --results FILE..."
                      : "which published figure? `duet bench reproduce` lists them");
        return FALSE;
    }
    g_autoptr(GPtrArray) runs = duet_claims_load(results, error);
    if (!runs)
        return FALSE;
    g_auto(DuetReproduction) reproduction = { 0 };
    duet_reproduce(published, runs, &reproduction);
    *out_text = duet_reproduction_show(published, &reproduction, row);
    return TRUE;
}

/* The one name that the executable looks up in the module. */
__attribute__((visibility("default"))) const DuetClaimsOps duet_claims = {
    .claims = claims,
    .reproduce = reproduce,
};
