/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who a user is, by files of an image that may hold anything. */

#include "vmm/guest/agent.h"

#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    char *dir, *passwd, *group;
} Files;

static const char passwd_text[] = "root:x:0:0:root:/root:/bin/sh\n"
                                  "broken line\n"
                                  ":x:7:7:::\n"
                                  "bad:x:notanumber:0::/:\n"
                                  "huge:x:4294967295:0::/:\n"
                                  "app:x:1000:1000::/home/app:/bin/sh\n"
                                  "twin:x:1000:1001::/home/twin:/bin/sh\n"
                                  "123:x:5000:5000::/home/digits:/bin/sh\n"
                                  "nohome:x:1002:1002:::\n"
                                  "high:x:3000000000:4294967294::/h:/bin/sh";
static const char binary_text[] = "\0:\0\n:::\n\xff\xff:x:1:1\n\n";
static const char group_text[] = "root:x:0:\n"
                                 "app:x:1000:\n"
                                 "extra:x:2000:app,other\n"
                                 "prefix:x:2001:application,ap,,app2\n"
                                 "again:x:2000:app\n"
                                 "short:x:2002\n"
                                 "::2003:app\n"
                                 "77:x:2004:\n"
                                 "last:x:2005:other,app";

static void files_init(Files *files, const char *passwd, const char *group)
{
    files->dir = g_dir_make_tmp("duet-user-XXXXXX", NULL);
    files->passwd = g_build_filename(files->dir, "passwd", NULL);
    files->group = g_build_filename(files->dir, "group", NULL);
    if (passwd)
        g_assert_true(g_file_set_contents(files->passwd, passwd, -1, NULL));
    if (group)
        g_assert_true(g_file_set_contents(files->group, group, -1, NULL));
}

static void files_clear(Files *files)
{
    g_unlink(files->passwd);
    g_unlink(files->group);
    g_assert_cmpint(g_rmdir(files->dir), ==, 0);
    g_free(files->dir);
    g_free(files->passwd);
    g_free(files->group);
}

/* Returns: (transfer full): "uid:gid:groups:home", or the message. */
static char *resolve_more(const Files *files, const char *wanted, const char *const *more)
{
    struct agent_user user;
    struct agent_text error = { 0 };
    g_autoptr(GString) text = g_string_new(NULL);

    if (!agent_user_resolve(
            files->passwd, files->group, wanted, (char *const *)more, &user, &error)) {
        g_assert_cmpuint(error.length, >, 0);
        return g_strdup(error.bytes);
    }
    g_assert_cmpuint(error.length, ==, 0);
    g_string_append_printf(text, "%u:%u:", user.uid, user.gid);
    for (size_t i = 0; i < user.group_count; i++)
        g_string_append_printf(text, "%s%u", i ? "," : "", user.groups[i]);
    g_string_append_printf(text, ":%s", user.home);
    return g_strdup(text->str);
}

static char *resolve(const Files *files, const char *wanted)
{
    return resolve_more(files, wanted, NULL);
}

static void test_rules(void)
{
    static const struct {
        const char *wanted, *right;
    } rows[] = {
        { NULL, "0:0:0:/root" },
        { "", "0:0:0:/root" },
        { "root", "0:0:0:/root" },
        { "app", "1000:1000:1000,2000,2005:/home/app" },
        { "1000", "1000:1000:1000,2000,2005:/home/app" },
        { "1000:1000", "1000:1000:1000:/home/app" },
        { "app:extra", "1000:2000:2000:/home/app" },
        { "app:9", "1000:9:9:/home/app" },
        { "app:", "1000:1000:1000,2000,2005:/home/app" },
        { ":extra", "0:2000:2000:/root" },
        { "twin", "1000:1001:1001:/home/twin" },
        { "4242", "4242:0:0:/" },
        { "4242:77", "4242:2004:2004:/" },
        { "123", "5000:5000:5000:/home/digits" },
        { "nohome", "1002:1002:1002:/" },
        { "high", "3000000000:4294967294:4294967294:/h" },
        { "4294967294", "4294967294:0:0:/" },
    };
    Files files;

    files_init(&files, passwd_text, group_text);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = resolve(&files, rows[i].wanted);

        g_assert_cmpstr(got, ==, rows[i].right);
    }
    files_clear(&files);
}

static void test_unknown(void)
{
    static const char *const wanted[] = { "ghost", "ap", "bad", "huge", "4294967295", "-1", "0x10",
        "app:nogroup", "app:extra:more", "99999999999999999999" };
    Files files;

    files_init(&files, passwd_text, group_text);
    for (guint i = 0; i < G_N_ELEMENTS(wanted); i++) {
        g_autofree char *got = resolve(&files, wanted[i]);
        g_auto(GStrv) parts = g_strsplit(wanted[i], ":", 2);
        g_autofree char *quoted = g_strdup_printf("'%s'", parts[1] ? parts[1] : parts[0]);

        g_assert_nonnull(strstr(got, quoted));
    }
    files_clear(&files);
}

