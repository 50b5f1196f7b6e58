/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Three results of one benchmark and more: what became of the first, one after the other. */
#include "part.h"

#include <math.h>

#include "bench/words.h"

/* There are so many colours. */
#define LINES_MAX 8

/* One of the first result's figures. @id: its metric's: their numbers are each pair's own. */
typedef struct {
    guint arm;
    char *id, *name;
} Line;

static void line_clear(gpointer data)
{
    g_free(((Line *)data)->id);
    g_free(((Line *)data)->name);
}

static const DuetReportChange *change_at(const GPtrArray *changes, guint i)
{
    return changes->pdata[i];
}

/* Returns: (nullable): @line in a pair; NULL: there is none to be shown. */
static const DuetComparison *find(const DuetReportChange *change, guint arm, const char *id)
{
    const DuetAgainst *against = change->against;

    for (guint i = 0; against && i < against->comparisons->len; i++) {
        const DuetComparison *c = &g_array_index(against->comparisons, DuetComparison, i);
        g_autofree char *its = against->match.measure->id(&against->match, c->metric);
        if (c->b == arm && g_strcmp0(its, id) == 0)
            return duet_verdict_withholds(c->verdict) ? NULL : c;
    }
    return NULL;
}

static gboolean has_line(const GArray *lines, guint arm, const char *id)
{
    for (guint i = 0; i < lines->len; i++) {
        const Line *line = &g_array_index(lines, Line, i);
        if (line->arm == arm && g_strcmp0(line->id, id) == 0)
            return TRUE;
    }
    return FALSE;
}

static void add_lines(GArray *lines, const DuetReportChange *change)
{
    const DuetAgainst *against = change->against;

    for (guint k = 0; against && k < against->comparisons->len; k++) {
        const DuetComparison *c = &g_array_index(against->comparisons, DuetComparison, k);
        g_autofree char *id = against->match.measure->id(&against->match, c->metric);
        if (!find(change, c->b, id) || has_line(lines, c->b, id))
            continue;
        char *name = duet_report_change_row(against, c);
        Line line = { c->b, g_steal_pointer(&id), name };
        g_array_append_val(lines, line);
    }
}

/* Returns: how many results it has a value in beside the first. */
static guint line_rows(GString *dots, const GPtrArray *changes, const Line *line)
{
    guint n = 0;

    DUET_CHART_ROW(dots, 1, 1, 1, 1);
    for (guint i = 0; i < changes->len; i++) {
        const DuetComparison *c = find(change_at(changes, i), line->arm, line->id);
        if (!c || !(c->contrast.ratio > 0))
            continue;
        DUET_CHART_ROW(
            dots, i + 2, c->contrast.ratio, c->contrast.ratio_low, c->contrast.ratio_high);
        n++;
    }
    duet_chart_next_block(dots);
    return n;
}

static void add_figure(
    DuetReport *report, const GPtrArray *changes, const GArray *lines, const char *id)
{
    const DuetRun *first = change_at(changes, 0)->first;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(GPtrArray) places = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GArray) arms = g_array_new(FALSE, FALSE, sizeof(guint));
    g_autoptr(DuetChart) chart = duet_chart_new("course", id);
    GString *dots = duet_chart_data(chart, "dots");
    guint n = 0;

    for (guint i = 0; i < MIN(lines->len, LINES_MAX); i++) {
        const Line *line = &g_array_index(lines, Line, i);
        g_array_append_val(arms, line->arm);
        g_ptr_array_add(names, line->name);
        n += line_rows(dots, changes, line);
    }
    if (n == 0)
        return;
    for (guint i = 0; i <= changes->len; i++)
        g_ptr_array_add(places, g_strdup_printf("%u", i + 1));
    duet_report_arms(report, chart, first, arms);
    duet_chart_set_texts(chart, "arm", names);
    duet_chart_set_texts(chart, "place", places);
    duet_chart_set_text(chart, "xlabel", _("result, in the order given"));
    duet_chart_set_text(chart, "ylabel", _("over the first result (ratio)"));
    g_autofree char *how = g_strconcat(
        _("Ratios of each result's figures to the first one's, with intervals (95 %). The results "
          "were not interleaved: whatever else changed meanwhile is in them."),
        lines->len > LINES_MAX ? " " : "",
        lines->len > LINES_MAX ? _("There are more than are drawn; the table has all.") : "", NULL);
    duet_report_figure(report, g_steal_pointer(&chart), _("What became of the first result"),
        _("Where a line stays at 1 nothing changed. Above 1 the figure is larger than in the first "
          "result, below 1 smaller."),
        how);
}

/* Returns: (transfer full): what a pair has of a line for one of its sides. */
static char *value_text(const DuetReportChange *change, const Line *line, gboolean of_first)
{
    const DuetComparison *c = find(change, line->arm, line->id);

    if (!c)
        return g_strdup("");
    const DuetMatch *match = &change->against->match;
    return match->measure->text(c->metric,
        of_first ? match->measure->value(match, change->first, c->b, c->metric)
                 : match->measure->value(match, change->run, c->a, c->metric));
}

/* The first result's: that of a density depends on what it is compared with. */
static char *first_text(const GPtrArray *changes, const Line *line)
{
    g_autofree char *text = g_strdup("");

    for (guint i = 0; i < changes->len; i++) {
        g_autofree char *other = value_text(change_at(changes, i), line, TRUE);
        if (*text && *other && !g_str_equal(text, other))
            return g_strdup(_("by pair"));
        if (*other) {
            g_free(text);
            text = g_steal_pointer(&other);
        }
    }
    return g_steal_pointer(&text);
}

/* One result, with its figures. @number: 0: the first. */
static GPtrArray *cells_of(const GPtrArray *changes, const GArray *lines, guint number)
{
    const DuetReportChange *change = change_at(changes, number > 0 ? number - 1 : 0);
    GPtrArray *cells = g_ptr_array_new();

    g_ptr_array_add(cells, g_strdup_printf("%u", number + 1));
    g_ptr_array_add(cells, g_path_get_basename(number > 0 ? change->path : change->first_path));
    g_ptr_array_add(cells, g_strdup(number > 0 ? change->run->started : change->first->started));
    for (guint i = 0; i < lines->len; i++) {
        const Line *line = &g_array_index(lines, Line, i);
        g_ptr_array_add(
            cells, number > 0 ? value_text(change, line, FALSE) : first_text(changes, line));
    }
    return cells;
}

static void add_table(DuetReport *report, const GPtrArray *changes, const GArray *lines)
{
    GPtrArray *head = g_ptr_array_new();

    g_ptr_array_add(head, g_strdup(_("result")));
    g_ptr_array_add(head, g_strdup(_("file")));
    g_ptr_array_add(head, g_strdup(_("started")));
    for (guint i = 0; i < lines->len; i++)
        g_ptr_array_add(head, g_strdup(g_array_index(lines, Line, i).name));
    DuetReportTable *table =
        duet_report_table_with(report, _("All results, and their figures"), "rll", 'r', head);
    for (guint number = 0; number <= changes->len; number++)
        duet_report_cells(table, cells_of(changes, lines, number));
}

void duet_report_course(DuetReport *report, const GPtrArray *changes, const char *id)
{
    g_autoptr(GArray) lines = g_array_new(FALSE, FALSE, sizeof(Line));

    g_array_set_clear_func(lines, line_clear);
    for (guint i = 0; i < changes->len; i++)
        add_lines(lines, change_at(changes, i));
    if (lines->len == 0)
        return;
    add_figure(report, changes, lines, id);
    add_table(report, changes, lines);
}
