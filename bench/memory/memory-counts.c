/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-counts.h"

#include <duet/vm-limits.h>

#include "bench/text.h"

/* Returns: the RAM of the largest VM that is an arm; 0: none is. */
static guint64 largest_ram(const DuetBenchRequest *request)
{
    guint64 most = 0;

    for (gsize i = 0; i < request->n_arms; i++) {
        const DuetSpec *spec = request->arms[i].spec;
        if (spec->kind == DUET_KIND_VM)
            most = MAX(most, duet_vm_memory_bytes(spec));
    }
    return most;
}

GArray *duet_memory_counts(
    const DuetBenchRequest *request, const DuetHostMemory *host, char **out_note)
{
    GArray *counts = g_array_new(FALSE, FALSE, sizeof(guint));
    guint64 floor = duet_host_memory_floor(host), each = largest_ram(request);
    guint64 room = host->available_bytes - MIN(host->available_bytes, floor);
    guint64 fit = each > 0 ? MAX(room / each, 1) : G_MAXUINT64;
    guint kept = 0, most = 0;

    for (guint i = 0; i < request->n_counts; i++) {
        guint count = request->counts[i];
        most = MAX(most, count);
        if (request->counts_unasked && count > fit)
            continue;
        kept = MAX(kept, count);
        g_array_append_val(counts, count);
    }
    *out_note = NULL;
    if (kept == most)
        return counts;
    g_autofree char *wants = duet_text_bytes((double)each * most);
    g_autofree char *has = duet_text_bytes((double)room);
    *out_note = g_strdup_printf("up to %u at the same time, not %u: so many VMs may use %s, and "
                                "the host has %s to spare; --counts insists",
        kept, most, wants, has);
    return counts;
}
