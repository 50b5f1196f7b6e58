/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "svg.h"

#include <libxml/parser.h>
#include <stdio.h>
#include <string.h>

#include <duet/error.h>

#define SVG_NS "http://www.w3.org/2000/svg"

/* The colours of charts/style.gnuplot, and the names that gnuplot itself gives to some. */
static const struct {
    guint rgb;
    const char *variable;
} colors[] = {
    { 0x222222, "ink" },
    { 0x000000, "ink" },
    { 0x595959, "soft" },
    { 0x8a8a8a, "axis" },
    { 0xdedede, "grid" },
    { 0xffffff, "paper" },
    { 0x0072b2, "c-vm" },
    { 0xd55e00, "c-container" },
    { 0x009e73, "c-native" },
    { 0xcc79a7, "c-peer1" },
    { 0xe69f00, "c-peer2" },
    { 0x56b4e9, "c-peer3" },
    { 0x666666, "c-peer4" },
    { 0x77aadd, "c-part1" },
    { 0xee8866, "c-part2" },
    { 0xeedd88, "c-part3" },
    { 0x44bb99, "c-part4" },
    { 0xffaabb, "c-part5" },
    { 0x99ddff, "c-part6" },
    { 0xbbcc33, "c-part7" },
    { 0xaaaa00, "c-part8" },
    { 0xdddddd, "c-part9" },
    { 0x111111, "on-part" },
};

static const struct {
    const char *name;
    guint rgb;
} named_colors[] = {
    { "black", 0x000000 },
    { "white", 0xffffff },
    { "gray", 0xdedede },
};

/* All that gnuplot draws with; its filters are for boxes around texts, which no chart has. */
static const char *const elements[] = { "svg", "g", "defs", "pattern", "path", "polygon",
    "polyline", "rect", "circle", "ellipse", "line", "use", "text", "tspan", NULL };

static const char *const attributes[] = { "x", "y", "width", "height", "r", "rx", "ry", "cx", "cy",
    "x1", "y1", "x2", "y2", "d", "points", "transform", "opacity", "fill-opacity", "fill-rule",
    "stroke-opacity", "stroke-width", "stroke-linecap", "stroke-linejoin", "stroke-dasharray",
    "font-size", "font-style", "font-weight", "text-anchor", "patternUnits", "shape-rendering",
    NULL };

static const char *const paints[] = { "fill", "stroke", "color", NULL };

/* What one picture's copy is made with. @used: (element-type utf8 utf8): ids that it refers to. */
typedef struct {
    xmlDoc *document;
    xmlNs *ns;
    const char *prefix;
    GHashTable *used;
} Copy;

static const char *name_of(const xmlNode *node)
{
    return (const char *)node->name;
}

static gboolean is_drawn(const xmlNode *node)
{
    return node->type == XML_ELEMENT_NODE && node->ns &&
        strcmp((const char *)node->ns->href, SVG_NS) == 0 &&
        g_strv_contains(elements, name_of(node));
}

static gboolean is_named(const xmlNode *node, const char *name)
{
    return is_drawn(node) && strcmp(name_of(node), name) == 0;
}

/* Returns: (transfer full) (nullable). Of any namespace: xlink:href is a "href". */
static char *value_of(xmlNode *node, const char *name)
{
    xmlChar *value = xmlGetProp(node, (const xmlChar *)name);
    char *copy = g_strdup((const char *)value);

    xmlFree(value);
    return copy;
}

static void set(xmlNode *node, const char *name, const char *value)
{
    xmlNewProp(node, (const xmlChar *)name, (const xmlChar *)value);
}

/* Returns: (transfer full) (nullable): the id in "#id", or in "url(#id)". */
static char *id_of_link(const char *value)
{
    const char *id = value && *value == '#' ? value + 1 : NULL;

    return id && *id && strlen(id) == strspn(id, G_CSET_a_2_z G_CSET_A_2_Z G_CSET_DIGITS "_-.")
        ? g_strdup(id)
        : NULL;
}

static char *id_of_url(const char *value)
{
    g_autofree char *link = NULL;

    if (!g_str_has_prefix(value, "url(") || !g_str_has_suffix(value, ")"))
        return NULL;
    link = g_strndup(value + 4, strlen(value) - 5);
    return id_of_link(link);
}

