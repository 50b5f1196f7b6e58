/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "export.h"

#include <math.h>

#include "bench/result/record.h"

void duet_openmetrics_family(
    GString *out, const char *name, const char *type, const char *unit, const char *help)
{
    g_string_append_printf(out, "# TYPE %s %s\n", name, type);
    if (unit)
        g_string_append_printf(out, "# UNIT %s %s\n", name, unit);
    g_string_append_printf(out, "# HELP %s %s\n", name, help);
}

/* A label with its value escaped as OpenMetrics wants it; no other byte means anything there. */
void duet_openmetrics_label(GString *out, const char *name, const char *value)
{
    g_autofree char *valid = g_utf8_make_valid(value ? value : "", -1);

    g_string_append_printf(
        out, "%s%s=\"", out->len > 0 && out->str[out->len - 1] == '{' ? "" : ",", name);
    for (const char *at = valid; *at; at++) {
        if (*at == '\n')
            g_string_append(out, "\\n");
        else
            g_string_append_printf(out, "%s%c", *at == '"' || *at == '\\' ? "\\" : "", *at);
    }
    g_string_append_c(out, '"');
}

void duet_openmetrics_value(GString *out, double number)
{
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    /* "%g" would follow the locale's decimal point. */
    g_string_append_printf(out, "} %s\n", g_ascii_formatd(text, sizeof text, "%.12g", number));
}

void duet_openmetrics_info(GString *out, const DuetRun *run)
{
    duet_openmetrics_family(out, "duet_arm", "info", NULL, "What each arm of the run was.");
    for (guint i = 0; i < run->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(run, i);
        g_string_append(out, "duet_arm_info{");
        duet_openmetrics_label(out, "run_id", run->run_id);
        duet_openmetrics_label(out, "arm", arm->name);
        duet_openmetrics_label(out, "kind", arm->kind);
        duet_openmetrics_label(out, "accel", duet_run_arm_accel(arm));
        duet_openmetrics_label(out, "image", arm->image_ref);
        duet_openmetrics_label(out, "digest", arm->image_digest);
        duet_openmetrics_label(out, "mode", run->plan->mode);
        duet_openmetrics_label(out, "cpu", duet_record_string(run->host, "cpu.model"));
        duet_openmetrics_label(out, "hypervisor", duet_record_string(run->host, "cpu.hypervisor"));
        duet_openmetrics_label(out, "duet", duet_record_string(run->tool, "commit"));
        duet_openmetrics_value(out, 1);
    }
}

void duet_openmetrics_samples_family(GString *out)
{
    duet_openmetrics_family(
        out, "duet_samples", "gauge", NULL, "Samples by how they ended, warm-ups excluded.");
}

void duet_openmetrics_samples(
    GString *out, const DuetRun *run, guint arm, guint ok, guint failed, guint timeouts)
{
    const guint counts[] = { ok, failed, timeouts };

    for (guint status = 0; status < G_N_ELEMENTS(counts); status++) {
        g_string_append(out, "duet_samples{");
        duet_openmetrics_label(out, "run_id", run->run_id);
        duet_openmetrics_label(out, "arm", duet_run_arm(run, arm)->name);
        duet_openmetrics_label(out, "status", duet_sample_status_to_string(status));
        duet_openmetrics_value(out, counts[status]);
    }
}

static void series(GString *out, const char *family, const char *suffix, const DuetRun *run,
    guint arm, const char *metric)
{
    g_string_append_printf(out, "%s%s{", family, suffix);
    duet_openmetrics_label(out, "run_id", run->run_id);
    duet_openmetrics_label(out, "arm", duet_run_arm(run, arm)->name);
    duet_openmetrics_label(out, "metric", metric);
}

typedef struct {
    const char *name;
    double value;
} Figure;

/* A line for each that is known, its name as a label. */
static void figures(GString *out, const char *family, const DuetRun *run, guint arm,
    const char *metric, const char *label, const Figure *list, gsize n, double scale)
{
    for (gsize i = 0; i < n; i++) {
        if (isnan(list[i].value))
            continue;
        series(out, family, "", run, arm, metric);
        duet_openmetrics_label(out, label, list[i].name);
        duet_openmetrics_value(out, list[i].value * scale);
    }
}

