/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A density in the formats of other programs. */
#include <math.h>

#include "bench/export/export.h"
#include "bench/text.h"
#include "density-analysis.h"

/* ---- CSV ---- */

static void number(GString *out, const char *head, const char *what, double value, const char *unit)
{
    if (!isnan(value))
        g_string_append_printf(out, "%s%s,%.0f,%s\n", head, what, value, unit);
}

/* What became of an arm is of no start: it has neither block nor seq. */
static void arm_rows(
    GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis, guint index)
{
    const DuetDensityArm *arm = &analysis->arms[index];
    const DuetDensityOutcome *outcome = arm->outcome;
    g_autofree char *head =
        duet_export_csv_arm_head(run, index, duet_density_bound_to_string(outcome->bound));

    number(out, head, "reached", outcome->reached, "instances");
    if (outcome->bound == DUET_DENSITY_BOUND_NONE)
        return;
    if (duet_density_was_asked(outcome)) {
        number(out, head, "answered", outcome->answered, "instances");
        number(out, head, "ended", outcome->ended, "instances");
        number(out, head, "silent", outcome->silent, "instances");
    }
    if (run->plan->density->budget_bytes > 0)
        number(out, head, "used", outcome->used_bytes, "bytes");
    if (outcome->pool_bytes > 0)
        number(out, head, "pool_limit", outcome->pool_bytes, "bytes");
    for (guint meter = 0; meter < DUET_DENSITY_METERS && !analysis->nested; meter++) {
        g_autofree char *what = g_strconcat("each_", duet_density_meter_id(meter), NULL);
        number(out, head, what, arm->each_bytes[meter], "bytes");
    }
}

char *duet_density_csv(const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    g_autofree char *starts = duet_export_csv(run, NULL);
    GString *out = g_string_new(starts);

    for (guint arm = 0; arm < analysis->n_arms; arm++)
        arm_rows(out, run, analysis, arm);
    return g_string_free(out, FALSE);
}

/* ---- Markdown ---- */

static char *number_text(double number)
{
    return isnan(number) ? g_strdup("n/a") : duet_text_ratio(number);
}

static void reached_row(
    GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis, guint index)
{
    const DuetDensityArm *arm = &analysis->arms[index];
    const DuetDensityOutcome *outcome = arm->outcome;
    g_autofree char *name = duet_text_markdown(duet_run_arm(run, index)->name);
    g_autofree char *bound = g_strdup_printf("%s%s%s", duet_density_bound_to_string(outcome->bound),
        outcome->detail ? ": " : "", outcome->detail ? outcome->detail : "");
    g_autofree char *why = duet_text_markdown(bound);

    if (outcome->bound == DUET_DENSITY_BOUND_NONE || analysis->nested) {
        duet_export_markdown_row(out, name,
            outcome->bound == DUET_DENSITY_BOUND_NONE ? "not measured"
                                                      : "withheld: nested under TCG",
            "", "", "", "", "", NULL);
        return;
    }
    DuetUnit unit = duet_unit_for(arm->latency.n > 0 ? arm->latency.median : 0);
    g_autofree char *median = duet_text_time(arm->latency.n > 0 ? arm->latency.median : NAN);
    g_autofree char *interval = arm->latency.n > 0
        ? duet_text_time_range(unit, arm->latency.low, arm->latency.high)
        : g_strdup("n/a");
    g_autofree char *rate = number_text(arm->starts_per_s);
    g_autofree char *reached = g_strdup_printf("%u", outcome->reached);
    g_autofree char *answered = duet_density_was_asked(outcome)
        ? g_strdup_printf("%u", outcome->answered)
        : g_strdup("not asked");
    duet_export_markdown_row(out, name, reached, answered, median, interval, rate, why, NULL);
}

/* @figures: of each meter; @text: Returns: (transfer full): one for people */
static void meters_row(GString *out, const char *name, const char *what, const double *figures,
    char *(*text)(double figure))
{
    g_string_append_printf(out, "| %s | %s ", name, what);
    for (guint meter = 0; meter < DUET_DENSITY_METERS; meter++) {
        g_autofree char *figure = text(figures[meter]);
        g_string_append_printf(out, "| %s ", figure);
    }
    g_string_append(out, "|\n");
}

