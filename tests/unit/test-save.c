/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Saving and restoring, with a driver that keeps no memory and agents that say what a guest would:
 * what the monitor holds back, keeps for the next one, and takes back. */
#include "core/layer.h"
#include "core/saved.h"
#include "core/util.h"

#include <duet/driver.h>
#include <duet/error.h>
#include <duet/protocol.h>
#include <duet/save.h>
#include <duet/snapshot.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- an agent ---- */

static void say(int fd, guint8 type, guint16 session, const void *payload, guint32 length)
{
    guint8 frame[DUET_FRAME_HEADER_BYTES + 64] = { 0 };

    duet_frame_header(frame, type, DUET_CHANNEL_STDOUT, session, length);
    if (length > 0)
        memcpy(frame + DUET_FRAME_HEADER_BYTES, payload, length);
    if (!duet_write_all(fd, frame, DUET_FRAME_HEADER_BYTES + length))
        _exit(1);
}

static void say_text(int fd, const char *text)
{
    say(fd, DUET_FRAME_DATA, 0, text, (guint32)strlen(text));
}

static void hello(int fd)
{
    guint8 bytes[20] = { 0 };

    duet_put_u32(bytes, DUET_PROTOCOL_VERSION);
    say(fd, DUET_FRAME_HELLO, 0, bytes, sizeof bytes);
}

static struct duet_frame hear(int fd)
{
    static struct duet_frame_reader reader;
    struct duet_frame frame;

    while (duet_frame_reader_next(&reader, &frame) <= 0) {
        size_t room;
        guint8 *at = duet_frame_reader_space(&reader, &room);
        ssize_t n = read(fd, at, room);
        if (n <= 0)
            _exit(0);
        duet_frame_reader_fed(&reader, (size_t)n);
    }
    return frame;
}

/* Tells in its payload's output what it hears. */
static void tell(int fd, const struct duet_frame *frame)
{
    g_autofree char *text = g_strdup_printf("[%u]", frame->type);
    say_text(fd, text);
}

static gboolean tells_credit;

static void tell_credit(int fd, guint32 bytes)
{
    g_autofree char *text = g_strdup_printf("+%u.", bytes);
    say_text(fd, text);
}

/* Writes when it is to be silent, and is then; says what comes all the same, and how much credit
 * came first after a silence. A SIGNAL ends it, with the signal's number as its code. */
static void serve(int fd)
{
    gboolean woken = FALSE;

    for (;;) {
        struct duet_frame frame = hear(fd);
        guint8 status[8] = { 0 };

        switch (frame.type) {
        case DUET_FRAME_QUIESCE:
            say_text(fd, "last.");
            say(fd, DUET_FRAME_QUIET, 0, NULL, 0);
            break;
        case DUET_FRAME_GO_ON:
            hello(fd);
            say_text(fd, "on.");
            woken = tells_credit;
            break;
        case DUET_FRAME_SIGNAL:
            duet_put_u32(status, duet_get_u32(frame.payload));
            say(fd, DUET_FRAME_EXIT, 0, status, sizeof status);
            break;
        case DUET_FRAME_CREDIT:
            if (woken)
                tell_credit(fd, duet_get_u32(frame.payload));
            woken = FALSE;
            break;
        case DUET_FRAME_SHUTDOWN:
            _exit(0);
        default:
            tell(fd, &frame);
        }
    }
}

/* From its first frame on: CONFIG and SPAWN are taken without a word. */
static void begins(int fd)
{
    hello(fd);
    hear(fd);
    hear(fd);
    say(fd, DUET_FRAME_STARTED, 0, NULL, 0);
    say_text(fd, "first.");
    serve(fd);
}

/* Says that it is silent, and more, unasked. */
static void is_quiet_unasked(int fd)
{
    hello(fd);
    hear(fd);
    hear(fd);
    say(fd, DUET_FRAME_STARTED, 0, NULL, 0);
    for (int i = 0; i < 3; i++) {
        say(fd, DUET_FRAME_QUIET, 0, NULL, 0);
        hello(fd);
    }
    say_text(fd, "alive.");
    serve(fd);
}

/* Ends in place of an answer. */
static void ends_instead(int fd)
{
    static const guint8 status[8] = { 9 };

    hello(fd);
    say(fd, DUET_FRAME_STARTED, 0, NULL, 0);
    while (hear(fd).type != DUET_FRAME_QUIESCE)
        continue;
    say(fd, DUET_FRAME_EXIT, 0, status, sizeof status);
    say(fd, DUET_FRAME_QUIET, 0, NULL, 0);
    serve(fd);
}

/* ---- a driver ---- */

typedef struct {
    DuetRuntime base;
    const DuetPlace *place;
    pid_t pid;
} Fake;

