/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "part.h"

#include <math.h>

#include "bench/benchmark.h"
#include "bench/notes.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"

/* Those of Okabe and Ito (2008), which people with every kind of colour vision tell apart. */
static const struct {
    const char *kind, *color;
} kinds[] = {
    { "vm", "#0072B2" },
    { "container", "#D55E00" },
    { "native", "#009E73" },
};
static const char *const others[] = { "#CC79A7", "#E69F00", "#56B4E9", "#666666" };

static const DuetReportPart *const parts[] = { &duet_report_boot, &duet_report_cost,
    &duet_report_memory, &duet_report_density, &duet_report_overhead, &duet_report_load };

const DuetReportPart *duet_report_part(const DuetRun *run)
{
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        if (g_str_equal(parts[i]->benchmark, run->benchmark->name))
            return parts[i];
    }
    g_assert_not_reached();
}

/* Pictures are taken out of a page, too. */
void duet_report_stamp(DuetReport *report, const DuetRun *run, const DuetRun *other)
{
    report->stamp =
        duet_bench_table_warning(FALSE, duet_run_tcg(run) || (other && duet_run_tcg(other)));
}

const char *duet_report_kind_color(const char *kind)
{
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_str_equal(kinds[i].kind, kind))
            return kinds[i].color;
    }
    return NULL;
}

void duet_report_option(GString *command, const char *name, const char *value)
{
    char *const words[] = { (char *)value, NULL };
    g_autofree char *quoted = duet_text_command(words);

    g_string_append_printf(command, " --%s %s", name, quoted);
}

guint duet_report_nth(const GPtrArray *runs, guint index)
{
    const DuetRun *run = runs->pdata[index];
    guint n = 0;

    for (guint i = 0; i < index; i++)
        n += ((const DuetRun *)runs->pdata[i])->benchmark == run->benchmark;
    return n;
}

static gboolean has_color(const DuetReport *report, const DuetRun *run, const char *color)
{
    for (guint i = 0; i < run->arms->len; i++) {
        const char *taken = g_hash_table_lookup(report->colors, duet_run_arm(run, i)->name);
        if (taken && g_str_equal(taken, color))
            return TRUE;
    }
    return FALSE;
}

/* One that no arm of @run has, while there is one. */
static const char *other_color(DuetReport *report, const DuetRun *run)
{
    for (gsize i = 0; i < G_N_ELEMENTS(others); i++) {
        if (!has_color(report, run, others[i]))
            return others[i];
    }
    return others[report->other_colors++ % G_N_ELEMENTS(others)];
}

static gboolean is_color(gpointer name, gpointer color, gpointer wanted)
{
    (void)name;
    return g_str_equal(color, wanted);
}

static void color_arms(DuetReport *report, const DuetRun *run, gboolean called_as_kind)
{
    for (guint i = 0; i < run->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(run, i);
        const char *color = duet_report_kind_color(arm->kind);
        if (g_str_equal(arm->name, arm->kind) != called_as_kind ||
            g_hash_table_contains(report->colors, arm->name))
            continue;
        if (!color || g_hash_table_find(report->colors, is_color, (gpointer)color))
            color = other_color(report, run);
        g_hash_table_insert(report->colors, g_strdup(arm->name), (gpointer)color);
    }
}

/* An arm that is called as its kind has the kind's colour, and so has the first of a kind without
 * one; the rest share the others. Figures of overhead show kinds, not arms. */
void duet_report_colors(DuetReport *report, const GPtrArray *runs)
{
    for (guint pass = 0; pass < 2; pass++) {
        for (guint i = 0; i < runs->len; i++) {
            const DuetRun *run = runs->pdata[i];
            if (run->benchmark != &duet_benchmark_overhead)
                color_arms(report, run, pass == 0);
        }
    }
}

void duet_report_arms(
    const DuetReport *report, DuetChart *chart, const DuetRun *run, const GArray *arms)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new(), colors = g_ptr_array_new();

    for (guint i = 0; i < arms->len; i++) {
        char *name = duet_run_arm(run, g_array_index(arms, guint, i))->name;
        g_ptr_array_add(names, name);
        g_ptr_array_add(colors, g_hash_table_lookup(report->colors, name));
    }
    duet_chart_set_texts(chart, "arm", names);
    duet_chart_set_texts(chart, "color", colors);
}