void duet_openmetrics_summary(GString *out, const char *family, const DuetRun *run, guint arm,
    const char *metric, const DuetSummary *s, double scale)
{
    const Figure quantiles[] = {
        { "0.0", s->min },
        { "0.25", s->q1 },
        { "0.5", s->median },
        { "0.75", s->q3 },
        { "0.95", s->p95 },
        { "0.99", s->p99 },
        { "1.0", s->max },
    };

    figures(out, family, run, arm, metric, "quantile", quantiles, G_N_ELEMENTS(quantiles), scale);
    series(out, family, "_count", run, arm, metric);
    duet_openmetrics_value(out, s->n);
    series(out, family, "_sum", run, arm, metric);
    duet_openmetrics_value(out, s->mean * s->n * scale);
}

void duet_openmetrics_spread(GString *out, const char *family, const DuetRun *run, guint arm,
    const char *metric, const DuetSummary *s, double scale)
{
    const Figure spread[] = {
        { "median_low", s->low },
        { "median_high", s->high },
        { "mad", s->mad },
    };

    figures(out, family, run, arm, metric, "figure", spread, G_N_ELEMENTS(spread), scale);
}

static void times(GString *out, const DuetRun *run, const DuetAnalysis *analysis,
    const char *family, DuetOpenmetricsFigures append)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint metric = 0; metric < DUET_METRIC_COUNT; metric++) {
            g_autofree char *id = duet_metric_id(metric, analysis->headline_to);
            if (analysis->arms[arm].summary[metric].n > 0)
                append(out, family, run, arm, id, &analysis->arms[arm].summary[metric], 1e-9);
        }
    }
}

static void ratio(GString *out, const DuetMatch *match, const DuetComparison *pair)
{
    const struct {
        const char *bound;
        double ratio;
    } bounds[] = {
        { "estimate", pair->contrast.ratio },
        { "low", pair->contrast.ratio_low },
        { "high", pair->contrast.ratio_high },
    };
    g_autofree char *metric = match->measure->id(match, pair->metric);

    for (gsize b = 0; b < G_N_ELEMENTS(bounds); b++) {
        if (duet_verdict_withholds(pair->verdict) || isnan(bounds[b].ratio))
            continue;
        g_string_append(out, "duet_ratio{");
        duet_openmetrics_label(out, "run_id", match->a->run_id);
        duet_openmetrics_label(out, "a", duet_run_arm(match->a, pair->a)->name);
        duet_openmetrics_label(out, "b", duet_run_arm(match->b, pair->b)->name);
        duet_openmetrics_label(out, "metric", metric);
        duet_openmetrics_label(out, "bound", bounds[b].bound);
        duet_openmetrics_label(out, "verdict", duet_verdict_to_string(pair->verdict));
        duet_openmetrics_value(out, bounds[b].ratio);
    }
}

void duet_openmetrics_ratios(
    GString *out, const DuetMatch *match, GArray *comparisons, const char *help)
{
    duet_openmetrics_family(out, "duet_ratio", "gauge", NULL, help);
    for (guint i = 0; i < comparisons->len; i++)
        ratio(out, match, &g_array_index(comparisons, DuetComparison, i));
}

char *duet_export_openmetrics(const DuetRun *run, const DuetAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_openmetrics_info(out, run);
    duet_openmetrics_samples_family(out);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetArmAnalysis *a = &analysis->arms[arm];
        duet_openmetrics_samples(out, run, arm, a->ok, a->failed, a->timeouts);
    }
    duet_openmetrics_family(
        out, "duet_time_seconds", "summary", "seconds", "Times of the good samples.");
    times(out, run, analysis, "duet_time_seconds", duet_openmetrics_summary);
    duet_openmetrics_family(out, "duet_time_spread_seconds", "gauge", "seconds",
        "95 % interval of the median of these times, and their MAD.");
    times(out, run, analysis, "duet_time_spread_seconds", duet_openmetrics_spread);
    duet_openmetrics_ratios(out, &analysis->match, analysis->comparisons,
        "Ratio of the medians of a and b, 95 % interval.");
    g_string_append(out, "# EOF\n");
    return g_string_free(out, FALSE);
}