static void (*agent)(int fd);
static gboolean save_fails, restore_fails, keeps_seed;

static gboolean fake_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error)
{
    Fake *fake = (Fake *)runtime;
    int fds[2];

    if (restore_fails && fake->place->saved) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "not today");
        return FALSE;
    }
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    if (fake->place->saved)
        g_assert_cmpint(rename(fake->place->saved_dir, fake->place->used_dir), ==, 0);
    fake->pid = fork();
    if (fake->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(fds[0]);
        if (fake->place->saved)
            serve(fds[1]);
        agent(fds[1]);
        _exit(0);
    }
    close(fds[1]);
    duet_marks_set(marks, DUET_MARK_SPAWNED);
    out_started->agent_fd = fds[0];
    out_started->pidfd = pidfd_open(fake->pid, 0);
    out_started->pid = fake->pid;
    return TRUE;
}

static gboolean fake_kill(DuetRuntime *runtime, GError **error)
{
    (void)error;
    kill(((Fake *)runtime)->pid, SIGKILL);
    return TRUE;
}

static gboolean fake_release(DuetRuntime *runtime, GError **error)
{
    (void)runtime;
    (void)error;
    return TRUE;
}

static gboolean fake_save(DuetRuntime *runtime, GVariant **out_facts, GError **error)
{
    const Fake *fake = (Fake *)runtime;
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);

    if (save_fails) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "no space left");
        return FALSE;
    }
    g_assert_true(g_file_set_contents(fake->place->save_path, "memory", -1, NULL));
    if (keeps_seed) {
        g_autofree char *dir = g_path_get_dirname(fake->place->save_path);
        g_autofree char *seed = g_build_filename(dir, DUET_SAVED_SEED, NULL);
        g_assert_true(g_file_set_contents(seed, "seed", -1, NULL));
    }
    *out_facts = g_variant_ref_sink(g_variant_dict_end(&dict));
    kill(fake->pid, SIGKILL);
    return TRUE;
}

static const DuetRuntimeOps ops = {
    .start = fake_start,
    .kill = fake_kill,
    .release = fake_release,
    .save = fake_save,
    .free = (void (*)(DuetRuntime *))g_free,
};

static DuetRuntime *fake_create(const DuetSpec *spec, const DuetPlace *place, GError **error)
{
    Fake *fake = g_new0(Fake, 1);

    (void)spec;
    (void)error;
    fake->base.ops = &ops;
    fake->place = place;
    return &fake->base;
}

static const DuetDriverOps driver = { .name = "fake", .kind = DUET_KIND_VM, .create = fake_create };
static const DuetDriverEntry drivers[] = {
    { DUET_KIND_VM, &driver, NULL, NULL },
    { DUET_KIND_CONTAINER, NULL, NULL, NULL },
};

/* ---- tests ---- */

/* @layer: what a VM's disk is called */
typedef struct {
    char *root;
    DuetContext *context;
    DuetInstance *instance;
    const char *layer;
} Fixture;

/* @is_disk: non-NULL: a disk guest */
static void set_up(Fixture *fixture, gconstpointer is_disk)
{
    g_autoptr(GError) error = NULL;
    DuetSpec *spec = duet_spec_new();

    agent = begins;
    save_fails = restore_fails = tells_credit = FALSE;
    keeps_seed = is_disk != NULL;
    fixture->layer = is_disk ? "rw.qcow2" : "rw.img";
    spec->disk_image = g_strdup(is_disk);
    fixture->root = g_dir_make_tmp("duet-save-XXXXXX", NULL);
    fixture->context = duet_context_new(fixture->root, drivers, &error);
    g_assert_no_error(error);
    spec->kind = DUET_KIND_VM;
    spec->name = g_strdup("box");
    duet_instance_free(duet_instance_create(fixture->context, spec, &error));
    g_assert_no_error(error);
    fixture->instance = duet_instance_open(fixture->context, "box", &error);
    g_assert_no_error(error);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    (void)data;
    g_assert_true(duet_instance_remove(fixture->instance, TRUE, &error));
    g_assert_no_error(error);
    duet_instance_free(fixture->instance);
    duet_context_free(fixture->context);
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->root, NULL));
    g_free(fixture->root);
}

static void start(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(duet_instance_start(fixture->instance, &error));
    g_assert_no_error(error);
}

static void save(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(duet_instance_save(fixture->instance, &error));
    g_assert_no_error(error);
}

static void assert_state(Fixture *fixture, DuetState state)
{
    g_autoptr(DuetInfo) info = duet_instance_info(fixture->instance, NULL);

    g_assert_cmpint(info->state, ==, state);
    g_assert_false(duet_live_is_marked(fixture->context, info->spec->id) &&
        (state == DUET_STATE_SAVED || state == DUET_STATE_EXITED));
}

