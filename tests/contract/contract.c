/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The contract: the same cases, through the interface that clients use, for every driver and for
 * a fake one. Arguments: none. $DUET_TEST_ARCHIVE is an image with a busybox.
 */
#include "container/container.h"
#include "core/module.h"
#include "core/util.h"
#include "tests/contract/fake-driver.h"

#include <duet/error.h>
#include <duet/image.h>
#include <duet/instance.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    const char *name;
    DuetKind kind;
    const DuetDriverEntry *drivers;
    gboolean can_pause;
} Subject;

static const DuetDriverEntry real_drivers[] = {
    { DUET_KIND_CONTAINER, &duet_container_driver, NULL, NULL },
    { DUET_KIND_NATIVE, &duet_native_driver, NULL, NULL },
    { DUET_KIND_VM, NULL, "duet-vm", "duet_vm_driver" },
    { DUET_KIND_CONTAINER, NULL, NULL, NULL },
};
static const DuetDriverEntry fake_drivers[] = {
    { DUET_KIND_CONTAINER, &fake_driver, NULL, NULL },
    { DUET_KIND_CONTAINER, NULL, NULL, NULL },
};
static const Subject subjects[] = {
    { "container", DUET_KIND_CONTAINER, real_drivers, TRUE },
    { "vm", DUET_KIND_VM, real_drivers, TRUE },
    { "native", DUET_KIND_NATIVE, real_drivers, TRUE },
    { "fake", DUET_KIND_CONTAINER, fake_drivers, FALSE },
};

/* One root and one imported image for all cases; set once in main(). */
static char *root;

static DuetContext *open_context(const Subject *subject)
{
    g_autoptr(GError) error = NULL;
    DuetContext *context = duet_context_new(root, subject->drivers, &error);
    g_assert_no_error(error);
    return context;
}

static DuetInstance *make(DuetContext *context, const Subject *subject, const char *script)
{
    g_autoptr(GError) error = NULL;
    const DuetImagesOps *images = duet_module_symbol("duet-images", "duet_images", &error);
    g_assert_no_error(error);
    const char *store = duet_context_store_dir(context);
    g_autoptr(DuetImage) image = duet_image_lookup(store, "busybox", &error);
    g_assert_no_error(error);
    DuetSpec *spec = duet_spec_new();
    const char *argv[] = { "/bin/sh", "-c", script, NULL };
    const char *env[] = { "PATH=/bin:/usr/bin", NULL };
    spec->kind = subject->kind;
    spec->image_ref = g_strdup("busybox");
    spec->image_digest = g_strdup(image->digest);
    g_strfreev(spec->layers);
    spec->layers = g_strdupv(image->layer_dirs);
    g_strfreev(spec->argv);
    spec->argv = g_strdupv((char **)argv);
    g_strfreev(spec->env);
    spec->env = g_strdupv((char **)env);
    if (subject->kind == DUET_KIND_VM) {
        spec->root_disk = images->root_disk(store, image, &error);
        g_assert_no_error(error);
    }
    DuetInstance *instance = duet_instance_create(context, spec, &error);
    g_assert_no_error(error);
    return instance;
}

static void discard(DuetInstance *instance)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_instance_remove(instance, TRUE, &error));
    g_assert_no_error(error);
    duet_instance_free(instance);
}

static char *contents(int fd)
{
    char buffer[4096];
    ssize_t n = pread(fd, buffer, sizeof buffer - 1, 0);
    g_assert_cmpint(n, >=, 0);
    buffer[n] = '\0';
    return g_strdup(buffer);
}