static gboolean color_parse(const char *value, guint *out_rgb)
{
    guint red, green, blue;
    int end = 0;

    for (gsize i = 0; i < G_N_ELEMENTS(named_colors); i++)
        if (strcmp(value, named_colors[i].name) == 0) {
            *out_rgb = named_colors[i].rgb;
            return TRUE;
        }
    if ((sscanf(value, "rgb(%3u ,%3u ,%3u )%n", &red, &green, &blue, &end) != 3 &&
            sscanf(value, "#%2x%2x%2x%n", &red, &green, &blue, &end) != 3) ||
        end == 0 || value[end] || red > 255 || green > 255 || blue > 255)
        return FALSE;
    *out_rgb = red << 16 | green << 8 | blue;
    return TRUE;
}

/* As a declaration of CSS, for presentation attributes have no variables. */
static void append_color(GString *style, const char *property, guint rgb)
{
    if (style->len > 0)
        g_string_append_c(style, ';');
    for (gsize i = 0; i < G_N_ELEMENTS(colors); i++)
        if (colors[i].rgb == rgb) {
            g_string_append_printf(style, "%s:var(--%s,#%06x)", property, colors[i].variable, rgb);
            return;
        }
    g_string_append_printf(style, "%s:#%06x", property, rgb);
}

/* What else a paint may be goes into @to as it is; that of a foreign kind is left out. */
static void copy_paint(
    const Copy *copy, xmlNode *to, GString *style, const char *property, const char *value)
{
    g_autofree char *trimmed = g_strstrip(g_strdup(value));
    g_autofree char *id = id_of_url(trimmed);
    guint rgb;

    if (color_parse(trimmed, &rgb)) {
        append_color(style, property, rgb);
    } else if (id) {
        g_autofree char *url = g_strdup_printf("url(#%s%s)", copy->prefix, id);
        set(to, property, url);
    } else if (strcmp(trimmed, "none") == 0 || strcmp(trimmed, "currentColor") == 0) {
        set(to, property, trimmed);
    }
}

/* gnuplot has paints as attributes, but in patterns as declarations: "fill:none; stroke:...". */
static void copy_declarations(const Copy *copy, xmlNode *to, GString *style, const char *text)
{
    g_auto(GStrv) declarations = g_strsplit(text, ";", -1);

    for (char **each = declarations; *each; each++) {
        char *colon = strchr(*each, ':');
        if (!colon)
            continue;
        *colon = '\0';
        const char *property = g_strstrip(*each);
        if (g_strv_contains(paints, property))
            copy_paint(copy, to, style, property, colon + 1);
    }
}

static void copy_link(const Copy *copy, xmlNode *to, xmlNode *from)
{
    g_autofree char *value = value_of(from, "href");
    g_autofree char *id = id_of_link(value);

    if (id) {
        g_autofree char *link = g_strdup_printf("#%s%s", copy->prefix, id);
        set(to, "href", link);
    }
}

static void copy_attributes(const Copy *copy, xmlNode *to, xmlNode *from)
{
    g_autofree char *id = value_of(from, "id");
    g_autofree char *declarations = value_of(from, "style");
    g_autoptr(GString) style = g_string_new(NULL);

    if (id && g_hash_table_contains(copy->used, id)) {
        g_autofree char *own = g_strconcat(copy->prefix, id, NULL);
        set(to, "id", own);
    }
    for (const char *const *name = attributes; *name; name++) {
        g_autofree char *value = value_of(from, *name);
        if (value && !strstr(value, "url("))
            set(to, *name, value);
    }
    for (const char *const *name = paints; *name; name++) {
        g_autofree char *value = value_of(from, *name);
        if (value)
            copy_paint(copy, to, style, *name, value);
    }
    if (declarations)
        copy_declarations(copy, to, style, declarations);
    if (style->len > 0)
        set(to, "style", style->str);
    copy_link(copy, to, from);
}

static gboolean is_used(const Copy *copy, xmlNode *node)
{
    g_autofree char *id = value_of(node, "id");

    return id && g_hash_table_contains(copy->used, id);
}

