/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor against an agent that lies: a guest's kernel may say whatever it likes. */
#include "core/util.h"
#include "tests/contract/fake-driver.h"

#include <duet/error.h>
#include <duet/instance.h>
#include <duet/protocol.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void say_on(
    int fd, guint8 type, guint8 channel, guint16 session, const void *payload, guint32 length)
{
    guint8 frame[DUET_FRAME_HEADER_BYTES + 64] = { 0 };

    g_assert_cmpuint(length, <=, 64);
    duet_frame_header(frame, type, channel, session, length);
    if (length > 0)
        memcpy(frame + DUET_FRAME_HEADER_BYTES, payload, length);
    if (!duet_write_all(fd, frame, DUET_FRAME_HEADER_BYTES + length))
        _exit(1);
}

static void say(int fd, guint8 type, guint16 session, const void *payload, guint32 length)
{
    say_on(fd, type, DUET_CHANNEL_STDOUT, session, payload, length);
}

static void begin_well(int fd)
{
    guint8 hello[20] = { 0 };

    signal(SIGTERM, SIG_IGN);
    duet_put_u32(hello, DUET_PROTOCOL_VERSION);
    say(fd, DUET_FRAME_HELLO, 0, hello, sizeof hello);
    say(fd, DUET_FRAME_STARTED, 0, NULL, 0);
}

/* Each time it says so it would be given time to end. */
static void ends_for_ever(int fd)
{
    static const guint8 status[8];

    begin_well(fd);
    for (;;) {
        say(fd, DUET_FRAME_EXIT, 0, status, sizeof status);
        g_usleep(100000);
    }
}

/* Each piece is answered by credit, which somebody would have to keep. */
static void never_reads(int fd)
{
    guint8 frames[DUET_FRAME_HEADER_BYTES * 8192];

    begin_well(fd);
    for (gsize at = 0; at < sizeof frames; at += DUET_FRAME_HEADER_BYTES)
        duet_frame_header(frames + at, DUET_FRAME_DATA, 1, 7, 0);
    while (duet_write_all(fd, frames, sizeof frames))
        continue;
}

