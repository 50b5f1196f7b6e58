/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-analysis.h"

#include <string.h>

#include <duet/bench.h>

#include "bench/notes.h"
#include "bench/result/record.h"

static void note_failures(
    GPtrArray *notes, const DuetRun *run, guint index, const DuetOverheadArm *arm)
{
    g_autoptr(GString) ends = g_string_new(NULL);
    guint bad = arm->failed + arm->timeouts;

    for (guint i = 0; i < arm->exits->len; i++)
        g_string_append_printf(
            ends, "%s%s", i > 0 ? ", " : "", (const char *)g_ptr_array_index(arm->exits, i));
    if (bad > 0)
        duet_notes_add(notes, "failures", TRUE, "%s: %u of %u samples are not in its figures: %s",
            duet_run_arm(run, index)->name, bad, arm->ok + bad, ends->str);
}

static void note_series(
    GPtrArray *notes, const DuetRun *run, guint index, const DuetOverheadArm *arm)
{
    const DuetOverheadTest *test = duet_overhead_arm_test(duet_run_arm(run, index));

    for (guint value = 0; test->values[value].id; value++) {
        g_autofree char *name = duet_overhead_series_name(run, index, value);
        duet_notes_series(notes, name, &arm->summary[value]);
    }
}

/* Figures of direct I/O beside such of the page cache compare nothing: their ratio is withheld. */
static void note_modes(GPtrArray *notes, const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    for (guint i = 0; i < analysis->n_arms; i++) {
        const DuetOverheadArm *arm = &analysis->arms[i];
        guint baseline = duet_overhead_baseline(run, i);
        const DuetOverheadArm *base = &analysis->arms[baseline];
        if (arm->modes_differ)
            duet_notes_add(notes, "mode", TRUE,
                "%s: its samples were not all taken in one mode: there is no ratio",
                duet_run_arm(run, i)->name);
        else if (arm->mode && base->mode && !g_str_equal(arm->mode, base->mode))
            duet_notes_add(notes, "mode", TRUE,
                "%s was measured with %s, %s with %s: there is no ratio",
                duet_run_arm(run, i)->name, arm->mode, duet_run_arm(run, baseline)->name,
                base->mode);
    }
}

/* All arms of a kind have the same kernel: one line, not one for each test. */
static void note_kernels(GPtrArray *notes, const DuetRun *run)
{
    const char *host = duet_record_string(run->host, "kernel.release");

    for (guint i = 0; i < run->arms->len; i++) {
        const char *guest = duet_run_arm_kernel(run, duet_run_arm(run, i));
        if (!guest || !host || g_str_equal(guest, host))
            continue;
        duet_notes_add(notes, "kernels", TRUE,
            "the guest's kernel is %s, the host's %s: what differs between a VM and the others may "
            "be the kernels' difference, not the virtualization's, and is undecided",
            guest, host);
        return;
    }
}

static gboolean has_test(const DuetRun *run, const char *prefix)
{
    for (guint i = 0; i < run->arms->len; i++) {
        const DuetOverheadTest *test = duet_overhead_arm_test(duet_run_arm(run, i));
        if (test && g_str_has_prefix(test->name, prefix))
            return TRUE;
    }
    return FALSE;
}

static void note_disk(GPtrArray *notes, const DuetRun *run)
{
    if (!has_test(run, "disk"))
        return;
    for (guint i = 0; i < run->arms->len; i++) {
        const char *cache = duet_record_string(duet_run_arm(run, i)->driver, "disk_cache");
        if (!cache || !g_str_equal(cache, "writeback"))
            continue;
        duet_notes_add(notes, "disk-cache", FALSE,
            "the VM's disk is a file in the host's page cache (cache=writeback): direct I/O in the "
            "guest ends there, that of the others on the host's disk");
        return;
    }
}

static void note_network(GPtrArray *notes, const DuetRun *run)
{
    if (has_test(run, "network"))
        duet_notes_add(notes, "loopback", FALSE,
            "network: over each instance's own loopback (native: the host's), the only network "
            "that instances have: nothing crosses the border of one");
}

GPtrArray *duet_overhead_notes_new(const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    GPtrArray *notes = duet_notes_empty();

    duet_notes_interrupted(notes, run);
    duet_notes_few(notes, run);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        note_failures(notes, run, arm, &analysis->arms[arm]);
    duet_notes_samples(notes, run);
    note_modes(notes, run, analysis);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        note_series(notes, run, arm, &analysis->arms[arm]);
    if (analysis->tcg)
        duet_notes_add(
            notes, "tcg", FALSE, "without KVM a VM's times are upper bounds, its rates lower ones");
    note_kernels(notes, run);
    note_disk(notes, run);
    note_network(notes, run);
    duet_notes_host(notes, run);
    return notes;
}
