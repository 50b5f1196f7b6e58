/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/cgroup.h"
#include "core/state.h"
#include "core/util.h"

#include <duet/error.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Pss of /proc/PID/smaps_rollup: shared pages count by their share, so that a sum over processes
 * is what the host would get back. A process that ended meanwhile counts nothing. */
static guint64 pss_bytes(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", pid);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 1 << 16, NULL, NULL);
    const char *line = text ? strstr(text, "\nPss:") : NULL;
    return line ? strtoull(line + strlen("\nPss:"), NULL, 10) * 1024 : 0;
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

static guint64 part_pss_bytes(DuetCgroup *cgroup, DuetCgroupPart part, const DuetInfo *info)
{
    guint64 sum = 0;
    g_autoptr(GArray) pids = part_pids(cgroup, part, info);
    for (guint i = 0; i < pids->len; i++)
        sum += pss_bytes(g_array_index(pids, int, i));
    return sum;
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
    DuetCgroupUsage usage = { 0 };
    duet_cgroup_usage(payload, DUET_CGROUP_PAYLOAD, &usage);
    guint64 pss = part_pss_bytes(payload, DUET_CGROUP_PAYLOAD, info);
    *out_memory = (DuetMemory){
        .payload_pss_bytes = pss || !instance->spec->connect ? pss : pss_bytes((int)info->pid),
        .managing_pss_bytes = part_pss_bytes(cgroup, DUET_CGROUP_MONITOR, info),
        .cgroup_bytes = usage.memory_bytes,
        .cgroup_anon_bytes = usage.anon_bytes,
        .cgroup_file_bytes = usage.file_bytes,
        .cgroup_kernel_bytes = usage.kernel_bytes,
    };
    return TRUE;
}
