/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "memory-analysis.h"
#include "bench/notes.h"
#include "bench/text.h"
#include "bench/words.h"

/* Of the gap between two estimators: less is not worth a word. */
#define PART_SHARE 0.1
/* An instance that is so much older than was asked for has grown meanwhile. */
#define AGE_FACTOR 2
/* What an idle guest has may be so far from what was to be equal. */
#define EQUAL_TOLERANCE 0.05

/* A kind of memory, and where each estimator has it; MemAvailable counts what is on disk, too, as
 * available, and no PSS has the kernel's own. METRIC_COUNT: not at all. */
#define NOWHERE DUET_MEMORY_METRIC_COUNT
static const struct {
    const char *name;
    DuetMemoryMetric at[DUET_MEMORY_ESTIMATORS];
} parts[] = {
    { N_("anonymous"), { DUET_MEMORY_PSS_ANON, DUET_MEMORY_CGROUP_ANON, DUET_MEMORY_HOST_ANON } },
    { N_("file"), { DUET_MEMORY_PSS_FILE, DUET_MEMORY_CGROUP_FILE, NOWHERE } },
    { N_("shared"), { DUET_MEMORY_PSS_SHMEM, DUET_MEMORY_CGROUP_SHMEM, DUET_MEMORY_HOST_SHMEM } },
    { N_("kernel"), { NOWHERE, DUET_MEMORY_CGROUP_KERNEL, DUET_MEMORY_HOST_KERNEL } },
    { N_("helpers"), { DUET_MEMORY_HELPERS, NOWHERE, NOWHERE } },
};

static double part_of(const DuetMemoryArm *arm, guint part, DuetMemoryMetric estimator)
{
    DuetMemoryMetric metric = parts[part].at[estimator];
    double slope = metric == NOWHERE ? 0 : arm->lines[metric].slope;

    return isnan(slope) ? 0 : slope;
}

static void append_part(GString *out, const char *name, double bytes)
{
    g_autofree char *text = duet_text_bytes(bytes);

    g_string_append_printf(out, "%s%s %s", out->len > 0 ? ", " : "", name, text);
}

char *duet_memory_parts(const DuetMemoryArm *arm, DuetMemoryMetric a, DuetMemoryMetric b)
{
    GString *out = g_string_new(NULL);
    double gap = arm->lines[a].slope - arm->lines[b].slope, rest = gap;

    for (guint part = 0; part < G_N_ELEMENTS(parts); part++) {
        double difference = part_of(arm, part, a) - part_of(arm, part, b);
        rest -= difference;
        if (fabs(difference) >= PART_SHARE * fabs(gap))
            append_part(out, _(parts[part].name), difference);
    }
    if (fabs(rest) >= PART_SHARE * fabs(gap))
        append_part(out, _("not attributed"), rest);
    return g_string_free(out, FALSE);
}

static gboolean intervals_overlap(const DuetLine *a, const DuetLine *b)
{
    return a->slope_low <= b->slope_high && b->slope_low <= a->slope_high;
}

static void note_pair(GPtrArray *notes, const char *name, const DuetMemoryArm *arm,
    DuetMemoryMetric most, DuetMemoryMetric least)
{
    static const char *const names[] = { N_("sum of PSS"), N_("cgroups"), N_("host") };
    double by = duet_memory_disagreement(arm, most, least);

    if (!(by > DUET_MEMORY_DISAGREEMENT))
        return;
    g_autofree char *parts_text = duet_memory_parts(arm, most, least);
    g_autofree char *much = isinf(by) ? g_strdup(_("wholly (one is not above 0)"))
        : by < 10                     ? g_strdup_printf(_("by %.0f %%"), 100 * by)
                                      : g_strdup_printf(_("by a factor of %.3g"), by + 1);
    duet_notes_add(notes, "estimators", FALSE,
        "%s: the estimators %s and %s disagree %s; parts that differ: %s%s", name, _(names[most]),
        _(names[least]), much, parts_text,
        intervals_overlap(&arm->lines[most], &arm->lines[least]) ? _("; their intervals overlap")
                                                                 : "");
}

