/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How the end of a scope is waited for, which is systemd's to remove; here a child does. */
#include "core/cgroup/cgroup-private.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/util.h"

/* Each look at a directory that is still there, with a pause after it, is a switch or more. */
#define AWAKE_FEW 8

typedef struct {
    char *slice, *scope;
    DuetCgroup cgroup;
} Fixture;

static void fixture_up(Fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture->slice = g_dir_make_tmp("duet-slice-XXXXXX", NULL);
    fixture->scope = g_build_filename(fixture->slice, "duet-x.scope", NULL);
    g_assert_cmpint(mkdir(fixture->scope, 0700), ==, 0);
    fixture->cgroup.joined = TRUE;
    fixture->cgroup.members_count = 1;
    fixture->cgroup.members[0] = (DuetCgroupMember){
        .in_scope = TRUE,
        .mount_point = fixture->slice,
        .base = (char *)"",
        .dir = (char *)"duet-x.scope",
    };
}

static void fixture_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->slice, NULL));
    g_free(fixture->slice);
    g_free(fixture->scope);
}

/* A child that makes @others directories beside the scope, and then removes it. */
static pid_t remover(const Fixture *fixture, guint others)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    g_usleep(30000);
    for (guint i = 0; i < others; i++) {
        g_autofree char *path = g_strdup_printf("%s/duet-%u.scope", fixture->slice, i);
        mkdir(path, 0700);
        rmdir(path);
    }
    _exit(rmdir(fixture->scope) == 0 ? 0 : 1);
}

static glong waits(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_nvcsw;
}

static void test_gone(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    int status = 0;
    pid_t pid = remover(fixture, GPOINTER_TO_UINT(data));
    glong before = waits();

    g_assert_true(duet_cgroup_scope_end(&fixture->cgroup, &error));
    glong seen = waits() - before;
    g_assert_no_error(error);
    g_assert_cmpint(access(fixture->scope, F_OK), <, 0);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    if (GPOINTER_TO_UINT(data) == 0)
        g_assert_cmpint(seen, <, AWAKE_FEW);
}

static void test_gone_before(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 began_us = g_get_monotonic_time();

    (void)data;
    g_assert_cmpint(rmdir(fixture->scope), ==, 0);
    g_assert_true(duet_cgroup_scope_end(&fixture->cgroup, &error));
    g_assert_no_error(error);
    g_assert_cmpint(g_get_monotonic_time() - began_us, <, G_USEC_PER_SEC);
}

/* Nobody removes it: the wait has an end, and then it is ours to do. */
static void test_kept(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    gint64 began_us = g_get_monotonic_time();

    (void)data;
    g_assert_true(duet_cgroup_scope_end(&fixture->cgroup, &error));
    g_assert_no_error(error);
    g_assert_cmpint(g_get_monotonic_time() - began_us, <, 10 * G_USEC_PER_SEC);
    g_assert_cmpint(access(fixture->scope, F_OK), <, 0);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        guint others;
        void (*run)(Fixture *fixture, gconstpointer data);
    } cases[] = {
        { "/cgroup-scope/gone", 0, test_gone },
        { "/cgroup-scope/gone-after-others", 500, test_gone },
        { "/cgroup-scope/gone-before", 0, test_gone_before },
        { "/cgroup-scope/kept", 0, test_kept },
    };

    g_test_init(&argc, &argv, NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
        g_test_add(cases[i].path, Fixture, GUINT_TO_POINTER(cases[i].others), fixture_up,
            cases[i].run, fixture_down);
    return g_test_run();
}
