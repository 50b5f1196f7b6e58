/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an instance left is found, each kind of thing by itself; as root, who may plant them. */
#include <glib.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/driver.h>

#include "bench/instance/leftover.h"

#define ID "5eed0fa11ab1e5"

typedef struct {
    char *root;
    DuetContext *context;
    DuetInfo info;
} Place;

static void place_up(Place *place, gconstpointer data)
{
    static const DuetDriverEntry no_drivers[] = { { 0 } };

    (void)data;
    place->root = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    place->context = duet_context_new(place->root, no_drivers, NULL);
    g_assert_nonnull(place->context);
}

static void place_down(Place *place, gconstpointer data)
{
    const char *argv[] = { "rm", "-r", place->root, NULL };

    (void)data;
    duet_context_free(place->context);
    g_assert_true(g_spawn_sync(
        NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(place->root);
}

/* @wanted: (nullable): what the one warning begins with; NULL: there is none. */
static void assert_found(Place *place, const char *wanted)
{
    g_autoptr(DuetSample) sample = duet_sample_new(0, 0, 0);

    duet_leftover_check(place->context, ID, &place->info, sample);
    g_assert_cmpuint(sample->warnings->len, ==, wanted ? 1 : 0);
    if (wanted && !g_str_has_prefix(sample->warnings->pdata[0], wanted))
        g_error("not '%s' but: %s", wanted, (const char *)sample->warnings->pdata[0]);
}

static void test_nothing(Place *place, gconstpointer data)
{
    (void)data;
    assert_found(place, NULL);
}

static pid_t new_process(void)
{
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

static void test_processes(Place *place, gconstpointer data)
{
    pid_t pid = new_process();
    g_autofree char *process = g_strdup_printf("left behind: its process %d still runs", pid);
    g_autofree char *monitor = g_strdup_printf("left behind: its monitor %d still runs", pid);

    (void)data;
    place->info.pid = pid;
    assert_found(place, process);
    place->info.pid = 0;
    place->info.monitor_pid = pid;
    assert_found(place, monitor);
    /* One that ended and that nobody reaped is gone. */
    kill(pid, SIGKILL);
    assert_found(place, NULL);
    waitpid(pid, NULL, 0);
    assert_found(place, NULL);
}

static void test_mount(Place *place, gconstpointer data)
{
    g_autofree char *point = g_build_filename(place->root, ID, NULL);
    g_autofree char *wanted = g_strdup_printf("left behind: a mount at '%s'", point);

    (void)data;
    g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
    g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
    g_assert_cmpint(g_mkdir(point, 0700), ==, 0);
    g_assert_cmpint(mount("tmpfs", point, "tmpfs", 0, NULL), ==, 0);
    assert_found(place, wanted);
    g_assert_cmpint(umount(point), ==, 0);
    assert_found(place, NULL);
}

static void test_cgroup(Place *place, gconstpointer data)
{
    const char *point = g_file_test("/sys/fs/cgroup/cgroup.procs", G_FILE_TEST_EXISTS)
        ? "/sys/fs/cgroup"
        : "/sys/fs/cgroup/pids";
    g_autofree char *path = g_build_filename(point, "duet-test-" ID, NULL);
    g_autofree char *wanted = g_strdup_printf("left behind: the cgroup '%s'", path);

    (void)data;
    place->info.cgroup = (char *)"/duet-test-" ID;
    assert_found(place, NULL);
    g_assert_cmpint(g_mkdir(path, 0755), ==, 0);
    assert_found(place, wanted);
    g_assert_cmpint(rmdir(path), ==, 0);
}

static void test_run_dir(Place *place, gconstpointer data)
{
    (void)data;
    g_assert_cmpint(g_mkdir_with_parents("/run/duet/" ID, 0700), ==, 0);
    assert_found(place, "left behind: '/run/duet/" ID "'");
    g_assert_cmpint(rmdir("/run/duet/" ID), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/leftover/nothing", Place, NULL, place_up, test_nothing, place_down);
    g_test_add("/leftover/processes", Place, NULL, place_up, test_processes, place_down);
    if (geteuid() == 0) {
        g_test_add("/leftover/mount", Place, NULL, place_up, test_mount, place_down);
        g_test_add("/leftover/cgroup", Place, NULL, place_up, test_cgroup, place_down);
        g_test_add("/leftover/run-dir", Place, NULL, place_up, test_run_dir, place_down);
    }
    return g_test_run();
}
