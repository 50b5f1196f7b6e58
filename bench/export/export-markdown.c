/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "export.h"

#include "bench/benchmark.h"
#include "bench/cost/cost.h"
#include "bench/cost/share.h"
#include "bench/notes.h"
#include "bench/result/record.h"
#include "bench/table.h"
#include "bench/text.h"

void duet_export_markdown_banner(GString *out, gboolean nested, gboolean tcg)
{
    const char *warning = duet_bench_table_warning(nested, tcg);

    if (warning)
        g_string_append_printf(out, "> **%s**\n\n", warning);
}

void duet_export_markdown_row(GString *out, ...)
{
    va_list args;
    const char *cell;

    va_start(args, out);
    while ((cell = va_arg(args, const char *)))
        g_string_append_printf(out, "| %s ", cell);
    va_end(args);
    g_string_append(out, "|\n");
}

static void fact(GString *out, const char *name, const char *text)
{
    g_autofree char *escaped = duet_text_markdown(text ? text : "");

    if (*escaped)
        duet_export_markdown_row(out, name, escaped, NULL);
}

void duet_export_markdown_head(GString *out, const DuetRun *run, const char *command)
{
    const DuetRunArm *arm = duet_run_arm(run, 0);
    g_autofree char *argv = duet_text_command(arm->argv);
    g_autofree char *plan = run->benchmark->plan_text(run);
    g_autofree char *accel = duet_bench_table_accel(run);

    g_string_append(out, "| run | |\n|---|---|\n");
    fact(out, "image", arm->image_ref);
    fact(out, "digest", arm->image_digest);
    fact(out, "command", command ? command : argv);
    fact(out, "plan", plan);
    fact(out, "ran on", accel);
    fact(out, "CPU", duet_record_string(run->host, "cpu.model"));
    fact(out, "host", duet_record_string(run->host, "os"));
    fact(out, "kernel", duet_record_string(run->host, "kernel.release"));
    fact(out, "duet", duet_record_string(run->tool, "commit"));
    fact(out, "started", run->started);
    fact(out, "run", run->run_id);
}

static char *arm_name(const DuetRun *run, guint arm)
{
    return duet_text_markdown(duet_run_arm(run, arm)->name);
}

