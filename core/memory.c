/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cgroup.h"
#include "core/memory.h"
#include "core/state.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SMAPS_MAX_BYTES (64u << 20)

/* Shared pages count by their share, so that a sum over processes is what the host would get
 * back. */
typedef struct {
    guint64 pss_bytes, anon_bytes, file_bytes, shmem_bytes;
} Pss;

/* The number of kB after @key, which begins a line and ends in a colon. */
static guint64 kib_field(const char *text, const char *key)
{
    g_autofree char *wanted = g_strconcat("\n", key, NULL);
    const char *line = text ? strstr(text, wanted) : NULL;
    return line ? strtoull(line + strlen(wanted), NULL, 10) * 1024 : 0;
}

/* A process that ended meanwhile counts nothing. */
static Pss pss_of(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", pid);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 1 << 16, NULL, NULL);
    return (Pss){ kib_field(text, "Pss:"), kib_field(text, "Pss_Anon:"),
        kib_field(text, "Pss_File:"), kib_field(text, "Pss_Shmem:") };
}

static guint64 page_table_bytes(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", pid);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 1 << 16, NULL, NULL);
    return kib_field(text, "VmPTE:");
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

static void add_descent(GArray *pids, int pid, int except);

static void add_children(GArray *pids, int pid, const char *thread, int except)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%s/children", pid, thread);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 1 << 20, NULL, NULL);
    g_auto(GStrv) words = g_strsplit(text ? text : "", " ", -1);
    for (char **word = words; *word; word++)
        if (**word)
            add_descent(pids, atoi(*word), except);
}

/* @pid and all below it, but for @except and what is below that. */
static void add_descent(GArray *pids, int pid, int except)
{
    if (pid <= 0 || pid == except)
        return;
    g_array_append_val(pids, pid);
    g_autofree char *path = g_strdup_printf("/proc/%d/task", pid);
    g_autoptr(GDir) threads = g_dir_open(path, 0, NULL);
    const char *thread;
    while (threads && (thread = g_dir_read_name(threads)))
        add_children(pids, pid, thread, except);
}

guint64 duet_processes_pss(const GArray *pids)
{
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(gint));
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    guint64 sum = 0;

    for (guint i = 0; i < pids->len; i++)
        add_descent(all, g_array_index(pids, gint, i), 0);
    for (guint i = 0; i < all->len; i++) {
        int pid = g_array_index(all, gint, i);
        if (g_hash_table_add(seen, GINT_TO_POINTER(pid)))
            sum += pss_of(pid).pss_bytes;
    }
    return sum;
}

/* Without a cgroup it is told by descent: what an instance is made of is below its monitor. */
static GArray *part_pids(DuetCgroup *cgroup, DuetCgroupPart part, const DuetInfo *info)
{
    if (duet_cgroup_tracks(cgroup, part))
        return duet_cgroup_pids(cgroup, part);
    GArray *pids = g_array_new(FALSE, FALSE, sizeof(gint));
    if (part == DUET_CGROUP_PAYLOAD)
        add_descent(pids, (int)info->pid, 0);
    else
        add_descent(pids, (int)info->monitor_pid, (int)info->pid);
    return pids;
}

/* libvirt's worker is in both parts of a v1 hierarchy, as one thread of it starts QEMU: it manages.
 */
static void drop(GArray *pids, const GArray *others)
{
    for (guint i = pids->len; i > 0; i--)
        for (guint k = 0; k < others->len; k++)
            if (g_array_index(pids, int, i - 1) == g_array_index(others, int, k)) {
                g_array_remove_index_fast(pids, i - 1);
                break;
            }
}

static void split_guest_ram(const DuetSpec *spec, int pid, DuetMemory *memory)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps", pid);
    g_autofree char *smaps = duet_file_read(AT_FDCWD, path, SMAPS_MAX_BYTES, NULL, NULL);
    memory->guest_ram_pss_bytes =
        duet_smaps_guest_ram(smaps, duet_vm_memory_bytes(spec), &memory->guest_ram_shared);
    guint64 *whole = memory->guest_ram_shared ? &memory->shmem_pss_bytes : &memory->anon_pss_bytes;
    *whole -= MIN(*whole, memory->guest_ram_pss_bytes);
}

static void add_payload(
    const DuetSpec *spec, const DuetInfo *info, GArray *pids, DuetMemory *memory)
{
    gboolean vm = spec->kind == DUET_KIND_VM;
    for (guint i = 0; i < pids->len; i++) {
        int pid = g_array_index(pids, int, i);
        Pss pss = pss_of(pid);
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
        split_guest_ram(spec, (int)info->pid, memory);
}

static void add_managing(GArray *pids, DuetMemory *memory)
{
    for (guint i = 0; i < pids->len; i++) {
        Pss pss = pss_of(g_array_index(pids, int, i));
        memory->managing_pss_bytes += pss.pss_bytes;
        memory->managing_file_pss_bytes += pss.file_bytes;
    }
}

static void add_cgroups(DuetCgroup *payload, DuetCgroup *managing, DuetMemory *memory)
{
    DuetCgroupUsage usage = { 0 };
    duet_cgroup_usage(payload, DUET_CGROUP_PAYLOAD, DUET_CGROUP_WANT_ALL, &usage);
    memory->cgroup_bytes = usage.memory_bytes;
    memory->cgroup_anon_bytes = usage.anon_bytes;
    memory->cgroup_file_bytes = usage.file_bytes;
    memory->cgroup_kernel_bytes = usage.kernel_bytes;
    memory->cgroup_shmem_bytes = usage.shmem_bytes;
    duet_cgroup_usage(managing, DUET_CGROUP_MONITOR, DUET_CGROUP_WANT_ALL, &usage);
    memory->managing_cgroup_bytes = usage.memory_bytes;
    memory->managing_cgroup_anon_bytes = usage.anon_bytes;
    memory->managing_cgroup_file_bytes = usage.file_bytes;
    memory->managing_cgroup_kernel_bytes = usage.kernel_bytes;
    memory->managing_cgroup_shmem_bytes = usage.shmem_bytes;
}

gboolean duet_instance_memory(DuetInstance *instance, DuetMemory *out_memory, GError **error)
{
    g_autoptr(DuetInfo) info = duet_instance_info(instance, error);
    if (!info)
        return FALSE;
    if (!info->pid || !info->cgroup) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE, "the instance '%s' is not running",
            instance->spec->name);
        return FALSE;
    }
    g_autoptr(DuetCgroup) cgroup = duet_cgroup_open(info->cgroup, instance->spec->id, error);
    if (!cgroup)
        return FALSE;
    /* Another manager's cgroup, or none that is this payload's alone. */
    g_autoptr(DuetCgroup) elsewhere =
        info->payload_cgroup ? duet_cgroup_open_foreign(info->payload_cgroup) : NULL;
    DuetCgroup *payload = elsewhere ? elsewhere : cgroup;
    g_autoptr(GArray) managing_pids = part_pids(cgroup, DUET_CGROUP_MONITOR, info);
    g_autoptr(GArray) pids = part_pids(payload, DUET_CGROUP_PAYLOAD, info);
    drop(pids, managing_pids);
    int pid = (int)info->pid;
    if (pids->len == 0 && instance->spec->connect)
        g_array_append_val(pids, pid);
    DuetMemory memory = { 0 };
    add_payload(instance->spec, info, pids, &memory);
    add_managing(managing_pids, &memory);
    add_cgroups(payload, cgroup, &memory);
    *out_memory = memory;
    return TRUE;
}
