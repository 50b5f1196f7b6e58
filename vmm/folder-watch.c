/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The end of what serves a VM's folders: before that of its QEMU it is a fault. */
#include "vmm/folders.h"
#include "core/util.h"

#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* It goes when QEMU is gone; if there was none, it waits for ever. */
#define END_TIMEOUT_MS 1000
/* A QEMU that ends lets go of its folders first. */
#define QEMU_END_MS 500

/**
 * DuetVmServer: one virtiofsd
 * @source: what it serves
 * @child: its number, if it is a child, or 0: a daemon ends its own
 * @watch: of its end, then of the time that QEMU has to end as well
 */
typedef struct {
    DuetVm *vm;
    char *source;
    pid_t child;
    int pidfd;
    guint watch;
} DuetVmServer;

static gboolean is_over(int pidfd, int timeout_ms)
{
    struct pollfd over = { .fd = pidfd, .events = POLLIN };
    return pidfd >= 0 && poll(&over, 1, timeout_ms) > 0;
}

/* Its status stays, and with it its number. */
static char *how_it_ended(const DuetVmServer *server)
{
    siginfo_t info = { 0 };
    if (!server->child ||
        waitid(P_PID, (id_t)server->child, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || !info.si_pid)
        return g_strdup("is gone");
    if (info.si_code == CLD_EXITED)
        return g_strdup_printf("ended with exit code %d", info.si_status);
    return g_strdup_printf("was killed by signal %d", info.si_status);
}

static gboolean on_qemu_lives(gpointer data)
{
    DuetVmServer *server = data;
    DuetVm *vm = server->vm;
    server->watch = 0;
    if (vm->fault || vm->pidfd < 0 || vm->ended != DUET_END_UNKNOWN || is_over(vm->pidfd, 0))
        return G_SOURCE_REMOVE;
    g_autofree char *end = how_it_ended(server);
    vm->fault = g_strdup_printf("the folder '%s' can no longer be served: virtiofsd %s; start the "
                                "instance again, or give it --restart on-failure",
        server->source, end);
    syscall(SYS_pidfd_send_signal, vm->pidfd, SIGKILL, NULL, 0);
    return G_SOURCE_REMOVE;
}

static gboolean on_end(int fd, GIOCondition condition, gpointer data)
{
    DuetVmServer *server = data;
    (void)fd;
    (void)condition;
    server->watch = g_timeout_add(QEMU_END_MS, on_qemu_lives, server);
    return G_SOURCE_REMOVE;
}

/* By its pidfd: libvirt lives in this process, and waits for children of its own. */
void duet_vm_server_watch(DuetVm *vm, pid_t pid, gboolean is_child, const char *source)
{
    DuetVmServer *server = g_new0(DuetVmServer, 1);
    server->vm = vm;
    server->source = g_strdup(source);
    server->child = is_child ? pid : 0;
    server->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (server->pidfd >= 0)
        server->watch = g_unix_fd_add(server->pidfd, G_IO_IN, on_end, server);
    g_ptr_array_add(vm->servers, server);
}

void duet_vm_folders_end(DuetVm *vm)
{
    for (guint i = 0; i < vm->servers->len; i++) {
        DuetVmServer *server = vm->servers->pdata[i];
        if (server->watch)
            g_source_remove(server->watch);
        if (server->child && !is_over(server->pidfd, vm->pid > 0 ? END_TIMEOUT_MS : 0))
            kill(server->child, SIGKILL);
        if (server->child)
            waitpid(server->child, NULL, 0);
        duet_fd_clear(&server->pidfd);
        g_free(server->source);
        g_free(server);
    }
    g_ptr_array_set_size(vm->servers, 0);
}
