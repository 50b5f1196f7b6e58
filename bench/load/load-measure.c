/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What two arms are compared by: the latencies at each level that both runs have. */
#include <duet/bench.h>

#include "bench/notes.h"
#include "load-analysis.h"

static void batch_medians(
    const DuetMatch *match, const DuetRun *run, guint arm, guint variant, DuetColumn *out_column)
{
    duet_load_batch_medians(
        run, arm, match->a->plan->counts[variant], match->headline_to, out_column);
}

static gboolean contrast(const DuetMatch *match, guint a, guint b, guint variant, guint64 seed,
    DuetContrast *out_contrast, gsize *out_n)
{
    g_auto(DuetColumn) of_a = { 0 }, of_b = { 0 };

    batch_medians(match, match->a, a, variant, &of_a);
    batch_medians(match, match->b, b, variant, &of_b);
    return duet_column_contrast(&of_a, &of_b, match->a == match->b, seed, out_contrast, out_n);
}

static char *id(const DuetMatch *match, guint variant)
{
    const DuetPlan *plan = match->a->plan;

    if (variant >= plan->n_variants ||
        !duet_load_has(match->b->plan, plan->counts[variant], duet_load_by_rate(plan)))
        return NULL;
    return duet_load_variant_text(plan, variant);
}

static double median(const DuetMatch *match, const DuetRun *run, guint arm, guint variant)
{
    g_auto(DuetColumn) medians = { 0 };

    batch_medians(match, run, arm, variant, &medians);
    return duet_column_median(&medians);
}

static void add_lone(const DuetPlan *plan, const DuetPlan *other, GString *names)
{
    for (guint i = 0; i < plan->n_variants; i++) {
        g_autofree char *name = duet_load_variant_text(plan, i);
        if (!duet_load_has(other, plan->counts[i], duet_load_by_rate(plan)))
            g_string_append_printf(names, "%s%s", names->len > 0 ? ", " : "", name);
    }
}

static void tell(const DuetMatch *match, guint a, guint b, GPtrArray *notes)
{
    g_autoptr(GString) names = g_string_new(NULL);

    (void)a;
    add_lone(match->b->plan, match->a->plan, names);
    add_lone(match->a->plan, match->b->plan, names);
    if (names->len > 0)
        duet_notes_add(notes, "levels", FALSE, "%s: only one of the runs has %s: left out",
            duet_run_arm(match->b, b)->name, names->str);
}

const DuetMeasure duet_measure_load = {
    .n_metrics = DUET_BENCH_COUNTS_MAX,
    .n_default = DUET_BENCH_COUNTS_MAX,
    .unit = "ns",
    .estimate = "median",
    .id = id,
    .value = median,
    .text = duet_measure_time_text,
    .difference = duet_measure_time_difference,
    .headline = duet_load_headline,
    .contrast = contrast,
    .tell = tell,
};