static void arms_by(
    GString *out, const DuetRun *run, const DuetAnalysis *analysis, DuetMetric metric)
{
    g_autofree char *id = duet_metric_id(metric, analysis->headline_to);

    g_string_append_printf(out, "\n## %s\n\n", g_strdelimit(id, "_", ' '));
    g_string_append(out,
        "| arm | ok | failed | median | IQR | 95 % of median | p95 | p99 | min | max | MAD |\n"
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n");
    for (guint i = 0; i < analysis->n_arms; i++) {
        const DuetArmAnalysis *a = &analysis->arms[i];
        const DuetSummary *s = &a->summary[metric];
        if (metric == DUET_METRIC_HEADLINE && duet_run_arm_is_peer(duet_run_arm(run, i)))
            continue;
        g_autofree char *name = arm_name(run, i);
        g_autofree char *ok = g_strdup_printf("%u", a->ok);
        g_autofree char *failed = g_strdup_printf("%u", a->failed + a->timeouts);
        if (s->n == 0) {
            duet_export_markdown_row(out, name, ok, failed, "n/a", "n/a", "n/a", "n/a", "n/a",
                "n/a", "n/a", "n/a", NULL);
            continue;
        }
        DuetUnit unit = duet_unit_for(s->median);
        unit.digits++;
        g_autofree char *median = duet_text_time(s->median);
        g_autofree char *iqr = duet_text_time(s->q3 - s->q1);
        g_autofree char *interval = duet_text_time_range(unit, s->low, s->high);
        g_autofree char *p95 = duet_text_time(s->p95);
        g_autofree char *p99 = duet_text_time(s->p99);
        g_autofree char *min = duet_text_time(s->min);
        g_autofree char *max = duet_text_time(s->max);
        g_autofree char *mad = duet_text_time(s->mad);
        duet_export_markdown_row(
            out, name, ok, failed, median, iqr, interval, p95, p99, min, max, mad, NULL);
    }
}

static void arms(GString *out, const DuetRun *run, const DuetAnalysis *analysis)
{
    arms_by(out, run, analysis, DUET_METRIC_HEADLINE);
    for (guint metric = DUET_METRIC_OWN_COUNT; metric < DUET_METRIC_COUNT; metric++) {
        if (duet_bench_table_has(analysis, metric))
            arms_by(out, run, analysis, metric);
    }
}

static void comparison(GString *out, const DuetMatch *match, const DuetComparison *c)
{
    const char *verdict = duet_verdict_to_string(c->verdict);
    g_autofree char *plain = duet_match_pair(match, c);
    g_autofree char *pair = duet_text_markdown(plain);

    if (duet_verdict_withholds(c->verdict)) {
        duet_export_markdown_row(out, pair, "", "", verdict, "", NULL);
        return;
    }
    g_autofree char *ratio = duet_text_ratio(c->contrast.ratio);
    g_autofree char *interval =
        duet_text_ratio_interval(c->contrast.ratio_low, c->contrast.ratio_high);
    g_autofree char *details = duet_bench_table_details(match->measure, c);
    g_autofree char *escaped = duet_text_markdown(details);
    duet_export_markdown_row(out, pair, ratio, interval, verdict, escaped, NULL);
}

void duet_export_markdown_comparisons(
    GString *out, const char *title, const DuetMatch *match, GArray *comparisons)
{
    if (comparisons->len == 0)
        return;
    g_string_append_printf(out,
        "\n## %s\n\n| a / b | ratio | 95 %% | verdict | details |\n"
        "|---|--:|--:|---|---|\n",
        title);
    for (guint i = 0; i < comparisons->len; i++)
        comparison(out, match, &g_array_index(comparisons, DuetComparison, i));
}

void duet_export_markdown_notes(GString *out, GPtrArray *notes)
{
    if (notes->len > 0)
        g_string_append(out, "\n## Notes\n\n");
    for (guint i = 0; i < notes->len; i++) {
        const DuetNote *note = g_ptr_array_index(notes, i);
        g_autofree char *text = duet_text_markdown(note->text);
        g_string_append_printf(out, "- %s\n", text);
    }
}

static void phases(GString *out, const DuetRun *run, const DuetAnalysis *analysis)
{
    g_string_append(out, "\n## Phases (medians)\n\n| phase ");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        g_autofree char *name = arm_name(run, arm);
        if (!duet_run_arm_is_peer(duet_run_arm(run, arm)))
            g_string_append_printf(out, "| %s ", name);
    }
    g_string_append(out, "|\n|---");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (!duet_run_arm_is_peer(duet_run_arm(run, arm)))
            g_string_append(out, "|--:");
    }
    g_string_append(out, "|\n");
    for (guint metric = DUET_METRIC_PHASE_FIRST; metric < DUET_METRIC_OWN_COUNT; metric++) {
        if (!duet_bench_table_has(analysis, metric))
            continue;
        g_autofree char *label = duet_bench_table_label(metric);
        g_autofree char *escaped = duet_text_markdown(g_strstrip(label));
        g_string_append_printf(out, "| %s ", escaped);
        for (guint arm = 0; arm < analysis->n_arms; arm++) {
            const DuetSummary *s = &analysis->arms[arm].summary[metric];
            if (duet_run_arm_is_peer(duet_run_arm(run, arm)))
                continue;
            g_autofree char *time = s->n > 0 ? duet_text_time(s->median) : g_strdup("n/a");
            g_string_append_printf(out, "| %s ", time);
        }
        g_string_append(out, "|\n");
    }
}

char *duet_export_markdown(const DuetRun *run, const DuetAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_export_markdown_banner(out, analysis->nested, analysis->tcg);
    duet_export_markdown_head(out, run, NULL);
    arms(out, run, analysis);
    for (guint metric = 0; metric < DUET_METRIC_COUNT; metric++) {
        g_autoptr(GArray) rows = duet_analysis_comparisons(analysis, metric);
        g_autofree char *id = duet_metric_id(metric, analysis->headline_to);
        g_autofree char *title = metric == DUET_METRIC_HEADLINE
            ? g_strdup("Ratios of medians")
            : g_strdup_printf("Ratios of medians, %s", g_strdelimit(id, "_", ' '));
        duet_export_markdown_comparisons(out, title, &analysis->match, rows);
    }
    phases(out, run, analysis);
    g_autofree char *cost = duet_cost_line(analysis);
    g_autofree char *share = duet_share_line(run, analysis);
    g_autofree char *harmless = share ? duet_text_markdown(share) : NULL;
    if (harmless)
        g_string_append_printf(out, "\nmanaging: %s\n", harmless);
    if (cost)
        g_string_append_printf(out, "\nduet itself: %s\n", cost);
    duet_export_markdown_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}
