/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "waterfall.h"

#include <math.h>
#include <string.h>

#include "bench/metric.h"
#include "bench/text.h"

#define NAME_COLUMNS 12
#define BAR_COLUMNS 42
#define TIME_COLUMNS 11

/* From `request` to the last mark there is. */
static double length_of(const DuetSample *sample)
{
    gint64 last = 0;

    for (int mark = 0; sample && mark < DUET_MARK_COUNT; mark++)
        last = MAX(last, sample->marks.ns[mark]);
    return last > 0 ? last - sample->marks.ns[DUET_MARK_REQUEST] : 0;
}

/* A bar from @from to @to of a scale that is @whole long; at least one column, or it is unseen. */
static void append_bar(GString *out, double from, double to, double whole)
{
    int begin = whole > 0 ? (int)floor(from / whole * BAR_COLUMNS) : 0;
    int end = whole > 0 ? (int)ceil(to / whole * BAR_COLUMNS - 1e-9) : 0;

    begin = CLAMP(begin, 0, BAR_COLUMNS - 1);
    end = CLAMP(end, begin + 1, BAR_COLUMNS);
    g_string_append_printf(out, "|%*s", begin, "");
    for (int i = begin; i < end; i++)
        g_string_append_c(out, '#');
    g_string_append_printf(out, "%*s|", BAR_COLUMNS - end, "");
}

void duet_waterfall_scale(GString *out, const DuetWaterfall *rows, gsize n)
{
    double longest = 0;

    for (gsize i = 0; i < n; i++)
        longest = MAX(longest, length_of(rows[i].sample));
    for (gsize i = 0; i < n; i++) {
        double length = length_of(rows[i].sample);
        g_autofree char *time = duet_text_time(length > 0 ? length : NAN);
        duet_text_append_padded(out, rows[i].name, NAME_COLUMNS);
        if (length > 0)
            append_bar(out, 0, length, longest);
        else
            g_string_append_printf(out, "%*s", BAR_COLUMNS + 2, "");
        duet_text_append_figure(out, time, TIME_COLUMNS);
        g_string_append_c(out, '\n');
    }
}

static void draw_mark(GString *out, const DuetSample *sample, DuetMark mark, double whole)
{
    double took;
    g_autofree char *label = g_strdup_printf("  %s", duet_mark_to_string(mark));

    duet_text_append_padded(out, label, NAME_COLUMNS);
    if (!duet_metric_value(sample, duet_metric_of_phase(mark), DUET_MARK_OUTPUT, &took)) {
        g_string_append_printf(out, "%*s", BAR_COLUMNS + 2, "");
        duet_text_append_right(out, "n/a", TIME_COLUMNS);
        g_string_append_c(out, '\n');
        return;
    }
    double at = sample->marks.ns[mark] - sample->marks.ns[DUET_MARK_REQUEST];
    g_autofree char *took_text = duet_text_time(took);
    g_autofree char *at_text = duet_text_time(at);
    append_bar(out, at - took, at, whole);
    duet_text_append_figure(out, took_text, TIME_COLUMNS);
    duet_text_append_figure(out, at_text, TIME_COLUMNS);
    g_string_append_c(out, '\n');
}

void duet_waterfall_draw(GString *out, const DuetWaterfall *row)
{
    const DuetSample *sample = row->sample;
    double whole = length_of(sample);

    duet_text_append_padded(out, row->name, NAME_COLUMNS + BAR_COLUMNS + 2);
    duet_text_append_right(out, "took", TIME_COLUMNS);
    duet_text_append_right(out, "at", TIME_COLUMNS);
    g_string_append_c(out, '\n');
    if (whole <= 0) {
        g_string_append_printf(out, "  it did not run%s%s\n", sample && sample->error ? ": " : "",
            sample && sample->error ? sample->error : "");
        return;
    }
    for (int mark = DUET_MARK_REQUEST + 1; mark < DUET_MARK_COUNT; mark++) {
        /* Nobody stops a payload that ends by itself. */
        if (mark == DUET_MARK_STOP && sample->marks.ns[mark] == 0)
            continue;
        draw_mark(out, sample, mark, whole);
    }
    if (sample->guest_kernel_ns != 0) {
        g_autofree char *kernel = duet_text_time(sample->guest_kernel_ns);
        g_autofree char *agent = duet_text_time(sample->guest_agent_ns);
        g_string_append_printf(out,
            "  by the guest's own clock, at init: kernel up %s, agent of it %s\n", kernel, agent);
    }
}
