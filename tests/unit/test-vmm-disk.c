/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vmm/disk.h"
#include "core/util.h"

#include <duet/error.h>

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB (G_GUINT64_CONSTANT(1) << 20)
#define TEST_UID 0x20000000u

typedef struct {
    char *dir;
    char *disk;
} Fixture;

static void set_up(Fixture *fixture, gconstpointer data)
{
    (void)data;
    fixture->dir = g_dir_make_tmp("duet-disk-XXXXXX", NULL);
    fixture->disk = g_build_filename(fixture->dir, "rw.img", NULL);
    g_autofree char *cache = g_build_filename(fixture->dir, "cache", NULL);
    g_setenv("DUET_CACHE_DIR", cache, TRUE);
}

static void tear_down(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_assert_true(duet_remove_tree(AT_FDCWD, fixture->dir, NULL));
    g_free(fixture->dir);
    g_free(fixture->disk);
}

static guint32 test_uid(void)
{
    return geteuid() == 0 ? TEST_UID : geteuid();
}

static void test_new(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    /* What one that was killed left goes. */
    g_autofree char *left = g_build_filename(fixture->dir, "cache/disk/.new", NULL);
    g_autofree char *part = g_build_filename(left, "part/of/it", NULL);
    g_assert_true(duet_mkdir_p(part, 0700, NULL));
    duet_disk_ensure(fixture->disk, 0, test_uid(), &error);
    g_assert_no_error(error);
    g_assert_false(g_file_test(left, G_FILE_TEST_EXISTS));
    struct stat st;
    g_assert_cmpint(stat(fixture->disk, &st), ==, 0);
    g_assert_cmpuint((guint64)st.st_size, ==, DUET_DISK_DEFAULT_BYTES);
    g_assert_cmpuint((guint64)st.st_blocks * 512, <, 16 * MIB);
    g_assert_cmpuint(st.st_uid, ==, test_uid());
    g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
    const char *const list[] = { "/sbin/debugfs", "-R", "ls -p /", fixture->disk, NULL };
    g_autofree char *names = duet_capture(list, &error);
    g_assert_no_error(error);
    g_assert_nonnull(strstr(names, "/upper/"));
    g_assert_nonnull(strstr(names, "/work/"));
    /* No guest spends its time on zeroing what is a hole. */
    const char *const groups[] = { "sh", "-c",
        "/sbin/dumpe2fs \"$1\" 2>/dev/null | grep '^Group [0-9]' | grep -vc ITABLE_ZEROED || true",
        "sh", fixture->disk, NULL };
    g_autofree char *unzeroed = duet_capture(groups, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(g_strstrip(unzeroed), ==, "0");
    const char *const check[] = { "/sbin/e2fsck", "-fn", fixture->disk, NULL };
    g_autofree char *report = duet_capture(check, &error);
    g_assert_no_error(error);
    g_assert_nonnull(report);
}

static void test_kept(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_assert_true(duet_disk_ensure(fixture->disk, 32 * MIB, test_uid(), NULL));
    struct stat before, after;
    g_assert_cmpint(stat(fixture->disk, &before), ==, 0);
    g_assert_cmpuint((guint64)before.st_size, ==, 32 * MIB);
    DUET_AUTO_FD fd = open(fixture->disk, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(pwrite(fd, "mine", 4, 31 * MIB), ==, 4);
    g_assert_true(duet_disk_ensure(fixture->disk, 64 * MIB, test_uid(), NULL));
    g_assert_cmpint(stat(fixture->disk, &after), ==, 0);
    g_assert_cmpuint(before.st_ino, ==, after.st_ino);
    g_assert_cmpint(after.st_size, ==, before.st_size);
    char bytes[4];
    g_assert_cmpint(pread(fd, bytes, 4, 31 * MIB), ==, 4);
    g_assert_cmpmem(bytes, 4, "mine", 4);
}

static void test_refused(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    g_assert_false(duet_disk_ensure(fixture->disk, 1 * MIB, test_uid(), &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_cmpint(access(fixture->disk, F_OK), !=, 0);
}

static void test_symlink(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *victim = g_build_filename(fixture->dir, "victim", NULL);
    g_assert_true(g_file_set_contents(victim, "x", 1, NULL));
    g_assert_cmpint(symlink(victim, fixture->disk), ==, 0);
    g_assert_false(duet_disk_ensure(fixture->disk, 32 * MIB, test_uid(), NULL));
    struct stat st;
    g_assert_cmpint(stat(victim, &st), ==, 0);
    g_assert_cmpuint(st.st_uid, ==, geteuid());
}

static void test_clone(Fixture *fixture, gconstpointer data)
{
    (void)data;
    g_autofree char *source = g_build_filename(fixture->dir, "source", NULL);
    g_autofree char *target = g_build_filename(fixture->dir, "target", NULL);
    DUET_AUTO_FD fd = open(source, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    g_assert_cmpint(ftruncate(fd, 256 * MIB), ==, 0);
    for (guint64 at = 3 * MIB; at < 256 * MIB; at += 50 * MIB)
        g_assert_cmpint(pwrite(fd, &at, sizeof at, (off_t)at), ==, sizeof at);
    g_assert_true(duet_file_clone(source, target, 0600, NULL));
    struct stat st;
    g_assert_cmpint(stat(target, &st), ==, 0);
    g_assert_cmpuint((guint64)st.st_size, ==, 256 * MIB);
    g_assert_cmpuint((guint64)st.st_blocks * 512, <, 8 * MIB);
    const char *const compare[] = { "cmp", source, target, NULL };
    g_autofree char *same = duet_capture(compare, NULL);
    g_assert_nonnull(same);
    g_assert_false(duet_file_clone(source, target, 0600, NULL)); /* never over an existing file */
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/vmm-disk/new", Fixture, NULL, set_up, test_new, tear_down);
    g_test_add("/vmm-disk/kept", Fixture, NULL, set_up, test_kept, tear_down);
    g_test_add("/vmm-disk/refused", Fixture, NULL, set_up, test_refused, tear_down);
    g_test_add("/vmm-disk/symlink", Fixture, NULL, set_up, test_symlink, tear_down);
    g_test_add("/vmm-disk/clone", Fixture, NULL, set_up, test_clone, tear_down);
    return g_test_run();
}
