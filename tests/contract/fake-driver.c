/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/contract/fake-driver.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    DuetRuntime base;
    pid_t pid;
} Fake;

void (*fake_agent)(int fd);
guint fake_boot_timeout_s;
const char *fake_console;

static G_NORETURN void run_agent(int fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (fake_agent) {
        fake_agent(fd);
        _exit(0);
    }
    dup2(fd, 3);
    for (int other = 4; other < 256; other++)
        close(other);
    execl(g_getenv("DUET_TEST_AGENT"), "duet-agent", "native", NULL);
    _exit(127);
}

static gboolean fake_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error)
{
    Fake *fake = (Fake *)runtime;
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return duet_error_set_errno(error, errno, "socketpair");
    fake->pid = fork();
    if (fake->pid == 0) {
        close(fds[0]);
        run_agent(fds[1]);
    }
    close(fds[1]);
    duet_marks_set(marks, DUET_MARK_SPAWNED);
    out_started->agent_fd = fds[0];
    out_started->pidfd = pidfd_open(fake->pid, 0);
    out_started->pid = fake->pid;
    out_started->boot_timeout_s = fake_boot_timeout_s;
    return TRUE;
}

static gboolean fake_kill(DuetRuntime *runtime, GError **error)
{
    (void)error;
    kill(((Fake *)runtime)->pid, SIGKILL);
    return TRUE;
}

static gboolean fake_release(DuetRuntime *runtime, GError **error)
{
    (void)runtime;
    (void)error;
    return TRUE;
}

static char *fake_console_tail(DuetRuntime *runtime)
{
    (void)runtime;
    return g_strdup(fake_console);
}

static void fake_free(DuetRuntime *runtime)
{
    g_free(runtime);
}

static const DuetRuntimeOps fake_ops = {
    .start = fake_start,
    .kill = fake_kill,
    .release = fake_release,
    .console_tail = fake_console_tail,
    .free = fake_free,
};

static DuetRuntime *fake_create(const DuetSpec *spec, const DuetPlace *place, GError **error)
{
    (void)spec;
    (void)place;
    (void)error;
    Fake *fake = g_new0(Fake, 1);
    fake->base.ops = &fake_ops;
    return &fake->base;
}

const DuetDriverOps fake_driver = {
    .name = "fake",
    .kind = DUET_KIND_CONTAINER,
    .create = fake_create,
};
