/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cgroup/cgroup-private.h"
#include "core/rootless.h"
#include "core/stray.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static const DuetIdRange *at(const GArray *ranges, guint i)
{
    g_assert_cmpuint(i, <, ranges->len);
    return &g_array_index(ranges, DuetIdRange, i);
}

static void test_ids_parse(void)
{
    g_autoptr(GArray) ranges = duet_ids_parse(
        "root:1:9\nme:100000:65536\n1000:300000:10\nme2:5:5\nme:400000:1\n", "me", 1000, 1000);
    g_assert_cmpuint(ranges->len, ==, 4);
    g_assert_cmpuint(at(ranges, 0)->outside, ==, 1000);
    g_assert_cmpuint(at(ranges, 0)->count, ==, 1);
    g_assert_cmpuint(at(ranges, 1)->inside, ==, 1);
    g_assert_cmpuint(at(ranges, 1)->outside, ==, 100000);
    g_assert_cmpuint(at(ranges, 2)->inside, ==, 65537);
    g_assert_cmpuint(at(ranges, 3)->inside, ==, 65547);
    g_assert_true(duet_ids_contain(ranges, 0));
    g_assert_true(duet_ids_contain(ranges, 65547));
    g_assert_false(duet_ids_contain(ranges, 65548));
}

/* Anybody's text: nothing overlaps, nothing wraps around. */
static void test_ids_hostile(void)
{
    g_autoptr(GArray) ranges = duet_ids_parse("me:1\nme:1:2:3\nme:x:1\nme:1:x\nme:-1:5\nme:0:5\n"
                                              "me:5:0\nme:99999999999:1\n:1:1\n\nme:7:4294967294\n"
                                              "me:8:4294967294\nme:9:1",
        "me", 1000, 1000);
    g_assert_cmpuint(ranges->len, ==, 2);
    g_assert_cmpuint(at(ranges, 1)->outside, ==, 7);
    g_assert_cmpuint(at(ranges, 1)->inside + at(ranges, 1)->count, <=, G_MAXUINT32 - 1);
}

/* Runs @body as nobody in a child, which exits with the number of the line that failed. */
static void in_child(int (*body)(void))
{
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 &&
            (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0))
            _exit(250);
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* as after an exec */
        _exit(body());
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

static int in_and_out(void)
{
    uid_t uid = geteuid();
    g_autoptr(GError) error = NULL;
    if (!duet_is_rootless() || !duet_is_flat() || duet_rootless_uid() != uid)
        return 1;
    if (!duet_rootless_enter(&error) || geteuid() != 0 || getegid() != 0)
        return 2;
    if (!duet_is_rootless() || duet_is_flat() || duet_rootless_uid() != uid)
        return 3;
    if (!duet_rootless_enter(&error) || !duet_rootless_leave(&error) || geteuid() != uid)
        return 4;
    return duet_is_rootless() && duet_is_flat() && duet_rootless_uid() == uid ? 0 : 5;
}

static void test_enter_and_leave(void)
{
    in_child(in_and_out);
}

/* Root stays where it is, and what it is. */
static void test_root_stays(void)
{
    struct stat before, after;
    g_autoptr(GError) error = NULL;
    if (geteuid() != 0)
        return;
    g_assert_cmpint(stat("/proc/self/ns/user", &before), ==, 0);
    g_assert_true(duet_rootless_enter(&error));
    g_assert_true(duet_rootless_leave(&error));
    g_assert_cmpint(stat("/proc/self/ns/user", &after), ==, 0);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    g_assert_false(duet_is_rootless());
}

static const char *const id = "0123456789ab";

