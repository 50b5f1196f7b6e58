/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-cache.h"

#define KIB G_GUINT64_CONSTANT(1024)
#define MIB (KIB * 1024)
#define CACHE_UNKNOWN_BYTES (32 * MIB)
#define ARRAYS 3
#define CACHES_PER_ARRAY 4

/* "32768K" */
static guint64 size_of(const char *folder, guint index)
{
    g_autofree char *path = g_strdup_printf("%s/index%u/size", folder, index);
    g_autofree char *text = NULL;
    char *end = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0;
    guint64 size = g_ascii_strtoull(text, &end, 10);
    guint64 unit = *end == 'K' ? KIB : *end == 'M' ? MIB : 1;
    return size > G_MAXUINT64 / unit ? 0 : size * unit;
}

guint64 duet_overhead_cache_bytes(const char *folder)
{
    guint64 largest = 0, size;

    for (guint index = 0; (size = size_of(folder, index)) > 0; index++)
        largest = MAX(largest, size);
    return largest;
}

guint64 duet_overhead_stream_bytes(guint64 cache_bytes, guint64 memory_bytes)
{
    guint64 size = cache_bytes > 0 ? cache_bytes : CACHE_UNKNOWN_BYTES;

    if (memory_bytes > 0)
        size = MIN(size, memory_bytes / 2 / (ARRAYS * CACHES_PER_ARRAY));
    return MAX(size, MIB) / KIB * KIB;
}
