/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "published.h"

#include <math.h>

#include "bench/export/export.h"
#include "bench/result/json.h"
#include "bench/result/result.h"
#include "bench/text.h"

enum { TABLE, JSON, MARKDOWN };

static char *ratio_of(const DuetPublished *published)
{
    return published->ratio > 0 ? duet_text_ratio(published->ratio) : g_strdup("none");
}

static JsonObject *published_object(const DuetPublished *published)
{
    JsonObject *object = json_object_new();

    duet_json_set_string(object, "id", published->id);
    duet_json_set_string(object, "source", published->source);
    duet_json_set_string(object, "what", published->what);
    duet_json_set_string(object, "value", published->value);
    duet_json_set_string(object, "conditions", published->conditions);
    duet_json_set_double(object, "published_ratio", published->ratio > 0 ? published->ratio : NAN);
    return object;
}

static char *print(JsonNode *node)
{
    char *text = duet_json_print(node, TRUE);

    json_node_unref(node);
    return text;
}

static char *list_json(void)
{
    JsonArray *array = json_array_new();

    for (const DuetPublished *row = duet_published_rows(); row->id; row++)
        json_array_add_object_element(array, published_object(row));
    return print(json_node_init_array(json_node_alloc(), array));
}

char *duet_published_list(guint format)
{
    GString *out = g_string_new(NULL);

    if (format == JSON) {
        g_string_free(out, TRUE);
        return list_json();
    }
    if (format == MARKDOWN)
        g_string_append(out,
            "| id | source | what | published | ratio | conditions |\n|---|---|---|---|--:|---|\n");
    for (const DuetPublished *row = duet_published_rows(); row->id; row++) {
        g_autofree char *ratio = ratio_of(row);
        g_autofree char *text = g_strdup_printf("%s: %s: %s", row->source, row->what, row->value);
        g_autofree char *head = g_strdup_printf("%-23s", row->id);
        if (format == MARKDOWN)
            duet_export_markdown_row(
                out, row->id, row->source, row->what, row->value, ratio, row->conditions, NULL);
        else
            duet_text_append_wrapped(out, head, "                       ", text);
    }
    return g_string_free(out, FALSE);
}

static char *show_json(const DuetPublished *published, const DuetReproduction *ours)
{
    JsonObject *object = published_object(published);

    duet_json_set_string(object, "verdict", duet_reproduction_verdict_to_string(ours->verdict));
    duet_json_set_string(object, "because", ours->why);
    duet_json_set_string(object, "stands_in", ours->stands_in);
    duet_json_set_double(object, "our_ratio", ours->ratio);
    duet_json_set_double(object, "our_ratio_low", ours->low);
    duet_json_set_double(object, "our_ratio_high", ours->high);
    duet_json_set_double(object, "our_ratio_reached_low", ours->reached_low);
    duet_json_set_double(object, "our_ratio_reached_high", ours->reached_high);
    return print(json_node_init_object(json_node_alloc(), object));
}

/* One row of both formats. @escape: @text may be a name out of a file. */
static void fact(GString *out, guint format, const char *name, const char *text)
{
    g_autofree char *head = g_strdup_printf("%-12s", name);
    g_autofree char *escaped = duet_text_markdown(text);

    if (format == MARKDOWN)
        duet_export_markdown_row(out, name, escaped, NULL);
    else
        duet_text_append_wrapped(out, head, "            ", text);
}

/* Returns: (transfer full): the ratio and what is known of how sure it is. */
static char *figure_of(const DuetReproduction *ours)
{
    g_autofree char *ratio = duet_text_ratio(ours->ratio);
    g_autofree char *interval = duet_text_ratio_interval(ours->low, ours->high);
    g_autofree char *reached = duet_text_ratio_interval(ours->reached_low, ours->reached_high);

    if (!isnan(ours->reached_low))
        return g_strdup_printf("%s (one run of each; by the numbers reached %s)", ratio, reached);
    return isnan(ours->low) ? g_strdup(ratio) : g_strdup_printf("%s (95 %%: %s)", ratio, interval);
}

char *duet_reproduction_show(
    const DuetPublished *published, const DuetReproduction *ours, guint format)
{
    g_autofree char *ratio = ratio_of(published), *figure = figure_of(ours);
    g_autofree char *verdict =
        g_strdup_printf("%s%s%s", duet_reproduction_verdict_to_string(ours->verdict),
            ours->why ? ", because " : "", ours->why ? ours->why : "");
    GString *out = g_string_new(NULL);

    if (format == JSON) {
        g_string_free(out, TRUE);
        return show_json(published, ours);
    }
    if (format == MARKDOWN)
        g_string_append_printf(out, "| %s | |\n|---|---|\n", published->id);
    fact(out, format, "source", published->source);
    fact(out, format, "what", published->what);
    fact(out, format, "published", published->value);
    fact(out, format, "conditions", published->conditions);
    fact(out, format, "its ratio", ratio);
    fact(out, format, "our ratio", figure);
    if (ours->stands_in)
        fact(out, format, "of", ours->stands_in);
    fact(out, format, "verdict", verdict);
    return g_string_free(out, FALSE);
}
