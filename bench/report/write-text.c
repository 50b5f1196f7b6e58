/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For a terminal of 80 columns: figures become small charts of bars. */
#include <math.h>
#include <string.h>

#include "bench/text.h"
#include "bench/words.h"
#include "write.h"

#define LABEL_COLUMNS 24
#define BAR_COLUMNS 28
#define GAP 2

static void write_bars(GString *out, const GArray *bars)
{
    double least = INFINITY, most = 0;
    gsize label_columns = 0;

    for (guint i = 0; i < bars->len; i++) {
        double value = g_array_index(bars, DuetReportBar, i).value;
        g_autofree char *label = duet_text_line(g_array_index(bars, DuetReportBar, i).label);
        label_columns = MAX(label_columns, MIN(duet_text_width(label), LABEL_COLUMNS));
        most = MAX(most, value);
        least = value > 0 ? MIN(least, value) : least;
    }
    /* On a linear scale the smaller would not be seen. */
    gboolean logarithmic = most > 100 * least;
    for (guint i = 0; i < bars->len; i++) {
        const DuetReportBar *bar = &g_array_index(bars, DuetReportBar, i);
        double share = logarithmic ? log10(MAX(bar->value, least) / least) / log10(most / least)
                                   : bar->value / most;
        int columns = most > 0 ? MAX(1, (int)lround(share * BAR_COLUMNS)) : 1;
        g_autofree char *label = duet_text_line(bar->label);
        g_string_append(out, "  ");
        duet_text_append_padded(out, label, label_columns);
        g_string_append_c(out, ' ');
        for (int c = 0; c < columns; c++)
            g_string_append_c(out, '#');
        g_string_append_printf(out, "%*s  %s\n", BAR_COLUMNS - columns, "", bar->text);
    }
    if (logarithmic)
        g_string_append_printf(out, "  %s\n", _("(bars grow with the logarithm)"));
}

static void write_figure(GString *out, const DuetReportFigure *figure)
{
    if (figure->bars->len == 0)
        return;
    g_string_append_c(out, '\n');
    duet_text_append_wrapped(out, "", "", figure->title);
    write_bars(out, figure->bars);
    duet_text_append_wrapped(out, "  ", "  ", figure->says);
}

/* Returns: whether all columns, as wide as they must be, fit beside each other. */
static gboolean measure(const DuetReportTable *table, gsize *widths)
{
    gsize all = 0, columns = strlen(table->align);

    for (gsize i = 0; i < columns; i++) {
        widths[i] = 0;
        for (guint r = 0; r < table->rows->len; r++) {
            g_autofree char *cell = duet_text_line(((char **)table->rows->pdata[r])[i]);
            widths[i] = MAX(widths[i], duet_text_width(cell));
        }
        all += widths[i] + (i > 0 ? GAP : 0);
    }
    return all <= DUET_TEXT_COLUMNS;
}

static void write_row(
    GString *out, const DuetReportTable *table, char *const *cells, const gsize *widths)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (guint i = 0; cells[i]; i++) {
        g_autofree char *cell = duet_text_line(cells[i]);
        if (i > 0)
            g_string_append_printf(line, "%*s", GAP, "");
        if (table->align[i] == 'r')
            duet_text_append_right(line, cell, widths[i]);
        else
            duet_text_append_padded(line, cell, widths[i]);
    }
    g_string_append_printf(out, "%s\n", g_strchomp(line->str));
}

/* What is too wide: each row as its cells, each with its column's name. */
static void write_record(GString *out, char *const *head, char *const *cells)
{
    for (guint i = 0; cells[i]; i++) {
        g_autofree char *cell = duet_text_line(cells[i]);
        g_autofree char *named = i == 0 ? g_strdup(cell) : g_strdup_printf("%s: %s", head[i], cell);
        if (*cell)
            duet_text_append_wrapped(out, i == 0 ? "" : "  ", i == 0 ? "  " : "    ", named);
    }
}

static void write_table(GString *out, const DuetReportTable *table)
{
    gsize widths[64] = { 0 };
    gboolean fits = strlen(table->align) <= G_N_ELEMENTS(widths) && measure(table, widths);

    g_string_append_c(out, '\n');
    duet_text_append_wrapped(out, "", "", table->caption);
    for (guint i = fits ? 0 : 1; i < table->rows->len; i++) {
        if (fits)
            write_row(out, table, table->rows->pdata[i], widths);
        else
            write_record(out, table->rows->pdata[0], table->rows->pdata[i]);
    }
}

/* A command over several lines, as a shell takes it. */
static void write_code(GString *out, const char *code)
{
    g_autofree char *line = duet_text_line(code);
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    gsize column = 2;
    guint quotes = 0;

    g_string_append(out, "  ");
    for (char **word = words; *word; word++) {
        gsize width = duet_text_width(*word);
        /* within quotes a line's end would be of the argument */
        if (word > words && quotes % 2 == 0 && column + width + 3 > DUET_TEXT_COLUMNS) {
            g_string_append(out, " \\\n    ");
            column = 4;
        } else if (word > words) {
            g_string_append_c(out, ' ');
            column++;
        }
        g_string_append(out, *word);
        for (const char *c = *word; *c; c++)
            quotes += *c == '\'';
        column += width;
    }
    g_string_append_c(out, '\n');
}

static void write_output(GString *out, const char *text)
{
    g_autofree char *printable = duet_text_printable(text, -1);
    g_auto(GStrv) lines = g_strsplit(printable, "\n", -1);

    for (char **line = lines; *line; line++)
        g_string_append_printf(out, "  %s\n", *line);
}

static void write_block(GString *out, const DuetReportBlock *block)
{
    switch (block->kind) {
    case DUET_BLOCK_TEXT:
        g_string_append_c(out, '\n');
        duet_text_append_wrapped(out, "", "", block->text);
        break;
    case DUET_BLOCK_LIST:
        for (guint i = 0; i < block->items->len; i++)
            duet_text_append_wrapped(out, "- ", "  ", block->items->pdata[i]);
        break;
    case DUET_BLOCK_CODE:
        write_code(out, block->text);
        break;
    case DUET_BLOCK_OUTPUT:
        write_output(out, block->text);
        break;
    case DUET_BLOCK_TABLE:
        write_table(out, block->table);
        break;
    case DUET_BLOCK_FIGURE:
        write_figure(out, block->figure);
        break;
    }
}

gboolean duet_report_write_text(
    const DuetReport *report, const char *pictures, const char *link, GString *out, GError **error)
{
    (void)pictures;
    (void)link;
    (void)error;
    duet_text_append_wrapped(out, "", "", report->title);
    if (report->lead && *report->lead)
        duet_text_append_wrapped(out, "", "", report->lead);
    for (guint i = 0; i < report->banners->len; i++) {
        g_autofree char *loud = g_strdup_printf("*** %s ***", (char *)report->banners->pdata[i]);
        duet_text_append_wrapped(out, "", "    ", loud);
    }
    for (guint i = 0; i < report->sections->len; i++) {
        const DuetReportSection *section = report->sections->pdata[i];
        g_autofree char *title = g_strdup_printf("== %s ==", section->title);
        g_string_append_c(out, '\n');
        duet_text_append_wrapped(out, "", "", title);
        for (guint k = 0; k < section->blocks->len; k++)
            write_block(out, section->blocks->pdata[k]);
    }
    return TRUE;
}
