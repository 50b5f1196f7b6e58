/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "bench/check.h"
#include "bench/notes.h"
#include "memory-analysis.h"

/* Half the 95 % interval of a slope, over the slope. */
#define PRECISION_LIMIT 0.05

/* A slope may be below 0, too: it is known no better then. */
static void check_line(GPtrArray *notes, const char *name, const DuetLine *line, const char *by)
{
    double precision = (line->slope_high - line->slope_low) / 2 / fabs(line->slope);

    if (precision > PRECISION_LIMIT)
        duet_notes_add(notes, "imprecise", TRUE,
            "%s: what one more takes (%s) is known to +-%.0f %% only: take more rounds, or "
            "quieten the host",
            name, by, 100 * precision);
}

static void check_arm(GPtrArray *notes, const char *name, const DuetMemoryArm *arm)
{
    gsize n = arm->lines[DUET_MEMORY_PSS].n;

    if (n < DUET_STATS_INTERVAL_MIN)
        duet_notes_add(notes, "few-samples", TRUE,
            "%s: its line goes through %zu samples, an interval needs %d: take more rounds or "
            "counts",
            name, n, DUET_STATS_INTERVAL_MIN);
    for (guint metric = 0; metric < DUET_MEMORY_ESTIMATORS; metric++)
        check_line(notes, name, &arm->lines[metric], duet_memory_estimator_name(metric));
}

GPtrArray *duet_memory_check(const DuetRun *run)
{
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    GPtrArray *notes = duet_memory_notes_new(run, analysis);

    duet_notes_drop_known(notes);
    for (guint arm = 0; arm < analysis->n_arms && !analysis->nested; arm++)
        check_arm(notes, duet_run_arm(run, arm)->name, &analysis->arms[arm]);
    duet_bench_check_plan(notes, run);
    duet_bench_check_record(notes, run);
    return notes;
}
