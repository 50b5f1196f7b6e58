/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk guests: the words of QEMU's guest agent, the seed for cloud-init, and what plays the agent.
 */
#include "guest-fixture.h"

#include "vmm/disk-guest/guest-json.h"
#include "vmm/disk-guest/guest-ready.h"
#include "vmm/disk-guest/seed.h"
#include "core/util.h"

#include <duet/error.h>

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

static void test_files(void)
{
    static const char *const wrong[] = { "{\"return\":{\"count\":4,\"buf-b64\":\"aGloaQ==\"}}",
        "{\"return\":{\"buf-b64\":\"\",\"eof\":false}}", "{\"return\":{}}", "{\"return\":[]}",
        "{" };
    g_autoptr(GError) error = NULL;
    gint64 handle = 0;
    gboolean eof = FALSE;
    g_autofree char *open_it = duet_guest_file_open_request("/a", "w");
    g_assert_cmpstr(open_it, ==,
        "{\"execute\":\"guest-file-open\",\"arguments\":{\"path\":\"/a\",\"mode\":\"w\"}}");
    g_autofree char *write_it = duet_guest_file_write_request(7, (const guint8 *)"hi", 2);
    g_assert_cmpstr(write_it, ==,
        "{\"execute\":\"guest-file-write\",\"arguments\":{\"handle\":7,\"buf-b64\":\"aGk=\"}}");
    g_assert_true(duet_guest_file_opened("{\"return\":7}", &handle, &error));
    g_assert_cmpint(handle, ==, 7);
    g_assert_false(duet_guest_file_opened("{\"return\":{}}", &handle, NULL));
    g_assert_true(duet_guest_file_written("{\"return\":{\"count\":2,\"eof\":false}}", 2, &error));
    g_assert_false(duet_guest_file_written("{\"return\":{\"count\":1}}", 2, NULL));
    g_assert_false(duet_guest_file_written("{\"return\":{}}", 2, NULL));
    g_autoptr(GByteArray) bytes = duet_guest_file_bytes(
        "{\"return\":{\"count\":2,\"buf-b64\":\"aGk=\",\"eof\":true}}", 2, &eof, &error);
    g_assert_no_error(error);
    g_assert_cmpmem(bytes->data, bytes->len, "hi", 2);
    g_assert_true(eof);
    /* More than was asked for, no end and nothing, and nonsense. */
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_null(duet_guest_file_bytes(wrong[i], 3, &eof, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
        g_clear_error(&error);
    }
}

static void test_addresses(void)
{
    static const char *const none[] = {
        "", "{\"return\":{}}", "{\"return\":[1,{}]}",
        "{\"return\":[{\"ip-addresses\":[1,{\"ip-address\":2}]}]}",
        "{\"return\":[" INTERFACE("127.0.0.1") "," INTERFACE("::1") "," INTERFACE(
            "fe80::1") "," INTERFACE("169.254.3.4") "," INTERFACE("0.0.0.0") "," INTERFACE("10."
                                                                                           "0."
                                                                                           "0") "]}"
    };
    for (guint i = 0; i < G_N_ELEMENTS(none); i++) {
        g_auto(GStrv) found = duet_guest_addresses(none[i]);
        g_assert_cmpuint(g_strv_length(found), ==, 0);
    }
    g_auto(GStrv) found = duet_guest_addresses("{\"return\":[" INTERFACE("127.0.0.1") "," INTERFACE(
        "10.0.2.15") "," INTERFACE("fec0::5") "]}");
    g_autofree char *text = g_strjoinv(" ", found);
    g_assert_cmpstr(text, ==, "10.0.2.15 fec0::5");
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
        g_autofree char *none = i ? read_entry(path, "network-config") : NULL;
        g_assert_null(none);
        if (i)
            spec->network_config = g_strdup("version: 2\n");
        g_autofree char *left = g_strconcat(path, ".new", NULL);
        g_assert_true(g_file_set_contents(left, "x", -1, NULL));
        duet_seed_make(spec, path, geteuid(), &error);
        g_assert_no_error(error);
    }
    g_autofree char *user_data = read_entry(path, "user-data");
    g_assert_cmpstr(user_data, ==, spec->user_data);
    g_autofree char *network_config = read_entry(path, "network-config");
    g_assert_cmpstr(network_config, ==, "version: 2\n");
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
    g_assert_true(duet_guest_wait_check("ip", &error));
    g_assert_true(duet_guest_wait_check("console:login: *$", &error));
    static const char *const wrong[] = { "", "ipv6", "console", "console:(" };
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_false(duet_guest_wait_check(wrong[i], &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_clear_error(&error);
    }
}

/* ---- the proxy, between a monitor's and a console's other ends ---- */

static void test_console(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    guest_begin(fixture);
    guest_expect(fixture, DUET_FRAME_STARTED, 0);
    g_assert_true(duet_write_all(fixture->console, "hello", 5));
    const struct duet_frame *frame = guest_expect(fixture, DUET_FRAME_DATA, 0);
    g_assert_cmpmem(frame->payload, frame->length, "hello", 5);
    guest_tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, "typed", 5);
    guest_expect(fixture, DUET_FRAME_CREDIT, 0);
    char typed[8];
    g_assert_cmpint(recv(fixture->console, typed, sizeof typed, 0), ==, 5);
    /* The button, the plug, and the end: all output, and then that it was a good one. */
    guest_tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 0, SIGTERM);
    guest_tell(fixture, DUET_FRAME_SHUTDOWN, 0, 0, "", 0);
    g_assert_null(guest_next(fixture));
    g_assert_cmpuint(fixture->presses, ==, 1);
    g_assert_cmpuint(fixture->power_offs, ==, 1);
    duet_guest_proxy_powered_off(fixture->proxy);
    guest_expect(fixture, DUET_FRAME_ENDED, 0);
    g_assert_true(duet_write_all(fixture->console, "bye", 3));
    duet_fd_clear(&fixture->console);
    guest_expect(fixture, DUET_FRAME_DATA, 0);
    frame = guest_expect(fixture, DUET_FRAME_EXIT, 0);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 0);
}

