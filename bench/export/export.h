/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/analysis.h"

G_BEGIN_DECLS

/*
 * A run in the formats of other programs. Arm names, commands and the like may come from anybody's
 * file: in each format they are data, whatever is in them. All Returns: (transfer full).
 */

/** duet_export_csv: every sample in long form, RFC 4180: a row for each mark and counter. */
char *duet_export_csv(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_export_markdown: the summary with its comparisons, as GitHub renders it. */
char *duet_export_markdown(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_export_markdown_banner: appends what must stand over figures taken under TCG. */
void duet_export_markdown_banner(GString *out, gboolean nested, gboolean tcg);

/** duet_export_markdown_row: appends a row of a table; its cells are Markdown, ended by NULL. */
void duet_export_markdown_row(GString *out, ...) G_GNUC_NULL_TERMINATED;

/** duet_export_openmetrics: the summary as OpenMetrics 1.0 text. */
char *duet_export_openmetrics(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_export_benchstat: the good samples in Go's benchmark format. */
char *duet_export_benchstat(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_export_phoronix: medians and good samples as a result file of the Phoronix Test Suite. */
char *duet_export_phoronix(const DuetRun *run, const DuetAnalysis *analysis);

G_END_DECLS