/* gnuplot writes groups that it then leaves empty, and all its symbols into each picture. */
static gboolean is_needed(const Copy *copy, xmlNode *node)
{
    if (is_named(node->parent, "defs"))
        return is_used(copy, node);
    return !is_named(node, "g") || xmlFirstElementChild(node);
}

static void copy_children(const Copy *copy, xmlNode *to, xmlNode *from)
{
    gboolean in_text = is_named(from, "text") || is_named(from, "tspan");

    for (xmlNode *node = from->children; node; node = node->next) {
        if (in_text && node->type == XML_TEXT_NODE) {
            xmlAddChild(to, xmlNewDocText(copy->document, node->content));
        } else if (is_drawn(node) && is_needed(copy, node)) {
            xmlNode *own = xmlNewDocNode(copy->document, copy->ns, node->name, NULL);
            xmlAddChild(to, own);
            copy_attributes(copy, own, node);
            copy_children(copy, own, node);
        }
    }
}

static void use_id(const Copy *copy, char *id)
{
    if (id)
        g_hash_table_add(copy->used, id);
}

/* What is drawn, and thereby what its definitions are needed for. */
static void find_used(const Copy *copy, xmlNode *node)
{
    if (!is_drawn(node) || is_named(node, "defs"))
        return;
    g_autofree char *link = value_of(node, "href");
    use_id(copy, id_of_link(link));
    for (const char *const *name = paints; *name; name++) {
        g_autofree char *value = value_of(node, *name);
        use_id(copy, value ? id_of_url(g_strstrip(value)) : NULL);
    }
    for (xmlNode *child = node->children; child; child = child->next)
        find_used(copy, child);
}

/* Definitions refer to earlier ones: from the last to the first. */
static void find_used_by_defs(const Copy *copy, xmlNode *node)
{
    for (xmlNode *child = node->last; child; child = child->prev) {
        if (is_named(node, "defs") && is_used(copy, child))
            find_used(copy, child);
        else if (is_drawn(child))
            find_used_by_defs(copy, child);
    }
}

/* A size that is fixed would not follow the page's. */
static void set_view_box(xmlNode *to, xmlNode *from)
{
    g_autofree char *box = value_of(from, "viewBox");
    g_autofree char *width = value_of(from, "width");
    g_autofree char *height = value_of(from, "height");

    if (!box && width && height)
        box = g_strdup_printf("0 0 %u %u", (guint)g_ascii_strtoull(width, NULL, 10),
            (guint)g_ascii_strtoull(height, NULL, 10));
    if (box)
        set(to, "viewBox", box);
}

static xmlDoc *copy_picture(xmlNode *from, const char *prefix, const char *title)
{
    g_autoptr(GHashTable) used = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    xmlDoc *document = xmlNewDoc((const xmlChar *)"1.0");
    xmlNode *root = xmlNewDocNode(document, NULL, (const xmlChar *)"svg", NULL);
    xmlNs *ns = xmlNewNs(root, (const xmlChar *)SVG_NS, NULL);
    const Copy copy = { .document = document, .ns = ns, .prefix = prefix, .used = used };

    xmlSetNs(root, ns);
    xmlDocSetRootElement(document, root);
    set_view_box(root, from);
    set(root, "role", "img");
    if (title)
        set(root, "aria-label", title);
    find_used(&copy, from);
    find_used_by_defs(&copy, from);
    copy_children(&copy, root, from);
    return document;
}

xmlDoc *duet_svg_load(const char *path, const char *prefix, const char *title, GError **error)
{
    g_autoptr(GError) why = NULL;
    g_autofree char *text = NULL;
    gsize length = 0;

    if (!g_file_get_contents(path, &text, &length, &why)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "%s", why->message);
        return NULL;
    }
    xmlDoc *document = length > G_MAXINT
        ? NULL
        : xmlReadMemory(text, (int)length, NULL, NULL,
              XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
    /* One with entities of its own is none of gnuplot's. */
    gboolean is_picture =
        root && is_named(root, "svg") && !document->intSubset && !document->extSubset;
    xmlDoc *picture = is_picture ? copy_picture(root, prefix, title) : NULL;
    xmlFreeDoc(document);
    if (!picture)
        g_set_error(
            error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is no picture in the format SVG", path);
    return picture;
}