static void test_run(gconstpointer data)
{
    const Subject *subject = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetContext) context = open_context(subject);
    DuetInstance *instance = make(context, subject, "echo out; echo err >&2; exit 9");
    DUET_AUTO_FD out = memfd_create("out", MFD_CLOEXEC);
    DUET_AUTO_FD err = memfd_create("err", MFD_CLOEXEC);
    DuetIo io = { .stdin_fd = -1, .stdout_fd = out, .stderr_fd = err, .quiet = TRUE };
    g_autoptr(DuetInfo) info = duet_instance_run(instance, &io, DUET_PROXY_NONE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(info->exit_code, ==, 9);
    g_autofree char *out_text = contents(out);
    g_autofree char *err_text = contents(err);
    g_assert_cmpstr(out_text, ==, "out\n");
    g_assert_cmpstr(err_text, ==, "err\n");

    static const DuetMark order[] = { DUET_MARK_REQUEST, DUET_MARK_SPAWNED, DUET_MARK_INIT,
        DUET_MARK_EXEC, DUET_MARK_OUTPUT, DUET_MARK_EXITED, DUET_MARK_RELEASED };
    for (guint i = 1; i < G_N_ELEMENTS(order); i++)
        g_assert_cmpint(info->marks.ns[order[i]], >=, info->marks.ns[order[i - 1]]);
    g_assert_cmpint(info->marks.ns[DUET_MARK_REQUEST], >, 0);
    g_assert_cmpint(info->marks.ns[DUET_MARK_RUNNING] != 0, ==, subject->kind == DUET_KIND_VM);
    discard(instance);
}

/* The payload says that it has set its trap. */
static void wait_until_ready(DuetInstance *instance)
{
    for (int tries = 0; tries < 200; tries++) {
        DUET_AUTO_FD out = memfd_create("out", MFD_CLOEXEC);
        g_assert_true(duet_instance_logs(instance, out, -1, FALSE, NULL));
        g_autofree char *text = contents(out);
        if (*text)
            return;
        g_usleep(50000);
    }
    g_assert_not_reached();
}

static void test_states(gconstpointer data)
{
    const Subject *subject = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetContext) context = open_context(subject);
    DuetInstance *instance =
        make(context, subject, "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done");
    g_autoptr(DuetInfo) fresh = duet_instance_info(instance, &error);
    g_assert_cmpint(fresh->state, ==, DUET_STATE_CREATED);
    g_assert_true(duet_instance_start(instance, &error));
    g_assert_no_error(error);
    g_autoptr(DuetInfo) alive = duet_instance_info(instance, &error);
    g_assert_cmpint(alive->state, ==, DUET_STATE_RUNNING);
    g_assert_cmpint(alive->pid, >, 0);
    g_assert_cmpint(kill((pid_t)alive->pid, 0), ==, 0);
    g_assert_false(duet_instance_start(instance, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
    g_clear_error(&error);
    g_assert_false(duet_instance_remove(instance, FALSE, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
    g_clear_error(&error);
    wait_until_ready(instance);
    g_assert_true(duet_instance_stop(instance, 20000, &error));
    g_assert_no_error(error);
    g_autoptr(DuetInfo) over = duet_instance_info(instance, &error);
    g_assert_cmpint(over->state, ==, DUET_STATE_EXITED);
    g_assert_cmpint(over->exit_code, ==, 5);
    g_assert_cmpint(duet_instance_wait(instance, &error), ==, 5);
    discard(instance);
}

static int exec_script(DuetInstance *instance, const char *script, int out, GError **error)
{
    const char *argv[] = { "/bin/sh", "-c", script, NULL };
    DuetExec exec = { .argv = (char **)argv };
    DuetIo io = { .stdin_fd = -1, .stdout_fd = out, .stderr_fd = -1, .quiet = TRUE };
    return duet_instance_exec(instance, &exec, &io, error);
}

static void test_exec(gconstpointer data)
{
    const Subject *subject = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetContext) context = open_context(subject);
    DuetInstance *instance = make(context, subject, "sleep 300");
    g_assert_true(duet_instance_start(instance, &error));
    g_assert_no_error(error);
    DUET_AUTO_FD out = memfd_create("out", MFD_CLOEXEC);
    g_assert_cmpint(exec_script(instance, "echo inside; exit 3", out, &error), ==, 3);
    g_autofree char *text = contents(out);
    g_assert_cmpstr(text, ==, "inside\n");
    const char *missing[] = { "/nosuch", NULL };
    DuetExec exec = { .argv = (char **)missing };
    DuetIo io = { .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1 };
    g_assert_cmpint(duet_instance_exec(instance, &exec, &io, &error), ==, -1);
    g_assert_error(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND);
    discard(instance);
}

static void test_pause(gconstpointer data)
{
    const Subject *subject = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetContext) context = open_context(subject);
    DuetInstance *instance = make(context, subject, "sleep 300");
    g_assert_true(duet_instance_start(instance, &error));
    g_assert_no_error(error);
    gboolean paused = duet_instance_pause(instance, &error);
    g_assert_cmpint(paused, ==, subject->can_pause);
    if (paused) {
        g_assert_true(duet_instance_resume(instance, &error));
        g_assert_no_error(error);
        g_assert_cmpint(exec_script(instance, "exit 4", -1, &error), ==, 4);
    } else {
        /* A NULL op is refused by the dispatch, which names the driver. */
        g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, subject->name));
    }
    discard(instance);
}

