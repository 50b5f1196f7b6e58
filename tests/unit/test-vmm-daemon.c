/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read of a libvirt daemon's doings; the rest is in connect.bats. */
#include "core/cgroup/cgroup.h"
#include "core/util.h"
#include "vmm/daemon/daemon-ssh.h"
#include "vmm/daemon/daemon.h"

#include <fcntl.h>
#include <string.h>
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

static void assert_ssh(const char *uri, const char *target, const char *expected)
{
    g_auto(GStrv) words = duet_vm_ssh_argv(uri, "true", NULL);
    g_autofree char *line = g_strjoinv(" ", words);
    g_autofree char *named = duet_vm_ssh_target(uri);
    g_assert_cmpstr(line, ==, expected);
    g_assert_cmpstr(named, ==, target);
}

/* What is looked for is only whether there is one: hosts without it test the rest. */
static char *provide_ssh(void)
{
    char *dir = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    g_autofree char *program = g_build_filename(dir, "ssh", NULL);
    g_autofree char *path = g_strconcat(g_getenv("PATH"), ":", dir, NULL);
    g_assert_true(g_file_set_contents_full(program, "", 0, G_FILE_SET_CONTENTS_NONE, 0755, NULL));
    g_setenv("PATH", path, TRUE);
    return dir;
}

/* As libvirt itself would log in there, but with nobody to ask. */
static void test_ssh(void)
{
    g_autofree char *dir = provide_ssh();
    assert_ssh("qemu+ssh://far/system", "far",
        "timeout 20 ssh -o BatchMode=yes -o ConnectTimeout=10 -T -- far true");
    assert_ssh("qemu+ssh://me@[::1]:2222/session?keyfile=/k%20y&no_verify=1&command=env",
        "-p 2222 me@::1",
        "timeout 20 env -p 2222 -l me -i /k y -o BatchMode=yes -o ConnectTimeout=10 -o "
        "StrictHostKeyChecking=no -T -- ::1 true");
    assert_ssh("qemu+ssh://far/system?KeyFile=/session/k;Command=env", "far",
        "timeout 20 env -i /session/k -o BatchMode=yes -o ConnectTimeout=10 -T -- far true");
    g_assert_false(duet_vm_ssh_is_session("qemu+ssh://far/system?keyfile=/session/k"));
    g_assert_true(duet_vm_ssh_is_session("qemu+ssh://far/session?keyfile=/k"));
    g_autoptr(GError) error = NULL;
    g_assert_null(duet_vm_ssh_argv("qemu+ssh://far/system?command=/no/such", "true", &error));
    g_assert_nonnull(strstr(error->message, "/no/such"));
    g_autofree char *plain = duet_vm_ssh_uri("qemu+ssh://far/system");
    g_autofree char *more = duet_vm_ssh_uri("qemu+ssh://far/system?keyfile=/k%20y");
    g_autofree char *given = duet_vm_ssh_uri("qemu+ssh://far/system?no_tty=0");
    g_assert_cmpstr(plain, ==, "qemu+ssh://far/system?no_tty=1");
    g_assert_cmpstr(more, ==, "qemu+ssh://far/system?keyfile=/k%20y&no_tty=1");
    g_assert_cmpstr(given, ==, "qemu+ssh://far/system?no_tty=0");
    g_assert_false(duet_vm_ssh_is("qemu:///system"));
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

static void assert_advice(const char *said, const char *word)
{
    g_autofree char *advice = duet_vm_ssh_advice("me@far", said);
    g_assert_nonnull(strstr(advice, word));
    g_assert_null(strstr(advice, "%s"));
}

static void test_ssh_advice(void)
{
    assert_advice("Host key verification failed.", "ssh me@far");
    assert_advice("WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\nHost key verification failed.",
        "ssh-keygen -R");
    assert_advice("me@far: Permission denied (publickey).", "ssh-copy-id me@far");
    assert_advice("ssh: Could not resolve hostname far: Name or service not known", "name right");
    assert_advice("connect to host far port 22: Connection refused", "start sshd");
    assert_advice("connect to host far port 22: Connection timed out", "is it up");
    assert_advice("Bad owner or permissions", "ssh me@far true");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmm-daemon/v1", test_v1);
    g_test_add_func("/vmm-daemon/systemd", test_systemd);
    g_test_add_func("/vmm-daemon/session", test_session);
    g_test_add_func("/vmm-daemon/foreign", test_foreign);
    g_test_add_func("/vmm-daemon/ssh", test_ssh);
    g_test_add_func("/vmm-daemon/ssh-advice", test_ssh_advice);
    return g_test_run();
}
