/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "text.h"

#include <math.h>
#include <string.h>

#include "words.h"

DuetUnit duet_unit_for(double ns)
{
    static const struct {
        const char *name;
        double ns;
    } units[] = { { "s", 1e9 }, { "ms", 1e6 }, { "us", 1e3 }, { "ns", 1 } };
    DuetUnit unit = { "ns", 1, 0 };

    if (isnan(ns))
        return unit;
    double size = fabs(ns);
    for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
        /* 999.6 ms would print as 1000: it is 1.00 s. */
        if (size >= units[i].ns * 0.9995) {
            double scaled = size / units[i].ns;
            unit.name = units[i].name;
            unit.ns = units[i].ns;
            unit.digits = unit.ns == 1 ? 0 : scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0;
            break;
        }
    }
    return unit;
}

char *duet_unit_format(DuetUnit unit, double ns)
{
    if (!isfinite(ns))
        return g_strdup("n/a");
    return g_strdup_printf("%.*f", unit.digits, ns / unit.ns);
}

char *duet_text_time(double ns)
{
    if (!isfinite(ns))
        return g_strdup("n/a");
    DuetUnit unit = duet_unit_for(ns);
    g_autofree char *number = duet_unit_format(unit, ns);
    return g_strconcat(number, " ", unit.name, NULL);
}

/* Of three figures, and so many @more. */
static char *ratio_text(double ratio, int more)
{
    if (!isfinite(ratio))
        return g_strdup("n/a");
    if (ratio < 0.0995)
        return g_strdup_printf("%.*g", 3 + more, ratio);
    return g_strdup_printf("%.*f", (ratio < 9.995 ? 2 : ratio < 99.95 ? 1 : 0) + more, ratio);
}

char *duet_text_ratio(double ratio)
{
    return ratio_text(ratio, 0);
}

typedef struct {
    const char *name;
    double bytes;
    int digits;
} BytesUnit;

/* Three digits are shown, or four below the next unit. */
static BytesUnit bytes_unit_for(double bytes)
{
    static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    BytesUnit unit = { names[0], 1, 0 };

    for (guint i = 1; i < G_N_ELEMENTS(names) && fabs(bytes) / unit.bytes >= 1023.5; i++) {
        unit.name = names[i];
        unit.bytes *= 1024;
    }
    unit.digits = unit.bytes > 1 && fabs(bytes) / unit.bytes < 99.95;
    return unit;
}

char *duet_text_bytes(double bytes)
{
    if (!isfinite(bytes))
        return g_strdup("n/a");
    BytesUnit unit = bytes_unit_for(bytes);
    /* No "-0 B". */
    double shown = fabs(bytes) < 0.5 ? 0 : bytes;
    return g_strdup_printf("%.*f %s", unit.digits, shown / unit.bytes, unit.name);
}

char *duet_text_bytes_range(double low, double high)
{
    if (!isfinite(low) || !isfinite(high))
        return g_strdup("n/a");
    BytesUnit unit = bytes_unit_for(fmax(fabs(low), fabs(high)));
    return g_strdup_printf("%.*f to %.*f %s", unit.digits, low / unit.bytes, unit.digits,
        high / unit.bytes, unit.name);
}

char *duet_text_p(double p)
{
    if (!isfinite(p))
        return g_strdup("n/a");
    return p < 0.001 ? g_strdup("<0.001") : g_strdup_printf("%.3f", p);
}

char *duet_text_interval(DuetUnit unit, double low, double high)
{
    g_autofree char *low_text = duet_unit_format(unit, low);
    g_autofree char *high_text = duet_unit_format(unit, high);

    return isfinite(low) ? g_strdup_printf(_("%s to %s"), low_text, high_text) : g_strdup("n/a");
}

char *duet_text_time_range(DuetUnit unit, double low, double high)
{
    g_autofree char *numbers = duet_text_interval(unit, low, high);

    return isfinite(low) ? g_strconcat(numbers, " ", unit.name, NULL) : g_steal_pointer(&numbers);
}

