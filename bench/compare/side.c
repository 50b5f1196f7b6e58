/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "side.h"

#include <string.h>

#include "bench/text.h"

#define HALF_COLUMNS 38
#define LINES_SHOWN 12

gboolean duet_captured_is_text(const DuetCaptured *captured)
{
    gsize length = 0;
    const char *bytes = g_bytes_get_data(captured->kept, &length);
    const char *end = NULL;

    if (length == 0 || g_utf8_validate_len(bytes, length, &end))
        return TRUE;
    gsize rest = bytes + length - end;
    return captured->total > length && rest < 4 && !memchr(end, '\0', rest);
}

/* Returns: (transfer full): what to show of it, a line each. */
static GPtrArray *lines_of(const DuetCaptured *captured)
{
    GPtrArray *lines = g_ptr_array_new_with_free_func(g_free);
    gsize length = 0;
    const char *bytes = captured ? g_bytes_get_data(captured->kept, &length) : NULL;

    if (!captured) {
        g_ptr_array_add(lines, g_strdup("(did not run)"));
    } else if (!duet_captured_is_text(captured)) {
        g_ptr_array_add(
            lines, g_strdup_printf("(binary, %" G_GUINT64_FORMAT " bytes)", captured->total));
        g_ptr_array_add(lines, g_strdup_printf("sha256 %.24s...", captured->sha256));
    } else if (length > 0) {
        g_autofree char *text = g_strndup(bytes, length);
        g_auto(GStrv) raw = g_strsplit(text, "\n", -1);
        guint n = g_strv_length(raw);
        for (guint i = 0; i < n; i++) {
            /* The newline at the end begins no line. */
            if (i + 1 < n || *raw[i] != '\0')
                g_ptr_array_add(lines, g_strdup(raw[i]));
        }
    }
    return lines;
}

static const char *line_at(const GPtrArray *lines, guint i)
{
    return i < lines->len ? g_ptr_array_index(lines, i) : NULL;
}

static void append_half(GString *out, const char *line)
{
    g_autofree char *printable = duet_text_printable(line ? line : "", -1);

    g_strdelimit(printable, "\t\n", ' ');
    if (duet_text_width(printable) <= HALF_COLUMNS) {
        duet_text_append_padded(out, printable, HALF_COLUMNS);
    } else {
        duet_text_append_padded(out, printable, HALF_COLUMNS - 1);
        g_string_append_c(out, '>');
    }
}

static void append_line(GString *out, const char *left, const char *right, gboolean color)
{
    gboolean differ = g_strcmp0(left, right) != 0;
    gsize begin = out->len;

    append_half(out, left);
    g_string_append(out, differ ? " | " : "   ");
    append_half(out, right);
    while (out->len > begin && out->str[out->len - 1] == ' ')
        g_string_truncate(out, out->len - 1);
    if (differ && color) {
        g_string_insert(out, begin, "\033[1;33m");
        g_string_append(out, "\033[0m");
    }
    g_string_append_c(out, '\n');
}

static gboolean equal(const DuetCaptured *a, const DuetCaptured *b)
{
    return a && b && a->total == b->total && g_str_equal(a->sha256, b->sha256);
}

static void append_rest(GString *out, const GPtrArray *left, const GPtrArray *right)
{
    guint more_left = MAX(left->len, LINES_SHOWN) - LINES_SHOWN;
    guint more_right = MAX(right->len, LINES_SHOWN) - LINES_SHOWN;
    guint differing = 0;

    if (more_left == 0 && more_right == 0)
        return;
    for (guint i = LINES_SHOWN; i < MAX(left->len, right->len); i++)
        differing += g_strcmp0(line_at(left, i), line_at(right, i)) != 0;
    g_autofree char *told = g_strdup_printf(
        "(%u more lines, %u of them differ)", MAX(more_left, more_right), differing);
    g_string_append_printf(out, "%s\n", told);
}

static void append_cut_note(GString *out, const DuetSide *side)
{
    if (side->captured && side->captured->total > DUET_CAPTURE_KEPT_BYTES &&
        duet_captured_is_text(side->captured))
        g_string_append_printf(out,
            "(%s: %" G_GUINT64_FORMAT " bytes, of which the first %d KiB were looked at)\n",
            side->name, side->captured->total, DUET_CAPTURE_KEPT_BYTES / 1024);
}

void duet_side_by_side(
    GString *out, const char *title, const DuetSide *left, const DuetSide *right, gboolean color)
{
    g_autoptr(GPtrArray) left_lines = lines_of(left->captured);
    g_autoptr(GPtrArray) right_lines = lines_of(right->captured);
    guint n = MIN(MAX(left_lines->len, right_lines->len), LINES_SHOWN);

    g_string_append_printf(out, "%s: %s\n", title,
        equal(left->captured, right->captured) ? "the same in both"
                                               : "differs (lines with | between them)");
    append_half(out, left->name);
    g_string_append_printf(out, "   %s\n", right->name);
    for (guint i = 0; i < n; i++)
        append_line(out, line_at(left_lines, i), line_at(right_lines, i), color);
    if (n == 0)
        g_string_append(out, "(nothing)\n");
    append_rest(out, left_lines, right_lines);
    append_cut_note(out, left);
    append_cut_note(out, right);
}
