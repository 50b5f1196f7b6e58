/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "run.h"

G_BEGIN_DECLS

/**
 * duet_resume_load: Returns: (transfer full): the run that was cut short, unchecked, or NULL with
 * @error: nothing was.
 */
DuetRun *duet_resume_load(const char *output_path, const char *part_path, GError **error);

/**
 * duet_resume: loads the run that was cut short and checks that going on with it measures the
 * same.
 * @part_path: its journal; where there is none, @output_path must be an interrupted result
 * @run: (inout) (transfer full): what would be measured now; becomes the loaded one
 *
 * Returns: %FALSE with the errors of duet_journal_open().
 */
gboolean duet_resume(const DuetBenchRequest *request, const char *output_path,
    const char *part_path, DuetRun **run, GError **error);

G_END_DECLS
