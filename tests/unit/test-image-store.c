/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The store: names, digests, refusals that leave it as it was, export, removal. */
#include "image-fixture.h"

#include <duet/error.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/util.h"

static void assert_import_fails(
    ImageFixture *fixture, const char *archive, int code, const char *text)
{
    g_test_message("%s", archive);
    g_autofree char *before = image_store_state(fixture);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) images = image_import_as(fixture, archive, NULL, &error);
    g_assert_null(images);
    g_assert_error(error, DUET_ERROR, code);
    if (!strstr(error->message, text))
        g_error("'%s' is not in: %s", text, error->message);
    g_autofree char *after = image_store_state(fixture);
    g_assert_cmpstr(before, ==, after);
}

static void test_refused(ImageFixture *fixture)
{
    static const struct {
        const char *archive;
        int code;
        const char *text;
    } rows[] = {
        { "bad-dotdot", DUET_ERROR_BROKEN, "climbs out" },
        { "bad-dotdot-inside", DUET_ERROR_BROKEN, "climbs out" },
        { "bad-absolute", DUET_ERROR_BROKEN, "absolute name" },
        { "bad-symlink", DUET_ERROR_BROKEN, "absolute symlink" },
        { "bad-symlink-up", DUET_ERROR_BROKEN, "climbs out through a symlink" },
        { "bad-symlink-lower", DUET_ERROR_BROKEN, "climbs out through a symlink" },
        { "bad-symlink-loop", DUET_ERROR_BROKEN, "too many symlinks" },
        { "bad-link-dotdot", DUET_ERROR_BROKEN, "climbs out" },
        { "bad-link-absolute", DUET_ERROR_BROKEN, "absolute name" },
        { "bad-link-symlink", DUET_ERROR_BROKEN, "absolute symlink" },
        { "bad-link-missing", DUET_ERROR_BROKEN, "not there" },
        { "bad-link-dir", DUET_ERROR_BROKEN, "directory" },
        { "bad-whiteout", DUET_ERROR_BROKEN, "deletes nothing" },
        { "bad-rootfs", DUET_ERROR_BROKEN, "climbs out" },
        { "bad-owner", DUET_ERROR_BROKEN, "4294967295" },
        { "bad-owners-301", DUET_ERROR_UNSUPPORTED, "300" },
        { "bad-layer-bytes", DUET_ERROR_BROKEN, "lies" },
        { "bad-config-bytes", DUET_ERROR_BROKEN, "lies" },
        { "bad-no-layer", DUET_ERROR_BROKEN, "missing" },
        { "bad-size", DUET_ERROR_BROKEN, "lies" },
        { "bad-diff-id", DUET_ERROR_BROKEN, "lies" },
        { "bad-layer-count", DUET_ERROR_BROKEN, "differ on the layers" },
        { "bad-cut-layer", DUET_ERROR_BROKEN, "cut short" },
        { "bad-cut-archive", DUET_ERROR_BROKEN, "cut short" },
        { "bad-cut-gzip", DUET_ERROR_BROKEN, "cut short" },
        { "bad-cut-rootfs", DUET_ERROR_BROKEN, "cut short" },
        { "bad-cut-rootfs-middle", DUET_ERROR_BROKEN, "cut short" },
        { "bad-json-depth", DUET_ERROR_BROKEN, "too deep" },
        { "bad-json-hidden", DUET_ERROR_BROKEN, "comment" },
        { "bad-empty", DUET_ERROR_BROKEN, "holds nothing" },
        { "bad-noise", DUET_ERROR_BROKEN, "damaged" },
        { "docker-no-manifest", DUET_ERROR_BROKEN, "manifest.json" },
        { "nested-other", DUET_ERROR_PLATFORM, "wanted 'linux/" },
        { "nested-other", DUET_ERROR_PLATFORM, "offered 'linux/" },
        { "no-such-archive", DUET_ERROR_NOT_FOUND, "no-such-archive" },
    };
    g_autoptr(DuetImage) image = image_import(fixture, "gzip");
    g_assert_nonnull(image);
    for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
        assert_import_fails(fixture, rows[i].archive, rows[i].code, rows[i].text);
    g_assert_cmpint(access("/tmp/escaped", F_OK), ==, -1);
}

