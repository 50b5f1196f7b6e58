/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Events: records, what is left of torn ones, rotation with who reads meanwhile, filters. */
#include "core/events.h"
#include "core/state.h"
#include "core/util.h"

#include <duet/error.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct {
    char *dir;
    int dir_fd;
    DuetSpec *spec;
} Fixture;

static void fixture_up(Fixture *fixture)
{
    static const char *labels[] = { "app=web", "odd=a\nb\x1e\033[31m'\"\\", "raw=\xff", NULL };
    g_autoptr(GError) error = NULL;
    fixture->dir = g_dir_make_tmp("duet-events-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fixture->spec = duet_spec_new();
    fixture->spec->name = g_strdup("box");
    fixture->spec->image_ref = g_strdup("docker.io/library/busybox:latest");
    fixture->spec->labels = g_strdupv((char **)labels);
}

static void fixture_down(Fixture *fixture)
{
    duet_fd_clear(&fixture->dir_fd);
    duet_spec_free(fixture->spec);
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->dir, NULL));
    g_free(fixture->dir);
}

static GVariant *one_number(const char *key, gint32 value)
{
    g_auto(GVariantDict) dict = G_VARIANT_DICT_INIT(NULL);
    g_variant_dict_insert(&dict, key, "i", value);
    return g_variant_dict_end(&dict);
}

static gint32 number_of(const DuetEvent *event, const char *key)
{
    gint32 value = -1;
    g_variant_lookup(event->attributes, key, "i", &value);
    return value;
}

static void test_names(void)
{
    for (int i = 0; i < DUET_EVENT_COUNT; i++) {
        DuetEventType type;
        g_assert_true(duet_event_from_string(duet_event_to_string((DuetEventType)i), &type));
        g_assert_cmpint(type, ==, i);
    }
    DuetEventType type = DUET_EVENT_DIED;
    g_assert_false(duet_event_from_string("dance", &type));
    g_assert_cmpint(type, ==, DUET_EVENT_DIED);
}

static void test_record(void)
{
    Fixture fixture;
    g_autoptr(GString) text = g_string_new(NULL);
    fixture_up(&fixture);
    fixture.spec->kind = DUET_KIND_VM;
    duet_event_add(text, DUET_EVENT_DIED, fixture.spec, one_number("exit_code", 3));
    /* one line, and one beginning, whatever it holds */
    g_assert_cmpint(text->str[0], ==, '\x1e');
    g_assert_null(strchr(text->str + 1, '\x1e'));
    g_assert_true(strchr(text->str, '\n') == text->str + text->len - 1);
    g_autoptr(DuetEvent) event = duet_event_parse(text->str, text->len - 1);
    g_assert_nonnull(event);
    g_assert_cmpint(event->type, ==, DUET_EVENT_DIED);
    g_assert_cmpstr(event->spec->id, ==, fixture.spec->id);
    g_assert_cmpstr(event->spec->name, ==, "box");
    g_assert_cmpstr(event->spec->image_ref, ==, fixture.spec->image_ref);
    g_assert_cmpint(event->spec->kind, ==, DUET_KIND_VM);
    g_assert_true(g_strv_equal(
        (const char *const *)event->spec->labels, (const char *const *)fixture.spec->labels));
    g_assert_cmpint(number_of(event, "exit_code"), ==, 3);
    g_assert_cmpint(llabs(event->time_ns / 1000 - g_get_real_time()), <, 60 * G_USEC_PER_SEC);
    fixture_down(&fixture);
}

static void test_long_record(void)
{
    Fixture fixture;
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *label = g_strnfill(10000, 'x');
    fixture_up(&fixture);
    g_free(fixture.spec->labels[0]);
    fixture.spec->labels[0] = g_strconcat("long=", label, NULL);
    duet_event_add(text, DUET_EVENT_DIED, fixture.spec, one_number("exit_code", 3));
    g_assert_cmpuint(text->len, <=, PIPE_BUF);
    g_autoptr(DuetEvent) event = duet_event_parse(text->str, text->len - 1);
    g_assert_null(event->spec->labels);
    g_assert_cmpint(number_of(event, "exit_code"), ==, 3);
    fixture_down(&fixture);
}

