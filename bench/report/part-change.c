/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two results of one benchmark: what became of the first. */
#include "part.h"

#include <math.h>

#include "bench/against.h"
#include "bench/benchmark.h"
#include "bench/text.h"
#include "bench/words.h"

/* Returns: (transfer full): an arm, and the metric where there are several. */
static char *row_name(const DuetAgainst *against, const DuetComparison *c)
{
    const DuetMatch *match = &against->match;
    const char *arm = duet_run_arm(match->b, c->b)->name;
    g_autofree char *id = match->measure->id(match, c->metric);

    return match->measure->n_default > 1 ? g_strdup_printf("%s, %s", arm, id) : g_strdup(arm);
}

static void add_list(DuetReport *report, const char *lead, const GPtrArray *lines)
{
    if (lines->len == 0)
        return;
    duet_report_text(report, lead);
    GPtrArray *items = duet_report_list(report);
    for (guint i = 0; i < lines->len; i++)
        g_ptr_array_add(items, g_strdup(lines->pdata[i]));
}

static void add_figure(DuetReport *report, const DuetAgainst *against, const char *id)
{
    g_autoptr(GPtrArray) labels = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *name = g_strdup_printf("%s-change", id);
    g_autoptr(DuetChart) chart = duet_chart_new("ratio", name);
    GString *data = duet_chart_data(chart, "rows");
    g_autoptr(GArray) ratios = g_array_new(FALSE, FALSE, sizeof(double));

    for (guint i = 0; i < against->comparisons->len; i++) {
        const DuetComparison *c = &g_array_index(against->comparisons, DuetComparison, i);
        const DuetContrast *k = &c->contrast;
        if (duet_verdict_withholds(c->verdict) || !isfinite(k->ratio) || k->ratio <= 0)
            continue;
        g_autofree char *ratio = duet_text_ratio(k->ratio);
        g_autofree char *interval = duet_text_ratio_interval(k->ratio_low, k->ratio_high);
        g_ptr_array_add(labels, row_name(against, c));
        g_ptr_array_add(texts, g_strdup_printf("%s (%s)", ratio, interval));
        g_array_append_val(ratios, k->ratio);
        DUET_CHART_ROW(data, labels->len, k->ratio, k->ratio_low, k->ratio_high,
            c->verdict != DUET_VERDICT_DIFFERS);
    }
    if (labels->len == 0)
        return;
    duet_chart_set_texts(chart, "label", labels);
    duet_chart_set_texts(chart, "value_text", texts);
    duet_chart_set_text(chart, "xlabel", _("second over first (ratio)"));
    DuetReportFigure *figure = duet_report_figure(report, g_steal_pointer(&chart),
        _("What changed from the first result to the second"),
        _("At 1 nothing changed. A hollow dot is no difference that could be shown."),
        _("Ratios of the second result's figures to the first one's, with intervals (95 %)."));
    for (guint i = 0; i < labels->len; i++)
        duet_report_bar(
            figure, labels->pdata[i], texts->pdata[i], g_array_index(ratios, double, i));
}

static void add_table(DuetReport *report, const DuetAgainst *against)
{
    const DuetMatch *match = &against->match;
    DuetReportTable *table =
        duet_report_table(report, _("Second over first, arm by arm"), "lrrrrl");

    duet_report_row(table, _("arm"), _("first"), _("second"), _("ratio"), _("95 %"), _("verdict"));
    for (guint i = 0; i < against->comparisons->len; i++) {
        const DuetComparison *c = &g_array_index(against->comparisons, DuetComparison, i);
        gboolean withheld = duet_verdict_withholds(c->verdict);
        g_autofree char *name = row_name(against, c);
        double before = match->measure->value(match, match->b, c->b, c->metric);
        double after = match->measure->value(match, match->a, c->a, c->metric);
        g_autofree char *first = match->measure->text(c->metric, before);
        g_autofree char *second = match->measure->text(c->metric, after);
        g_autofree char *ratio = duet_text_ratio(c->contrast.ratio);
        g_autofree char *interval =
            duet_text_ratio_interval(c->contrast.ratio_low, c->contrast.ratio_high);
        duet_report_row(table, name, withheld ? "" : first, withheld ? "" : second,
            withheld ? "" : ratio, withheld ? "" : interval, _(duet_verdict_to_string(c->verdict)));
    }
}

void duet_report_change(DuetReport *report, const DuetRun *first, const char *first_path,
    const DuetRun *second, const char *second_path, const char *id)
{
    DuetAgainstOptions options = { .floor = -1, .force = TRUE };
    g_autoptr(GError) error = NULL;
    g_autofree char *lead = g_strdup_printf(_("First: '%s', %s. Second: '%s', %s."), first_path,
        first->started, second_path, second->started);

    duet_report_text(report, lead);
    if (!first->benchmark->measure)
        return;
    g_autoptr(DuetAgainst) against =
        duet_against_new(first, first_path, second, second_path, &options, &error);
    if (!against) {
        duet_report_text(report, error->message);
        return;
    }
    add_list(report, _("They are not alike, so a ratio compares more than one thing:"),
        against->mismatches);
    add_list(report, _("What else is not the same:"), against->changes);
    add_list(report, _("Left out, as only one of them has it:"), against->unmatched);
    add_figure(report, against, id);
    add_table(report, against);
    duet_report_notes(report, against->notes);
}
