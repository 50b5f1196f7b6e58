/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claims-view.h"

#include <math.h>

#include "bench/export/export.h"
#include "bench/result/json.h"
#include "bench/result/result.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"

/* Returns: (transfer full): what one types to see it again. */
static char *repeat(const DuetClaimsPage *page, const char *id)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();

    g_strv_builder_addv(words, (const char **)page->command);
    g_strv_builder_add_many(words, "--only", id, NULL);
    g_auto(GStrv) argv = g_strv_builder_end(words);
    return duet_text_command(argv);
}

/* Returns: (transfer full) (nullable): "17.2 vm / container (15.0 to 19.1)". */
static char *figure(const DuetFinding *finding)
{
    if (!finding->unit)
        return NULL;
    g_autofree char *value = duet_text_ratio(finding->value);
    g_autofree char *interval = duet_text_ratio_interval(finding->low, finding->high);

    return isnan(finding->low)
        ? g_strdup_printf("%s %s", value, _(finding->unit))
        : g_strdup_printf("%s %s (95 %%: %s)", value, _(finding->unit), interval);
}

static const DuetClaim *claim_at(const DuetClaimsPage *page, guint i)
{
    return g_ptr_array_index(page->claims, i);
}

static void count(const DuetClaimsPage *page, guint *counts)
{
    for (guint i = 0; i < page->claims->len; i++)
        counts[page->findings[i].verdict]++;
}

static char *summary(const DuetClaimsPage *page)
{
    guint counts[DUET_FINDING_NOT_RUN + 1] = { 0 };

    count(page, counts);
    return g_strdup_printf(_("%u hold, %u do not hold, %u undecided, %u not run"),
        counts[DUET_FINDING_HOLDS], counts[DUET_FINDING_FAILS], counts[DUET_FINDING_UNDECIDED],
        counts[DUET_FINDING_NOT_RUN]);
}

#define LABEL_COLUMNS 14

/* @indent: of what it says beyond one line. */
static void append_labelled(GString *out, const char *label, gsize indent, const char *text)
{
    g_autoptr(GString) first = g_string_new(NULL);
    g_autofree char *rest = g_strnfill(indent, ' ');

    duet_text_append_padded(first, label, LABEL_COLUMNS);
    duet_text_append_wrapped(out, first->str, rest, text);
}

static void append_fact(GString *out, const char *label, gsize indent, const char *text)
{
    g_autofree char *set_in = g_strconcat("  ", label, NULL);

    append_labelled(out, set_in, indent, text);
}

char *duet_claims_table(const DuetClaimsPage *page)
{
    GString *out = g_string_new(NULL);
    g_autofree char *sum = summary(page);

    duet_bench_table_banner(out, page->nested, page->tcg);
    for (guint i = 0; i < page->claims->len; i++) {
        const DuetClaim *claim = claim_at(page, i);
        const DuetFinding *finding = &page->findings[i];
        const char *verdict = _(duet_finding_verdict_to_string(finding->verdict));
        g_autofree char *number = figure(finding), *command = repeat(page, claim->id);
        append_labelled(out, verdict, LABEL_COLUMNS, _(claim->sentence));
        if (number)
            append_fact(out, _("figure"), LABEL_COLUMNS, number);
        if (finding->why)
            append_fact(out, _("because"), LABEL_COLUMNS, finding->why);
        append_fact(out, _("tried by"), LABEL_COLUMNS, _(claim->how));
        append_fact(out, _("again"), LABEL_COLUMNS + 2, command);
        g_string_append_c(out, '\n');
    }
    g_string_append_printf(out, "%s\n", sum);
    return g_string_free(out, FALSE);
}

static JsonObject *finding_object(const DuetClaimsPage *page, guint i)
{
    const DuetClaim *claim = claim_at(page, i);
    const DuetFinding *finding = &page->findings[i];
    JsonObject *object = json_object_new();
    g_autofree char *command = repeat(page, claim->id);

    duet_json_set_string(object, "id", claim->id);
    duet_json_set_string(object, "sentence", claim->sentence);
    duet_json_set_string(object, "how", claim->how);
    duet_json_set_string(object, "verdict", duet_finding_verdict_to_string(finding->verdict));
    duet_json_set_string(object, "because", finding->why);
    duet_json_set_string(object, "unit", finding->unit);
    duet_json_set_double(object, "value", finding->value);
    duet_json_set_double(object, "low", finding->low);
    duet_json_set_double(object, "high", finding->high);
    duet_json_set_double(object, "p_holm", finding->contrasted ? finding->contrast.p_holm : NAN);
    duet_json_set_string(object, "command", command);
    return object;
}

char *duet_claims_json(const DuetClaimsPage *page)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *root = json_object_new();
    JsonArray *claims = json_array_new();

    json_node_take_object(node, root);
    json_object_set_boolean_member(root, "tcg", page->tcg);
    json_object_set_boolean_member(root, "nested_under_tcg", page->nested);
    for (guint i = 0; i < page->claims->len; i++)
        json_array_add_object_element(claims, finding_object(page, i));
    json_object_set_array_member(root, "claims", claims);
    return duet_json_print(node, TRUE);
}

char *duet_claims_markdown(const DuetClaimsPage *page)
{
    GString *out = g_string_new(NULL);
    g_autofree char *sum = summary(page);

    duet_export_markdown_banner(out, page->nested, page->tcg);
    duet_export_markdown_row(
        out, _("claim"), _("verdict"), _("figure"), _("because"), _("tried by"), _("again"), NULL);
    g_string_append(out, "|---|---|---|---|---|---|\n");
    for (guint i = 0; i < page->claims->len; i++) {
        const DuetClaim *claim = claim_at(page, i);
        const DuetFinding *finding = &page->findings[i];
        g_autofree char *number = figure(finding), *command = repeat(page, claim->id);
        g_autofree char *why = duet_text_markdown(finding->why ? finding->why : "");
        g_autofree char *how = duet_text_markdown(_(claim->how));
        g_autofree char *again = duet_text_markdown(command);
        duet_export_markdown_row(out, _(claim->sentence),
            _(duet_finding_verdict_to_string(finding->verdict)), number ? number : "", why, how,
            again, NULL);
    }
    g_string_append_printf(out, "\n%s\n", sum);
    return g_string_free(out, FALSE);
}
