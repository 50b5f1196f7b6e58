/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-probe.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/mark.h>

#include "core/util.h"

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
    int status = 0;

    if (pid < 0)
        return DUET_DENSITY_SILENT;
    DUET_AUTO_FD pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd wait = { .fd = pidfd, .events = POLLIN };
    int ready;
    do {
        gint64 left_ms = MAX((deadline_ns - duet_now_ns()) / 1000000, 0);
        ready = poll(&wait, 1, (int)left_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready != 1)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return ready == 1 && WIFEXITED(status) ? (DuetDensityAnswer)WEXITSTATUS(status)
                                           : DUET_DENSITY_SILENT;
}

void duet_density_probe(GPtrArray *instances, guint timeout_ms, DuetDensityAnswer *out_answers)
{
    for (guint from = 0; from < instances->len; from += AT_ONCE) {
        guint n = MIN(AT_ONCE, instances->len - from);
        pid_t pids[AT_ONCE];
        gint64 deadline_ns = duet_now_ns() + timeout_ms * G_GINT64_CONSTANT(1000000);
        for (guint i = 0; i < n; i++)
            pids[i] = ask_in_child(instances->pdata[from + i]);
        for (guint i = 0; i < n; i++)
            out_answers[from + i] = wait_for(pids[i], deadline_ns);
    }
}
