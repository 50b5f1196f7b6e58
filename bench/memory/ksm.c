/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ksm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <duet/error.h>
#include <duet/mark.h>

#include "bench/instance/group.h"
#include "core/util.h"

/* A page is merged when two scans in a row find it unchanged. */
#define SCANS 2
#define STEP_MS 1000
/* Of what is merged: if a step moves less, it is done. */
#define STABLE_SHARE 0.005
#define STABLE_PAGES 64
/* So long ksmd may take to see that something new is offered. */
#define NOTICE_NS (3 * G_GINT64_CONSTANT(1000000000))

/* ---- what the kernel says ---- */

static gboolean read_number(const char *folder, const char *name, gint64 *out, GError **error)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 4096, NULL, error);

    *out = text ? g_ascii_strtoll(text, NULL, 10) : 0;
    return text != NULL;
}

/* Its utime and stime; the name is a kernel thread's only below process 2. Returns: -1: another. */
static gint64 ksmd_ticks(const char *pid)
{
    g_autofree char *path = g_build_filename("/proc", pid, "stat", NULL);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 4096, NULL, NULL);
    const char *after = text ? strstr(text, " (ksmd) ") : NULL;
    int parent;
    unsigned long user, system;

    if (!after ||
        sscanf(after, " (ksmd) %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &parent, &user,
            &system) != 3 ||
        parent != 2)
        return -1;
    return (gint64)(user + system);
}

static gint64 ksmd_cpu_ns(void)
{
    g_autoptr(GDir) processes = g_dir_open("/proc", 0, NULL);
    const char *name;

    while (processes && (name = g_dir_read_name(processes))) {
        gint64 ticks = g_ascii_isdigit(*name) ? ksmd_ticks(name) : -1;
        if (ticks >= 0)
            return ticks * (1000000000 / sysconf(_SC_CLK_TCK));
    }
    return -1;
}

static gboolean count(const char *folder, DuetKsmCount *out_count, GError **error)
{
    DuetKsmCount now = { .at_ns = duet_now_ns(), .cpu_ns = ksmd_cpu_ns() };
    gint64 unshared, changing;

    if (!read_number(folder, "full_scans", &now.full_scans, error) ||
        !read_number(folder, "pages_sharing", &now.sharing_pages, error) ||
        !read_number(folder, "pages_shared", &now.shared_pages, error) ||
        !read_number(folder, "pages_unshared", &unshared, error) ||
        !read_number(folder, "pages_volatile", &changing, error))
        return FALSE;
    now.other_pages = unshared + changing;
    *out_count = now;
    return TRUE;
}

gint64 duet_ksm_saved_bytes(const DuetKsmOutcome *outcome)
{
    return (outcome->after.sharing_pages - outcome->before.sharing_pages) * outcome->page_bytes;
}

gint64 duet_ksm_cpu_ns(const DuetKsmOutcome *outcome)
{
    gboolean known = outcome->before.cpu_ns >= 0 && outcome->after.cpu_ns >= 0;

    return known ? outcome->after.cpu_ns - outcome->before.cpu_ns : -1;
}

/* ---- the switch ---- */

static char wanted_of(const char *wish)
{
    return g_str_equal(wish, "on") ? '1' : '0';
}

/* Returns: the character that `run` holds, or 0 with @error. */
static char read_switch(const char *folder, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "run", NULL);
    g_autofree char *text = duet_file_read(AT_FDCWD, path, 16, NULL, NULL);

    if (text && *text >= '0' && *text <= '2')
        return *text;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "this kernel has no KSM ('%s' is not there or says nothing): leave --ksm out", path);
    return 0;
}

/* Switched off, it merges nothing; 2 is that, too, and also undoes what was merged. */
static gboolean is_as_wanted(char now, char wanted)
{
    return (now == '1') == (wanted == '1');
}

