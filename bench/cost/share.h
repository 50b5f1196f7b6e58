/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "bench/analysis.h"

G_BEGIN_DECLS

/**
 * duet_share_line: what managing is of the wait for a VM's first output: of each good sample, from
 * `request` until the virtual CPUs run, over the whole headline; the median with its interval. The
 * rest is the guest's.
 * Returns: (transfer full): in words, one sentence for each arm with `running`; or NULL, as for
 * what was nested under TCG.
 */
char *duet_share_line(const DuetRun *run, const DuetAnalysis *analysis);

G_END_DECLS
