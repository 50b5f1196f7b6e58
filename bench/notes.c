/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "notes.h"

#include <math.h>

#include <duet/bench.h>

/* Drift that is worth a word: between first and last fifth, and between neighbours. The latter
 * is two standard errors of an uncorrelated series of n, 2 / sqrt(n). */
#define DRIFT_LIMIT 0.05

void duet_note(GPtrArray *notes, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(notes, g_strdup_vprintf(format, args));
    va_end(args);
}

static void note_failures(GPtrArray *notes, const DuetRun *run, guint arm, const DuetArmAnalysis *a)
{
    const char *name = duet_run_arm(run, arm)->name;

    if (a->exits->len > 0) {
        g_autoptr(GString) ends = g_string_new(NULL);
        for (guint i = 0; i < a->exits->len; i++)
            g_string_append_printf(
                ends, "%s%s", i > 0 ? ", " : "", (const char *)g_ptr_array_index(a->exits, i));
        duet_note(notes, "%s: %u of %u samples are not in its figures: %s", name,
            a->failed + a->timeouts, a->ok + a->failed + a->timeouts, ends->str);
    }
    if (a->timeouts > 0 && !isnan(a->censored_median_ns))
        duet_note(notes, "%s: median %.4g ms if the time-outs count as slower than all others",
            name, a->censored_median_ns / 1e6);
}

static void note_series(GPtrArray *notes, const DuetRun *run, guint arm, const DuetArmAnalysis *a)
{
    const char *name = duet_run_arm(run, arm)->name;
    const DuetSummary *headline = &a->summary[DUET_METRIC_HEADLINE];

    if (headline->n == 0)
        return;
    if (headline->outliers > 0)
        duet_note(notes, "%s: %" G_GSIZE_FORMAT " outlier%s beyond 1.5 IQR, kept in all figures",
            name, headline->outliers, headline->outliers == 1 ? "" : "s");
    if (headline->slow_first)
        duet_note(notes, "%s: the first sample after the warm-up was an outlier upwards", name);
    if (!isnan(headline->drift) && fabs(headline->drift) > DRIFT_LIMIT &&
        !isnan(headline->autocorrelation) &&
        headline->autocorrelation > 2 / sqrt((double)headline->n))
        duet_note(notes, "%s: drifts: last fifth %+.1f %% against the first, autocorrelation %.2f",
            name, 100 * headline->drift, headline->autocorrelation);
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
        duet_note(notes, "%u sample%s with a warning, the first: %s", doubtful,
            doubtful == 1 ? "" : "s", first);
}

GPtrArray *duet_notes_new(const DuetRun *run, const DuetAnalysis *analysis)
{
    GPtrArray *notes = g_ptr_array_new_with_free_func(g_free);

    if (run->interrupted)
        duet_note(notes, "interrupted: this is a part of the plan, take no conclusion from it");
    if (run->plan->n < DUET_BENCH_N_MIN)
        duet_note(
            notes, "n = %u is too few to rest on: take %d or more", run->plan->n, DUET_BENCH_N_MIN);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        note_failures(notes, run, arm, &analysis->arms[arm]);
    duet_notes_samples(notes, run);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        note_series(notes, run, arm, &analysis->arms[arm]);
    if (analysis->headline_to == DUET_MARK_EXEC)
        duet_note(notes, "the payload printed nothing in some sample: times are to its exec");
    for (guint i = 0; i < run->warnings->len; i++)
        duet_note(notes, "%s", (const char *)g_ptr_array_index(run->warnings, i));
    return notes;
}
