/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "chart.h"

#include <gio/gio.h>
#include <math.h>
#include <string.h>

#include <duet/error.h>

#include "core/text.h"

#define TEXT_MAX 400
#define RESOURCES "/org/duet/report/charts"

static const struct {
    const char *name, *suffix;
} media[] = {
    [DUET_CHART_PAGE] = { "page", ".svg" },
    [DUET_CHART_SVG] = { "svg", ".svg" },
    [DUET_CHART_PDF] = { "pdf", ".pdf" },
    [DUET_CHART_PNG] = { "png", ".png" },
};

static void data_free(gpointer data)
{
    DuetChartData *file = data;

    g_free(file->name);
    g_string_free(file->rows, TRUE);
    g_free(file);
}

DuetChart *duet_chart_new(const char *script, const char *id)
{
    DuetChart *chart = g_new0(DuetChart, 1);

    chart->script = script;
    chart->id = g_strdup(id);
    chart->head = g_string_new(NULL);
    chart->data = g_ptr_array_new_with_free_func(data_free);
    return chart;
}

void duet_chart_free(DuetChart *chart)
{
    if (!chart)
        return;
    g_free(chart->id);
    g_string_free(chart->head, TRUE);
    g_ptr_array_unref(chart->data);
    g_free(chart);
}

/* Between single quotes gnuplot knows one special character, the quote itself, and in arrays not
 * even how it is written there: it becomes a typographic one, and so does what a shell would obey,
 * and what ends "]]>", which is no XML and which gnuplot writes as it is. */
static void append_quoted(GString *out, const char *text)
{
    g_autofree char *whole = duet_text_line(text);
    /* gnuplot measures letter by letter, and no picture has room for more */
    g_autofree char *line = g_utf8_strlen(whole, -1) > TEXT_MAX
        ? g_utf8_substring(whole, 0, TEXT_MAX)
        : g_strdup(whole);

    g_string_append_c(out, '\'');
    for (const char *c = line; *c; c++) {
        if (*c == '\'' || *c == '`')
            g_string_append(out, *c == '`' ? "\u2018" : "\u2019");
        else if (*c == '>' && g_str_has_suffix(out->str, "]]"))
            g_string_append(out, "\u203a");
        else
            g_string_append_c(out, *c);
    }
    g_string_append_c(out, '\'');
}

static void append_number(GString *out, double value)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    g_string_append(
        out, isfinite(value) ? g_ascii_formatd(text, sizeof text, "%.9g", value) : "NaN");
}

void duet_chart_set_number(DuetChart *chart, const char *name, double value)
{
    g_string_append_printf(chart->head, "%s = ", name);
    append_number(chart->head, value);
    g_string_append_c(chart->head, '\n');
}

void duet_chart_set_text(DuetChart *chart, const char *name, const char *text)
{
    g_string_append_printf(chart->head, "%s = ", name);
    append_quoted(chart->head, text);
    g_string_append_c(chart->head, '\n');
}

void duet_chart_set_texts(DuetChart *chart, const char *name, const GPtrArray *texts)
{
    g_string_append_printf(chart->head, "array %s[%u] = [", name, texts->len);
    for (guint i = 0; i < texts->len; i++) {
        g_string_append(chart->head, i > 0 ? ", " : "");
        append_quoted(chart->head, texts->pdata[i]);
    }
    g_string_append(chart->head, "]\n");
}

GString *duet_chart_data(DuetChart *chart, const char *name)
{
    DuetChartData *file = g_new0(DuetChartData, 1);

    file->name = g_strdup_printf("%s-%s.tsv", chart->id, name);
    file->rows = g_string_new(NULL);
    g_ptr_array_add(chart->data, file);
    duet_chart_set_text(chart, name, file->name);
    return file->rows;
}

void duet_chart_row(GString *data, const double *values, gsize n)
{
    for (gsize i = 0; i < n; i++) {
        if (i > 0)
            g_string_append_c(data, '\t');
        append_number(data, values[i]);
    }
    g_string_append_c(data, '\n');
}

void duet_chart_next_block(GString *data)
{
    g_string_append(data, "\n\n");
}

gboolean duet_charts_can(GError **error)
{
    g_autofree char *path = g_find_program_in_path("gnuplot");

    if (path)
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "there is no gnuplot to draw the charts with; install gnuplot-nox");
    return FALSE;
}

const char *duet_chart_suffix(DuetChartMedium medium)
{
    return media[medium].suffix;
}

