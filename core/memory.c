/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/memory.h"
#include "core/parts.h"
#include "core/state.h"
#include "core/util.h"

#include <duet/vm-limits.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMAPS_MAX_BYTES (64u << 20)

guint64 duet_host_ram(void)
{
    return (guint64)sysconf(_SC_PHYS_PAGES) * (guint64)sysconf(_SC_PAGESIZE);
}

static guint64 page_table_bytes(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", pid);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 1 << 16, NULL, NULL);
    return duet_kib_field(text, "VmPTE:");
}

guint64 duet_smaps_guest_ram(const char *smaps, guint64 ram_bytes, gboolean *out_shared)
{
    guint64 size = 0;
    gboolean shared = FALSE;
    for (const char *line = smaps; line && *line; line = strchr(line, '\n')) {
        unsigned long inode;
        line += *line == '\n';
        if (sscanf(line, "%*x-%*x %*4s %*x %*x:%*x %lu", &inode) == 1)
            shared = inode != 0;
        else if (g_str_has_prefix(line, "Size:"))
            size = strtoull(line + strlen("Size:"), NULL, 10) * 1024;
        else if (size == ram_bytes && g_str_has_prefix(line, "Pss:")) {
            *out_shared = shared;
            return strtoull(line + strlen("Pss:"), NULL, 10) * 1024;
        }
    }
    return 0;
}

guint64 duet_processes_pss(const GArray *pids)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(gint));
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    guint64 sum = 0;

    for (guint i = 0; i < pids->len; i++)
        duet_pids_below(all, g_array_index(pids, gint, i), 0);
    for (guint i = 0; i < all->len; i++) {
        int pid = g_array_index(all, gint, i);
        if (g_hash_table_add(seen, GINT_TO_POINTER(pid)))
            sum += duet_process_pss(pid).pss_bytes;
    }
    return sum;
}

/* Of its start: what a balloon took since is mapped as before. */
static guint64 ram_bytes(const DuetSpec *spec, const DuetInfo *info)
{
    guint64 bytes = duet_vm_memory_bytes(spec);
    if (info->facts)
        g_variant_lookup(info->facts, "memory_bytes", "t", &bytes);
    return bytes;
}

static void split_guest_ram(const DuetSpec *spec, const DuetInfo *info, DuetMemory *memory)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps", (int)info->pid);
    g_autofree char *smaps = duet_file_read(AT_FDCWD, path, SMAPS_MAX_BYTES, NULL, NULL);
    memory->guest_ram_pss_bytes =
        duet_smaps_guest_ram(smaps, ram_bytes(spec, info), &memory->guest_ram_shared);
    guint64 *whole = memory->guest_ram_shared ? &memory->shmem_pss_bytes : &memory->anon_pss_bytes;
    *whole -= MIN(*whole, memory->guest_ram_pss_bytes);
}

static void add_payload(
    const DuetSpec *spec, const DuetInfo *info, GArray *pids, DuetMemory *memory)
{
    gboolean vm = spec->kind == DUET_KIND_VM;
    for (guint i = 0; i < pids->len; i++) {
        int pid = g_array_index(pids, int, i);
        DuetPss pss = duet_process_pss(pid);
        memory->payload_pss_bytes += pss.pss_bytes;
        memory->page_table_bytes += page_table_bytes(pid);
        if (vm && pid != info->pid) {
            memory->helpers_pss_bytes += pss.pss_bytes;
            continue;
        }
        memory->anon_pss_bytes += pss.anon_bytes;
        memory->file_pss_bytes += pss.file_bytes;
        memory->shmem_pss_bytes += pss.shmem_bytes;
    }
    if (vm)
        split_guest_ram(spec, info, memory);
}

static void add_managing(GArray *pids, DuetMemory *memory)
{
    for (guint i = 0; i < pids->len; i++) {
        DuetPss pss = duet_process_pss(g_array_index(pids, int, i));
        memory->managing_pss_bytes += pss.pss_bytes;
        memory->managing_file_pss_bytes += pss.file_bytes;
    }
}

static void add_cgroups(DuetCgroup *payload, DuetCgroup *managing, DuetMemory *memory)
{
    DuetCgroupUsage usage = { 0 };
    duet_cgroup_usage(payload, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_MEMORY, &usage);
    memory->cgroup_bytes = usage.memory_bytes;
    memory->cgroup_anon_bytes = usage.anon_bytes;
    memory->cgroup_file_bytes = usage.file_bytes;
    memory->cgroup_kernel_bytes = usage.kernel_bytes;
    memory->cgroup_shmem_bytes = usage.shmem_bytes;
    duet_cgroup_usage(managing, DUET_CGROUP_MONITOR, DUET_CGROUP_WANT_MEMORY, &usage);
    memory->managing_cgroup_bytes = usage.memory_bytes;
    memory->managing_cgroup_anon_bytes = usage.anon_bytes;
    memory->managing_cgroup_file_bytes = usage.file_bytes;
    memory->managing_cgroup_kernel_bytes = usage.kernel_bytes;
    memory->managing_cgroup_shmem_bytes = usage.shmem_bytes;
}

gboolean duet_instance_memory(DuetInstance *instance, DuetMemory *out_memory, GError **error)
{
    g_auto(DuetParts) parts = { 0 };
    if (!duet_parts_open(instance, &parts, error))
        return FALSE;
    g_autoptr(GArray) managing_pids = duet_parts_managing_pids(&parts);
    g_autoptr(GArray) pids = duet_parts_payload_pids(&parts, managing_pids);
    DuetMemory memory = { 0 };
    add_payload(instance->spec, parts.info, pids, &memory);
    add_managing(managing_pids, &memory);
    add_cgroups(parts.payload, parts.cgroup, &memory);
    *out_memory = memory;
    return TRUE;
}
