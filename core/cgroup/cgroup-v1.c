/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <duet/mark.h>

/* v1 sends no events: look again after a pause that grows from the one to the other. */
#define PAUSE_MIN_US 200
#define PAUSE_MAX_US 10000

/* What forks faster than it is killed ends as well: every round takes all that it finds. */
static gboolean v1_wait_empty(int part_fd, guint timeout_ms)
{
    gint64 deadline_ns = duet_now_ns() + (gint64)timeout_ms * 1000000;
    for (gulong pause_us = PAUSE_MIN_US;; pause_us = MIN(pause_us * 2, PAUSE_MAX_US)) {
        g_autoptr(GArray) pids = g_array_new(FALSE, FALSE, sizeof(gint));
        duet_cgroup_dir_pids(part_fd, pids);
        if (pids->len == 0)
            return TRUE;
        if (duet_now_ns() >= deadline_ns)
            return FALSE;
        g_usleep(pause_us);
        duet_cgroup_dir_kill(part_fd);
    }
}

static int v1_freeze(int part_fd, gboolean frozen, guint timeout_ms)
{
    const char *wanted = frozen ? "FROZEN" : "THAWED";
    gint64 deadline_ns = duet_now_ns() + (gint64)timeout_ms * 1000000;
    for (gulong pause_us = PAUSE_MIN_US;; pause_us = MIN(pause_us * 2, PAUSE_MAX_US)) {
        /* written anew each round: a process that was forked meanwhile is caught by that */
        int err = duet_cgroup_file_write(part_fd, "freezer.state", wanted);
        if (err != 0)
            return err;
        char state[32];
        if (duet_cgroup_file_read(part_fd, "freezer.state", state, sizeof state) < 0)
            return errno;
        if (strncmp(state, wanted, strlen(wanted)) == 0)
            return 0;
        if (duet_now_ns() >= deadline_ns)
            return ETIMEDOUT;
        g_usleep(pause_us);
    }
}

static void v1_peak(int part_fd, DuetCgroupUsage *usage)
{
    char text[256];
    usage->memory_peak_bytes = duet_cgroup_file_number(part_fd, "memory.max_usage_in_bytes");
    if (duet_cgroup_file_read(part_fd, "memory.oom_control", text, sizeof text) > 0)
        usage->oom_kills = duet_cgroup_text_number(text, "oom_kill");
}

static void v1_memory(int part_fd, DuetCgroupUsage *usage)
{
    char text[8192];
    if (duet_cgroup_file_number_or(part_fd, "memory.usage_in_bytes", &usage->memory_bytes))
        usage->known |= DUET_CGROUP_WANT_MEMORY;
    /* TCP's buffers have a counter of their own, which neither of the others includes; it counts
     * once somebody set a limit to it. */
    guint64 tcp_bytes = duet_cgroup_file_number(part_fd, "memory.kmem.tcp.usage_in_bytes");
    usage->memory_bytes += tcp_bytes;
    usage->kernel_bytes =
        duet_cgroup_file_number(part_fd, "memory.kmem.usage_in_bytes") + tcp_bytes;
    if (duet_cgroup_file_read(part_fd, "memory.stat", text, sizeof text) > 0) {
        guint64 cache = duet_cgroup_text_number(text, "total_cache");
        usage->anon_bytes = duet_cgroup_text_number(text, "total_rss");
        usage->shmem_bytes = duet_cgroup_text_number(text, "total_shmem");
        usage->file_bytes = cache - MIN(cache, usage->shmem_bytes);
        usage->inactive_file_bytes = duet_cgroup_text_number(text, "total_inactive_file");
    }
}

static void v1_usage(int part_fd, guint controllers, guint want, DuetCgroupUsage *out_usage)
{
    gboolean memory = (controllers & DUET_CONTROLLER_MEMORY) != 0;
    if (memory && (want & DUET_CGROUP_WANT_PEAK) != 0)
        v1_peak(part_fd, out_usage);
    if (memory && (want & DUET_CGROUP_WANT_MEMORY) != 0)
        v1_memory(part_fd, out_usage);
    if (memory && (want & DUET_CGROUP_WANT_LIMIT) != 0 &&
        duet_cgroup_file_number_or(part_fd, "memory.limit_in_bytes", &out_usage->limit_bytes))
        out_usage->known |= DUET_CGROUP_WANT_LIMIT;
    if ((controllers & DUET_CONTROLLER_CPUACCT) != 0 && (want & DUET_CGROUP_WANT_CPU) != 0 &&
        duet_cgroup_file_number_or(part_fd, "cpuacct.usage", &out_usage->cpu_ns))
        out_usage->known |= DUET_CGROUP_WANT_CPU;
    if ((controllers & DUET_CONTROLLER_PIDS) != 0 && (want & DUET_CGROUP_WANT_TASKS) != 0 &&
        duet_cgroup_file_number_or(part_fd, "pids.current", &out_usage->tasks))
        out_usage->known |= DUET_CGROUP_WANT_TASKS;
    /* Nothing of io: v1's blkio counts what is written through the page cache as nobody's. */
}

static void v1_drop_cache(int part_fd)
{
    duet_cgroup_file_write(part_fd, "memory.force_empty", "0");
}

const DuetCgroupBackend duet_cgroup_backend_v1 = {
    .join_file = "tasks",
    .kill = duet_cgroup_dir_kill,
    .wait_empty = v1_wait_empty,
    .freeze = v1_freeze,
    .usage = v1_usage,
    .drop_cache = v1_drop_cache,
};