gboolean duet_ksm_check(const char *folder, const char *wish, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "run", NULL);
    char now;

    if (!wish)
        return TRUE;
    if (!g_str_equal(wish, "on") && !g_str_equal(wish, "off")) {
        g_set_error(
            error, DUET_ERROR, DUET_ERROR_INVALID, "--ksm '%s': choose from on and off", wish);
        return FALSE;
    }
    if (!(now = read_switch(folder, g_str_equal(wish, "on") ? error : NULL)))
        return g_str_equal(wish, "off");
    if (is_as_wanted(now, wanted_of(wish)))
        return TRUE;
    DUET_AUTO_FD fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd >= 0)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
        "cannot switch KSM %s: '%s': %s; root of the host can, or leave --ksm out", wish, path,
        g_strerror(errno));
    return FALSE;
}

gboolean duet_ksm_switch(
    DuetKsm *ksm, const char *folder, const char *wish, guint limit_ms, GError **error)
{
    g_autofree char *path = g_build_filename(folder, "run", NULL);

    *ksm = (DuetKsm){ .folder = folder, .limit_ms = limit_ms };
    if (!duet_ksm_check(folder, wish, error))
        return FALSE;
    if (!wish)
        return TRUE;
    ksm->wait = g_str_equal(wish, "on");
    char now = read_switch(folder, NULL);
    if (now == 0 || is_as_wanted(now, wanted_of(wish)))
        return TRUE;
    ksm->guard = duet_ksm_guard_new(path, wanted_of(wish), now, error);
    return ksm->guard != NULL;
}

void duet_ksm_clear(DuetKsm *ksm, GPtrArray *warnings)
{
    if (!duet_ksm_guard_free(g_steal_pointer(&ksm->guard)) && warnings)
        g_ptr_array_add(
            warnings, g_strdup_printf("'%s/run' could not be set back: see to it", ksm->folder));
    ksm->wait = FALSE;
}

/* ---- the wait ---- */

gboolean duet_ksm_begin(const DuetKsm *ksm, DuetKsmOutcome *outcome, GError **error)
{
    *outcome = (DuetKsmOutcome){ .page_bytes = sysconf(_SC_PAGESIZE) };
    return !ksm || !ksm->wait || count(ksm->folder, &outcome->before, error);
}

/* ksmd rests, and counts no scan, where nobody offers memory. */
static gboolean is_nothing(const DuetKsmCount *now)
{
    return now->sharing_pages + now->shared_pages + now->other_pages == 0;
}

gboolean duet_ksm_is_settled(
    const DuetKsmCount *first, const DuetKsmCount *last, const DuetKsmCount *now)
{
    gint64 moved = ABS(now->sharing_pages - last->sharing_pages);

    if (now->at_ns - first->at_ns >= NOTICE_NS && is_nothing(now))
        return TRUE;
    return now->full_scans - first->full_scans >= SCANS &&
        moved <= MAX(STABLE_PAGES, STABLE_SHARE * (double)now->sharing_pages);
}

gboolean duet_ksm_settle(const DuetKsm *ksm, DuetGroup *group, DuetSample *sample, GError **error)
{
    DuetKsmOutcome *outcome = &sample->memory->ksm;
    DuetKsmCount first, last, now;

    /* A warm-up is in no figure. */
    if (!ksm || !ksm->wait || sample->discarded)
        return TRUE;
    if (!count(ksm->folder, &first, error))
        return FALSE;
    now = first;
    gint64 until_ns = first.at_ns + ksm->limit_ms * G_GINT64_CONSTANT(1000000);
    /* Without an instance there is nothing of ours that it could merge. */
    outcome->settled = sample->memory->count == 0;
    while (!outcome->settled && now.at_ns < until_ns) {
        last = now;
        if (!duet_group_pause(group, STEP_MS, error) || !count(ksm->folder, &now, error))
            return FALSE;
        outcome->settled = duet_ksm_is_settled(&first, &last, &now);
    }
    outcome->after = now;
    outcome->waited_ns = now.at_ns - first.at_ns;
    if (!outcome->settled)
        duet_sample_warn(sample,
            "KSM had not settled after %g s (--ksm-limit): it went %" G_GINT64_FORMAT
            " times over all that is offered to it, %d are wanted",
            ksm->limit_ms / 1000.0, now.full_scans - first.full_scans, SCANS);
    if (read_switch(ksm->folder, NULL) != '1')
        duet_sample_warn(sample, "somebody switched KSM off meanwhile");
    return TRUE;
}
