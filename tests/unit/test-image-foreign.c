/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A store that other tools write to as well, without our lock. */
#include "image-fixture.h"

#include <duet/error.h>

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/util.h"
#include "images/catalog.h"
#include "images/transaction.h"

/* Another tool adds a row for an image that the store has, as skopeo does: without our lock. */
static void add_row(const char *store, const char *digest, const char *name)
{
    static const char script[] =
        "import json, sys, os\n"
        "path, digest, name = sys.argv[1:]\n"
        "index = json.load(open(path))\n"
        "row = next(r for r in index['manifests'] if r['digest'] == digest)\n"
        "row = {**row, 'annotations': "
        "{'org.opencontainers.image.ref.name': name}}\n"
        "index['manifests'].append(row)\n"
        "json.dump(index, open(path + '.new', 'w'))\n"
        "os.rename(path + '.new', path)\n";
    g_autofree char *index = g_build_filename(store, "index.json", NULL);
    const char *argv[] = { "python3", "-c", script, index, digest, name, NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *output = duet_capture(argv, &error);
    g_assert_nonnull(output);
    g_assert_no_error(error);
}

static pid_t import_beside(ImageFixture *fixture, const char *archive)
{
    pid_t pid = fork();
    g_assert_cmpint(pid, >=, 0);
    if (pid == 0) {
        g_autoptr(GPtrArray) images = image_import_as(fixture, archive, archive, NULL);
        _exit(images ? 0 : 1);
    }
    return pid;
}

static gboolean is_unpacking(ImageFixture *fixture)
{
    g_autofree char *pattern = g_build_filename(fixture->store, "tmp", "*", "*", "noise", NULL);
    glob_t found = { 0 };
    gboolean is = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;
    globfree(&found);
    return is;
}

/* It adds a row while an import unpacks: both are there in the end. */
static void test_foreign_meanwhile(ImageFixture *fixture)
{
    g_autoptr(DuetImage) image = image_import(fixture, "gzip");
    pid_t pid = import_beside(fixture, "large");
    int status = 0;
    pid_t ended = 0;
    while (!is_unpacking(fixture) && (ended = waitpid(pid, &status, WNOHANG)) == 0)
        g_usleep(50);
    if (ended == 0) {
        g_assert_cmpint(kill(pid, SIGSTOP), ==, 0);
        g_assert_cmpint(waitpid(pid, &status, WUNTRACED), ==, pid);
    }
    g_test_message("the import %s", WIFSTOPPED(status) ? "is stopped" : "was too fast");
    add_row(fixture->store, image->digest, "foreign:1");
    if (WIFSTOPPED(status)) {
        g_assert_cmpint(kill(pid, SIGCONT), ==, 0);
        g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    }
    g_assert_cmpint(status, ==, 0);
    g_autoptr(GError) error = NULL;
    g_assert_true(duet_images.refresh(fixture->store, &error));
    g_assert_no_error(error);
    image_assert_finds(fixture, "foreign:1", "foreign:1");
    image_assert_finds(fixture, "large", "large:latest");
    image_assert_finds(fixture, "gzip", "gzip:latest");
}

/* An index.json that is not the one that was read is not replaced; the next try has both. */
static void test_foreign_commit(ImageFixture *fixture)
{
    static const char config[] = "{}",
                      hex[] = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = image_import(fixture, "gzip");
    g_autofree char *blob = g_build_filename(fixture->store, "blobs/sha256", hex, NULL);
    {
        g_autoptr(DuetStore) store = duet_store_open_write(fixture->store, &error);
        g_assert_no_error(error);
        g_autoptr(DuetTransaction) transaction = duet_transaction_new(store);
        g_assert_true(duet_transaction_blob(transaction, hex, config, sizeof config - 1, &error));
        for (guint i = 0; i < 2; i++) {
            DuetIndexStamp stamp;
            g_assert_true(duet_index_stamp(store->fd, "index.json", &stamp, &error));
            g_autoptr(GPtrArray) rows = duet_catalog_load(store, &error);
            g_assert_no_error(error);
            g_autoptr(JsonNode) index = duet_index_load(store, &error);
            duet_index_drop(index, "gzip:latest", NULL);
            duet_catalog_drop(rows, "gzip:latest", NULL);
            if (i == 0)
                add_row(fixture->store, image->digest, "foreign:1");
            gboolean good = duet_transaction_commit(transaction, &stamp, index, rows, &error);
            g_assert_cmpint(good, ==, i == 1);
            if (i == 0)
                g_assert_error(error, DUET_ERROR, DUET_ERROR_STALE);
            g_clear_error(&error);
            g_assert_cmpint(access(blob, F_OK), ==, 0);
        }
    }
    image_assert_finds(fixture, "foreign:1", "foreign:1");
    image_assert_finds_not(fixture, "gzip", DUET_ERROR_NOT_FOUND);
    {
        /* What was not committed is taken back. */
        g_autoptr(DuetStore) store = duet_store_open_write(fixture->store, &error);
        g_assert_no_error(error);
        g_autoptr(DuetTransaction) transaction = duet_transaction_new(store);
        g_autoptr(GPtrArray) rows = g_ptr_array_new();
        g_autoptr(JsonNode) index = duet_index_new();
        const DuetIndexStamp none = { 0 };
        g_assert_cmpint(unlink(blob), ==, 0);
        g_assert_true(duet_transaction_blob(transaction, hex, config, sizeof config - 1, &error));
        g_assert_false(duet_transaction_commit(transaction, &none, index, rows, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_STALE);
    }
    g_assert_cmpint(access(blob, F_OK), ==, -1);
    image_assert_finds(fixture, "foreign:1", "foreign:1");
}

/* What another tool put there and can't be used is listed with the reason, and does no harm. */
static void test_foreign_damage(ImageFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = image_import(fixture, "plain");
    g_autoptr(DuetImage) other = image_import(fixture, "config");
    g_autofree char *records = g_build_filename(fixture->store, "records", NULL);
    image_damage(fixture, image);
    image_remove_derived(fixture);
    g_assert_true(duet_images.refresh(fixture->store, &error));
    g_assert_no_error(error);
    image_assert_finds_not(fixture, "plain", DUET_ERROR_BROKEN);
    image_assert_finds(fixture, "config", "config:latest");
    g_autoptr(GPtrArray) list = duet_images.list(fixture->store, &error);
    g_assert_cmpuint(list->len, ==, 2);
    g_assert_true(duet_images.remove(fixture->store, "plain", NULL, NULL, &error));
    g_assert_no_error(error);
    /* A damaged record is not trusted either. */
    g_autofree char *record = g_build_filename(records, other->digest + strlen("sha256:"), NULL);
    g_assert_true(g_file_set_contents(record, "garbage", 7, NULL));
    image_assert_finds_not(fixture, "config", DUET_ERROR_STALE);
}

/* Another tool's: the archive takes the place of what the index had. */
static void unpack_archive(ImageFixture *fixture, const char *name)
{
    g_autofree char *path = image_archive(fixture, name);
    const char *argv[] = { "tar", "-xf", path, "-C", fixture->store, NULL };
    g_autoptr(GError) error = NULL;
    g_autofree char *output = duet_capture(argv, &error);
    g_assert_nonnull(output);
    g_assert_no_error(error);
}

static void assert_no_room_for(ImageFixture *fixture, const char *ref)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = duet_image_lookup(fixture->store, ref, &error);
    g_assert_null(image);
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STALE);
    g_assert_nonnull(strstr(error->message, "No space left"));
}

