/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The files of an image as a container (overlayfs) and a VM (root disk) see them. */
#include "image-fixture.h"

#include <duet/error.h>

#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/util.h"

#define CHECK(fixture, image, checks)                                                              \
    do {                                                                                           \
        image_mount(fixture, image);                                                               \
        checks(fixture);                                                                           \
        image_unmount(fixture);                                                                    \
        image_mount_disk(fixture, image);                                                          \
        checks(fixture);                                                                           \
        image_unmount(fixture);                                                                    \
    } while (0)

static void assert_text(ImageFixture *fixture, const char *path, const char *expected)
{
    g_autofree char *text = image_read(fixture, path);
    g_assert_cmpstr(text, ==, expected);
}

static struct stat stat_of(ImageFixture *fixture, const char *path)
{
    struct stat st;
    g_autofree char *full = g_build_filename(fixture->view, path, NULL);
    g_assert_cmpint(lstat(full, &st), ==, 0);
    return st;
}

/* No mark of any format shows as a file; `ls` of each directory must agree with lookup. */
static void assert_no_marks(ImageFixture *fixture)
{
    g_autofree char *all = image_describe(fixture->view);
    g_assert_null(strstr(all, ".wh."));
    g_assert_null(strstr(all, "device 0:0 links"));
}

/* Every image must look the same in both kinds, to the byte. */
static void test_same_in_both(ImageFixture *fixture)
{
    static const char *const names[] = { "late-marks", "marks", "type-changes", "changes-inside",
        "links", "links-late", "links-alias", "links-replaced", "links-replaced-late",
        "links-symlink", "links-symlink-late", "links-absolute", "links-absolute-late",
        "marks-replaced", "marks-symlink", "marks-absolute", "names-pax", "names-gnu", "owners-pax",
        "owners-gnu", "docker-links", "repeat", "zero-layer", "attributes", "acls", "merged-usr",
        "rootfs" };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_test_message("%s", names[i]);
        g_autoptr(DuetImage) image = image_import(fixture, names[i]);
        image_mount(fixture, image);
        g_autofree char *container = image_describe(fixture->view);
        assert_no_marks(fixture);
        image_unmount(fixture);
        image_mount_disk(fixture, image);
        g_autofree char *machine = image_describe(fixture->view);
        image_unmount(fixture);
        g_assert_cmpstr(container, ==, machine);
    }
}

static void check_late_marks(ImageFixture *fixture)
{
    g_assert_true(image_has(fixture, "a/b/foo"));
    g_assert_true(image_has(fixture, "a/new"));
    g_assert_false(image_has(fixture, "a/old"));
    g_assert_false(image_has(fixture, "a/b/bar"));
    assert_text(fixture, "c", "new\n");
}

static void test_late_marks(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "late-marks");
    CHECK(fixture, image, check_late_marks);
}

static void check_marks(ImageFixture *fixture)
{
    g_assert_false(image_has(fixture, "d/gone"));
    g_assert_true(image_has(fixture, "d/stays"));
    g_assert_false(image_has(fixture, "all"));
    g_assert_false(image_has(fixture, "never"));
    g_assert_false(image_has(fixture, "top"));
    g_assert_false(image_has(fixture, "again/x"));
    g_assert_true(image_has(fixture, "again/y"));
}

static void test_marks(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "marks");
    CHECK(fixture, image, check_marks);
}

static void check_type_changes(ImageFixture *fixture)
{
    assert_text(fixture, "a", "A\n");
    assert_text(fixture, "b/z", "Z\n");
    assert_text(fixture, "e", "E\n");
    assert_text(fixture, "etc/passwd", "root:x:0:0::/:/bin/sh\n");
    g_autofree char *link = g_build_filename(fixture->view, "c", NULL);
    g_autofree char *target = g_file_read_link(link, NULL);
    g_assert_cmpstr(target, ==, "/tmp");
    g_assert_true(S_ISFIFO(stat_of(fixture, "g").st_mode));
}

static void test_type_changes(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "type-changes");
    CHECK(fixture, image, check_type_changes);
}

