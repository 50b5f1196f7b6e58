/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include <duet/error.h>
#include <duet/mark.h>

#include "core/util.h"

#define FLOOR_BYTES (G_GUINT64_CONSTANT(2) << 30)
#define FLOOR_SHARE 10

/* Where each number is, and how it is called there. */
typedef struct {
    const char *key;
    gsize offset;
} Source;

#define AT(member) G_STRUCT_OFFSET(DuetHostMemory, member)
static const Source meminfo[] = {
    { "MemTotal:", AT(total_bytes) },
    { "MemAvailable:", AT(available_bytes) },
    { "MemFree:", AT(free_bytes) },
    { "AnonPages:", AT(anon_bytes) },
    { "Cached:", AT(cached_bytes) },
    { "Buffers:", AT(buffers_bytes) },
    { "Shmem:", AT(shmem_bytes) },
    { "PageTables:", AT(page_table_bytes) },
    { "SUnreclaim:", AT(slab_unreclaimable_bytes) },
    { "KernelStack:", AT(kernel_stack_bytes) },
    { "Percpu:", AT(percpu_bytes) },
};
static const Source vmstat[] = {
    { "pswpin ", AT(swap_in_pages) },
    { "pswpout ", AT(swap_out_pages) },
};

static const DuetHostField fields[] = {
    { "total_bytes", AT(total_bytes) },
    { "available_bytes", AT(available_bytes) },
    { "free_bytes", AT(free_bytes) },
    { "anon_bytes", AT(anon_bytes) },
    { "cached_bytes", AT(cached_bytes) },
    { "buffers_bytes", AT(buffers_bytes) },
    { "shmem_bytes", AT(shmem_bytes) },
    { "page_table_bytes", AT(page_table_bytes) },
    { "slab_unreclaimable_bytes", AT(slab_unreclaimable_bytes) },
    { "kernel_stack_bytes", AT(kernel_stack_bytes) },
    { "percpu_bytes", AT(percpu_bytes) },
    { "swap_in_pages", AT(swap_in_pages) },
    { "swap_out_pages", AT(swap_out_pages) },
    { NULL, 0 },
};
#undef AT

const DuetHostField *duet_host_fields(void)
{
    return fields;
}

static void parse(
    const char *text, const Source *sources, gsize n, guint64 unit, DuetHostMemory *memory)
{
    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        for (gsize i = 0; i < n; i++) {
            gsize length = strlen(sources[i].key);
            if (strncmp(line, sources[i].key, length) == 0)
                G_STRUCT_MEMBER(guint64, memory, sources[i].offset) =
                    strtoull(line + length, NULL, 10) * unit;
        }
    }
}

gboolean duet_host_memory_parse(const char *text, DuetHostMemory *memory)
{
    parse(text, meminfo, G_N_ELEMENTS(meminfo), 1024, memory);
    return memory->total_bytes > 0 && memory->available_bytes > 0;
}

gboolean duet_host_memory_read(DuetHostMemory *out_memory, GError **error)
{
    DuetHostMemory memory = { .at_ns = duet_now_ns() };
    g_autofree char *info = duet_file_read(AT_FDCWD, "/proc/meminfo", 1 << 20, NULL, error);

    if (!info)
        return FALSE;
    g_autofree char *stat = duet_file_read(AT_FDCWD, "/proc/vmstat", 1 << 20, NULL, NULL);
    duet_host_memory_parse(info, &memory);
    parse(stat, vmstat, G_N_ELEMENTS(vmstat), 1, &memory);
    *out_memory = memory;
    return TRUE;
}

guint64 duet_host_memory_floor(const DuetHostMemory *memory)
{
    return MAX(FLOOR_BYTES, memory->total_bytes / FLOOR_SHARE);
}

gboolean duet_host_memory_check(const DuetHostMemory *memory, const char *option, GError **error)
{
    guint64 floor = duet_host_memory_floor(memory);

    if (memory->available_bytes >= floor)
        return TRUE;
    g_autofree char *left = duet_format_bytes(memory->available_bytes);
    g_autofree char *least = duet_format_bytes(floor);
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "the host has %s of memory available and must keep %s: end what else runs%s%s", left, least,
        option ? ", or take a smaller " : "", option ? option : "");
    return FALSE;
}
