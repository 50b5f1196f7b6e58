/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "comparison.h"

#include <math.h>

#include "bench/host/environment.h"
#include "random.h"
#include "stats.h"
#include "words.h"

static const char *const verdict_names[] = {
    [DUET_VERDICT_DIFFERS] = N_("differs"),
    [DUET_VERDICT_SAME] = N_("no difference shown"),
    [DUET_VERDICT_NO_KVM] = N_("undecided (no KVM)"),
    [DUET_VERDICT_OTHER_KERNEL] = N_("undecided (other kernel)"),
    [DUET_VERDICT_TOO_FEW] = N_("too few samples"),
    [DUET_VERDICT_FAILURES] = N_("withheld: samples failed"),
    [DUET_VERDICT_NESTED] = N_("withheld: nested under TCG"),
    [DUET_VERDICT_MODES] = N_("withheld: measured in different modes"),
    [DUET_VERDICT_NO_DATA] = N_("no data"),
};

const char *duet_verdict_to_string(DuetVerdict verdict)
{
    g_return_val_if_fail((gsize)verdict < G_N_ELEMENTS(verdict_names), "no data");
    return verdict_names[verdict];
}

gboolean duet_verdict_withholds(DuetVerdict verdict)
{
    return verdict == DUET_VERDICT_FAILURES || verdict == DUET_VERDICT_NESTED ||
        verdict == DUET_VERDICT_MODES || verdict == DUET_VERDICT_NO_DATA;
}

void duet_run_values(
    const DuetRun *run, guint arm, DuetMetric metric, DuetMark headline_to, DuetColumn *out_column)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        double value;
        if (sample->arm != arm || sample->discarded || sample->status != DUET_SAMPLE_OK ||
            !duet_metric_value(sample, metric, headline_to, &value))
            continue;
        duet_column_add(out_column, value, sample->block);
    }
}

static gboolean any_failed(const DuetRun *run, guint arm)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm == arm && !sample->discarded && sample->status != DUET_SAMPLE_OK)
            return TRUE;
    }
    return FALSE;
}

gboolean duet_match_nested(const DuetMatch *match)
{
    return duet_environment_under_tcg(match->a->host) || duet_environment_under_tcg(match->b->host);
}

static DuetVerdict contrast_arms(const DuetMatch *match, DuetComparison *comparison, guint64 seed)
{
    guint a = comparison->a, b = comparison->b;
    gsize n = 0;

    if (!match->ratio_with_failures && (any_failed(match->a, a) || any_failed(match->b, b)))
        return DUET_VERDICT_FAILURES;
    if (duet_match_nested(match))
        return DUET_VERDICT_NESTED;
    if (match->measure->alike && !match->measure->alike(match, a, b))
        return DUET_VERDICT_MODES;
    if (!match->measure->contrast(match, a, b, comparison->metric, seed, &comparison->contrast, &n))
        return DUET_VERDICT_NO_DATA;
    return n < DUET_STATS_INTERVAL_MIN ? DUET_VERDICT_TOO_FEW : DUET_VERDICT_SAME;
}

void duet_match_add(GArray *comparisons, guint a, guint b, guint metric)
{
    DuetComparison comparison = { .a = a, .b = b, .metric = metric, .contrast.p = NAN };

    g_array_append_val(comparisons, comparison);
}

/* ---- all contrasts, which are independent, on all processors ---- */

typedef struct {
    const DuetMatch *match;
    GArray *comparisons;
    guint next; /* atomic: the first that nobody has taken */
} Work;

static gpointer work_through(gpointer data)
{
    Work *work = data;
    guint i;

    while ((i = g_atomic_int_add(&work->next, 1)) < work->comparisons->len) {
        DuetComparison *comparison = &g_array_index(work->comparisons, DuetComparison, i);
        guint64 stream = G_GUINT64_CONSTANT(1000000) * (comparison->metric + 1) +
            1000 * (comparison->a + 1) + comparison->b;
        comparison->verdict =
            contrast_arms(work->match, comparison, duet_random_derive(work->match->seed, stream));
    }
    return NULL;
}

static void contrast_all(const DuetMatch *match, GArray *comparisons)
{
    Work work = { .match = match, .comparisons = comparisons };
    g_autoptr(GPtrArray) helpers = g_ptr_array_new();

    for (guint i = 1; i < MIN(g_get_num_processors(), comparisons->len); i++) {
        GThread *helper = g_thread_try_new("contrast", work_through, &work, NULL);
        if (helper)
            g_ptr_array_add(helpers, helper);
    }
    work_through(&work);
    for (guint i = 0; i < helpers->len; i++)
        g_thread_join(helpers->pdata[i]);
}