static void check_changes_inside(ImageFixture *fixture)
{
    assert_text(fixture, "a", "A\n");
    assert_text(fixture, "b/z", "Z\n");
    assert_text(fixture, "s/own", "1");
    assert_text(fixture, "t", "two\n");
    g_assert_true(S_ISDIR(stat_of(fixture, "s").st_mode));
    g_assert_false(image_has(fixture, "etc/own"));
    g_assert_true(S_ISDIR(stat_of(fixture, "m").st_mode));
    /* The file that was "m" for a moment had taken the lower directory's place. */
    g_assert_false(image_has(fixture, "m/lower"));
}

static void test_changes_inside(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "changes-inside");
    CHECK(fixture, image, check_changes_inside);
}

static void assert_same_inode(ImageFixture *fixture, const char *a, const char *b, nlink_t links)
{
    struct stat x = stat_of(fixture, a), y = stat_of(fixture, b);
    g_assert_cmpuint(x.st_ino, ==, y.st_ino);
    g_assert_cmpuint(x.st_nlink, ==, links);
    g_assert_cmpuint(y.st_nlink, ==, links);
}

static void check_links(ImageFixture *fixture)
{
    assert_text(fixture, "bin/one", "v1\n");
    assert_text(fixture, "bin/two", "v1\n");
    assert_text(fixture, "lib/real", "v2\n");
    assert_same_inode(fixture, "bin/one", "bin/two", 2);
    g_assert_cmpuint(stat_of(fixture, "lib/real").st_nlink, ==, 1);
}

static void test_links(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "links");
    CHECK(fixture, image, check_links);
}

static void check_links_late(ImageFixture *fixture)
{
    assert_text(fixture, "bin/two", "v1\n");
    g_assert_false(image_has(fixture, "lib/real"));
    assert_same_inode(fixture, "bin/two", "lib/alias", 2);
    g_assert_cmpuint(stat_of(fixture, "bin/two").st_uid, ==, 3);
    g_assert_cmpuint(stat_of(fixture, "bin/two").st_mode & 07777, ==, 0640);
}

static void test_links_late(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "links-late");
    CHECK(fixture, image, check_links_late);
}

static void check_links_alias(ImageFixture *fixture)
{
    assert_same_inode(fixture, "bin/two", "lib/alias", 3);
    assert_same_inode(fixture, "bin/two", "lib/real", 3);
}

static void test_links_alias(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "links-alias");
    CHECK(fixture, image, check_links_alias);
}

/* An alias of the lower layer is gone with the directory that it was in. */
static void check_replaced(ImageFixture *fixture)
{
    assert_same_inode(fixture, "new", "keep", 2);
    assert_text(fixture, "new", "v1\n");
    assert_text(fixture, "e/own", "1");
    g_assert_false(image_has(fixture, "e/x"));
}

static void check_replaced_by_file(ImageFixture *fixture)
{
    check_replaced(fixture);
    assert_text(fixture, "d", "file\n");
}

static void check_replaced_by_symlink(ImageFixture *fixture)
{
    check_replaced(fixture);
    g_assert_true(S_ISLNK(stat_of(fixture, "d").st_mode));
}

static void test_links_replaced(ImageFixture *fixture)
{
    static const char *const files[] = { "links-replaced", "links-replaced-late" };
    static const char *const symlinks[] = { "links-symlink", "links-symlink-late", "links-absolute",
        "links-absolute-late" };
    for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autoptr(DuetImage) image = image_import(fixture, files[i]);
        CHECK(fixture, image, check_replaced_by_file);
    }
    for (guint i = 0; i < G_N_ELEMENTS(symlinks); i++) {
        g_autoptr(DuetImage) image = image_import(fixture, symlinks[i]);
        CHECK(fixture, image, check_replaced_by_symlink);
    }
}

static void check_marks_file(ImageFixture *fixture)
{
    assert_text(fixture, "d", "file\n");
    assert_text(fixture, "e/own", "1");
}

static void check_marks_symlink(ImageFixture *fixture)
{
    g_assert_true(S_ISLNK(stat_of(fixture, "d").st_mode));
    g_assert_true(S_ISDIR(stat_of(fixture, "e/x").st_mode));
    g_assert_true(S_ISDIR(stat_of(fixture, "e/s").st_mode));
    assert_text(fixture, "e/own", "1");
}

