/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an instance uses, read without having cost its start anything. CPU time and memory are what
 * its cgroup counts. Of io a container's cgroup counts nothing unless a limit of it was asked for,
 * but each process does: a process that ended is a part of the one that waited for it, and who
 * has no parent any more is waited for by the agent, so the sum over those that live is the total.
 */
#include "core/stats.h"
#include "core/memory.h"
#include "core/parts.h"
#include "core/state.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A process that ends between the list and its turn is in another one's figures then. */
#define TRIES 3

/* Sums over processes. @io_known, @all_there: of every one of them */
typedef struct {
    guint64 ticks, threads;
    guint64 read_bytes, write_bytes;
    gboolean io_known, all_there;
} Sums;

gboolean duet_stat_parse(const char *text, DuetProcessTimes *out_times)
{
    /* A name may have anything in it. */
    const char *rest = strrchr(text, ')');
    unsigned long own[2];
    unsigned long long began = 0;
    long children[2], threads;
    if (!rest ||
        sscanf(rest,
            ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld %*d %*d %ld %*d %llu",
            &own[0], &own[1], &children[0], &children[1], &threads, &began) < 5)
        return FALSE;
    out_times->ticks = own[0] + own[1] + (guint64)children[0] + (guint64)children[1];
    out_times->threads = (guint64)threads;
    out_times->began = began;
    return TRUE;
}

gboolean duet_io_parse(const char *text, guint64 *out_read_bytes, guint64 *out_write_bytes)
{
    const char *rest = strstr(text, "\nread_bytes: ");
    return rest &&
        sscanf(rest, "\nread_bytes: %" G_GUINT64_FORMAT "\nwrite_bytes: %" G_GUINT64_FORMAT,
            out_read_bytes, out_write_bytes) == 2;
}

/* Returns: 0 or an errno value. */
static int read_file(int pid, const char *name, char *buffer, gsize size)
{
    char path[64];
    g_snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    DUET_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC);
    gssize length = fd < 0 ? -1 : read(fd, buffer, size - 1);
    buffer[MAX(length, 0)] = '\0';
    return length < 0 ? errno : 0;
}

static void add_process(int pid, Sums *sums)
{
    char text[2048];
    DuetProcessTimes times;
    guint64 read_bytes, write_bytes;
    if (read_file(pid, "stat", text, sizeof text) != 0 || !duet_stat_parse(text, &times)) {
        sums->all_there = FALSE;
        return;
    }
    sums->ticks += times.ticks;
    sums->threads += times.threads;
    int err = read_file(pid, "io", text, sizeof text);
    if (err == ENOENT || err == ESRCH)
        sums->all_there = FALSE;
    else if (err != 0 || !duet_io_parse(text, &read_bytes, &write_bytes))
        sums->io_known = FALSE;
    else {
        sums->read_bytes += read_bytes;
        sums->write_bytes += write_bytes;
    }
}

/* Returns: (transfer full): the processes that were looked at. */
static GArray *add_processes(const DuetParts *parts, Sums *out_sums)
{
    g_autoptr(GArray) managing = duet_parts_managing_pids(parts);
    GArray *pids = NULL;
    for (int i = 0; i < TRIES; i++) {
        g_clear_pointer(&pids, g_array_unref);
        pids = duet_parts_payload_pids(parts, managing);
        *out_sums = (Sums){ .io_known = TRUE, .all_there = TRUE };
        for (guint k = 0; k < pids->len; k++)
            add_process(g_array_index(pids, int, k), out_sums);
        if (out_sums->all_there)
            break;
    }
    return pids;
}

/* An ordinary user's without a cgroup. */
static void memory_of_processes(const GArray *pids, DuetStats *stats)
{
    stats->memory_bytes = stats->anonymous_bytes = stats->file_bytes = stats->shmem_bytes = 0;
    for (guint i = 0; i < pids->len; i++) {
        int pid = g_array_index(pids, int, i);
        DuetPss pss = duet_process_pss(pid);
        if (pss.pss_bytes == 0) {
            char text[8192];
            read_file(pid, "status", text, sizeof text);
            pss = (DuetPss){ duet_kib_field(text, "VmRSS:"), duet_kib_field(text, "RssAnon:"),
                duet_kib_field(text, "RssFile:"), duet_kib_field(text, "RssShmem:") };
        }
        stats->memory_bytes += pss.pss_bytes;
        stats->anonymous_bytes += pss.anon_bytes;
        stats->file_bytes += pss.file_bytes;
        stats->shmem_bytes += pss.shmem_bytes;
    }
}

static void take_memory(const DuetCgroupUsage *usage, const GArray *pids, DuetStats *stats)
{
    guint64 ram = duet_host_ram();
    stats->memory_limit_bytes =
        usage->known & DUET_CGROUP_WANT_LIMIT ? MIN(usage->limit_bytes, ram) : ram;
    stats->kernel_bytes = DUET_UNKNOWN;
    if (!(usage->known & DUET_CGROUP_WANT_MEMORY)) {
        memory_of_processes(pids, stats);
        return;
    }
    stats->memory_bytes = usage->memory_bytes;
    stats->anonymous_bytes = usage->anon_bytes;
    stats->file_bytes = usage->file_bytes;
    stats->kernel_bytes = usage->kernel_bytes;
    stats->shmem_bytes = usage->shmem_bytes;
}

static void take_io(const DuetCgroupUsage *usage, const Sums *sums, DuetStats *stats)
{
    gboolean counted = (usage->known & DUET_CGROUP_WANT_IO) != 0;
    stats->read_bytes = stats->write_bytes = DUET_UNKNOWN;
    if (!counted && !sums->io_known)
        return;
    stats->read_bytes = counted ? usage->read_bytes : sums->read_bytes;
    stats->write_bytes = counted ? usage->write_bytes : sums->write_bytes;
}

gboolean duet_instance_stats(DuetInstance *instance, DuetStats *out_stats, GError **error)
{
    g_auto(DuetParts) parts = { 0 };
    if (!duet_parts_open(instance, &parts, error))
        return FALSE;
    DuetCgroupUsage usage;
    Sums sums;
    g_autoptr(GArray) pids = add_processes(&parts, &sums);
    if (pids->len == 0) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the instance '%s' has no process: it is about to start, or at its end",
            instance->spec->name);
        return FALSE;
    }
    DuetStats stats = { .started_ns = parts.info->marks.ns[DUET_MARK_SPAWNED] };
    stats.at_ns = duet_now_ns();
    duet_cgroup_usage(parts.payload, DUET_CGROUP_PAYLOAD,
        DUET_CGROUP_WANT_CPU | DUET_CGROUP_WANT_MEMORY | DUET_CGROUP_WANT_LIMIT |
            DUET_CGROUP_WANT_IO | DUET_CGROUP_WANT_TASKS,
        &usage);
    stats.cpu_ns = usage.known & DUET_CGROUP_WANT_CPU
        ? usage.cpu_ns
        : sums.ticks * (1000000000u / (guint64)sysconf(_SC_CLK_TCK));
    stats.threads = usage.known & DUET_CGROUP_WANT_TASKS ? usage.tasks : sums.threads;
    take_memory(&usage, pids, &stats);
    take_io(&usage, &sums, &stats);
    *out_stats = stats;
    return TRUE;
}
