/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/text.h"

G_BEGIN_DECLS

#define DUET_TEXT_COLUMNS 80

/** DuetUnit: one unit of time for all figures of a line, so that they can be compared by eye. */
typedef struct {
    const char *name;
    double ns;
    int digits; /* after the point */
} DuetUnit;

/** duet_unit_for: the unit, and as many digits, that give @ns at least three figures. */
DuetUnit duet_unit_for(double ns);
/** duet_unit_format: Returns: (transfer full): "12.3" without the unit; "n/a" for NAN. */
char *duet_unit_format(DuetUnit unit, double ns);

/** duet_text_time: Returns: (transfer full): "12.3 ms" in its own unit; "n/a" for NAN. */
char *duet_text_time(double ns);
/** duet_text_ratio: Returns: (transfer full): "1.04", "17.2" or "172": three figures. */
char *duet_text_ratio(double ratio);
/** duet_text_bytes: Returns: (transfer full): "12.3 MiB", "-4.0 KiB"; "n/a" for NAN. */
char *duet_text_bytes(double bytes);
/** duet_text_bytes_range: Returns: (transfer full): "11.0 to 12.5 MiB", in one unit; or "n/a". */
char *duet_text_bytes_range(double low, double high);
/** duet_text_p: Returns: (transfer full): "0.012", or "<0.001". */
char *duet_text_p(double p);

/** duet_text_interval: Returns: (transfer full): "1.2 to 3.4" without the unit, or "n/a". */
char *duet_text_interval(DuetUnit unit, double low, double high);
/** duet_text_time_range: Returns: (transfer full): "1.2 to 3.4 ms", or "n/a" and no unit. */
char *duet_text_time_range(DuetUnit unit, double low, double high);
/** duet_text_ratio_interval: Returns: (transfer full): the same of ratios; of four figures where
 * three are one text: "1.136 to 1.143". */
char *duet_text_ratio_interval(double low, double high);
/** duet_text_percent: Returns: (transfer full): a fraction as "12 %", or "n/a". */
char *duet_text_percent(double fraction);

/** duet_text_width: columns that UTF-8 text takes on a terminal. */
gsize duet_text_width(const char *text);
/** duet_text_append_padded: appends @text and blanks up to @width columns; cuts what is longer. */
void duet_text_append_padded(GString *out, const char *text, gsize width);
/** duet_text_append_right: the same with the blanks first. */
void duet_text_append_right(GString *out, const char *text, gsize width);
/** duet_text_append_figure: the same, but a longer figure is whole: cut it would be another one. */
void duet_text_append_figure(GString *out, const char *text, gsize width);
/**
 * duet_text_append_wrapped: appends @text with @first before its first and @rest before each
 * further line, broken at blanks within DUET_TEXT_COLUMNS; a longer word gets a line of its own.
 */
void duet_text_append_wrapped(GString *out, const char *first, const char *rest, const char *text);
/** duet_text_markdown: Returns: (transfer full): on one line, and nothing in it is Markdown or
 * HTML. */
char *duet_text_markdown(const char *text);
/** duet_text_command: Returns: (transfer full): @argv as one would type it, printable. */
char *duet_text_command(char *const *argv);

G_END_DECLS