static int without_cgroup(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) layout = duet_cgroup_layout_parse("", "");
    DuetLimits none = { 0 }, memory = { .memory_bytes = 1 << 30 };
    DuetLimits guards = {
        .memory_bytes = 1, .cpus = 1, .memory_is_guard = TRUE, .cpus_is_guard = TRUE
    };
    if (duet_cgroup_new_in(layout, id, &memory, &error) ||
        !g_error_matches(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED))
        return 1;
    g_clear_error(&error);
    g_autoptr(DuetCgroup) guarded = duet_cgroup_new_in(layout, id, &guards, &error);
    g_autoptr(DuetCgroup) made = duet_cgroup_new_in(layout, id, &none, &error);
    g_autoptr(DuetCgroup) opened = duet_cgroup_open("none", id, &error);
    DuetCgroup *all[] = { guarded, made, opened };
    for (guint i = 0; i < G_N_ELEMENTS(all); i++) {
        DuetCgroupUsage usage = { .cpu_ns = 1 };
        if (!all[i] || !g_str_equal(duet_cgroup_path(all[i]), DUET_CGROUP_NONE) ||
            duet_cgroup_tracks(all[i], DUET_CGROUP_PAYLOAD))
            return 2;
        duet_cgroup_usage(all[i], DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_ALL, &usage);
        g_autoptr(GArray) pids = duet_cgroup_pids(all[i], DUET_CGROUP_PAYLOAD);
        if (usage.cpu_ns != 0 || pids->len != 0 ||
            duet_cgroup_join(all[i], DUET_CGROUP_PAYLOAD) != 0 ||
            duet_cgroup_clone_fd(all[i], DUET_CGROUP_PAYLOAD) != -1)
            return 3;
        if (duet_cgroup_freeze(all[i], TRUE, NULL) ||
            !duet_cgroup_kill(all[i], DUET_CGROUP_PAYLOAD, 10, NULL) ||
            !duet_cgroup_remove(all[i], NULL))
            return 4;
    }
    return 0;
}

static void test_without_cgroup(void)
{
    in_child(without_cgroup);
}

/* Locks @path, says so by @go_fd, and waits to be killed. */
static G_NORETURN void hold_lock(const char *path, int go_fd)
{
    int fd = open(path, O_RDWR);
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_SETLK, &lock) == 0)
        (void)!write(go_fd, "x", 1);
    for (;;)
        pause();
}

static void test_stray_holder(void)
{
    g_autofree char *dir = g_dir_make_tmp("duet-stray-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, DUET_STRAY_LOCK, NULL);
    g_autofree char *own = g_strdup_printf("%d\n", (int)getpid());
    char byte;
    int fds[2], status = 0;
    duet_stray_kill_holder(dir); /* nothing there */
    /* A number without a lock is no reason to kill: it would be us. */
    g_assert_true(g_file_set_contents(path, own, -1, NULL));
    duet_stray_kill_holder(dir);
    g_assert_cmpint(pipe(fds), ==, 0);
    pid_t pid = fork();
    if (pid == 0)
        hold_lock(path, fds[1]);
    g_assert_cmpint(read(fds[0], &byte, 1), ==, 1);
    duet_stray_kill_holder(dir);
    g_assert_cmpint(waitpid(pid, &status, WNOHANG), ==, pid);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    close(fds[0]);
    close(fds[1]);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

/* A child, and a grandchild that becomes one when its parent dies, and ignores signals. */
static int kill_children(void)
{
    int fds[2];
    char bytes[2];
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (pipe(fds) < 0)
        return 1;
    if (fork() == 0) {
        signal(SIGTERM, SIG_IGN);
        (void)!fork();
        (void)!write(fds[1], "x", 1);
        for (;;)
            pause();
    }
    for (int i = 0; i < 2; i++)
        if (read(fds[0], bytes, 1) != 1)
            return 2;
    duet_stray_kill_children(5000);
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD ? 0 : 3;
}

static void test_stray_children(void)
{
    in_child(kill_children);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rootless/ids/parse", test_ids_parse);
    g_test_add_func("/rootless/ids/hostile", test_ids_hostile);
    g_test_add_func("/rootless/enter-and-leave", test_enter_and_leave);
    g_test_add_func("/rootless/root-stays", test_root_stays);
    g_test_add_func("/rootless/without-cgroup", test_without_cgroup);
    g_test_add_func("/rootless/stray/holder", test_stray_holder);
    g_test_add_func("/rootless/stray/children", test_stray_children);
    return g_test_run();
}
