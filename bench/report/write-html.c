/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One file, without network and without script: page.html, with what each of its slots stands for.
 * All text goes through libxml2's writer, which escapes it: a name such as <script> is shown as
 * that. Pictures are in the page twice, drawn for wide and for narrow screens; the style shows one
 * of them.
 */
#include <gio/gio.h>
#include <libxml/parser.h>
#include <libxml/xmlwriter.h>

#include "bench/text.h"
#include "svg.h"
#include "bench/words.h"
#include "write.h"

#define STYLE "/org/duet/report/style.css"
#define TEMPLATE "/org/duet/report/page.html"
/* Coded at a time: a multiple of three, so that none but the last is padded. */
#define BASE64_BYTES (3u * 16384)

typedef struct {
    xmlTextWriter *xml;
    const char *pictures;
    guint tables;
    GError *error;
} Page;

static void start(Page *page, const char *name, const char *class)
{
    xmlTextWriterStartElement(page->xml, BAD_CAST name);
    if (class)
        xmlTextWriterWriteAttribute(page->xml, BAD_CAST "class", BAD_CAST class);
}

/* HTML has no <p/>. */
static void end(Page *page)
{
    xmlTextWriterFullEndElement(page->xml);
}

static void attribute(Page *page, const char *name, const char *value)
{
    g_autofree char *line = duet_text_line(value);

    xmlTextWriterWriteAttribute(page->xml, BAD_CAST name, BAD_CAST line);
}

static void text(Page *page, const char *words)
{
    g_autofree char *clean = duet_text_printable(words, -1);

    xmlTextWriterWriteString(page->xml, BAD_CAST clean);
}

static void element(Page *page, const char *name, const char *class, const char *words)
{
    start(page, name, class);
    text(page, words);
    end(page);
}

/* ---- figures ---- */

static void picture(Page *page, const DuetReportFigure *figure, gboolean narrow)
{
    g_autofree char *path = duet_chart_path(figure->chart, DUET_CHART_PAGE, narrow, page->pictures);
    g_autofree char *prefix = g_strconcat(figure->chart->id, narrow ? "-narrow-" : "-", NULL);
    xmlDoc *svg = page->error ? NULL : duet_svg_load(path, prefix, figure->title, &page->error);

    if (!svg)
        return;
    xmlBuffer *buffer = xmlBufferCreate();
    xmlNodeDump(buffer, svg, xmlDocGetRootElement(svg), 0, 0);
    start(page, "div", narrow ? "narrow" : "wide");
    xmlTextWriterWriteRaw(page->xml, xmlBufferContent(buffer));
    end(page);
    xmlBufferFree(buffer);
    xmlFreeDoc(svg);
}

static void write_figure(Page *page, const DuetReportFigure *figure)
{
    start(page, "figure", NULL);
    element(page, "h3", NULL, figure->title);
    if (page->pictures) {
        picture(page, figure, FALSE);
        picture(page, figure, TRUE);
    } else {
        element(page, "p", "missing", _("There was no gnuplot to draw this with."));
    }
    start(page, "figcaption", NULL);
    element(page, "p", NULL, figure->says);
    element(page, "p", "how", figure->how);
    end(page);
    end(page);
}

/* ---- tables ---- */

static void table_row(Page *page, const DuetReportTable *table, char *const *cells, gboolean head)
{
    start(page, "tr", NULL);
    for (guint i = 0; cells[i]; i++) {
        gboolean right = table->align[i] == 'r';
        /* An empty cell of the first column goes on with the row above it. */
        gboolean row_head = !head && i == 0 && *cells[i];
        start(page, head || row_head ? "th" : "td", right ? "number" : NULL);
        if (head || row_head)
            attribute(page, "scope", head ? "col" : "row");
        text(page, cells[i]);
        end(page);
    }
    end(page);
}