static void note_disagreement(GPtrArray *notes, const char *name, const DuetMemoryArm *arm)
{
    double pss = arm->lines[DUET_MEMORY_PSS].slope, cgroup = arm->lines[DUET_MEMORY_CGROUP].slope;

    if (arm->most == arm->least)
        return;
    note_pair(notes, name, arm, arm->most, arm->least);
    /* A noisy host must not hide that the two quiet ones disagree as well. */
    if (arm->most == DUET_MEMORY_HOST || arm->least == DUET_MEMORY_HOST)
        note_pair(notes, name, arm, pss > cgroup ? DUET_MEMORY_PSS : DUET_MEMORY_CGROUP,
            pss > cgroup ? DUET_MEMORY_CGROUP : DUET_MEMORY_PSS);
}

static void note_failures(GPtrArray *notes, const char *name, const DuetMemoryArm *arm)
{
    g_autoptr(GString) ends = g_string_new(NULL);

    if (arm->exits->len == 0)
        return;
    for (guint i = 0; i < arm->exits->len; i++)
        g_string_append_printf(
            ends, "%s%s", i > 0 ? ", " : "", (const char *)g_ptr_array_index(arm->exits, i));
    duet_notes_add(notes, "failures", TRUE, "%s: %u of %u samples are not in its figures: %s", name,
        arm->failed, arm->ok + arm->failed, ends->str);
}

/* The last of many starts long after the first: that one is older than was asked for. */
static void note_age(GPtrArray *notes, const DuetRun *run)
{
    gint64 oldest = 0;

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        for (guint k = 0; sample->memory && k < sample->memory->instances->len; k++)
            oldest =
                MAX(oldest, g_array_index(sample->memory->instances, DuetInstanceMemory, k).age_ns);
    }
    if (oldest > AGE_FACTOR * run->plan->age_ms * 1000000)
        duet_notes_add(notes, "age", FALSE,
            "the youngest instance of a sample is %g s old when all are read, the oldest was %.0f "
            "s: a guest grows with age",
            run->plan->age_ms / 1000.0, oldest / 1e9);
}

static void note_noise(GPtrArray *notes, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        double slope = fabs(analysis->arms[arm].lines[DUET_MEMORY_HOST].slope);
        double most = fmax(analysis->noise_bytes, analysis->zero_noise_bytes);
        if (!(most > DUET_MEMORY_DISAGREEMENT * slope))
            continue;
        g_autofree char *noise = duet_text_bytes(most);
        duet_notes_add(notes, "noise", TRUE,
            "%s: MemAvailable moved by %s with nothing of ours running, over a tenth of what one "
            "instance takes: the host's line is worth no more than its interval",
            duet_run_arm(run, arm)->name, noise);
    }
}

/* A guest that has less or more than was to be equal. */
static void note_equal(GPtrArray *notes, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    double wanted = (double)run->plan->equal_memory_bytes;

    for (guint arm = 0; wanted > 0 && arm < analysis->n_arms; arm++) {
        const DuetRunArm *one = duet_run_arm(run, arm);
        double has = analysis->arms[arm].lines[DUET_MEMORY_GUEST_AVAILABLE].slope;
        if (!g_str_equal(one->kind, "vm"))
            continue;
        g_autofree char *ram = duet_text_bytes((double)one->memory_bytes);
        g_autofree char *left = duet_text_bytes(has);
        gboolean idle = !one->argv || !one->argv[0];
        duet_notes_add(notes, "equal-memory", idle && !(fabs(has / wanted - 1) < EQUAL_TOLERANCE),
            "%s: %s of RAM, so that an idle guest has for its payload what the others' limit is; "
            "when it was measured, %s were available in each",
            one->name, ram, left);
    }
}

GPtrArray *duet_memory_notes_new(const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    GPtrArray *notes = duet_notes_empty();

    duet_notes_interrupted(notes, run);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const char *name = duet_run_arm(run, arm)->name;
        note_failures(notes, name, &analysis->arms[arm]);
        if (!analysis->nested)
            note_disagreement(notes, name, &analysis->arms[arm]);
    }
    duet_notes_samples(notes, run);
    note_age(notes, run);
    if (!analysis->nested)
        note_noise(notes, run, analysis);
    if (!analysis->nested)
        note_equal(notes, run, analysis);
    duet_memory_ksm_notes(notes, run, analysis);
    duet_memory_balloon_notes(notes, run, analysis);
    duet_notes_host(notes, run);
    return notes;
}
