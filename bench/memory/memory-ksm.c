/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What reports say of KSM. */
#include <string.h>

#include "bench/notes.h"
#include "bench/result/record.h"
#include "bench/text.h"
#include "bench/words.h"
#include "memory-analysis.h"
#include "memory-view.h"

static void describe_row(const DuetRun *run, guint arm, DuetMemoryRow *row)
{
    g_autoptr(GArray) saved = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) waited = g_array_new(FALSE, FALSE, sizeof(double));
    g_autoptr(GArray) cpu = g_array_new(FALSE, FALSE, sizeof(double));

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        double bytes;
        if (sample->arm != arm || sample->discarded || !sample->memory ||
            sample->memory->count != row->count ||
            !duet_memory_metric_value(sample, DUET_MEMORY_KSM_SAVED, &bytes))
            continue;
        double wait_ns = sample->memory->ksm.waited_ns;
        double cpu_ns = duet_ksm_cpu_ns(&sample->memory->ksm);
        g_array_append_val(saved, bytes);
        g_array_append_val(waited, wait_ns);
        if (cpu_ns >= 0)
            g_array_append_val(cpu, cpu_ns);
        row->ksm_settled += sample->memory->ksm.settled;
    }
    row->ksm_saved_bytes = duet_stats_array_median(saved);
    row->ksm_waited_ns = duet_stats_array_median(waited);
    row->ksm_cpu_ns = duet_stats_array_median(cpu);
}

void duet_memory_ksm_rows(const DuetRun *run, guint arm, DuetMemoryRow *rows, guint n_rows)
{
    for (guint i = 0; i < n_rows; i++)
        describe_row(run, arm, &rows[i]);
}

/* ---- notes ---- */

static gboolean shares_guest_ram(const DuetRun *run, guint arm)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm == arm && sample->memory && sample->memory->instances->len > 0)
            return g_array_index(sample->memory->instances, DuetInstanceMemory, 0)
                .memory.guest_ram_shared;
    }
    return FALSE;
}

/* Why KSM can't have merged a guest's RAM. Returns: (nullable). */
static const char *not_offered(const DuetRun *run, guint arm)
{
    const char *xml = duet_record_string(duet_run_arm(run, arm)->driver, "domain_xml");

    if (xml && strstr(xml, "<nosharepages"))
        return _("its domain has <nosharepages/>");
    if (shares_guest_ram(run, arm))
        return _("it is shared memory, as virtiofs wants it");
    return NULL;
}

void duet_memory_ksm_notes(GPtrArray *notes, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    if (g_strcmp0(run->plan->ksm, "on") != 0)
        return;
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetRunArm *one = duet_run_arm(run, arm);
        if (!g_str_equal(one->kind, "vm")) {
            duet_notes_add(notes, "ksm", FALSE,
                "%s: KSM merges only what a program offers (madvise MADV_MERGEABLE, or prctl "
                "PR_SET_MEMORY_MERGE since Linux 6.4), and duet offers nothing in its stead: that "
                "little is saved says nothing of what could be",
                one->name);
            continue;
        }
        const char *why = not_offered(run, arm);
        if (why)
            duet_notes_add(notes, "ksm", TRUE,
                "%s: KSM is on, but the guest's RAM is not offered to it: %s", one->name, why);
    }
    duet_notes_add(notes, "ksm", FALSE,
        "KSM was on for the run; what it saved is of the whole host, less what it was before the "
        "sample; PSS divides a merged page among those that map it");
}

/* ---- the table ---- */

static void append_right(GString *out, char *text, gsize width)
{
    duet_text_append_figure(out, text, width);
    g_free(text);
}

void duet_memory_ksm_table(GString *out, const DuetRun *run, const DuetMemoryArm *arm, guint n_rows)
{
    if (g_strcmp0(run->plan->ksm, "on") != 0)
        return;
    g_string_append_printf(
        out, "  %5s%12s%15s%15s%15s\n", "N", "KSM settled", "saved", "waited", "CPU of ksmd");
    for (guint i = 0; i < n_rows; i++) {
        const DuetMemoryRow *row = &arm->rows[i];
        g_string_append_printf(out, "  %5u%7u of %2u", row->count, row->ksm_settled, row->ok);
        append_right(out, duet_text_bytes(row->ksm_saved_bytes), 15);
        append_right(out, duet_text_time(row->ksm_waited_ns), 15);
        append_right(out, duet_text_time(row->ksm_cpu_ns), 15);
        g_string_append_c(out, '\n');
    }
}

void duet_memory_ksm_markdown(GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    if (g_strcmp0(run->plan->ksm, "on") != 0)
        return;
    g_string_append(out,
        "\n## KSM\n\n| arm | N | settled | saved | waited | CPU of ksmd |\n"
        "|---|--:|--:|--:|--:|--:|\n");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        g_autofree char *name = duet_text_markdown(duet_run_arm(run, arm)->name);
        for (guint i = 0; i < analysis->n_rows; i++) {
            const DuetMemoryRow *row = &analysis->arms[arm].rows[i];
            g_autofree char *saved = duet_text_bytes(row->ksm_saved_bytes);
            g_autofree char *waited = duet_text_time(row->ksm_waited_ns);
            g_autofree char *cpu = duet_text_time(row->ksm_cpu_ns);
            g_string_append_printf(out, "| %s | %u | %u of %u | %s | %s | %s |\n", name, row->count,
                row->ksm_settled, row->ok, saved, waited, cpu);
        }
    }
}
