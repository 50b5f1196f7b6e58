/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/**
 * duet_bench_table:
 * Returns: (transfer full): the run for a terminal, within 80 columns.
 */
char *duet_bench_table(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_bench_table_warning: Returns: (nullable): what must stand over all figures taken so. */
const char *duet_bench_table_warning(gboolean nested, gboolean tcg);

/** duet_bench_table_banner: appends the line that must stand over all figures taken under TCG. */
void duet_bench_table_banner(GString *out, gboolean nested, gboolean tcg);
/** duet_bench_table_notes: appends what stands below all figures. @notes: of DuetNote. */
void duet_bench_table_notes(GString *out, const GPtrArray *notes);

/** duet_bench_table_plan: Returns: (transfer full): how the samples were taken, in a line. */
char *duet_bench_table_plan(const DuetRun *run);

/** duet_bench_table_arm: appends an arm's label in @width columns: duet_arm_label_legend() tells
 * what it stands for. */
void duet_bench_table_arm(GString *out, const DuetRun *run, guint arm, gsize width);

/** duet_bench_table_comparisons: appends a row for each, if there are any. */
void duet_bench_table_comparisons(
    GString *out, const char *title, const DuetMatch *match, GArray *comparisons);

/** duet_bench_table_details: Returns: (transfer full): a comparison's difference, p, effect size
 * and what could have been found. */
char *duet_bench_table_details(const DuetMeasure *measure, const DuetComparison *comparison);

/** duet_bench_table_label: Returns: (transfer full): a metric but the headline, for people. */
char *duet_bench_table_label(DuetMetric metric);

/** duet_bench_table_has: Returns: whether an arm has a value of @metric. */
gboolean duet_bench_table_has(const DuetAnalysis *analysis, DuetMetric metric);

/** duet_bench_table_phases: appends the medians of all phases, arms side by side. */
void duet_bench_table_phases(GString *out, const DuetRun *run, const DuetAnalysis *analysis);

/** duet_bench_table_command: Returns: (transfer full): what an arm runs. */
char *duet_bench_table_command(const DuetRunArm *arm);
/** duet_bench_table_head: appends what was run and how: image, @command, @plan, accelerators, as
 * far as that is known. @command: (nullable) */
void duet_bench_table_head(GString *out, const DuetRun *run, const char *command, const char *plan);

/** duet_bench_table_accel: Returns: (transfer full): what the arms ran on ("vm: tcg, QEMU 7.2.0").
 */
char *duet_bench_table_accel(const DuetRun *run);

G_END_DECLS
