/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Claims on kernels and processes. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "core/util.h"
#include "judge.h"
#include "live.h"

#define PROC_MAX_BYTES (1u << 20)

static const char kernel_script[] =
    "cat /proc/version /proc/sys/kernel/random/boot_id /proc/sys/kernel/osrelease && "
    /* What uname says must be the same release. */
    "[ \"$(uname -r)\" = \"$(cat /proc/sys/kernel/osrelease)\" ]";

static gboolean kernel_of_host(DuetKernelSeen *out_seen, GError **error)
{
    static const char *const paths[] = { "/proc/version", "/proc/sys/kernel/random/boot_id",
        "/proc/sys/kernel/osrelease" };
    g_autoptr(GString) text = g_string_new(NULL);

    for (gsize i = 0; i < G_N_ELEMENTS(paths); i++) {
        g_autofree char *content = duet_file_read(AT_FDCWD, paths[i], PROC_MAX_BYTES, NULL, error);
        if (!content)
            return FALSE;
        g_string_append(text, content);
    }
    return duet_kernel_seen_parse(text->str, out_seen, error);
}

/* The host's kernel, and what an instance of @base says of its. */
static gboolean see_kernels(DuetClaimTrial *trial, const DuetSpec *base, DuetKernelSeen *out_host,
    DuetKernelSeen *out_instance, GError **error)
{
    DuetLive live;
    guint index;

    if (!kernel_of_host(out_host, error))
        return FALSE;
    duet_live_begin(&live, trial, trial->request->context);
    g_autofree char *text = duet_live_start(&live, base, NULL, NULL, &index, error)
        ? duet_live_ask(&live, index, kernel_script, error)
        : NULL;
    return duet_live_end(&live, error) && text && duet_kernel_seen_parse(text, out_instance, error);
}

gboolean duet_claim_kernel_shared(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    g_auto(DuetKernelSeen) host = { 0 }, container = { 0 };

    if (!see_kernels(trial, trial->request->container, &host, &container, error))
        return FALSE;
    duet_judge_kernel_shared(&host, &container, finding);
    return TRUE;
}

gboolean duet_claim_kernel_own(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    g_auto(DuetKernelSeen) host = { 0 }, vm = { 0 };

    if (!see_kernels(trial, trial->request->vm, &host, &vm, error))
        return FALSE;
    duet_judge_kernel_own(&host, &vm, finding);
    return TRUE;
}

/* A command line as the instances' shells print it: blanks for the NUL bytes between its words. */
static char *command_line(const char *pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/cmdline", pid);
    gsize length = 0;
    char *text = duet_file_read(AT_FDCWD, path, PROC_MAX_BYTES, &length, NULL);

    for (gsize i = 0; text && i < length; i++)
        if (!text[i])
            text[i] = ' ';
    return text;
}

static gboolean host_finds(const char *marker)
{
    DIR *proc = opendir("/proc");
    gboolean found = FALSE;

    for (struct dirent *entry; proc && !found && (entry = readdir(proc));) {
        g_autofree char *text =
            g_ascii_isdigit(entry->d_name[0]) ? command_line(entry->d_name) : NULL;
        found = text && strstr(text, marker);
    }
    if (proc)
        closedir(proc);
    return found;
}

/* All command lines that an instance finds; processes may end while it looks. */
static const char processes_script[] = "cat /proc/[0-9]*/cmdline 2>/dev/null; :";

static gboolean see_processes(
    DuetLive *live, const DuetSpec *base, DuetProcessesSeen *out_seen, GError **error)
{
    g_autofree char *first = duet_live_marker(), *second = duet_live_marker();
    const char *const markers[] = { first, second };
    g_autofree char *ours = command_line("self");
    guint index[2];

    for (guint i = 0; i < 2; i++)
        if (!duet_live_start(live, base, NULL, markers[i], &index[i], error))
            return FALSE;
    for (guint i = 0; i < 2; i++) {
        g_autofree char *found = duet_live_ask(live, index[i], processes_script, error);
        if (!found)
            return FALSE;
        out_seen->own[i] = strstr(found, markers[i]) != NULL;
        out_seen->other[i] = strstr(found, markers[1 - i]) != NULL;
        out_seen->host[i] = ours && *ours && strstr(found, ours);
        out_seen->by_host[i] = host_finds(markers[i]);
    }
    return TRUE;
}

gboolean duet_claim_processes(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    DuetProcessesSeen seen = { 0 };
    DuetLive live;

    duet_live_begin(&live, trial, trial->request->context);
    gboolean saw = see_processes(&live, trial->request->container, &seen, error);
    if (!duet_live_end(&live, error) || !saw)
        return FALSE;
    duet_judge_processes(&seen, finding);
    return TRUE;
}