static char *log_of(Fixture *fixture)
{
    FILE *file = tmpfile();
    g_autofree char *text = g_malloc0(4096);

    g_assert_true(duet_instance_logs(fixture->instance, fileno(file), -1, FALSE, NULL));
    rewind(file);
    text[fread(text, 1, 4095, file)] = '\0';
    fclose(file);
    return g_steal_pointer(&text);
}

static void wait_for_log(Fixture *fixture, const char *wanted)
{
    for (int tries = 0; tries < 1000; tries++) {
        g_autofree char *text = log_of(fixture);
        if (g_str_equal(text, wanted))
            return;
        g_usleep(10000);
    }
    g_autofree char *text = log_of(fixture);
    g_assert_cmpstr(text, ==, wanted);
}

static void end(Fixture *fixture, int code)
{
    g_assert_true(duet_instance_signal(fixture->instance, code, NULL));
    g_assert_cmpint(duet_instance_wait(fixture->instance, NULL), ==, code);
}

static void test_there_and_back(Fixture *fixture, gconstpointer data)
{
    (void)data;
    start(fixture);
    save(fixture);
    assert_state(fixture, DUET_STATE_SAVED);
    g_assert_cmpint(duet_instance_wait(fixture->instance, NULL), ==, -1);
    start(fixture);
    assert_state(fixture, DUET_STATE_RUNNING);
    g_assert_false(duet_saved_is_there(fixture->instance->dir_fd));
    wait_for_log(fixture, "first.last.on.");
    save(fixture);
    start(fixture);
    wait_for_log(fixture, "first.last.on.last.on.");
    end(fixture, 7);
    assert_state(fixture, DUET_STATE_EXITED);
}

/* An agent in a memory has the credit that it had, and gets the rest; a disk guest's is another. */
static void test_credit(Fixture *fixture, gconstpointer is_disk)
{
    tells_credit = TRUE;
    start(fixture);
    wait_for_log(fixture, "first.");
    save(fixture);
    start(fixture);
    wait_for_log(fixture, is_disk ? "first.last.on.+3." : "first.last.on.+5.");
    end(fixture, SIGTERM);
}

/* What is to be told to a silent agent waits, and comes behind GO_ON. */
static void test_held(Fixture *fixture, gconstpointer data)
{
    (void)data;
    save_fails = TRUE;
    g_autoptr(GError) error = NULL;
    start(fixture);
    g_assert_false(duet_instance_save(fixture->instance, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "no space left"));
    assert_state(fixture, DUET_STATE_RUNNING);
    g_assert_cmpint(
        faccessat(fixture->instance->dir_fd, DUET_SAVED_NEW, F_OK, AT_SYMLINK_NOFOLLOW), ==, -1);
    wait_for_log(fixture, "first.last.on.");
    end(fixture, 8);
}

static void test_unasked(Fixture *fixture, gconstpointer data)
{
    (void)data;
    agent = is_quiet_unasked;
    start(fixture);
    wait_for_log(fixture, "alive.");
    save(fixture);
    assert_state(fixture, DUET_STATE_SAVED);
    start(fixture);
    wait_for_log(fixture, "alive.last.on.");
    end(fixture, 3);
}

