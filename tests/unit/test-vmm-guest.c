/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk guests: the words of QEMU's guest agent, the seed for cloud-init, and what plays the agent.
 */
#include "vmm/guest-json.h"
#include "vmm/guest-proxy.h"
#include "vmm/seed.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_requests(void)
{
    const char *const argv[] = { "sh", "-c", "echo \"$A\"", NULL };
    const char *const env[] = { "A=b", NULL };
    const char *const none[] = { NULL };
    const char *const bytes[] = { "\xff", NULL };
    g_autoptr(GError) error = NULL;
    g_autoptr(GByteArray) input = g_byte_array_new();
    g_autofree char *plain = duet_guest_exec_request(argv, none, NULL, NULL, &error);
    g_assert_cmpstr(plain, ==,
        "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"sh\",\"arg\":[\"-c\",\"echo "
        "\\\"$A\\\"\"],\"capture-output\":true}}");
    g_byte_array_append(input, (const guint8 *)"hi", 2);
    g_autofree char *full = duet_guest_exec_request(argv, env, "/tmp", input, &error);
    g_assert_nonnull(strstr(full, "\"path\":\"env\",\"arg\":[\"-C\",\"/tmp\",\"A=b\",\"sh\","));
    g_assert_nonnull(strstr(full, "\"input-data\":\"aGk=\""));
    g_assert_null(duet_guest_exec_request(bytes, none, NULL, NULL, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    g_autofree char *kill_it = duet_guest_kill_request(42, SIGTERM);
    g_assert_nonnull(strstr(kill_it, "\"path\":\"kill\",\"arg\":[\"-15\",\"42\"]"));
}

static void test_replies(void)
{
    static const char *const wrong[] = { "", "[]", "{}", "{\"return\":[]}", "{\"return\":{}}",
        "{\"return\":{\"pid\":\"1\"}}", "{\"return\":{\"pid\":-1}}", "{\"return\":{\"pid\":1.5}}",
        "not json" };
    gint64 pid = 0;
    DuetGuestStatus status;
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_guest_exec_pid("{\"return\":{\"pid\":7}}", &pid, &error));
    g_assert_cmpint(pid, ==, 7);
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_false(duet_guest_exec_pid(wrong[i], &pid, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
        g_clear_error(&error);
    }
    g_autofree char *deep = g_strnfill(1000000, '[');
    g_assert_false(duet_guest_status_read(deep, &status, NULL));
    g_assert_true(duet_guest_status_read("{\"return\":{\"exited\":false}}", &status, &error));
    g_assert_false(status.exited);
    g_assert_true(duet_guest_status_read(
        "{\"return\":{\"exited\":true,\"signal\":9,\"out-data\":\"aGk=\",\"err-truncated\":true}}",
        &status, &error));
    g_assert_cmpuint(status.exit_code, ==, 137);
    g_assert_cmpmem(status.out[0]->data, status.out[0]->len, "hi", 2);
    g_assert_cmpuint(status.out[1]->len, ==, 0);
    g_assert_true(status.truncated[1]);
    duet_guest_status_clear(&status);
    /* Types and numbers that no agent has. */
    g_assert_true(duet_guest_status_read(
        "{\"return\":{\"exited\":true,\"exitcode\":99999,\"out-data\":{},\"err-data\":\"*\"}}",
        &status, &error));
    g_assert_cmpuint(status.exit_code, ==, 255);
    duet_guest_status_clear(&status);
    /* No failure is taken for a success: Windows has negative ones. */
    g_assert_true(duet_guest_status_read(
        "{\"return\":{\"exited\":true,\"exitcode\":-1073741819}}", &status, &error));
    g_assert_cmpuint(status.exit_code, ==, 255);
    duet_guest_status_clear(&status);
    g_assert_true(
        duet_guest_status_read("{\"return\":{\"exited\":true,\"signal\":-9}}", &status, &error));
    g_assert_cmpuint(status.exit_code, ==, 192);
    duet_guest_status_clear(&status);
    /* One that does not tell whether it ended would be asked for ever. */
    g_assert_false(duet_guest_status_read("{\"return\":{\"exited\":\"yes\"}}", &status, NULL));
    g_assert_false(duet_guest_status_read("{\"return\":{}}", &status, NULL));
}

static char *read_entry(const char *path, const char *name)
{
    struct archive *iso = archive_read_new();
    struct archive_entry *entry;
    char *text = NULL;
    archive_read_support_format_iso9660(iso);
    g_assert_cmpint(archive_read_open_filename(iso, path, 2048), ==, ARCHIVE_OK);
    while (!text && archive_read_next_header(iso, &entry) == ARCHIVE_OK) {
        gsize size = (gsize)archive_entry_size(entry);
        if (!g_str_equal(archive_entry_pathname(entry), name))
            continue;
        text = g_malloc0(size + 1);
        g_assert_cmpint(archive_read_data(iso, text, size), ==, (la_ssize_t)size);
    }
    archive_read_free(iso);
    return text;
}

static void test_seed(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp("duet-seed-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(dir, "seed.img", NULL);
    const char *const keys[] = { "ssh-ed25519 AAAA \"me\"", NULL };
    spec->name = g_strdup("box");
    spec->user_data = g_strdup("#cloud-config\nhostname: x\n");
    spec->ssh_keys = g_strdupv((char **)keys);
    /* What a start that was killed left is no hindrance, nor is what is there. */
    for (guint i = 0; i < 2; i++) {
        g_autofree char *left = g_strconcat(path, ".new", NULL);
        g_assert_true(g_file_set_contents(left, "x", -1, NULL));
        duet_seed_make(spec, path, geteuid(), &error);
        g_assert_no_error(error);
    }
    g_autofree char *user_data = read_entry(path, "user-data");
    g_assert_cmpstr(user_data, ==, spec->user_data);
    g_autofree char *meta_data = read_entry(path, "meta-data");
    g_assert_nonnull(strstr(meta_data, spec->id));
    g_assert_nonnull(strstr(meta_data, "\"ssh-ed25519 AAAA \\\"me\\\"\""));
    DUET_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    char label[7] = { 0 };
    /* The volume's name in the primary descriptor, ECMA-119. */
    g_assert_cmpint(pread(fd, label, 6, 16 * 2048 + 40), ==, 6);
    g_assert_cmpstr(label, ==, DUET_SEED_LABEL);
    g_assert_false(duet_seed_make(spec, "/nowhere/seed.img", geteuid(), &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
}

static void test_wait(void)
{
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_guest_wait_check("agent", &error));
    g_assert_true(duet_guest_wait_check("console:login: *$", &error));
    static const char *const wrong[] = { "", "ip", "console", "console:(" };
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_false(duet_guest_wait_check(wrong[i], &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_clear_error(&error);
    }
}

/* ---- the proxy, between a monitor's and a console's other ends ---- */

typedef struct {
    DuetSpec *spec;
    DuetGuestProxy *proxy;
    int monitor, console;
    struct duet_frame_reader reader;
    guint presses, power_offs;
    gint asked; /* atomic: by a thread */
} Fixture;

/* A guest agent whose every program runs for a moment and writes 300000 bytes. */
static char *ask(gpointer data, const char *request, GError **error)
{
    Fixture *fixture = data;
    if (strstr(request, "nowhere")) {
        g_set_error_literal(
            error, DUET_ERROR, DUET_ERROR_FAILED, "Failed to execute: No such file or directory");
        return NULL;
    }
    if (strstr(request, "\"guest-exec\""))
        return g_strdup("{\"return\":{\"pid\":5}}");
    if (g_atomic_int_add(&fixture->asked, 1) == 0)
        return g_strdup("{\"return\":{\"exited\":false}}");
    g_autofree char *bytes = g_strnfill(300000, 'x');
    g_autofree char *encoded = g_base64_encode((const guchar *)bytes, 300000);
    return g_strdup_printf(
        "{\"return\":{\"exited\":true,\"exitcode\":3,\"out-data\":\"%s\"}}", encoded);
}

static void press(gpointer data)
{
    ((Fixture *)data)->presses++;
}

static void power_off(gpointer data)
{
    ((Fixture *)data)->power_offs++;
}

static const DuetGuestHost host = { ask, press, power_off };

static void set_up(Fixture *fixture, gconstpointer wait)
{
    int monitor[2], console[2];
    fixture->spec = duet_spec_new();
    fixture->spec->name = g_strdup("box");
    fixture->spec->wait = g_strdup(wait);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console), ==, 0);
    fixture->monitor = monitor[0];
    fixture->console = console[0];
    fixture->proxy = duet_guest_proxy_new(fixture->spec, monitor[1], console[1], &host, fixture);
}

static void tear_down(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    duet_guest_proxy_free(fixture->proxy);
    duet_frame_reader_clear(&fixture->reader);
    duet_fd_clear(&fixture->monitor);
    duet_fd_clear(&fixture->console);
    duet_spec_free(fixture->spec);
}

static void tell(Fixture *fixture, guint8 type, guint8 channel, guint16 session,
    const void *payload, guint32 length)
{
    guint8 header[DUET_FRAME_HEADER_BYTES];
    duet_frame_header(header, type, channel, session, length);
    g_assert_true(duet_write_all(fixture->monitor, header, sizeof header));
    g_assert_true(duet_write_all(fixture->monitor, payload, length));
}

static void tell_u32(Fixture *fixture, guint8 type, guint8 channel, guint16 session, guint32 value)
{
    guint8 word[4];
    duet_put_u32(word, value);
    tell(fixture, type, channel, session, word, sizeof word);
}

/* The next frame; NULL: none comes for a while. */
static const struct duet_frame *next(Fixture *fixture)
{
    static struct duet_frame frame;
    for (guint i = 0; i < 300; i++) {
        size_t space;
        if (duet_frame_reader_next(&fixture->reader, &frame) == 1)
            return &frame;
        while (g_main_context_iteration(NULL, FALSE))
            ;
        uint8_t *at = duet_frame_reader_space(&fixture->reader, &space);
        ssize_t n = recv(fixture->monitor, at, space, MSG_DONTWAIT);
        if (n > 0)
            duet_frame_reader_fed(&fixture->reader, (size_t)n);
        else
            g_usleep(1000);
    }
    return NULL;
}

static const struct duet_frame *expect(Fixture *fixture, guint8 type, guint16 session)
{
    const struct duet_frame *frame = next(fixture);
    g_assert_nonnull(frame);
    g_assert_cmpuint(frame->type, ==, type);
    g_assert_cmpuint(frame->session, ==, session);
    return frame;
}

static void spawn(Fixture *fixture, guint16 session, const char *program, guint32 flags)
{
    g_autoptr(GByteArray) fields = g_byte_array_new();
    const gsize length = strlen(program);
    const guint8 arg[] = { DUET_FIELD_ARG, (guint8)length, 0, 0, 0 };
    const guint8 word[] = { DUET_FIELD_FLAGS, 4, 0, 0, 0, (guint8)flags, 0, 0, 0 };
    g_byte_array_append(fields, arg, sizeof arg);
    g_byte_array_append(fields, (const guint8 *)program, (guint)length);
    g_byte_array_append(fields, word, sizeof word);
    tell(fixture, DUET_FRAME_SPAWN, 0, session, fields->data, fields->len);
}

static void begin(Fixture *fixture)
{
    expect(fixture, DUET_FRAME_HELLO, 0);
    spawn(fixture, 0, "", 0);
}

static void test_console(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    begin(fixture);
    expect(fixture, DUET_FRAME_STARTED, 0);
    g_assert_true(duet_write_all(fixture->console, "hello", 5));
    const struct duet_frame *frame = expect(fixture, DUET_FRAME_DATA, 0);
    g_assert_cmpmem(frame->payload, frame->length, "hello", 5);
    tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, "typed", 5);
    expect(fixture, DUET_FRAME_CREDIT, 0);
    char typed[8];
    g_assert_cmpint(recv(fixture->console, typed, sizeof typed, 0), ==, 5);
    /* The button, the plug, and the end: all output, and then that it was a good one. */
    tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 0, SIGTERM);
    tell(fixture, DUET_FRAME_SHUTDOWN, 0, 0, "", 0);
    g_assert_null(next(fixture));
    g_assert_cmpuint(fixture->presses, ==, 1);
    g_assert_cmpuint(fixture->power_offs, ==, 1);
    duet_guest_proxy_powered_off(fixture->proxy);
    expect(fixture, DUET_FRAME_ENDED, 0);
    g_assert_true(duet_write_all(fixture->console, "bye", 3));
    duet_fd_clear(&fixture->console);
    expect(fixture, DUET_FRAME_DATA, 0);
    frame = expect(fixture, DUET_FRAME_EXIT, 0);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 0);
}

