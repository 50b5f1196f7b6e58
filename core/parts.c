/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/parts.h"
#include "core/state.h"
#include "core/util.h"

#include <duet/error.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

void duet_parts_clear(DuetParts *parts)
{
    g_clear_pointer(&parts->info, duet_info_free);
    g_clear_pointer(&parts->cgroup, duet_cgroup_free);
    g_clear_pointer(&parts->elsewhere, duet_cgroup_free);
    parts->payload = NULL;
}

gboolean duet_parts_open(DuetInstance *instance, DuetParts *out_parts, GError **error)
{
    g_auto(DuetParts) parts = { .info = duet_instance_info(instance, error) };
    if (!parts.info)
        return FALSE;
    if (!parts.info->pid || !parts.info->cgroup) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE, "the instance '%s' is not running",
            instance->spec->name);
        return FALSE;
    }
    parts.cgroup = duet_cgroup_open(parts.info->cgroup, instance->spec->id, error);
    if (!parts.cgroup)
        return FALSE;
    if (parts.info->payload_cgroup)
        parts.elsewhere = duet_cgroup_open_foreign(parts.info->payload_cgroup);
    parts.payload = parts.elsewhere ? parts.elsewhere : parts.cgroup;
    *out_parts = parts;
    parts = (DuetParts){ 0 };
    return TRUE;
}

static void add_children(GArray *pids, int pid, const char *thread, int except)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/task/%s/children", pid, thread);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 1 << 20, NULL, NULL);
    g_auto(GStrv) words = g_strsplit(text ? text : "", " ", -1);
    for (char **word = words; *word; word++)
        if (**word)
            duet_pids_below(pids, atoi(*word), except);
}

void duet_pids_below(GArray *pids, int pid, int except)
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
        duet_pids_below(pids, (int)info->pid, 0);
    else
        duet_pids_below(pids, (int)info->monitor_pid, (int)info->pid);
    return pids;
}

/* libvirt's worker is in both parts of a v1 hierarchy, as one thread of it starts QEMU: it manages.
 */
static void drop(GArray *pids, const GArray *others)
{
    for (guint i = pids->len; i > 0; i--)
        if (duet_pids_contain(others, g_array_index(pids, int, i - 1)))
            g_array_remove_index_fast(pids, i - 1);
}

GArray *duet_parts_managing_pids(const DuetParts *parts)
{
    return part_pids(parts->cgroup, DUET_CGROUP_MONITOR, parts->info);
}

GArray *duet_parts_payload_pids(const DuetParts *parts, const GArray *managing_pids)
{
    GArray *pids = part_pids(parts->payload, DUET_CGROUP_PAYLOAD, parts->info);
    drop(pids, managing_pids);
    int pid = (int)parts->info->pid;
    if (pids->len == 0 && parts->info->spec->connect)
        g_array_append_val(pids, pid);
    return pids;
}

guint64 duet_kib_field(const char *text, const char *key)
{
    g_autofree char *wanted = g_strconcat("\n", key, NULL);
    const char *line = text ? strstr(text, wanted) : NULL;
    return line ? strtoull(line + strlen(wanted), NULL, 10) * 1024 : 0;
}

DuetPss duet_process_pss(int pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", pid);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 1 << 16, NULL, NULL);
    return (DuetPss){ duet_kib_field(text, "Pss:"), duet_kib_field(text, "Pss_Anon:"),
        duet_kib_field(text, "Pss_File:"), duet_kib_field(text, "Pss_Shmem:") };
}
