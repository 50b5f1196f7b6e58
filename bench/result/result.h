/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/analysis.h"

G_BEGIN_DECLS

#define DUET_RESULT_SCHEMA 1

/**
 * duet_result_to_json:
 * Returns: (transfer full): a result file of schema 1 (docs/result-file.md): raw samples first,
 *     summary and comparisons beside them for readers that don't compute.
 */
char *duet_result_to_json(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_result_node_of_run: the part of it that holds what was measured, as a tree. */
JsonNode *duet_result_node_of_run(const DuetRun *run);

/** duet_result_sample: one of its "samples". Returns: (transfer full). */
JsonObject *duet_result_sample(const DuetRun *run, const DuetSample *sample);

/** duet_result_node: the same as a tree, for those that add to it. Returns: (transfer full). */
JsonNode *duet_result_node(const DuetRun *run, const DuetAnalysis *analysis);

/** duet_result_set_contrast: adds a contrast's members, as in "comparisons", to @object. */
void duet_result_set_contrast(
    JsonObject *object, const DuetMeasure *measure, const DuetContrast *contrast);

/**
 * duet_result_summary: Returns: (transfer full): @summary as in "summary".
 * @unit: what the names of its figures end with ("_ns")
 */
JsonObject *duet_result_summary(const DuetSummary *summary, const char *unit);

/** duet_result_comparisons: Returns: (transfer full): "comparisons" of a run's arms. */
JsonArray *duet_result_comparisons(const DuetMatch *match, GArray *comparisons);

/** duet_result_save: writes @json to @path; a reader never sees a part of it. */
gboolean duet_result_save(const char *path, const char *json, GError **error);

/**
 * duet_result_load:
 * Returns: (transfer full): the run, everything but summary and comparisons, which
 *     duet_analysis_new() computes anew; or NULL with %DUET_ERROR_BROKEN, which says where, or
 *     %DUET_ERROR_UNSUPPORTED for another schema.
 */
DuetRun *duet_result_load(const char *path, GError **error);

/** duet_result_load_whole: the same. @out_text: (nullable) (transfer full): the file as it was
 * read.
 */
DuetRun *duet_result_load_whole(const char *path, GBytes **out_text, GError **error);

/** duet_result_parse: the same from text. */
DuetRun *duet_result_parse(const char *json, gssize length, GError **error);

G_END_DECLS
