/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log: its bound, its parts, who reads it meanwhile, and which lines are shown. */
#include "core/duration.h"
#include "core/log/log-lines.h"
#include "core/log/log-parts.h"
#include "core/log/log.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    char *dir;
    int dir_fd;
    DuetSpec *spec;
    DuetLog log;
} Fixture;

static void fixture_up(Fixture *fixture, guint64 max_bytes, int max_files)
{
    g_autoptr(GError) error = NULL;
    fixture->dir = g_dir_make_tmp("duet-log-XXXXXX", &error);
    g_assert_no_error(error);
    fixture->dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fixture->spec = duet_spec_new();
    fixture->spec->log_max_bytes = max_bytes;
    fixture->spec->log_max_files = max_files;
    g_assert_true(duet_log_open(&fixture->log, fixture->dir_fd, fixture->spec, FALSE, &error));
    g_assert_no_error(error);
}

static void fixture_down(Fixture *fixture)
{
    duet_log_close(&fixture->log);
    duet_fd_clear(&fixture->dir_fd);
    duet_spec_free(fixture->spec);
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->dir, NULL));
    g_free(fixture->dir);
}

static gboolean collect(
    guint channel, gint64 us, const guint8 *bytes, guint32 length, gpointer data)
{
    g_assert_cmpint(us, >, 0);
    g_string_append_len(data, channel == DUET_CHANNEL_STDERR ? "!" : "", -1);
    g_string_append_len(data, (const char *)bytes, length);
    return TRUE;
}

static char *read_all(int dir_fd)
{
    g_autoptr(GString) text = g_string_new(NULL);
    DuetLogReader reader;
    g_assert_true(duet_log_reader_open(&reader, dir_fd));
    g_assert_true(duet_log_read(&reader, collect, text));
    duet_log_reader_close(&reader);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static guint64 size_of(const Fixture *fixture)
{
    struct stat st;
    g_assert_cmpint(fstatat(fixture->dir_fd, DUET_LOG, &st, 0), ==, 0);
    guint64 bytes = (guint64)st.st_size;
    g_autoptr(GArray) parts = duet_log_parts(fixture->dir_fd, 0);
    for (guint i = 0; i < parts->len; i++) {
        g_autofree char *name = duet_log_part_name(g_array_index(parts, guint64, i));
        g_assert_cmpint(fstatat(fixture->dir_fd, name, &st, 0), ==, 0);
        bytes += (guint64)st.st_size;
    }
    return bytes;
}

/* Bytes as they are; a record whose end is not there yet is left for the next time. */
static void test_records(void)
{
    static const guint8 half[16] = { 200, 0, 0, 0, 1 };
    Fixture fixture;
    DuetLogReader reader;
    g_autoptr(GString) text = g_string_new(NULL);

    fixture_up(&fixture, 0, 0);
    g_assert_true(duet_log_append(&fixture.log, DUET_CHANNEL_STDOUT, "a\0b", 3));
    g_assert_true(duet_log_append(&fixture.log, DUET_CHANNEL_STDERR, "e", 1));
    g_assert_cmpint(write(fixture.log.fd, half, sizeof half), ==, sizeof half);
    g_assert_true(duet_log_reader_open(&reader, fixture.dir_fd));
    g_assert_true(duet_log_read(&reader, collect, text));
    g_assert_cmpint(reader.offset, ==, 16 + 3 + 16 + 1);
    g_assert_cmpmem(text->str, text->len, "a\0b!e", 5);
    duet_log_reader_close(&reader);
    fixture_down(&fixture);
}

/* Numbered lines: what is there is the newest, whole, without a gap, and as much as promised. */
static void check_numbers(const char *text, guint last, guint64 at_least)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    guint n = g_strv_length(lines);
    g_assert_cmpuint(n, >, 1);
    g_assert_cmpstr(lines[n - 1], ==, "");
    for (guint i = 0; i + 1 < n; i++) {
        g_autofree char *expected = g_strdup_printf("line %08u", last - (n - 2) + i);
        g_assert_cmpstr(lines[i], ==, expected);
    }
    g_assert_cmpuint(strlen(text), >=, at_least);
}

static void write_line(Fixture *fixture, guint number)
{
    g_autofree char *line = g_strdup_printf("line %08u\n", number);
    g_assert_true(duet_log_append(&fixture->log, DUET_CHANNEL_STDOUT, line, (guint32)strlen(line)));
}

