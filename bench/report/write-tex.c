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
    /* else arguments of a row's end or of an item */
    { '[', "{[}" },
    { ']', "{]}" },
    { '*', "{*}" },
    { '-', "{-}" }, /* two of them are no dash */
    { 0x3b4, "\\ensuremath{\\delta}" },
};

static void append(GString *out, const char *words)
{
    g_autofree char *line = duet_text_line(words);

    for (const char *c = line; *c; c = g_utf8_next_char(c)) {
        gunichar unicode = g_utf8_get_char(c);
        gsize i = 0;
        while (i < G_N_ELEMENTS(specials) && specials[i].c != unicode)
            i++;
        if (i < G_N_ELEMENTS(specials))
            g_string_append(out, specials[i].tex);
        else
            g_string_append_unichar(out, unicode);
    }
}

static void wrapped(GString *out, const char *before, const char *words, const char *after)
{
    g_string_append(out, before);
    append(out, words);
    g_string_append(out, after);
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
    append(out, figure->says);
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
        wrapped(out, "\n{\\raggedright\\ttfamily ", block->text, "\\par}\n");
        break;
    case DUET_BLOCK_TABLE:
        write_table(out, block->table);
        break;
    case DUET_BLOCK_FIGURE:
        write_figure(out, block->figure, pictures, link);
        break;
    }
}

gboolean duet_report_write_tex(
    const DuetReport *report, const char *pictures, const char *link, GString *out, GError **error)
{
    (void)error;
    g_string_append_printf(out,
        "\\documentclass[a4paper]{article}\n%s\\usepackage[T1]{fontenc}\n"
        "\\usepackage{textcomp}\n\\usepackage{booktabs}\n\\usepackage{graphicx}\n"
        "\\usepackage[margin=2.5cm]{geometry}\n\\begin{document}\n",
        g_str_equal(report->language, "ko") ? "\\usepackage{kotex}\n" : "");
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
    g_string_append(out, "\n\\end{document}\n");
    return TRUE;
}
