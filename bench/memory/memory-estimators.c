/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the estimators of an arm disagree: by which kinds of memory, and why each sees another. */
#include <math.h>

#include "memory-analysis.h"
#include "bench/notes.h"
#include "bench/text.h"
#include "bench/words.h"

/* Of the gap between two estimators: less is not worth a word. */
#define PART_SHARE 0.1

/* A kind of memory, and where each estimator has it; MemAvailable counts what is on disk, too, as
 * available, and no PSS has the kernel's own. METRIC_COUNT: not at all. */
#define NOWHERE DUET_MEMORY_METRIC_COUNT
enum { ANON, FILES, SHARED, KERNEL, HELPERS, REST };
static const struct {
    const char *name;
    DuetMemoryMetric at[DUET_MEMORY_ESTIMATORS];
} parts[] = {
    [ANON] = { N_("anonymous"),
        { DUET_MEMORY_PSS_ANON, DUET_MEMORY_CGROUP_ANON, DUET_MEMORY_HOST_ANON } },
    [FILES] = { N_("file"), { DUET_MEMORY_PSS_FILE, DUET_MEMORY_CGROUP_FILE, NOWHERE } },
    [SHARED] = { N_("shared"),
        { DUET_MEMORY_PSS_SHMEM, DUET_MEMORY_CGROUP_SHMEM, DUET_MEMORY_HOST_SHMEM } },
    [KERNEL] = { N_("kernel"), { NOWHERE, DUET_MEMORY_CGROUP_KERNEL, DUET_MEMORY_HOST_KERNEL } },
    [HELPERS] = { N_("helpers"), { DUET_MEMORY_HELPERS, NOWHERE, NOWHERE } },
};

const char *duet_memory_estimator_name(DuetMemoryMetric estimator)
{
    static const char *const names[] = { N_("sum of PSS"), N_("cgroups"), N_("host") };

    g_return_val_if_fail((gsize)estimator < G_N_ELEMENTS(names), "");
    return _(names[estimator]);
}

static double part_of(const DuetMemoryArm *arm, guint part, DuetMemoryMetric estimator)
{
    DuetMemoryMetric metric = parts[part].at[estimator];
    double slope = metric == NOWHERE ? 0 : arm->lines[metric].slope;

    return isnan(slope) ? 0 : slope;
}

/* Returns: (transfer full): why the host has more or less that no kind explains. */
static char *why_host_moved(const DuetMemoryAnalysis *analysis, double rest)
{
    double noise = duet_memory_noise(analysis);
    g_autofree char *moved = duet_text_bytes(noise);

    if (noise >= fabs(rest))
        return g_strdup_printf(_("less than the %s that the idle host moved by"), moved);
    return isnan(noise)
        ? g_strdup(_("all else that moved MemAvailable"))
        : g_strdup_printf(
              _("all else that moved MemAvailable, which was %s on the idle host"), moved);
}

/* Returns: (transfer full): why @more has more of a kind of memory than @less. */
static char *why(const DuetMemoryAnalysis *analysis, const DuetMemoryArm *arm, guint part,
    double bytes, DuetMemoryMetric more, DuetMemoryMetric less)
{
    gboolean host = more == DUET_MEMORY_HOST || less == DUET_MEMORY_HOST;
    gboolean pss = more == DUET_MEMORY_PSS || less == DUET_MEMORY_PSS;
    g_autofree char *tables = duet_text_bytes(arm->lines[DUET_MEMORY_PAGE_TABLES].slope);

    switch (part) {
    case ANON:
        return g_strdup(host              ? _("the host's is that of all its processes")
                : more == DUET_MEMORY_PSS ? _("shared pages are charged to who touched them first")
                                          : _("of pages that are shared PSS has a share"));
    case FILES:
        return g_strdup(host              ? _("to the host it is available")
                : more == DUET_MEMORY_PSS ? _("files are charged to who read them first")
                                          : _("page cache that nobody maps is in no PSS"));
    case SHARED:
        return g_strdup(host ? _("the host's is that of all its processes")
                             : _("it is charged to who touched it first, and PSS divides it"));
    case KERNEL:
        return pss ? g_strdup_printf(_("no PSS has it; page tables are %s of it"), tables)
                   : g_strdup(more == DUET_MEMORY_HOST
                             ? _("some is charged to no cgroup")
                             : _("what can be reclaimed is available to the host"));
    case HELPERS:
        return g_strdup(_("the other has it among its anonymous pages and files"));
    default:
        return host ? why_host_moved(analysis, bytes)
                    : g_strdup(_("cgroups are charged in batches, their counters lag behind"));
    }
}

