/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

#include "bench/result/run.h"

G_BEGIN_DECLS

/**
 * duet_leftover_check: proves the `released` mark of an instance that was to vanish: its monitor
 * is waited for (outside of what is timed, so that its last work doesn't burden the next sample),
 * then nothing of it may be left in the process table, among mounts, cgroups, runtime files
 * and instances. Each find becomes a warning of @sample.
 * @info: (nullable): the instance's last state
 */
void duet_leftover_check(
    DuetContext *context, const char *id, const DuetInfo *info, DuetSample *sample);

G_END_DECLS