static void test_died(void)
{
    Fixture fixture;
    DuetInfo info = { .exit_code = 137, .exit_signal = 9, .oom = TRUE };
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *long_error = g_strnfill(9000, '\033');
    fixture_up(&fixture);
    info.error = long_error;
    duet_event_add_died(text, fixture.spec, &info);
    g_auto(GStrv) lines = g_strsplit(text->str, "\n", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 3);
    g_autoptr(DuetEvent) oom = duet_event_parse(lines[0], strlen(lines[0]));
    g_autoptr(DuetEvent) died = duet_event_parse(lines[1], strlen(lines[1]));
    g_assert_cmpint(oom->type, ==, DUET_EVENT_OOM);
    g_assert_cmpint(died->type, ==, DUET_EVENT_DIED);
    g_assert_cmpint(number_of(died, "exit_code"), ==, 137);
    g_assert_cmpint(number_of(died, "exit_signal"), ==, 9);
    fixture_down(&fixture);
}

static gboolean collect(const DuetEvent *event, gpointer data)
{
    gint32 number = number_of(event, "n");
    g_array_append_val((GArray *)data, number);
    return TRUE;
}

static void put_number(int dir_fd, const DuetSpec *spec, gint32 n, guint64 max_bytes)
{
    g_autoptr(GString) text = g_string_new(NULL);
    duet_event_add(text, DUET_EVENT_PAUSE, spec, one_number("n", n));
    duet_event_store(dir_fd, text, max_bytes);
}

static void append(int dir_fd, const char *bytes, gsize length)
{
    DUET_AUTO_FD fd = openat(dir_fd, DUET_EVENTS, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    g_assert_true(duet_write_all(fd, bytes, length));
}

static void test_torn(void)
{
    static const char *const torn[] = { "\x1e{'time-ns': <int64 12", "\x1e", "{}\n", "\n\n",
        "   \n", "\x1e{'time-ns': <'no number'>, 'event': <'died'>}\n", "\xff\xfe{[(", NULL };
    Fixture fixture;
    DuetEventReader reader;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(gint32));
    fixture_up(&fixture);
    duet_event_reader_open(&reader, fixture.dir_fd, TRUE);
    for (gint32 i = 0; torn[i]; i++) {
        put_number(fixture.dir_fd, fixture.spec, i, DUET_EVENTS_MAX_BYTES);
        append(fixture.dir_fd, torn[i], strlen(torn[i]));
        g_assert_true(duet_event_reader_read(&reader, collect, numbers));
        g_assert_cmpuint(numbers->len, ==, (guint)i + 1);
        g_assert_cmpint(g_array_index(numbers, gint32, i), ==, i);
    }
    put_number(fixture.dir_fd, fixture.spec, 99, DUET_EVENTS_MAX_BYTES);
    duet_event_reader_read(&reader, collect, numbers);
    g_assert_cmpint(g_array_index(numbers, gint32, numbers->len - 1), ==, 99);
    duet_event_reader_close(&reader);
    fixture_down(&fixture);
}

/* A megabyte without a line is no reason to keep it. */
static void test_garbage(void)
{
    Fixture fixture;
    DuetEventReader reader;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(gint32));
    g_autofree char *garbage = g_malloc0(1 << 20);
    fixture_up(&fixture);
    append(fixture.dir_fd, garbage, 1 << 20);
    put_number(fixture.dir_fd, fixture.spec, 1, DUET_EVENTS_MAX_BYTES);
    duet_event_reader_open(&reader, fixture.dir_fd, TRUE);
    duet_event_reader_read(&reader, collect, numbers);
    g_assert_cmpuint(reader.held->len, <, 1 << 17);
    g_assert_cmpuint(numbers->len, ==, 1);
    duet_event_reader_close(&reader);
    fixture_down(&fixture);
}

/* Nor is a terabyte one to read it. */
static void test_huge(void)
{
    Fixture fixture;
    DuetEventReader reader;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(gint32));
    fixture_up(&fixture);
    put_number(fixture.dir_fd, fixture.spec, 1, DUET_EVENTS_MAX_BYTES);
    DUET_AUTO_FD fd = openat(fixture.dir_fd, DUET_EVENTS, O_WRONLY | O_CLOEXEC);
    g_assert_no_errno(ftruncate(fd, (off_t)1 << 40));
    append(fixture.dir_fd, "\n", 1);
    put_number(fixture.dir_fd, fixture.spec, 2, G_MAXUINT64);
    gint64 began_us = g_get_monotonic_time();
    duet_event_reader_open(&reader, fixture.dir_fd, TRUE);
    duet_event_reader_read(&reader, collect, numbers);
    g_assert_cmpint(g_get_monotonic_time() - began_us, <, 20 * G_USEC_PER_SEC);
    g_assert_cmpuint(numbers->len, ==, 1);
    g_assert_cmpint(g_array_index(numbers, gint32, 0), ==, 2);
    duet_event_reader_close(&reader);
    fixture_down(&fixture);
}

