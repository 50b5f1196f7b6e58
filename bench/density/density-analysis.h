/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/against/against.h"
#include "bench/comparison.h"
#include "bench/result/run.h"
#include "bench/stats.h"

G_BEGIN_DECLS

#define DUET_DENSITY_ROWS 8

/** DuetDensityRow: the starts that made the instances @from to @to. */
typedef struct {
    guint from, to;
    guint n;
    double median_ns, max_ns;
} DuetDensityRow;

/** DuetDensityMeter: what memory is measured by. */
typedef enum {
    DUET_DENSITY_BY_PSS,
    DUET_DENSITY_BY_CGROUP,
    DUET_DENSITY_BY_HOST,
    DUET_DENSITY_BY_RESERVED,
    DUET_DENSITY_METERS,
} DuetDensityMeter;

/** duet_density_meter_id: Returns: its name in the result file. */
const char *duet_density_meter_id(DuetDensityMeter meter);

/**
 * DuetDensityArm: one arm, described. A figure that there is none for is NAN.
 * @ok, @failed: starts; @exits: (element-type utf8): how the failed ones ended, with counts
 * @latency: `request` to `exec` of the starts that succeeded; n of 0: none
 * @trend: that over the number of instances
 * @starts_per_s: of starts one after the other: @ok over the sum of their times
 * @each_bytes: memory of one instance; by reserved: what it may use
 * @per_gib: instances in a GiB of that
 * @room_host, @room_budget: how many there would be where the host keeps no more than its floor
 *     available, and where the budget is used up; extrapolated, NAN where that is what was measured
 */
typedef struct {
    const DuetDensityOutcome *outcome;
    guint ok, failed;
    GPtrArray *exits;
    DuetSummary latency;
    DuetLine trend;
    double starts_per_s;
    double each_bytes[DUET_DENSITY_METERS], per_gib[DUET_DENSITY_METERS];
    double room_host, room_budget;
    guint n_rows;
    DuetDensityRow rows[DUET_DENSITY_ROWS];
} DuetDensityArm;

/**
 * DuetDensityAnalysis: all that a report shows, computed from samples and outcomes alone.
 * @tcg, @nested: as in #DuetAnalysis; nested: no figure is to be shown
 * @notes: (element-type DuetNote)
 */
typedef struct {
    gboolean tcg, nested;
    guint n_arms;
    DuetDensityArm *arms;
    GPtrArray *notes;
} DuetDensityAnalysis;

/**
 * duet_density_start_ns: what a start took: of ours `request` to `exec`, of a foreign engine its
 * whole command. Returns: %FALSE if it is not known.
 */
gboolean duet_density_start_ns(const DuetSample *sample, double *out_ns);

DuetDensityAnalysis *duet_density_analysis_new(const DuetRun *run);
void duet_density_analysis_free(DuetDensityAnalysis *analysis);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetDensityAnalysis, duet_density_analysis_free)

/** duet_density_analysis_bad_arm: Returns: %TRUE if an arm has not one instance, or not all of an
 * arm answered. */
gboolean duet_density_analysis_bad_arm(const DuetDensityAnalysis *analysis);

/** duet_measure_density: medians of starts at numbers that both runs reached; what they reached is
 * told, and not tested. */
extern const DuetMeasure duet_measure_density;

/** duet_density_check: Returns: (transfer full) (element-type DuetNote): all that makes it weak. */
GPtrArray *duet_density_check(const DuetRun *run);

/** duet_density_plan_text: Returns: (transfer full): the plan in a line. */
char *duet_density_plan_text(const DuetRun *run);

/** duet_density_trend_text: Returns: (transfer full) (nullable): what each one that runs adds to a
 * start, with its interval. */
char *duet_density_trend_text(const DuetDensityArm *arm);
/** duet_density_budget_text, duet_density_host_text: Returns: (transfer full) (nullable): how many
 * there would be where the budget is used up, and where the host keeps its floor alone. */
char *duet_density_budget_text(const DuetDensityArm *arm);
char *duet_density_host_text(const DuetDensityArm *arm);
/** duet_density_row_text: Returns: (transfer full): "4", or "4 to 6": which starts a row is of. */
char *duet_density_row_text(const DuetDensityRow *row);

/** duet_density_table: Returns: (transfer full): the run for a terminal, within 80 columns. */
char *duet_density_table(const DuetRun *run, const DuetDensityAnalysis *analysis);

/** duet_density_csv: Returns: (transfer full): duet_export_csv(), then rows of each arm. */
char *duet_density_csv(const DuetRun *run, const DuetDensityAnalysis *analysis);

/** duet_density_markdown: Returns: (transfer full): the same as GitHub renders it. */
char *duet_density_markdown(const DuetRun *run, const DuetDensityAnalysis *analysis);

/** duet_density_openmetrics: Returns: (transfer full): the summary as OpenMetrics 1.0 text. */
char *duet_density_openmetrics(const DuetRun *run, const DuetDensityAnalysis *analysis);

/** duet_density_result: Returns: (transfer full): the result file's text. */
char *duet_density_result(const DuetRun *run, const DuetDensityAnalysis *analysis);

G_END_DECLS
