/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>

G_BEGIN_DECLS

/**
 * DuetHostMemory: the host's memory at one instant, from /proc/meminfo and /proc/vmstat.
 * @at_ns: CLOCK_MONOTONIC
 * @available_bytes: MemAvailable: free, and what the kernel would give back without pain
 * @swap_in_pages, @swap_out_pages: since the boot
 */
typedef struct {
    gint64 at_ns;
    guint64 total_bytes, available_bytes, free_bytes;
    guint64 anon_bytes, cached_bytes, buffers_bytes, shmem_bytes;
    guint64 page_table_bytes, slab_unreclaimable_bytes, kernel_stack_bytes, percpu_bytes;
    guint64 swap_in_pages, swap_out_pages;
} DuetHostMemory;

/** DuetHostField: one number of it. @json: its name in the result file. */
typedef struct {
    const char *json;
    gsize offset;
} DuetHostField;

/** duet_host_fields: Returns: all of them, ended by a NULL name. */
const DuetHostField *duet_host_fields(void);

/**
 * duet_host_memory_parse: reads the text of a /proc/meminfo, be it a guest's.
 * Returns: whether it was one.
 */
gboolean duet_host_memory_parse(const char *text, DuetHostMemory *memory);

gboolean duet_host_memory_read(DuetHostMemory *out_memory, GError **error);

/** duet_host_memory_floor: Returns: what the host must keep of it available: max(2 GiB, 10 %). */
guint64 duet_host_memory_floor(const DuetHostMemory *memory);

/**
 * duet_host_memory_check: whether the host has memory left for one more instance.
 * @option: (nullable): the option that asks for fewer of them, if the benchmark has one
 * Returns: %FALSE with %DUET_ERROR_STATE.
 */
gboolean duet_host_memory_check(const DuetHostMemory *memory, const char *option, GError **error);

G_END_DECLS