/* What somebody else wrote into the file must neither end its reader nor spoil what it shows. */
static void test_not_ours(void)
{
    static const char *const tails[] = { "", ", 'name': <'\xff'>", ", 'labels': <['\xff']>",
        ", 'attributes': <{'k': <nan>}>", ", 'attributes': <{'\xff': <1>}>", ", 'name': <[[[[" };
    for (guint i = 0; i < G_N_ELEMENTS(tails); i++) {
        g_autofree char *line = g_strdup_printf(
            "\x1e{'time-ns': <int64 1>, 'event': <'died'>, 'id': <'a'>, 'kind': <0>%s}", tails[i]);
        g_autoptr(DuetEvent) event = duet_event_parse(line, strlen(line));
        g_assert_cmpint(event != NULL, ==, i == 0);
    }
}

static void test_from_now_on(void)
{
    Fixture fixture;
    DuetEventReader reader, early;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(gint32));
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(gint32));
    fixture_up(&fixture);
    /* nothing happened yet */
    duet_event_reader_open(&early, fixture.dir_fd, FALSE);
    g_assert_true(duet_event_reader_read(&early, collect, all));
    put_number(fixture.dir_fd, fixture.spec, 1, DUET_EVENTS_MAX_BYTES);
    duet_event_reader_open(&reader, fixture.dir_fd, FALSE);
    duet_event_reader_read(&reader, collect, numbers);
    g_assert_cmpuint(numbers->len, ==, 0);
    put_number(fixture.dir_fd, fixture.spec, 2, DUET_EVENTS_MAX_BYTES);
    duet_event_reader_read(&reader, collect, numbers);
    g_assert_cmpuint(numbers->len, ==, 1);
    g_assert_cmpint(g_array_index(numbers, gint32, 0), ==, 2);
    duet_event_reader_read(&early, collect, all);
    g_assert_cmpuint(all->len, ==, 2);
    duet_event_reader_close(&reader);
    duet_event_reader_close(&early);
    fixture_down(&fixture);
}

/* A rotation that was killed before the new file was made. */
static void test_between_files(void)
{
    Fixture fixture;
    DuetEventReader reader, now;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(gint32));
    fixture_up(&fixture);
    put_number(fixture.dir_fd, fixture.spec, 1, DUET_EVENTS_MAX_BYTES);
    g_assert_cmpint(renameat(fixture.dir_fd, DUET_EVENTS, fixture.dir_fd, DUET_EVENTS_OLD), ==, 0);
    duet_event_reader_open(&reader, fixture.dir_fd, TRUE);
    duet_event_reader_open(&now, fixture.dir_fd, FALSE);
    duet_event_reader_read(&reader, collect, numbers);
    g_assert_cmpuint(numbers->len, ==, 1);
    put_number(fixture.dir_fd, fixture.spec, 2, DUET_EVENTS_MAX_BYTES);
    duet_event_reader_read(&reader, collect, numbers);
    g_assert_cmpuint(numbers->len, ==, 2);
    duet_event_reader_read(&now, collect, numbers);
    g_assert_cmpuint(numbers->len, ==, 3);
    g_assert_cmpint(g_array_index(numbers, gint32, 2), ==, 2);
    duet_event_reader_close(&reader);
    duet_event_reader_close(&now);
    fixture_down(&fixture);
}

/* Never more than one file behind: each once, in order. */
static void test_small_files(void)
{
    Fixture fixture;
    DuetEventReader reader;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(gint32));
    fixture_up(&fixture);
    duet_event_reader_open(&reader, fixture.dir_fd, FALSE);
    for (gint32 i = 0; i < 500; i++) {
        put_number(fixture.dir_fd, fixture.spec, i, 2048);
        if (i % 7 == 6)
            duet_event_reader_read(&reader, collect, numbers);
    }
    duet_event_reader_read(&reader, collect, numbers);
    g_assert_cmpuint(numbers->len, ==, 500);
    for (gint32 i = 0; i < 500; i++)
        g_assert_cmpint(g_array_index(numbers, gint32, i), ==, i);
    duet_event_reader_close(&reader);
    fixture_down(&fixture);
}

#define WRITERS 4
#define EACH 1500

