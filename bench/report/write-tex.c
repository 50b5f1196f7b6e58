/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For papers: figures and tables with booktabs, each of which can be taken out as it is. */
#include "bench/text.h"
#include "write.h"

/* Characters that TeX does not take as they are. */
static const struct {
    gunichar c;
    const char *tex;
} specials[] = {
    { '\\', "\\textbackslash{}" },
    { '{', "\\{" },
    { '}', "\\}" },
    { '$', "\\$" },
    { '&', "\\&" },
    { '#', "\\#" },
    { '%', "\\%" },
    { '_', "\\_" },
    { '^', "\\textasciicircum{}" },
    { '~', "\\textasciitilde{}" },
    { '<', "\\textless{}" },
    { '>', "\\textgreater{}" },
    { '|', "\\textbar{}" },
    { '"', "\\textquotedbl{}" },
    { '`', "\\textasciigrave{}" },
    /* else arguments of a row's end or of an item */
    { '[', "{[}" },
    { ']', "{]}" },
    { '*', "{*}" },
    { '-', "{-}" }, /* two of them are no dash */
    { 0x3b4, "\\ensuremath{\\delta}" },
};

/* What pdfLaTeX has letters for: Latin but for some, some more, and with kotex Hangul. */
#define LATIN_END 0x180
static const gunichar more[] = { 0x2013, 0x2014, 0x2018, 0x2019, 0x201c, 0x201d, 0x2026, 0 };
static const gunichar lacking[] = { 0x126, 0x127, 0x138, 0x13f, 0x140, 0x149, 0x166, 0x167, 0x17f,
    0 };

static gboolean is_among(gunichar c, const gunichar *set)
{
    while (*set && *set != c)
        set++;
    return *set != 0;
}

static gboolean is_hangul(gunichar c)
{
    return g_unichar_get_script(c) == G_UNICODE_SCRIPT_HANGUL;
}

static gboolean has_letter(gunichar c)
{
    return (c < LATIN_END && !is_among(c, lacking)) || is_among(c, more) || is_hangul(c);
}

/* @typed: it can be copied into a terminal, where no quote is a curly one. */
static void append(GString *out, const char *words, gboolean typed)
{
    g_autofree char *line = duet_text_line(words);

    for (const char *c = line; *c; c = g_utf8_next_char(c)) {
        gunichar unicode = g_utf8_get_char(c);
        gsize i = 0;
        while (i < G_N_ELEMENTS(specials) && specials[i].c != unicode)
            i++;
        if (i < G_N_ELEMENTS(specials))
            g_string_append(out, specials[i].tex);
        else if (typed && unicode == '\'')
            g_string_append(out, "\\textquotesingle{}");
        else if (has_letter(unicode))
            g_string_append_unichar(out, unicode);
        else
            g_string_append_printf(out, "\\texttt{U+%04X}", unicode);
    }
}

static void wrapped(GString *out, const char *before, const char *words, const char *after)
{
    g_string_append(out, before);
    append(out, words, FALSE);
    g_string_append(out, after);
}

static void write_typed(GString *out, const char *font, const char *words)
{
    g_string_append_printf(out, "{\\raggedright\\ttfamily%s ", font);
    append(out, words, TRUE);
    g_string_append(out, "\\par}\n");
}

static void write_figure(
    GString *out, const DuetReportFigure *figure, const char *pictures, const char *link)
{
    if (!pictures || !link)
        return;
    g_autofree char *path = duet_chart_path(figure->chart, DUET_CHART_PDF, FALSE, link);
    g_string_append_printf(out,
        "\n\\begin{figure}\n  \\centering\n  "
        "\\includegraphics[width=\\linewidth]{\\detokenize{%s}}\n",
        path);
    wrapped(out, "  \\caption{", figure->title, ". ");
    append(out, figure->says, FALSE);
    wrapped(out, " ", figure->how, "}\n");
    g_string_append_printf(out, "  \\label{fig:%s}\n\\end{figure}\n", figure->chart->id);
}

static void table_row(GString *out, char *const *cells)
{
    for (guint i = 0; cells[i]; i++)
        wrapped(out, i > 0 ? " & " : "  ", cells[i], "");
    g_string_append(out, " \\\\\n");
}

static void write_table(GString *out, const DuetReportTable *table)
{
    g_string_append(out, "\n\\begin{table}\n  \\centering\n");
    wrapped(out, "  \\caption{", table->caption, "}\n");
    g_string_append_printf(out,
        "  \\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%%\n"
        "  \\begin{tabular}{%s}\n  \\toprule\n",
        table->align);
    table_row(out, table->rows->pdata[0]);
    g_string_append(out, "  \\midrule\n");
    for (guint i = 1; i < table->rows->len; i++)
        table_row(out, table->rows->pdata[i]);
    g_string_append(out, "  \\bottomrule\n  \\end{tabular}}\n\\end{table}\n");
}

static void write_output(GString *out, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    g_string_append_c(out, '\n');
    for (char **line = lines; *line; line++)
        write_typed(out, "\\obeyspaces", *line);
}

static void write_block(
    GString *out, const DuetReportBlock *block, const char *pictures, const char *link)
{
    switch (block->kind) {
    case DUET_BLOCK_TEXT:
        wrapped(out, "\n", block->text, "\n");
        break;
    case DUET_BLOCK_LIST:
        g_string_append(out, "\n\\begin{itemize}\n");
        for (guint i = 0; i < block->items->len; i++)
            wrapped(out, "  \\item ", block->items->pdata[i], "\n");
        g_string_append(out, "\\end{itemize}\n");
        break;
    case DUET_BLOCK_CODE:
        g_string_append_c(out, '\n');
        write_typed(out, "", block->text);
        break;
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

static void write_body(
    GString *out, const DuetReport *report, const char *pictures, const char *link)
{
    wrapped(out, "\\title{", report->title, "}\n\\date{}\n\\maketitle\n");
    for (guint i = 0; i < report->banners->len; i++)
        wrapped(out, "\n\\noindent\\fbox{\\parbox{\\linewidth}{\\bfseries ",
            report->banners->pdata[i], "}}\n");
    for (guint i = 0; i < report->sections->len; i++) {
        const DuetReportSection *section = report->sections->pdata[i];
        wrapped(out, "\n\\section{", section->title, "}\n");
        for (guint k = 0; k < section->blocks->len; k++)
            write_block(out, section->blocks->pdata[k], pictures, link);
    }
}

static gboolean has_hangul(const char *text)
{
    while (*text && !is_hangul(g_utf8_get_char(text)))
        text = g_utf8_next_char(text);
    return *text != '\0';
}

gboolean duet_report_write_tex(
    const DuetReport *report, const char *pictures, const char *link, GString *out, GError **error)
{
    g_autoptr(GString) body = g_string_new(NULL);

    (void)error;
    write_body(body, report, pictures, link);
    /* Without Latin Modern, T1 has bitmaps for letters. */
    g_string_append_printf(out,
        "\\documentclass[a4paper]{article}\n%s\\usepackage[T1]{fontenc}\n"
        "\\IfFileExists{lmodern.sty}{\\usepackage{lmodern}}{}\n"
        "\\usepackage{textcomp}\n\\usepackage{booktabs}\n\\usepackage{graphicx}\n"
        "\\usepackage[margin=2.5cm]{geometry}\n\\newcommand{\\apostrophe}{'}\n\\begin{document}\n%"
        "s\n\\end{document}\n",
        has_hangul(body->str) ? "\\usepackage{kotex}\n" : "", body->str);
    return TRUE;
}
