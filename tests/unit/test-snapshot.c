/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Snapshots and clones of instances that are files only. */
#include "core/layer.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/snapshot.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *root;
    DuetContext *context;
    DuetInstance *instance;
    char *dir;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer kind)
{
    g_autoptr(GError) error = NULL;
    DuetSpec *spec = duet_spec_new();
    spec->kind = (DuetKind)GPOINTER_TO_INT(kind);
    spec->name = g_strdup("box");
    fixture->root = g_dir_make_tmp("duet-snapshot-XXXXXX", NULL);
    fixture->context = duet_context_new(fixture->root, NULL, &error);
    g_assert_no_error(error);
    duet_instance_free(duet_instance_create(fixture->context, spec, &error));
    g_assert_no_error(error);
    fixture->instance = duet_instance_open(fixture->context, "box", &error);
    g_assert_no_error(error);
    fixture->dir = duet_instance_path(fixture->context, duet_instance_spec(fixture->instance)->id);
}

static void tear_down(Fixture *fixture, gconstpointer kind)
{
    (void)kind;
    duet_instance_free(fixture->instance);
    duet_context_free(fixture->context);
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->root, NULL));
    g_free(fixture->root);
    g_free(fixture->dir);
}

static char *path_in(const Fixture *fixture, const char *name)
{
    return g_build_filename(fixture->dir, name, NULL);
}

