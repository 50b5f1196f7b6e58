/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files that are put out of the page cache, by the word of another program: fincore. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "bench/instance/cache.h"

#define SIZE (2 * 1024 * 1024)

/* In the folder of the build: what /tmp may be, a tmpfs, has nothing but its cache. */
typedef struct {
    char *folder, *below, *one, *two, *link, *other;
} Place;

static char *make_file(const char *folder, const char *name)
{
    char *path = g_build_filename(folder, name, NULL);
    g_autofree char *bytes = g_malloc0(SIZE);

    g_assert_true(g_file_set_contents(path, bytes, SIZE, NULL));
    return path;
}

static void place_up(Place *place, gconstpointer data)
{
    g_autofree char *template = g_build_filename(g_get_current_dir(), "cache-XXXXXX", NULL);

    (void)data;
    place->folder = g_mkdtemp(g_steal_pointer(&template));
    place->below = g_build_filename(place->folder, "layer", NULL);
    g_assert_cmpint(g_mkdir(place->below, 0755), ==, 0);
    place->other = make_file(place->folder, "other");
    place->one = make_file(place->below, "one");
    place->two = make_file(place->below, "two");
    place->link = g_build_filename(place->below, "link", NULL);
    g_assert_cmpint(symlink(place->other, place->link), ==, 0);
    g_autofree char *fifo = g_build_filename(place->below, "fifo", NULL);
    g_assert_cmpint(mkfifo(fifo, 0644), ==, 0);
}

static void place_down(Place *place, gconstpointer data)
{
    const char *argv[] = { "rm", "-r", place->folder, NULL };

    (void)data;
    g_assert_true(g_spawn_sync(
        NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
    g_free(place->folder);
    g_free(place->below);
    g_free(place->one);
    g_free(place->two);
    g_free(place->link);
    g_free(place->other);
}

static guint64 resident(const char *path)
{
    const char *argv[] = { "fincore", "-b", "-n", "-o", "RES", path, NULL };
    g_autofree char *out = NULL;

    g_assert_true(g_spawn_sync(
        NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, NULL, NULL));
    return g_ascii_strtoull(g_strstrip(out), NULL, 10);
}

static void test_evict(Place *place, gconstpointer data)
{
    guint64 bytes = 0, left = 0;

    (void)data;
    /* Just written: dirty, and in the cache. */
    g_assert_cmpuint(resident(place->one), ==, SIZE);
    duet_cache_evict(place->below, &bytes, &left);
    g_assert_cmpuint(bytes, ==, 2 * SIZE);
    g_assert_cmpuint(left, ==, 0);
    g_assert_cmpuint(resident(place->one), ==, 0);
    g_assert_cmpuint(resident(place->two), ==, 0);
    /* A link leads to no file of the layer. */
    g_assert_cmpuint(resident(place->other), ==, SIZE);
    duet_cache_evict(place->other, &bytes, &left);
    g_assert_cmpuint(resident(place->other), ==, 0);
    duet_cache_evict("/nonexistent", &bytes, &left);
    g_assert_cmpuint(bytes, ==, 3 * SIZE);
}

static void test_cool(Place *place, gconstpointer data)
{
    char *layers[] = { place->below, NULL };
    DuetSpec spec = { .layers = layers };
    g_autoptr(DuetSample) sample = duet_sample_new(0, 0, 0);
    g_autoptr(JsonObject) facts = json_object_new();

    (void)data;
    json_object_set_string_member(facts, "initramfs", place->other);
    json_object_set_string_member(facts, "kernel", "not absolute");
    duet_cache_cool("warm", &spec, NULL, facts, sample);
    g_assert_cmpuint(resident(place->one), ==, SIZE);
    duet_cache_cool("cold-guest", &spec, NULL, facts, sample);
    g_assert_cmpuint(resident(place->one), ==, 0);
    g_assert_cmpuint(resident(place->other), ==, 0);
    g_assert_cmpuint(sample->warnings->len, ==, 0);
}

/* A file that somebody has mapped stays, and is told. */
static void test_in_use(Place *place, gconstpointer data)
{
    char *layers[] = { place->below, NULL };
    DuetSpec spec = { .layers = layers };
    g_autoptr(DuetSample) sample = duet_sample_new(0, 0, 0);
    int fd = open(place->two, O_RDONLY);
    char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, 0);

    (void)data;
    g_assert_true(map != MAP_FAILED);
    duet_cache_cool("cold-guest", &spec, NULL, NULL, sample);
    g_assert_cmpuint(sample->warnings->len, ==, 1);
    g_autofree char *told = g_strdup_printf("%d of %d bytes", SIZE, 2 * SIZE);
    g_assert_nonnull(strstr(g_ptr_array_index(sample->warnings, 0), told));
    munmap(map, SIZE);
    close(fd);
}

static void test_modes(void)
{
    g_autoptr(GError) error = NULL;

    g_assert_true(duet_cache_mode_check("warm", &error));
    g_assert_true(duet_cache_mode_check("cold-guest", &error));
    g_assert_false(duet_cache_mode_check("cold", &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    g_clear_error(&error);
    gboolean may = access("/proc/sys/vm/drop_caches", W_OK) == 0;
    g_assert_cmpint(duet_cache_mode_check("cold-host", &error), ==, may);
    if (!may)
        g_assert_nonnull(strstr(error->message, "--cache cold-guest"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/cache/evict", Place, NULL, place_up, test_evict, place_down);
    g_test_add("/cache/cool", Place, NULL, place_up, test_cool, place_down);
    g_test_add("/cache/in-use", Place, NULL, place_up, test_in_use, place_down);
    g_test_add_func("/cache/modes", test_modes);
    return g_test_run();
}
