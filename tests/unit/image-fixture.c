/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "image-fixture.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "core/util.h"

#define TRUSTED_OVERLAY "trusted.overlay."

static const char archives_env[] = "DUET_TEST_ARCHIVES";

static void fixture_up(ImageFixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    fixture->dir = g_dir_make_tmp("duet-image.XXXXXX", &error);
    g_assert_no_error(error);
    fixture->archives = g_strdup(g_getenv(archives_env));
    fixture->store = g_build_filename(fixture->dir, "store", NULL);
    fixture->view = g_build_filename(fixture->dir, "view", NULL);
    g_assert_cmpint(mkdir(fixture->view, 0755), ==, 0);
}

static void fixture_down(ImageFixture *fixture, gconstpointer data)
{
    (void)data;
    g_autoptr(GError) error = NULL;
    duet_remove_tree(AT_FDCWD, fixture->dir, &error);
    g_assert_no_error(error);
    g_free(fixture->dir);
    g_free(fixture->archives);
    g_free(fixture->store);
    g_free(fixture->view);
}

/* ISO C has no function pointer in a data pointer. */
typedef struct {
    ImageTest run;
} BoxedTest;

static void run_test(ImageFixture *fixture, gconstpointer data)
{
    const BoxedTest *boxed = data;
    boxed->run(fixture);
}

void image_test(const char *path, ImageTest test)
{
    BoxedTest *boxed = g_new(BoxedTest, 1);
    boxed->run = test;
    g_test_add(path, ImageFixture, boxed, fixture_up, run_test, fixture_down);
}

static void write_archives(const char *dir)
{
    const char *source = g_getenv("DUET_SOURCE_DIR");
    g_assert_nonnull(source);
    g_autofree char *script = g_build_filename(source, "tests", "mkimage.py", NULL);
    const char *argv[] = { "python3", script, dir, NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *output = duet_capture(argv, &error);
    g_assert_nonnull(output);
    g_assert_no_error(error);
}

int image_fixture_main(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *archives = g_dir_make_tmp("duet-archives.XXXXXX", &error);
    g_assert_no_error(error);
    /* Mounts of these tests are nobody else's, and end with this process. */
    g_assert_cmpint(unshare(CLONE_NEWNS), ==, 0);
    g_assert_cmpint(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), ==, 0);
    write_archives(archives);
    g_setenv(archives_env, archives, TRUE);
    int status = g_test_run();
    duet_remove_tree(AT_FDCWD, archives, NULL);
    return status;
}

char *image_archive(ImageFixture *fixture, const char *name)
{
    g_autofree char *file = g_strconcat(name, ".tar", NULL);
    return g_build_filename(fixture->archives, file, NULL);
}

DuetImage *image_import(ImageFixture *fixture, const char *name)
{
    g_autofree char *path = image_archive(fixture, name);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) images = duet_images.import(fixture->store, path, name, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(images->len, ==, 1);
    DuetImage *image = duet_image_lookup(fixture->store, name, &error);
    g_assert_no_error(error);
    return image;
}

void image_mount(ImageFixture *fixture, const DuetImage *image)
{
    guint n = g_strv_length(image->layer_dirs);
    if (n == 1) {
        g_assert_cmpint(mount(image->layer_dirs[0], fixture->view, NULL, MS_BIND, NULL), ==, 0);
        return;
    }
    g_autoptr(GString) options = g_string_new("lowerdir=");
    for (guint i = n; i-- > 0;)
        g_string_append_printf(options, "%s%s", image->layer_dirs[i], i ? ":" : "");
    g_assert_cmpint(mount("overlay", fixture->view, "overlay", 0, options->str), ==, 0);
}

void image_mount_disk(ImageFixture *fixture, const DuetImage *image)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *disk = duet_images.root_disk(fixture->store, image, &error);
    g_assert_no_error(error);
    const char *argv[] = { "mount", "-t", "squashfs", "-o", "loop,ro", disk, fixture->view, NULL };
    g_autofree char *output = duet_capture(argv, &error);
    g_assert_nonnull(output);
    g_assert_no_error(error);
}

void image_unmount(ImageFixture *fixture)
{
    g_assert_cmpint(umount2(fixture->view, 0), ==, 0);
}

