/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reread.h"

#include <fcntl.h>
#include <fts.h>
#include <unistd.h>

#include "bench/result/record.h"

#define CHUNK_BYTES (1u << 20)

static void read_whole(const char *path, DuetReread *reread)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    g_autofree char *chunk = g_malloc(CHUNK_BYTES);
    ssize_t got = fd < 0 ? -1 : 1;

    while (got > 0) {
        got = read(fd, chunk, CHUNK_BYTES);
        reread->bytes += MAX(got, 0);
    }
    reread->files += got == 0;
    reread->failed += got < 0;
    if (fd >= 0)
        close(fd);
}

void duet_reread_path(const char *path, DuetReread *reread)
{
    char *const roots[] = { (char *)path, NULL };
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    FTSENT *entry;

    while (walk && (entry = fts_read(walk))) {
        if (entry->fts_info == FTS_F)
            read_whole(entry->fts_accpath, reread);
        else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
            entry->fts_info == FTS_NS)
            reread->failed++;
    }
    reread->failed += !walk;
    if (walk)
        fts_close(walk);
}

void duet_reread(const DuetBenchRequest *request, const DuetRun *run, DuetReread *out_reread)
{
    static const char *const facts[] = { "kernel_booted", "initramfs" };
    g_autoptr(GHashTable) done = g_hash_table_new(g_str_hash, g_str_equal);

    *out_reread = (DuetReread){ 0 };
    for (gsize arm = 0; arm < request->n_arms; arm++) {
        const DuetSpec *spec = request->arms[arm].spec;
        g_autoptr(GPtrArray) paths = g_ptr_array_new();
        for (char **layer = spec->layers; layer && *layer; layer++)
            g_ptr_array_add(paths, *layer);
        g_ptr_array_add(paths, spec->root_disk);
        for (gsize i = 0; i < G_N_ELEMENTS(facts); i++)
            g_ptr_array_add(
                paths, (char *)duet_record_string(duet_run_arm(run, arm)->driver, facts[i]));
        for (guint i = 0; i < paths->len; i++) {
            char *path = g_ptr_array_index(paths, i);
            if (path && g_hash_table_add(done, path))
                duet_reread_path(path, out_reread);
        }
    }
}