/* Of the first exec: a code that none has. */
static void lies_of_exec(int fd)
{
    static const guint8 status[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

    begin_well(fd);
    for (;;) {
        say(fd, DUET_FRAME_EXIT, 1, status, sizeof status);
        g_usleep(100000);
    }
}

/* Takes more credit for input than there is, says what only clients may, and ends. */
static void grants_wildly(int fd)
{
    guint8 word[4], status[8] = { 5 };

    begin_well(fd);
    g_usleep(500000);
    for (int i = 0; i < 100; i++) {
        duet_put_u32(word, G_MAXUINT32);
        say_on(fd, DUET_FRAME_CREDIT, DUET_CHANNEL_STDIN, 0, word, 4);
        say_on(fd, DUET_FRAME_CREDIT, 77, 0, word, 4);
        say(fd, DUET_FRAME_RESIZE, 0, word, 4);
        say(fd, DUET_FRAME_ATTACH, 0, word, 4);
        say_on(fd, DUET_FRAME_CLOSE, DUET_CHANNEL_STDIN, 0, NULL, 0);
    }
    say(fd, DUET_FRAME_DATA, 0, "word", 4);
    say(fd, DUET_FRAME_EXIT, 0, status, sizeof status);
    for (;;)
        pause();
}

/* Ends once nothing came for a while, with a code that tells how much input did, in 64 KiB, and how
 * often a size. */
static void counts_input(int fd)
{
    struct duet_frame_reader reader = { 0 };
    struct duet_frame frame;
    struct pollfd poller = { .fd = fd, .events = POLLIN };
    guint8 status[8] = { 0 };
    guint32 bytes = 0, sizes = 0;

    begin_well(fd);
    while (poll(&poller, 1, 1500) > 0) {
        size_t room;
        guint8 *at = duet_frame_reader_space(&reader, &room);
        ssize_t n = read(fd, at, room);

        if (n <= 0)
            _exit(1);
        duet_frame_reader_fed(&reader, (size_t)n);
        while (duet_frame_reader_next(&reader, &frame) > 0) {
            bytes += frame.type == DUET_FRAME_DATA ? frame.length : 0;
            sizes += frame.type == DUET_FRAME_RESIZE;
        }
    }
    duet_put_u32(status, bytes / 65536 * 16 + sizes);
    say(fd, DUET_FRAME_EXIT, 0, status, sizeof status);
    for (;;)
        pause();
}

/* Obeys nothing, and says nothing. */
static void stays(int fd)
{
    begin_well(fd);
    for (;;)
        pause();
}

/* Where comes_up_once() leaves that it did. */
static char *once;

/* Ends at once, with the code 3. */
static void fails(int fd)
{
    static const guint8 status[8] = { 3 };

    begin_well(fd);
    say(fd, DUET_FRAME_EXIT, 0, status, sizeof status);
}

/* The first time it is well; after that it does not come up. */
static void comes_up_once(int fd)
{
    if (access(once, F_OK) != 0) {
        close(open(once, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
        fails(fd);
    }
}

/* Floods whoever checks its health: every session says that it wrote, failed and ended, in turn. */
static void floods_checks(int fd)
{
    static const guint8 status[8] = { 0 };

    begin_well(fd);
    for (;;)
        for (guint16 session = 1; session < 8; session++) {
            say(fd, DUET_FRAME_DATA, session, "garbage", 7);
            say(fd, DUET_FRAME_FAILED, session, status, 2);
            say(fd, DUET_FRAME_EXIT, session, status, 4);
            say(fd, DUET_FRAME_EXIT, session, status, sizeof status);
            g_usleep(1000);
        }
}

/* Not even a first word. */
static void mute(int fd)
{
    (void)fd;
    for (;;)
        pause();
}

static const DuetDriverEntry drivers[] = {
    { DUET_KIND_CONTAINER, &fake_driver, NULL, NULL },
    { DUET_KIND_CONTAINER, NULL, NULL, NULL },
};

typedef struct {
    char *root;
    DuetContext *context;
    DuetInstance *instance;
} Fixture;

static void make_of(Fixture *fixture, void (*what)(int fd), DuetSpec *spec)
{
    g_autoptr(GError) error = NULL;

    fake_agent = what;
    fixture->root = g_dir_make_tmp("duet-monitor-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->context = duet_context_new(fixture->root, drivers, &error);
    g_assert_no_error(error);
    spec->kind = DUET_KIND_CONTAINER;
    spec->image_ref = g_strdup("none");
    spec->image_digest = g_strdup("sha256:none");
    spec->open_stdin = spec->tty = TRUE;
    fixture->instance = duet_instance_create(fixture->context, spec, &error);
    g_assert_no_error(error);
}

static void make(Fixture *fixture, void (*what)(int fd))
{
    make_of(fixture, what, duet_spec_new());
}

static void begin(Fixture *fixture, void (*what)(int fd))
{
    g_autoptr(GError) error = NULL;

    make(fixture, what);
    g_assert_true(duet_instance_start(fixture->instance, &error));
    g_assert_no_error(error);
}

static void wait_for_state(Fixture *fixture, DuetState state)
{
    for (int tries = 0; tries < 1000; tries++) {
        g_autoptr(DuetInfo) info = duet_instance_info(fixture->instance, NULL);
        if (info && info->state == state)
            return;
        g_usleep(10000);
    }
    g_assert_not_reached();
}

static void end(Fixture *fixture)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(duet_instance_remove(fixture->instance, TRUE, &error));
    g_assert_no_error(error);
    duet_instance_free(fixture->instance);
    duet_context_free(fixture->context);
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->root, &error));
    g_free(fixture->root);
}

/* A stop that gives no time is obeyed, whatever the guest says of its end. */
static void test_ends_for_ever(void)
{
    Fixture fixture;
    g_autoptr(GError) error = NULL;

    begin(&fixture, ends_for_ever);
    wait_for_state(&fixture, DUET_STATE_STOPPING);
    g_assert_true(duet_instance_stop(fixture.instance, 0, &error));
    g_assert_no_error(error);
    g_autoptr(DuetInfo) info = duet_instance_info(fixture.instance, &error);
    g_assert_cmpint(info->state, ==, DUET_STATE_EXITED);
    g_assert_cmpint(info->exit_code, ==, 0); /* what it said first */
    end(&fixture);
}

/* Nor does it live on without one. */
static void test_said_once(void)
{
    Fixture fixture;

    begin(&fixture, ends_for_ever);
    g_assert_cmpint(duet_instance_wait(fixture.instance, NULL), ==, 0);
    end(&fixture);
}

static void test_never_reads(void)
{
    Fixture fixture;

    begin(&fixture, never_reads);
    g_assert_cmpint(duet_instance_wait(fixture.instance, NULL), ==, 128 + SIGKILL);
    end(&fixture);
}

static void test_lies_of_exec(void)
{
    static const char *const argv[] = { "true", NULL };
    static const DuetIo nothing = { -1, -1, -1, TRUE };
    const DuetExec exec = { .argv = (char **)argv };
    Fixture fixture;
    g_autoptr(GError) error = NULL;

    begin(&fixture, lies_of_exec);
    g_assert_cmpint(duet_instance_exec(fixture.instance, &exec, &nothing, &error), ==, 255);
    g_assert_no_error(error);
    end(&fixture);
}

static void test_grants_wildly(void)
{
    int null_fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    const DuetIo io = { .stdin_fd = null_fd, .stdout_fd = -1, .stderr_fd = -1, .quiet = TRUE };
    Fixture fixture;
    g_autoptr(GError) error = NULL;

    begin(&fixture, grants_wildly);
    g_autoptr(DuetInfo) info = duet_instance_attach(fixture.instance, &io, FALSE, &error);
    g_assert_no_error(error);
    g_assert_cmpint(info->exit_code, ==, 5);
    close(null_fd);
    end(&fixture);
}

static int connect_to(Fixture *fixture)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    g_snprintf(address.sun_path, sizeof address.sun_path, "%s/instances/%s/sock", fixture->root,
        duet_instance_spec(fixture->instance)->id);
    g_assert_cmpint(connect(fd, (struct sockaddr *)&address, sizeof address), ==, 0);
    return fd;
}

