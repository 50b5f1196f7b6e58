/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Any bytes as the source of `image import`: it may refuse them, but nothing else may happen than
 * that the store has an image more or is as it was. */
#include <duet/error.h>
#include <duet/image.h>

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/util.h"

extern const DuetImagesOps duet_images;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static guint count_files(const char *path)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    guint n = 0;
    while (dir && g_dir_read_name(dir))
        n++;
    return n;
}

static void check_result(const char *store, GPtrArray *images, const GError *error)
{
    g_autofree char *index = g_build_filename(store, "index.json", NULL);
    g_assert_true((images != NULL) != (error != NULL));
    g_assert_cmpint(access(index, F_OK) == 0, ==, images != NULL);
    for (guint i = 0; images && i < images->len; i++) {
        const DuetImage *image = images->pdata[i];
        g_autoptr(DuetImage) again = duet_image_lookup(store, image->digest, NULL);
        g_assert_nonnull(again);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    g_autofree char *dir = g_build_filename(base, "duet-fuzz.XXXXXX", NULL);
    g_assert_nonnull(g_mkdtemp(dir));
    g_autofree char *store = g_build_filename(dir, "store", NULL);
    DUET_AUTO_FD fd = memfd_create("input", MFD_CLOEXEC);
    g_assert_true(fd >= 0 && duet_write_all(fd, data, size));
    g_autofree char *path = g_strdup_printf("/proc/self/fd/%d", fd);

    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) images = duet_images.import(store, path, NULL, &error);
    check_result(store, images, error);
    /* Nothing but the store is there: nothing climbed out. */
    g_assert_cmpuint(count_files(dir), ==, 1);
    g_assert_true(duet_remove_tree(AT_FDCWD, dir, NULL));
    return 0;
}
