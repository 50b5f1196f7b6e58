/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "against.h"
#include "bench/check.h"
#include "bench/export/export.h"
#include "bench/result/json.h"
#include "bench/notes.h"
#include "bench/result/record.h"
#include "bench/result/result.h"
#include "bench/table.h"
#include "bench/text.h"

#define NAME_COLUMNS 12

/* What one row of any view shows. */
typedef struct {
    const DuetComparison *comparison;
    const char *arm;
    const char *verdict;
    gboolean withheld;
    double first, second;
} Row;

static Row row_of(const DuetAgainst *against, guint i)
{
    const DuetComparison *c = &g_array_index(against->comparisons, DuetComparison, i);
    const DuetMatch *match = &against->match;

    return (Row){
        .comparison = c,
        .arm = duet_run_arm(match->b, c->b)->name,
        .verdict = duet_verdict_to_string(c->verdict),
        .withheld = duet_verdict_withholds(c->verdict),
        .first = match->measure->value(match, match->b, c->b, c->metric),
        .second = match->measure->value(match, match->a, c->a, c->metric),
    };
}

/* Returns: (transfer full): a line on a run: where it is, when and with what it was taken. */
static char *describe(const DuetRun *run, const char *path)
{
    const char *commit = duet_record_string(run->tool, "commit");

    return g_strdup_printf("%s  %s, n %u, duet %s", path, run->started, run->plan->n,
        commit ? commit : "of unknown version");
}

/* Returns: (transfer full). */
static char *metric_id(const DuetAgainst *against, const Row *row)
{
    return against->match.measure->id(&against->match, row->comparison->metric);
}

static gboolean begins_metric(const DuetAgainst *against, guint i)
{
    return i == 0 ||
        g_array_index(against->comparisons, DuetComparison, i - 1).metric !=
        g_array_index(against->comparisons, DuetComparison, i).metric;
}

/* ---- for a terminal ---- */

static void table_lines(GString *out, const char *title, GPtrArray *lines)
{
    for (guint i = 0; i < lines->len; i++)
        duet_text_append_wrapped(
            out, i == 0 ? title : "         ", "         ", g_ptr_array_index(lines, i));
}

static void table_head(GString *out, const DuetAgainst *against)
{
    g_autofree char *first = describe(against->match.b, against->first_path);
    g_autofree char *second = describe(against->match.a, against->second_path);

    duet_bench_table_banner(out, duet_match_nested(&against->match), against->tcg);
    if (against->mismatches->len > 0)
        g_string_append(
            out, "*** Forced: the runs are not alike, a ratio compares more than one thing. ***\n");
    table_lines(out, "differ   ", against->mismatches);
    duet_text_append_wrapped(out, "first    ", "         ", first);
    duet_text_append_wrapped(out, "second   ", "         ", second);
    table_lines(out, "changed  ", against->changes);
    table_lines(out, "left out ", against->unmatched);
}

static void table_row(GString *out, const DuetMeasure *measure, const Row *row)
{
    const DuetContrast *c = &row->comparison->contrast;
    g_autofree char *name = duet_text_line(row->arm);
    g_autofree char *first = measure->text(row->comparison->metric, row->first);
    g_autofree char *second = measure->text(row->comparison->metric, row->second);

    duet_text_append_padded(out, name, NAME_COLUMNS);
    if (row->withheld) {
        g_string_append_printf(out, "  %s\n", row->verdict);
        return;
    }
    g_autofree char *ratio = duet_text_ratio(c->ratio);
    g_autofree char *interval = duet_text_ratio_interval(c->ratio_low, c->ratio_high);
    g_autofree char *details = duet_bench_table_details(measure, row->comparison);
    duet_text_append_figure(out, first, 10);
    duet_text_append_figure(out, second, 10);
    duet_text_append_figure(out, ratio, 7);
    duet_text_append_figure(out, interval, 17);
    g_string_append_printf(out, "   %s\n", row->verdict);
    duet_text_append_wrapped(out, "    ", "    ", details);
}

char *duet_against_table(const DuetAgainst *against)
{
    GString *out = g_string_new(NULL);

    table_head(out, against);
    for (guint i = 0; i < against->comparisons->len; i++) {
        Row row = row_of(against, i);
        if (begins_metric(against, i)) {
            g_autofree char *id = metric_id(against, &row);
            g_string_append_printf(out, "\n%s, second / first\n%-12s%10s%10s%7s%17s   verdict\n",
                id, "arm", "first", "second", "ratio", "95 %");
        }
        table_row(out, against->match.measure, &row);
    }
    g_string_append_c(out, '\n');
    for (guint i = 0; i < against->notes->len; i++) {
        const DuetNote *note = g_ptr_array_index(against->notes, i);
        duet_text_append_wrapped(out, "! ", "  ", note->text);
    }
    return g_string_free(out, FALSE);
}

/* ---- Markdown ---- */

static void markdown_lines(GString *out, const char *title, GPtrArray *lines)
{
    for (guint i = 0; i < lines->len; i++) {
        g_autofree char *text = duet_text_markdown(g_ptr_array_index(lines, i));
        g_string_append_printf(out, "- %s %s\n", title, text);
    }
}

