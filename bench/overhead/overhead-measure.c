/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-analysis.h"

#include <math.h>

#include "bench/notes.h"
#include "bench/text.h"
#include "bench/words.h"

void duet_overhead_values(const DuetRun *run, guint arm, guint value, DuetColumn *out_column)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm != arm || sample->discarded || sample->status != DUET_SAMPLE_OK ||
            !sample->overhead || isnan(sample->overhead->values[value]))
            continue;
        duet_column_add(out_column, sample->overhead->values[value], sample->block);
    }
}

guint duet_overhead_metric(const DuetOverheadTest *test, guint value)
{
    return (guint)(test - duet_overhead_tests()) * DUET_OVERHEAD_VALUES_MAX + value;
}

guint duet_overhead_metric_value(guint metric)
{
    return metric % DUET_OVERHEAD_VALUES_MAX;
}

/* Returns: (nullable): there may be no such test, or it may have fewer values. */
static const DuetOverheadValue *find(guint metric, const DuetOverheadTest **out_test)
{
    const DuetOverheadTest *test = duet_overhead_tests();

    for (guint before = metric / DUET_OVERHEAD_VALUES_MAX; before > 0 && test->name; before--)
        test++;
    const DuetOverheadValue *value = &test->values[duet_overhead_metric_value(metric)];
    if (!value->id)
        return NULL;
    *out_test = test;
    return value;
}

static char *id(const DuetMatch *match, guint metric)
{
    const DuetOverheadTest *test = NULL;
    const DuetOverheadValue *of = find(metric, &test);

    (void)match;
    return of ? g_strdup_printf("%s.%s", test->name, of->id) : NULL;
}

static double median(const DuetMatch *match, const DuetRun *run, guint arm, guint metric)
{
    g_auto(DuetColumn) column = { 0 };

    (void)match;
    duet_overhead_values(run, arm, duet_overhead_metric_value(metric), &column);
    return duet_column_median(&column);
}

static char *text(guint metric, double value)
{
    const DuetOverheadTest *test = NULL;
    const DuetOverheadValue *of = find(metric, &test);

    if (g_str_equal(of->base_unit, "ns") || !isfinite(value))
        return duet_text_time(value);
    if (g_str_equal(of->base_unit, "bytes/s")) {
        g_autofree char *bytes = duet_text_bytes(value);
        return g_strconcat(bytes, "/s", NULL);
    }
    return g_strdup_printf("%.4g/s", value);
}

static char *difference(guint metric, const DuetContrast *c)
{
    g_autofree char *estimate = text(metric, c->difference);
    g_autofree char *low = text(metric, c->difference_low);
    g_autofree char *high = text(metric, c->difference_high);

    return isfinite(c->difference_low) ? g_strdup_printf("%s (%s to %s)", estimate, low, high)
                                       : g_strdup_printf("%s (n/a)", estimate);
}

/* Two arms of the same test, and by what that test measures. */
static gboolean pair(const DuetMatch *match, guint a, guint b, guint *inout_metric)
{
    const DuetOverheadTest *test = NULL;

    return find(*inout_metric, &test) &&
        duet_overhead_arm_test(duet_run_arm(match->a, a)) == test &&
        duet_overhead_arm_test(duet_run_arm(match->b, b)) == test;
}

/* Direct I/O beside the page cache, in two arms or in one: a ratio would be of these. */
static gboolean alike(const DuetMatch *match, guint a, guint b)
{
    gboolean differ_a, differ_b;
    const char *of_a = duet_overhead_mode(match->a, a, &differ_a);
    const char *of_b = duet_overhead_mode(match->b, b, &differ_b);

    return !differ_a && !differ_b && (!of_a || !of_b || g_str_equal(of_a, of_b));
}

/* Of two runs, another guest kernel is a change like any other, which is told; within one, it is
 * taken for the cost of virtualization. */
static gboolean confounded(const DuetMatch *match, guint a, guint b)
{
    const char *of_a = duet_run_arm_kernel(match->a, duet_run_arm(match->a, a));
    const char *of_b = duet_run_arm_kernel(match->b, duet_run_arm(match->b, b));

    return match->a == match->b && of_a && of_b && !g_str_equal(of_a, of_b);
}

static gboolean contrast(const DuetMatch *match, guint a, guint b, guint metric, guint64 seed,
    DuetContrast *out_contrast, gsize *out_n)
{
    guint value = duet_overhead_metric_value(metric);
    g_auto(DuetColumn) of_a = { 0 }, of_b = { 0 };

    duet_overhead_values(match->a, a, value, &of_a);
    duet_overhead_values(match->b, b, value, &of_b);
    return duet_column_contrast(&of_a, &of_b, match->a == match->b, seed, out_contrast, out_n);
}

static gboolean higher_is_better(const DuetRunArm *arm, guint metric)
{
    return duet_overhead_arm_test(arm)->values[duet_overhead_metric_value(metric)].higher_is_better;
}

static void tell(const DuetMatch *match, guint a, guint b, GPtrArray *notes)
{
    const char *second = duet_overhead_mode(match->a, a, NULL);
    const char *first = duet_overhead_mode(match->b, b, NULL);
    const char *name = duet_run_arm(match->b, b)->name;

    if (alike(match, a, b))
        return;
    if (first && second)
        duet_notes_add(notes, "mode", TRUE,
            "%s was measured with %s in the first run, with %s in the second: there is no ratio",
            name, first, second);
    else
        duet_notes_add(notes, "mode", TRUE,
            "%s: its samples of the %s run were not all taken in one mode: there is no ratio", name,
            first ? _("second") : _("first"));
}

const DuetMeasure duet_measure_overhead = {
    .n_metrics = DUET_OVERHEAD_METRICS,
    .n_default = DUET_OVERHEAD_METRICS,
    .unit = "value",
    .estimate = "median",
    .id = id,
    .value = median,
    .text = text,
    .difference = difference,
    .pair = pair,
    .alike = alike,
    .confounded = confounded,
    .contrast = contrast,
    .higher_is_better = higher_is_better,
    .tell = tell,
};