static void test_ends_instead(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    (void)data;
    agent = ends_instead;
    start(fixture);
    g_assert_false(duet_instance_save(fixture->instance, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
    g_assert_cmpint(duet_instance_wait(fixture->instance, NULL), ==, 9);
    assert_state(fixture, DUET_STATE_EXITED);
}

/* A state that can't be restored is kept; one that is broken, too; both can be dropped. */
static void test_kept(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    int dir_fd = fixture->instance->dir_fd;

    (void)data;
    start(fixture);
    save(fixture);
    restore_fails = TRUE;
    g_assert_false(duet_instance_restore(fixture->instance, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    g_clear_error(&error);
    assert_state(fixture, DUET_STATE_SAVED);
    restore_fails = FALSE;
    g_assert_true(duet_file_replace(dir_fd, DUET_SAVED "/about", "{'x': <1", 8, NULL));
    g_assert_false(duet_instance_restore(fixture->instance, &error));
    g_assert_nonnull(error);
    g_clear_error(&error);
    assert_state(fixture, DUET_STATE_SAVED);
    g_assert_true(duet_instance_forget_saved(fixture->instance, &error));
    assert_state(fixture, DUET_STATE_EXITED);
    g_assert_false(duet_instance_restore(fixture->instance, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
    start(fixture);
    wait_for_log(fixture, "first.");
    g_assert_false(duet_instance_forget_saved(fixture->instance, NULL));
    end(fixture, 4);
}

/* Who is killed between two steps of putting a disk and a memory in place: the next goes on. */
static void test_commit_steps(Fixture *fixture, gconstpointer data)
{
    int dir_fd = fixture->instance->dir_fd;
    g_autofree char *in_commit = g_build_filename("copy.commit", fixture->layer, NULL);

    (void)data;
    for (int step = 0; step < 4; step++) {
        g_assert_cmpint(mkdirat(dir_fd, "copy.commit", 0700), ==, 0);
        g_assert_cmpint(mkdirat(dir_fd, "copy.commit/saved", 0700), ==, 0);
        g_assert_true(duet_file_replace(dir_fd, "copy.commit/saved/about", "new", 3, NULL));
        g_assert_true(duet_file_replace(dir_fd, in_commit, "new", 3, NULL));
        g_assert_true(duet_remove_tree(dir_fd, "saved", NULL));
        g_assert_cmpint(mkdirat(dir_fd, "saved", 0700), ==, 0);
        g_assert_true(duet_file_replace(dir_fd, "saved/about", "old", 3, NULL));
        g_assert_true(duet_file_replace(dir_fd, fixture->layer, "old", 3, NULL));
        if (step > 0)
            g_assert_cmpint(renameat(dir_fd, "saved", dir_fd, "copy.commit/old"), ==, 0);
        if (step > 1)
            g_assert_cmpint(renameat(dir_fd, in_commit, dir_fd, fixture->layer), ==, 0);
        if (step > 2)
            g_assert_cmpint(renameat(dir_fd, "copy.commit/saved", dir_fd, "saved"), ==, 0);
        g_assert_true(duet_layer_finish(dir_fd));
        g_autofree char *about = duet_file_read(dir_fd, "saved/about", 16, NULL, NULL);
        g_autofree char *disk = duet_file_read(dir_fd, fixture->layer, 16, NULL, NULL);
        g_assert_cmpstr(about, ==, "new");
        g_assert_cmpstr(disk, ==, "new");
        g_assert_cmpint(faccessat(dir_fd, "copy.commit", F_OK, AT_SYMLINK_NOFOLLOW), ==, -1);
    }
    g_assert_true(duet_remove_tree(dir_fd, "saved", NULL));
}

/* A snapshot's memory and disk come back together, and go to clones. */
static void test_snapshots(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    int dir_fd = fixture->instance->dir_fd;

    g_assert_true(duet_file_replace(dir_fd, fixture->layer, "one", 3, NULL));
    start(fixture);
    save(fixture);
    g_free(duet_snapshot_create(fixture->instance, "kept", &error));
    g_assert_no_error(error);
    g_assert_true(duet_file_replace(dir_fd, fixture->layer, "two", 3, NULL));
    g_assert_true(duet_instance_forget_saved(fixture->instance, NULL));
    g_free(duet_snapshot_create(fixture->instance, "plain", &error));
    g_assert_no_error(error);
    g_assert_true(duet_snapshot_restore(fixture->instance, "kept", &error));
    assert_state(fixture, DUET_STATE_SAVED);
    g_autofree char *disk = duet_file_read(dir_fd, fixture->layer, 16, NULL, NULL);
    g_assert_cmpstr(disk, ==, "one");
    g_autoptr(DuetInstance) clone = duet_instance_clone(fixture->instance, NULL, "twin", &error);
    g_assert_no_error(error);
    g_autoptr(DuetInfo) info = duet_instance_info(clone, NULL);
    g_assert_cmpint(info->state, ==, DUET_STATE_SAVED);
    g_assert_cmpint(
        faccessat(clone->dir_fd, DUET_SAVED "/" DUET_SAVED_SEED, F_OK, 0), ==, data ? 0 : -1);
    g_assert_true(duet_snapshot_restore(fixture->instance, "plain", &error));
    assert_state(fixture, DUET_STATE_EXITED);
    g_autofree char *plain = duet_file_read(dir_fd, fixture->layer, 16, NULL, NULL);
    g_assert_cmpstr(plain, ==, "two");
    g_assert_true(duet_instance_remove(clone, FALSE, &error));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        const char *disk;
        void (*run)(Fixture *fixture, gconstpointer data);
    } tests[] = {
        { "/save/there-and-back", NULL, test_there_and_back },
        { "/save/held", NULL, test_held },
        { "/save/unasked", NULL, test_unasked },
        { "/save/ends-instead", NULL, test_ends_instead },
        { "/save/kept", NULL, test_kept },
        { "/save/commit-steps", NULL, test_commit_steps },
        { "/save/snapshots", NULL, test_snapshots },
        { "/save/credit", NULL, test_credit },
        { "/save/disk/commit-steps", "/disk", test_commit_steps },
        { "/save/disk/snapshots", "/disk", test_snapshots },
        { "/save/disk/credit", "/disk", test_credit },
    };

    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Fixture, tests[i].disk, set_up, tests[i].run, tear_down);
    return g_test_run();
}
