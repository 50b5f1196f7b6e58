/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/kvm-probe.h"
#include "core/util.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Nobody's. */
#define TEST_ID 48123

static void assert_stage(const char *device, DuetKvmStage stage)
{
    g_autoptr(DuetKvm) kvm = duet_kvm_probe(device);
    g_assert_cmpint(kvm->stage, ==, stage);
    g_assert_nonnull(strstr(kvm->reason, device));
}

static void test_absent(void)
{
    assert_stage("/nonexistent/kvm", DUET_KVM_ABSENT);
}

static char *temp_dir(void)
{
    char *dir = g_dir_make_tmp("duet-kvm-XXXXXX", NULL);
    g_assert_nonnull(dir);
    return dir;
}

static void test_impostors(void)
{
    g_autofree char *dir = temp_dir();
    g_autofree char *plain = g_build_filename(dir, "plain", NULL);
    g_autofree char *fifo = g_build_filename(dir, "fifo", NULL);
    g_assert_true(g_file_set_contents(plain, "", 0, NULL));
    g_assert_cmpint(mkfifo(fifo, 0666), ==, 0);
    assert_stage(plain, DUET_KVM_NO_DEVICE);
    assert_stage(fifo, DUET_KVM_NO_DEVICE);
    assert_stage("/dev/null", DUET_KVM_NO_DEVICE);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

/* Whatever this host has: an answer, in bounded time, and the same one from the cache at once. */
static void test_host(void)
{
    g_autofree char *dir = temp_dir();
    gint64 start_us = g_get_monotonic_time();
    g_autoptr(DuetKvm) first = duet_kvm_probe_cached("/dev/kvm", dir);
    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 5 * G_USEC_PER_SEC);
    g_test_message("/dev/kvm: %s", first->reason);
    g_autofree char *path = g_build_filename(dir, "kvm-verdict", NULL);
    struct stat before, after;
    g_assert_cmpint(stat(path, &before), ==, 0);
    g_autoptr(DuetKvm) second = duet_kvm_probe_cached("/dev/kvm", dir);
    g_assert_cmpint(stat(path, &after), ==, 0);
    g_assert_cmpint(first->stage, ==, second->stage);
    g_assert_cmpstr(first->reason, ==, second->reason);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

static void test_stale_cache(void)
{
    static const char *const texts[] = { "", "1 other-boot\n6\nusable\n", "x\n99\ny\n",
        "\n\n\n\n" };
    g_autofree char *dir = temp_dir();
    g_autofree char *path = g_build_filename(dir, "kvm-verdict", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
        g_autoptr(DuetKvm) kvm = duet_kvm_probe_cached("/dev/null", dir);
        g_assert_cmpint(kvm->stage, ==, DUET_KVM_NO_DEVICE);
    }
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

/* udev touches the node whenever anybody makes a VM; that is no news. An access list is. */
static void test_node_touched(void)
{
    g_autofree char *dir = temp_dir();
    g_autofree char *device = g_build_filename(dir, "kvm", NULL);
    g_autofree char *path = g_build_filename(dir, "kvm-verdict", NULL);
    g_assert_true(g_file_set_contents(device, "", 0, NULL));
    duet_kvm_free(duet_kvm_probe_cached(device, dir));
    struct stat before, touched, listed;
    g_assert_cmpint(stat(path, &before), ==, 0);
    g_assert_cmpint(utimensat(AT_FDCWD, device, NULL, 0), ==, 0);
    duet_kvm_free(duet_kvm_probe_cached(device, dir));
    g_assert_cmpint(stat(path, &touched), ==, 0);
    g_assert_cmpuint(before.st_ino, ==, touched.st_ino);
    /* setfacl -m u:12345:rw, as the kernel keeps it; the mode stays the same. */
    static const guint8 acl[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 6, 0, 57, 48, 0,
        0, 4, 0, 6, 0, 255, 255, 255, 255, 16, 0, 6, 0, 255, 255, 255, 255, 32, 0, 6, 0, 255, 255,
        255, 255 };
    g_assert_cmpint(chmod(device, 0666), ==, 0);
    duet_kvm_free(duet_kvm_probe_cached(device, dir));
    g_assert_cmpint(stat(path, &before), ==, 0);
    g_assert_cmpint(setxattr(device, "system.posix_acl_access", acl, sizeof acl, 0), ==, 0);
    duet_kvm_free(duet_kvm_probe_cached(device, dir));
    g_assert_cmpint(stat(path, &listed), ==, 0);
    g_assert_cmpuint(before.st_ino, !=, listed.st_ino);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

/* The device's file changed its permissions: an old "no" must not outlive the cure. */
static void test_permission_change(void)
{
    g_autofree char *dir = temp_dir();
    g_autofree char *device = g_build_filename(dir, "kvm", NULL);
    g_autoptr(DuetKvm) absent = duet_kvm_probe_cached(device, dir);
    g_assert_cmpint(absent->stage, ==, DUET_KVM_ABSENT);
    g_assert_true(g_file_set_contents(device, "", 0, NULL));
    g_autoptr(DuetKvm) plain = duet_kvm_probe_cached(device, dir);
    g_assert_cmpint(plain->stage, ==, DUET_KVM_NO_DEVICE);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

/* What a caller with (or without) the device's group is told: its stage. */
static int stage_as(const char *device, const char *dir, gid_t group, gboolean is_member)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (setgroups(is_member, &group) < 0 || setresgid(TEST_ID, TEST_ID, TEST_ID) < 0 ||
            setresuid(TEST_ID, TEST_ID, TEST_ID) < 0)
            _exit(255);
        _exit(duet_kvm_probe_cached(device, dir)->stage);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return WEXITSTATUS(status);
}

/* The advice is to join the group kvm: whoever did, and logged in anew, is not told the old "no".
 */
static void test_group_change(void)
{
    if (geteuid() != 0) {
        g_test_skip("needs root to change its groups");
        return;
    }
    g_autofree char *dir = temp_dir();
    g_autofree char *device = g_build_filename(dir, "kvm", NULL);
    g_assert_true(g_file_set_contents(device, "", 0, NULL));
    g_assert_cmpint(chmod(dir, 0777), ==, 0);
    g_assert_cmpint(chown(device, 0, TEST_ID + 1), ==, 0);
    g_assert_cmpint(chmod(device, 0660), ==, 0);
    g_assert_cmpint(stage_as(device, dir, TEST_ID + 1, FALSE), ==, DUET_KVM_FORBIDDEN);
    g_assert_cmpint(stage_as(device, dir, TEST_ID + 1, TRUE), ==, DUET_KVM_NO_DEVICE);
    g_assert_cmpint(stage_as(device, dir, TEST_ID + 1, FALSE), ==, DUET_KVM_FORBIDDEN);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

/* What is lacking for a moment is no verdict for the whole boot. */
static void test_passing(void)
{
    g_autofree char *dir = temp_dir();
    g_autofree char *path = g_build_filename(dir, "kvm-verdict", NULL);
    struct rlimit before, tight;
    int next_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(next_fd);
    g_assert_cmpint(getrlimit(RLIMIT_NOFILE, &before), ==, 0);
    tight = before;
    tight.rlim_cur = next_fd + 1; /* enough for a file, not for a pipe */
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &tight), ==, 0);
    g_autoptr(DuetKvm) poor = duet_kvm_probe_cached("/dev/null", dir);
    g_assert_cmpint(setrlimit(RLIMIT_NOFILE, &before), ==, 0);
    g_assert_cmpint(poor->err, ==, EMFILE);
    g_assert_cmpint(access(path, F_OK), ==, -1);
    g_autoptr(DuetKvm) rich = duet_kvm_probe_cached("/dev/null", dir);
    g_assert_cmpint(rich->stage, ==, DUET_KVM_NO_DEVICE);
    g_assert_cmpint(access(path, F_OK), ==, 0);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmm-kvm/absent", test_absent);
    g_test_add_func("/vmm-kvm/impostors", test_impostors);
    g_test_add_func("/vmm-kvm/host", test_host);
    g_test_add_func("/vmm-kvm/stale-cache", test_stale_cache);
    g_test_add_func("/vmm-kvm/node-touched", test_node_touched);
    g_test_add_func("/vmm-kvm/permission-change", test_permission_change);
    g_test_add_func("/vmm-kvm/group-change", test_group_change);
    g_test_add_func("/vmm-kvm/passing", test_passing);
    return g_test_run();
}