static void test_more_groups(void)
{
    static const struct {
        const char *wanted, *more[4], *right;
    } rows[] = {
        { "app:app", { NULL }, "1000:1000:1000:/home/app" },
        { "app", { "prefix", "9" }, "1000:1000:1000,2000,2005,2001,9:/home/app" },
        { "app:extra", { "app", "extra", "2000" }, "1000:2000:2000,1000:/home/app" },
        /* a name that is all digits goes first, as for users */
        { "4242", { "77", "4294967294" }, "4242:0:0,2004,4294967294:/" },
    };
    static const char *const wrong[] = { "ghost", "", "-1", "4294967295", "app:extra" };
    Files files;

    files_init(&files, passwd_text, group_text);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *got = resolve_more(&files, rows[i].wanted, rows[i].more);

        g_assert_cmpstr(got, ==, rows[i].right);
    }
    for (guint i = 0; i < G_N_ELEMENTS(wrong); i++) {
        const char *const more[] = { "app", wrong[i], NULL };
        g_autofree char *got = resolve_more(&files, "root", more);
        g_autofree char *quoted = g_strdup_printf("no group '%s'", wrong[i]);

        g_assert_nonnull(strstr(got, quoted));
    }
    files_clear(&files);
}

static void test_files(void)
{
    g_autofree char *got = NULL, *fifo = NULL, *large = NULL, *names = NULL;
    Files files;

    /* An image without these files. */
    files_init(&files, NULL, NULL);
    got = resolve(&files, "5:6");
    g_assert_cmpstr(got, ==, "5:6:6:/");
    /* One whose file would keep a reader for ever. */
    g_assert_cmpint(mkfifo(files.passwd, 0644), ==, 0);
    fifo = resolve(&files, "5:6");
    g_assert_true(g_str_has_prefix(fifo, "cannot read '"));
    g_unlink(files.passwd);
    /* Sparse, and larger than any user list. */
    g_assert_true(g_file_set_contents(files.passwd, "", 0, NULL));
    g_assert_cmpint(truncate(files.passwd, G_GINT64_CONSTANT(1) << 40), ==, 0);
    large = resolve(&files, "5:6");
    g_assert_true(g_str_has_prefix(large, "cannot read '"));
    g_unlink(files.passwd);
    /* Bytes that are no text. */
    g_assert_true(g_file_set_contents(files.passwd, binary_text, sizeof(binary_text), NULL));
    names = resolve(&files, "5:6");
    g_assert_cmpstr(names, ==, "5:6:6:/");
    files_clear(&files);
}

static void test_many_groups(void)
{
    g_autoptr(GString) group = g_string_new(NULL);
    g_autofree char *got = NULL, *fits = NULL;
    Files files;

    for (int i = 0; i < AGENT_GROUPS_MAX - 1; i++)
        g_string_append_printf(group, "g%d:x:%d:app\n", i, 10000 + i);
    files_init(&files, passwd_text, group->str);
    fits = resolve(&files, "app");
    g_assert_true(g_str_has_prefix(fits, "1000:1000:1000,10000,10001,"));
    g_string_append(group, "more:x:9:app\n");
    g_assert_true(g_file_set_contents(files.group, group->str, -1, NULL));
    got = resolve(&files, "app");
    g_assert_nonnull(strstr(got, "1024 groups"));
    files_clear(&files);
}

static void test_text(void)
{
    struct agent_text text = { 0 };
    guint32 number = 5;

    for (int i = 0; i < 1000; i++)
        agent_text_add(&text, "piece ", "of ", NULL);
    g_assert_cmpuint(text.length, ==, sizeof(text.bytes) - 1);
    g_assert_cmpuint(strlen(text.bytes), ==, text.length);
    text = (struct agent_text){ 0 };
    agent_text_add_number(&text, G_MAXUINT64);
    agent_text_add_number(&text, 0);
    g_assert_cmpstr(text.bytes, ==, "184467440737095516150");
    g_assert_true(agent_number("4294967295", 10, G_MAXUINT32, &number));
    g_assert_cmpuint(number, ==, G_MAXUINT32);
    g_assert_false(agent_number("4294967296", 10, G_MAXUINT32, &number));
    g_assert_false(agent_number("", 0, G_MAXUINT32, &number));
    g_assert_false(agent_number("1 ", 2, G_MAXUINT32, &number));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/agent-user/rules", test_rules);
    g_test_add_func("/agent-user/unknown", test_unknown);
    g_test_add_func("/agent-user/more-groups", test_more_groups);
    g_test_add_func("/agent-user/files", test_files);
    g_test_add_func("/agent-user/many-groups", test_many_groups);
    g_test_add_func("/agent-user/text", test_text);
    return g_test_run();
}
