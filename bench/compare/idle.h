/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/bench.h>

#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * DuetIdle: memory of one instance that does nothing, at a stated age.
 * @measured: there are figures
 * @error: (nullable): why not
 * @interrupted: the user wanted an end while it was waited
 * @age_ns: time since `exec` when it was read
 */
typedef struct {
    gboolean measured;
    char *error;
    gboolean interrupted;
    gint64 age_ns;
    DuetMemory memory;
} DuetIdle;

void duet_idle_clear(DuetIdle *idle);

/**
 * duet_idle_measure: starts an idle instance of @arm alone, waits until it is @age_ms old, reads
 * its memory and ends it.
 * @run: gets a warning if something of it is left behind; becomes interrupted by a signal
 */
void duet_idle_measure(
    DuetContext *context, const DuetBenchArm *arm, guint age_ms, DuetRun *run, DuetIdle *out_idle);

G_END_DECLS