char *duet_memory_parts(
    const DuetMemoryAnalysis *analysis, guint index, DuetMemoryMetric a, DuetMemoryMetric b)
{
    const DuetMemoryArm *arm = &analysis->arms[index];
    GString *out = g_string_new(NULL);
    double gap = arm->lines[a].slope - arm->lines[b].slope, rest = gap;

    for (guint part = 0; part <= REST; part++) {
        double bytes = part == REST ? rest : part_of(arm, part, a) - part_of(arm, part, b);
        rest -= bytes;
        if (fabs(bytes) < PART_SHARE * fabs(gap))
            continue;
        g_autofree char *text = duet_text_bytes(bytes);
        g_autofree char *reason =
            why(analysis, arm, part, bytes, bytes > 0 ? a : b, bytes > 0 ? b : a);
        g_string_append_printf(out, "%s%s %s (%s)", out->len > 0 ? ", " : "",
            part == REST ? _("not attributed") : _(parts[part].name), text, reason);
    }
    return g_string_free(out, FALSE);
}

static gboolean intervals_overlap(const DuetLine *a, const DuetLine *b)
{
    return a->slope_low <= b->slope_high && b->slope_low <= a->slope_high;
}

static void note_pair(GPtrArray *notes, const char *name, const DuetMemoryAnalysis *analysis,
    guint index, DuetMemoryMetric most, DuetMemoryMetric least)
{
    const DuetMemoryArm *arm = &analysis->arms[index];
    double by = duet_memory_disagreement(arm, most, least);

    if (!(by > DUET_MEMORY_DISAGREEMENT))
        return;
    g_autofree char *parts_text = duet_memory_parts(analysis, index, most, least);
    g_autofree char *much = isinf(by) ? g_strdup(_("wholly (one is not above 0)"))
        : by < 10                     ? g_strdup_printf(_("by %.0f %%"), 100 * by)
                                      : g_strdup_printf(_("by a factor of %.3g"), by + 1);
    duet_notes_add(notes, "estimators", TRUE,
        "%s: the estimators %s and %s disagree %s; parts that differ: %s%s", name,
        duet_memory_estimator_name(most), duet_memory_estimator_name(least), much, parts_text,
        intervals_overlap(&arm->lines[most], &arm->lines[least]) ? _("; their intervals overlap")
                                                                 : "");
}

void duet_memory_estimator_notes(
    GPtrArray *notes, const DuetRun *run, const DuetMemoryAnalysis *analysis, guint index)
{
    const DuetMemoryArm *arm = &analysis->arms[index];
    const char *name = duet_run_arm(run, index)->name;
    double pss = arm->lines[DUET_MEMORY_PSS].slope, cgroup = arm->lines[DUET_MEMORY_CGROUP].slope;

    if (arm->most == arm->least)
        return;
    note_pair(notes, name, analysis, index, arm->most, arm->least);
    /* A noisy host must not hide that the two quiet ones disagree as well. */
    if (arm->most == DUET_MEMORY_HOST || arm->least == DUET_MEMORY_HOST)
        note_pair(notes, name, analysis, index, pss > cgroup ? DUET_MEMORY_PSS : DUET_MEMORY_CGROUP,
            pss > cgroup ? DUET_MEMORY_CGROUP : DUET_MEMORY_PSS);
}