/* Cut anywhere, an archive is refused or (in the padding at its end) whole. */
static void test_cut_anywhere(ImageFixture *fixture)
{
    static const char *const names[] = { "plain", "gzip", "docker", "rootfs", "rootfs-xz" };
    g_autoptr(DuetImage) image = image_import(fixture, "repeat");
    g_assert_nonnull(image);
    g_autofree char *before = image_store_state(fixture);
    g_autofree char *cut = g_build_filename(fixture->dir, "cut.tar", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = image_archive(fixture, names[i]);
        g_autofree char *bytes = NULL;
        gsize length = 0;
        g_assert_true(g_file_get_contents(path, &bytes, &length, NULL));
        gsize end = length;
        while (end > 0 && bytes[end - 1] == 0)
            end--;
        for (gsize at = 0; at < end; at += MAX(end / 24, 1)) {
            g_autoptr(GError) error = NULL;
            g_assert_true(g_file_set_contents(cut, bytes, (gssize)at, NULL));
            g_autoptr(GPtrArray) images = duet_images.import(fixture->store, cut, "cut", &error);
            g_assert_null(images);
            g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
        }
    }
    g_autofree char *after = image_store_state(fixture);
    g_assert_cmpstr(before, ==, after);
}

/* A layer that an import takes back is never half there under its name: a kill may come then. */
static void test_undo(ImageFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = image_import(fixture, "gzip");
    g_autofree char *record = g_build_filename(
        fixture->store, "records", image->digest + strlen("sha256:"), "in-the-way", NULL);
    g_autofree char *layers = g_build_filename(fixture->store, "layers", NULL);
    g_assert_true(duet_images.remove(fixture->store, "gzip", NULL, NULL, &error));
    g_assert_true(duet_mkdir_p(record, 0755, NULL));
    DUET_AUTO_FD watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    g_assert_cmpint(inotify_add_watch(watch, layers, IN_DELETE | IN_MOVED_FROM), >=, 0);
    g_autoptr(GPtrArray) images = image_import_as(fixture, "gzip", NULL, &error);
    g_assert_null(images);
    g_assert_error(error, DUET_ERROR, DUET_ERROR_FAILED);
    union {
        struct inotify_event event;
        char room[1024];
    } seen;
    g_assert_cmpint(read(watch, &seen, sizeof seen), >, 0);
    g_assert_cmpuint(seen.event.mask & IN_DELETE, ==, 0);
    g_assert_cmpint(access(image->layer_dirs[0], F_OK), ==, -1);
}

static void test_disk_full(ImageFixture *fixture)
{
    g_assert_cmpint(mkdir(fixture->store, 0755), ==, 0);
    g_assert_cmpint(mount("tmpfs", fixture->store, "tmpfs", 0, "size=2m"), ==, 0);
    {
        g_autoptr(DuetImage) image = image_import(fixture, "plain");
        g_assert_nonnull(image);
        assert_import_fails(fixture, "large", DUET_ERROR_SPACE, "No space left");
        g_autoptr(DuetImage) again = duet_image_lookup(fixture->store, "plain", NULL);
        g_assert_nonnull(again);
        image_mount(fixture, again);
        g_autofree char *hi = image_read(fixture, "hi");
        g_assert_cmpstr(hi, ==, "hi\n");
        image_unmount(fixture);
    }
    g_assert_cmpint(umount2(fixture->store, 0), ==, 0);
}

static void test_disk_full_disk(ImageFixture *fixture)
{
    g_assert_cmpint(mkdir(fixture->store, 0755), ==, 0);
    g_assert_cmpint(mount("tmpfs", fixture->store, "tmpfs", 0, "size=8m"), ==, 0);
    g_autoptr(DuetImage) image = image_import(fixture, "large");
    g_autofree char *before = image_store_state(fixture);
    g_assert_cmpint(mount("tmpfs", fixture->store, "tmpfs", MS_REMOUNT, "size=7m"), ==, 0);
    g_autoptr(GError) error = NULL;
    g_autofree char *disk = duet_images.root_disk(fixture->store, image, &error);
    g_assert_null(disk);
    g_assert_error(error, DUET_ERROR, DUET_ERROR_SPACE);
    g_autofree char *after = image_store_state(fixture);
    g_assert_cmpstr(before, ==, after);
    g_assert_cmpint(umount2(fixture->store, 0), ==, 0);
}

