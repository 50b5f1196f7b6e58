/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "report.h"

G_BEGIN_DECLS

/**
 * DuetReportWriter: a format of reports.
 * @suffix: of a file that is to have it
 * @medium: of the pictures that it shows
 * @write: (nullable): NULL: there is nothing but pictures. @pictures: (nullable): the directory
 *     where they have been drawn; NULL: there are none. @link: (nullable): how the written file
 *     names that directory. @out: gets the text
 */
typedef struct {
    const char *name, *suffix;
    DuetChartMedium medium;
    gboolean (*write)(const DuetReport *report, const char *pictures, const char *link,
        GString *out, GError **error);
} DuetReportWriter;

gboolean duet_report_write_html(
    const DuetReport *report, const char *pictures, const char *link, GString *out, GError **error);
gboolean duet_report_write_markdown(
    const DuetReport *report, const char *pictures, const char *link, GString *out, GError **error);
gboolean duet_report_write_tex(
    const DuetReport *report, const char *pictures, const char *link, GString *out, GError **error);
gboolean duet_report_write_text(
    const DuetReport *report, const char *pictures, const char *link, GString *out, GError **error);

G_END_DECLS
