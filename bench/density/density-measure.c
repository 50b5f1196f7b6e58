/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What arms of two runs are compared by: their starts. The number reached is one observation. */

#include "bench/notes.h"
#include "bench/text.h"
#include "bench/words.h"
#include "density-analysis.h"

static const DuetDensityOutcome *outcome_of(const DuetRun *run, guint arm)
{
    return g_ptr_array_index(run->density, arm);
}

/* Starts slow down as more run: only those at numbers that both reached are alike. */
static guint common_reach(const DuetMatch *match, guint a, guint b)
{
    return MIN(outcome_of(match->a, a)->reached, outcome_of(match->b, b)->reached);
}

static void starts_of(const DuetRun *run, guint arm, guint reach, DuetColumn *out_column)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        double ns;
        if (sample->arm == arm && !sample->discarded && sample->status == DUET_SAMPLE_OK &&
            sample->density && sample->density->running <= reach &&
            duet_density_start_ns(sample, &ns))
            duet_column_add(out_column, ns, sample->block);
    }
}

static gboolean contrast(const DuetMatch *match, guint a, guint b, guint metric, guint64 seed,
    DuetContrast *out_contrast, gsize *out_n)
{
    guint reach = common_reach(match, a, b);
    g_auto(DuetColumn) of_a = { 0 }, of_b = { 0 };

    (void)metric;
    starts_of(match->a, a, reach, &of_a);
    starts_of(match->b, b, reach, &of_b);
    return duet_column_contrast(&of_a, &of_b, FALSE, seed, out_contrast, out_n);
}

static char *id(const DuetMatch *match, guint metric)
{
    (void)match;
    (void)metric;
    return g_strdup("start");
}

/* The reach of the other side, found again: @run is one of the two. */
static double median(const DuetMatch *match, const DuetRun *run, guint arm, guint metric)
{
    const DuetRun *other = run == match->a ? match->b : match->a;
    int twin = duet_run_find_arm(other, duet_run_arm(run, arm)->name);
    guint reach = outcome_of(run, arm)->reached;

    (void)metric;
    if (twin >= 0)
        reach = MIN(reach, outcome_of(other, twin)->reached);
    g_auto(DuetColumn) column = { 0 };
    starts_of(run, arm, reach, &column);
    return duet_column_median(&column);
}

static void describe(GString *out, const char *which, const DuetDensityOutcome *outcome)
{
    g_string_append_printf(out, _("%s %u (bound by %s"), which, outcome->reached,
        duet_density_bound_to_string(outcome->bound));
    if (duet_density_was_asked(outcome))
        g_string_append_printf(out, _(", %u answered"), outcome->answered);
    g_string_append_c(out, ')');
}

/* Between two single numbers there is neither an interval nor a p-value to give. */
static void tell(const DuetMatch *match, guint a, guint b, GPtrArray *notes)
{
    const DuetDensityOutcome *second = outcome_of(match->a, a), *first = outcome_of(match->b, b);
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_printf(text, _("%s: reached: "), duet_run_arm(match->b, b)->name);
    describe(text, _("first"), first);
    g_string_append(text, ", ");
    describe(text, _("second"), second);
    if (first->reached > 0)
        g_string_append_printf(text, _(", ratio %.3g"), second->reached / (double)first->reached);
    g_string_append(text,
        _("; one observation of each, so neither an interval nor a p-value: only repeated runs "
          "tell whether they differ"));
    duet_notes_add(notes, "reached", FALSE, "%s", text->str);
}

const DuetMeasure duet_measure_density = {
    .n_metrics = 1,
    .n_default = 1,
    .unit = "ns",
    .estimate = "median",
    .id = id,
    .value = median,
    .text = duet_measure_time_text,
    .difference = duet_measure_time_difference,
    .contrast = contrast,
    .tell = tell,
};
