/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "cli/bench-cli.h"

G_BEGIN_DECLS

/**
 * DuetBenchPart: a benchmark of `bench all` and `bench quick`.
 * @kinds: those of the suite's that it takes
 * @all, @quick: its share of the budget; 0: left out. The rest is for the trial and the claims.
 * @before_trial: it needs nothing of what a trial tells, and would suffer from the VM that ran
 * there
 * @own: (nullable): sets an image or a payload of its own. Returns: 0, or an exit code: the part is
 *     left out, or with DUET_BENCH_EXIT_INTERRUPTED all that follows
 * @fit: sets what of the options depends on @share_s. @block_s: what one sample of each arm takes.
 *     Returns: how long it will take, about
 */
typedef struct {
    const char *name;
    DuetBenchWhat what;
    const char *kinds;
    double all, quick;
    gboolean before_trial;
    int (*own)(DuetCli *cli, DuetBenchCli *options);
    double (*fit)(double block_s, double share_s, DuetBenchCli *options);
} DuetBenchPart;

/* In the order in which they are measured; ended by a row without a name. */
extern const DuetBenchPart duet_bench_parts[];

G_END_DECLS