/* What this host can't unpack today is in nobody's way, and is tried again. */
static void test_foreign_too_large(ImageFixture *fixture)
{
    g_assert_cmpint(mkdir(fixture->store, 0755), ==, 0);
    g_assert_cmpint(mount("tmpfs", fixture->store, "tmpfs", 0, "size=5m"), ==, 0);
    unpack_archive(fixture, "large-and-small");
    {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) list = duet_images.list(fixture->store, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(list->len, ==, 2);
        image_assert_finds(fixture, "small", "small:latest");
        assert_no_room_for(fixture, "large");
        g_assert_cmpint(mount("tmpfs", fixture->store, "tmpfs", MS_REMOUNT, "size=9m"), ==, 0);
        g_assert_true(duet_images.refresh(fixture->store, &error));
        image_assert_finds(fixture, "large", "large:latest");
    }
    g_assert_cmpint(umount2(fixture->store, 0), ==, 0);
}

/* To import and to remove, nothing need be unpacked. */
static void test_foreign_too_large_removed(ImageFixture *fixture)
{
    g_assert_cmpint(mkdir(fixture->store, 0755), ==, 0);
    g_assert_cmpint(mount("tmpfs", fixture->store, "tmpfs", 0, "size=5m"), ==, 0);
    unpack_archive(fixture, "large-and-small");
    {
        g_autoptr(GError) error = NULL;
        g_autoptr(DuetImage) image = image_import(fixture, "config");
        g_assert_nonnull(image);
        g_assert_true(duet_images.remove(fixture->store, "large", NULL, NULL, &error));
        g_assert_no_error(error);
        image_assert_finds_not(fixture, "large", DUET_ERROR_NOT_FOUND);
        image_assert_finds_not(fixture, "small", DUET_ERROR_STALE);
    }
    g_assert_cmpint(umount2(fixture->store, 0), ==, 0);
}