static void test_missing_payload(gconstpointer data)
{
    const Subject *subject = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetContext) context = open_context(subject);
    DuetInstance *instance = make(context, subject, "true");
    DuetSpec *spec = (DuetSpec *)duet_instance_spec(instance);
    g_free(spec->argv[0]);
    spec->argv[0] = g_strdup("/no/such/program");
    g_assert_false(duet_instance_start(instance, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND);
    g_autoptr(DuetInfo) info = duet_instance_info(instance, NULL);
    g_assert_cmpint(info->state, ==, DUET_STATE_EXITED);
    g_assert_cmpint(info->exit_code, ==, 127);
    discard(instance);
}

static void test_killed_monitor(gconstpointer data)
{
    const Subject *subject = data;
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetContext) context = open_context(subject);
    DuetInstance *instance = make(context, subject, "sleep 300");
    g_assert_true(duet_instance_start(instance, &error));
    g_assert_no_error(error);
    g_autoptr(DuetInfo) alive = duet_instance_info(instance, &error);
    DUET_AUTO_FD monitor = pidfd_open((pid_t)alive->monitor_pid, 0);
    struct pollfd death = { .fd = monitor, .events = POLLIN };
    g_assert_cmpint(kill((pid_t)alive->monitor_pid, SIGKILL), ==, 0);
    g_assert_cmpint(poll(&death, 1, 10000), ==, 1);
    duet_context_sweep(context, 0);
    g_autoptr(DuetInfo) info = duet_instance_info(instance, &error);
    g_assert_cmpint(info->state, ==, DUET_STATE_EXITED);
    g_assert_cmpint(info->exit_code, ==, 137);
    const char *id = duet_instance_spec(instance)->id;
    g_autofree char *run = g_strdup_printf("/run/duet/%s", id);
    g_autofree char *directory = g_build_filename(root, "instances", id, NULL);
    g_autofree char *socket = g_build_filename(directory, "sock", NULL);
    g_assert_true(g_file_test(directory, G_FILE_TEST_IS_DIR));
    g_assert_false(g_file_test(run, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(socket, G_FILE_TEST_EXISTS));
    g_assert_true(duet_instance_start(instance, &error));
    g_assert_no_error(error);
    discard(instance);
}

static void import_image(void)
{
    g_autoptr(GError) error = NULL;
    const DuetImagesOps *images = duet_module_symbol("duet-images", "duet_images", &error);
    g_assert_no_error(error);
    g_autoptr(DuetContext) context = open_context(&subjects[0]);
    g_autoptr(GPtrArray) added = images->import(
        duet_context_store_dir(context), g_getenv("DUET_TEST_ARCHIVE"), "busybox", &error);
    g_assert_no_error(error);
    g_assert_cmpuint(added->len, ==, 1);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        GTestDataFunc test;
    } cases[] = {
        { "run", test_run },
        { "states", test_states },
        { "exec", test_exec },
        { "pause", test_pause },
        { "missing-payload", test_missing_payload },
        { "killed-monitor", test_killed_monitor },
    };
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    root = g_dir_make_tmp("duet-contract-XXXXXX", NULL);
    /* QEMU, an ordinary user, must reach its disks in here. */
    g_assert_cmpint(chmod(root, 0711), ==, 0);
    import_image();
    for (guint s = 0; s < G_N_ELEMENTS(subjects); s++)
        for (guint c = 0; c < G_N_ELEMENTS(cases); c++) {
            g_autofree char *path =
                g_strdup_printf("/contract/%s/%s", subjects[s].name, cases[c].name);
            g_test_add_data_func(path, &subjects[s], cases[c].test);
        }
    int code = g_test_run();
    duet_remove_tree(AT_FDCWD, root, NULL);
    return code;
}
