/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

#include <string.h>

static void table_free(DuetReportTable *table)
{
    if (!table)
        return;
    g_free(table->caption);
    g_ptr_array_unref(table->rows);
    g_free(table);
}

static void bar_clear(gpointer data)
{
    DuetReportBar *bar = data;

    g_free(bar->label);
    g_free(bar->text);
}

static void figure_free(DuetReportFigure *figure)
{
    if (!figure)
        return;
    duet_chart_free(figure->chart);
    g_free(figure->title);
    g_free(figure->says);
    g_free(figure->how);
    g_array_unref(figure->bars);
    g_free(figure);
}

static void block_free(gpointer data)
{
    DuetReportBlock *block = data;

    g_free(block->text);
    g_clear_pointer(&block->items, g_ptr_array_unref);
    table_free(block->table);
    figure_free(block->figure);
    g_free(block);
}

static void section_free(gpointer data)
{
    DuetReportSection *section = data;

    g_free(section->id);
    g_free(section->title);
    g_ptr_array_unref(section->blocks);
    g_free(section);
}

static void file_free(gpointer data)
{
    DuetReportFile *file = data;

    g_free(file->name);
    g_bytes_unref(file->bytes);
    g_free(file);
}

DuetReport *duet_report_new(const char *language, const char *title)
{
    DuetReport *report = g_new0(DuetReport, 1);

    report->language = language;
    report->title = g_strdup(title);
    report->banners = g_ptr_array_new_with_free_func(g_free);
    report->sections = g_ptr_array_new_with_free_func(section_free);
    report->files = g_ptr_array_new_with_free_func(file_free);
    report->colors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    return report;
}

void duet_report_free(DuetReport *report)
{
    if (!report)
        return;
    g_free(report->title);
    g_free(report->lead);
    g_ptr_array_unref(report->banners);
    g_ptr_array_unref(report->sections);
    g_ptr_array_unref(report->files);
    g_hash_table_unref(report->colors);
    g_free(report);
}

void duet_report_banner(DuetReport *report, const char *text)
{
    if (!g_ptr_array_find_with_equal_func(report->banners, text, g_str_equal, NULL))
        g_ptr_array_add(report->banners, g_strdup(text));
}

void duet_report_section(DuetReport *report, const char *id, const char *title)
{
    DuetReportSection *section = g_new0(DuetReportSection, 1);

    section->id = g_strdup(id);
    section->title = g_strdup(title);
    section->blocks = g_ptr_array_new_with_free_func(block_free);
    g_ptr_array_add(report->sections, section);
}

static DuetReportBlock *add_block(DuetReport *report, DuetBlockKind kind)
{
    DuetReportSection *section = report->sections->pdata[report->sections->len - 1];
    DuetReportBlock *block = g_new0(DuetReportBlock, 1);

    block->kind = kind;
    g_ptr_array_add(section->blocks, block);
    return block;
}

void duet_report_text(DuetReport *report, const char *text)
{
    add_block(report, DUET_BLOCK_TEXT)->text = g_strdup(text);
}

void duet_report_code(DuetReport *report, const char *text)
{
    add_block(report, DUET_BLOCK_CODE)->text = g_strdup(text);
}

void duet_report_output(DuetReport *report, const char *text)
{
    add_block(report, DUET_BLOCK_OUTPUT)->text = g_strdup(text);
}

GPtrArray *duet_report_list(DuetReport *report)
{
    DuetReportBlock *block = add_block(report, DUET_BLOCK_LIST);

    block->items = g_ptr_array_new_with_free_func(g_free);
    return block->items;
}

DuetReportTable *duet_report_table(DuetReport *report, const char *caption, const char *align)
{
    DuetReportTable *table = g_new0(DuetReportTable, 1);

    table->caption = g_strdup(caption);
    table->align = align;
    table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    add_block(report, DUET_BLOCK_TABLE)->table = table;
    return table;
}

void duet_report_row(DuetReportTable *table, ...)
{
    gsize columns = strlen(table->align);
    char **cells = g_new0(char *, columns + 1);
    va_list args;

    va_start(args, table);
    for (gsize i = 0; i < columns; i++)
        cells[i] = g_strdup(va_arg(args, const char *));
    va_end(args);
    g_ptr_array_add(table->rows, cells);
}

void duet_report_cells(DuetReportTable *table, GPtrArray *cells)
{
    g_ptr_array_set_free_func(cells, NULL);
    g_ptr_array_add(cells, NULL);
    g_ptr_array_add(table->rows, g_ptr_array_free(cells, FALSE));
}

DuetReportTable *duet_report_table_with(
    DuetReport *report, const char *caption, const char *align, char rest, GPtrArray *head)
{
    g_autofree char *others = g_strnfill(head->len - strlen(align), rest);
    g_autofree char *all = g_strconcat(align, others, NULL);
    DuetReportTable *table = duet_report_table(report, caption, g_intern_string(all));

    duet_report_cells(table, head);
    return table;
}

DuetReportFigure *duet_report_figure(
    DuetReport *report, DuetChart *chart, const char *title, const char *says, const char *how)
{
    DuetReportFigure *figure = g_new0(DuetReportFigure, 1);

    figure->chart = chart;
    if (report->stamp)
        duet_chart_set_text(chart, "stamp", report->stamp);
    figure->title = g_strdup(title);
    figure->says = g_strdup(says);
    figure->how = g_strdup(how);
    figure->bars = g_array_new(FALSE, FALSE, sizeof(DuetReportBar));
    g_array_set_clear_func(figure->bars, bar_clear);
    add_block(report, DUET_BLOCK_FIGURE)->figure = figure;
    return figure;
}

void duet_report_bar(DuetReportFigure *figure, const char *label, const char *text, double value)
{
    DuetReportBar bar = { g_strdup(label), g_strdup(text), value };

    g_array_append_val(figure->bars, bar);
}

void duet_report_file(DuetReport *report, const char *name, const char *type, GBytes *bytes)
{
    DuetReportFile *file = g_new0(DuetReportFile, 1);

    file->name = g_strdup(name);
    file->type = type;
    file->bytes = bytes;
    g_ptr_array_add(report->files, file);
}

GPtrArray *duet_report_charts(const DuetReport *report)
{
    GPtrArray *charts = g_ptr_array_new();

    for (guint i = 0; i < report->sections->len; i++) {
        const DuetReportSection *section = report->sections->pdata[i];
        for (guint j = 0; j < section->blocks->len; j++) {
            const DuetReportBlock *block = section->blocks->pdata[j];
            if (block->kind == DUET_BLOCK_FIGURE)
                g_ptr_array_add(charts, block->figure->chart);
        }
    }
    return charts;
}