/* A mark is about a name of its layer's below, whatever a symlink of the upper one leads to. */
static void test_marks_replaced(ImageFixture *fixture)
{
    g_autoptr(DuetImage) file = image_import(fixture, "marks-replaced");
    CHECK(fixture, file, check_marks_file);
    static const char *const symlinks[] = { "marks-symlink", "marks-absolute" };
    for (guint i = 0; i < G_N_ELEMENTS(symlinks); i++) {
        g_autoptr(DuetImage) image = image_import(fixture, symlinks[i]);
        CHECK(fixture, image, check_marks_symlink);
    }
}

static void check_names(ImageFixture *fixture)
{
    g_autofree char *link = g_build_filename(fixture->view, "symlink", NULL);
    g_autofree char *target = g_file_read_link(link, NULL);
    g_assert_cmpuint(strlen(target), ==, 522);
    assert_text(fixture, "symlink", "long\n");
    assert_text(fixture, target, "long\n");
    assert_same_inode(fixture, "hardlink", target, 2);
    g_autofree char *all = image_describe(fixture->view);
    g_assert_null(strstr(all, "pax_global_header"));
    g_assert_null(strstr(all, "PaxHeader"));
    g_assert_null(strstr(all, "@LongLink"));
}

static void test_names(ImageFixture *fixture)
{
    static const char *const names[] = { "names-pax", "names-gnu" };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(DuetImage) image = image_import(fixture, names[i]);
        CHECK(fixture, image, check_names);
    }
}

static void check_owners(ImageFixture *fixture)
{
    g_assert_cmpuint(stat_of(fixture, "big").st_uid, ==, 3000000000u);
    g_assert_cmpuint(stat_of(fixture, "big").st_gid, ==, 4294967294u);
    g_assert_cmpuint(stat_of(fixture, "mid").st_uid, ==, 2097152);
    g_assert_cmpuint(stat_of(fixture, "mid").st_gid, ==, 2097152);
}

static void test_owners(ImageFixture *fixture)
{
    static const char *const names[] = { "owners-pax", "owners-gnu" };
    const guint32 expected[] = { 2097152, 3000000000u, 4294967294u };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(DuetImage) image = image_import(fixture, names[i]);
        CHECK(fixture, image, check_owners);
        g_assert_cmpmem(image->high_ids->data, image->high_ids->len * sizeof(guint32), expected,
            sizeof expected);
    }
}

static void check_attributes(ImageFixture *fixture)
{
    g_assert_cmpuint(stat_of(fixture, ".").st_mode & 07777, ==, 0750);
    g_assert_cmpuint(stat_of(fixture, ".").st_uid, ==, 7);
    g_assert_cmpuint(stat_of(fixture, "setuid").st_mode & 07777, ==, 04755);
    g_assert_cmpuint(stat_of(fixture, "setgid").st_mode & 07777, ==, 02755);
    g_assert_cmpuint(stat_of(fixture, "sticky").st_mode & 07777, ==, 01777);
    g_assert_cmpint(stat_of(fixture, "deep/er").st_mtime, ==, 86400 * 365 * 40 + 5);
    g_assert_true(S_ISFIFO(stat_of(fixture, "fifo").st_mode));
    g_assert_true(S_ISCHR(stat_of(fixture, "null").st_mode));
    g_assert_cmpuint(stat_of(fixture, "null").st_rdev, ==, 0x103);
    g_assert_true(image_has(fixture, "a b\nc"));
    assert_same_inode(fixture, "setuid", "second", 2);

    g_autofree char *user = g_build_filename(fixture->view, "user", NULL);
    g_autofree char *capable = g_build_filename(fixture->view, "capable", NULL);
    char value[64];
    g_assert_cmpint(getxattr(user, "user.note", value, sizeof value), ==, 4);
    g_assert_cmpmem(value, 4, "text", 4);
    g_assert_cmpint(getxattr(user, "trusted.overlay.redirect", value, sizeof value), ==, -1);
    g_assert_cmpint(getxattr(user, "user.overlay.opaque", value, sizeof value), ==, -1);
    g_assert_cmpint(getxattr(user, "security.selinux", value, sizeof value), ==, -1);
    g_assert_cmpint(getxattr(capable, "security.capability", value, sizeof value), ==, 20);
}

