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

/* Returns: whether there are figures of an arm to be shown. */
static gboolean is_shown(const DuetDensityAnalysis *analysis, guint arm)
{
    return !analysis->nested && analysis->arms[arm].outcome->bound != DUET_DENSITY_BOUND_NONE;
}

static void reached_row(
    GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis, guint index)
{
    const DuetDensityOutcome *outcome = analysis->arms[index].outcome;
    gboolean asked = duet_density_was_asked(outcome);
    g_autofree char *name = duet_text_markdown(duet_run_arm(run, index)->name);
    g_autofree char *bound = g_strdup_printf("%s%s%s", duet_density_bound_to_string(outcome->bound),
        outcome->detail ? ": " : "", outcome->detail ? outcome->detail : "");
    g_autofree char *why = duet_text_markdown(bound);

    if (!is_shown(analysis, index)) {
        duet_export_markdown_row(out, name,
            outcome->bound == DUET_DENSITY_BOUND_NONE ? "not measured"
                                                      : "withheld: nested under TCG",
            "", "", "", "", NULL);
        return;
    }
    g_autofree char *reached = g_strdup_printf("%u", outcome->reached);
    g_autofree char *answered = g_strdup_printf("%u", outcome->answered);
    g_autofree char *ended = g_strdup_printf("%u", outcome->ended);
    g_autofree char *silent = g_strdup_printf("%u", outcome->silent);
    duet_export_markdown_row(out, name, reached, asked ? answered : "not asked", asked ? ended : "",
        asked ? silent : "", why, NULL);
}

static void starts_row(
    GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis, guint index)
{
    const DuetDensityArm *arm = &analysis->arms[index];
    const DuetSummary *s = &arm->latency;

    if (!is_shown(analysis, index) || s->n == 0)
        return;
    DuetUnit unit = duet_unit_for(s->median);
    g_autofree char *name = duet_text_markdown(duet_run_arm(run, index)->name);
    g_autofree char *median = duet_text_time(s->median);
    g_autofree char *interval = duet_text_time_range(unit, s->low, s->high);
    g_autofree char *p95 = duet_text_time(s->p95);
    g_autofree char *rate = number_text(arm->starts_per_s);
    g_autofree char *trend = duet_density_trend_text(arm);
    duet_export_markdown_row(out, name, median, interval, p95, rate, trend ? trend : "n/a", NULL);
}

static void curve_rows(
    GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis, guint index)
{
    const DuetDensityArm *arm = &analysis->arms[index];
    g_autofree char *name = duet_text_markdown(duet_run_arm(run, index)->name);

    for (guint i = 0; i < arm->n_rows && is_shown(analysis, index); i++) {
        const DuetDensityRow *row = &arm->rows[i];
        g_autofree char *range = duet_density_row_text(row);
        g_autofree char *n = g_strdup_printf("%u", row->n);
        g_autofree char *median = duet_text_time(row->median_ns);
        g_autofree char *max = duet_text_time(row->max_ns);
        duet_export_markdown_row(out, name, range, n, median, max, NULL);
    }
}

static void room_rows(
    GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis, guint index)
{
    const DuetDensityArm *arm = &analysis->arms[index];
    g_autofree char *name = duet_text_markdown(duet_run_arm(run, index)->name);
    g_autofree char *budget = duet_density_budget_text(arm);
    g_autofree char *host = duet_density_host_text(arm);

    if (budget && is_shown(analysis, index))
        duet_export_markdown_row(out, name, "budget", budget, NULL);
    if (host && is_shown(analysis, index))
        duet_export_markdown_row(out, name, "host", host, NULL);
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

    if (!is_shown(analysis, index))
        return;
    meters_row(out, name, "one instance", arm->each_bytes, duet_text_bytes);
    meters_row(out, name, "in a GiB", arm->per_gib, number_text);
}

/* Nothing where no arm has a row. @head: title, names of the columns and their sides; @rows:
 * appends those of an arm */
static void section(GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis,
    const char *head,
    void (*rows)(
        GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis, guint index))
{
    g_autoptr(GString) body = g_string_new(NULL);

    for (guint arm = 0; arm < analysis->n_arms; arm++)
        rows(body, run, analysis, arm);
    if (body->len > 0)
        g_string_append_printf(out, "\n## %s\n%s", head, body->str);
}

char *duet_density_markdown(const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    GString *out = g_string_new(NULL);
    g_autoptr(GString) memory = g_string_new("Memory\n\n| arm | of ");

    for (guint meter = 0; meter < DUET_DENSITY_METERS; meter++)
        g_string_append_printf(memory, "| %s ", duet_density_meter_id(meter));
    g_string_append(memory, "|\n|---|---|--:|--:|--:|--:|");
    duet_export_markdown_banner(out, analysis->nested, analysis->tcg);
    duet_export_markdown_head(out, run, NULL);
    section(out, run, analysis,
        "At the same time\n\n| arm | reached | answered | ended | silent | bound by |\n"
        "|---|--:|--:|--:|--:|---|",
        reached_row);
    section(out, run, analysis,
        "Starts\n\n| arm | median | 95 % | p95 | starts per second | over N |\n"
        "|---|--:|--:|--:|--:|---|",
        starts_row);
    section(out, run, analysis,
        "Start latency at N\n\n| arm | N | starts | median | slowest |\n|---|--:|--:|--:|--:|",
        curve_rows);
    section(out, run, analysis, memory->str, memory_rows);
    section(out, run, analysis, "Room\n\n| arm | of | |\n|---|---|---|", room_rows);
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
