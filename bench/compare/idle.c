/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "idle.h"

#include "bench/instance/group.h"

void duet_idle_clear(DuetIdle *idle)
{
    g_clear_pointer(&idle->error, g_free);
}

void duet_idle_measure(
    DuetContext *context, const DuetBenchArm *arm, guint age_ms, DuetRun *run, DuetIdle *out_idle)
{
    g_autoptr(GError) error = NULL;
    DuetIdle idle = { 0 };
    DuetGroup group;

    duet_group_init(&group, context, arm->spec);
    group.idle = TRUE;
    idle.measured = duet_group_start(&group, &error) && duet_group_wait(&group, age_ms, &error) &&
        duet_group_read(&group, 0, &idle.memory, &idle.age_ns, &error);
    duet_group_clear(&group, run->warnings);
    idle.interrupted = group.interrupted;
    if (!idle.measured)
        idle.error = g_strdup(error->message);
    run->interrupted |= idle.interrupted;
    *out_idle = idle;
}