/* Clients beyond their windows: the agent's is kept, and memory with it. */
static void test_wild_clients(void)
{
    static const guint8 bytes[DUET_FRAME_MAX_BYTES];
    guint8 header[DUET_FRAME_HEADER_BYTES], one[4] = { 1 };
    int fds[3];
    Fixture fixture;

    signal(SIGPIPE, SIG_IGN);
    begin(&fixture, counts_input);
    for (guint k = 0; k < G_N_ELEMENTS(fds); k++) {
        fds[k] = connect_to(&fixture);
        say(fds[k], DUET_FRAME_RESIZE, 0, one, 4); /* attached to nothing yet */
        say(fds[k], DUET_FRAME_ATTACH, 0, one, 4);
        say(fds[k], DUET_FRAME_ATTACH, 0, one, 4);
        say(fds[k], DUET_FRAME_RESIZE, 0, one, 4);
        say(fds[k], DUET_FRAME_RESIZE, 0, one, 3);
        say(fds[k], DUET_FRAME_RESIZE, 0, NULL, 0);
        say(fds[k], DUET_FRAME_CREDIT, 0, "\377\377\377\377", 4);
        say(fds[k], DUET_FRAME_CLOSE, 0, NULL, 0);
        for (int i = 0; i < 10; i++) {
            duet_frame_header(header, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, DUET_FRAME_MAX_BYTES);
            g_assert_true(duet_write_all(fds[k], header, sizeof header));
            g_assert_true(duet_write_all(fds[k], bytes, sizeof bytes));
        }
        say_on(fds[k], DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 0, NULL, 0);
    }
    close(fds[1]);
    g_assert_cmpint(duet_instance_wait(fixture.instance, NULL), ==,
        DUET_CREDIT_INITIAL_BYTES / 65536 * 16 + G_N_ELEMENTS(fds));
    close(fds[0]);
    close(fds[2]);
    end(&fixture);
}

static pid_t stop_in_child(DuetInstance *instance, guint grace_ms)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(!duet_instance_stop(instance, grace_ms, NULL));
    return pid;
}