/* More than there is credit for waits in the guest. */
static void test_console_credit(GuestFixture *fixture, gconstpointer wait)
{
    guint64 got = 0;
    const struct duet_frame *frame;
    (void)wait;
    guest_begin(fixture);
    guest_expect(fixture, DUET_FRAME_STARTED, 0);
    guest_flood(fixture, 1000);
    guest_tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 0, 4000);
    while ((frame = guest_next(fixture)))
        got += frame->length;
    g_assert_cmpuint(got, ==, 1000);
}

static void test_wait_agent(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    guest_begin(fixture);
    g_assert_null(guest_next(fixture));
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    guest_expect(fixture, DUET_FRAME_STARTED, 0);
    guest_expect(fixture, DUET_FRAME_READY, 0);
    /* Once, also where it boots anew. */
    duet_guest_proxy_set_agent(fixture->proxy, FALSE);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    g_assert_null(guest_next(fixture));
}

static void test_wait_console(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    guest_begin(fixture);
    g_assert_true(duet_write_all(fixture->console, "box log", 7));
    guest_expect(fixture, DUET_FRAME_DATA, 0);
    g_assert_null(guest_next(fixture));
    g_assert_true(duet_write_all(fixture->console, "in: ", 4));
    guest_expect(fixture, DUET_FRAME_DATA, 0);
    guest_expect(fixture, DUET_FRAME_STARTED, 0);
}

static void test_exec(GuestFixture *fixture, gconstpointer wait)
{
    const struct duet_frame *frame;
    guint64 got = 0;
    (void)wait;
    guest_begin(fixture);
    guest_expect(fixture, DUET_FRAME_STARTED, 0);
    guest_spawn(fixture, 1, "early", 0);
    frame = guest_expect(fixture, DUET_FRAME_FAILED, 1);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 125);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    guest_expect(fixture, DUET_FRAME_READY, 0);
    guest_spawn(fixture, 2, "sh", DUET_SPAWN_TTY);
    guest_expect(fixture, DUET_FRAME_FAILED, 2);
    guest_spawn(fixture, 3, "nowhere", 0);
    frame = guest_expect(fixture, DUET_FRAME_FAILED, 3);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 127);
    guest_spawn(fixture, 4, "long", 0);
    guest_expect(fixture, DUET_FRAME_STARTED, 4);
    while ((frame = guest_next(fixture)))
        got += frame->length;
    g_assert_cmpuint(got, ==, DUET_CREDIT_INITIAL_BYTES);
    guest_tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 4, 300000);
    guest_expect(fixture, DUET_FRAME_DATA, 4);
    frame = guest_expect(fixture, DUET_FRAME_EXIT, 4);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 3);
}

static void test_exec_input(GuestFixture *fixture, gconstpointer wait)
{
    static const guint8 chunk[DUET_FRAME_MAX_BYTES];
    const struct duet_frame *frame;
    (void)wait;
    guest_begin_with_agent(fixture);
    /* One that nobody waits for any more does not begin with half of its input. */
    guest_spawn(fixture, 1, "cat", DUET_SPAWN_STDIN);
    guest_tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 1, chunk, 5);
    guest_expect(fixture, DUET_FRAME_CREDIT, 1);
    guest_tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 1, SIGHUP);
    guest_expect(fixture, DUET_FRAME_FAILED, 1);
    guest_spawn(fixture, 2, "cat", DUET_SPAWN_STDIN);
    for (guint i = 0; i < DUET_GUEST_INPUT_MAX_BYTES / sizeof chunk; i++) {
        guest_tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 2, chunk, sizeof chunk);
        frame = guest_expect(fixture, DUET_FRAME_CREDIT, 2);
        g_assert_cmpuint(duet_get_u32(frame->payload), ==, sizeof chunk);
    }
    guest_tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 2, chunk, 1);
    guest_expect(fixture, DUET_FRAME_FAILED, 2);
    guest_spawn(fixture, 3, "cat", DUET_SPAWN_STDIN);
    guest_tell(fixture, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 3, "", 0);
    guest_expect(fixture, DUET_FRAME_STARTED, 3);
}