static void test_names(ImageFixture *fixture)
{
    image_assert_finds_not(fixture, "docker", DUET_ERROR_NOT_FOUND);
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) tags = image_import_as(fixture, "docker", NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(tags->len, ==, 2);
    g_autoptr(GPtrArray) modern = image_import_as(fixture, "docker-modern", NULL, &error);
    g_assert_nonnull(modern);
    g_assert_no_error(error);
    image_assert_finds(fixture, "t:1", "t:1");
    image_assert_finds(fixture, "t:2", "t:2");
    image_assert_finds(fixture, "modern:1", "modern:1");
    image_assert_finds(fixture, "docker.io/library/modern:1", "modern:1");
    image_assert_finds_not(fixture, "t", DUET_ERROR_NOT_FOUND);
    image_assert_finds_not(fixture, "", DUET_ERROR_NOT_FOUND);
    g_autoptr(DuetImage) config = image_import(fixture, "config");
    image_assert_finds(fixture, "config", "config:latest");
    image_assert_finds(fixture, config->digest, "config:latest");
    image_assert_finds(fixture, config->config_digest, "config:latest");
    /* One config may have two manifests: its layers are packed in two ways. */
    g_autoptr(DuetImage) gzip = image_import(fixture, "gzip");
    image_assert_finds(fixture, gzip->config_digest, "t:1");
    image_assert_finds(fixture, gzip->digest, "gzip:latest");
    g_autofree char *prefix = g_strndup(config->digest + strlen("sha256:"), 8);
    image_assert_finds(fixture, prefix, "config:latest");
    prefix[3] = '\0';
    image_assert_finds_not(fixture, prefix, DUET_ERROR_NOT_FOUND);
    static const char *const bad[] = { "a b", "", "../x", "/x", "x/", "a:b:", "sha256:0123" };
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(GError) local = NULL;
        g_autoptr(GPtrArray) none = image_import_as(fixture, "config", bad[i], &local);
        g_assert_null(none);
        g_assert_error(local, DUET_ERROR, DUET_ERROR_INVALID);
    }
}

static void test_untagged(ImageFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) images = image_import_as(fixture, "docker-untagged", NULL, &error);
    g_assert_no_error(error);
    const DuetImage *image = images->pdata[0];
    g_assert_null(image->ref);
    image_assert_finds(fixture, image->digest, NULL);
    image_assert_finds(fixture, image->config_digest, NULL);
}

static void test_config(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "config");
    static const char *const cmd[] = { "a", "b c", NULL }, *const env[] = { "PATH=/x", "E=", NULL };
    g_assert_cmpstr(image->entrypoint[0], ==, "/bin/e");
    g_assert_null(image->entrypoint[1]);
    g_assert_cmpstrv(image->cmd, cmd);
    g_assert_cmpstrv(image->env, env);
    g_assert_cmpstr(image->working_dir, ==, "/work/dir");
    g_assert_cmpstr(image->user, ==, "app:extra");
    g_assert_cmpint(image->stop_signal, ==, SIGUSR1);
    g_autoptr(DuetImage) plain = image_import(fixture, "gzip");
    g_assert_null(plain->entrypoint);
    g_assert_null(plain->cmd);
    g_assert_null(plain->user);
    g_assert_cmpstr(plain->working_dir, ==, "/");
    g_assert_cmpint(plain->stop_signal, ==, SIGTERM);
}

static void test_high_ids(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "high-300");
    g_assert_cmpuint(image->high_ids->len, ==, 300);
    g_assert_cmpuint(g_array_index(image->high_ids, guint32, 0), ==, 100000);
    g_assert_cmpuint(g_array_index(image->high_ids, guint32, 299), ==, 100299);
}

static char *content_of(ImageFixture *fixture, const DuetImage *image)
{
    image_mount(fixture, image);
    char *text = image_describe(fixture->view);
    image_unmount(fixture);
    return text;
}