/* More than there is credit for waits in the guest. */
static void test_console_credit(Fixture *fixture, gconstpointer wait)
{
    g_autofree char *bytes = g_strnfill(DUET_CREDIT_INITIAL_BYTES + 1000, 'x');
    guint64 got = 0, at = 0, all = DUET_CREDIT_INITIAL_BYTES + 1000;
    const struct duet_frame *frame;
    (void)wait;
    begin(fixture);
    expect(fixture, DUET_FRAME_STARTED, 0);
    while (at < all) {
        ssize_t n = send(fixture->console, bytes + at, all - at, MSG_DONTWAIT);
        at += n > 0 ? (guint64)n : 0;
        while ((frame = next(fixture)))
            got += frame->length;
    }
    g_assert_cmpuint(got, ==, DUET_CREDIT_INITIAL_BYTES);
    tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 0, 4000);
    while ((frame = next(fixture)))
        got += frame->length;
    g_assert_cmpuint(got, ==, all);
}

static void test_wait_agent(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    begin(fixture);
    g_assert_null(next(fixture));
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    expect(fixture, DUET_FRAME_STARTED, 0);
}

static void test_wait_console(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    begin(fixture);
    g_assert_true(duet_write_all(fixture->console, "box log", 7));
    expect(fixture, DUET_FRAME_DATA, 0);
    g_assert_null(next(fixture));
    g_assert_true(duet_write_all(fixture->console, "in: ", 4));
    expect(fixture, DUET_FRAME_DATA, 0);
    expect(fixture, DUET_FRAME_STARTED, 0);
}

