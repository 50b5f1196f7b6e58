/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Disk guests: the words of QEMU's guest agent, the seed for cloud-init, and what plays the agent.
 */
#include "vmm/guest-json.h"
#include "vmm/guest-proxy.h"
#include "vmm/guest-ready.h"
#include "vmm/seed.h"
#include "core/agent.h"
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

#define INTERFACE(address)                                                                         \
    "{\"name\":\"e\",\"ip-addresses\":[{\"ip-address\":\"" address "\",\"prefix\":8}]}"

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

typedef struct {
    DuetSpec *spec;
    DuetGuestProxy *proxy;
    int monitor, console;
    struct duet_frame_reader reader;
    guint presses, power_offs;
    gboolean paused;
    gint asked; /* atomic: by a thread */
    gint64 set_time_ns;
    /* Errands: what the guest has, and was asked; by a thread, but only one at a time. */
    GByteArray *written, *file;
    gsize at;
    guint removals, opened;
    const char *errand_status;
    gboolean hostile, has_address, no_removal, was_left;
    const char *place_status; /* NULL: made well */
    guint watches; /* of its memory; odd: it is watched */
    guint64 available;
    gboolean second_is_on, stays_off, is_deaf;
    char last[64];
} Fixture;

#define PLACE "/var/tmp/duet-errand.x.y"
#define WELL "{\"return\":{\"exited\":true,\"exitcode\":0}}"

static char *ask_file(Fixture *fixture, const char *request)
{
    const char *data = strstr(request, "\"buf-b64\":\"");
    if (strstr(request, "guest-file-open")) {
        fixture->opened++;
        g_byte_array_set_size(fixture->written, 0);
        return g_strdup("{\"return\":1000}");
    }
    if (strstr(request, "guest-file-close")) {
        fixture->opened--;
        return g_strdup("{\"return\":{}}");
    }
    if (data) {
        g_autofree char *text = g_strndup(data + 11, strcspn(data + 11, "\""));
        gsize length = 0;
        g_autofree guchar *bytes = g_base64_decode(text, &length);
        g_byte_array_append(fixture->written, bytes, (guint)length);
        return g_strdup_printf("{\"return\":{\"count\":%zu,\"eof\":false}}", length);
    }
    gsize most = fixture->hostile ? fixture->file->len : 100000;
    gsize length = MIN(fixture->file->len - fixture->at, most);
    /* An empty array has no data. */
    g_autofree char *text =
        g_base64_encode(length ? fixture->file->data + fixture->at : (const guchar *)"", length);
    fixture->at += length;
    return g_strdup_printf("{\"return\":{\"count\":%zu,\"buf-b64\":\"%s\",\"eof\":%s}}", length,
        text, fixture->at == fixture->file->len ? "true" : "false");
}

/* Returns: NULL for what is no part of an errand. */
static char *ask_errand(Fixture *fixture, const char *request)
{
    if (strstr(request, "guest-file-"))
        return ask_file(fixture, request);
    if (strstr(request, "guest-network"))
        return g_strdup(fixture->has_address ? "{\"return\":[" INTERFACE("10.0.2.15") "]}"
                                             : "{\"return\":[" INTERFACE("127.0.0.1") "]}");
    if (strstr(request, "\"guest-exec\"")) {
        const char *word = strstr(request, "mktemp") ? "mktemp"
            : strstr(request, "\"rm\"")              ? "rm"
            : strstr(request, "\"errand\"")          ? "errand"
                                                     : "";
        g_strlcpy(fixture->last, word, sizeof fixture->last);
        fixture->removals += g_str_equal(word, "rm");
        if (g_str_equal(word, "mktemp"))
            fixture->was_left = strstr(request, "\"" PLACE "\"") != NULL;
        return NULL;
    }
    if (g_str_equal(fixture->last, "mktemp") && fixture->place_status)
        return g_strdup(fixture->place_status);
    if (g_str_equal(fixture->last, "mktemp")) {
        g_autofree char *place = g_base64_encode((const guchar *)PLACE, strlen(PLACE));
        return g_strdup_printf(
            "{\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"%s\"}}", place);
    }
    if (g_str_equal(fixture->last, "rm"))
        return g_strdup(WELL);
    return *fixture->last ? g_strdup(fixture->errand_status) : NULL;
}