char *duet_chart_path(
    const DuetChart *chart, DuetChartMedium medium, gboolean narrow, const char *dir)
{
    g_autofree char *name =
        g_strconcat(chart->id, narrow ? "-narrow" : "", media[medium].suffix, NULL);

    return g_build_filename(dir, name, NULL);
}

static gboolean write_file(
    const char *dir, const char *name, const char *text, gssize length, GError **error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autoptr(GError) why = NULL;

    if (g_file_set_contents_full(path, text, length, G_FILE_SET_CONTENTS_NONE, 0644, &why))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "%s", why->message);
    return FALSE;
}

/* The scripts of charts/ as they are, so that people can change them. */
static gboolean write_script(const char *dir, const char *script, GError **error)
{
    g_autofree char *name = g_strconcat(script, ".gnuplot", NULL);
    g_autofree char *resource = g_strconcat(RESOURCES "/", name, NULL);
    g_autoptr(GBytes) text = g_resources_lookup_data(resource, 0, NULL);
    gsize size = 0;

    g_assert(text);
    const char *start = g_bytes_get_data(text, &size);
    return write_file(dir, name, start, (gssize)size, error);
}

static gboolean write_chart(const DuetChart *chart, const char *dir, GError **error)
{
    g_autofree char *name = g_strconcat(chart->id, ".gnuplot", NULL);
    g_autofree char *text = g_strdup_printf("# Drawn again by: gnuplot %s\n"
                                            "# or: gnuplot -e \"medium='pdf'\" %s\n"
                                            "if (!exists('medium')) medium = 'svg'\n"
                                            "id = '%s'\n%sload '%s.gnuplot'\n",
        name, name, chart->id, chart->head->str, chart->script);

    for (guint i = 0; i < chart->data->len; i++) {
        const DuetChartData *file = chart->data->pdata[i];
        if (!write_file(dir, file->name, file->rows->str, (gssize)file->rows->len, error))
            return FALSE;
    }
    return write_script(dir, chart->script, error) && write_file(dir, name, text, -1, error);
}

/* Returns: (transfer full): gnuplot at work. */
static GSubprocess *start(
    const DuetChart *chart, const char *medium, const char *dir, GError **error)
{
    g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(
        G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
    g_autofree char *name = g_strconcat(chart->id, ".gnuplot", NULL);
    g_autofree char *set = g_strdup_printf("medium = '%s'", medium);
    const char *argv[] = { "gnuplot", "--default-settings", "-e", set, name, NULL };

    g_subprocess_launcher_set_cwd(launcher, dir);
    return g_subprocess_launcher_spawnv(launcher, argv, error);
}

static gboolean finish(const DuetChart *chart, GSubprocess *gnuplot, GError **error)
{
    g_autofree char *said = NULL;

    if (!g_subprocess_communicate_utf8(gnuplot, NULL, NULL, NULL, &said, error))
        return FALSE;
    if (g_subprocess_get_successful(gnuplot))
        return TRUE;
    g_autofree char *line = duet_text_line(g_strstrip(said));
    g_set_error(
        error, DUET_ERROR, DUET_ERROR_FAILED, "gnuplot could not draw '%s': %s", chart->id, line);
    return FALSE;
}

/* A page has two pictures of each, and most hosts two CPUs. */
static gboolean draw(
    const DuetChart *chart, DuetChartMedium medium, const char *dir, GError **error)
{
    g_autoptr(GError) failure = NULL;
    g_autoptr(GSubprocess) wide = start(chart, media[medium].name, dir, &failure);
    g_autoptr(GSubprocess) narrow =
        wide && medium == DUET_CHART_PAGE ? start(chart, "page-narrow", dir, &failure) : NULL;

    if (wide)
        finish(chart, wide, failure ? NULL : &failure);
    if (narrow)
        finish(chart, narrow, failure ? NULL : &failure);
    if (!failure)
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, failure->message);
    return FALSE;
}

gboolean duet_charts_draw(
    const GPtrArray *charts, DuetChartMedium medium, const char *dir, GError **error)
{
    if (!duet_charts_can(error) || !write_script(dir, "style", error))
        return FALSE;
    for (guint i = 0; i < charts->len; i++) {
        const DuetChart *chart = charts->pdata[i];
        if (!write_chart(chart, dir, error) || !draw(chart, medium, dir, error))
            return FALSE;
    }
    return TRUE;
}
