/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-glib/json-glib.h>

#include "memory-analysis.h"

G_BEGIN_DECLS

/** duet_memory_table: Returns: (transfer full): the run for a terminal, within 80 columns. */
char *duet_memory_table(const DuetRun *run, const DuetMemoryAnalysis *analysis);

/** duet_memory_plan_text: Returns: (transfer full): how the samples were taken, in a line. */
char *duet_memory_plan_text(const DuetRun *run);

/** duet_memory_result: Returns: (transfer full): the result file's text. */
char *duet_memory_result(const DuetRun *run, const DuetMemoryAnalysis *analysis);

G_END_DECLS
