/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/text.h"
#include "write.h"

static void paragraph(GString *out, const char *before, const char *words, const char *after)
{
    g_autofree char *escaped = duet_text_markdown(words);

    g_string_append_printf(out, "%s%s%s", before, escaped, after);
}

static void write_figure(
    GString *out, const DuetReportFigure *figure, const char *pictures, const char *link)
{
    paragraph(out, "\n### ", figure->title, "\n\n");
    if (pictures && link) {
        g_autofree char *path = duet_chart_path(figure->chart, DUET_CHART_SVG, FALSE, link);
        g_autofree char *where = g_uri_escape_string(path, "/", FALSE);
        g_autofree char *title = duet_text_markdown(figure->title);
        g_string_append_printf(out, "![%s](%s)\n\n", title, where);
    }
    for (guint i = 0; i < figure->bars->len; i++) {
        const DuetReportBar *bar = &g_array_index(figure->bars, DuetReportBar, i);
        g_autofree char *row = g_strdup_printf("%s: %s", bar->label, bar->text);
        paragraph(out, "- ", row, "\n");
    }
    paragraph(out, figure->bars->len > 0 ? "\n" : "", figure->says, " ");
    paragraph(out, "", figure->how, "\n");
}

static void table_row(GString *out, char *const *cells)
{
    for (guint i = 0; cells[i]; i++)
        paragraph(out, "| ", cells[i], " ");
    g_string_append(out, "|\n");
}

static void write_table(GString *out, const DuetReportTable *table)
{
    paragraph(out, "\n", table->caption, "\n\n");
    table_row(out, table->rows->pdata[0]);
    for (const char *align = table->align; *align; align++)
        g_string_append(out, *align == 'r' ? "|--:" : "|---");
    g_string_append(out, "|\n");
    for (guint i = 1; i < table->rows->len; i++)
        table_row(out, table->rows->pdata[i]);
}

static void write_output(GString *out, const char *text)
{
    g_autofree char *printable = duet_text_printable(text, -1);
    g_auto(GStrv) lines = g_strsplit(printable, "\n", -1);

    g_string_append_c(out, '\n');
    for (char **line = lines; *line; line++)
        g_string_append_printf(out, "    %s\n", *line);
}

static void write_block(
    GString *out, const DuetReportBlock *block, const char *pictures, const char *link)
{
    switch (block->kind) {
    case DUET_BLOCK_TEXT:
        paragraph(out, "\n", block->text, "\n");
        break;
    case DUET_BLOCK_LIST:
        g_string_append_c(out, '\n');
        for (guint i = 0; i < block->items->len; i++)
            paragraph(out, "- ", block->items->pdata[i], "\n");
        break;
    case DUET_BLOCK_CODE: {
        g_autofree char *line = duet_text_line(block->text);
        g_string_append_printf(out, "\n    %s\n", line);
        break;
    }
    case DUET_BLOCK_OUTPUT:
        write_output(out, block->text);
        break;
    case DUET_BLOCK_TABLE:
        write_table(out, block->table);
        break;
    case DUET_BLOCK_FIGURE:
        write_figure(out, block->figure, pictures, link);
        break;
    }
}

gboolean duet_report_write_markdown(
    const DuetReport *report, const char *pictures, const char *link, GString *out, GError **error)
{
    (void)error;
    paragraph(out, "# ", report->title, "\n\n");
    if (report->lead && *report->lead)
        paragraph(out, "", report->lead, "\n\n");
    for (guint i = 0; i < report->banners->len; i++)
        paragraph(out, "> **", report->banners->pdata[i], "**\n\n");
    for (guint i = 0; i < report->sections->len; i++) {
        const DuetReportSection *section = report->sections->pdata[i];
        paragraph(out, "\n## ", section->title, "\n");
        for (guint k = 0; k < section->blocks->len; k++)
            write_block(out, section->blocks->pdata[k], pictures, link);
    }
    return TRUE;
}
