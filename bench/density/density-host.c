/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-host.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bench/memory/memory-point.h"
#include "core/util.h"

#define AT(member) G_STRUCT_OFFSET(DuetDensityHost, member)
static const DuetHostField fields[] = {
    { "stalled_us", AT(stalled_us) },
    { "refault_pages", AT(refault_pages) },
    { "tasks", AT(tasks) },
    { "tasks_max", AT(tasks_max) },
    { "files", AT(files) },
    { "files_max", AT(files_max) },
    { "own_files", AT(own_files) },
    { "own_files_max", AT(own_files_max) },
    { NULL, 0 },
};
#undef AT

static char *read_proc(const char *path)
{
    return duet_file_read(AT_FDCWD, path, 1 << 20, NULL, NULL);
}

static guint64 number_in(const char *path)
{
    g_autofree char *text = read_proc(path);

    return text ? strtoull(text, NULL, 10) : 0;
}

/* Adds up the numbers of all lines that begin with @key. */
static guint64 sum_of(const char *text, const char *key)
{
    guint64 sum = 0;

    for (const char *line = text; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, key, strlen(key)) == 0)
            sum += strtoull(line + strcspn(line, " "), NULL, 10);
    }
    return sum;
}

static void read_pressure(DuetDensityHost *host)
{
    /* A kernel with PSI that is off has the file, and refuses to read it. */
    g_autofree char *text = read_proc("/proc/pressure/memory");
    const char *full = text ? strstr(text, "full ") : NULL;
    const char *total = full ? strstr(full, "total=") : NULL;

    host->has_pressure = total != NULL;
    if (total)
        host->stalled_us = strtoull(total + strlen("total="), NULL, 10);
    g_autofree char *vmstat = read_proc("/proc/vmstat");
    /* Before Linux 5.9 one row, since then one for files and one for anonymous pages. */
    host->refault_pages = sum_of(vmstat, "workingset_refault");
}

static void read_tasks(DuetDensityHost *host)
{
    g_autofree char *load = read_proc("/proc/loadavg");
    const char *slash = load ? strchr(load, '/') : NULL;
    guint64 threads = number_in("/proc/sys/kernel/threads-max");
    guint64 pids = number_in("/proc/sys/kernel/pid_max");

    host->tasks = slash ? strtoull(slash + 1, NULL, 10) : 0;
    host->tasks_max = threads > 0 && pids > 0 ? MIN(threads, pids) : MAX(threads, pids);
}

static void read_files(DuetDensityHost *host)
{
    g_autofree char *text = read_proc("/proc/sys/fs/file-nr");
    g_auto(GStrv) words = g_strsplit_set(text ? text : "", "\t \n", -1);
    g_autoptr(GDir) own = g_dir_open("/proc/self/fd", 0, NULL);
    struct rlimit limit;

    if (g_strv_length(words) >= 3) {
        host->files = strtoull(words[0], NULL, 10);
        host->files_max = strtoull(words[2], NULL, 10);
    }
    while (own && g_dir_read_name(own))
        host->own_files++;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        host->own_files_max = limit.rlim_cur;
}

gboolean duet_density_host_read(DuetDensityHost *out_host, GError **error)
{
    DuetDensityHost host = { 0 };

    if (!duet_host_memory_read(&host.memory, error))
        return FALSE;
    read_pressure(&host);
    read_tasks(&host);
    read_files(&host);
    *out_host = host;
    return TRUE;
}

guint64 duet_density_host_spare(const DuetDensityHost *host)
{
    guint64 kept = duet_host_memory_floor(&host->memory) / 2;

    return host->memory.available_bytes > kept ? host->memory.available_bytes - kept : 0;
}

JsonObject *duet_density_host_to_json(const DuetDensityHost *host)
{
    JsonObject *object = duet_host_memory_to_json(&host->memory);

    json_object_set_boolean_member(object, "has_pressure", host->has_pressure);
    for (const DuetHostField *field = fields; field->json; field++) {
        guint64 value = G_STRUCT_MEMBER(guint64, host, field->offset);
        /* "No limit" is the largest number there is, and JSON readers have none so large. */
        json_object_set_int_member(object, field->json, MIN(value, (guint64)G_MAXINT64));
    }
    return object;
}

DuetDensityHost duet_density_host_from_json(DuetJsonReader *reader, JsonObject *object)
{
    DuetDensityHost host = {
        .memory = duet_host_memory_from_json(reader, object),
        .has_pressure = duet_json_get_boolean(reader, object, "has_pressure"),
    };

    for (const DuetHostField *field = fields; field->json; field++)
        G_STRUCT_MEMBER(guint64, &host, field->offset) =
            duet_json_get_int(reader, object, field->json, 0, G_MAXINT64, 0);
    return host;
}
