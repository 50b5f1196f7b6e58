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

/** duet_export_csv_header: the line of the columns' names. */
#define duet_export_csv_header                                                                     \
    "run_id,arm,kind,accel,block,seq,discarded,status,exit_code,what,value,unit\n"

/** duet_export_csv_head: what all rows of a sample begin with, up to "exit_code". */
char *duet_export_csv_head(const DuetRun *run, const DuetSample *sample);

/** duet_export_csv_arm_head: the same of a row that is of an arm, and of no sample of it. */
char *duet_export_csv_arm_head(const DuetRun *run, guint arm, const char *status);

/** duet_export_markdown: the summary with its comparisons, as GitHub renders it. */
char *duet_export_markdown(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_export_markdown_banner: appends what must stand over figures taken under TCG. */
void duet_export_markdown_banner(GString *out, gboolean nested, gboolean tcg);

/** duet_export_markdown_row: appends a row of a table; its cells are Markdown, ended by NULL. */
void duet_export_markdown_row(GString *out, ...) G_GNUC_NULL_TERMINATED;

/**
 * duet_export_markdown_head: appends what was run, with what and where.
 * @command: (nullable): in words, where the arms' commands differ; NULL: that of all arms
 */
void duet_export_markdown_head(GString *out, const DuetRun *run, const char *command);

/** duet_export_markdown_comparisons: appends a section for them, if there are any. */
void duet_export_markdown_comparisons(
    GString *out, const char *title, const DuetMatch *match, GArray *comparisons);

/** duet_export_markdown_notes: appends a section for @notes (element-type DuetNote). */
void duet_export_markdown_notes(GString *out, GPtrArray *notes);

/** duet_export_openmetrics: the summary as OpenMetrics 1.0 text. */
char *duet_export_openmetrics(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_openmetrics_family: begins one. @unit: (nullable) */
void duet_openmetrics_family(
    GString *out, const char *name, const char *type, const char *unit, const char *help);
/** duet_openmetrics_label: appends a label, its value escaped, after "name{" or another. */
void duet_openmetrics_label(GString *out, const char *name, const char *value);
/** duet_openmetrics_value: appends the end of a line. */
void duet_openmetrics_value(GString *out, double number);
/** duet_openmetrics_info: what each arm was. */
void duet_openmetrics_info(GString *out, const DuetRun *run);
/** duet_openmetrics_samples_family, duet_openmetrics_samples: how many samples ended in which way:
 * begins the family; appends an arm of it. */
void duet_openmetrics_samples_family(GString *out);
void duet_openmetrics_samples(
    GString *out, const DuetRun *run, guint arm, guint ok, guint failed, guint timeouts);
/** duet_openmetrics_summary: appends quantiles, count and sum. @scale: to the family's unit */
void duet_openmetrics_summary(GString *out, const char *family, const DuetRun *run, guint arm,
    const char *metric, const DuetSummary *s, double scale);
/** duet_openmetrics_spread: the same for a gauge that tells, by its label "figure", the 95 %
 * interval of the median (median_low, median_high) and the MAD, which a summary has no place for.
 */
void duet_openmetrics_spread(GString *out, const char *family, const DuetRun *run, guint arm,
    const char *metric, const DuetSummary *s, double scale);
/** DuetOpenmetricsFigures: duet_openmetrics_summary() or duet_openmetrics_spread(). */
typedef void (*DuetOpenmetricsFigures)(GString *out, const char *family, const DuetRun *run,
    guint arm, const char *metric, const DuetSummary *s, double scale);
/** duet_openmetrics_ratios: the intervals that are not withheld. @help: what is compared. */
void duet_openmetrics_ratios(
    GString *out, const DuetMatch *match, GArray *comparisons, const char *help);

/** duet_export_benchstat: the good samples in Go's benchmark format. */
char *duet_export_benchstat(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_benchstat_head: appends what holds for all lines. */
void duet_benchstat_head(GString *out, const DuetRun *run, gboolean nested, gboolean tcg);
/** duet_benchstat_name: appends a name of anybody's as a part of a benchmark's. */
void duet_benchstat_name(GString *out, const char *name);
/** duet_benchstat_failures: appends a comment on samples that failed, if any did. */
void duet_benchstat_failures(GString *out, const char *arm, guint ok, guint bad);

/** duet_export_phoronix: medians and good samples as a result file of the Phoronix Test Suite. */
char *duet_export_phoronix(const DuetRun *run, const DuetAnalysis *analysis);

/** DuetPhoronix: such a file as it is written: all systems, then the results with their entries. */
typedef struct DuetPhoronix DuetPhoronix;

/** duet_phoronix_new: Returns: (transfer full). @of: what the plan's n counts */
DuetPhoronix *duet_phoronix_new(
    const DuetRun *run, const char *title, const char *of, gboolean nested, gboolean tcg);
/** duet_phoronix_system: @arm: one that is of it; the counts are of all of it. */
void duet_phoronix_system(
    DuetPhoronix *file, const char *name, guint arm, guint ok, guint failed, guint timeouts);
/** duet_phoronix_result: begins one. @id: at most 44 characters. @scale: the unit of its entries */
void duet_phoronix_result(DuetPhoronix *file, const char *test, const char *id, const char *scale,
    gboolean higher_is_better);
/** duet_phoronix_entry: @name: a system's. @scale: from the values' unit to the result's */
void duet_phoronix_entry(
    DuetPhoronix *file, const char *name, double median, const DuetSeries *series, double scale);
void duet_phoronix_result_end(DuetPhoronix *file);
/** duet_phoronix_finish: frees @file. Returns: (transfer full): its text. */
char *duet_phoronix_finish(DuetPhoronix *file);

G_END_DECLS