static void write_file(const Fixture *fixture, const char *name, const char *text)
{
    g_autofree char *path = path_in(fixture, name);
    g_autofree char *folder = g_path_get_dirname(path);
    g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static void assert_file(const Fixture *fixture, const char *name, const char *wanted)
{
    g_autofree char *path = path_in(fixture, name);
    g_autofree char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    g_assert_cmpstr(text, ==, wanted);
}

/* No rest of a copy, no mark. */
static void assert_tidy(const Fixture *fixture)
{
    g_autofree char *half = path_in(fixture, DUET_COPY_DIR);
    g_assert_false(g_file_test(half, G_FILE_TEST_EXISTS));
    g_assert_false(
        duet_live_is_marked(fixture->context, duet_instance_spec(fixture->instance)->id));
}

static void snap(const Fixture *fixture, const char *name, const char *wanted)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *got = duet_snapshot_create(fixture->instance, name, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(got, ==, wanted);
    assert_tidy(fixture);
}

static void test_names(Fixture *fixture, gconstpointer kind)
{
    (void)kind;
    static const char *const bad[] = { "", ".", "..", "a/b", "-x", "a b" };
    g_autoptr(GError) error = NULL;
    snap(fixture, NULL, "snap0");
    snap(fixture, "snap41", "snap41");
    snap(fixture, "snap5x", "snap5x");
    snap(fixture, NULL, "snap42");
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_null(duet_snapshot_create(fixture->instance, bad[i], &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_clear_error(&error);
        g_assert_false(duet_snapshot_remove(fixture->instance, bad[i], &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
        g_clear_error(&error);
    }
    g_assert_null(duet_snapshot_create(fixture->instance, "snap0", &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_EXISTS);
    g_clear_error(&error);
    g_assert_false(duet_snapshot_restore(fixture->instance, "none", &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
    assert_tidy(fixture);
    g_assert_true(duet_snapshot_remove(fixture->instance, "snap0", NULL));
    g_autoptr(GPtrArray) list =
        duet_snapshot_list(fixture->context, duet_instance_spec(fixture->instance)->id);
    g_assert_cmpuint(list->len, ==, 3);
    g_assert_cmpstr(((DuetSnapshot *)list->pdata[2])->name, ==, "snap42");
}

/* What is made anew for the layer's sake does not outlive it. */
static void test_directory(Fixture *fixture, gconstpointer kind)
{
    (void)kind;
    g_autoptr(GError) error = NULL;
    snap(fixture, "empty", "empty");
    write_file(fixture, "upper/sub/file", "one");
    write_file(fixture, "work/index", "of the first");
    snap(fixture, "one", "one");
    write_file(fixture, "upper/sub/file", "two");
    write_file(fixture, "upper/more", "two");
    g_assert_true(duet_snapshot_restore(fixture->instance, "one", &error));
    g_assert_no_error(error);
    assert_file(fixture, "upper/sub/file", "one");
    assert_file(fixture, "upper/more", NULL);
    assert_file(fixture, "work/index", NULL);
    assert_tidy(fixture);
    g_assert_true(duet_snapshot_restore(fixture->instance, "empty", &error));
    g_autofree char *upper = path_in(fixture, "upper");
    g_assert_false(g_file_test(upper, G_FILE_TEST_EXISTS));
    g_assert_true(duet_snapshot_restore(fixture->instance, "one", &error));
    assert_file(fixture, "upper/sub/file", "one");
    assert_tidy(fixture);
}

static void test_disk(Fixture *fixture, gconstpointer kind)
{
    (void)kind;
    struct stat st;
    g_autoptr(GError) error = NULL;
    g_autofree char *disk = path_in(fixture, "rw.img");
    write_file(fixture, "rw.img", "one");
    g_assert_cmpint(truncate(disk, 1 << 30), ==, 0);
    snap(fixture, "one", "one");
    write_file(fixture, "rw.img", "two");
    g_assert_true(duet_snapshot_restore(fixture->instance, "one", &error));
    g_assert_no_error(error);
    g_assert_cmpint(lstat(disk, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 1 << 30);
    g_assert_cmpint(st.st_blocks, <, 1000);
    assert_tidy(fixture);
}

static void test_clone(Fixture *fixture, gconstpointer kind)
{
    (void)kind;
    g_autoptr(GError) error = NULL;
    write_file(fixture, "upper/file", "one");
    snap(fixture, "one", "one");
    write_file(fixture, "upper/file", "two");
    g_autoptr(DuetInstance) first = duet_instance_clone(fixture->instance, NULL, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(DuetInstance) second = duet_instance_clone(fixture->instance, "one", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(duet_instance_spec(first)->name, ==, "box-clone");
    g_assert_cmpstr(duet_instance_spec(second)->name, ==, "box-clone1");
    g_assert_cmpstr(duet_instance_spec(first)->hostname, ==, duet_instance_spec(first)->id);
    g_autofree char *path = duet_instance_path(fixture->context, duet_instance_spec(second)->id);
    g_autofree char *file = g_build_filename(path, "upper", "file", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(file, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "one");
    g_assert_null(duet_instance_clone(fixture->instance, NULL, "box", &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_EXISTS);
    assert_tidy(fixture);
}

/* Its maker was killed: the next command removes the rest, and nothing else. */
static void test_killed(Fixture *fixture, gconstpointer kind)
{
    (void)kind;
    g_autoptr(GError) error = NULL;
    const char *id = duet_instance_spec(fixture->instance)->id;
    write_file(fixture, "upper/file", "one");
    write_file(fixture, DUET_COPY_DIR "/upper/file", "half");
    g_assert_true(duet_live_mark_layer(fixture->context, id, &error));
    g_assert_true(duet_live_is_layer(fixture->context, id));
    g_assert_false(duet_live_is_borrowed(fixture->context, id));
    duet_context_sweep(fixture->context, 0);
    assert_tidy(fixture);
    assert_file(fixture, "upper/file", "one");
    g_autoptr(DuetInfo) info = duet_instance_info(fixture->instance, &error);
    g_assert_cmpint(info->state, ==, DUET_STATE_CREATED);
}

/* Nor does it go with the mark if its name, or its spec, can't be read any more. */
static void test_damaged(Fixture *fixture, gconstpointer kind)
{
    (void)kind;
    static const char *const damages[] = { "names/box", "spec" };
    g_autoptr(GError) error = NULL;
    const char *id = duet_instance_spec(fixture->instance)->id;
    write_file(fixture, "upper/file", "one");
    for (guint i = 0; i < G_N_ELEMENTS(damages); i++) {
        g_autofree char *path =
            g_build_filename(i ? fixture->dir : fixture->root, damages[i], NULL);
        g_assert_cmpint(unlink(path), ==, 0);
        g_assert_true(duet_live_mark_layer(fixture->context, id, &error));
        /* Long ago: its maker is not at work any more. */
        const struct timespec times[] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
        g_autofree char *mark = g_build_filename(fixture->root, "live", id, NULL);
        g_assert_cmpint(utimensat(AT_FDCWD, mark, times, 0), ==, 0);
        duet_context_sweep(fixture->context, 0);
        assert_tidy(fixture);
        assert_file(fixture, "upper/file", "one");
    }
}

/* Who looks at it meanwhile does not wait for a monitor that does not come. */
static void test_busy(Fixture *fixture, gconstpointer kind)
{
    (void)kind;
    g_autoptr(GError) error = NULL;
    DuetLayerWork work;
    g_assert_true(duet_layer_work_begin(&work, fixture->instance, &error));
    g_autoptr(DuetInstance) other = duet_instance_open(fixture->context, "box", &error);
    g_assert_no_error(error);
    gint64 began_us = g_get_monotonic_time();
    g_autoptr(DuetInfo) info = duet_instance_info(other, &error);
    g_assert_cmpint(info->state, ==, DUET_STATE_CREATED);
    g_assert_cmpint(g_get_monotonic_time() - began_us, <, 5 * G_USEC_PER_SEC);
    g_assert_null(duet_snapshot_create(other, NULL, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
    duet_layer_work_end(&work);
    assert_tidy(fixture);
}

/* What cp says is the error, in one line. */
static void test_complaint(Fixture *fixture, gconstpointer kind)
{
    (void)kind;
    g_autoptr(GError) error = NULL;
    sigset_t none;
    sigemptyset(&none);
    DUET_AUTO_FD dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DUET_AUTO_FD lock_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    g_assert_false(duet_tree_copy(dir_fd, "none", "to", lock_fd, &none, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "No such file"));
    g_assert_null(strchr(error->message, '\n'));
    write_file(fixture, "from/file", "four thousand and ninety-six");
    g_autofree char *from = path_in(fixture, "from");
    guint64 once = duet_tree_bytes(from);
    g_assert_cmpint(linkat(dir_fd, "from/file", dir_fd, "from/again", 0), ==, 0);
    g_assert_cmpuint(duet_tree_bytes(from), ==, once);
}

#define CASE(name, kind, function)                                                                 \
    g_test_add("/snapshot/" name, Fixture, GINT_TO_POINTER(kind), set_up, function, tear_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    CASE("names", DUET_KIND_CONTAINER, test_names);
    CASE("directory", DUET_KIND_CONTAINER, test_directory);
    CASE("disk", DUET_KIND_VM, test_disk);
    CASE("clone", DUET_KIND_CONTAINER, test_clone);
    CASE("killed", DUET_KIND_CONTAINER, test_killed);
    CASE("damaged", DUET_KIND_CONTAINER, test_damaged);
    CASE("busy", DUET_KIND_CONTAINER, test_busy);
    CASE("complaint", DUET_KIND_CONTAINER, test_complaint);
    return g_test_run();
}
