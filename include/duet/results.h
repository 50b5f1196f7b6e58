/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetResultsCompare: what `bench compare` was asked.
 * @first, @second: paths of result files
 * @format: (nullable): "table", "json" or "md"
 * @metrics: (nullable): comma-separated ids of metrics; NULL: the headline
 * @floor: the smallest relative effect that may be called a difference; negative: as the runs say
 * @force: compare runs that are not alike
 * @ratio_with_failures: compare arms although samples of theirs failed
 */
typedef struct {
    const char *first, *second;
    const char *format;
    const char *metrics;
    double floor;
    gboolean force;
    gboolean ratio_with_failures;
} DuetResultsCompare;

/**
 * DuetResultsImport: what `bench import` was asked.
 * @arms: "NAME=FILE", one number a line; or files that hyperfine exported as JSON, with or without
 *     a name
 * @unit: (nullable): of the numbers: "ns", "us", "ms" (NULL) or "s"
 * @column: which number of a line, from 1
 * @kind: of arms that are not themselves called "vm", "container" or "native"
 * @output: where the result goes
 */
typedef struct {
    char *const *arms;
    const char *unit;
    guint column;
    const char *kind;
    const char *output;
} DuetResultsImport;

/**
 * DuetResultsOps: what is done with result files alone, without measuring. In the module
 * "duet-tools" under the symbol "duet_results". Files may come from anybody. All fail with
 * %DUET_ERROR_BROKEN or %DUET_ERROR_UNSUPPORTED for what is no result file of a known schema.
 */
typedef struct {
    /**
     * show: a run in a format of @formats.
     * @format: (nullable): "table" if NULL
     * @ratio_with_failures: as in #DuetResultsCompare; the run does not remember that wish
     */
    gboolean (*show)(const char *path, const char *format, gboolean ratio_with_failures,
        char **out_text, GError **error);
    /**
     * check: all that makes a run weak.
     * @format: (nullable): "table" or "json"
     * @out_weak: whether there is anything
     */
    gboolean (*check)(
        const char *path, const char *format, char **out_text, gboolean *out_weak, GError **error);
    gboolean (*compare)(const DuetResultsCompare *request, char **out_text, GError **error);
    /** import: times that others measured, as a result of `bench boot`. */
    gboolean (*import)(const DuetResultsImport *request, GError **error);
} DuetResultsOps;

extern const DuetResultsOps duet_results;

G_END_DECLS
