/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notes.h"

#include <math.h>

#include <duet/bench.h>

#include "benchmark.h"
#include "bench/host/environment.h"
#include "words.h"

/* Drift that is worth a word: between first and last fifth, and between neighbours. The latter
 * is two standard errors of an uncorrelated series of n, 2 / sqrt(n). */
#define DRIFT_LIMIT 0.05
/* One series in a hundred of those that have no trend. */
#define TREND_LIMIT 2.576

static void note_free(gpointer data)
{
    DuetNote *note = data;

    g_free(note->text);
    g_free(note);
}

GPtrArray *duet_notes_empty(void)
{
    return g_ptr_array_new_with_free_func(note_free);
}

void duet_notes_add(GPtrArray *notes, const char *code, gboolean weak, const char *format, ...)
{
    DuetNote *note = g_new(DuetNote, 1);
    va_list args;

    va_start(args, format);
    *note = (DuetNote){ code, weak, g_strdup_vprintf(_(format), args) };
    va_end(args);
    g_ptr_array_add(notes, note);
}

void duet_notes_drop_known(GPtrArray *notes)
{
    for (guint i = notes->len; i > 0; i--) {
        if (!((const DuetNote *)g_ptr_array_index(notes, i - 1))->weak)
            g_ptr_array_remove_index(notes, i - 1);
    }
}

gboolean duet_notes_drifts(const DuetSummary *series)
{
    return series->n > 0 && fabs(series->drift) > DRIFT_LIMIT &&
        (series->autocorrelation > 2 / sqrt((double)series->n) ||
            fabs(series->trend) > TREND_LIMIT);
}

static void note_failures(GPtrArray *notes, const DuetRun *run, guint arm, const DuetArmAnalysis *a)
{
    const char *name = duet_run_arm(run, arm)->name;

    if (a->exits->len > 0) {
        g_autoptr(GString) ends = g_string_new(NULL);
        for (guint i = 0; i < a->exits->len; i++)
            g_string_append_printf(
                ends, "%s%s", i > 0 ? ", " : "", (const char *)g_ptr_array_index(a->exits, i));
        duet_notes_add(notes, "failures", TRUE, "%s: %u of %u samples are not in its figures: %s",
            name, a->failed + a->timeouts, a->ok + a->failed + a->timeouts, ends->str);
    }
    if (a->timeouts > 0 && !isnan(a->censored_median_ns))
        duet_notes_add(notes, "censored-median", FALSE,
            "%s: median %.4g ms if the time-outs count as slower than all others", name,
            a->censored_median_ns / 1e6);
}

void duet_notes_series(GPtrArray *notes, const char *name, const DuetSummary *series)
{
    if (series->n == 0)
        return;
    if (series->outliers > 0)
        duet_notes_add(notes, "outliers", FALSE,
            "%s: outliers beyond 1.5 IQR: %zu, kept in all figures", name, series->outliers);
    if (series->slow_first)
        duet_notes_add(notes, "slow-first", TRUE,
            "%s: the first sample after the warm-up was an outlier, a slow one", name);
    if (duet_notes_drifts(series))
        duet_notes_add(notes, "drift", TRUE,
            "%s: drifts: last fifth %+.1f %% against the first, autocorrelation %.2f", name,
            100 * series->drift, series->autocorrelation);
}

void duet_notes_samples(GPtrArray *notes, const DuetRun *run)
{
    guint doubtful = 0;
    const char *first = NULL;

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->warnings->len == 0)
            continue;
        doubtful++;
        if (!first)
            first = g_ptr_array_index(sample->warnings, 0);
    }
    if (doubtful > 0)
        duet_notes_add(notes, "sample-warnings", TRUE, "samples with a warning: %u, the first: %s",
            doubtful, first);
}

void duet_notes_interrupted(GPtrArray *notes, const DuetRun *run)
{
    if (run->interrupted)
        duet_notes_add(notes, "interrupted", TRUE,
            "interrupted: this is a part of the plan, take no conclusion from it");
}

void duet_notes_few(GPtrArray *notes, const DuetRun *run)
{
    if (run->plan->n < DUET_BENCH_N_MIN)
        duet_notes_add(notes, "few-samples", TRUE, "n = %u is too few to rest on: take %d or more",
            run->plan->n, DUET_BENCH_N_MIN);
}

void duet_notes_host(GPtrArray *notes, const DuetRun *run)
{
    g_autoptr(GPtrArray) texts = duet_environment_translate(run->host, run->tool, run->warnings);

    for (guint i = 0; i < texts->len; i++)
        duet_notes_add(notes, "host", TRUE, "%s", (const char *)texts->pdata[i]);
}

void duet_notes_peers(GPtrArray *notes, const DuetRun *run)
{
    for (guint i = 0; i < run->skipped->len; i++)
        duet_notes_add(
            notes, "peer-skipped", FALSE, "%s", (const char *)g_ptr_array_index(run->skipped, i));
}

GPtrArray *duet_notes_new(const DuetRun *run, const DuetAnalysis *analysis)
{
    GPtrArray *notes = duet_notes_empty();

    duet_notes_interrupted(notes, run);
    duet_notes_few(notes, run);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        note_failures(notes, run, arm, &analysis->arms[arm]);
    duet_notes_samples(notes, run);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        duet_notes_series(notes, duet_run_arm(run, arm)->name,
            &analysis->arms[arm].summary[duet_metric_main(run, arm)]);
    if (run->plan->from)
        duet_notes_add(notes, "saved", FALSE,
            "%s: no guest boots in it: each sample is a clone of one VM that was saved when it was "
            "ready, and its exec is its agent's first word after the restore",
            DUET_BENCH_ARM_SAVED);
    else if (analysis->headline_to == DUET_MARK_EXEC && run->benchmark != &duet_benchmark_cost)
        duet_notes_add(notes, "silent", TRUE,
            "the payload printed nothing in some sample: times are to its exec");
    duet_notes_peers(notes, run);
    duet_notes_host(notes, run);
    return notes;
}