static void write_table(Page *page, const DuetReportTable *table)
{
    /* Two of one name could not be told apart by who hears the page. */
    g_autofree char *label = g_strdup_printf("%s (%u)", table->caption, ++page->tables);

    start(page, "div", "scroll");
    attribute(page, "role", "region");
    attribute(page, "tabindex", "0");
    attribute(page, "aria-label", label);
    start(page, "table", NULL);
    element(page, "caption", NULL, table->caption);
    start(page, "thead", NULL);
    table_row(page, table, table->rows->pdata[0], TRUE);
    end(page);
    start(page, "tbody", NULL);
    for (guint i = 1; i < table->rows->len; i++)
        table_row(page, table, table->rows->pdata[i], FALSE);
    end(page);
    end(page);
    end(page);
}

/* ---- the page ---- */

static void write_list(Page *page, const GPtrArray *items)
{
    start(page, "ul", NULL);
    for (guint i = 0; i < items->len; i++)
        element(page, "li", NULL, items->pdata[i]);
    end(page);
}

static void write_code(Page *page, const char *code)
{
    start(page, "pre", NULL);
    attribute(page, "tabindex", "0");
    element(page, "code", NULL, code);
    end(page);
}

static void write_block(Page *page, const DuetReportBlock *block)
{
    switch (block->kind) {
    case DUET_BLOCK_TEXT:
        element(page, "p", NULL, block->text);
        break;
    case DUET_BLOCK_LIST:
        write_list(page, block->items);
        break;
    case DUET_BLOCK_CODE:
    case DUET_BLOCK_OUTPUT:
        write_code(page, block->text);
        break;
    case DUET_BLOCK_TABLE:
        write_table(page, block->table);
        break;
    case DUET_BLOCK_FIGURE:
        write_figure(page, block->figure);
        break;
    }
}

static void write_section(Page *page, const DuetReportSection *section)
{
    start(page, "section", NULL);
    attribute(page, "id", section->id);
    element(page, "h2", NULL, section->title);
    for (guint i = 0; i < section->blocks->len; i++)
        write_block(page, section->blocks->pdata[i]);
    end(page);
}

/* libxml2's own way breaks the lines, which is no data URL. */
static void write_base64(Page *page, const guchar *bytes, gsize size)
{
    for (gsize at = 0; at < size; at += BASE64_BYTES) {
        g_autofree char *coded = g_base64_encode(bytes + at, MIN(BASE64_BYTES, size - at));
        xmlTextWriterWriteRaw(page->xml, BAD_CAST coded);
    }
}

static void write_files(Page *page, const DuetReport *report)
{
    if (report->files->len == 0)
        return;
    start(page, "section", "files");
    attribute(page, "id", "data");
    element(page, "h2", NULL, _("Raw data"));
    element(page, "p", NULL, _("All samples are in this page; take them along:"));
    start(page, "ul", NULL);
    for (guint i = 0; i < report->files->len; i++) {
        const DuetReportFile *file = report->files->pdata[i];
        gsize size = 0;
        const guchar *bytes = g_bytes_get_data(file->bytes, &size);
        start(page, "li", NULL);
        start(page, "a", NULL);
        attribute(page, "download", file->name);
        xmlTextWriterStartAttribute(page->xml, BAD_CAST "href");
        xmlTextWriterWriteFormatString(page->xml, "data:%s;base64,", file->type);
        write_base64(page, bytes, size);
        xmlTextWriterEndAttribute(page->xml);
        text(page, file->name);
        end(page);
        end(page);
    }
    end(page);
    end(page);
}

static void write_contents(Page *page, const DuetReport *report)
{
    start(page, "nav", NULL);
    attribute(page, "aria-label", _("Contents"));
    start(page, "ul", NULL);
    for (guint i = 0; i < report->sections->len; i++) {
        const DuetReportSection *section = report->sections->pdata[i];
        g_autofree char *link = g_strconcat("#", section->id, NULL);
        start(page, "li", NULL);
        start(page, "a", NULL);
        attribute(page, "href", link);
        text(page, section->title);
        end(page);
        end(page);
    }
    end(page);
    end(page);
}

