/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "bench/export/export.h"
#include "density-analysis.h"

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