/* Two CPUs, of which one may be off. */
static char *ask_vcpus(Fixture *fixture, const char *request)
{
    if (strstr(request, "set-vcpus")) {
        g_assert_cmpstr(request, ==,
            "{\"execute\":\"guest-set-vcpus\",\"arguments\":{\"vcpus\":[{\"logical-id\":1,"
            "\"online\":true}]}}");
        fixture->second_is_on = !fixture->stays_off;
        return g_strdup("{\"return\":1}");
    }
    return g_strdup_printf("{\"return\":[{\"logical-id\":0,\"online\":true},{\"logical-id\":1,"
                           "\"online\":%s,\"can-offline\":true}]}",
        fixture->second_is_on ? "true" : "false");
}

/* A guest agent whose every program runs for a moment and writes 300000 bytes. */
static char *ask(gpointer data, const char *request, GError **error)
{
    Fixture *fixture = data;
    if (strstr(request, "nowhere")) {
        g_set_error_literal(
            error, DUET_ERROR, DUET_ERROR_FAILED, "Failed to execute: No such file or directory");
        return NULL;
    }
    if (fixture->no_removal && strstr(request, "\"rm\"")) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, "it is away");
        return NULL;
    }
    const char *at = strstr(request, "\"guest-set-time\",\"arguments\":{\"time\":");
    if (at && fixture->is_deaf) {
        fixture->is_deaf = FALSE;
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_TIMEOUT, "it does not answer");
        return NULL;
    }
    if (at) {
        fixture->set_time_ns = g_ascii_strtoll(strrchr(at, ':') + 1, NULL, 10);
        return g_strdup("{\"return\":{}}");
    }
    char *answer =
        strstr(request, "-vcpus") ? ask_vcpus(fixture, request) : ask_errand(fixture, request);
    if (answer)
        return answer;
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

static void watch_memory(gpointer data, gboolean on)
{
    Fixture *fixture = data;
    fixture->watches++;
    g_assert_cmpint(on, ==, fixture->watches % 2);
}

static guint64 available(gpointer data)
{
    return ((Fixture *)data)->available;
}

static void set_paused(gpointer data, gboolean paused)
{
    ((Fixture *)data)->paused = paused;
}

static const DuetGuestHost host = { ask, press, power_off, watch_memory, available, set_paused };

static void make(Fixture *fixture, const char *wait, DuetGuestBegin how)
{
    int monitor[2], console[2];
    fixture->written = g_byte_array_new();
    fixture->file = g_byte_array_new();
    fixture->errand_status = WELL;
    fixture->spec = duet_spec_new();
    fixture->spec->name = g_strdup("box");
    fixture->spec->wait = g_strdup(wait);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, monitor), ==, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, console), ==, 0);
    fixture->monitor = monitor[0];
    fixture->console = console[0];
    fixture->proxy =
        duet_guest_proxy_new(fixture->spec, how, monitor[1], console[1], &host, fixture);
}

static void set_up(Fixture *fixture, gconstpointer wait)
{
    make(fixture, wait, DUET_GUEST_BOOTS);
}

/* What it was to wait for when it booted does not come again. */
static void set_up_saved(Fixture *fixture, gconstpointer how)
{
    make(fixture, "console:login: ", GPOINTER_TO_INT(how));
}

static void tear_down(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    duet_guest_proxy_free(fixture->proxy);
    g_byte_array_unref(fixture->written);
    g_byte_array_unref(fixture->file);
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

/* ---- errands ---- */

static void begin_with_agent(Fixture *fixture)
{
    begin(fixture);
    expect(fixture, DUET_FRAME_STARTED, 0);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
}

/* After it the guest has nothing of ours. */
static void expect_end(Fixture *fixture, guint8 type, guint16 session, guint32 code)
{
    const struct duet_frame *frame = expect(fixture, type, session);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, code);
    g_assert_null(next(fixture));
    g_assert_cmpuint(fixture->opened, ==, 0);
    g_assert_cmpuint(fixture->removals, ==, 1);
}

static void fill(Fixture *fixture, guint length)
{
    for (guint i = 0; i < length; i++)
        g_byte_array_append(fixture->file, (const guint8[]){ (guint8)(i * 7 + i / 251) }, 1);
}

