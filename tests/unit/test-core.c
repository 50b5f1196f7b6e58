/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/state.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>
#include <duet/vm-limits.h>

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_bytes(void)
{
    static const struct {
        const char *text;
        guint64 bytes;
    } good[] = { { "0", 0 }, { "4096", 4096 }, { "1k", 1024 }, { "512m", 536870912 },
        { "1.5g", 1610612736 }, { "2GiB", G_GUINT64_CONSTANT(2147483648) }, { "7b", 7 },
        { "1kb", 1024 } };
    static const char *const bad[] = { "", "m", "-1", "1x", "1kk", "nan", "inf", "1e30g", " 1",
        "0x10q" };
    guint64 bytes = 0;
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(duet_parse_bytes(good[i].text, &bytes, NULL));
        g_assert_cmpuint(bytes, ==, good[i].bytes);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) error = NULL;
        bytes = 99;
        g_assert_false(duet_parse_bytes(bad[i], &bytes, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_assert_cmpuint(bytes, ==, 99);
    }
}

static void test_signals(void)
{
    g_assert_cmpint(duet_signal_from_string("9"), ==, SIGKILL);
    g_assert_cmpint(duet_signal_from_string("TERM"), ==, SIGTERM);
    g_assert_cmpint(duet_signal_from_string("sigusr1"), ==, SIGUSR1);
    g_assert_cmpint(duet_signal_from_string("SIGRTMIN+3"), ==, 37);
    g_assert_cmpint(duet_signal_from_string("0"), ==, 0);
    g_assert_cmpint(duet_signal_from_string("65"), ==, 0);
    g_assert_cmpint(duet_signal_from_string("NOSUCH"), ==, 0);
}

static void test_spec_round_trip(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_assert_cmpuint(strlen(spec->id), ==, 12);
    /* Arguments need not be UTF-8, and may be empty. */
    const char *argv[] = { "sh", "\xff\xfe", "", "two\nlines", NULL };
    g_strfreev(spec->argv);
    spec->argv = g_strdupv((char **)argv);
    spec->kind = DUET_KIND_VM;
    spec->name = g_strdup("n");
    spec->cpus = 1.5;
    spec->memory_bytes = 1u << 30;
    spec->timeout_ms = 1234;
    spec->open_stdin = TRUE;
    guint32 high = 4294967294u;
    g_array_append_val(spec->high_ids, high);
    static const char *const labels[] = { "k=\xff v\n", "empty=", NULL };
    spec->labels = g_strdupv((char **)labels);
    g_ptr_array_add(spec->mounts, duet_mount_new("/a b", "/c'd", TRUE));
    DuetMount *named = duet_mount_new("/root/volumes/n/_data", "/n", FALSE);
    named->volume = g_strdup("n");
    g_ptr_array_add(spec->mounts, named);

    g_autoptr(GVariant) variant = g_variant_ref_sink(duet_spec_to_variant(spec));
    g_autofree char *text = g_variant_print(variant, TRUE);
    g_autoptr(GVariant) parsed = g_variant_parse(G_VARIANT_TYPE_VARDICT, text, NULL, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(DuetSpec) copy = duet_spec_from_variant(parsed, &error);
    g_assert_no_error(error);
    g_assert_cmpstrv(copy->argv, spec->argv);
    g_assert_cmpstrv(copy->labels, spec->labels);
    g_assert_cmpstr(copy->id, ==, spec->id);
    g_assert_cmpint(copy->kind, ==, DUET_KIND_VM);
    g_assert_cmpfloat(copy->cpus, ==, 1.5);
    g_assert_cmpuint(copy->memory_bytes, ==, 1u << 30);
    g_assert_cmpint(copy->timeout_ms, ==, 1234);
    g_assert_true(copy->open_stdin);
    g_assert_null(copy->user);
    g_assert_cmpuint(g_array_index(copy->high_ids, guint32, 0), ==, 4294967294u);
    const DuetMount *mount = copy->mounts->pdata[0];
    g_assert_cmpstr(mount->source, ==, "/a b");
    g_assert_cmpstr(mount->target, ==, "/c'd");
    g_assert_true(mount->readonly);
    g_assert_null(mount->volume);
    g_assert_cmpstr(((const DuetMount *)copy->mounts->pdata[1])->volume, ==, "n");
}

static void test_spec_hostile(void)
{
    static const char *const texts[] = { "@a{sv} {}", "{'id': <5>}",
        "{'id': <b'x'>, 'kind': <77>}" };
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GVariant) variant = g_variant_parse(NULL, texts[i], NULL, NULL, NULL);
        g_assert_nonnull(variant);
        g_assert_null(duet_spec_from_variant(variant, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    }
}

static void test_state_round_trip(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(DuetInfo) info = duet_info_from_text("{}", spec);
    info->state = DUET_STATE_RUNNING;
    info->pid = 42;
    info->exit_code = 3;
    info->error = g_strdup("it's \"quoted\"\n");
    info->marks.ns[DUET_MARK_OUTPUT] = 123456789;
    g_autofree char *text = duet_info_to_text(info);
    g_autoptr(DuetInfo) copy = duet_info_from_text(text, spec);
    g_assert_cmpint(copy->state, ==, DUET_STATE_RUNNING);
    g_assert_cmpint(copy->pid, ==, 42);
    g_assert_cmpint(copy->exit_code, ==, 3);
    g_assert_cmpstr(copy->error, ==, info->error);
    g_assert_cmpint(copy->marks.ns[DUET_MARK_OUTPUT], ==, 123456789);
    g_assert_cmpint(copy->marks.ns[DUET_MARK_STOP], ==, 0);
    static const char *const damaged[] = { "", "garbage", "{'state': <99>}", "{'pid': 'x'}", NULL };
    for (guint i = 0; i < G_N_ELEMENTS(damaged); i++) {
        g_autoptr(DuetInfo) unknown = duet_info_from_text(damaged[i], spec);
        g_assert_cmpint(unknown->state, ==, DUET_STATE_EXITED);
        g_assert_cmpint(unknown->pid, ==, 0);
    }
}

static void test_remove_tree(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("duet-tree-XXXXXX", NULL);
    g_autofree char *inside = g_build_filename(dir, "a", "b", NULL);
    g_autofree char *outside = g_dir_make_tmp("duet-kept-XXXXXX", NULL);
    g_autofree char *kept = g_build_filename(outside, "kept", NULL);
    g_autofree char *link = g_build_filename(inside, "link", NULL);
    g_assert_true(duet_mkdir_p(inside, 0755, &error));
    g_assert_true(g_file_set_contents(kept, "x", 1, NULL));
    g_assert_cmpint(symlink(outside, link), ==, 0);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, &error));
    g_assert_no_error(error);
    g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(kept, G_FILE_TEST_EXISTS));
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, &error));
    g_assert_true(duet_remove_tree(AT_FDCWD, outside, &error));
}

