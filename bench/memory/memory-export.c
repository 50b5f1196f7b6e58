/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "bench/export/export.h"
#include "bench/text.h"
#include "memory-view.h"

/* ---- CSV ---- */

char *duet_memory_csv(const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    GString *out = g_string_new(duet_export_csv_header);

    (void)analysis;
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        g_autofree char *head = duet_export_csv_head(run, sample);
        g_string_append_printf(out, "%scount,%u,instances\n", head, sample->memory->count);
        for (guint metric = 0; metric < DUET_MEMORY_METRIC_COUNT; metric++) {
            double value;
            if (duet_memory_metric_value(sample, metric, &value))
                g_string_append_printf(
                    out, "%s%s,%.0f,bytes\n", head, duet_memory_metric_id(metric), value);
        }
        if (sample->memory->ksm.after.at_ns > 0 && duet_ksm_cpu_ns(&sample->memory->ksm) >= 0)
            g_string_append_printf(out, "%sksmd_cpu,%" G_GINT64_FORMAT ",ns\n", head,
                duet_ksm_cpu_ns(&sample->memory->ksm));
    }
    return g_string_free(out, FALSE);
}

/* ---- Markdown ---- */

static char *arm_name(const DuetRun *run, guint arm)
{
    return duet_text_markdown(duet_run_arm(run, arm)->name);
}

static void lines(GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    g_string_append(out,
        "\n## One more instance\n\n| arm | by | one more | 95 % | fixed | 95 % |\n"
        "|---|---|--:|--:|--:|--:|\n");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        g_autofree char *name = arm_name(run, arm);
        for (guint metric = 0; metric < DUET_MEMORY_ESTIMATORS; metric++) {
            const DuetLine *line = &analysis->arms[arm].lines[metric];
            const char *id = duet_memory_metric_id(metric);
            if (analysis->nested) {
                duet_export_markdown_row(
                    out, name, id, "withheld: nested under TCG", "", "", "", NULL);
                continue;
            }
            g_autofree char *slope = duet_text_bytes(line->slope);
            g_autofree char *range = duet_text_bytes_range(line->slope_low, line->slope_high);
            g_autofree char *fixed = duet_text_bytes(line->intercept);
            g_autofree char *fixed_range =
                duet_text_bytes_range(line->intercept_low, line->intercept_high);
            duet_export_markdown_row(out, name, id, slope, range, fixed, fixed_range, NULL);
        }
    }
}

static void counts(GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    g_string_append(out,
        "\n## Medians\n\n| arm | N | ok | failed | pss | cgroup | host | host_free |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        g_autofree char *name = arm_name(run, arm);
        for (guint i = 0; i < analysis->n_rows; i++) {
            const DuetMemoryRow *row = &analysis->arms[arm].rows[i];
            g_string_append_printf(
                out, "| %s | %u | %u | %u ", name, row->count, row->ok, row->failed);
            for (guint metric = 0; metric < G_N_ELEMENTS(row->median); metric++) {
                g_autofree char *text = duet_text_bytes(row->median[metric]);
                g_string_append_printf(out, "| %s ", text);
            }
            g_string_append(out, "|\n");
        }
    }
}

static void arms_head(
    GString *out, const char *title, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    g_string_append_printf(out, "\n## %s\n\n| ", title);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        g_autofree char *name = arm_name(run, arm);
        g_string_append_printf(out, "| %s ", name);
    }
    g_string_append(out, "|\n|---");
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        g_string_append(out, "|--:");
    g_string_append(out, "|\n");
}

