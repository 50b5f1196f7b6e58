/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "overhead-analysis.h"

G_BEGIN_DECLS

/** duet_overhead_table: Returns: (transfer full): the run for a terminal, within 80 columns. */
char *duet_overhead_table(const DuetRun *run, const DuetOverheadAnalysis *analysis);

/** duet_overhead_markdown: Returns: (transfer full): the same as GitHub renders it. */
char *duet_overhead_markdown(const DuetRun *run, const DuetOverheadAnalysis *analysis);

/** duet_overhead_openmetrics: Returns: (transfer full): the summary as OpenMetrics 1.0 text. */
char *duet_overhead_openmetrics(const DuetRun *run, const DuetOverheadAnalysis *analysis);

/** duet_overhead_benchstat: Returns: (transfer full): good samples in Go's benchmark format. */
char *duet_overhead_benchstat(const DuetRun *run, const DuetOverheadAnalysis *analysis);

/** duet_overhead_phoronix: Returns: (transfer full): a file of the Phoronix Test Suite. */
char *duet_overhead_phoronix(const DuetRun *run, const DuetOverheadAnalysis *analysis);

/** duet_overhead_result: Returns: (transfer full): the result file's text. */
char *duet_overhead_result(const DuetRun *run, const DuetOverheadAnalysis *analysis);

/** duet_overhead_figure: Returns: (transfer full): @value in the unit that people see; or "n/a". */
char *duet_overhead_figure(const DuetOverheadValue *of, double value);

/** duet_overhead_title: Returns: (transfer full): "cpu: events/s, more is better (sysbench-1.0)".
 */
char *duet_overhead_title(const DuetRun *run, const DuetOverheadTest *test, guint value);

/** duet_overhead_command: Returns: (transfer full): what was run, in words. */
char *duet_overhead_command(const DuetRun *run);

G_END_DECLS
