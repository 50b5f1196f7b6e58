/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A run of `bench boot --parallel` or `--rate` in the formats of other programs. */
#include <math.h>

#include "bench/export/export.h"
#include "load-analysis.h"

/* ---- OpenMetrics ---- */

static void counts(
    GString *out, const DuetRun *run, const DuetLoadAnalysis *analysis, guint arm, guint variant)
{
    const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
    const guint numbers[] = { row->ok, row->failed, row->timeouts };
    g_autofree char *level = duet_load_variant_text(run->plan, variant);

    for (guint status = 0; status < G_N_ELEMENTS(numbers); status++) {
        g_string_append(out, "duet_starts{");
        duet_openmetrics_label(out, "run_id", run->run_id);
        duet_openmetrics_label(out, "arm", duet_run_arm(run, arm)->name);
        duet_openmetrics_label(out, "metric", level);
        duet_openmetrics_label(out, "status", duet_sample_status_to_string(status));
        duet_openmetrics_value(out, numbers[status]);
    }
}

/* @rates: starts per second of batches; else the latencies of starts. */
static void summaries(GString *out, const char *family, const DuetRun *run,
    const DuetLoadAnalysis *analysis, gboolean rates, DuetOpenmetricsFigures append)
{
    for (guint i = 0; !analysis->nested && i < analysis->n_arms * analysis->n_levels; i++) {
        guint arm = i / analysis->n_levels, variant = i % analysis->n_levels;
        const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
        const DuetSummary *summary = rates ? &row->per_second : &row->latency;
        g_autofree char *level = duet_load_variant_text(run->plan, variant);
        if (summary->n > 0)
            append(out, family, run, arm, level, summary, rates ? 1 : 1e-9);
    }
}

char *duet_load_openmetrics(const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_openmetrics_info(out, run);
    duet_openmetrics_family(
        out, "duet_starts", "gauge", NULL, "Starts by how they ended, warm-ups excluded.");
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint variant = 0; variant < analysis->n_levels; variant++)
            counts(out, run, analysis, arm, variant);
    }
    duet_openmetrics_family(
        out, "duet_start_seconds", "summary", "seconds", "Latencies of the good starts.");
    summaries(out, "duet_start_seconds", run, analysis, FALSE, duet_openmetrics_summary);
    duet_openmetrics_family(out, "duet_start_spread_seconds", "gauge", "seconds",
        "95 % interval of the median latency, of whole batches, and the MAD.");
    summaries(out, "duet_start_spread_seconds", run, analysis, FALSE, duet_openmetrics_spread);
    duet_openmetrics_family(
        out, "duet_starts_per_second", "summary", "per_second", "Starts per second of each batch.");
    summaries(out, "duet_starts_per_second", run, analysis, TRUE, duet_openmetrics_summary);
    duet_openmetrics_family(out, "duet_starts_spread_per_second", "gauge", "per_second",
        "95 % interval of the median of these, and their MAD.");
    summaries(out, "duet_starts_spread_per_second", run, analysis, TRUE, duet_openmetrics_spread);
    duet_openmetrics_ratios(out, &analysis->match, analysis->comparisons,
        "Ratio of the medians of batches of a and b, 95 % interval.");
    g_string_append(out, "# EOF\n");
    return g_string_free(out, FALSE);
}

/* ---- benchstat ---- */

/* A line is a batch: benchstat takes lines for independent, and starts of one batch are not. */
static void batch_line(
    GString *out, const DuetRun *run, const DuetLoadAnalysis *analysis, const DuetSample *sample)
{
    g_auto(DuetColumn) latencies = { 0 };
    DuetLoadRow row = { 0 };
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (sample->discarded || sample->status != DUET_SAMPLE_OK)
        return;
    double rate = duet_load_take_batch(sample->load, analysis->headline_to, 0, &row, &latencies);
    if (row.ok == 0)
        return;
    g_autofree char *level = duet_load_level_text(sample->load->level, sample->load->rate);
    g_string_append(out, "BenchmarkLoad/load=");
    duet_benchstat_name(out, level);
    g_string_append(out, "/arm=");
    duet_benchstat_name(out, duet_run_arm(run, sample->arm)->name);
    g_string_append_printf(out, " 1 %.0f ns/op", duet_column_median(&latencies));
    if (!isnan(rate))
        g_string_append_printf(
            out, " %s starts/s", g_ascii_formatd(text, sizeof text, "%.12g", rate));
    g_string_append_c(out, '\n');
}

static void batch_failures(GString *out, const DuetRun *run, guint arm)
{
    guint ok = 0, bad = 0;

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm != arm || sample->discarded)
            continue;
        ok += sample->status == DUET_SAMPLE_OK;
        bad += sample->status != DUET_SAMPLE_OK;
    }
    duet_benchstat_failures(out, duet_run_arm(run, arm)->name, ok, bad);
}

char *duet_load_benchstat(const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_benchstat_head(out, run, analysis->nested, analysis->tcg);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        batch_failures(out, run, arm);
    g_string_append(out, "Unit starts/s better=higher\n");
    for (guint i = 0; i < run->samples->len; i++)
        batch_line(out, run, analysis, duet_run_sample(run, i));
    return g_string_free(out, FALSE);
}

/* ---- Phoronix ---- */

static void entry(DuetPhoronix *file, const DuetRun *run, const DuetLoadAnalysis *analysis,
    guint arm, guint variant, gboolean rates)
{
    g_auto(DuetColumn) latencies = { 0 }, per_second = { 0 };
    DuetLoadRow row = { 0 };

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (!duet_load_is_of(sample, arm, run->plan->counts[variant]))
            continue;
        double rate = duet_load_take_batch(
            sample->load, analysis->headline_to, sample->block, &row, &latencies);
        if (!isnan(rate))
            duet_column_add(&per_second, rate, sample->block);
    }
    const DuetColumn *column = rates ? &per_second : &latencies;
    DuetSeries series = duet_column_series(column);
    if (series.n > 0)
        duet_phoronix_entry(file, duet_run_arm(run, arm)->name, duet_column_median(column), &series,
            rates ? 1 : 1e-6);
}

static void result(DuetPhoronix *file, const DuetRun *run, const DuetLoadAnalysis *analysis,
    guint variant, gboolean rates)
{
    g_autofree char *level = duet_load_variant_text(run->plan, variant);
    g_autofree char *id = g_strdup_printf("%s.%s", level, rates ? "starts_per_s" : "latency");

    duet_phoronix_result(
        file, "local/duet-load", id, rates ? "Starts Per Second" : "Milliseconds", rates);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        entry(file, run, analysis, arm, variant, rates);
    duet_phoronix_result_end(file);
}

static gboolean anybody_has(const DuetLoadAnalysis *analysis, guint variant, gboolean rates)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
        if ((rates ? row->per_second.n : row->latency.n) > 0)
            return TRUE;
    }
    return FALSE;
}

char *duet_load_phoronix(const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    DuetPhoronix *file = duet_phoronix_new(run, "duet bench boot, many starts",
        "batches of each arm and level", analysis->nested, analysis->tcg);

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        DuetLoadTotal of = duet_load_total(analysis, arm);
        duet_phoronix_system(
            file, duet_run_arm(run, arm)->name, arm, of.ok, of.failed, of.timeouts);
    }
    for (guint i = 0; i < 2 * analysis->n_levels; i++) {
        if (anybody_has(analysis, i / 2, i % 2))
            result(file, run, analysis, i / 2, i % 2);
    }
    return duet_phoronix_finish(file);
}
