/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The switch of KSM and the wait for it, on a folder that only looks like the kernel's. */
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/driver.h>
#include <duet/error.h>

#include "bench/instance/group.h"
#include "bench/memory/ksm.h"
#include "core/util.h"

#define NS_PER_S G_GINT64_CONSTANT(1000000000)

static const char *const names[] = { "run", "full_scans", "pages_sharing", "pages_shared",
    "pages_unshared", "pages_volatile" };

static void put(const char *folder, const char *name, const char *value)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    g_assert_cmpint(fd, >=, 0);
    g_assert_true(duet_write_all(fd, value, strlen(value)));
    close(fd);
}

static char *get(const char *folder)
{
    g_autofree char *path = g_build_filename(folder, "run", NULL);
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return g_strchomp(text);
}

static void assert_switch(const char *folder, const char *value)
{
    g_autofree char *now = get(folder);

    g_assert_cmpstr(now, ==, value);
}

static char *folder_new(const char *run)
{
    char *folder = g_dir_make_tmp("duet-ksm-XXXXXX", NULL);

    g_assert_cmpint(g_chmod(folder, 0755), ==, 0);
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        put(folder, names[i], i == 0 ? run : "0\n");
    return folder;
}

static void folder_free(char *folder)
{
    g_assert_true(duet_remove_tree(AT_FDCWD, folder, NULL));
    g_free(folder);
}

static void test_switch(void)
{
    char *folder = folder_new("0\n");
    DuetKsm ksm;

    g_assert_true(duet_ksm_switch(&ksm, folder, "on", 1000, NULL));
    g_assert_true(ksm.wait);
    assert_switch(folder, "1");
    duet_ksm_clear(&ksm, NULL);
    assert_switch(folder, "0");
    /* What undid all merging does so again. */
    put(folder, "run", "2\n");
    g_assert_true(duet_ksm_switch(&ksm, folder, "on", 1000, NULL));
    assert_switch(folder, "1");
    duet_ksm_clear(&ksm, NULL);
    assert_switch(folder, "2");
    /* Where it runs already there is nothing to put back, and `off` is the same turned round. */
    put(folder, "run", "1\n");
    g_assert_true(duet_ksm_switch(&ksm, folder, "on", 1000, NULL));
    g_assert_null(ksm.guard);
    duet_ksm_clear(&ksm, NULL);
    g_assert_true(duet_ksm_switch(&ksm, folder, "off", 1000, NULL));
    g_assert_false(ksm.wait);
    assert_switch(folder, "0");
    duet_ksm_clear(&ksm, NULL);
    assert_switch(folder, "1");
    /* Unasked it is not touched. */
    g_assert_true(duet_ksm_switch(&ksm, folder, NULL, 1000, NULL));
    assert_switch(folder, "1");
    duet_ksm_clear(&ksm, NULL);
    folder_free(folder);
}

static void test_others_are_not_overruled(void)
{
    char *folder = folder_new("0\n");
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    DuetKsm ksm;

    g_assert_true(duet_ksm_switch(&ksm, folder, "on", 1000, NULL));
    put(folder, "run", "2\n");
    duet_ksm_clear(&ksm, warnings);
    assert_switch(folder, "2");
    g_assert_cmpuint(warnings->len, ==, 0);
    folder_free(folder);
}

/* However the benchmark ends: by ^C at a terminal, which the whole process group gets, or killed.
 */
static void test_guard(void)
{
    static const int signals[] = { SIGINT, SIGHUP, SIGKILL };
    char *folder = folder_new("0\n");

    for (gsize i = 0; i < G_N_ELEMENTS(signals); i++) {
        DuetKsm ksm;
        pid_t pid = fork();
        int status;
        if (pid == 0) {
            setpgid(0, 0);
            if (!duet_ksm_switch(&ksm, folder, "on", 1000, NULL))
                _exit(1);
            for (;;)
                pause();
        }
        gboolean on = FALSE;
        for (int tries = 0; tries < 500 && !on; tries++) {
            g_autofree char *now = get(folder);
            on = g_str_equal(now, "1");
            g_usleep(10000);
        }
        g_assert_true(on);
        g_assert_cmpint(kill(-pid, signals[i]), ==, 0);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
        g_assert_true(WIFSIGNALED(status));
        for (int tries = 0; tries < 500 && on; tries++) {
            g_autofree char *now = get(folder);
            on = !g_str_equal(now, "0");
            g_usleep(10000);
        }
        g_assert_false(on);
    }
    folder_free(folder);
}