/* Export and import again, in both formats: nothing is lost, and digests stay. */
static void test_round_trip(ImageFixture *fixture)
{
    static const char *const names[] = { "names-pax", "owners-gnu", "repeat", "zstd", "xz",
        "docker-links", "attributes", "links" };
    g_autofree char *other = g_build_filename(fixture->dir, "other", NULL);
    for (guint i = 0; i < 2 * G_N_ELEMENTS(names); i++) {
        const char *name = names[i / 2];
        DuetArchive format = i % 2 ? DUET_ARCHIVE_DOCKER : DUET_ARCHIVE_OCI;
        g_autofree char *path = g_strdup_printf("%s/export-%u.tar", fixture->dir, i);
        g_autoptr(GError) error = NULL;
        g_autoptr(DuetImage) image = image_import(fixture, name);
        g_assert_true(duet_images.export(fixture->store, name, NULL, format, path, &error));
        g_assert_no_error(error);
        g_autoptr(GPtrArray) images = duet_images.import(other, path, NULL, &error);
        g_assert_no_error(error);
        const DuetImage *again = images->pdata[0];
        g_assert_cmpstr(again->ref, ==, image->ref);
        g_assert_cmpstr(again->config_digest, ==, image->config_digest);
        if (format == DUET_ARCHIVE_OCI)
            g_assert_cmpstr(again->digest, ==, image->digest);
        g_autofree char *before = content_of(fixture, image), *after = content_of(fixture, again);
        g_assert_cmpstr(before, ==, after);
        g_assert_false(duet_images.export(fixture->store, name, NULL, format, path, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_EXISTS);
    }
}

/* Whoever loads it gets that name and no other: none of his own is taken over. */
static void test_export_name(ImageFixture *fixture)
{
    static const DuetArchive formats[] = { DUET_ARCHIVE_OCI, DUET_ARCHIVE_DOCKER };
    g_autoptr(DuetImage) image = image_import(fixture, "plain");
    for (guint i = 0; i < G_N_ELEMENTS(formats); i++) {
        g_autofree char *other = g_strdup_printf("%s/other-%u", fixture->dir, i);
        g_autofree char *path = g_strdup_printf("%s/export-%u.tar", fixture->dir, i);
        g_autoptr(GError) error = NULL;
        g_assert_true(duet_images.export(
            fixture->store, image->digest, "run-1:peer", formats[i], path, &error));
        g_assert_no_error(error);
        g_autoptr(GPtrArray) images = duet_images.import(other, path, NULL, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(images->len, ==, 1);
        const DuetImage *again = images->pdata[0];
        g_assert_cmpstr(again->ref, ==, "run-1:peer");
        g_assert_cmpstr(again->config_digest, ==, image->config_digest);
    }
}

/* An export refuses what is damaged, and another import repairs it, as the message says. */
static void test_export_damaged(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "plain");
    g_autofree char *path = g_build_filename(fixture->dir, "out.tar", NULL);
    image_damage(fixture, image);
    g_autoptr(GError) error = NULL;
    g_assert_false(
        duet_images.export(fixture->store, "plain", NULL, DUET_ARCHIVE_OCI, path, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    g_assert_cmpint(access(path, F_OK), ==, -1);
    g_clear_error(&error);
    g_autoptr(DuetImage) again = image_import(fixture, "plain");
    g_assert_nonnull(again);
    g_assert_true(
        duet_images.export(fixture->store, "plain", NULL, DUET_ARCHIVE_OCI, path, &error));
    g_assert_no_error(error);
}

/* So it does for an image of another name that has the same blob, and could not be used. */
static void test_repaired(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "plain");
    g_autoptr(GError) error = NULL;
    image_damage(fixture, image);
    image_remove_derived(fixture);
    g_assert_true(duet_images.refresh(fixture->store, &error));
    image_assert_finds_not(fixture, "plain", DUET_ERROR_BROKEN);
    g_autoptr(GPtrArray) images = image_import_as(fixture, "plain", "again", &error);
    g_assert_nonnull(images);
    g_assert_no_error(error);
    g_assert_true(duet_images.refresh(fixture->store, &error));
    image_assert_finds(fixture, "plain", "plain:latest");
}

typedef struct {
    const char *store, *layer;
    guint asked;
} InUse;

/* Nobody may come to use another one once it was told: the store is locked. */
static char **layer_in_use(gpointer data, GError **error)
{
    const InUse *in_use = data;
    const char *const dirs[] = { in_use->layer, NULL };
    g_autofree char *lock = g_build_filename(in_use->store, "lock", NULL);
    DUET_AUTO_FD fd = open(lock, O_RDONLY | O_CLOEXEC);

    (void)error;
    g_assert_cmpint(fd, >=, 0);
    g_assert_cmpint(flock(fd, LOCK_EX | LOCK_NB), ==, -1);
    return g_strdupv((char **)dirs);
}

static char **unknown_use(gpointer data, GError **error)
{
    (void)data;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_BROKEN, "not known");
    return NULL;
}

static char **in_use_later(gpointer data, GError **error)
{
    InUse *in_use = data;
    return in_use->asked++ ? layer_in_use(data, error) : g_new0(char *, 1);
}

/* An instance that is made while its image goes keeps its layers. */
static void test_remove_meanwhile(ImageFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = image_import(fixture, "gzip");
    InUse in_use = { .store = fixture->store, .layer = image->layer_dirs[0] };
    g_assert_true(duet_images.remove(fixture->store, "gzip", in_use_later, &in_use, &error));
    g_assert_no_error(error);
    image_assert_finds_not(fixture, "gzip", DUET_ERROR_NOT_FOUND);
    g_assert_cmpint(access(image->layer_dirs[0], F_OK), ==, 0);
    g_assert_cmpint(access(image->layer_dirs[1], F_OK), ==, -1);
}

static void test_remove(ImageFixture *fixture)
{
    g_autoptr(DuetImage) kept = image_import(fixture, "docker-untagged");
    g_assert_nonnull(kept);
    g_autofree char *before = image_store_state(fixture);
    g_autoptr(GError) error = NULL;
    {
        g_autoptr(GPtrArray) tags = image_import_as(fixture, "docker-links", "second", &error);
        g_assert_nonnull(tags);
        g_assert_no_error(error);
        g_autoptr(GPtrArray) more = image_import_as(fixture, "docker-links", "third:1", &error);
        g_assert_nonnull(more);
        g_assert_no_error(error);
    }
    g_autoptr(DuetImage) image = duet_image_lookup(fixture->store, "third:1", NULL);
    g_autofree char *disk = duet_images.root_disk(fixture->store, image, &error);
    g_assert_no_error(error);
    const InUse in_use = { .store = fixture->store, .layer = image->layer_dirs[2] };
    /* Only a name goes: the image stays. */
    g_assert_true(
        duet_images.remove(fixture->store, "second", layer_in_use, (gpointer)&in_use, &error));
    image_assert_finds(fixture, image->digest, "third:1");
    g_assert_cmpint(access(disk, F_OK), ==, 0);
    g_assert_false(
        duet_images.remove(fixture->store, "third:1", layer_in_use, (gpointer)&in_use, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
    g_clear_error(&error);
    image_assert_finds(fixture, "third:1", "third:1");
    g_assert_false(duet_images.remove(fixture->store, "third:1", unknown_use, NULL, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    g_clear_error(&error);
    image_assert_finds(fixture, "third:1", "third:1");
    g_assert_true(duet_images.remove(fixture->store, image->digest, NULL, NULL, &error));
    g_assert_no_error(error);
    image_assert_finds_not(fixture, "third:1", DUET_ERROR_NOT_FOUND);
    g_assert_cmpint(access(disk, F_OK), ==, -1);
    /* Down to the last blob and layer it is as before; but for the times of index and records. */
    g_autoptr(DuetImage) still = duet_image_lookup(fixture->store, "docker-untagged", &error);
    g_assert_nonnull(still);
    g_assert_no_error(error);
    g_autofree char *after = image_store_state(fixture);
    g_auto(GStrv) old_lines = g_strsplit(before, "\n", -1);
    g_auto(GStrv) new_lines = g_strsplit(after, "\n", -1);
    g_assert_cmpuint(g_strv_length(old_lines), ==, g_strv_length(new_lines));
    g_assert_false(duet_images.remove(fixture->store, "none", NULL, NULL, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
}

/* A name that moves to another image leaves the old one without a name. */
static void test_name_moves(ImageFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) first = image_import_as(fixture, "gzip", "x", &error);
    g_autoptr(GPtrArray) second = image_import_as(fixture, "config", "x", &error);
    g_assert_no_error(error);
    const DuetImage *old = first->pdata[0], *now = second->pdata[0];
    image_assert_finds(fixture, old->digest, NULL);
    image_assert_finds(fixture, now->digest, "x:latest");
    g_autoptr(GPtrArray) list = duet_images.list(fixture->store, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 2);
    /* What the records say is what index.json says. */
    g_assert_true(duet_images.refresh(fixture->store, &error));
    image_assert_finds(fixture, old->digest, NULL);
    image_assert_finds(fixture, "x", "x:latest");
}

/* Everything derived may be deleted at any time, and other tools may write index.json. */
static void test_refresh(ImageFixture *fixture)
{
    static const char *const derived[] = { "records", "layers", "vmroot", "tmp" };
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = image_import(fixture, "links");
    g_autofree char *before = content_of(fixture, image);
    g_autofree char *index = g_build_filename(fixture->store, "index.json", NULL);
    for (guint i = 0; i < G_N_ELEMENTS(derived); i++) {
        g_autofree char *path = g_build_filename(fixture->store, derived[i], NULL);
        g_assert_true(duet_remove_tree(AT_FDCWD, path, NULL));
        if (i < 2)
            image_assert_finds_not(fixture, "links", DUET_ERROR_STALE);
        g_assert_true(duet_images.refresh(fixture->store, &error));
        g_assert_no_error(error);
        image_assert_finds(fixture, "links", "links:latest");
    }
    const struct timespec times[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    g_assert_cmpint(utimensat(AT_FDCWD, index, times, 0), ==, 0);
    image_assert_finds_not(fixture, "links", DUET_ERROR_STALE);
    g_autoptr(GPtrArray) list = duet_images.list(fixture->store, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 1);
    g_autofree char *after = content_of(fixture, list->pdata[0]);
    g_assert_cmpstr(before, ==, after);
}

/* An import has staged its blobs when it finds the table out of date, and makes that first. */
static void test_import_stale(ImageFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = image_import(fixture, "plain");
    g_assert_nonnull(image);
    image_remove_derived(fixture);
    g_autoptr(GPtrArray) images = image_import_as(fixture, "repeat", "repeat", &error);
    g_assert_nonnull(images);
    g_assert_no_error(error);
    g_assert_true(duet_images.refresh(fixture->store, &error));
    image_assert_finds(fixture, "plain", "plain:latest");
    image_assert_finds(fixture, "repeat", "repeat:latest");
}

static void assert_dir_refused(ImageFixture *fixture, const char *dir, const char *text)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) images = duet_images.import(fixture->store, dir, NULL, &error);
    g_assert_null(images);
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    if (!strstr(error->message, text))
        g_error("'%s' is not in: %s", text, error->message);
}

/* What the names of a directory lead to is only opened if it is a file in there. */
static void test_directory(ImageFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = image_import(fixture, "gzip");
    g_assert_nonnull(image);
    g_autofree char *dir = g_build_filename(fixture->dir, "layout", NULL);
    g_autofree char *index = g_build_filename(dir, "index.json", NULL);
    g_autofree char *real = g_build_filename(dir, "real.json", NULL);
    g_autofree char *outside = g_build_filename(fixture->dir, "outside.json", NULL);
    const char *argv[] = { "cp", "-r", fixture->store, dir, NULL };
    g_autofree char *output = duet_capture(argv, &error);
    g_assert_nonnull(output);
    g_assert_no_error(error);
    g_assert_cmpint(rename(index, real), ==, 0);
    g_assert_cmpint(symlink("real.json", index), ==, 0);
    g_autoptr(GPtrArray) images = duet_images.import(fixture->store, dir, "linked", &error);
    g_assert_no_error(error);
    g_assert_nonnull(images);

    g_assert_cmpint(rename(real, outside), ==, 0);
    g_assert_cmpint(unlink(index), ==, 0);
    g_assert_cmpint(symlink("../outside.json", index), ==, 0);
    assert_dir_refused(fixture, dir, "leads out of the directory");
    g_assert_cmpint(unlink(index), ==, 0);
    g_assert_cmpint(symlink("/dev/null", index), ==, 0);
    assert_dir_refused(fixture, dir, "leads out of the directory");
    g_assert_cmpint(unlink(index), ==, 0);
    g_assert_cmpint(mkfifo(index, 0600), ==, 0);
    assert_dir_refused(fixture, dir, "not a regular file");
}

static guint mode_of(ImageFixture *fixture, const char *path)
{
    g_autofree char *full = g_build_filename(fixture->store, path, NULL);
    struct stat st;
    g_assert_cmpint(stat(full, &st), ==, 0);
    return st.st_mode & 07777;
}

/* Other users of the host can't read what images hold; also not in a store of an older version. */
static void test_modes(ImageFixture *fixture)
{
    static const struct {
        const char *path;
        guint mode;
    } rows[] = { { "blobs", 0700 }, { "blobs/sha256", 0700 }, { "layers", 0700 },
        { "records", 0700 }, { "vmroot", 0711 } };
    for (guint n = 0; n < 2; n++) {
        g_autoptr(DuetImage) image = image_import(fixture, n ? "config" : "gzip");
        g_assert_nonnull(image);
        for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
            g_autofree char *full = g_build_filename(fixture->store, rows[i].path, NULL);
            g_assert_cmpuint(mode_of(fixture, rows[i].path), ==, rows[i].mode);
            g_assert_cmpint(chmod(full, 0755), ==, 0);
        }
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = duet_image_lookup(fixture->store, "gzip", &error);
    g_autofree char *disk = duet_images.root_disk(fixture->store, image, &error);
    g_assert_no_error(error);
    g_assert_nonnull(disk);
    g_assert_cmpuint(mode_of(fixture, "vmroot"), ==, 0711);
}

static void test_leftovers(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "gzip");
    g_assert_nonnull(image);
    g_autofree char *before = image_store_state(fixture);
    g_autofree char *dead = g_build_filename(fixture->store, "tmp/deadbeef/5/etc", NULL);
    g_assert_true(duet_mkdir_p(dead, 0755, NULL));
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_images.refresh(fixture->store, &error));
    g_autofree char *after = image_store_state(fixture);
    g_assert_null(strstr(after, "deadbeef"));
    g_assert_nonnull(before);
}

static void test_root_disk(ImageFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = image_import(fixture, "gzip");
    g_autofree char *disk = duet_images.root_disk(fixture->store, image, &error);
    g_assert_no_error(error);
    struct stat first, second;
    g_assert_cmpint(stat(disk, &first), ==, 0);
    g_assert_cmpuint(first.st_mode & 07777, ==, 0644);
    g_autofree char *again = duet_images.root_disk(fixture->store, image, &error);
    g_assert_cmpint(stat(again, &second), ==, 0);
    g_assert_cmpuint(first.st_ino, ==, second.st_ino);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    image_test("/image-store/refused", test_refused);
    image_test("/image-store/cut-anywhere", test_cut_anywhere);
    image_test("/image-store/undo", test_undo);
    image_test("/image-store/disk-full", test_disk_full);
    image_test("/image-store/disk-full-root-disk", test_disk_full_disk);
    image_test("/image-store/names", test_names);
    image_test("/image-store/untagged", test_untagged);
    image_test("/image-store/config", test_config);
    image_test("/image-store/high-ids", test_high_ids);
    image_test("/image-store/round-trip", test_round_trip);
    image_test("/image-store/export-name", test_export_name);
    image_test("/image-store/export-damaged", test_export_damaged);
    image_test("/image-store/repaired", test_repaired);
    image_test("/image-store/remove", test_remove);
    image_test("/image-store/remove-meanwhile", test_remove_meanwhile);
    image_test("/image-store/name-moves", test_name_moves);
    image_test("/image-store/refresh", test_refresh);
    image_test("/image-store/import-stale", test_import_stale);
    image_test("/image-store/directory", test_directory);
    image_test("/image-store/modes", test_modes);
    image_test("/image-store/leftovers", test_leftovers);
    image_test("/image-store/root-disk", test_root_disk);
    return image_fixture_main();
}