gsize duet_report_every(gsize n, gsize most)
{
    return (n + most - 1) / most;
}

static void comparison_row(
    DuetReportTable *table, const DuetMatch *match, const DuetComparison *comparison)
{
    const DuetContrast *c = &comparison->contrast;
    g_autofree char *pair = duet_match_pair(match, comparison);
    const char *verdict = _(duet_verdict_to_string(comparison->verdict));

    if (duet_verdict_withholds(comparison->verdict)) {
        duet_report_row(table, pair, "", "", verdict, "", "", "", "");
        return;
    }
    g_autofree char *ratio = duet_text_ratio(c->ratio);
    g_autofree char *interval = duet_text_ratio_interval(c->ratio_low, c->ratio_high);
    g_autofree char *difference = match->measure->difference(comparison->metric, c);
    g_autofree char *p = duet_text_p(c->p_holm);
    g_autofree char *delta =
        isnan(c->cliffs_delta) ? g_strdup("") : g_strdup_printf("%.2f", c->cliffs_delta);
    g_autofree char *detectable = duet_text_percent(c->detectable);
    duet_report_row(table, pair, ratio, interval, verdict, difference, p, delta, detectable);
}

void duet_report_comparisons(
    DuetReport *report, const char *caption, const DuetMatch *match, const GArray *comparisons)
{
    if (comparisons->len == 0)
        return;
    DuetReportTable *table = duet_report_table(report, caption, "lrrlrrrr");
    duet_report_row(table, _("a / b"), _("ratio"), _("95 %"), _("verdict"), _("difference"),
        _("p (Holm)"), _("Cliff's δ"), _("detectable"));
    for (guint i = 0; i < comparisons->len; i++)
        comparison_row(table, match, &g_array_index(comparisons, DuetComparison, i));
}

void duet_report_notes(DuetReport *report, const GPtrArray *notes)
{
    if (notes->len == 0)
        return;
    duet_report_text(report, _("What a reader must know of these figures:"));
    GPtrArray *items = duet_report_list(report);
    for (guint i = 0; i < notes->len; i++)
        g_ptr_array_add(items, g_strdup(((const DuetNote *)notes->pdata[i])->text));
}

DuetReportTable *duet_report_time_table(DuetReport *report, const char *caption)
{
    DuetReportTable *table = duet_report_table(report, caption, "lrrrrrrr");

    duet_report_row(table, _("arm"), _("ok"), _("failed"), _("median"), _("median, 95 %"), _("IQR"),
        "p95", "p99");
    return table;
}

GPtrArray *duet_report_time_cells(
    const char *name, guint ok, guint failed, const DuetSummary *summary)
{
    GPtrArray *cells = g_ptr_array_new();

    g_ptr_array_add(cells, g_strdup(name));
    g_ptr_array_add(cells, g_strdup_printf("%u", ok));
    g_ptr_array_add(cells, g_strdup_printf("%u", failed));
    if (summary->n == 0) {
        for (guint i = 0; i < 5; i++)
            g_ptr_array_add(cells, g_strdup("n/a"));
        return cells;
    }
    DuetUnit unit = duet_unit_for(summary->median);
    unit.digits++;
    g_autofree char *median = duet_unit_format(unit, summary->median);
    g_autofree char *interval = duet_text_interval(unit, summary->low, summary->high);
    g_autofree char *iqr = duet_unit_format(unit, summary->q3 - summary->q1);
    g_autofree char *p95 = duet_unit_format(unit, summary->p95);
    g_autofree char *p99 = duet_unit_format(unit, summary->p99);
    const char *const figures[] = { median, interval, iqr, p95, p99 };
    for (gsize i = 0; i < G_N_ELEMENTS(figures); i++)
        g_ptr_array_add(cells,
            g_str_equal(figures[i], "n/a") ? g_strdup("n/a")
                                           : g_strdup_printf("%s %s", figures[i], unit.name));
    return cells;
}