static int compare_texts(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void describe_xattrs(GString *line, const char *path)
{
    char names[4096], value[4096];
    ssize_t length = llistxattr(path, names, sizeof names);
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();
    for (char *name = names; length > 0 && name < names + length; name += strlen(name) + 1) {
        /* overlayfs' own marks are of one layer; ACLs are known not to be in a root disk. */
        if (!g_str_has_prefix(name, TRUSTED_OVERLAY) && !g_str_has_prefix(name, "system."))
            g_ptr_array_add(sorted, name);
    }
    g_ptr_array_sort(sorted, compare_texts);
    for (guint i = 0; i < sorted->len; i++) {
        ssize_t n = lgetxattr(path, sorted->pdata[i], value, sizeof value);
        g_autofree char *sum =
            g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)value, (gsize)MAX(n, 0));
        g_string_append_printf(line, " %s=%.8s", (char *)sorted->pdata[i], sum);
    }
}

static void describe_contents(GString *line, const char *path, const struct stat *st)
{
    if (S_ISLNK(st->st_mode)) {
        g_autofree char *target = g_file_read_link(path, NULL);
        g_string_append_printf(line, " -> %s", target);
    } else if (S_ISREG(st->st_mode)) {
        g_autofree char *bytes = NULL;
        gsize length = 0;
        g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
        g_autofree char *sum =
            g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *)bytes, length);
        g_string_append_printf(line, " %zu bytes %.8s", length, sum);
    } else if (!S_ISDIR(st->st_mode)) {
        g_string_append_printf(line, " device %u:%u", major(st->st_rdev), minor(st->st_rdev));
    }
}

static void describe_below(const char *root, const char *path, GPtrArray *lines)
{
    g_autofree char *full = g_build_filename(root, path, NULL);
    struct stat st;
    g_assert_cmpint(lstat(full, &st), ==, 0);
    GString *line = g_string_new(path);
    g_string_append_printf(line, " %o %u:%u time %lld", st.st_mode, st.st_uid, st.st_gid,
        (long long)st.st_mtim.tv_sec);
    if (!S_ISDIR(st.st_mode))
        g_string_append_printf(line, " links %lu", (unsigned long)st.st_nlink);
    describe_contents(line, full, &st);
    describe_xattrs(line, full);
    g_ptr_array_add(lines, g_string_free(line, FALSE));
    if (!S_ISDIR(st.st_mode))
        return;
    g_autoptr(GDir) dir = g_dir_open(full, 0, NULL);
    g_assert_nonnull(dir);
    for (const char *name; (name = g_dir_read_name(dir));) {
        g_autofree char *below = g_strconcat(path, "/", name, NULL);
        describe_below(root, below, lines);
    }
}

char *image_describe(const char *dir)
{
    g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
    describe_below(dir, ".", lines);
    g_ptr_array_sort(lines, compare_texts);
    g_ptr_array_add(lines, NULL);
    return g_strjoinv("\n", (char **)lines->pdata);
}

char *image_read(ImageFixture *fixture, const char *path)
{
    g_autofree char *full = g_build_filename(fixture->view, path, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;
    g_file_get_contents(full, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

gboolean image_has(ImageFixture *fixture, const char *path)
{
    g_autofree char *full = g_build_filename(fixture->view, path, NULL);
    struct stat st;
    return lstat(full, &st) == 0;
}

GPtrArray *image_import_as(
    ImageFixture *fixture, const char *archive, const char *name, GError **error)
{
    g_autofree char *path = image_archive(fixture, archive);
    return duet_images.import(fixture->store, path, name, error);
}

char *image_store_state(ImageFixture *fixture)
{
    g_autofree char *all = image_describe(fixture->store);
    return g_strdup(strchr(all, '\n'));
}

void image_assert_finds(ImageFixture *fixture, const char *ref, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = duet_image_lookup(fixture->store, ref, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(image->ref, ==, name);
}

void image_assert_finds_not(ImageFixture *fixture, const char *ref, int code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = duet_image_lookup(fixture->store, ref, &error);
    g_assert_null(image);
    g_assert_error(error, DUET_ERROR, code);
}

void image_damage(ImageFixture *fixture, const DuetImage *image)
{
    g_autofree char *chain = g_path_get_basename(image->layer_dirs[0]);
    g_autofree char *blob = g_build_filename(fixture->store, "blobs/sha256", chain, NULL);
    g_autofree char *bytes = NULL;
    gsize length = 0;
    g_assert_true(g_file_get_contents(blob, &bytes, &length, NULL));
    bytes[length / 2] ^= 1;
    g_assert_true(g_file_set_contents(blob, bytes, (gssize)length, NULL));
}

void image_remove_derived(ImageFixture *fixture)
{
    static const char *const derived[] = { "records", "layers" };
    for (guint i = 0; i < G_N_ELEMENTS(derived); i++) {
        g_autofree char *path = g_build_filename(fixture->store, derived[i], NULL);
        g_assert_true(duet_remove_tree(AT_FDCWD, path, NULL));
    }
}