static void test_attributes(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "attributes");
    CHECK(fixture, image, check_attributes);
    /* ACLs are in a container alone, and that is said. Both ways to write them give the same. */
    char value[128], text_value[128];
    g_autofree char *acl = g_build_filename(image->layer_dirs[0], "acl", NULL);
    g_autofree char *text_acl = g_build_filename(image->layer_dirs[0], "textacl", NULL);
    g_assert_cmpint(getxattr(acl, "system.posix_acl_access", value, sizeof value), ==, 44);
    g_assert_cmpint(
        getxattr(text_acl, "system.posix_acl_access", text_value, sizeof text_value), ==, 44);
    g_assert_cmpmem(value, 44, text_value, 44);
    g_assert_true(g_strv_contains(
        (const char *const *)image->warnings, "POSIX ACLs are not in a VM's root disk"));
}

static ssize_t acl_bytes(const char *dir, const char *path, const char *attribute)
{
    char value[256];
    g_autofree char *full = g_build_filename(dir, path, NULL);
    g_assert_cmpint(access(full, F_OK), ==, 0);
    return getxattr(full, attribute, value, sizeof value);
}

/* A directory's default ACL is for what is made in it later; no member has one but its own. */
static void test_default_acls(ImageFixture *fixture)
{
    static const struct {
        guint layer;
        const char *path;
        ssize_t expected;
    } rows[] = { { 0, "both", 44 }, { 0, "both/file", -1 }, { 0, "both/dir", -1 },
        { 0, "both/dir/file", -1 }, { 0, "text", 44 }, { 0, "text/file", -1 },
        { 0, "text/dir", -1 }, { 0, "gone", -1 }, { 1, "both", 44 }, { 1, "both/new", -1 },
        { 1, "both/dir", -1 }, { 1, "both/dir/new", -1 }, { 1, "made", -1 },
        { 1, "made/new", -1 } };
    g_autoptr(DuetImage) image = image_import(fixture, "acls");
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        const char *dir = image->layer_dirs[rows[i].layer];
        g_test_message("%u %s", rows[i].layer, rows[i].path);
        g_assert_cmpint(
            acl_bytes(dir, rows[i].path, "system.posix_acl_default"), ==, rows[i].expected);
        g_assert_cmpint(acl_bytes(dir, rows[i].path, "system.posix_acl_access"), ==, -1);
    }
}

static void check_merged_usr(ImageFixture *fixture)
{
    assert_text(fixture, "usr/bin/tool", "tool\n");
    assert_text(fixture, "run/pid", "1\n");
    g_assert_true(S_ISLNK(stat_of(fixture, "bin").st_mode));
    g_assert_true(S_ISLNK(stat_of(fixture, "var/run").st_mode));
    /* The upper layer did not name it: owner and mode are the lower one's. */
    g_assert_cmpuint(stat_of(fixture, "usr/bin").st_uid, ==, 4);
    g_assert_cmpuint(stat_of(fixture, "usr/bin").st_mode & 07777, ==, 0711);
    g_assert_cmpuint(stat_of(fixture, "new/dir").st_mode & 07777, ==, 0755);
}

static void test_merged_usr(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "merged-usr");
    CHECK(fixture, image, check_merged_usr);
}

static void check_hi(ImageFixture *fixture)
{
    assert_text(fixture, "hi", "hi\n");
}

static void test_compression(ImageFixture *fixture)
{
    static const char *const names[] = { "plain", "gzip", "zstd", "zstd-frames", "two-members",
        "xz", "zero-layer", "repeat", "docker-untagged", "docker-links", "docker-gzip", "docker-xz",
        "docker-modern", "nested", "rootfs", "rootfs-gzip", "rootfs-xz", "rootfs-zstd" };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_test_message("%s", names[i]);
        g_autoptr(DuetImage) image = image_import(fixture, names[i]);
        CHECK(fixture, image, check_hi);
    }
}