/* Deeper than there are descriptors to hold open, and with a name of ours in the way. */
static void test_remove_deep_tree(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("duet-deep-XXXXXX", NULL);
    g_autofree char *taken = g_build_filename(dir, ".deep.0", NULL);
    g_assert_true(g_file_set_contents(taken, "x", 1, NULL));
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int depth = 0; depth < 3000; depth++) {
        g_assert_cmpint(mkdirat(fd, "d", 0755), ==, 0);
        if (depth % 100 == 0)
            g_assert_cmpint(mkdirat(fd, "beside", 0755), ==, 0);
        int next = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(next, >=, 0);
        close(fd);
        fd = next;
    }
    close(fd);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, &error));
    g_assert_no_error(error);
    g_assert_false(g_file_test(dir, G_FILE_TEST_EXISTS));
}

/* A sweep leaves alone what its creator may be about to lock, and takes what it left long ago. */
static void test_sweep_half_made(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("duet-sweep-XXXXXX", NULL);
    DuetContext *context = duet_context_new(dir, NULL, &error);
    g_assert_no_error(error);
    g_assert_true(duet_live_mark(context, "0123456789ab", NULL, FALSE, &error));
    g_autofree char *made = duet_instance_path(context, "0123456789ab");
    g_assert_cmpint(g_mkdir(made, 0711), ==, 0);
    duet_context_sweep(context, 0);
    g_assert_true(g_file_test(made, G_FILE_TEST_IS_DIR));
    g_autofree char *lock = g_build_filename(made, "lock", NULL);
    g_assert_false(g_file_test(lock, G_FILE_TEST_EXISTS));

    struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
    g_autofree char *marker = g_build_filename(dir, "live", "0123456789ab", NULL);
    g_assert_cmpint(utimensat(AT_FDCWD, marker, old, 0), ==, 0);
    duet_context_sweep(context, 0);
    g_assert_false(g_file_test(made, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(marker, G_FILE_TEST_EXISTS));
    duet_context_free(context);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

static guint entries(const char *dir)
{
    guint n = 0;
    g_autoptr(GDir) list = g_dir_open(dir, 0, NULL);
    while (g_dir_read_name(list))
        n++;
    return n;
}

/* The more instances there are, the smaller a part of them one start looks at; who lists them looks
 * at all. */
static void test_sweep_part(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("duet-sweep-XXXXXX", NULL);
    DuetContext *context = duet_context_new(dir, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *live = g_build_filename(dir, "live", NULL);
    struct timespec old[2] = { { 1000, 0 }, { 1000, 0 } };
    for (int i = 0; i < 40; i++) {
        g_autofree char *id = g_strdup_printf("0123456789%02x", i);
        g_autofree char *marker = g_build_filename(live, id, NULL);
        g_assert_true(duet_live_mark(context, id, NULL, FALSE, &error));
        g_assert_cmpint(utimensat(AT_FDCWD, marker, old, 0), ==, 0);
    }
    duet_context_sweep(context, 3);
    g_assert_cmpuint(entries(live), ==, 37);
    duet_live_recover(context, "012345678900");
    g_autofree char *named = g_build_filename(live, "012345678900", NULL);
    g_assert_false(g_file_test(named, G_FILE_TEST_EXISTS));
    g_autoptr(GPtrArray) instances = duet_instance_list(context, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(instances->len, ==, 0);
    g_assert_cmpuint(entries(live), ==, 0);
    duet_context_free(context);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

/* Returns: a number that no process has. */
static pid_t gone(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    g_assert_cmpint(waitpid(pid, NULL, 0), ==, pid);
    return pid;
}

static char *make_owned(DuetContext *context, pid_t owner, gboolean remove_at_exit)
{
    g_autoptr(GError) error = NULL;
    DuetSpec *spec = duet_spec_new();
    spec->owner_pid = owner;
    spec->remove_at_exit = remove_at_exit;
    g_autoptr(DuetInstance) instance = duet_instance_create(context, spec, &error);
    g_assert_no_error(error);
    g_assert_nonnull(instance);
    return duet_instance_path(context, spec->id);
}

static void mark_again(const char *owned, const char *path, const char *target)
{
    g_autofree char *id = g_path_get_basename(path);
    g_autofree char *link = g_build_filename(owned, id, NULL);
    g_assert_cmpint(unlink(link), ==, 0);
    g_assert_cmpint(symlink(target, link), ==, 0);
}

/* A number alone tells of no process: later another may have it, and so in a container. */
static void test_sweep_owned_number(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("duet-sweep-XXXXXX", NULL);
    DuetContext *context = duet_context_new(dir, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *owned = g_build_filename(dir, "owned", NULL);
    g_autofree char *reused = make_owned(context, getpid(), FALSE);
    g_autofree char *elsewhere = make_owned(context, gone(), FALSE);
    g_autofree char *lost = make_owned(context, gone(), FALSE);
    g_autofree char *began_before = g_strdup_printf("%d:1:0", (int)getpid());
    g_autofree char *in_container = g_strdup_printf("%d:1:1", (int)gone());
    mark_again(owned, reused, began_before);
    mark_again(owned, elsewhere, in_container);
    duet_context_sweep(context, 0);
    g_assert_false(g_file_test(reused, G_FILE_TEST_EXISTS));
    g_assert_false(g_file_test(lost, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(elsewhere, G_FILE_TEST_IS_DIR));
    duet_context_free(context);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

/* What does not run goes when the process that it was made for is gone, and no sooner. */
static void test_sweep_owned(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("duet-sweep-XXXXXX", NULL);
    DuetContext *context = duet_context_new(dir, NULL, &error);
    g_assert_no_error(error);
    g_autofree char *owned = g_build_filename(dir, "owned", NULL);
    g_autofree char *nobodys = make_owned(context, 0, FALSE);
    g_assert_false(g_file_test(owned, G_FILE_TEST_EXISTS));
    g_autofree char *ours = make_owned(context, getpid(), FALSE);
    g_autofree char *lost = make_owned(context, gone(), FALSE);
    g_assert_cmpuint(entries(owned), ==, 2);
    /* A monitor, or a command, is at work on it. */
    g_autofree char *lock = g_build_filename(lost, "lock", NULL);
    int lock_fd = open(lock, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(flock(lock_fd, LOCK_EX | LOCK_NB), ==, 0);
    duet_context_sweep(context, 0);
    g_assert_true(g_file_test(lost, G_FILE_TEST_IS_DIR));
    close(lock_fd);
    duet_context_sweep(context, 0);
    g_assert_false(g_file_test(lost, G_FILE_TEST_EXISTS));
    g_assert_true(g_file_test(ours, G_FILE_TEST_IS_DIR));
    g_assert_true(g_file_test(nobodys, G_FILE_TEST_IS_DIR));
    g_assert_cmpuint(entries(owned), ==, 1);
    /* The last mark goes with its instance, and with it its folder. */
    g_autofree char *id = g_path_get_basename(ours);
    g_autoptr(DuetInstance) instance = duet_instance_open(context, id, &error);
    g_assert_no_error(error);
    g_assert_true(duet_instance_remove(instance, FALSE, &error));
    g_assert_false(g_file_test(owned, G_FILE_TEST_EXISTS));
    duet_context_free(context);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

static void test_file_replace(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("duet-file-XXXXXX", NULL);
    DUET_AUTO_FD fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    g_assert_true(duet_file_replace(fd, "f", "one", 3, &error));
    g_assert_true(duet_file_replace(fd, "f", "three", 5, &error));
    gsize length;
    g_autofree char *text = duet_file_read(fd, "f", 100, &length, &error);
    g_assert_cmpstr(text, ==, "three");
    g_assert_cmpuint(length, ==, 5);
    g_assert_null(duet_file_read(fd, "f", 4, NULL, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    g_clear_error(&error);
    g_assert_null(duet_file_read(fd, "nosuch", 4, NULL, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

static void test_errors(void)
{
    static const struct {
        int err;
        int code;
    } rows[] = { { ENOSPC, DUET_ERROR_SPACE }, { EACCES, DUET_ERROR_PERMISSION },
        { ENOENT, DUET_ERROR_NOT_FOUND }, { EIO, DUET_ERROR_FAILED } };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_false(duet_error_set_errno(&error, rows[i].err, "cannot open '%s'", "x"));
        g_assert_error(error, DUET_ERROR, rows[i].code);
        g_assert_true(g_str_has_prefix(error->message, "cannot open 'x': "));
    }
    g_autoptr(GError) missing = g_error_new(DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND, "x");
    g_autoptr(GError) foreign = g_error_new(G_FILE_ERROR, G_FILE_ERROR_IO, "x");
    g_assert_cmpint(duet_error_exit_code(missing), ==, 127);
    g_assert_cmpint(duet_error_exit_code(foreign), ==, 125);
}

static void test_ids(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("duet-ids-XXXXXX", NULL);
    DuetContext context = { .run_base = dir };
    guint32 first, second, again;
    DUET_AUTO_FD one = -1;
    DUET_AUTO_FD two = -1;
    DUET_AUTO_FD three = -1;
    g_assert_true(duet_ids_take(&context, "same", &one, &first, &error));
    g_assert_true(duet_ids_take(&context, "same", &two, &second, &error));
    g_assert_cmpint(one, >=, 0);
    g_assert_cmpint(two, >=, 0);
    g_assert_cmpuint(first % 131072, ==, 524288 % 131072);
    g_assert_cmpuint(second - first, ==, 131072);
    duet_fd_clear(&one);
    g_assert_true(duet_ids_take(&context, "same", &three, &again, &error));
    g_assert_cmpuint(again, ==, first);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

static void test_vm_limits(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    static const struct {
        double cpus;
        guint vcpus;
    } rows[] = { { 0, 1 }, { 0.5, 1 }, { 1, 1 }, { 1.5, 2 }, { 2, 2 }, { 2.01, 3 } };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        spec->cpus = rows[i].cpus;
        g_assert_cmpuint(duet_vm_vcpus(spec), ==, rows[i].vcpus);
    }
    g_assert_cmpuint(duet_vm_memory_bytes(spec), ==, DUET_VM_MEMORY_DEFAULT_BYTES);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/core/bytes", test_bytes);
    g_test_add_func("/core/signals", test_signals);
    g_test_add_func("/core/spec/round-trip", test_spec_round_trip);
    g_test_add_func("/core/spec/hostile", test_spec_hostile);
    g_test_add_func("/core/state/round-trip", test_state_round_trip);
    g_test_add_func("/core/remove-tree", test_remove_tree);
    g_test_add_func("/core/remove-deep-tree", test_remove_deep_tree);
    g_test_add_func("/core/sweep-half-made", test_sweep_half_made);
    g_test_add_func("/core/sweep-part", test_sweep_part);
    g_test_add_func("/core/sweep-owned", test_sweep_owned);
    g_test_add_func("/core/sweep-owned-number", test_sweep_owned_number);
    g_test_add_func("/core/file-replace", test_file_replace);
    g_test_add_func("/core/errors", test_errors);
    g_test_add_func("/core/ids", test_ids);
    g_test_add_func("/core/vm-limits", test_vm_limits);
    return g_test_run();
}
