/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cgroup-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <duet/mark.h>

#include "core/util.h"

guint duet_cgroup_v2_controllers(int dir_fd)
{
    char text[1024];
    if (duet_cgroup_file_read(dir_fd, "cgroup.controllers", text, sizeof text) < 0)
        return 0;
    return duet_controllers_parse(text, " \n");
}

int duet_cgroup_v2_enable(int dir_fd, guint controllers)
{
    char text[1024];
    if (duet_cgroup_file_read(dir_fd, "cgroup.subtree_control", text, sizeof text) < 0)
        return errno;
    controllers &= ~duet_controllers_parse(text, " \n");
    static const struct {
        DuetController bit;
        const char *text;
    } words[] = {
        { DUET_CONTROLLER_MEMORY, "+memory" },
        { DUET_CONTROLLER_CPU, "+cpu" },
        { DUET_CONTROLLER_PIDS, "+pids" },
        { DUET_CONTROLLER_CPUSET, "+cpuset" },
        { DUET_CONTROLLER_IO, "+io" },
        { DUET_CONTROLLER_HUGETLB, "+hugetlb" },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        if ((controllers & words[i].bit) == 0)
            continue;
        int err = duet_cgroup_file_write(dir_fd, "cgroup.subtree_control", words[i].text);
        if (err != 0)
            return err;
    }
    return 0;
}

/* Waits until @key in cgroup.events has @value; the kernel tells of changes by POLLPRI. */
static int wait_event(int part_fd, const char *key, guint64 value, guint timeout_ms)
{
    DUET_AUTO_FD fd = openat(part_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    gint64 deadline_ns = duet_now_ns() + (gint64)timeout_ms * 1000000;
    for (;;) {
        char text[256];
        gssize length = pread(fd, text, sizeof text - 1, 0);
        if (length < 0)
            return errno;
        text[length] = '\0';
        if (duet_cgroup_text_number(text, key) == value)
            return 0;
        gint64 left_ms = (deadline_ns - duet_now_ns() + 999999) / 1000000;
        if (left_ms <= 0)
            return ETIMEDOUT;
        struct pollfd wait = { .fd = fd, .events = POLLPRI };
        if (poll(&wait, 1, (int)left_ms) < 0 && errno != EINTR)
            return errno;
    }
}

static gboolean v2_kill(int part_fd)
{
    int err = duet_cgroup_file_write(part_fd, "cgroup.kill", "1");
    if (err == ENOENT || err == EOPNOTSUPP) /* before Linux 5.14 */
        return duet_cgroup_dir_kill(part_fd);
    errno = err;
    return err == 0;
}

static gboolean v2_wait_empty(int part_fd, guint timeout_ms)
{
    return wait_event(part_fd, "populated", 0, timeout_ms) == 0;
}

static int v2_freeze(int part_fd, gboolean frozen, guint timeout_ms)
{
    int err = duet_cgroup_file_write(part_fd, "cgroup.freeze", frozen ? "1" : "0");
    return err != 0 ? err : wait_event(part_fd, "frozen", frozen ? 1 : 0, timeout_ms);
}

static void v2_peak(int part_fd, DuetCgroupUsage *usage)
{
    char text[256];
    usage->memory_peak_bytes = duet_cgroup_file_number(part_fd, "memory.peak");
    if (duet_cgroup_file_read(part_fd, "memory.events", text, sizeof text) > 0)
        usage->oom_kills = duet_cgroup_text_number(text, "oom_kill");
}

/* Buffers of sockets are charged as pages of their own, which "kernel" does not count. */
static guint64 v2_kernel_bytes(const char *stat)
{
    guint64 bytes = duet_cgroup_text_number(stat, "kernel");
    if (bytes == 0) /* before Linux 5.18 the sum has to be made here */
        bytes = duet_cgroup_text_number(stat, "slab") +
            duet_cgroup_text_number(stat, "kernel_stack") +
            duet_cgroup_text_number(stat, "pagetables") + duet_cgroup_text_number(stat, "percpu");
    return bytes + duet_cgroup_text_number(stat, "sock");
}

static void v2_memory(int part_fd, DuetCgroupUsage *usage)
{
    char text[8192];
    if (duet_cgroup_file_number_or(part_fd, "memory.current", &usage->memory_bytes))
        usage->known |= DUET_CGROUP_WANT_MEMORY;
    if (duet_cgroup_file_read(part_fd, "memory.stat", text, sizeof text) > 0) {
        guint64 file = duet_cgroup_text_number(text, "file");
        usage->anon_bytes = duet_cgroup_text_number(text, "anon");
        usage->shmem_bytes = duet_cgroup_text_number(text, "shmem");
        usage->file_bytes = file - MIN(file, usage->shmem_bytes);
        usage->inactive_file_bytes = duet_cgroup_text_number(text, "inactive_file");
        usage->kernel_bytes = v2_kernel_bytes(text);
    }
}

/* Without the controller there is no such file; with it, an empty one means that nothing was
 * moved. A host with so many devices that their lines do not fit is told nothing. */
static void v2_io(int part_fd, DuetCgroupUsage *usage)
{
    char text[65536];
    gssize length = duet_cgroup_file_read(part_fd, "io.stat", text, sizeof text);
    if (length < 0 || (gsize)length == sizeof text - 1)
        return;
    duet_cgroup_io_parse(text, usage);
    usage->known |= DUET_CGROUP_WANT_IO;
}

static void v2_usage(int part_fd, guint controllers, guint want, DuetCgroupUsage *out_usage)
{
    char text[1024];
    gboolean memory = (controllers & DUET_CONTROLLER_MEMORY) != 0;
    if (memory && (want & DUET_CGROUP_WANT_PEAK) != 0)
        v2_peak(part_fd, out_usage);
    if (memory && (want & DUET_CGROUP_WANT_MEMORY) != 0)
        v2_memory(part_fd, out_usage);
    if (memory && (want & DUET_CGROUP_WANT_LIMIT) != 0 &&
        duet_cgroup_file_number_or(part_fd, "memory.max", &out_usage->limit_bytes))
        out_usage->known |= DUET_CGROUP_WANT_LIMIT;
    if ((want & DUET_CGROUP_WANT_TASKS) != 0 &&
        duet_cgroup_file_number_or(part_fd, "pids.current", &out_usage->tasks))
        out_usage->known |= DUET_CGROUP_WANT_TASKS;
    if ((want & DUET_CGROUP_WANT_IO) != 0)
        v2_io(part_fd, out_usage);
    if ((want & DUET_CGROUP_WANT_CPU) == 0)
        return;
    /* usage_usec is there in every v2 cgroup, with the controller or without */
    if (duet_cgroup_file_read(part_fd, "cpu.stat", text, sizeof text) > 0) {
        out_usage->cpu_ns = duet_cgroup_text_number(text, "usage_usec") * 1000;
        out_usage->known |= DUET_CGROUP_WANT_CPU;
    }
}

/* Before Linux 5.19 there is no such file. */
static void v2_drop_cache(int part_fd)
{
    g_autofree char *bytes =
        g_strdup_printf("%" G_GUINT64_FORMAT, duet_cgroup_file_number(part_fd, "memory.current"));
    duet_cgroup_file_write(part_fd, "memory.reclaim", bytes);
}

const DuetCgroupBackend duet_cgroup_backend_v2 = {
    .join_file = "cgroup.procs",
    .kill = v2_kill,
    .wait_empty = v2_wait_empty,
    .freeze = v2_freeze,
    .usage = v2_usage,
    .drop_cache = v2_drop_cache,
};
