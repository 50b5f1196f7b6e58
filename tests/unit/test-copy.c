/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A copy's stream: what is packed comes out again, and a hostile one writes nothing beside. */

#include "core/util.h"

#include <duet/copy-stream.h>
#include <duet/protocol.h>

#include <fcntl.h>
#include <glib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct {
    char *dir; /* with "outside/secret", and "in", the target */
    char *in, *secret;
    struct duet_copy *copy;
} Box;

static struct duet_copy *copy_new(void)
{
    struct duet_copy *copy = g_new0(struct duet_copy, 1);
    copy->fd = memfd_create("stream", MFD_CLOEXEC);
    copy->uid = geteuid();
    copy->gid = getegid();
    return copy;
}

static void copy_free(struct duet_copy *copy)
{
    close(copy->fd);
    g_free(copy);
}

static void box_open(Box *box, gconstpointer data)
{
    g_autofree char *outside = NULL;
    (void)data;
    umask(0);
    box->dir = g_dir_make_tmp("duet-copy.XXXXXX", NULL);
    box->in = g_build_filename(box->dir, "in", NULL);
    outside = g_build_filename(box->dir, "outside", NULL);
    box->secret = g_build_filename(outside, "secret", NULL);
    g_assert_cmpint(mkdir(box->in, 0700) | mkdir(outside, 0700), ==, 0);
    g_assert_true(g_file_set_contents(box->secret, "untouched", -1, NULL));
    box->copy = copy_new();
}

static void box_close(Box *box, gconstpointer data)
{
    g_autofree char *text = NULL;
    (void)data;
    g_assert_true(g_file_get_contents(box->secret, &text, NULL, NULL));
    g_assert_cmpstr(text, ==, "untouched");
    g_assert_true(duet_remove_tree(AT_FDCWD, box->dir, NULL));
    copy_free(box->copy);
    g_free(box->dir);
    g_free(box->in);
    g_free(box->secret);
}

static char *contents(Box *box, const char *name)
{
    g_autofree char *path = g_build_filename(box->in, name, NULL);
    char *text = NULL;
    g_file_get_contents(path, &text, NULL, NULL);
    return text;
}

static void put(Box *box, guint8 type, const char *name, const char *link, const char *bytes)
{
    struct duet_copy_entry entry = { .type = type, .mode = 0640, .name = name, .link = link };
    entry.flags = type == DUET_COPY_TOP ? DUET_COPY_TOP_DIRECTORY : 0;
    entry.size = bytes ? strlen(bytes) : 0;
    g_assert_true(duet_copy_write(box->copy, &entry));
    if (bytes)
        g_assert_true(duet_copy_write_bytes(box->copy, bytes, strlen(bytes)));
}

/* Unpacks what was put so far, with an end behind it. */
static gboolean take(Box *box, const char *target, const char *name, guint32 options)
{
    put(box, DUET_COPY_END, NULL, NULL, NULL);
    g_assert_true(duet_copy_flush(box->copy));
    int fd = box->copy->fd;
    uid_t uid = box->copy->uid;
    gid_t gid = box->copy->gid;
    memset(box->copy, 0, sizeof *box->copy);
    *box->copy = (struct duet_copy){ .fd = fd, .uid = uid, .gid = gid, .options = options };
    lseek(fd, 0, SEEK_SET);
    gboolean ok = duet_copy_unpack(box->copy, target, name);
    g_assert_true(ok == (box->copy->what == NULL));
    return ok;
}

/* For one more stream. */
static void again(Box *box)
{
    copy_free(box->copy);
    box->copy = copy_new();
    put(box, DUET_COPY_TOP, NULL, NULL, NULL);
    put(box, DUET_COPY_DIRECTORY, NULL, NULL, NULL);
}