static void test_refusals(void)
{
    char *folder = folder_new("0\n");
    g_autoptr(GError) wish = NULL, missing = NULL;
    int status;

    g_assert_false(duet_ksm_check(folder, "maybe", &wish));
    g_assert_error(wish, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_true(duet_ksm_check(folder, "on", NULL));
    g_assert_false(duet_ksm_check("/nonexistent", "on", &missing));
    g_assert_error(missing, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
    g_assert_true(duet_ksm_check("/nonexistent", "off", NULL));
    /* Who may read it and not write it: root can't be refused by modes. */
    pid_t pid = fork();
    if (pid == 0) {
        g_autofree char *path = g_build_filename(folder, "run", NULL);
        g_autoptr(GError) error = NULL;
        if (geteuid() == 0 && setuid(65534) < 0)
            _exit(2);
        if (geteuid() != 65534)
            g_chmod(path, 0444);
        gboolean refused = !duet_ksm_check(folder, "on", &error) &&
            g_error_matches(error, DUET_ERROR, DUET_ERROR_PERMISSION);
        _exit(refused && duet_ksm_check(folder, "off", NULL) ? 0 : 1);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
    assert_switch(folder, "0");
    folder_free(folder);
}

static void test_rule(void)
{
    DuetKsmCount first = { .at_ns = NS_PER_S, .full_scans = 5 };
    DuetKsmCount last = first, now = first;

    /* Nothing is offered: only after a while is that certain. */
    now.at_ns += 2 * NS_PER_S;
    g_assert_false(duet_ksm_is_settled(&first, &last, &now));
    now.at_ns += NS_PER_S;
    g_assert_true(duet_ksm_is_settled(&first, &last, &now));
    now.other_pages = 1;
    g_assert_false(duet_ksm_is_settled(&first, &last, &now));
    /* Two scans, and no more that is merged. */
    now.full_scans = 6;
    g_assert_false(duet_ksm_is_settled(&first, &last, &now));
    now.full_scans = 7;
    g_assert_true(duet_ksm_is_settled(&first, &last, &now));
    now.sharing_pages = 1000;
    g_assert_false(duet_ksm_is_settled(&first, &last, &now));
    last.sharing_pages = 1050;
    g_assert_true(duet_ksm_is_settled(&first, &last, &now));
    now.sharing_pages = 100000;
    last.sharing_pages = 99600;
    g_assert_true(duet_ksm_is_settled(&first, &last, &now));
    last.sharing_pages = 99400;
    g_assert_false(duet_ksm_is_settled(&first, &last, &now));
}

static gboolean rich_host(DuetHostMemory *out_memory, GError **error)
{
    guint64 gib = G_GUINT64_CONSTANT(1) << 30;

    (void)error;
    *out_memory =
        (DuetHostMemory){ .at_ns = 1, .total_bytes = 16 * gib, .available_bytes = 12 * gib };
    return TRUE;
}

static gboolean settle(DuetKsm *ksm, DuetContext *context, DuetSample *sample)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(DuetSpec) spec = duet_spec_new();
    DuetGroup group;

    duet_group_init(&group, context, spec);
    group.read_host = rich_host;
    gboolean done = duet_ksm_begin(ksm, &sample->memory->ksm, NULL) &&
        duet_ksm_settle(ksm, &group, sample, NULL);
    duet_group_clear(&group, warnings);
    return done;
}

static void test_settle(void)
{
    static const DuetDriverEntry no_drivers[] = { { 0 } };
    char *folder = folder_new("1\n"), *root = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    g_autoptr(DuetContext) context = duet_context_new(root, no_drivers, NULL);
    g_autoptr(DuetSample) good = duet_sample_new(0, 0, 0), bad = duet_sample_new(0, 0, 1);
    g_autoptr(DuetSample) none = duet_sample_new(0, 0, 2);
    DuetKsm ksm;

    good->memory = duet_memory_point_new(2);
    bad->memory = duet_memory_point_new(2);
    none->memory = duet_memory_point_new(0);
    put(folder, "pages_volatile", "500\n");
    g_assert_true(duet_ksm_switch(&ksm, folder, "on", 20000, NULL));
    pid_t kernel = fork();
    if (kernel == 0) {
        g_usleep(200000);
        put(folder, "pages_sharing", "300\n");
        put(folder, "full_scans", "2\n");
        _exit(0);
    }
    g_assert_true(settle(&ksm, context, good));
    waitpid(kernel, NULL, 0);
    g_assert_true(good->memory->ksm.settled);
    g_assert_cmpint(good->memory->ksm.after.full_scans, ==, 2);
    g_assert_cmpint(
        duet_ksm_saved_bytes(&good->memory->ksm), ==, 300 * good->memory->ksm.page_bytes);
    g_assert_cmpint(good->memory->ksm.waited_ns, >=, NS_PER_S);
    g_assert_cmpuint(good->warnings->len, ==, 0);

    /* The limit is told, and the sample goes on; so is who switches it off meanwhile. */
    ksm.limit_ms = 1000;
    put(folder, "run", "0\n");
    g_assert_true(settle(&ksm, context, bad));
    g_assert_false(bad->memory->ksm.settled);
    g_assert_cmpuint(bad->warnings->len, ==, 2);
    g_assert_nonnull(strstr(bad->warnings->pdata[0], "had not settled after 1 s"));
    g_assert_nonnull(strstr(bad->warnings->pdata[1], "somebody switched KSM off"));

    put(folder, "run", "1\n");
    g_assert_true(settle(&ksm, context, none));
    g_assert_true(none->memory->ksm.settled);
    g_assert_cmpint(none->memory->ksm.after.at_ns, >, 0);
    duet_ksm_clear(&ksm, NULL);
    folder_free(folder);
    folder_free(root);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ksm/switch", test_switch);
    g_test_add_func("/ksm/others-are-not-overruled", test_others_are_not_overruled);
    g_test_add_func("/ksm/guard", test_guard);
    g_test_add_func("/ksm/refusals", test_refusals);
    g_test_add_func("/ksm/rule", test_rule);
    g_test_add_func("/ksm/settle", test_settle);
    return g_test_run();
}
