/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/hold.h"
#include "core/util.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define QMP_NAME "/monitor.sock"

/* Whether @fd is a connection that was accepted at libvirt's QMP socket. */
static gboolean is_qmp(int fd)
{
    struct sockaddr_un address = { 0 };
    socklen_t length = sizeof address;
    int listens = 1;
    socklen_t listens_size = sizeof listens;
    if (getsockname(fd, (struct sockaddr *)&address, &length) < 0 ||
        address.sun_family != AF_UNIX ||
        getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) < 0 || listens)
        return FALSE;
    gsize end = strnlen(address.sun_path, sizeof address.sun_path);
    gsize name = strlen(QMP_NAME);
    return end > name && memcmp(address.sun_path + end - name, QMP_NAME, name) == 0;
}

int duet_vm_hold_monitor(pid_t qemu, int pidfd)
{
    g_autofree char *dir = g_strdup_printf("/proc/%d/fd", (int)qemu);
    g_autoptr(GDir) names = g_dir_open(dir, 0, NULL);
    const char *name;
    while (names && (name = g_dir_read_name(names))) {
        char target[64];
        g_autofree char *path = g_build_filename(dir, name, NULL);
        ssize_t n = readlink(path, target, sizeof target);
        if (n < 7 || memcmp(target, "socket:", 7) != 0)
            continue;
        DUET_AUTO_FD fd = (int)syscall(SYS_pidfd_getfd, pidfd, atoi(name), 0);
        if (fd >= 0 && is_qmp(fd))
            return duet_fd_steal(&fd);
    }
    return -1;
}
