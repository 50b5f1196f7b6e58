/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "memory-analysis.h"
#include "bench/notes.h"
#include "bench/text.h"
#include "bench/words.h"

/* An instance that is so much older than was asked for has grown meanwhile. */
#define AGE_FACTOR 2
/* What an idle guest has may be so far from what was to be equal. */
#define EQUAL_TOLERANCE 0.05

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
        double most = duet_memory_noise(analysis);
        if (!(most > DUET_MEMORY_DISAGREEMENT * slope))
            continue;
        g_autofree char *noise = duet_text_bytes(most);
        duet_notes_add(notes, "noise", TRUE,
            "%s: MemAvailable moved by %s with nothing of ours running, over a tenth of what one "
            "instance takes: the host's line is worth no more than its interval",
            duet_run_arm(run, arm)->name, noise);
    }
}

/* They differ by what the estimators are, not by what was measured. */
static void note_fixed(GPtrArray *notes, const DuetMemoryAnalysis *analysis)
{
    gboolean any = FALSE;

    for (guint arm = 0; arm < analysis->n_arms; arm++)
        any |= analysis->arms[arm].most != analysis->arms[arm].least;
    if (any)
        duet_notes_add(notes, "fixed", FALSE,
            "fixed costs are of what all instances share, and not compared: of files PSS has one "
            "copy, cgroups none that others read first, and to the host they are available");
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
            duet_memory_estimator_notes(notes, run, analysis, arm);
    }
    if (!analysis->nested)
        note_fixed(notes, analysis);
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
