/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetChart: a picture that gnuplot draws: one of the scripts in charts/, and what it is to draw.
 * Texts may come from anybody.
 * @id: its files' name ("boot-ecdf")
 * @script: name of a script in charts/, without its suffix
 * @head: (transfer full): assignments of gnuplot that come before the script
 * @data: (element-type DuetChartData): its files of numbers
 */
typedef struct {
    const char *script;
    char *id;
    GString *head;
    GPtrArray *data;
} DuetChart;

/** DuetChartData: @rows: lines of numbers with tabs between; see charts/README for its columns. */
typedef struct {
    char *name;
    GString *rows;
} DuetChartData;

/** DuetChartMedium: the files that are drawn of a chart: two on a page, for wide and narrow ones.
 */
typedef enum {
    DUET_CHART_PAGE,
    DUET_CHART_SVG,
    DUET_CHART_PDF,
    DUET_CHART_PNG,
} DuetChartMedium;

/** duet_chart_new: @script: a constant. */
DuetChart *duet_chart_new(const char *script, const char *id);
void duet_chart_free(DuetChart *chart);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetChart, duet_chart_free)

/* What a script finds as its variables. */
void duet_chart_set_number(DuetChart *chart, const char *name, double value);
void duet_chart_set_text(DuetChart *chart, const char *name, const char *text);
/** duet_chart_set_texts: as an array. @texts: (element-type utf8): at least one. */
void duet_chart_set_texts(DuetChart *chart, const char *name, const GPtrArray *texts);

/** duet_chart_data: a new file of numbers, whose path the script finds in a variable of that @name.
 * Returns: (transfer none): to append its rows to, by duet_chart_row(). */
GString *duet_chart_data(DuetChart *chart, const char *name);
/** duet_chart_row: @values: NAN is left out, as gnuplot wants missing ones. */
void duet_chart_row(GString *data, const double *values, gsize n);
#define DUET_CHART_ROW(data, ...)                                                                  \
    duet_chart_row((data), (const double[]){ __VA_ARGS__ },                                        \
        sizeof((const double[]){ __VA_ARGS__ }) / sizeof(double))

/** duet_chart_next_block: what follows is the next arm's. */
void duet_chart_next_block(GString *data);

/** duet_charts_can: Returns: %FALSE with %DUET_ERROR_UNSUPPORTED where there is no gnuplot. */
gboolean duet_charts_can(GError **error);

/**
 * duet_charts_draw: writes scripts, data and pictures to the directory @dir.
 * @charts: (element-type DuetChart)
 */
gboolean duet_charts_draw(
    const GPtrArray *charts, DuetChartMedium medium, const char *dir, GError **error);

/** duet_chart_suffix: Returns: of a picture's file (".svg"). */
const char *duet_chart_suffix(DuetChartMedium medium);

/** duet_chart_path: Returns: (transfer full): the picture's. @narrow: that for narrow pages. */
char *duet_chart_path(
    const DuetChart *chart, DuetChartMedium medium, gboolean narrow, const char *dir);

G_END_DECLS