static void test_copy_out(Fixture *fixture, gconstpointer wait)
{
    g_autoptr(GByteArray) got = g_byte_array_new();
    const struct duet_frame *frame;
    (void)wait;
    fill(fixture, DUET_CREDIT_INITIAL_BYTES + 150000);
    begin_with_agent(fixture);
    spawn(fixture, 1, "/etc", DUET_SPAWN_PACK);
    expect(fixture, DUET_FRAME_STARTED, 1);
    while ((frame = next(fixture)))
        g_byte_array_append(got, frame->payload, frame->length);
    g_assert_cmpuint(got->len, ==, DUET_CREDIT_INITIAL_BYTES);
    tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 1, 200000);
    while ((frame = next(fixture)) && frame->type == DUET_FRAME_DATA)
        g_byte_array_append(got, frame->payload, frame->length);
    g_assert_cmpmem(got->data, got->len, fixture->file->data, fixture->file->len);
    g_assert_cmpuint(frame->type, ==, DUET_FRAME_EXIT);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, 0);
    g_assert_cmpuint(fixture->removals, ==, 1);
    g_assert_cmpuint(fixture->opened, ==, 0);
}

/* More than it was asked for; and a reader that goes away while it waits for one. */
static void test_copy_out_fails(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    fill(fixture, 2 * DUET_CREDIT_INITIAL_BYTES);
    fixture->hostile = TRUE;
    begin_with_agent(fixture);
    spawn(fixture, 1, "/etc", DUET_SPAWN_PACK);
    expect(fixture, DUET_FRAME_STARTED, 1);
    expect_end(fixture, DUET_FRAME_FAILED, 1, 125);
    fixture->hostile = FALSE;
    fixture->at = fixture->removals = 0;
    spawn(fixture, 2, "/etc", DUET_SPAWN_PACK);
    expect(fixture, DUET_FRAME_STARTED, 2);
    while (next(fixture))
        ;
    tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 2, SIGHUP);
    expect_end(fixture, DUET_FRAME_FAILED, 2, 125);
}

/* Of programs that say nothing at all, well or not. */
static void test_silent(Fixture *fixture, gconstpointer wait)
{
    static const char *const silent[] = { WELL, "{\"return\":{\"exited\":true,\"exitcode\":1}}" };
    (void)wait;
    begin_with_agent(fixture);
    for (guint16 i = 0; i < G_N_ELEMENTS(silent); i++) {
        fixture->place_status = silent[i];
        spawn(fixture, i + 1, "/etc", DUET_SPAWN_PACK);
        expect(fixture, DUET_FRAME_STARTED, i + 1);
        expect(fixture, DUET_FRAME_FAILED, i + 1);
    }
    fixture->place_status = NULL;
    fixture->errand_status = "{\"return\":{\"exited\":true,\"exitcode\":127}}";
    spawn(fixture, 9, "/etc", DUET_SPAWN_PACK);
    expect(fixture, DUET_FRAME_STARTED, 9);
    expect_end(fixture, DUET_FRAME_FAILED, 9, 125);
}

/* What could not be removed is by the next one, once. */
static void test_left_over(Fixture *fixture, gconstpointer wait)
{
    static const gboolean left[] = { FALSE, TRUE, FALSE };
    (void)wait;
    begin_with_agent(fixture);
    for (guint16 i = 0; i < G_N_ELEMENTS(left); i++) {
        fixture->no_removal = i == 0;
        spawn(fixture, i + 1, "/etc", DUET_SPAWN_PACK);
        expect(fixture, DUET_FRAME_STARTED, i + 1);
        g_assert_cmpuint(expect(fixture, DUET_FRAME_EXIT, i + 1)->type, ==, DUET_FRAME_EXIT);
        g_assert_cmpint(fixture->was_left, ==, left[i]);
    }
}

static void spawn_unpack(Fixture *fixture, guint16 session)
{
    static const guint8 fields[] = { DUET_FIELD_ARG, 1, 0, 0, 0, '/', DUET_FIELD_ARG, 1, 0, 0, 0,
        'n', DUET_FIELD_FLAGS, 4, 0, 0, 0, DUET_SPAWN_UNPACK | DUET_SPAWN_STDIN, 0, 0, 0,
        DUET_FIELD_COPY, 4, 0, 0, 0, 5, 0, 0, 0 };
    tell(fixture, DUET_FRAME_SPAWN, 0, session, fields, sizeof fields);
    expect(fixture, DUET_FRAME_STARTED, session);
}

