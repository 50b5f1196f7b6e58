/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cache.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "bench/result/record.h"

#define DROP_CACHES "/proc/sys/vm/drop_caches"
/* A page here and there is always in somebody's hands. */
#define LEFT_LIMIT 0.01

/* Returns: how much of an open file is in the page cache; 0 where the kernel does not tell. */
static guint64 resident_bytes(int fd, gsize length)
{
    gsize page = (gsize)sysconf(_SC_PAGESIZE), pages = (length + page - 1) / page;
    guint64 resident = 0;
    void *map = length > 0 ? mmap(NULL, length, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (map == MAP_FAILED)
        return 0;
    g_autofree guchar *in_core = g_malloc0(pages);
    if (mincore(map, length, in_core) == 0)
        for (gsize i = 0; i < pages; i++)
            resident += in_core[i] & 1 ? page : 0;
    munmap(map, length);
    return MIN(resident, length);
}

static void evict_file(const char *path, guint64 *bytes, guint64 *left_bytes)
{
    struct stat st;
    DUET_AUTO_FD fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
        return;
    /* What is dirty is not put out. */
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    *bytes += (guint64)st.st_size;
    *left_bytes += resident_bytes(fd, (gsize)st.st_size);
}

void duet_cache_evict(const char *path, guint64 *out_bytes, guint64 *out_left_bytes)
{
    char *const paths[] = { (char *)path, NULL };
    FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry;

    while (tree && (entry = fts_read(tree)))
        if (entry->fts_info == FTS_F)
            evict_file(entry->fts_accpath, out_bytes, out_left_bytes);
    if (tree)
        fts_close(tree);
}

static void evict_instance(
    const DuetSpec *spec, const char *saved, JsonObject *facts, DuetSample *sample)
{
    static const char *const files[] = { "kernel", "kernel_booted", "initramfs" };
    guint64 bytes = 0, left = 0;

    for (char **layer = spec->layers; layer && *layer; layer++)
        duet_cache_evict(*layer, &bytes, &left);
    if (spec->root_disk)
        duet_cache_evict(spec->root_disk, &bytes, &left);
    if (saved)
        duet_cache_evict(saved, &bytes, &left);
    for (gsize i = 0; i < G_N_ELEMENTS(files); i++) {
        const char *path = duet_record_string(facts, files[i]);
        if (path && g_path_is_absolute(path))
            duet_cache_evict(path, &bytes, &left);
    }
    if (left > LEFT_LIMIT * bytes)
        duet_sample_warn(sample,
            "not cold: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
            " bytes of its image and kernel stayed in the page cache; something else uses them",
            left, bytes);
}

static gboolean may_drop(GError **error)
{
    return access(DROP_CACHES, W_OK) == 0 ||
        duet_error_set_errno(error, errno,
            "cannot drop the host's caches: '" DROP_CACHES "' is not ours to write; be root of the "
            "host, or use --cache cold-guest");
}

static void drop_all(const DuetSpec *spec, const char *saved, JsonObject *facts, DuetSample *sample)
{
    DUET_AUTO_FD fd = open(DROP_CACHES, O_WRONLY | O_CLOEXEC);

    (void)spec;
    (void)saved;
    (void)facts;
    sync();
    if (fd < 0 || write(fd, "3\n", 2) != 2)
        duet_sample_warn(
            sample, "not cold: the host's caches were not dropped: %s", g_strerror(errno));
}

static const struct {
    const char *name;
    gboolean (*check)(GError **error);
    void (*cool)(const DuetSpec *spec, const char *saved, JsonObject *facts, DuetSample *sample);
} modes[] = {
    { "warm", NULL, NULL },
    { "cold-guest", NULL, evict_instance },
    { "cold-host", may_drop, drop_all },
};

gboolean duet_cache_mode_check(const char *mode, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (g_str_equal(mode, modes[i].name))
            return !modes[i].check || modes[i].check(error);
    }
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no cache mode: use warm, cold-guest or cold-host", mode);
    return FALSE;
}

void duet_cache_cool(const char *mode, const DuetSpec *spec, const char *saved, JsonObject *facts,
    DuetSample *sample)
{
    for (gsize i = 0; i < G_N_ELEMENTS(modes); i++) {
        if (g_str_equal(mode, modes[i].name) && modes[i].cool)
            modes[i].cool(spec, saved, facts, sample);
    }
}
