/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/notes.h"
#include "bench/text.h"
#include "bench/words.h"
#include "load-analysis.h"

static void note_failures(
    GPtrArray *notes, const char *arm, const char *level, const DuetLoadRow *row)
{
    guint bad = row->failed + row->timeouts;

    if (bad > 0)
        duet_notes_add(notes, "failures", TRUE,
            "%s %s: %u of %u starts are not in its figures%s, the first: %s", arm, level, bad,
            row->ok + bad, row->timeouts > 0 ? _(" (time-outs among them)") : "", row->first_error);
}

static void note_cut(GPtrArray *notes, const DuetRun *run, guint arm, guint variant,
    const char *level, const DuetLoadRow *row)
{
    const char *why = NULL;

    for (guint i = 0; row->cut > 0 && i < run->samples->len && !why; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (duet_load_is_of(sample, arm, run->plan->counts[variant]))
            why = sample->load->bound            ? sample->load->bound
                : sample->load->starts->len == 0 ? sample->error
                                                 : NULL;
    }
    if (row->cut > 0)
        duet_notes_add(notes, "bound", TRUE,
            "%s %s: %u of %u batches were cut short or not tried: %s", duet_run_arm(run, arm)->name,
            level, row->cut, run->plan->n, why ? why : _("not known why"));
}

/* With a rate lateness is in the latency; at a level it only means that not all were at once. */
static void note_late(
    GPtrArray *notes, const char *arm, const char *level, gboolean rate, const DuetLoadRow *row)
{
    if (row->late == 0)
        return;
    g_autofree char *most = duet_text_time((double)row->latest_ns);
    duet_notes_add(notes, "late-starts", FALSE,
        "%s %s: %u of %u starts were requested over 10 ms after %s, the latest %s after", arm,
        level, row->late, row->ok + row->failed + row->timeouts,
        rate ? _("they were due, from when their latency counts")
             : _("the first of their batch, so not quite at once"),
        most);
}

/* Arrivals faster than what the host finishes pile up: latencies then tell of the batch's length.
 */
static void note_backlog(
    GPtrArray *notes, const DuetRun *run, const char *arm, guint variant, const DuetLoadRow *row)
{
    double asked = run->plan->counts[variant] / 1000.0;

    if (run->plan->load_starts == 0 || row->per_second.n == 0 ||
        row->waiting < MAX(run->plan->load_starts / 2, 2))
        return;
    duet_notes_add(notes, "backlog", TRUE,
        "%s %.7g/s: up to %u of %u starts waited at the same time (%.3g/s were done): the rate is "
        "more than this host keeps up with, and latencies grow with the length of a batch",
        arm, asked, row->waiting, run->plan->load_starts, row->per_second.median);
}

GPtrArray *duet_load_notes_new(const DuetRun *run, const DuetLoadAnalysis *analysis)
{
    GPtrArray *notes = duet_notes_empty();
    gboolean rate = duet_load_by_rate(run->plan);

    duet_notes_interrupted(notes, run);
    duet_notes_few(notes, run);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint variant = 0; variant < analysis->n_levels; variant++) {
            const char *name = duet_run_arm(run, arm)->name;
            const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
            g_autofree char *level = duet_load_variant_text(run->plan, variant);
            note_failures(notes, name, level, row);
            note_cut(notes, run, arm, variant, level, row);
            note_backlog(notes, run, name, variant, row);
            note_late(notes, name, level, rate, row);
            g_autofree char *series = g_strdup_printf("%s %s", name, level);
            duet_notes_series(notes, series, &row->batches);
        }
    }
    duet_notes_samples(notes, run);
    if (analysis->headline_to == DUET_MARK_EXEC)
        duet_notes_add(notes, "silent", TRUE,
            "the payload printed nothing in some start: times are to its exec");
    duet_notes_host(notes, run);
    return notes;
}
