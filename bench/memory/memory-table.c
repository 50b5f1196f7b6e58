/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "memory-view.h"

#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"

#define LABEL_COLUMNS 21
#define PART_COLUMNS 34
/* "-22.4 MiB" and "-22.4 to -15.6 MiB", and a blank. */
#define SIZE_COLUMNS 10
#define RANGE_COLUMNS 19

char *duet_memory_plan_text(const DuetRun *run)
{
    const DuetPlan *plan = run->plan;
    g_autoptr(GString) out = g_string_new("N");

    for (guint i = 0; i < plan->n_variants; i++)
        g_string_append_printf(out, "%s%u", i > 0 ? "," : " ", plan->counts[i]);
    g_autofree char *seed = g_strdup_printf("%" G_GUINT64_FORMAT, plan->seed);
    g_string_append_printf(out, _(" instances, %u rounds in random order, age %g s, seed %s"),
        plan->n, plan->age_ms / 1000.0, seed);
    if (plan->equal_memory_bytes > 0) {
        g_autofree char *size = duet_text_bytes((double)plan->equal_memory_bytes);
        g_string_append_printf(out, _(", %s for each payload"), size);
    }
    if (plan->balloon_bytes > 0) {
        g_autofree char *size = duet_text_bytes((double)plan->balloon_bytes);
        g_string_append_printf(out, _(", then each shrunk to %s"), size);
    }
    if (plan->ksm)
        g_string_append_printf(out, ", KSM %s", plan->ksm);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

char *duet_memory_noise_text(const DuetMemoryAnalysis *analysis)
{
    g_autofree char *before = duet_text_bytes(analysis->noise_bytes);
    g_autofree char *during = duet_text_bytes(analysis->zero_noise_bytes);
    g_autofree char *zero = isnan(analysis->zero_noise_bytes)
        ? g_strdup("")
        : g_strdup_printf(", and by %s at most in samples of no instance", during);

    return g_strdup_printf(
        "MemAvailable of the idle host moved by %s before the run%s", before, zero);
}

static void append_head(GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    const DuetRunArm *arm = duet_run_arm(run, 0);
    g_autofree char *command = duet_bench_table_command(arm);
    g_autofree char *plan = duet_memory_plan_text(run);
    g_autofree char *noise = duet_memory_noise_text(analysis);

    duet_bench_table_banner(out, analysis->nested, analysis->tcg);
    duet_bench_table_head(out, run, command, plan);
    duet_text_append_wrapped(out, "noise    ", "         ", noise);
}

static void append_line(
    GString *out, const char *label, const DuetLine *line, const DuetMemoryAnalysis *analysis)
{
    duet_text_append_padded(out, label, LABEL_COLUMNS);
    if (analysis->nested || isnan(line->slope)) {
        g_string_append_printf(out, "%s\n",
            analysis->nested ? "  withheld: nested under TCG"
                             : "  n/a: needs samples of two numbers above 0");
        return;
    }
    g_autofree char *slope = duet_text_bytes(line->slope);
    g_autofree char *fixed = duet_text_bytes(line->intercept);
    g_autofree char *range = duet_text_bytes_range(line->slope_low, line->slope_high);
    g_autofree char *fixed_range = duet_text_bytes_range(line->intercept_low, line->intercept_high);
    duet_text_append_figure(out, slope, SIZE_COLUMNS);
    duet_text_append_figure(out, range, RANGE_COLUMNS);
    duet_text_append_figure(out, fixed, SIZE_COLUMNS);
    duet_text_append_figure(out, fixed_range, RANGE_COLUMNS);
    g_string_append_c(out, '\n');
}

static void append_rows(GString *out, const DuetMemoryArm *arm, guint n_rows)
{
    g_string_append_printf(out, "  %5s%5s%7s%15s%15s%15s%15s\n", "N", "ok", "failed", "sum of PSS",
        "cgroups", "MemAvailable", "MemFree");
    for (guint i = 0; i < n_rows; i++) {
        const DuetMemoryRow *row = &arm->rows[i];
        g_string_append_printf(out, "  %5u%5u%7u", row->count, row->ok, row->failed);
        for (guint metric = 0; metric < G_N_ELEMENTS(row->median); metric++) {
            g_autofree char *text = duet_text_bytes(row->median[metric]);
            duet_text_append_figure(out, text, 15);
        }
        g_string_append_c(out, '\n');
    }
}

static void append_arm(
    GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis, guint index)
{
    const DuetMemoryArm *arm = &analysis->arms[index];

    g_string_append_c(out, '\n');
    duet_bench_table_arm(out, run, index, LABEL_COLUMNS);
    g_string_append_printf(out, "%*s%*s%*s%*s\n", SIZE_COLUMNS, "one more", RANGE_COLUMNS, "95 %",
        SIZE_COLUMNS, "fixed", RANGE_COLUMNS, "95 %");
    append_line(out, "  sum of PSS", &arm->lines[DUET_MEMORY_PSS], analysis);
    append_line(out, "  cgroups", &arm->lines[DUET_MEMORY_CGROUP], analysis);
    append_line(out, "  host, MemAvailable", &arm->lines[DUET_MEMORY_HOST], analysis);
    append_rows(out, arm, analysis->n_rows);
    duet_memory_ksm_table(out, run, arm, analysis->n_rows);
    duet_memory_balloon_table(out, run, arm, analysis->n_rows);
}

static const DuetMemoryPart breakdown[] = {
    { N_("guest's RAM, resident"), DUET_MEMORY_GUEST_RAM, TRUE },
    { N_("anonymous"), DUET_MEMORY_OWN_ANON, FALSE },
    { N_("file, mapped"), DUET_MEMORY_OWN_FILE, FALSE },
    { N_("shared memory"), DUET_MEMORY_OWN_SHMEM, FALSE },
    { N_("helpers"), DUET_MEMORY_HELPERS, TRUE },
    { N_("monitor and worker"), DUET_MEMORY_MANAGING, FALSE },
    { N_("page tables"), DUET_MEMORY_PAGE_TABLES, FALSE },
    { N_("kernel, by the cgroup"), DUET_MEMORY_KERNEL, FALSE },
    { N_("page cache, by the cgroups"), DUET_MEMORY_CGROUP_FILE, FALSE },
    { N_("page cache in the guest"), DUET_MEMORY_GUEST_CACHE, TRUE },
    { N_("free in the guest"), DUET_MEMORY_GUEST_FREE, TRUE },
    { N_("available in the guest"), DUET_MEMORY_GUEST_AVAILABLE, TRUE },
    { NULL, 0, FALSE },
};

const DuetMemoryPart *duet_memory_breakdown(void)
{
    return breakdown;
}

char *duet_memory_part(
    const DuetRun *run, const DuetMemoryAnalysis *analysis, guint arm, const DuetMemoryPart *part)
{
    gboolean vm = g_str_equal(duet_run_arm(run, arm)->kind, "vm");
    double slope = analysis->arms[arm].lines[part->metric].slope;

    return duet_text_bytes(part->vm_only && !vm ? NAN : slope);
}

static void append_name(GString *out, const DuetRun *run, guint arm, gsize width)
{
    g_autofree char *name = duet_text_line(duet_run_arm(run, arm)->name);

    duet_text_append_right(out, name, width);
}

static void append_breakdown(GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    g_string_append(out, "\n");
    duet_text_append_padded(out, "one more instance is", PART_COLUMNS);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        append_name(out, run, arm, 15);
    g_string_append_c(out, '\n');
    for (const DuetMemoryPart *part = breakdown; part->label; part++) {
        g_string_append(out, "  ");
        duet_text_append_padded(out, part->label, PART_COLUMNS - 2);
        for (guint arm = 0; arm < analysis->n_arms; arm++) {
            g_autofree char *text = duet_memory_part(run, analysis, arm, part);
            duet_text_append_figure(out, text, 15);
        }
        g_string_append_c(out, '\n');
    }
    g_string_append(out, "  ");
    duet_text_append_padded(out, DUET_MEMORY_MANAGING_SHARE, PART_COLUMNS - 2);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        g_autofree char *share =
            duet_text_percent(duet_memory_managing_share(&analysis->arms[arm]));
        duet_text_append_figure(out, share, 15);
    }
    g_string_append_c(out, '\n');
    g_string_append(out,
        "  (PSS from the top to monitor and worker; what is in the guest is of its RAM,\n"
        "  by its own kernel: Cached and Buffers, MemFree, MemAvailable)\n");
}

static void append_density(GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    g_string_append_c(out, '\n');
    duet_text_append_padded(out, "instances per GiB", PART_COLUMNS);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        append_name(out, run, arm, 15);
    g_string_append_c(out, '\n');
    for (const DuetMemoryDensity *row = duet_memory_density(); row->label; row++) {
        g_string_append(out, "  ");
        duet_text_append_padded(out, row->label, PART_COLUMNS - 2);
        for (guint arm = 0; arm < analysis->n_arms; arm++) {
            g_autofree char *text = duet_memory_density_text(row->per_gib(run, analysis, arm));
            duet_text_append_figure(out, text, 15);
        }
        g_string_append_c(out, '\n');
    }
}

char *duet_memory_table(const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    append_head(out, run, analysis);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        append_arm(out, run, analysis, arm);
    duet_bench_table_comparisons(out, "one more, ratio", &analysis->match, analysis->comparisons);
    if (!analysis->nested) {
        append_breakdown(out, run, analysis);
        append_density(out, run, analysis);
    }
    duet_bench_table_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}