static void test_exec(Fixture *fixture, gconstpointer wait)
{
    const struct duet_frame *frame;
    guint64 got = 0;
    (void)wait;
    begin(fixture);
    expect(fixture, DUET_FRAME_STARTED, 0);
    spawn(fixture, 1, "early", 0);
    frame = expect(fixture, DUET_FRAME_FAILED, 1);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 125);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    spawn(fixture, 2, "sh", DUET_SPAWN_TTY);
    expect(fixture, DUET_FRAME_FAILED, 2);
    spawn(fixture, 3, "nowhere", 0);
    frame = expect(fixture, DUET_FRAME_FAILED, 3);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 127);
    spawn(fixture, 4, "long", 0);
    expect(fixture, DUET_FRAME_STARTED, 4);
    while ((frame = next(fixture)))
        got += frame->length;
    g_assert_cmpuint(got, ==, DUET_CREDIT_INITIAL_BYTES);
    tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 4, 300000);
    expect(fixture, DUET_FRAME_DATA, 4);
    frame = expect(fixture, DUET_FRAME_EXIT, 4);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 3);
}

static void test_exec_input(Fixture *fixture, gconstpointer wait)
{
    static const guint8 chunk[DUET_FRAME_MAX_BYTES];
    const struct duet_frame *frame;
    (void)wait;
    begin(fixture);
    expect(fixture, DUET_FRAME_STARTED, 0);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    /* One that nobody waits for any more does not begin with half of its input. */
    spawn(fixture, 1, "cat", DUET_SPAWN_STDIN);
    tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 1, chunk, 5);
    expect(fixture, DUET_FRAME_CREDIT, 1);
    tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 1, SIGHUP);
    expect(fixture, DUET_FRAME_FAILED, 1);
    spawn(fixture, 2, "cat", DUET_SPAWN_STDIN);
    for (guint i = 0; i < DUET_GUEST_INPUT_MAX_BYTES / sizeof chunk; i++) {
        tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 2, chunk, sizeof chunk);
        frame = expect(fixture, DUET_FRAME_CREDIT, 2);
        g_assert_cmpuint(duet_get_u32(frame->payload), ==, sizeof chunk);
    }
    tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 2, chunk, 1);
    expect(fixture, DUET_FRAME_FAILED, 2);
    spawn(fixture, 3, "cat", DUET_SPAWN_STDIN);
    tell(fixture, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 3, "", 0);
    expect(fixture, DUET_FRAME_STARTED, 3);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/vmm-guest/requests", test_requests);
    g_test_add_func("/vmm-guest/replies", test_replies);
    g_test_add_func("/vmm-guest/seed", test_seed);
    g_test_add_func("/vmm-guest/wait", test_wait);
#define ADD(name, wait, function)                                                                  \
    g_test_add("/vmm-guest/" name, Fixture, wait, set_up, function, tear_down)
    ADD("console", NULL, test_console);
    ADD("console-credit", NULL, test_console_credit);
    ADD("wait-agent", "agent", test_wait_agent);
    ADD("wait-console", "console:log.n: ", test_wait_console);
    ADD("exec", NULL, test_exec);
    ADD("exec-input", NULL, test_exec_input);
    return g_test_run();
}