static void test_names(Box *box, gconstpointer data)
{
    static const char *const bad[] = { "..", ".", "/", "/x", "x/", "a//b", "a/../b", "../x", "a/..",
        "a/./b", "./a", "../outside/secret" };
    static const char *const good[] = { "...", "..x", "a/..b", ".a", "a b", "\xff\n" };
    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_false(duet_copy_name_is_good(bad[i], strlen(bad[i])));
        again(box);
        put(box, DUET_COPY_FILE, bad[i], NULL, "evil");
        g_assert_false(take(box, box->in, "n", 0));
        again(box);
        put(box, DUET_COPY_FILE, "f", NULL, "x");
        put(box, DUET_COPY_LINK, "l", bad[i], NULL);
        g_assert_false(take(box, box->in, "n", 0));
    }
    for (guint i = 0; i < G_N_ELEMENTS(good); i++)
        g_assert_true(duet_copy_name_is_good(good[i], strlen(good[i])));
    g_assert_false(duet_copy_name_is_good("a\0b", 3));
}

static void test_link_then_write(Box *box, gconstpointer data)
{
    g_autofree char *link = g_build_filename(box->in, "old", NULL);
    g_autofree char *outside = g_path_get_dirname(box->secret);
    g_autofree char *text = NULL;
    struct stat st;
    (void)data;
    /* a link of the stream, on the way */
    again(box);
    put(box, DUET_COPY_SYMLINK, "l", outside, NULL);
    put(box, DUET_COPY_FILE, "l/secret", NULL, "evil");
    g_assert_false(take(box, box->in, "n", 0));
    /* ... at the end: the link goes, not what it leads to */
    again(box);
    put(box, DUET_COPY_SYMLINK, "l", box->secret, NULL);
    put(box, DUET_COPY_FILE, "l", NULL, "new");
    g_assert_true(take(box, box->in, "n", 0));
    text = contents(box, "n/l");
    g_assert_cmpstr(text, ==, "new");
    /* ... as a directory, and its attributes */
    again(box);
    put(box, DUET_COPY_SYMLINK, "d", outside, NULL);
    put(box, DUET_COPY_DIRECTORY, "d", NULL, NULL);
    g_assert_false(take(box, box->in, "n", 0));
    again(box);
    put(box, DUET_COPY_SYMLINK, "d", outside, NULL);
    put(box, DUET_COPY_ATTRIBUTES, "d", NULL, NULL);
    g_assert_false(take(box, box->in, "n", 0));
    g_assert_cmpint(stat(outside, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0700);
    /* one that was there before */
    g_assert_cmpint(symlink(outside, link), ==, 0);
    again(box);
    put(box, DUET_COPY_FILE, "secret", NULL, "evil");
    g_assert_false(take(box, box->in, "old", 0));
    again(box);
    put(box, DUET_COPY_FILE, "old/secret", NULL, "evil");
    g_assert_false(take(box, box->in, NULL, DUET_COPY_CONTENTS));
    /* ... to remove what it leads to is not what --overwrite is */
    again(box);
    put(box, DUET_COPY_FILE, "secret", NULL, "good");
    g_assert_true(take(box, box->in, "old", DUET_COPY_OVERWRITE));
}

static void test_hard_links(Box *box, gconstpointer data)
{
    g_autofree char *text = NULL, *other = NULL;
    (void)data;
    again(box);
    put(box, DUET_COPY_FILE, "a", NULL, "one");
    put(box, DUET_COPY_LINK, "b", "a", NULL);
    /* Neither is written through the other's name. */
    put(box, DUET_COPY_FILE, "b", NULL, "two");
    g_assert_true(take(box, box->in, "n", 0));
    text = contents(box, "n/a");
    other = contents(box, "n/b");
    g_assert_cmpstr(text, ==, "one");
    g_assert_cmpstr(other, ==, "two");
    again(box);
    put(box, DUET_COPY_SYMLINK, "s", box->secret, NULL);
    put(box, DUET_COPY_LINK, "l", "s", NULL);
    put(box, DUET_COPY_FILE, "l", NULL, "new");
    g_assert_true(take(box, box->in, "m", 0));
    again(box);
    put(box, DUET_COPY_FILE, "a", NULL, "one");
    put(box, DUET_COPY_LINK, "a", "a", NULL);
    g_assert_false(take(box, box->in, "n", 0));
}

/* A file that is asked for is a file under the name that was asked for. */
static void test_one_file(Box *box, gconstpointer data)
{
    static const guint8 others[] = { DUET_COPY_SYMLINK, DUET_COPY_FIFO, DUET_COPY_DIRECTORY };
    struct duet_copy_entry top = { .type = DUET_COPY_TOP };
    g_autofree char *text = NULL;
    (void)data;
    g_assert_true(duet_copy_write(box->copy, &top));
    put(box, DUET_COPY_FILE, NULL, NULL, "good");
    g_assert_true(take(box, box->in, "name", 0));
    text = contents(box, "name");
    g_assert_cmpstr(text, ==, "good");
    for (guint i = 0; i < G_N_ELEMENTS(others); i++) {
        copy_free(box->copy);
        box->copy = copy_new();
        g_assert_true(duet_copy_write(box->copy, &top));
        put(box, others[i], NULL, others[i] == DUET_COPY_SYMLINK ? box->secret : NULL, NULL);
        g_assert_false(take(box, box->in, "other", 0));
    }
    copy_free(box->copy);
    box->copy = copy_new();
    g_assert_true(duet_copy_write(box->copy, &top));
    put(box, DUET_COPY_FILE, ".bashrc", NULL, "evil");
    g_assert_false(take(box, box->in, "name", 0));
    /* nor does a file fall into the place of what was to be in a directory */
    copy_free(box->copy);
    box->copy = copy_new();
    g_assert_true(duet_copy_write(box->copy, &top));
    put(box, DUET_COPY_FILE, NULL, NULL, "evil");
    g_assert_false(take(box, box->in, NULL, DUET_COPY_CONTENTS));
}

static void test_cut(Box *box, gconstpointer data)
{
    (void)data;
    again(box);
    put(box, DUET_COPY_FILE, "file", NULL, "contents");
    put(box, DUET_COPY_END, NULL, NULL, NULL);
    size_t whole = box->copy->end;
    g_assert_true(duet_copy_flush(box->copy));
    g_autofree guint8 *bytes = g_malloc(whole);
    g_assert_cmpint(pread(box->copy->fd, bytes, whole, 0), ==, (gssize)whole);
    for (size_t length = 0; length < whole; length++) {
        copy_free(box->copy);
        box->copy = copy_new();
        g_assert_cmpint(write(box->copy->fd, bytes, length), ==, (gssize)length);
        lseek(box->copy->fd, 0, SEEK_SET);
        g_assert_false(duet_copy_unpack(box->copy, box->in, "n"));
        g_assert_true(box->copy->cut);
    }
}

static void test_bounds(Box *box, gconstpointer data)
{
    static const struct {
        guint offset;
        guint32 value;
    } rows[] = { { 36, DUET_COPY_NAME_BYTES }, { 36, G_MAXUINT32 }, { 40, 1 }, { 40, G_MAXUINT32 },
        { 16, 1000000000 }, { 32, 0x80000000 }, { 0, 10 }, { 0, 0 } };
    (void)data;
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        again(box);
        size_t at = box->copy->end;
        put(box, DUET_COPY_FILE, "file", NULL, "contents");
        if (rows[i].offset == 0)
            box->copy->buffer[at] = (guint8)rows[i].value;
        else
            duet_put_u32(box->copy->buffer + at + rows[i].offset, rows[i].value);
        g_assert_false(take(box, box->in, "n", 0));
        g_assert_cmpstr(box->copy->what, ==, "what came is no stream of");
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *path;
        void (*test)(Box *box, gconstpointer data);
    } tests[] = {
        { "/copy/names", test_names },
        { "/copy/link-then-write", test_link_then_write },
        { "/copy/hard-links", test_hard_links },
        { "/copy/one-file", test_one_file },
        { "/copy/cut", test_cut },
        { "/copy/bounds", test_bounds },
    };
    g_test_init(&argc, &argv, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].path, Box, NULL, box_open, tests[i].test, box_close);
    return g_test_run();
}
