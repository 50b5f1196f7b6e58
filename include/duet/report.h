/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetReportRequest: what `duet report` was asked.
 * @results: paths of result files, at least one
 * @format: (nullable): "text", "html", "md", "tex", "svg", "pdf" or "png"; NULL: what @output's
 *     suffix says, or text without one
 * @language: (nullable): "en" or "ko"; NULL: the user's
 * @output: (nullable): a file, or of pictures alone a directory; NULL: standard output
 * @keep: leave the scripts and data of the pictures beside @output
 * @notice: (nullable): called with what the user should know of the report
 */
typedef struct {
    char *const *results;
    const char *format;
    const char *language;
    const char *output;
    gboolean keep;
    void (*notice)(const char *line);
} DuetReportRequest;

/**
 * DuetReportOps: pages of result files. In the module "duet-tools" under the symbol "duet_report".
 */
typedef struct {
    /**
     * report: fails with %DUET_ERROR_BROKEN or %DUET_ERROR_UNSUPPORTED for what is no result file,
     * with %DUET_ERROR_UNSUPPORTED where pictures are wanted and there is no gnuplot.
     * @out_text: (out) (transfer full): for standard output; empty if all is in @output
     */
    gboolean (*report)(const DuetReportRequest *request, char **out_text, GError **error);
} DuetReportOps;

extern const DuetReportOps duet_report;

G_END_DECLS