/* An image whose rows in the index are its variants for platforms goes with them all. */
static void test_remove_variants(ImageFixture *fixture)
{
    g_autoptr(GError) error = NULL;
    g_assert_cmpint(mkdir(fixture->store, 0755), ==, 0);
    unpack_archive(fixture, "variants");
    g_autoptr(GPtrArray) list = duet_images.list(fixture->store, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(list->len, ==, 1);
    const DuetImage *image = list->pdata[0];
    g_assert_true(duet_images.remove(fixture->store, image->digest, NULL, NULL, &error));
    g_assert_no_error(error);
    g_autofree char *all = image_store_state(fixture);
    g_assert_null(strstr(all, "/blobs/sha256/"));
    g_autofree char *index = g_build_filename(fixture->store, "index.json", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(index, &text, NULL, NULL));
    g_assert_null(strstr(text, "sha256:"));
}

/* A row that we can't read is another tool's: it stays, and the others work. */
static void test_foreign_row(ImageFixture *fixture)
{
    static const char before[] = "\"manifests\":[";
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetImage) image = image_import(fixture, "gzip");
    g_assert_nonnull(image);
    g_autoptr(DuetImage) other = image_import(fixture, "config");
    g_assert_nonnull(other);
    g_autofree char *path = g_build_filename(fixture->store, "index.json", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    char *at = strstr(text, before);
    g_assert_nonnull(at);
    at += strlen(before);
    g_autofree char *changed =
        g_strdup_printf("%.*s{\"mediaType\":\"x/y\",\"digest\":\"sha512:00\",\"size\":1},%s",
            (int)(at - text), text, at);
    g_assert_true(g_file_set_contents(path, changed, -1, NULL));
    g_assert_true(duet_images.refresh(fixture->store, &error));
    g_assert_no_error(error);
    image_assert_finds(fixture, "gzip", "gzip:latest");
    g_assert_true(duet_images.remove(fixture->store, "gzip", NULL, NULL, &error));
    g_assert_no_error(error);
    image_assert_finds(fixture, "config", "config:latest");
    g_clear_pointer(&text, g_free);
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_nonnull(strstr(text, "sha512:00"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    image_test("/image-foreign/meanwhile", test_foreign_meanwhile);
    image_test("/image-foreign/commit", test_foreign_commit);
    image_test("/image-foreign/damage", test_foreign_damage);
    image_test("/image-foreign/too-large", test_foreign_too_large);
    image_test("/image-foreign/too-large-removed", test_foreign_too_large_removed);
    image_test("/image-foreign/remove-variants", test_remove_variants);
    image_test("/image-foreign/row", test_foreign_row);
    return image_fixture_main();
}