static void memory_rows(
    GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis, guint index)
{
    const DuetDensityArm *arm = &analysis->arms[index];
    g_autofree char *name = duet_text_markdown(duet_run_arm(run, index)->name);

    if (arm->outcome->bound == DUET_DENSITY_BOUND_NONE || analysis->nested)
        return;
    meters_row(out, name, "one instance", arm->each_bytes, duet_text_bytes);
    meters_row(out, name, "in a GiB", arm->per_gib, number_text);
}

char *duet_density_markdown(const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_export_markdown_banner(out, analysis->nested, analysis->tcg);
    duet_export_markdown_head(out, run, NULL);
    g_string_append(out,
        "\n## At the same time\n\n| arm | reached | answered | start, median | 95 % | "
        "starts per second | bound by |\n|---|--:|--:|--:|--:|--:|---|\n");
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        reached_row(out, run, analysis, arm);
    g_string_append(out, "\n## Memory\n\n| arm | of ");
    for (guint meter = 0; meter < DUET_DENSITY_METERS; meter++)
        g_string_append_printf(out, "| %s ", duet_density_meter_id(meter));
    g_string_append(out, "|\n|---|---|--:|--:|--:|--:|\n");
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        memory_rows(out, run, analysis, arm);
    duet_export_markdown_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}

/* ---- OpenMetrics ---- */

static void labelled(GString *out, const char *family, const DuetRun *run, guint arm,
    const char *label, const char *text, double value)
{
    if (isnan(value))
        return;
    g_string_append_printf(out, "%s{", family);
    duet_openmetrics_label(out, "run_id", run->run_id);
    duet_openmetrics_label(out, "arm", duet_run_arm(run, arm)->name);
    duet_openmetrics_label(out, label, text);
    duet_openmetrics_value(out, value);
}

/* Returns: whether there are figures of an arm to be shown. */
static gboolean is_shown(const DuetDensityAnalysis *analysis, guint arm)
{
    return !analysis->nested && analysis->arms[arm].outcome->bound != DUET_DENSITY_BOUND_NONE;
}

static void instances(GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    duet_openmetrics_family(out, "duet_density_instances", "gauge", NULL,
        "Instances of an arm at the same time, and what a question at the end found of them.");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetDensityOutcome *outcome = analysis->arms[arm].outcome;
        gboolean asked = duet_density_was_asked(outcome);
        if (!is_shown(analysis, arm))
            continue;
        labelled(out, "duet_density_instances", run, arm, "state", "reached", outcome->reached);
        labelled(out, "duet_density_instances", run, arm, "state", "answered",
            asked ? outcome->answered : NAN);
        labelled(out, "duet_density_instances", run, arm, "state", "ended",
            asked ? outcome->ended : NAN);
        labelled(out, "duet_density_instances", run, arm, "state", "silent",
            asked ? outcome->silent : NAN);
    }
}

static void starts(GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    duet_openmetrics_family(
        out, "duet_start_seconds", "summary", "seconds", "What starts took, one after the other.");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const char *metric =
            duet_run_arm_is_peer(duet_run_arm(run, arm)) ? "command" : "request_to_exec";
        if (is_shown(analysis, arm) && analysis->arms[arm].latency.n > 0)
            duet_openmetrics_summary(
                out, "duet_start_seconds", run, arm, metric, &analysis->arms[arm].latency, 1e-9);
    }
}

char *duet_density_openmetrics(const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_openmetrics_info(out, run);
    instances(out, run, analysis);
    duet_openmetrics_family(out, "duet_density_bound", "info", NULL, "What forbade one more.");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (is_shown(analysis, arm))
            labelled(out, "duet_density_bound_info", run, arm, "bound",
                duet_density_bound_to_string(analysis->arms[arm].outcome->bound), 1);
    }
    starts(out, run, analysis);
    duet_openmetrics_family(out, "duet_density_instance_bytes", "gauge", "bytes",
        "Memory of one instance, by several meters.");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint meter = 0; meter < DUET_DENSITY_METERS && is_shown(analysis, arm); meter++)
            labelled(out, "duet_density_instance_bytes", run, arm, "metric",
                duet_density_meter_id(meter), analysis->arms[arm].each_bytes[meter]);
    }
    g_string_append(out, "# EOF\n");
    return g_string_free(out, FALSE);
}
