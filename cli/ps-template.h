/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/cli.h"

G_BEGIN_DECLS

/**
 * DuetPsTemplate: `ps --format '{{.ID}} {{.Names}}'`: of Go's templates, which podman has, fields
 * alone, and `{{json .}}`. "\t" and "\n" are a tab and a newline.
 */
typedef struct _DuetPsTemplate DuetPsTemplate;

/** duet_ps_template_is: whether @format is meant as one. */
gboolean duet_ps_template_is(const char *format);

/** duet_ps_template_new: Returns: (transfer full): NULL with %DUET_ERROR_INVALID. */
DuetPsTemplate *duet_ps_template_new(const char *format, GError **error);
void duet_ps_template_free(DuetPsTemplate *template);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetPsTemplate, duet_ps_template_free)

/** duet_ps_template_line: Returns: (transfer full): what there is to be said of @info. @whole: its
 * command is not cut short */
char *duet_ps_template_line(
    const DuetPsTemplate *template, DuetContext *context, const DuetInfo *info, gboolean whole);

/** duet_ps_command: Returns: (transfer full): one line. */
char *duet_ps_command(const DuetInfo *info, gboolean whole);

G_END_DECLS