static void parts(GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    arms_head(out, "One more instance is", run, analysis);
    for (const DuetMemoryPart *part = duet_memory_breakdown(); part->label; part++) {
        g_string_append_printf(out, "| %s ", part->label);
        for (guint arm = 0; arm < analysis->n_arms; arm++) {
            g_autofree char *text = duet_memory_part(run, analysis, arm, part);
            g_string_append_printf(out, "| %s ", text);
        }
        g_string_append(out, "|\n");
    }
    g_string_append(out, "| " DUET_MEMORY_MANAGING_SHARE " ");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        g_autofree char *share =
            duet_text_percent(duet_memory_managing_share(&analysis->arms[arm]));
        g_string_append_printf(out, "| %s ", share);
    }
    g_string_append(out, "|\n");
    arms_head(out, "Instances per GiB", run, analysis);
    for (const DuetMemoryDensity *row = duet_memory_density(); row->label; row++) {
        g_string_append_printf(out, "| %s ", row->label);
        for (guint arm = 0; arm < analysis->n_arms; arm++) {
            g_autofree char *text = duet_memory_density_text(row->per_gib(run, analysis, arm));
            g_string_append_printf(out, "| %s ", text);
        }
        g_string_append(out, "|\n");
    }
}

char *duet_memory_markdown(const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    GString *out = g_string_new(NULL);
    g_autofree char *noise = duet_memory_noise_text(analysis);

    duet_export_markdown_banner(out, analysis->nested, analysis->tcg);
    duet_export_markdown_head(out, run, NULL);
    duet_export_markdown_row(out, "noise", noise, NULL);
    lines(out, run, analysis);
    duet_export_markdown_comparisons(
        out, "Ratios of one more", &analysis->match, analysis->comparisons);
    if (!analysis->nested)
        parts(out, run, analysis);
    counts(out, run, analysis);
    duet_memory_ksm_markdown(out, run, analysis);
    duet_memory_balloon_markdown(out, run, analysis);
    duet_export_markdown_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}

/* ---- OpenMetrics ---- */

static void labelled(GString *out, const char *family, const DuetRun *run, guint arm,
    const char *label, const char *text)
{
    g_string_append_printf(out, "%s{", family);
    duet_openmetrics_label(out, "run_id", run->run_id);
    duet_openmetrics_label(out, "arm", duet_run_arm(run, arm)->name);
    duet_openmetrics_label(out, label, text);
}

static void samples(GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    duet_openmetrics_family(
        out, "duet_samples", "gauge", NULL, "Samples by how they ended, warm-ups excluded.");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        labelled(out, "duet_samples", run, arm, "status", "ok");
        duet_openmetrics_value(out, analysis->arms[arm].ok);
        labelled(out, "duet_samples", run, arm, "status", "failed");
        duet_openmetrics_value(out, analysis->arms[arm].failed);
    }
}

static void bounds(GString *out, const char *family, const char *help, const DuetRun *run,
    const DuetMemoryAnalysis *analysis, gboolean fixed)
{
    static const char *const names[] = { "estimate", "low", "high" };

    duet_openmetrics_family(out, family, "gauge", "bytes", help);
    for (guint arm = 0; arm < analysis->n_arms && !analysis->nested; arm++) {
        for (guint metric = 0; metric < DUET_MEMORY_METRIC_COUNT; metric++) {
            const DuetLine *line = &analysis->arms[arm].lines[metric];
            const double values[] = { fixed ? line->intercept : line->slope,
                fixed ? line->intercept_low : line->slope_low,
                fixed ? line->intercept_high : line->slope_high };
            for (guint i = 0; i < G_N_ELEMENTS(values); i++) {
                if (metric == DUET_MEMORY_FREE || isnan(values[i]))
                    continue;
                labelled(out, family, run, arm, "metric", duet_memory_metric_id(metric));
                duet_openmetrics_label(out, "bound", names[i]);
                duet_openmetrics_value(out, values[i]);
            }
        }
    }
}

char *duet_memory_openmetrics(const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_openmetrics_info(out, run);
    samples(out, run, analysis);
    bounds(out, "duet_memory_one_more_bytes", "What one more instance takes, 95 % interval.", run,
        analysis, FALSE);
    bounds(out, "duet_memory_fixed_bytes", "What the first instance brings for all.", run, analysis,
        TRUE);
    duet_openmetrics_ratios(out, &analysis->match, analysis->comparisons,
        "Ratio of what one more instance of a and of b takes, 95 % interval.");
    g_string_append(out, "# EOF\n");
    return g_string_free(out, FALSE);
}
