/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read of a libvirt daemon's doings; the rest is in connect.bats. */
#include "core/cgroup.h"
#include "vmm/daemon.h"

#include <fcntl.h>
#include <unistd.h>

static void assert_cgroup(const char *text, guint id, const char *expected)
{
    g_autofree char *found = duet_vm_daemon_cgroup(text, id);
    g_assert_cmpstr(found, ==, expected);
}

static void test_v1(void)
{
    static const char text[] = "8:pids:/\n"
                               "4:memory:/machine/qemu-1-duet-y.libvirt-qemu\n"
                               "2:cpu,cpuacct:/machine/qemu-1-duet-y.libvirt-qemu/emulator\n"
                               "1:name=systemd:/system.slice/libvirtd.service\n"
                               "0::/\n";
    assert_cgroup(text, 1,
        "memory:/machine/qemu-1-duet-y.libvirt-qemu "
        "cpu,cpuacct:/machine/qemu-1-duet-y.libvirt-qemu");
    /* Another domain's: a number of QEMU's pid that was used again. */
    assert_cgroup(text, 11, NULL);
}

static void test_systemd(void)
{
    static const char text[] =
        "0::/machine.slice/machine-qemu\\x2d12\\x2dduet\\x2dbox.scope/libvirt/emulator\n";
    assert_cgroup(text, 12, "v2:/machine.slice/machine-qemu\\x2d12\\x2dduet\\x2dbox.scope/libvirt");
    assert_cgroup(text, 1, NULL);
}

/* A daemon without cgroups: what QEMU is in is the daemon's, and the user's. */
static void test_session(void)
{
    assert_cgroup("0::/user.slice/user-1000.slice/session-2.scope\n", 1, NULL);
    assert_cgroup("", 1, NULL);
}

static void test_foreign(void)
{
    g_assert_null(duet_cgroup_open_foreign(""));
    g_assert_null(duet_cgroup_open_foreign("memory:/nosuch nosuch:/ v2:"));
    g_autofree char *own = NULL;
    g_assert_true(g_file_get_contents("/proc/self/cgroup", &own, NULL, NULL));
    g_auto(GStrv) lines = g_strsplit(own, "\n", -1);
    for (char **line = lines; *line && **line; line++) {
        g_auto(GStrv) parts = g_strsplit(*line, ":", 3);
        g_autofree char *path = g_strconcat(*parts[1] ? parts[1] : "v2", ":", parts[2], NULL);
        g_autoptr(DuetCgroup) cgroup = duet_cgroup_open_foreign(path);
        g_autoptr(GArray) pids = cgroup ? duet_cgroup_pids(cgroup, DUET_CGROUP_PAYLOAD) : NULL;
        gboolean found = FALSE;
        for (guint i = 0; pids && i < pids->len; i++)
            found |= g_array_index(pids, int, i) == getpid();
        g_autofree char *files =
            g_strconcat("/sys/fs/cgroup", parts[2], "/cgroup.controllers", NULL);
        g_autofree char *controllers = NULL;
        if (!*parts[1])
            g_file_get_contents(files, &controllers, NULL, NULL);
        if (g_str_equal(parts[1], "memory") || (controllers && strstr(controllers, "memory")))
            g_assert_true(found);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmm-daemon/v1", test_v1);
    g_test_add_func("/vmm-daemon/systemd", test_systemd);
    g_test_add_func("/vmm-daemon/session", test_session);
    g_test_add_func("/vmm-daemon/foreign", test_foreign);
    return g_test_run();
}
