/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

#include "chart.h"

G_BEGIN_DECLS

/*
 * A report as what it says, before it has a format: sections of paragraphs, lists, tables and
 * figures. What a run has to say is put in by the files that know its benchmark (part-boot.c and so
 * on); how it looks is up to a #DuetReportWriter. Texts are plain: whoever writes them out escapes
 * them.
 */

typedef enum {
    DUET_BLOCK_TEXT,
    DUET_BLOCK_LIST,
    DUET_BLOCK_CODE,
    DUET_BLOCK_OUTPUT,
    DUET_BLOCK_TABLE,
    DUET_BLOCK_FIGURE,
} DuetBlockKind;

/**
 * DuetReportTable:
 * @caption: what it shows and in what unit
 * @align: a letter for each column: 'l' or 'r'
 * @rows: (element-type GStrv): the first one is the head
 */
typedef struct {
    char *caption;
    const char *align;
    GPtrArray *rows;
} DuetReportTable;

/** DuetReportBar: one row of the small chart that stands for a figure in text. */
typedef struct {
    char *label, *text;
    double value;
} DuetReportBar;

/**
 * DuetReportFigure:
 * @says: what it shows, in plain words
 * @how: how that was measured
 * @bars: (element-type DuetReportBar): the same for a terminal; empty: there is no such thing
 */
typedef struct {
    DuetChart *chart;
    char *title, *says, *how;
    GArray *bars;
} DuetReportFigure;

/** DuetReportBlock: one of its members, by @kind. @items: (element-type utf8). */
typedef struct {
    DuetBlockKind kind;
    char *text;
    GPtrArray *items;
    DuetReportTable *table;
    DuetReportFigure *figure;
} DuetReportBlock;

/** DuetReportSection: @id: for links. @blocks: (element-type DuetReportBlock). */
typedef struct {
    char *id, *title;
    GPtrArray *blocks;
} DuetReportSection;

/** DuetReportFile: raw data to take along. */
typedef struct {
    char *name;
    const char *type;
    GBytes *bytes;
} DuetReportFile;

/**
 * DuetReport:
 * @language: as in HTML's lang
 * @stamp: (nullable): a line that the figures which are added now have in them
 * @banners: (element-type utf8): what nobody may miss
 * @sections: (element-type DuetReportSection)
 * @files: (element-type DuetReportFile)
 * @colors: (element-type utf8 utf8): of each arm, by its name
 * @other_colors: how many arms had to take a colour that another one of their run has
 */
typedef struct {
    const char *language;
    const char *stamp;
    char *title, *lead;
    GPtrArray *banners, *sections, *files;
    GHashTable *colors;
    guint other_colors;
} DuetReport;

DuetReport *duet_report_new(const char *language, const char *title);
void duet_report_free(DuetReport *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetReport, duet_report_free)

/** duet_report_banner: if it has none of these words yet. */
void duet_report_banner(DuetReport *report, const char *text);

/** duet_report_section: begins the next one; what is added goes there. */
void duet_report_section(DuetReport *report, const char *id, const char *title);

void duet_report_text(DuetReport *report, const char *text);
/** duet_report_code: a command, which may be broken where a shell takes that. */
void duet_report_code(DuetReport *report, const char *text);
/** duet_report_output: what a program printed, line by line. */
void duet_report_output(DuetReport *report, const char *text);
/** duet_report_list: Returns: (transfer none) (element-type utf8): to add items to. */
GPtrArray *duet_report_list(DuetReport *report);

/** duet_report_table: its head follows as its first row. @align: a constant. */
DuetReportTable *duet_report_table(DuetReport *report, const char *caption, const char *align);
/**
 * duet_report_table_with: a table of as many columns as its head has.
 * @align: letters of the first ones; @rest: that of all others
 * @head: (transfer full) (element-type utf8)
 */
DuetReportTable *duet_report_table_with(
    DuetReport *report, const char *caption, const char *align, char rest, GPtrArray *head);
/** duet_report_row: as many cells as @table has columns; "" for one that is empty. */
void duet_report_row(DuetReportTable *table, ...);
/** duet_report_cells: the same. @cells: (transfer full) (element-type utf8). */
void duet_report_cells(DuetReportTable *table, GPtrArray *cells);

/** duet_report_figure: @chart: (transfer full). */
DuetReportFigure *duet_report_figure(
    DuetReport *report, DuetChart *chart, const char *title, const char *says, const char *how);
void duet_report_bar(DuetReportFigure *figure, const char *label, const char *text, double value);

/** duet_report_file: @bytes: (transfer full). @type: a constant. */
void duet_report_file(DuetReport *report, const char *name, const char *type, GBytes *bytes);

/** duet_report_charts: Returns: (transfer container) (element-type DuetChart): of all figures. */
GPtrArray *duet_report_charts(const DuetReport *report);

G_END_DECLS