static void test_bound(void)
{
    static const struct {
        guint64 max_bytes;
        int max_files;
        guint64 bound, kept;
    } rows[] = { { 1024, 0, 1024, 512 }, { 1024, 1, 1024, 512 }, { 1024, 2, 2048, 1024 },
        { 4000, 5, 20000, 16000 } };

    for (guint row = 0; row < G_N_ELEMENTS(rows); row++) {
        Fixture fixture;
        fixture_up(&fixture, rows[row].max_bytes, rows[row].max_files);
        for (guint i = 1; i <= 5000; i++) {
            write_line(&fixture, i);
            g_assert_cmpuint(size_of(&fixture), <=, rows[row].bound);
            if (i % 97 != 0 && i != 5000)
                continue;
            g_autofree char *text = read_all(fixture.dir_fd);
            /* a line is 14 bytes of a record of 30 */
            guint64 kept = rows[row].kept * 14 / 30 - 14;
            check_numbers(text, i, MIN(kept, (guint64)i * 14));
        }
        /* the next start begins anew */
        g_assert_true(duet_log_open(&fixture.log, fixture.dir_fd, fixture.spec, FALSE, NULL));
        g_assert_cmpuint(size_of(&fixture), ==, 0);
        fixture_down(&fixture);
    }
}

/* One that is longer than a part. */
static void test_long_record(void)
{
    Fixture fixture;
    g_autofree char *bytes = g_malloc(DUET_FRAME_MAX_BYTES + 1);
    fixture_up(&fixture, 1024, 3);
    for (guint i = 0; i < DUET_FRAME_MAX_BYTES; i++)
        bytes[i] = (char)('a' + i % 26);
    bytes[DUET_FRAME_MAX_BYTES] = '\0';
    g_assert_true(duet_log_append(&fixture.log, DUET_CHANNEL_STDOUT, bytes, DUET_FRAME_MAX_BYTES));
    g_assert_cmpuint(size_of(&fixture), <=, 3072);
    g_autofree char *text = read_all(fixture.dir_fd);
    g_assert_cmpuint(strlen(text), >=, 2 * (1024 - 16));
    g_assert_true(g_str_has_suffix(bytes, text));
    fixture_down(&fixture);
}

/* A kill between two steps of the writer's: after the link, or with a new file that nobody named.
 */
static void test_crash_points(void)
{
    Fixture fixture;
    DuetLogReader reader;
    g_autoptr(GString) followed = g_string_new(NULL);

    fixture_up(&fixture, 1024, 3);
    for (guint i = 1; i <= 50; i++)
        write_line(&fixture, i);
    g_assert_true(duet_log_reader_open(&reader, fixture.dir_fd));
    g_assert_true(duet_log_read(&reader, collect, followed));
    g_autofree char *name = duet_log_part_name(fixture.log.sequence);
    g_assert_cmpint(linkat(fixture.dir_fd, DUET_LOG, fixture.dir_fd, name, 0), ==, 0);
    DUET_AUTO_FD fresh = openat(fixture.dir_fd, "log.new", O_WRONLY | O_CREAT, 0600);
    g_autofree char *text = read_all(fixture.dir_fd);
    check_numbers(text, 50, 1);
    /* and one who followed sees nothing twice */
    g_assert_true(duet_log_read(&reader, collect, followed));
    g_assert_cmpstr(followed->str, ==, text);
    /* had the writer only been slow, it would go on like this */
    g_assert_cmpint(renameat(fixture.dir_fd, "log.new", fixture.dir_fd, DUET_LOG), ==, 0);
    close(fixture.log.fd);
    fixture.log.fd = duet_fd_steal(&fresh);
    fixture.log.sequence++;
    fixture.log.bytes = 0;
    write_line(&fixture, 51);
    g_assert_true(duet_log_read(&reader, collect, followed));
    check_numbers(followed->str, 51, 1);
    duet_log_reader_close(&reader);
    fixture_down(&fixture);
}