/* Emulation slows the VM and nothing else: that a VM is slower then proves nothing. */
static gboolean tcg_favours(const DuetMatch *match, const DuetComparison *comparison)
{
    const DuetRunArm *a = duet_run_arm(match->a, comparison->a);
    const DuetRunArm *b = duet_run_arm(match->b, comparison->b);
    gboolean tcg_a = duet_run_arm_tcg(a), tcg_b = duet_run_arm_tcg(b);

    if (tcg_a == tcg_b)
        return FALSE;
    gboolean rate =
        match->measure->higher_is_better && match->measure->higher_is_better(a, comparison->metric);
    gboolean a_is_worse = (comparison->contrast.difference > 0) != rate;
    return tcg_a == a_is_worse;
}

/* Whether both, the test and the interval, tell the sides apart. */
static gboolean shown(const DuetContrast *contrast, double floor)
{
    return contrast->p_holm < DUET_STATS_SIGNIFICANT &&
        (contrast->difference_low > 0 || contrast->difference_high < 0) &&
        duet_contrast_effect(contrast) > floor;
}

static DuetVerdict verdict_of_difference(const DuetMatch *match, const DuetComparison *comparison)
{
    if (tcg_favours(match, comparison))
        return DUET_VERDICT_NO_KVM;
    if (match->measure->confounded &&
        match->measure->confounded(match, comparison->a, comparison->b))
        return DUET_VERDICT_OTHER_KERNEL;
    return DUET_VERDICT_DIFFERS;
}

static void judge(const DuetMatch *match, DuetComparison *comparison, double p_holm, guint tests)
{
    DuetContrast *contrast = &comparison->contrast;

    contrast->p_holm = p_holm;
    contrast->detectable = duet_stats_detectable(contrast->log_sd, tests, match->floor);
    if (comparison->verdict != DUET_VERDICT_SAME)
        return;
    if (contrast->p_least * tests >= DUET_STATS_SIGNIFICANT) {
        comparison->verdict = DUET_VERDICT_TOO_FEW;
        contrast->detectable = NAN;
        return;
    }
    if (shown(contrast, match->floor))
        comparison->verdict = verdict_of_difference(match, comparison);
}

void duet_match_judge(const DuetMatch *match, GArray *comparisons)
{
    guint n = comparisons->len;
    g_autofree double *p = g_new(double, n + 1), *adjusted = g_new(double, n + 1);
    guint tests = 0;

    contrast_all(match, comparisons);
    for (guint i = 0; i < n; i++) {
        p[i] = g_array_index(comparisons, DuetComparison, i).contrast.p;
        tests += !isnan(p[i]);
    }
    duet_holm(p, n, adjusted);
    for (guint i = 0; i < n; i++)
        judge(match, &g_array_index(comparisons, DuetComparison, i), adjusted[i], tests);
}

char *duet_match_pair(const DuetMatch *match, const DuetComparison *comparison)
{
    return duet_match_pair_of(match, comparison, duet_run_arm(match->a, comparison->a)->name,
        duet_run_arm(match->b, comparison->b)->name);
}

char *duet_match_pair_of(
    const DuetMatch *match, const DuetComparison *comparison, const char *a, const char *b)
{
    g_autofree char *metric = match->measure->id(match, comparison->metric);
    gboolean several = match->measure->n_default > 1;

    return g_strdup_printf("%s / %s%s%s", a, b, several ? ", " : "", several ? metric : "");
}

static void add_beside(const DuetMatch *match, guint a, guint b, GArray *comparisons)
{
    guint metric = match->measure->beside;

    if (metric != 0 && !isnan(match->measure->value(match, match->a, a, metric)) &&
        !isnan(match->measure->value(match, match->b, b, metric)))
        duet_match_add(comparisons, a, b, metric);
}

GArray *duet_match_pairs(const DuetMatch *match)
{
    GArray *comparisons = g_array_new(FALSE, FALSE, sizeof(DuetComparison));

    for (guint a = 0; a < match->a->arms->len; a++) {
        for (guint b = a + 1; b < match->a->arms->len; b++) {
            for (guint i = 0; i < match->measure->n_default; i++) {
                guint metric = i;
                if (!match->measure->pair || match->measure->pair(match, a, b, &metric))
                    duet_match_add(comparisons, a, b, metric);
            }
        }
    }
    for (guint a = 0; a < match->a->arms->len; a++) {
        for (guint b = a + 1; b < match->a->arms->len; b++)
            add_beside(match, a, b, comparisons);
    }
    duet_match_judge(match, comparisons);
    return comparisons;
}