static pid_t fork_writer(const Fixture *fixture, int writer)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (int i = 0; i < EACH; i++) {
        /* some seven rotations, none of which the reader of a busy host misses */
        put_number(fixture->dir_fd, fixture->spec, writer * EACH + i, 256 << 10);
        g_usleep(g_getenv("DUET_TEST_SLOW") ? 10000 : 1000);
    }
    _exit(0);
}

/* Several write, the file is renamed again and again, and who reads gets each once. */
static void test_rotation(void)
{
    Fixture fixture;
    DuetEventReader reader;
    pid_t writers[WRITERS];
    int alive = WRITERS;
    struct stat st;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(gint32));
    g_autofree guint8 *seen = g_malloc0(WRITERS * EACH);
    fixture_up(&fixture);
    duet_event_reader_open(&reader, fixture.dir_fd, TRUE);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = fork_writer(&fixture, i);
    for (gboolean last = FALSE;; last = alive == 0) {
        duet_event_reader_read(&reader, collect, numbers);
        if (last)
            break;
        for (int i = 0; i < WRITERS; i++)
            if (writers[i] && waitpid(writers[i], NULL, WNOHANG) > 0) {
                writers[i] = 0;
                alive--;
            }
    }
    g_assert_cmpint(fstatat(fixture.dir_fd, DUET_EVENTS_OLD, &st, 0), ==, 0);
    for (guint i = 0; i < numbers->len; i++) {
        gint32 number = g_array_index(numbers, gint32, i);
        g_assert_cmpint(number, >=, 0);
        g_assert_cmpint(number, <, WRITERS * EACH);
        g_assert_cmpint(seen[number]++, ==, 0);
    }
    g_assert_cmpuint(numbers->len, ==, WRITERS * EACH);
    duet_event_reader_close(&reader);
    fixture_down(&fixture);
}

/* A process that was stopped in the middle holds up nobody. */
static void test_locked(void)
{
    Fixture fixture;
    g_autoptr(GArray) numbers = g_array_new(FALSE, FALSE, sizeof(gint32));
    DuetEventReader reader;
    fixture_up(&fixture);
    put_number(fixture.dir_fd, fixture.spec, 1, DUET_EVENTS_MAX_BYTES);
    DUET_AUTO_FD fd = openat(fixture.dir_fd, DUET_EVENTS, O_RDONLY | O_CLOEXEC);
    g_assert_cmpint(flock(fd, LOCK_EX), ==, 0);
    gint64 before_us = g_get_monotonic_time();
    put_number(fixture.dir_fd, fixture.spec, 2, DUET_EVENTS_MAX_BYTES);
    g_assert_cmpint(g_get_monotonic_time() - before_us, <, 5 * G_USEC_PER_SEC);
    duet_event_reader_open(&reader, fixture.dir_fd, TRUE);
    duet_event_reader_read(&reader, collect, numbers);
    g_assert_cmpuint(numbers->len, ==, 2);
    duet_event_reader_close(&reader);
    fixture_down(&fixture);
}

/* What is no file of ours, or can't be written, is no failure of who tells. */
static void test_lost(void)
{
    Fixture fixture;
    fixture_up(&fixture);
    put_number(-1, fixture.spec, 1, DUET_EVENTS_MAX_BYTES);
    g_assert_cmpint(symlinkat("/dev/full", fixture.dir_fd, DUET_EVENTS), ==, 0);
    put_number(fixture.dir_fd, fixture.spec, 2, DUET_EVENTS_MAX_BYTES);
    g_assert_cmpint(unlinkat(fixture.dir_fd, DUET_EVENTS, 0), ==, 0);
    g_assert_cmpint(mkfifoat(fixture.dir_fd, DUET_EVENTS, 0600), ==, 0);
    put_number(fixture.dir_fd, fixture.spec, 3, DUET_EVENTS_MAX_BYTES);
    fixture_down(&fixture);
}

/* What a sweep asks, so that no end is told twice. */
static void test_last(void)
{
    static const DuetEventType life[] = { DUET_EVENT_CREATE, DUET_EVENT_START, DUET_EVENT_DIED,
        DUET_EVENT_RESTART, DUET_EVENT_START };
    Fixture fixture;
    DuetEventType last = DUET_EVENT_COUNT;
    g_autoptr(DuetSpec) other = duet_spec_new();
    fixture_up(&fixture);
    DuetContext context = { .root = fixture.dir, .root_fd = fixture.dir_fd };
    g_assert_false(duet_event_last(&context, fixture.spec->id, &last));
    for (guint i = 0; i < G_N_ELEMENTS(life); i++) {
        duet_event_emit(&context, life[i], fixture.spec, NULL);
        duet_event_emit(&context, DUET_EVENT_PAUSE, fixture.spec, NULL);
        duet_event_emit(&context, DUET_EVENT_REMOVE, other, NULL);
        g_assert_true(duet_event_last(&context, fixture.spec->id, &last));
        g_assert_cmpint(last, ==, life[i]);
    }
    fixture_down(&fixture);
}

