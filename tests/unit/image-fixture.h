/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/image.h>

G_BEGIN_DECLS

extern const DuetImagesOps duet_images;

/**
 * ImageFixture: a private mount namespace with the archives that tests/mkimage.py writes and an
 * empty store.
 */
typedef struct {
    char *dir; /* all of it is below this one */
    char *archives; /* <name>.tar */
    char *store;
    char *view; /* where images are mounted */
} ImageFixture;

typedef void (*ImageTest)(ImageFixture *fixture);
/** image_test: adds a test with a fixture of its own. */
void image_test(const char *path, ImageTest test);

/** image_fixture_main: writes the archives once, then runs the tests. */
int image_fixture_main(void);

/** image_archive: Returns: (transfer full): the path of an archive. */
char *image_archive(ImageFixture *fixture, const char *name);

/** image_import: imports an archive as "<name>"; must succeed. Returns: (transfer full) */
DuetImage *image_import(ImageFixture *fixture, const char *name);

/**
 * image_import_as: @name: (nullable). Returns: (transfer full): what came of an archive, or %NULL,
 * @error set.
 */
GPtrArray *image_import_as(
    ImageFixture *fixture, const char *archive, const char *name, GError **error);

/** image_assert_finds: the store has an image by @ref, of that name. */
void image_assert_finds(ImageFixture *fixture, const char *ref, const char *name);
/** image_assert_finds_not: it has none, and says so by the error @code. */
void image_assert_finds_not(ImageFixture *fixture, const char *ref, int code);

/** image_store_state: Returns: (transfer full): all that is in the store, as image_describe(), but
 * the time of its own directory, in which a writer's work comes and goes. */
char *image_store_state(ImageFixture *fixture);

/** image_damage: one bit of the lowest layer's blob, which must not be compressed, is another. */
void image_damage(ImageFixture *fixture, const DuetImage *image);
/** image_remove_derived: the store has blobs only, as after another tool wrote it. */
void image_remove_derived(ImageFixture *fixture);

/** image_mount: shows the image at @view as a container would see it: overlayfs. */
void image_mount(ImageFixture *fixture, const DuetImage *image);
/** image_mount_disk: the same as a VM would see it: the root disk. */
void image_mount_disk(ImageFixture *fixture, const DuetImage *image);
void image_unmount(ImageFixture *fixture);

/**
 * image_describe: all that is in a tree, a line each: path, type, mode, owners, size or target,
 * device, link count, time, attributes, contents.
 * Returns: (transfer full)
 */
char *image_describe(const char *dir);

/** image_read: Returns: (transfer full): a file of the view; symlinks are not followed outside. */
char *image_read(ImageFixture *fixture, const char *path);
gboolean image_has(ImageFixture *fixture, const char *path);

G_END_DECLS
