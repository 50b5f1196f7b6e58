/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Two results of one benchmark: what became of the first. */
#include "part.h"

#include <math.h>

#include "bench/benchmark.h"
#include "bench/text.h"
#include "bench/words.h"

char *duet_report_change_row(const DuetAgainst *against, const DuetComparison *c)
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
        g_ptr_array_add(labels, duet_report_change_row(against, c));
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
        g_autofree char *name = duet_report_change_row(against, c);
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

static void add_change(DuetReport *report, const DuetReportChange *change, const char *id)
{
    const DuetAgainst *against = change->against;
    g_autofree char *lead = g_strdup_printf(_("First: '%s', %s. Second: '%s', %s."),
        change->first_path, change->first->started, change->path, change->run->started);

    duet_report_text(report, lead);
    if (change->error)
        duet_report_text(report, change->error->message);
    if (!against)
        return;
    add_list(report, _("They are not alike, so a ratio compares more than one thing:"),
        against->mismatches);
    add_list(report, _("What else is not the same:"), against->changes);
    add_list(report, _("Left out, as only one of them has it:"), against->unmatched);
    add_figure(report, against, id);
    add_table(report, against);
    duet_report_notes(report, against->notes);
}

static void change_free(gpointer data)
{
    DuetReportChange *change = data;

    duet_against_free(change->against);
    g_clear_error(&change->error);
    g_free(change);
}

static DuetReportChange *change_new(
    const DuetRun *first, const char *first_path, const DuetRun *run, const char *path)
{
    DuetAgainstOptions options = { .floor = -1, .force = TRUE };
    DuetReportChange *change = g_new0(DuetReportChange, 1);

    *change = (DuetReportChange){ first, run, first_path, path, NULL, NULL };
    if (first->benchmark->measure)
        change->against = duet_against_new(first, first_path, run, path, &options, &change->error);
    return change;
}

/* All results of the benchmark that number @first is the first one of. */
static void changes_of(DuetReport *report, const GPtrArray *runs, char *const *paths, guint first)
{
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(change_free);
    const DuetReportPart *part = duet_report_part(runs->pdata[first]);

    for (guint i = first + 1; i < runs->len; i++) {
        if (duet_report_part(runs->pdata[i]) == part)
            g_ptr_array_add(
                changes, change_new(runs->pdata[first], paths[first], runs->pdata[i], paths[i]));
    }
    if (changes->len > 1) {
        g_autofree char *id = g_strconcat(part->benchmark, "-course", NULL);
        g_autofree char *title = g_strdup_printf(_("%s: over all results"), _(part->title));
        duet_report_section(report, id, title);
        for (guint i = 0; i < changes->len && (i == 0 || !report->stamp); i++)
            duet_report_stamp(
                report, runs->pdata[first], ((DuetReportChange *)changes->pdata[i])->run);
        duet_report_course(report, changes, id);
    }
    for (guint i = 0; i < changes->len; i++) {
        const DuetReportChange *change = changes->pdata[i];
        g_autofree char *id = g_strdup_printf("%s-change-%u", part->benchmark, i + 2);
        g_autofree char *title = g_strdup_printf(_("%s: the change"), _(part->title));
        duet_report_section(report, id, title);
        duet_report_stamp(report, change->run, change->first);
        add_change(report, change, id);
    }
}

void duet_report_changes(DuetReport *report, const GPtrArray *runs, char *const *paths)
{
    for (guint i = 0; i < runs->len; i++) {
        if (duet_report_nth(runs, i) == 0)
            changes_of(report, runs, paths, i);
    }
}
