/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "analysis.h"

G_BEGIN_DECLS

/**
 * duet_bench_table:
 * Returns: (transfer full): the run for a terminal, within 80 columns.
 */
char *duet_bench_table(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_bench_table_banner: appends the lines that must stand over all figures taken under TCG. */
void duet_bench_table_banner(GString *out, gboolean nested, gboolean tcg);

/** duet_bench_table_phases: appends the medians of all phases, arms side by side. */
void duet_bench_table_phases(GString *out, const DuetRun *run, const DuetAnalysis *analysis);

/** duet_bench_table_accel: Returns: (transfer full): what the arms ran on ("vm: tcg, QEMU 7.2.0").
 */
char *duet_bench_table_accel(const DuetRun *run);

G_END_DECLS
