/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "runner.h"

#include "benchmark.h"
#include "bench/result/journal.h"

/* How far the run is, for the line that people watch. */
typedef struct {
    guint done, all, bad;
    gint64 began_ns;
} Pace;

static void say(const DuetRunner *runner, const DuetRun *run, const DuetSample *next, Pace *pace)
{
    if (!runner->progress)
        return;

    g_autoptr(GString) line = g_string_new(NULL);
    const char *arm = duet_run_arm(run, next->arm)->name;
    double elapsed_s = (duet_now_ns() - pace->began_ns) / 1e9;
    if (next->discarded)
        g_string_printf(line, "warm-up: %s", arm);
    else
        g_string_printf(line, "block %u of %u: %s", next->block + 1, run->plan->n, arm);
    if (run->benchmark->describe) {
        g_autofree char *what = run->benchmark->describe(next);
        g_string_append_printf(line, " %s", what);
    }
    g_string_append_printf(line, ", %.0f s gone", elapsed_s);
    if (pace->done > 0)
        g_string_append_printf(
            line, ", about %.0f s left", elapsed_s / pace->done * (pace->all - pace->done));
    if (pace->bad > 0)
        g_string_append_printf(line, ", %u not ok", pace->bad);
    runner->progress(line->str, runner->progress_data);
}

/* Returns: FALSE when the run must not go on; with @error if that is one. */
static gboolean take(const DuetRunner *runner, DuetRun *run, DuetSample *sample, gboolean discarded,
    Pace *pace, GError **error)
{
    g_autoptr(GError) hopeless = NULL;

    sample->discarded = discarded;
    g_ptr_array_add(run->samples, sample);
    say(runner, run, sample, pace);
    if (!runner->take(sample, runner->data, &hopeless)) {
        sample->status = DUET_SAMPLE_FAILED;
        if (!sample->error)
            sample->error = g_strdup(hopeless->message);
        if (discarded) {
            g_propagate_prefixed_error(error, g_steal_pointer(&hopeless),
                "cannot measure '%s': ", duet_run_arm(run, sample->arm)->name);
            return FALSE;
        }
    }
    duet_sample_check_marks(sample);
    pace->done++;
    pace->bad += sample->status != DUET_SAMPLE_OK;
    gboolean wanted = TRUE;
    if (runner->interrupted && runner->interrupted(sample, runner->data)) {
        /* What the user's signal ended is no failure of the payload. */
        sample->discarded = TRUE;
        duet_sample_warn(sample, "the user interrupted this sample");
        run->interrupted = TRUE;
        wanted = FALSE;
    }
    return (!runner->record || runner->record(run, runner->record_data, error)) && wanted;
}

/* @variant: -1: the arm's warm-up */
static DuetSample *new_sample(const DuetRun *run, guint arm, int variant, guint block)
{
    DuetSample *sample = duet_sample_new(arm, block, run->samples->len);

    if (run->benchmark->new_sample)
        run->benchmark->new_sample(run->plan, variant, sample);
    return sample;
}

static gboolean take_cell(
    const DuetRunner *runner, DuetRun *run, guint i, Pace *pace, GError **error)
{
    guint variant, arm = duet_plan_cell(run->plan, run->plan->order[i], &variant);

    return take(runner, run, new_sample(run, arm, variant, i / duet_plan_cells(run->plan)), FALSE,
        pace, error);
}

gboolean duet_runner_run(const DuetRunner *runner, DuetRun *run, GError **error)
{
    const DuetPlan *plan = run->plan;
    guint all = plan->n * duet_plan_cells(plan), taken = duet_run_taken(run);
    Pace pace = { .all = all - taken + plan->n_arms, .began_ns = duet_now_ns() };
    gboolean going = taken < all;
    GError *failure = NULL;

    for (guint arm = 0; going && arm < plan->n_arms; arm++)
        going = take(runner, run, new_sample(run, arm, -1, 0), TRUE, &pace, &failure);
    for (guint i = taken; going && i < all; i++)
        going = take_cell(runner, run, i, &pace, &failure);
    if (runner->progress)
        runner->progress(NULL, runner->progress_data);
    if (failure) {
        g_propagate_error(error, failure);
        return FALSE;
    }
    return TRUE;
}