static void markdown_row(GString *out, const DuetMeasure *measure, const Row *row)
{
    const DuetContrast *c = &row->comparison->contrast;
    g_autofree char *name = duet_text_markdown(row->arm);
    g_autofree char *first = measure->text(row->comparison->metric, row->first);
    g_autofree char *second = measure->text(row->comparison->metric, row->second);

    if (row->withheld) {
        duet_export_markdown_row(out, name, "", "", "", "", row->verdict, "", NULL);
        return;
    }
    g_autofree char *ratio = duet_text_ratio(c->ratio);
    g_autofree char *interval = duet_text_ratio_interval(c->ratio_low, c->ratio_high);
    g_autofree char *plain = duet_bench_table_details(measure, row->comparison);
    g_autofree char *details = duet_text_markdown(plain);
    duet_export_markdown_row(
        out, name, first, second, ratio, interval, row->verdict, details, NULL);
}

char *duet_against_markdown(const DuetAgainst *against)
{
    GString *out = g_string_new(NULL);
    g_autofree char *first = describe(against->match.b, against->first_path);
    g_autofree char *second = describe(against->match.a, against->second_path);
    g_autofree char *first_text = duet_text_markdown(first);
    g_autofree char *second_text = duet_text_markdown(second);

    duet_export_markdown_banner(out, duet_match_nested(&against->match), against->tcg);
    if (against->mismatches->len > 0)
        g_string_append(
            out, "> **Forced: the runs are not alike, a ratio compares more than one thing.**\n\n");
    g_string_append_printf(out, "- first: %s\n- second: %s\n", first_text, second_text);
    markdown_lines(out, "differ in", against->mismatches);
    markdown_lines(out, "changed:", against->changes);
    markdown_lines(out, "left out:", against->unmatched);
    for (guint i = 0; i < against->comparisons->len; i++) {
        Row row = row_of(against, i);
        if (begins_metric(against, i)) {
            g_autofree char *id = metric_id(against, &row);
            g_string_append_printf(out,
                "\n## %s, second / first\n\n| arm | first | second | ratio | 95 %% | verdict | "
                "details |\n|---|--:|--:|--:|--:|---|---|\n",
                id);
        }
        markdown_row(out, against->match.measure, &row);
    }
    g_string_append_c(out, '\n');
    for (guint i = 0; i < against->notes->len; i++) {
        const DuetNote *note = g_ptr_array_index(against->notes, i);
        g_autofree char *text = duet_text_markdown(note->text);
        g_string_append_printf(out, "- %s\n", text);
    }
    return g_string_free(out, FALSE);
}

/* ---- JSON ---- */

static JsonArray *json_lines(GPtrArray *lines)
{
    JsonArray *array = json_array_new();

    for (guint i = 0; i < lines->len; i++) {
        g_autofree char *valid = g_utf8_make_valid(g_ptr_array_index(lines, i), -1);
        json_array_add_string_element(array, valid);
    }
    return array;
}

static JsonObject *json_run(const DuetRun *run, const char *path)
{
    JsonObject *object = json_object_new();
    g_autofree char *valid = g_utf8_make_valid(path, -1);

    json_object_set_string_member(object, "file", valid);
    json_object_set_string_member(object, "run_id", run->run_id);
    json_object_set_string_member(object, "started", run->started);
    json_object_set_int_member(object, "n", run->plan->n);
    json_object_set_object_member(object, "tool", json_object_ref(run->tool));
    return object;
}

static void set_estimate(
    JsonObject *object, const char *which, const DuetMeasure *measure, double value)
{
    g_autofree char *name = g_strdup_printf("%s_%s_%s", which, measure->estimate, measure->unit);

    duet_json_set_double(object, name, value);
}

static JsonObject *json_row(const DuetAgainst *against, const Row *row)
{
    JsonObject *object = json_object_new();
    const DuetMeasure *measure = against->match.measure;
    g_autofree char *id = metric_id(against, row);

    json_object_set_string_member(object, "arm", row->arm);
    json_object_set_string_member(object, "metric", id);
    json_object_set_string_member(object, "verdict", row->verdict);
    if (row->withheld)
        return object;
    set_estimate(object, "first", measure, row->first);
    set_estimate(object, "second", measure, row->second);
    duet_result_set_contrast(object, measure, &row->comparison->contrast);
    return object;
}

char *duet_against_json(const DuetAgainst *against)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
    JsonObject *root = json_object_new();
    JsonArray *comparisons = json_array_new();

    json_object_set_object_member(root, "first", json_run(against->match.b, against->first_path));
    json_object_set_object_member(root, "second", json_run(against->match.a, against->second_path));
    json_object_set_boolean_member(root, "tcg", against->tcg);
    json_object_set_boolean_member(root, "nested_under_tcg", duet_match_nested(&against->match));
    json_object_set_boolean_member(root, "forced", against->mismatches->len > 0);
    json_object_set_array_member(root, "differ", json_lines(against->mismatches));
    json_object_set_array_member(root, "changed", json_lines(against->changes));
    json_object_set_array_member(root, "left_out", json_lines(against->unmatched));
    json_object_set_double_member(root, "floor", against->match.floor);
    for (guint i = 0; i < against->comparisons->len; i++) {
        Row row = row_of(against, i);
        json_array_add_object_element(comparisons, json_row(against, &row));
    }
    json_object_set_array_member(root, "comparisons", comparisons);
    json_object_set_array_member(root, "notes", duet_bench_check_notes_json(against->notes));
    json_node_take_object(node, root);
    return duet_json_print(node, TRUE);
}