static void test_copy_in(Fixture *fixture, gconstpointer wait)
{
    const struct duet_frame *frame;
    guint64 credit = 0;
    (void)wait;
    fill(fixture, 150000);
    fixture->errand_status =
        "{\"return\":{\"exited\":true,\"exitcode\":1,\"err-data\":\"ZW5vAA==\"}}";
    begin_with_agent(fixture);
    spawn_unpack(fixture, 1);
    for (guint at = 0; at < 150000; at += 50000)
        tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 1, fixture->file->data + at, 50000);
    tell(fixture, DUET_FRAME_EOF, DUET_CHANNEL_STDIN, 1, "", 0);
    while (credit < 150000) {
        frame = expect(fixture, DUET_FRAME_CREDIT, 1);
        credit += duet_get_u32(frame->payload);
    }
    frame = expect(fixture, DUET_FRAME_DATA, 1);
    g_assert_cmpmem(frame->payload, frame->length, "eno", 4);
    expect_end(fixture, DUET_FRAME_EXIT, 1, 1);
    g_assert_cmpmem(fixture->written->data, fixture->written->len, fixture->file->data, 150000);
    /* One that is ended early. */
    fixture->removals = 0;
    spawn_unpack(fixture, 2);
    tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 2, "x", 1);
    g_assert_null(next(fixture));
    g_assert_cmpmem(fixture->written->data, fixture->written->len, "", 0);
    tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 2, SIGHUP);
    expect_end(fixture, DUET_FRAME_FAILED, 2, 125);
}

static void begin_with_folder(Fixture *fixture)
{
    static const guint8 config[] = { DUET_FIELD_MOUNT, 11, 0, 0, 0, 't', '0', '\0', '/', 'd', 'a',
        't', 'a', '\0', 'r', 'o' };
    expect(fixture, DUET_FRAME_HELLO, 0);
    tell(fixture, DUET_FRAME_CONFIG, 0, 0, config, sizeof config);
    spawn(fixture, 0, "", 0);
    g_assert_null(next(fixture));
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
}

static void test_folders(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    begin_with_folder(fixture);
    expect(fixture, DUET_FRAME_STARTED, 0);
    g_assert_cmpmem(fixture->written->data, fixture->written->len, duet_agent_start,
        (gsize)(duet_agent_end - duet_agent_start));
    g_assert_cmpuint(fixture->removals, ==, 1);
    /* It boots anew: they are mounted again, and a failure is told. */
    fixture->errand_status = "{\"return\":{\"exited\":true,\"exitcode\":1,\"err-data\":\"bm8=\"}}";
    duet_guest_proxy_set_agent(fixture->proxy, FALSE);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    const struct duet_frame *frame = expect(fixture, DUET_FRAME_DATA, 0);
    g_autofree char *text = g_strndup((const char *)frame->payload, frame->length);
    g_assert_cmpstr(text, ==, "duet: cannot mount its folders: no\r\n");
}

static void test_folders_fail(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    fixture->errand_status = "{\"return\":{\"exited\":true,\"exitcode\":1,\"err-data\":\"bm8=\"}}";
    begin_with_folder(fixture);
    expect_end(fixture, DUET_FRAME_FAILED, 0, 125);
}

static void test_folders_fail_silently(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    fixture->errand_status = "{\"return\":{\"exited\":true,\"exitcode\":1}}";
    begin_with_folder(fixture);
    expect_end(fixture, DUET_FRAME_FAILED, 0, 125);
}

