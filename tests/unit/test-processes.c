/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is read of processes: the list that an agent writes, and the kernel's files on the host. */
#include "core/cgroup/cgroup-private.h"
#include "core/processes.h"
#include "core/stats.h"

#include <duet/error.h>

#include <string.h>
#include <unistd.h>

#define CLOCK "20000000000 100 4096\0"
#define NUMBERS "7 S 1 34816 150 50 -5 1500 4096000 10 1000\0"

/* The length of a literal with NULs in it, its own last one not counted. */
#define PARSE(literal, error) duet_processes_parse(literal, sizeof(literal) - 1, error)

static void test_list(void)
{
    static const char text[] =
        CLOCK NUMBERS "app\0my prog)\0./my prog --x=1\0"
                      "2147483647 Z 7 0 0 0 19 9999999 0 0 4294967295\0\0gone\0\0";
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) list = PARSE(text, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 2);
    const DuetProcess *first = list->pdata[0], *second = list->pdata[1];
    g_assert_cmpuint(first->pid, ==, 7);
    g_assert_cmpuint(first->ppid, ==, 1);
    g_assert_cmpuint(first->uid, ==, 1000);
    g_assert_cmpuint(first->tty, ==, 34816);
    g_assert_cmpint(first->state, ==, 'S');
    g_assert_cmpint(first->nice, ==, -5);
    g_assert_cmpuint(first->cpu_ns, ==, 2000000000);
    g_assert_cmpuint(first->elapsed_ns, ==, 5000000000);
    g_assert_cmpuint(first->virtual_bytes, ==, 4096000);
    g_assert_cmpuint(first->resident_bytes, ==, 40960);
    g_assert_cmpstr(first->user, ==, "app");
    g_assert_cmpstr(first->name, ==, "my prog)");
    g_assert_cmpstr(first->args, ==, "./my prog --x=1");
    /* one that says that it begins in the future has not run yet */
    g_assert_cmpuint(second->elapsed_ns, ==, 0);
    g_assert_cmpuint(second->uid, ==, 4294967295);
    g_assert_cmpstr(second->user, ==, "");
    g_assert_cmpstr(second->args, ==, "");
}

static void test_empty_list(void)
{
    g_autoptr(GPtrArray) list = PARSE(CLOCK, NULL);
    g_assert_cmpuint(list->len, ==, 0);
}

static void assert_broken(const char *bytes, gsize length)
{
    g_autoptr(GError) error = NULL;
    g_assert_null(duet_processes_parse(bytes, length, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
}

static void test_hostile_lists(void)
{
#define BROKEN(literal) assert_broken(literal, sizeof(literal) - 1)
    BROKEN("");
    BROKEN("\0");
    BROKEN("20000000000 100\0");
    BROKEN("20000000000 0 4096\0");
    BROKEN("99999999999999999999 100 4096\0");
    BROKEN("20000000000 100 4096 1\0");
    BROKEN("20000000000 100 18446744073709551615\0");
    BROKEN(CLOCK "\0\0\0\0");
    BROKEN(CLOCK "x\0a\0b\0c\0");
    BROKEN(CLOCK NUMBERS "app\0name\0");
    BROKEN(CLOCK "-7 S 1 0 0 0 0 0 0 0 0\0a\0b\0c\0");
    BROKEN(CLOCK "7 SS 1 0 0 0 0 0 0 0 0\0a\0b\0c\0");
    BROKEN(CLOCK "7 \033 1 0 0 0 0 0 0 0 0\0a\0b\0c\0");
    BROKEN(CLOCK "7 S 1 0 0 0 20 0 0 0 0\0a\0b\0c\0");
    BROKEN(CLOCK "7 S 1 0 0 0 0 0 0 0 0 0\0a\0b\0c\0");
    BROKEN(CLOCK "7 S 1 0 18446744073709551615 0 0 0 0 0 0\0a\0b\0c\0");
    BROKEN(CLOCK "7 S 1 0 0 0 0 0 0 18446744073709551615 0\0a\0b\0c\0");
    BROKEN(CLOCK "7 S 1 0 0 0 0 0 18446744073709551615 0 0\0a\0b\0c\0");
    BROKEN(CLOCK "7 S 1 4294967296 0 0 0 0 0 0 0\0a\0b\0c\0");
    /* one that is cut anywhere is none, but behind a whole process */
    static const char whole[] = CLOCK NUMBERS "app\0name\0args";
    for (gsize length = 0; length < sizeof whole - 1; length++)
        if (length != sizeof CLOCK - 1)
            assert_broken(whole, length);
    g_autoptr(GPtrArray) list = duet_processes_parse(whole, sizeof whole, NULL);
    g_assert_cmpuint(list->len, ==, 1);
}

static void test_stat(void)
{
    DuetProcessTimes times;
    g_assert_true(duet_stat_parse("12 (a) b (c) S 1 12 12 0 -1 4194560 1 2 3 4 500 60 7 8 20 0 9 0 "
                                  "100 200 300 18446744073709551615 1",
        &times));
    g_assert_cmpuint(times.ticks, ==, 575);
    g_assert_cmpuint(times.threads, ==, 9);
    g_assert_cmpuint(times.began, ==, 100);
    g_assert_false(duet_stat_parse("", &times));
    g_assert_false(duet_stat_parse("12 (a", &times));
    g_assert_false(duet_stat_parse("12 (a) S 1 12 12 0 -1 4194560 1 2 3 4 500", &times));
}

static void test_io(void)
{
    guint64 read_bytes = 0, write_bytes = 0;
    g_assert_true(duet_io_parse("rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 12288\n"
                                "write_bytes: 18446744073709551614\ncancelled_write_bytes: 7\n",
        &read_bytes, &write_bytes));
    g_assert_cmpuint(read_bytes, ==, 12288);
    g_assert_cmpuint(write_bytes, ==, G_MAXUINT64 - 1);
    g_assert_false(duet_io_parse("", &read_bytes, &write_bytes));
    g_assert_false(duet_io_parse("rchar: 1\nread_bytes: 12288\n", &read_bytes, &write_bytes));
}

/* io.stat of v2: a line for each device; words of other controllers between. */
static void test_io_stat(void)
{
    DuetCgroupUsage usage = { 0 };
    duet_cgroup_io_parse("8:16 rbytes=1000 wbytes=2000 rios=3 wios=4 dbytes=5 dios=6\n"
                         "253:0 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=0 dios=0 "
                         "cost.usage=7\n7:0 \n",
        &usage);
    g_assert_cmpuint(usage.read_bytes, ==, 1010);
    g_assert_cmpuint(usage.write_bytes, ==, 2020);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/processes/list", test_list);
    g_test_add_func("/processes/empty-list", test_empty_list);
    g_test_add_func("/processes/hostile-lists", test_hostile_lists);
    g_test_add_func("/processes/stat", test_stat);
    g_test_add_func("/processes/io", test_io);
    g_test_add_func("/processes/io-stat", test_io_stat);
    return g_test_run();
}
