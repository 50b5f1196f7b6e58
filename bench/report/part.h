/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/against/against.h"
#include "bench/analysis.h"
#include "bench/comparison.h"
#include "bench/stats.h"
#include "report.h"

G_BEGIN_DECLS

/**
 * DuetReportPart: what results of one benchmark have to say.
 * @title: of its section; to be translated
 * @add: adds to the report's last section. @id: what names of its pictures begin with
 * @options: appends what its command was given beside what all benchmarks know
 */
typedef struct {
    const char *benchmark, *title;
    void (*add)(DuetReport *report, const DuetRun *run, const char *id);
    void (*options)(GString *command, const DuetRun *run);
} DuetReportPart;

/** duet_report_part: Returns: that of a run's benchmark. */
const DuetReportPart *duet_report_part(const DuetRun *run);

/** duet_report_nth: Returns: how many results of the same benchmark come before number @index of
 * @runs. */
guint duet_report_nth(const GPtrArray *runs, guint index);

/** duet_report_verdicts: VM against container, in a figure and in words, and what is said of both,
 * as far as results tell. @runs: (element-type DuetRun): read from @paths. */
void duet_report_verdicts(DuetReport *report, const GPtrArray *runs, char *const *paths);

/** duet_report_waterfall: what the starts of `bench boot` are made of. */
void duet_report_waterfall(
    DuetReport *report, const DuetRun *run, const DuetAnalysis *analysis, const char *id);

/** duet_report_compared: what `duet compare` has beside its times: outputs, idle memory. */
void duet_report_compared(DuetReport *report, const DuetRun *run);

/** duet_report_changes: of benchmarks with several results: each later one against the first. */
void duet_report_changes(DuetReport *report, const GPtrArray *runs, char *const *paths);

/**
 * DuetReportChange: a result against the first one of its benchmark.
 * @against: (nullable): NULL: they have nothing to compare, as @error tells where there is one
 */
typedef struct {
    const DuetRun *first, *run;
    const char *first_path, *path;
    DuetAgainst *against;
    GError *error;
} DuetReportChange;

/** duet_report_change_row: Returns: (transfer full): an arm, and the metric where there are
 * several. */
char *duet_report_change_row(const DuetAgainst *against, const DuetComparison *comparison);

/** duet_report_course: what becomes of the first result over all others.
 * @changes: (element-type DuetReportChange): in the order given */
void duet_report_course(DuetReport *report, const GPtrArray *changes, const char *id);

/** duet_report_option: appends an option to a command that people are to type. @value: may come
 * from anybody. */
void duet_report_option(GString *command, const char *name, const char *value);

/** duet_report_hosts: in what the hosts and tools of several results differ. */
void duet_report_hosts(DuetReport *report, const GPtrArray *runs, char *const *paths);

/** duet_report_method: how a run was taken: the host, the plan, how to do it again. */
void duet_report_method(DuetReport *report, const DuetRun *run, const char *path);

/* What several parts need. */

/** duet_report_stamp: the figures that follow are of @run, or of two. @other: (nullable). */
void duet_report_stamp(DuetReport *report, const DuetRun *run, const DuetRun *other);

/** duet_report_kind_color: Returns: (nullable): the colour that stands for a kind everywhere. */
const char *duet_report_kind_color(const char *kind);

/** duet_report_colors: gives each arm of all @runs (element-type DuetRun) its colour on the page.
 */
void duet_report_colors(DuetReport *report, const GPtrArray *runs);
/** duet_report_arms: gives @chart the names and colours of some arms. @arms: (element-type guint).
 */
void duet_report_arms(
    const DuetReport *report, DuetChart *chart, const DuetRun *run, const GArray *arms);

/* More dots than this on a page tell no more, and make it heavy: every so many-th is drawn. */
#define DUET_REPORT_DOTS_MAX 400
/** duet_report_every: Returns: every which of @n is drawn, so that there are not more than @most.
 */
gsize duet_report_every(gsize n, gsize most);

/** duet_report_comparisons: a table of them, if there are any. */
void duet_report_comparisons(
    DuetReport *report, const char *caption, const DuetMatch *match, const GArray *comparisons);

/** duet_report_notes: what a reader must know of a run. @notes: (element-type DuetNote). */
void duet_report_notes(DuetReport *report, const GPtrArray *notes);

/** duet_report_time_cells: Returns: (transfer full): the cells that describe a series of times:
 * ok, failed, median, 95 %, IQR, p95, p99. */
GPtrArray *duet_report_time_cells(
    const char *name, guint ok, guint failed, const DuetSummary *summary);
/** duet_report_time_table: Returns: (transfer none): a table of such rows, with its head. */
DuetReportTable *duet_report_time_table(DuetReport *report, const char *caption);

extern const DuetReportPart duet_report_boot, duet_report_cost, duet_report_memory,
    duet_report_density, duet_report_overhead, duet_report_load;

G_END_DECLS