/* A name of the log's that is none of its parts. */
static void test_strange_names(void)
{
    static const char *const names[] = { "log.", "log.x", "log.0", "log.-1", "log.1x", "log.01a",
        "log.99999999999999999999", "logs", "log.new" };
    Fixture fixture;
    fixture_up(&fixture, 1024, 3);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        close(openat(fixture.dir_fd, names[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    write_line(&fixture, 1);
    g_autofree char *text = read_all(fixture.dir_fd);
    g_assert_cmpstr(text, ==, "line 00000001\n");
    fixture_down(&fixture);
}

static G_NORETURN void write_for_ever(Fixture *fixture)
{
    for (guint i = 1;; i++) {
        g_autofree char *line = g_strdup_printf("line %08u\n", i);
        if (!duet_log_append(&fixture->log, DUET_CHANNEL_STDOUT, line, (guint32)strlen(line)))
            _exit(1);
    }
}

typedef struct {
    guint next;
    guint gaps;
    guint lines;
} Follower;

static gboolean follow(guint channel, gint64 us, const guint8 *bytes, guint32 length, gpointer data)
{
    Follower *follower = data;
    (void)channel;
    (void)us;
    g_assert_cmpuint(length, ==, 14);
    g_autofree char *text = g_strndup((const char *)bytes, length);
    guint number = (guint)strtoul(text + 5, NULL, 10);
    /* never twice, never back */
    g_assert_cmpuint(number, >=, follower->next);
    follower->gaps += number != follower->next && follower->next != 0;
    follower->next = number + 1;
    follower->lines++;
    return TRUE;
}

/* A writer that is killed at any moment, and a reader that follows it meanwhile. */
static void test_killed(void)
{
    for (int round = 0; round < 40; round++) {
        Fixture fixture;
        Follower follower = { 0 };
        DuetLogReader reader;
        /* so many parts that a reader which is put off for a while loses nothing */
        fixture_up(&fixture, 4096, 900);
        pid_t pid = fork();
        if (pid == 0)
            write_for_ever(&fixture);
        g_assert_true(duet_log_reader_open(&reader, fixture.dir_fd));
        gint64 end_us = g_get_monotonic_time() + g_random_int_range(1000, 30000);
        while (g_get_monotonic_time() < end_us)
            g_assert_true(duet_log_read(&reader, follow, &follower));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        g_assert_true(duet_log_read(&reader, follow, &follower));
        duet_log_reader_close(&reader);
        Follower later = { 0 };
        g_assert_true(duet_log_reader_open(&reader, fixture.dir_fd));
        g_assert_true(duet_log_read(&reader, follow, &later));
        duet_log_reader_close(&reader);
        g_assert_cmpuint(later.gaps, ==, 0);
        if (reader.first == 1) {
            g_assert_cmpuint(follower.gaps, ==, 0);
            g_assert_cmpuint(follower.lines, ==, later.lines);
        }
        g_assert_cmpuint(follower.next, ==, later.next);
        fixture_down(&fixture);
    }
}

static void test_none(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    DuetLog log;
    spec->no_log = TRUE;
    g_assert_true(duet_log_open(&log, -1, spec, FALSE, NULL));
    g_assert_cmpint(log.fd, ==, -1);
    g_assert_true(duet_log_append(&log, DUET_CHANNEL_STDOUT, "x", 1));
}

static char *shown(const DuetLogQuery *query, gint64 skip, gint64 *out_begun, gboolean *out_done)
{
    static const struct {
        guint channel;
        gint64 us;
        const char *text;
    } records[] = { { 1, 1000000, "one\ntwo" }, { 2, 2000000, "err\n" },
        { 1, 3000000, "+\nthree\n" }, { 1, 4500001, "four" } };
    FILE *file = tmpfile();
    DuetLogLines lines = {
        .query = query, .fds = { -1, fileno(file), fileno(file) }, .skip = skip
    };
    for (guint i = 0; i < G_N_ELEMENTS(records); i++)
        g_assert_true(duet_log_lines_record(records[i].channel, records[i].us,
            (const guint8 *)records[i].text, (guint32)strlen(records[i].text), &lines));
    char *text = g_malloc0(4096);
    g_assert_cmpint(pread(fileno(file), text, 4095, 0), >=, 0);
    fclose(file);
    *out_begun = lines.begun;
    *out_done = lines.done;
    return text;
}

static void test_lines(void)
{
    static const struct {
        DuetLogQuery query;
        gint64 skip;
        const char *text;
        gint64 begun;
        gboolean done;
    } rows[] = {
        { { .tail = -1 }, 0, "one\ntwoerr\n+\nthree\nfour", 0, FALSE },
        /* the two bytes after "two" are of its line */
        { { .tail = 3 }, 2, "err\nthree\nfour", 5, FALSE },
        { { .tail = 0 }, 5, "", 5, FALSE },
        { { .tail = -1, .since_us = 1000001 }, 0, "err\nthree\nfour", 3, FALSE },
        { { .tail = -1, .until_us = 2999999 }, 0, "one\ntwoerr\n+\n", 3, TRUE },
        { { .tail = -1, .since_us = 3000000, .until_us = 3000000 }, 0, "three\n", 1, TRUE },
        { { .tail = 1, .timestamps = TRUE }, 4, "1970-01-01T00:00:04.500001000Z four", 5, FALSE },
        { { .tail = -1, .timestamps = TRUE, .until_us = 2000000 }, 1,
            "1970-01-01T00:00:01.000000000Z two1970-01-01T00:00:02.000000000Z err\n+\n", 3, TRUE },
    };
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        gint64 begun;
        gboolean done;
        g_autofree char *text = shown(&rows[i].query, rows[i].skip, &begun, &done);
        g_assert_cmpstr(text, ==, rows[i].text);
        g_assert_cmpint(begun, ==, rows[i].begun);
        g_assert_cmpint(done, ==, rows[i].done);
    }
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        gint64 us;
        const char *again;
    } good[] = { { "0", 0, "0s" }, { "0s", 0, "0s" }, { "30s", 30000000, "30s" },
        { "1m30s", 90000000, "1m30s" }, { "500ms", 500000, "500ms" },
        { "1h2m3.5s", 3723500000, "1h2m3.5s" }, { "1.5h", 5400000000, "1h30m0s" },
        { ".5s", 500000, "500ms" }, { "1.s", 1000000, "1s" }, { "1500us", 1500, "1.5ms" },
        { "1500\302\265s", 1500, "1.5ms" }, { "2000ns", 2, "0.002ms" } };
    static const char *const bad[] = { "", "1", "s", ".s", "1x", "1m30", "-1s", "+1s", "1.2.3s",
        "1e3s", "0x1s", "inf", "nan", " 1s", "1s ", "99999999999999h", "00" };
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        gint64 us = -1;
        g_assert_true(duet_parse_duration(good[i].text, &us, NULL));
        g_assert_cmpint(us, ==, good[i].us);
        g_autofree char *again = duet_format_duration(us);
        g_assert_cmpstr(again, ==, good[i].again);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        gint64 us = -1;
        g_autoptr(GError) error = NULL;
        g_assert_false(duet_parse_duration(bad[i], &us, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_assert_cmpint(us, ==, -1);
    }
}

static void test_times(void)
{
    static const struct {
        const char *text;
        gint64 us;
    } good[] = { { "1136073600", 1136073600000000 }, { "1136073600.25", 1136073600250000 },
        { "2006-01-01T00:00:00Z", 1136073600000000 },
        { "2006-01-01T01:00:00.5+01:00", 1136073600500000 },
        { "2006-01-01T00:00:00", 1136073600000000 }, { "2006-01-01", 1136073600000000 },
        { "10m", 1400000000 }, { "0", 0 } };
    static const char *const bad[] = { "", "yesterday", "2006-13-01", "12:00", "-5m", "1x" };
    gint64 us;
    g_setenv("TZ", "UTC", TRUE);
    for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
        g_assert_true(duet_parse_time(good[i].text, 2000000000, &us, NULL));
        g_assert_cmpint(us, ==, good[i].us);
    }
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++)
        g_assert_false(duet_parse_time(bad[i], 2000000000, &us, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/log/records", test_records);
    g_test_add_func("/log/bound", test_bound);
    g_test_add_func("/log/long-record", test_long_record);
    g_test_add_func("/log/crash-points", test_crash_points);
    g_test_add_func("/log/strange-names", test_strange_names);
    g_test_add_func("/log/killed", test_killed);
    g_test_add_func("/log/none", test_none);
    g_test_add_func("/log/lines", test_lines);
    g_test_add_func("/log/durations", test_durations);
    g_test_add_func("/log/times", test_times);
    return g_test_run();
}
