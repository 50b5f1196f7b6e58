/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "memory-analysis.h"

G_BEGIN_DECLS

/** duet_memory_table: Returns: (transfer full): the run for a terminal, within 80 columns. */
char *duet_memory_table(const DuetRun *run, const DuetMemoryAnalysis *analysis);

/** duet_memory_plan_text: Returns: (transfer full): how the samples were taken, in a line. */
char *duet_memory_plan_text(const DuetRun *run);

/** duet_memory_noise_text: Returns: (transfer full): how far the idle host moved, in a line. */
char *duet_memory_noise_text(const DuetMemoryAnalysis *analysis);

/* The row below the breakdown: see duet_memory_managing_share(). */
#define DUET_MEMORY_MANAGING_SHARE "monitor and worker, share of PSS"

/** The run in the formats of other programs: see export.h. Returns: (transfer full). */
char *duet_memory_csv(const DuetRun *run, const DuetMemoryAnalysis *analysis);
char *duet_memory_markdown(const DuetRun *run, const DuetMemoryAnalysis *analysis);
char *duet_memory_openmetrics(const DuetRun *run, const DuetMemoryAnalysis *analysis);

/** DuetMemoryPart: a row of what an instance is made of. @vm_only: a container has no such thing */
typedef struct {
    const char *label;
    DuetMemoryMetric metric;
    gboolean vm_only;
} DuetMemoryPart;

/** duet_memory_breakdown: Returns: the rows, ended by a NULL label. */
const DuetMemoryPart *duet_memory_breakdown(void);
/** duet_memory_part: Returns: (transfer full): what one more instance of @arm has of it, for
 * people. */
char *duet_memory_part(
    const DuetRun *run, const DuetMemoryAnalysis *analysis, guint arm, const DuetMemoryPart *part);

/** DuetMemoryDensity: a way to count how many fit into a GiB. @per_gib: Returns: NAN: not known */
typedef struct {
    const char *label;
    double (*per_gib)(const DuetRun *run, const DuetMemoryAnalysis *analysis, guint arm);
} DuetMemoryDensity;

/** duet_memory_density: Returns: all of them, ended by a NULL label. */
const DuetMemoryDensity *duet_memory_density(void);
/** duet_memory_density_text: Returns: (transfer full): such a number for people. */
char *duet_memory_density_text(double per_gib);
/** duet_memory_density_json: Returns: (transfer full): "per_gib" of an arm. */
JsonObject *duet_memory_density_json(
    const DuetRun *run, const DuetMemoryAnalysis *analysis, guint arm);

/** duet_memory_ksm_table, duet_memory_ksm_markdown: append what KSM did, if it was switched on. */
void duet_memory_ksm_table(
    GString *out, const DuetRun *run, const DuetMemoryArm *arm, guint n_rows);
void duet_memory_ksm_markdown(GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis);

/** duet_memory_balloon_table, duet_memory_balloon_markdown, duet_memory_balloon_json: the same of
 * what instances gave back, if they were shrunk. */
void duet_memory_balloon_table(
    GString *out, const DuetRun *run, const DuetMemoryArm *arm, guint n_rows);
void duet_memory_balloon_markdown(
    GString *out, const DuetRun *run, const DuetMemoryAnalysis *analysis);
void duet_memory_balloon_json(JsonObject *object, const DuetRun *run, const DuetMemoryRow *row);

/** duet_memory_reserved: Returns: what an instance of @arm may use at most; NAN: all there is. */
double duet_memory_reserved(const DuetRunArm *arm);
/** duet_memory_per_gib: Returns: how many of @bytes a GiB holds; NAN: @bytes is not above 0. */
double duet_memory_per_gib(double bytes);

/** duet_memory_result: Returns: (transfer full): the result file's text. */
char *duet_memory_result(const DuetRun *run, const DuetMemoryAnalysis *analysis);

G_END_DECLS
