/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/text.h"

char *duet_text_printable(const char *text, gssize length)
{
    g_autofree char *valid = g_utf8_make_valid(text, length);
    GString *out = g_string_new(NULL);

    for (const char *at = valid; *at; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        if (c < 0x20 && c != '\n' && c != '\t')
            g_string_append_printf(out, "^%c", (char)(c + '@'));
        else if (c == 0x7f || (c >= 0x80 && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
            (c >= 0x2066 && c <= 0x2069))
            g_string_append_c(out, '?');
        else
            g_string_append_unichar(out, c);
    }
    return g_string_free(out, FALSE);
}

char *duet_text_line(const char *text)
{
    g_autoptr(GString) line = g_string_new(NULL);
    g_autofree char *printable = duet_text_printable(text, -1);

    for (const char *at = printable; *at; at++) {
        if (*at == '\n' || *at == '\t')
            g_string_append_printf(line, "^%c", *at + '@');
        else
            g_string_append_c(line, *at);
    }
    return g_string_free(g_steal_pointer(&line), FALSE);
}
