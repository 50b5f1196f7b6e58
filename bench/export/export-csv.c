/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "export.h"

#include <math.h>
#include <string.h>

#include "bench/overhead/overhead-test.h"

/* Quoted where RFC 4180 wants it. What a spreadsheet would take for a formula gets an apostrophe
 * before it: there it means text. */
static void cell(GString *out, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);
    gboolean formula = *valid && strchr("=+-@\t\r\n", *valid);
    gboolean quote = strpbrk(valid, ",;\"\r\n") != NULL;

    if (quote)
        g_string_append_c(out, '"');
    if (formula)
        g_string_append_c(out, '\'');
    for (const char *at = valid, *end; *at; at = end) {
        end = at + 1 + strcspn(at + 1, "\"");
        if (*at == '"')
            g_string_append_c(out, '"');
        g_string_append_len(out, at, end - at);
    }
    if (quote)
        g_string_append_c(out, '"');
    g_string_append_c(out, ',');
}

static void arm_cells(GString *out, const DuetRun *run, guint index)
{
    const DuetRunArm *arm = duet_run_arm(run, index);

    cell(out, run->run_id);
    cell(out, arm->name);
    cell(out, arm->kind);
    cell(out, duet_run_arm_accel(arm));
}

char *duet_export_csv_arm_head(const DuetRun *run, guint arm, const char *status)
{
    g_autoptr(GString) head = g_string_new(NULL);

    arm_cells(head, run, arm);
    g_string_append_printf(head, ",,,%s,,", status);
    return g_string_free(g_steal_pointer(&head), FALSE);
}

char *duet_export_csv_head(const DuetRun *run, const DuetSample *sample)
{
    g_autoptr(GString) head = g_string_new(NULL);

    arm_cells(head, run, sample->arm);
    g_string_append_printf(head, "%u,%u,%s,%s,", sample->block, sample->seq,
        sample->discarded ? "true" : "false", duet_sample_status_to_string(sample->status));
    if (sample->exit_code >= 0)
        g_string_append_printf(head, "%d", sample->exit_code);
    g_string_append_c(head, ',');
    return g_string_free(g_steal_pointer(&head), FALSE);
}

static void counter(
    GString *out, const char *head, const char *what, gint64 value, const char *unit)
{
    if (value != 0)
        g_string_append_printf(out, "%s%s,%" G_GINT64_FORMAT ",%s\n", head, what, value, unit);
}

/* What the tool of `bench overhead` measured. */
static void tool_rows(GString *out, const char *head, const DuetOverheadPoint *point)
{
    const DuetOverheadValue *of = point->test->values;
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    for (guint i = 0; of[i].id; i++) {
        if (!isnan(point->values[i]))
            g_string_append_printf(out, "%s%s,%s,%s\n", head, of[i].id,
                g_ascii_formatd(text, sizeof text, "%.12g", point->values[i]), of[i].base_unit);
    }
}

static void sample_rows(GString *out, const DuetRun *run, const DuetSample *sample)
{
    g_autofree char *head = duet_export_csv_head(run, sample);
    gsize before = out->len;

    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        if (sample->marks.ns[mark] != 0)
            g_string_append_printf(out, "%s%s,%" G_GINT64_FORMAT ",ns\n", head,
                duet_mark_to_string(mark),
                sample->marks.ns[mark] - sample->marks.ns[DUET_MARK_REQUEST]);
    }
    if (sample->ready_ns != 0)
        counter(out, head, "ready", sample->ready_ns - sample->marks.ns[DUET_MARK_REQUEST], "ns");
    counter(out, head, "cpu_managing", sample->managing_cpu_ns, "ns");
    counter(out, head, "cpu_payload", sample->payload_cpu_ns, "ns");
    counter(out, head, "guest_clock_kernel", sample->guest_kernel_ns, "ns");
    counter(out, head, "guest_clock_agent", sample->guest_agent_ns, "ns");
    counter(out, head, "mem_peak", sample->peak_memory_bytes, "bytes");
    counter(out, head, "bare_spawn", sample->bare_spawn_ns, "ns");
    counter(out, head, "clone", sample->clone_ns, "ns");
    counter(out, head, "command_output", sample->command_output_ns, "ns");
    counter(out, head, "command_exit", sample->command_exit_ns, "ns");
    if (sample->density)
        g_string_append_printf(out, "%srunning,%u,instances\n", head, sample->density->running);
    if (sample->overhead)
        tool_rows(out, head, sample->overhead);
    /* Nothing is dropped: what never began has a row, too. */
    if (out->len == before)
        g_string_append_printf(out, "%s,,\n", head);
}

char *duet_export_csv(const DuetRun *run, const DuetAnalysis *analysis)
{
    GString *out = g_string_new(duet_export_csv_header);

    (void)analysis;
    for (guint i = 0; i < run->samples->len; i++)
        sample_rows(out, run, duet_run_sample(run, i));
    return g_string_free(out, FALSE);
}