char *duet_text_ratio_interval(double low, double high)
{
    g_autofree char *low_text = duet_text_ratio(low);
    g_autofree char *high_text = duet_text_ratio(high);

    if (low < high && g_str_equal(low_text, high_text)) {
        g_free(low_text);
        g_free(high_text);
        low_text = ratio_text(low, 1);
        high_text = ratio_text(high, 1);
    }
    return isfinite(low) ? g_strdup_printf(_("%s to %s"), low_text, high_text) : g_strdup("n/a");
}

char *duet_text_percent(double fraction)
{
    double percent = 100 * fraction;

    if (!isfinite(percent))
        return g_strdup("n/a");
    return percent < 10 ? g_strdup_printf("%.2g %%", percent) : g_strdup_printf("%.0f %%", percent);
}

static gsize char_width(gunichar c)
{
    return g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
}

gsize duet_text_width(const char *text)
{
    gsize width = 0;

    for (const char *at = text; *at; at = g_utf8_next_char(at))
        width += char_width(g_utf8_get_char(at));
    return width;
}

/* Returns: how many bytes of @text fit into @width columns; *out_width is what they take. */
static gsize fitting(const char *text, gsize width, gsize *out_width)
{
    const char *at = text;
    gsize used = 0;

    while (*at) {
        gsize next = char_width(g_utf8_get_char(at));
        if (used + next > width)
            break;
        used += next;
        at = g_utf8_next_char(at);
    }
    *out_width = used;
    return at - text;
}

static void append_cut(GString *out, const char *text, gsize width, gboolean right)
{
    gsize used = 0, bytes = fitting(text, width, &used);
    int blanks = width - used;

    if (right)
        g_string_append_printf(out, "%*s", blanks, "");
    g_string_append_len(out, text, bytes);
    if (!right)
        g_string_append_printf(out, "%*s", blanks, "");
}

void duet_text_append_padded(GString *out, const char *text, gsize width)
{
    append_cut(out, text, width, FALSE);
}

void duet_text_append_right(GString *out, const char *text, gsize width)
{
    append_cut(out, text, width, TRUE);
}

void duet_text_append_figure(GString *out, const char *text, gsize width)
{
    gsize used = duet_text_width(text);

    g_string_append_printf(out, "%*s%s", (int)(used < width ? width - used : 1), "", text);
}

void duet_text_append_wrapped(GString *out, const char *first, const char *rest, const char *text)
{
    g_autofree char *printable = duet_text_printable(text, -1);
    g_auto(GStrv) words = g_strsplit_set(printable, " \n\t", -1);
    gsize column = duet_text_width(first);
    gboolean empty = TRUE;

    g_string_append(out, first);
    for (char **word = words; *word; word++) {
        gsize width = duet_text_width(*word);
        if (width == 0)
            continue;
        if (!empty && column + 1 + width > DUET_TEXT_COLUMNS) {
            g_string_append_printf(out, "\n%s", rest);
            column = duet_text_width(rest);
            empty = TRUE;
        }
        g_string_append_printf(out, "%s%s", empty ? "" : " ", *word);
        column += width + !empty;
        empty = FALSE;
    }
    g_string_append_c(out, '\n');
}

char *duet_text_markdown(const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);
    g_autofree char *line = duet_text_line(text);

    for (const char *at = line; *at; at++) {
        if (*at == '<')
            g_string_append(out, "&lt;");
        else if (*at == '>')
            g_string_append(out, "&gt;");
        else if (*at == '&')
            g_string_append(out, "&amp;");
        else
            g_string_append_printf(out, "%s%c", strchr("\\`*_[]#!|~$", *at) ? "\\" : "", *at);
    }
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *duet_text_command(char *const *argv)
{
    g_autoptr(GString) line = g_string_new(NULL);

    for (gsize i = 0; argv && argv[i]; i++) {
        gboolean plain = *argv[i] != '\0' &&
            strspn(argv[i],
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                "%+,-./:=@_") == strlen(argv[i]);
        g_autofree char *quoted = plain ? g_strdup(argv[i]) : g_shell_quote(argv[i]);
        g_string_append_printf(line, "%s%s", i > 0 ? " " : "", quoted);
    }
    return duet_text_printable(line->str, line->len);
}