static gboolean matches(const DuetEvent *event, const char *first, const char *second)
{
    const char *texts[] = { first, second, NULL };
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetEventFilter) filter = duet_event_filter_new((char **)texts, &error);
    g_assert_no_error(error);
    return duet_event_filter_match(filter, event);
}

static void refused(const char *text)
{
    const char *texts[] = { text, NULL };
    g_autoptr(GError) error = NULL;
    g_assert_null(duet_event_filter_new((char **)texts, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
}

static void test_filter(void)
{
    Fixture fixture;
    g_autoptr(GString) text = g_string_new(NULL);
    fixture_up(&fixture);
    duet_event_add(text, DUET_EVENT_DIED, fixture.spec, NULL);
    g_autoptr(DuetEvent) event = duet_event_parse(text->str, text->len - 1);
    g_autofree char *id = g_strdup_printf("id=%.5s", fixture.spec->id);
    g_autofree char *by_id = g_strdup_printf("container=%.5s", fixture.spec->id);
    g_assert_true(matches(event, NULL, NULL));
    g_assert_true(matches(event, "event=died", "event=start"));
    g_assert_false(matches(event, "event=create", "event=start"));
    g_assert_true(matches(event, "event=died", "name=^box$"));
    g_assert_false(matches(event, "event=died", "name=^bo$"));
    g_assert_true(matches(event, "container=box", id));
    g_assert_true(matches(event, by_id, NULL));
    g_assert_false(matches(event, "container=bo", NULL));
    g_assert_true(matches(event, "image=docker.io/library/busybox", "kind=container"));
    g_assert_false(matches(event, "image=debian", NULL));
    g_assert_false(matches(event, "kind=vm", NULL));
    g_assert_true(matches(event, "label=app=web", "label=odd"));
    g_assert_false(matches(event, "label=app=web", "label=none"));
    refused("status=running");
    refused("event");
    refused("event=dance");
    refused("container=");
    refused("name=");
    refused("kind=dance");
    fixture_down(&fixture);
}

/* What a `duet run --rm` costs: printed, not judged: hosts differ. */
static void test_cost(void)
{
    Fixture fixture;
    static const int rounds = 1000;
    const DuetInfo info = { .exit_code = 0 };
    fixture_up(&fixture);
    DuetContext context = { .root = fixture.dir, .root_fd = fixture.dir_fd };
    g_clear_pointer(&fixture.spec->labels, g_strfreev);
    clock_t before = clock();
    for (int i = 0; i < rounds; i++) {
        g_autoptr(GString) end = g_string_new(NULL);
        duet_event_emit(&context, DUET_EVENT_CREATE, fixture.spec, NULL);
        duet_event_emit(&context, DUET_EVENT_START, fixture.spec, NULL);
        duet_event_add_died(end, fixture.spec, &info);
        duet_event_add(end, DUET_EVENT_REMOVE, fixture.spec, NULL);
        duet_event_write(&context, end);
    }
    g_test_message("%.1f us of CPU time for the events of a run",
        1e6 * (double)(clock() - before) / CLOCKS_PER_SEC / rounds);
    fixture_down(&fixture);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/events/names", test_names);
    g_test_add_func("/events/record", test_record);
    g_test_add_func("/events/long-record", test_long_record);
    g_test_add_func("/events/died", test_died);
    g_test_add_func("/events/torn", test_torn);
    g_test_add_func("/events/garbage", test_garbage);
    g_test_add_func("/events/huge", test_huge);
    g_test_add_func("/events/not-ours", test_not_ours);
    g_test_add_func("/events/from-now-on", test_from_now_on);
    g_test_add_func("/events/between-files", test_between_files);
    g_test_add_func("/events/small-files", test_small_files);
    g_test_add_func("/events/rotation", test_rotation);
    g_test_add_func("/events/locked", test_locked);
    g_test_add_func("/events/lost", test_lost);
    g_test_add_func("/events/last", test_last);
    g_test_add_func("/events/filter", test_filter);
    g_test_add_func("/events/cost", test_cost);
    return g_test_run();
}