static void assert_stopped(pid_t child)
{
    int status = -1;

    g_assert_cmpint(waitpid(child, &status, 0), ==, child);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

/* Who has more patience does not take it from whom the end was promised. */
static void test_patience(void)
{
    Fixture fixture;
    gint64 began_us = g_get_monotonic_time();

    begin(&fixture, stays);
    pid_t first = stop_in_child(fixture.instance, 500);
    g_usleep(200000);
    pid_t second = stop_in_child(fixture.instance, 3600000);
    assert_stopped(first);
    assert_stopped(second);
    gint64 took_us = g_get_monotonic_time() - began_us;
    g_assert_cmpint(took_us, >=, 500000);
    g_assert_cmpint(took_us, <, 30 * G_USEC_PER_SEC);
    g_autoptr(DuetInfo) info = duet_instance_info(fixture.instance, NULL);
    g_assert_cmpint(info->state, ==, DUET_STATE_EXITED);
    g_assert_cmpint(info->exit_code, ==, 128 + SIGKILL);
    end(&fixture);
}

/* A guest that does not come up is given up, and its console's last lines tell why. */
static void test_mute(void)
{
    Fixture fixture;
    g_autoptr(GError) error = NULL;

    fake_boot_timeout_s = 1;
    fake_console = "No working init found.";
    make(&fixture, mute);
    g_assert_false(duet_instance_start(fixture.instance, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BOOT);
    g_assert_nonnull(strstr(error->message,
        "it did not come up within 1 s; its console's last lines:\nNo working init found."));
    g_autoptr(DuetInfo) info = duet_instance_info(fixture.instance, NULL);
    g_assert_cmpint(info->state, ==, DUET_STATE_EXITED);
    g_assert_cmpint(info->exit_code, ==, 125);
    g_assert_nonnull(strstr(info->error, "No working init found."));
    end(&fixture);
    fake_boot_timeout_s = 0;
    fake_console = NULL;
}

/* The same process goes on, and holds no more after each run than before. */
static void test_restarts(void)
{
    Fixture fixture;
    DuetSpec *spec = duet_spec_new();
    g_autoptr(GError) error = NULL;

    spec->restart = DUET_RESTART_ON_FAILURE;
    spec->restart_retries = 4;
    make_of(&fixture, fails, spec);
    g_assert_true(duet_instance_start(fixture.instance, &error));
    g_assert_no_error(error);
    g_assert_cmpint(duet_instance_wait(fixture.instance, NULL), ==, 3);
    g_autoptr(DuetInfo) info = duet_instance_info(fixture.instance, NULL);
    g_assert_cmpint(info->state, ==, DUET_STATE_EXITED);
    g_assert_cmpint(info->restarts, ==, 4);
    end(&fixture);
}

/* A later run that does not come up is a failure as others are. */
static void test_restart_fails(void)
{
    Fixture fixture;
    DuetSpec *spec = duet_spec_new();
    g_autofree char *path = g_strdup_printf("/tmp/duet-once-%d", (int)getpid());

    once = path;
    spec->restart = DUET_RESTART_ON_FAILURE;
    spec->restart_retries = 2;
    make_of(&fixture, comes_up_once, spec);
    g_assert_true(duet_instance_start(fixture.instance, NULL));
    g_assert_cmpint(duet_instance_wait(fixture.instance, NULL), ==, 125);
    g_autoptr(DuetInfo) info = duet_instance_info(fixture.instance, NULL);
    g_assert_cmpint(info->restarts, ==, 2);
    g_assert_nonnull(strstr(info->error, "ended before its payload could be started"));
    end(&fixture);
    unlink(path);
}

static DuetSpec *checked_spec(void)
{
    static const char *const test[] = { "true", NULL };
    DuetSpec *spec = duet_spec_new();

    spec->health = (DuetHealthCheck){
        .test = g_strdupv((char **)test), .interval_us = 10000, .timeout_us = 50000, .retries = 2
    };
    return spec;
}

/* Who does not answer a check is unhealthy, and can still be stopped. */
static void test_silent_check(void)
{
    Fixture fixture;
    gboolean healthy = TRUE;

    make_of(&fixture, stays, checked_spec());
    g_assert_true(duet_instance_start(fixture.instance, NULL));
    g_assert_true(duet_instance_check_health(fixture.instance, &healthy, NULL));
    g_assert_false(healthy);
    for (int tries = 0; tries < 1000; tries++) {
        g_autoptr(DuetInfo) info = duet_instance_info(fixture.instance, NULL);
        if (info->health->status == DUET_HEALTH_UNHEALTHY)
            break;
        g_usleep(10000);
    }
    g_autoptr(DuetInfo) info = duet_instance_info(fixture.instance, NULL);
    g_assert_cmpint(info->health->status, ==, DUET_HEALTH_UNHEALTHY);
    g_assert_cmpint(info->state, ==, DUET_STATE_RUNNING);
    end(&fixture);
}

static void test_flooded_check(void)
{
    Fixture fixture;
    gboolean healthy = FALSE;

    make_of(&fixture, floods_checks, checked_spec());
    g_assert_true(duet_instance_start(fixture.instance, NULL));
    for (int i = 0; i < 20; i++)
        g_assert_true(duet_instance_check_health(fixture.instance, &healthy, NULL));
    g_autoptr(DuetInfo) info = duet_instance_info(fixture.instance, NULL);
    g_assert_cmpint(info->state, ==, DUET_STATE_RUNNING);
    g_assert_cmpuint(info->health->log->len, ==, 5);
    end(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/monitor/ends-for-ever/stopped", test_ends_for_ever);
    g_test_add_func("/monitor/ends-for-ever/waited-for", test_said_once);
    g_test_add_func("/monitor/never-reads", test_never_reads);
    g_test_add_func("/monitor/lies-of-exec", test_lies_of_exec);
    g_test_add_func("/monitor/grants-wildly", test_grants_wildly);
    g_test_add_func("/monitor/wild-clients", test_wild_clients);
    g_test_add_func("/monitor/patience", test_patience);
    g_test_add_func("/monitor/mute", test_mute);
    g_test_add_func("/monitor/restart/fails", test_restarts);
    g_test_add_func("/monitor/restart/does-not-come-up", test_restart_fails);
    g_test_add_func("/monitor/health/silent", test_silent_check);
    g_test_add_func("/monitor/health/flooded", test_flooded_check);
    return g_test_run();
}
