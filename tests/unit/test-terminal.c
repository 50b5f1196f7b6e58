/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The detach keys: their names, and what of the typed is passed on. */
#include "core/detach.h"

#include <duet/error.h>

#include <string.h>

static void test_names(void)
{
    static const struct {
        const char *text;
        guint length;
        guint8 bytes[4];
    } rows[] = {
        { "ctrl-p,ctrl-q", 2, { 16, 17 } },
        { "", 0, { 0 } },
        { "x", 1, { 'x' } },
        { "ctrl-a,d", 2, { 1, 'd' } },
        { "ctrl-@,ctrl-[,ctrl-\\,ctrl-]", 4, { 0, 27, 28, 29 } },
        { "ctrl-^,ctrl-_,DEL,Q", 4, { 30, 31, 127, 'Q' } },
        { "ctrl-z", 1, { 26 } },
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        DuetKeys keys;

        g_assert_true(duet_keys_from_string(rows[i].text, &keys, &error));
        g_assert_no_error(error);
        g_assert_cmpmem(keys.bytes, keys.length, rows[i].bytes, rows[i].length);
    }
}

static void test_no_names(void)
{
    static const char *const rows[] = { ",", "a,", ",a", "ctrl-", "ctrl-P", "ctrl-1", "ctrl-pq",
        "ctrl", "esc", "ctrl-p ctrl-q", "\303\274", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q" };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        DuetKeys keys;

        g_assert_false(duet_keys_from_string(rows[i], &keys, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, rows[i]));
    }
}

/* In pieces of @step, as reads may have them. */
static void assert_filtered(
    const char *names, const char *typed, gsize step, const char *passed, gboolean leaves)
{
    g_autoptr(GByteArray) out = g_byte_array_new();
    gsize length = strlen(typed);
    DuetKeys keys;
    gboolean left = FALSE;

    g_assert_true(duet_keys_from_string(names, &keys, NULL));
    DuetDetach detach = { .keys = &keys };
    for (gsize at = 0; at < length && !left; at += step)
        left = duet_detach_filter(&detach, (const guint8 *)typed + at, MIN(step, length - at), out);
    g_assert_cmpint(left, ==, leaves);
    if (!left)
        duet_detach_flush(&detach, out);
    g_assert_cmpmem(out->data, out->len, passed, strlen(passed));
}

static void test_filter(void)
{
    static const struct {
        const char *names, *typed, *passed;
        gboolean leaves;
    } rows[] = {
        { "ctrl-p,ctrl-q", "hello", "hello", FALSE },
        { "ctrl-p,ctrl-q", "ab\020\021cd", "ab", TRUE },
        { "ctrl-p,ctrl-q", "a\020b", "a\020b", FALSE },
        { "ctrl-p,ctrl-q", "\020\020\021", "\020", TRUE },
        { "ctrl-p,ctrl-q", "\021\020", "\021\020", FALSE },
        { "", "\020\021", "\020\021", FALSE },
        { "x", "abxc", "ab", TRUE },
        { "a,a,b", "aaab", "a", TRUE },
        { "a,a,b", "aaaacaab", "aaaac", TRUE },
        { "a,b,a,c", "abababac", "abab", TRUE },
        { "a,b,a,c", "ababab", "ababab", FALSE },
        { "a,b,a,b,c", "xababababc", "xabab", TRUE },
    };

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        for (gsize step = 1; step <= 10; step++)
            assert_filtered(rows[i].names, rows[i].typed, step, rows[i].passed, rows[i].leaves);
}

/* Against the plain way to say it: the keys are found where they first are. */
static void test_filter_at_random(void)
{
    for (int round = 0; round < 20000; round++) {
        char typed[13] = "", names[8] = "";
        int n = g_test_rand_int_range(1, 5);

        for (int i = 0; i < n - 1; i++)
            names[2 * i + 1] = ',';
        char sought[5] = "";
        for (int i = 0; i < n; i++)
            names[2 * i] = sought[i] = (char)g_test_rand_int_range('a', 'c');
        for (int i = 0; i < 12; i++)
            typed[i] = (char)g_test_rand_int_range('a', 'c');
        const char *found = strstr(typed, sought);
        g_autofree char *passed = g_strndup(typed, found ? (gsize)(found - typed) : 12);
        assert_filtered(names, typed, (gsize)g_test_rand_int_range(1, 13), passed, found != NULL);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/terminal/keys/names", test_names);
    g_test_add_func("/terminal/keys/no-names", test_no_names);
    g_test_add_func("/terminal/keys/filter", test_filter);
    g_test_add_func("/terminal/keys/filter-at-random", test_filter_at_random);
    return g_test_run();
}