static void test_wait_ip(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    guest_begin(fixture);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    g_assert_null(guest_next(fixture));
    fixture->has_address = TRUE;
    for (guint i = 0; i < 10; i++) {
        const struct duet_frame *frame = guest_next(fixture);
        if (!frame)
            continue;
        g_assert_cmpuint(frame->type, ==, DUET_FRAME_STARTED);
        return;
    }
    g_assert_not_reached();
}

static void test_vcpus(void)
{
    static const char *const wrong[] = { "", "{\"return\":{}}", "{\"return\":1}" };
    g_autoptr(GError) error = NULL;
    g_autoptr(GArray) off = NULL;
    g_assert_cmpint(duet_guest_vcpus("{\"return\":[1,{},{\"logical-id\":-3},{\"logical-id\":2},"
                                     "{\"logical-id\":0,\"online\":true}]}",
                        &off, &error),
        ==, 1);
    g_assert_cmpuint(off->len, ==, 1);
    g_assert_cmpint(g_array_index(off, gint64, 0), ==, 2);
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_assert_cmpint(duet_guest_vcpus(wrong[i], &off, &error), ==, -1);
        g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
        g_clear_error(&error);
    }
}

/* Has the guest do what @field asks. Returns: what it says, which may be nothing. */
static char *change(GuestFixture *fixture, guint8 number, guint8 field, guint32 cpus, guint64 bytes)
{
    const guint8 fields[] = { field, 0, 0, 0, 0 };
    guest_tell(fixture, DUET_FRAME_CHANGE, number, 0, fields, field ? sizeof fields : 0);
    const struct duet_frame *frame = NULL;
    for (guint i = 0; i < 10 && !frame; i++)
        frame = guest_next(fixture);
    g_assert_nonnull(frame);
    g_assert_cmpuint(frame->type, ==, DUET_FRAME_CHANGE);
    g_assert_cmpuint(frame->channel, ==, number);
    g_assert_cmpuint(frame->length, >=, DUET_CHANGE_ANSWER_BYTES);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, cpus);
    g_assert_cmpuint(duet_get_u64(frame->payload + 4), ==, bytes);
    return g_strndup((const char *)frame->payload + DUET_CHANGE_ANSWER_BYTES,
        frame->length - DUET_CHANGE_ANSWER_BYTES);
}

static void test_change(GuestFixture *fixture, gconstpointer wait)
{
    (void)wait;
    guest_begin(fixture);
    guest_expect(fixture, DUET_FRAME_STARTED, 0);
    /* Its balloon needs no agent, and may say nothing. */
    g_autofree char *silent = change(fixture, 1, DUET_FIELD_BALLOON, 0, 0);
    fixture->available = 5 << 20;
    g_autofree char *tells = change(fixture, 2, DUET_FIELD_BALLOON, 0, 5 << 20);
    g_assert_cmpstr(silent, ==, "");
    g_assert_cmpstr(tells, ==, "");
    g_assert_cmpuint(fixture->watches, ==, 4);
    g_autofree char *none = change(fixture, 3, 0, 0, 0);
    g_assert_nonnull(strstr(none, "no guest agent answers"));
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    guest_expect(fixture, DUET_FRAME_READY, 0);
    /* One that says that it did, and did not, is asked no more. */
    fixture->stays_off = TRUE;
    g_autofree char *off = change(fixture, 4, 0, 1, 0);
    fixture->stays_off = FALSE;
    g_autofree char *on = change(fixture, 5, 0, 2, 0);
    g_autofree char *again = change(fixture, 6, 0, 2, 0);
    g_assert_cmpstr(off, ==, "");
    g_assert_cmpstr(on, ==, "");
    g_assert_cmpstr(again, ==, "");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    signal(SIGPIPE, SIG_IGN);
    g_test_add_func("/vmm-guest/requests", test_requests);
    g_test_add_func("/vmm-guest/replies", test_replies);
    g_test_add_func("/vmm-guest/files", test_files);
    g_test_add_func("/vmm-guest/addresses", test_addresses);
    g_test_add_func("/vmm-guest/vcpus", test_vcpus);
    g_test_add_func("/vmm-guest/seed", test_seed);
    g_test_add_func("/vmm-guest/wait", test_wait);
    GUEST_TEST("console", NULL, test_console);
    GUEST_TEST("console-credit", NULL, test_console_credit);
    GUEST_TEST("wait-agent", "agent", test_wait_agent);
    GUEST_TEST("wait-console", "console:log.n: ", test_wait_console);
    GUEST_TEST("exec", NULL, test_exec);
    GUEST_TEST("exec-input", NULL, test_exec_input);
    GUEST_TEST("wait-ip", "ip", test_wait_ip);
    GUEST_TEST("change", NULL, test_change);
    return g_test_run();
}