static void test_wait_ip(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    begin(fixture);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    g_assert_null(next(fixture));
    fixture->has_address = TRUE;
    for (guint i = 0; i < 10; i++) {
        const struct duet_frame *frame = next(fixture);
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
static char *change(Fixture *fixture, guint8 number, guint8 field, guint32 cpus, guint64 bytes)
{
    const guint8 fields[] = { field, 0, 0, 0, 0 };
    tell(fixture, DUET_FRAME_CHANGE, number, 0, fields, field ? sizeof fields : 0);
    const struct duet_frame *frame = NULL;
    for (guint i = 0; i < 10 && !frame; i++)
        frame = next(fixture);
    g_assert_nonnull(frame);
    g_assert_cmpuint(frame->type, ==, DUET_FRAME_CHANGE);
    g_assert_cmpuint(frame->channel, ==, number);
    g_assert_cmpuint(frame->length, >=, DUET_CHANGE_ANSWER_BYTES);
    g_assert_cmpuint(duet_get_u32(frame->payload), ==, cpus);
    g_assert_cmpuint(duet_get_u64(frame->payload + 4), ==, bytes);
    return g_strndup((const char *)frame->payload + DUET_CHANGE_ANSWER_BYTES,
        frame->length - DUET_CHANGE_ANSWER_BYTES);
}

static void test_change(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    begin(fixture);
    expect(fixture, DUET_FRAME_STARTED, 0);
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

/* ---- saving, and going on ---- */

/* All that is on its console comes before it is silent, and nothing then. */
static void test_quiet(Fixture *fixture, gconstpointer wait)
{
    g_autofree char *bytes = g_strnfill(DUET_CREDIT_INITIAL_BYTES + 1000, 'x');
    guint64 at = 0, got = 0, all = DUET_CREDIT_INITIAL_BYTES + 1000;
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
    tell(fixture, DUET_FRAME_QUIESCE, 0, 0, "", 0);
    frame = expect(fixture, DUET_FRAME_DATA, 0);
    g_assert_cmpuint(frame->length, ==, 1000);
    expect(fixture, DUET_FRAME_QUIET, 0);
    g_assert_true(fixture->paused);
    g_assert_true(duet_write_all(fixture->console, "ab", 2));
    g_assert_null(next(fixture));
    /* It comes to nothing; what was read beyond the credit counts. */
    tell(fixture, DUET_FRAME_GO_ON, 0, 0, "", 0);
    expect(fixture, DUET_FRAME_HELLO, 0);
    g_assert_false(fixture->paused);
    tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 0, 1000);
    g_assert_null(next(fixture));
    tell_u32(fixture, DUET_FRAME_CREDIT, DUET_CHANNEL_STDOUT, 0, 2);
    frame = expect(fixture, DUET_FRAME_DATA, 0);
    g_assert_cmpmem(frame->payload, frame->length, "ab", 2);
}

/* A program is saved in the middle; an errand ends before, or the silence is given up. */
static void test_quiet_errand(Fixture *fixture, gconstpointer wait)
{
    (void)wait;
    fill(fixture, 2 * DUET_CREDIT_INITIAL_BYTES);
    begin_with_agent(fixture);
    spawn(fixture, 1, "/etc", DUET_SPAWN_PACK);
    while (next(fixture))
        ;
    tell(fixture, DUET_FRAME_QUIESCE, 0, 0, "", 0);
    g_assert_null(next(fixture));
    tell(fixture, DUET_FRAME_GO_ON, 0, 0, "", 0);
    expect(fixture, DUET_FRAME_HELLO, 0);
    tell(fixture, DUET_FRAME_QUIESCE, 0, 0, "", 0);
    g_assert_null(next(fixture));
    g_assert_false(fixture->paused);
    tell_u32(fixture, DUET_FRAME_SIGNAL, 0, 1, SIGHUP);
    expect(fixture, DUET_FRAME_FAILED, 1);
    expect(fixture, DUET_FRAME_QUIET, 0);
    g_assert_true(fixture->paused);
    g_assert_cmpuint(fixture->removals, ==, 1);
}

static const guint8 news[] = { DUET_FIELD_TIME, 8, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8,
    DUET_FIELD_ENTROPY, 4, 0, 0, 0, 'r', 'a', 'n', 'd', DUET_FIELD_HOSTNAME, 1, 0, 0, 0, 'n' };

/* The time of now, and the rest by an errand. */
static void assert_woken(const Fixture *fixture)
{
    gint64 now_ns = g_get_real_time() * 1000;
    g_assert_cmpint(ABS(now_ns - fixture->set_time_ns), <, 5 * G_GINT64_CONSTANT(1000000000));
    g_assert_cmpmem(fixture->written->data, fixture->written->len, news + 13, sizeof news - 13);
    g_assert_cmpuint(fixture->removals, ==, 1);
    g_assert_cmpuint(fixture->opened, ==, 0);
}

static void test_goes_on(Fixture *fixture, gconstpointer how)
{
    (void)how;
    g_assert_null(next(fixture));
    tell(fixture, DUET_FRAME_GO_ON, 0, 0, news, sizeof news);
    expect(fixture, DUET_FRAME_HELLO, 0);
    g_assert_null(next(fixture));
    tell(fixture, DUET_FRAME_DATA, DUET_CHANNEL_STDIN, 0, "typed", 5);
    expect(fixture, DUET_FRAME_CREDIT, 0);
    /* An agent comes late, and is told once. */
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    g_assert_null(next(fixture));
    assert_woken(fixture);
    duet_guest_proxy_set_agent(fixture->proxy, FALSE);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    g_assert_null(next(fixture));
    g_assert_cmpuint(fixture->removals, ==, 1);
}

static void test_goes_on_with_agent(Fixture *fixture, gconstpointer how)
{
    (void)how;
    tell(fixture, DUET_FRAME_GO_ON, 0, 0, news, sizeof news);
    g_assert_null(next(fixture));
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    expect(fixture, DUET_FRAME_HELLO, 0);
    assert_woken(fixture);
}

/* An agent that does not answer at first is told later, and is nothing that a save waits for. */
static void test_goes_on_deaf(Fixture *fixture, gconstpointer how)
{
    (void)how;
    fixture->is_deaf = TRUE;
    tell(fixture, DUET_FRAME_GO_ON, 0, 0, news, sizeof news);
    expect(fixture, DUET_FRAME_HELLO, 0);
    duet_guest_proxy_set_agent(fixture->proxy, TRUE);
    tell(fixture, DUET_FRAME_QUIESCE, 0, 0, "", 0);
    expect(fixture, DUET_FRAME_QUIET, 0);
    g_assert_cmpint(fixture->set_time_ns, ==, 0);
    tell(fixture, DUET_FRAME_GO_ON, 0, 0, "", 0);
    expect(fixture, DUET_FRAME_HELLO, 0);
    while (fixture->removals == 0)
        g_main_context_iteration(NULL, TRUE);
    assert_woken(fixture);
}

/* Its end is that of one that ran. */
static void test_goes_on_to_its_end(Fixture *fixture, gconstpointer how)
{
    (void)how;
    tell(fixture, DUET_FRAME_GO_ON, 0, 0, news, sizeof news);
    g_assert_null(next(fixture));
    duet_guest_proxy_powered_off(fixture->proxy);
    expect(fixture, DUET_FRAME_HELLO, 0);
    expect(fixture, DUET_FRAME_ENDED, 0);
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
#define ADD(name, wait, function)                                                                  \
    g_test_add("/vmm-guest/" name, Fixture, wait, set_up, function, tear_down)
    ADD("console", NULL, test_console);
    ADD("console-credit", NULL, test_console_credit);
    ADD("wait-agent", "agent", test_wait_agent);
    ADD("wait-console", "console:log.n: ", test_wait_console);
    ADD("exec", NULL, test_exec);
    ADD("exec-input", NULL, test_exec_input);
    ADD("copy-out", NULL, test_copy_out);
    ADD("copy-out-fails", NULL, test_copy_out_fails);
    ADD("silent", NULL, test_silent);
    ADD("left-over", NULL, test_left_over);
    ADD("copy-in", NULL, test_copy_in);
    ADD("folders", NULL, test_folders);
    ADD("folders-fail", NULL, test_folders_fail);
    ADD("folders-fail-silently", NULL, test_folders_fail_silently);
    ADD("wait-ip", "ip", test_wait_ip);
    ADD("change", NULL, test_change);
    ADD("quiet", NULL, test_quiet);
    ADD("quiet-errand", NULL, test_quiet_errand);
#define ADD_SAVED(name, how, function)                                                             \
    g_test_add("/vmm-guest/" name, Fixture, GINT_TO_POINTER(how), set_up_saved, function, tear_down)
    ADD_SAVED("goes-on", DUET_GUEST_GOES_ON, test_goes_on);
    ADD_SAVED("goes-on-with-agent", DUET_GUEST_GOES_ON_WITH_AGENT, test_goes_on_with_agent);
    ADD_SAVED("goes-on-deaf", DUET_GUEST_GOES_ON, test_goes_on_deaf);
    ADD_SAVED("goes-on-to-its-end", DUET_GUEST_GOES_ON_WITH_AGENT, test_goes_on_to_its_end);
    return g_test_run();
}
