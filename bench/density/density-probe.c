/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-probe.h"

#include <unistd.h>

#include <duet/error.h>
#include <duet/mark.h>

#include "bench/instance/child.h"
#include "bench/instance/group.h"

/* So many are asked at the same time: a host at its limit shall not be pushed over it by us. */
#define AT_ONCE 8

static DuetDensityAnswer ask(DuetInstance *instance)
{
    static const char *const argv[] = { "true", NULL };
    static const DuetIo nothing = { -1, -1, -1, TRUE };
    DuetExec exec = { .argv = (char **)argv };
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetInfo) info = duet_instance_info(instance, NULL);

    if (!info || info->state != DUET_STATE_RUNNING)
        return DUET_DENSITY_ENDED;
    if (duet_instance_exec(instance, &exec, &nothing, &error) >= 0 ||
        g_error_matches(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND))
        return DUET_DENSITY_ANSWERED;
    return DUET_DENSITY_SILENT;
}

static pid_t ask_in_child(DuetInstance *instance)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(ask(instance));
    return pid;
}

static DuetDensityAnswer wait_for(pid_t pid, gint64 deadline_ns)
{
    int code = duet_child_wait(pid, deadline_ns);

    return code < 0 ? DUET_DENSITY_SILENT : (DuetDensityAnswer)code;
}

void duet_density_probe(GPtrArray *instances, guint timeout_ms, DuetDensityAnswer *out_answers)
{
    for (guint i = 0; i < instances->len; i++)
        out_answers[i] = DUET_DENSITY_SILENT;
    for (guint from = 0; from < instances->len && !duet_signal_waits(); from += AT_ONCE) {
        guint n = MIN(AT_ONCE, instances->len - from);
        pid_t pids[AT_ONCE];
        gint64 deadline_ns = duet_now_ns() + timeout_ms * G_GINT64_CONSTANT(1000000);
        for (guint i = 0; i < n; i++)
            pids[i] = ask_in_child(instances->pdata[from + i]);
        for (guint i = 0; i < n; i++)
            out_answers[from + i] = wait_for(pids[i], deadline_ns);
    }
}