/* What a sparse file has where, in both kinds; holes take no room. */
static void test_sparse(ImageFixture *fixture)
{
    static const char *const names[] = { "hole", "middle", "ends", "many" };
    g_autoptr(DuetImage) image = image_import(fixture, "sparse");
    image_mount_disk(fixture, image);
    g_autofree char *layer = g_build_filename(image->layer_dirs[1], "sparse", NULL);
    g_autofree char *view = g_build_filename(fixture->view, "sparse", NULL);
    g_autofree char *middle = g_build_filename(layer, "middle", NULL);
    struct stat st;
    g_assert_cmpint(stat(middle, &st), ==, 0);
    g_assert_cmpint(st.st_size, ==, 2LL << 30);
    g_assert_cmpint(st.st_blocks, <, 1000);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *there = g_build_filename(layer, names[i], NULL);
        g_autofree char *here = g_build_filename(view, names[i], NULL);
        const char *argv[] = { "cmp", there, here, NULL };
        g_autoptr(GError) error = NULL;
        g_autofree char *output = duet_capture(argv, &error);
        g_assert_nonnull(output);
        g_assert_no_error(error);
    }
    /* The others, whose names are long or not ASCII. */
    const char *argv[] = { "diff", "-r", "--exclude=middle", "--exclude=link", "--exclude=many",
        layer, view, NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *output = duet_capture(argv, &error);
    g_assert_nonnull(output);
    g_assert_no_error(error);
    assert_same_inode(fixture, "sparse/middle", "sparse/link", 2);
    image_unmount(fixture);
}

/* Nobody waits for terabytes of zeros. */
static void test_sparse_bomb(ImageFixture *fixture)
{
    static const char *const names[] = { "sparse-bomb", "sparse-crowd" };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(DuetImage) image = image_import(fixture, names[i]);
        g_autoptr(GError) error = NULL;
        gint64 start = g_get_monotonic_time();
        g_autofree char *disk = duet_images.root_disk(fixture->store, image, &error);
        g_assert_null(disk);
        g_assert_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED);
        g_assert_nonnull(strstr(error->message, "'bomb' is refused"));
        g_assert_cmpint(g_get_monotonic_time() - start, <, 60 * G_USEC_PER_SEC);
    }
}

/* Without user namespaces an ordinary user reads, packs and deletes what its owner may not. */
static void test_flat(ImageFixture *fixture)
{
    const uid_t nobody = 65534;
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(mkdir(fixture->store, 0755), ==, 0);
    g_assert_cmpint(chown(fixture->store, nobody, nobody), ==, 0);
    g_assert_cmpint(chmod(fixture->dir, 0711) | chmod(fixture->archives, 0711), ==, 0);
    g_assert_cmpint(seteuid(nobody), ==, 0);
    g_autoptr(DuetImage) image = image_import(fixture, "closed");
    g_assert_true(g_strv_contains((const char *const *)image->warnings,
        "without user namespaces the owner may read every file and write in every directory"));
    g_autofree char *disk = duet_images.root_disk(fixture->store, image, &error);
    g_assert_nonnull(disk);
    g_assert_no_error(error);
    g_assert_true(duet_images.remove(fixture->store, "closed", NULL, NULL, &error));
    g_assert_no_error(error);
    g_assert_cmpint(seteuid(0), ==, 0);
    g_autofree char *left = image_describe(fixture->store);
    g_assert_null(strstr(left, "shut"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    image_test("/image-files/same-in-both", test_same_in_both);
    image_test("/image-files/late-marks", test_late_marks);
    image_test("/image-files/marks", test_marks);
    image_test("/image-files/type-changes", test_type_changes);
    image_test("/image-files/changes-inside", test_changes_inside);
    image_test("/image-files/links", test_links);
    image_test("/image-files/links-late", test_links_late);
    image_test("/image-files/links-alias", test_links_alias);
    image_test("/image-files/links-replaced", test_links_replaced);
    image_test("/image-files/marks-replaced", test_marks_replaced);
    image_test("/image-files/names", test_names);
    image_test("/image-files/owners", test_owners);
    image_test("/image-files/attributes", test_attributes);
    image_test("/image-files/default-acls", test_default_acls);
    image_test("/image-files/merged-usr", test_merged_usr);
    image_test("/image-files/compression", test_compression);
    image_test("/image-files/sparse", test_sparse);
    image_test("/image-files/sparse-bomb", test_sparse_bomb);
    image_test("/image-files/flat", test_flat);
    return image_fixture_main();
}
