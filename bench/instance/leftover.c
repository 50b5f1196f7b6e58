/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "leftover.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/places.h"
#include "core/util.h"
#include "child.h"

#define PATIENCE_MS 3000
#define MOUNTINFO_MAX_BYTES (16u * 1024 * 1024)

static gboolean outlasts(gint64 pid)
{
    gint64 until_ns = duet_now_ns() + PATIENCE_MS * G_GINT64_CONSTANT(1000000);

    return pid > 0 && !duet_process_wait_gone((pid_t)pid, until_ns);
}

static void check_cgroup(const char *point, const char *cgroup, const char *id, DuetSample *sample)
{
    g_auto(GStrv) entries = g_strsplit(cgroup ? cgroup : "", " ", -1);

    for (char **entry = entries; *entry; entry++) {
        const char *below = strchr(*entry, '/');
        if (!below || !strstr(below, id))
            continue;
        g_autofree char *path = g_build_filename(point, below, NULL);
        if (access(path, F_OK) == 0)
            duet_sample_warn(sample, "left behind: the cgroup '%s'", path);
    }
}

static void check_mounts(const char *cgroup, const char *id, DuetSample *sample)
{
    g_autofree char *mountinfo =
        duet_file_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX_BYTES, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(mountinfo ? mountinfo : "", "\n", -1);

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", 6);
        if (g_strv_length(words) < 6)
            continue;
        if (strstr(*line, id))
            duet_sample_warn(sample, "left behind: a mount at '%s'", words[4]);
        if (strstr(words[5], " - cgroup"))
            check_cgroup(words[4], cgroup, id, sample);
    }
}

static void check_run_dir(const char *id, DuetSample *sample)
{
    g_autofree char *base = duet_place_run(NULL);
    g_autofree char *path = g_build_filename(base ? base : "/nonexistent", id, NULL);

    if (access(path, F_OK) == 0)
        duet_sample_warn(sample, "left behind: '%s'", path);
}

void duet_leftover_check(
    DuetContext *context, const char *id, const DuetInfo *info, DuetSample *sample)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetInstance) instance = duet_instance_open(context, id, &error);

    if (instance)
        duet_sample_warn(sample, "left behind: the instance '%s' is still listed", id);
    if (info && outlasts(info->pid))
        duet_sample_warn(
            sample, "left behind: its process %" G_GINT64_FORMAT " still runs", info->pid);
    if (info && outlasts(info->monitor_pid))
        duet_sample_warn(
            sample, "left behind: its monitor %" G_GINT64_FORMAT " still runs", info->monitor_pid);
    check_mounts(info ? info->cgroup : NULL, id, sample);
    check_run_dir(id, sample);
}