static void write_title(Page *page, const DuetReport *report)
{
    text(page, report->title);
}

static void write_style(Page *page, const DuetReport *report)
{
    g_autoptr(GBytes) style = g_resources_lookup_data(STYLE, 0, NULL);

    (void)report;
    g_assert(style);
    xmlTextWriterWriteRawLen(
        page->xml, g_bytes_get_data(style, NULL), (int)g_bytes_get_size(style));
}

static void write_lead(Page *page, const DuetReport *report)
{
    if (report->lead)
        element(page, "p", "lead", report->lead);
}

static void write_banners(Page *page, const DuetReport *report)
{
    for (guint i = 0; i < report->banners->len; i++)
        element(page, "p", "banner", report->banners->pdata[i]);
}

static void write_sections(Page *page, const DuetReport *report)
{
    for (guint i = 0; i < report->sections->len; i++)
        write_section(page, report->sections->pdata[i]);
}

/* ---- the template ---- */

static const struct {
    const char *name;
    void (*write)(Page *page, const DuetReport *report);
} slots[] = {
    { "title", write_title },
    { "style", write_style },
    { "lead", write_lead },
    { "banners", write_banners },
    { "contents", write_contents },
    { "sections", write_sections },
    { "files", write_files },
};

static void write_slot(Page *page, const DuetReport *report, const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(slots); i++) {
        if (g_str_equal(slots[i].name, name))
            slots[i].write(page, report);
    }
}

static void write_nodes(Page *page, const DuetReport *report, const xmlNode *first);

static void write_element(Page *page, const DuetReport *report, const xmlNode *node)
{
    xmlTextWriterStartElement(page->xml, node->name);
    if (xmlStrEqual(node->name, BAD_CAST "html"))
        attribute(page, "lang", report->language);
    for (const xmlAttr *of = node->properties; of; of = of->next)
        xmlTextWriterWriteAttribute(page->xml, of->name, of->children->content);
    write_nodes(page, report, node->children);
    if (node->children)
        end(page);
    else
        xmlTextWriterEndElement(page->xml);
}

static void write_nodes(Page *page, const DuetReport *report, const xmlNode *first)
{
    for (const xmlNode *node = first; node; node = node->next) {
        if (node->type == XML_ELEMENT_NODE)
            write_element(page, report, node);
        else if (node->type == XML_TEXT_NODE)
            xmlTextWriterWriteString(page->xml, node->content);
        else if (node->type == XML_PI_NODE)
            write_slot(page, report, (const char *)node->content);
    }
}

static void write_page(Page *page, const DuetReport *report)
{
    g_autoptr(GBytes) template = g_resources_lookup_data(TEMPLATE, 0, NULL);
    gsize size = 0;
    const char *bytes = template ? g_bytes_get_data(template, &size) : NULL;
    xmlDoc *document = xmlReadMemory(bytes, (int)size, "page.html", NULL, XML_PARSE_NONET);

    g_assert(document);
    xmlTextWriterWriteDTD(page->xml, BAD_CAST "html", NULL, NULL, NULL);
    xmlTextWriterWriteString(page->xml, BAD_CAST "\n");
    write_element(page, report, xmlDocGetRootElement(document));
    xmlFreeDoc(document);
}

static int append(void *out, const char *text, int length)
{
    g_string_append_len(out, text, length);
    return length;
}

gboolean duet_report_write_html(
    const DuetReport *report, const char *pictures, const char *link, GString *out, GError **error)
{
    xmlOutputBuffer *buffer = xmlOutputBufferCreateIO(append, NULL, out, NULL);
    Page page = { .xml = xmlNewTextWriter(buffer), .pictures = pictures };

    (void)link;
    write_page(&page, report);
    xmlTextWriterEndDocument(page.xml);
    xmlFreeTextWriter(page.xml);
    if (page.error)
        g_propagate_error(error, page.error);
    return !page.error;
}
