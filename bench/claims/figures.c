/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Claims that rest on figures: a VM's over a container's, from result files. */
#include <math.h>

#include "bench/analysis.h"
#include "bench/host/environment.h"
#include "bench/random.h"
#include "bench/text.h"
#include "bench/words.h"
#include "claim.h"
#include "figures.h"

#include <duet/bench.h>

#define RATIO "vm / container"

int duet_figure_arm(const DuetRun *run, const char *kind)
{
    for (guint i = 0; i < run->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(run, i);
        /* What is said of VMs is said of such as boot. */
        if (g_str_equal(arm->kind, kind) && !duet_run_arm_is_saved(arm))
            return i;
    }
    return -1;
}

/* Two arms of a result, and whether what they show can be told at all. */
typedef struct {
    const DuetRun *run;
    guint vm, container;
    gboolean tcg;
} Pair;

/* Returns: FALSE after saying in @finding why not. */
static gboolean find_pair(const DuetRun *run, DuetFinding *finding, Pair *out_pair)
{
    int vm = duet_figure_arm(run, "vm"), container = duet_figure_arm(run, "container");
    const char *missing = vm < 0 ? "vm" : container < 0 ? "container" : NULL;

    if (missing) {
        duet_finding_set(
            finding, DUET_FINDING_NOT_RUN, "the result has no arm of kind %s", missing);
        return FALSE;
    }
    *out_pair = (Pair){ run, vm, container, duet_run_arm_tcg(duet_run_arm(run, vm)) };
    const char *why = NULL;
    if (duet_environment_under_tcg(run->host))
        why = N_("nested under TCG: this host's CPUs are emulated");
    else if (!duet_plan_is_blocked(run->plan))
        why = N_("imported: nothing is known of how it was measured");
    else if (run->interrupted)
        why = N_("the run was interrupted");
    else if (g_strcmp0(duet_run_arm(run, vm)->image_digest,
                 duet_run_arm(run, container)->image_digest) != 0)
        why = N_("the arms are of different images");
    if (why)
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "%s", _(why));
    return !why;
}

char *duet_figure_failed(const DuetRun *run, guint arm)
{
    guint ok, failed, timeouts;
    g_autoptr(GPtrArray) exits = duet_analysis_exits(run, arm, &ok, &failed, &timeouts);

    return exits->len == 0
        ? NULL
        : g_strdup_printf(_("samples of %s failed: %s"), duet_run_arm(run, arm)->name,
              (const char *)g_ptr_array_index(exits, 0));
}

static gboolean all_good(const Pair *pair, DuetFinding *finding)
{
    const guint arms[] = { pair->vm, pair->container };

    for (guint i = 0; i < G_N_ELEMENTS(arms); i++) {
        g_autofree char *failed = duet_figure_failed(pair->run, arms[i]);
        if (failed) {
            duet_finding_set(finding, DUET_FINDING_UNDECIDED, "%s", failed);
            return FALSE;
        }
    }
    return TRUE;
}

/* What failed or timed out is in no figure. */
static void figures_of(const DuetRun *run, guint arm, DuetFigureFunc value, DuetColumn *out_column)
{
    DuetMark headline_to = duet_metric_headline(run);

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        double y;
        if (sample->arm == arm && !sample->discarded && sample->status == DUET_SAMPLE_OK &&
            value(sample, headline_to, &y))
            duet_column_add(out_column, y, sample->block);
    }
}

gboolean duet_figure_contrast(const DuetRun *run, guint a, guint b, DuetFigureFunc value,
    guint stream, DuetContrast *out_contrast, gsize *out_n)
{
    guint64 seed = duet_random_derive(run->plan->seed, stream);
    g_auto(DuetColumn) of_a = { 0 }, of_b = { 0 };

    figures_of(run, a, value, &of_a);
    figures_of(run, b, value, &of_b);
    return duet_column_contrast(
        &of_a, &of_b, duet_plan_is_blocked(run->plan), seed, out_contrast, out_n);
}

static gboolean of_boot(
    DuetClaimTrial *trial, DuetFigureFunc value, guint stream, DuetFinding *finding)
{
    DuetContrast *contrast = &finding->contrast;
    Pair pair;
    gsize n;

    if (!find_pair(trial->boot, finding, &pair) || !all_good(&pair, finding))
        return TRUE;
    if (!duet_figure_contrast(pair.run, pair.vm, pair.container, value, stream, contrast, &n)) {
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "the result does not tell");
        return TRUE;
    }
    duet_finding_figure(finding, RATIO, contrast->ratio, contrast->ratio_low, contrast->ratio_high);
    finding->tcg = pair.tcg;
    finding->floor = pair.run->plan->floor;
    finding->contrasted = n >= DUET_BENCH_N_MIN;
    if (!finding->contrasted)
        duet_finding_set(finding, DUET_FINDING_UNDECIDED,
            "too few samples: %zu of an arm, and %d are wanted", n, DUET_BENCH_N_MIN);
    return TRUE;
}

gboolean duet_figure_start(const DuetSample *sample, DuetMark headline_to, double *out_ns)
{
    return duet_metric_value(sample, DUET_METRIC_HEADLINE, headline_to, out_ns);
}

gboolean duet_figure_total(const DuetSample *sample, DuetMark headline_to, double *out_ns)
{
    return duet_metric_value(sample, DUET_METRIC_TOTAL, headline_to, out_ns);
}

/* From the wish to end it; a payload that ends by itself does so after its output. */
static gboolean stop_of(const DuetSample *sample, DuetMark headline_to, double *out_ns)
{
    const gint64 *ns = sample->marks.ns;
    gint64 from = ns[DUET_MARK_STOP] != 0 ? ns[DUET_MARK_STOP] : ns[headline_to];

    if (from == 0 || ns[DUET_MARK_RELEASED] == 0)
        return FALSE;
    *out_ns = ns[DUET_MARK_RELEASED] - from;
    return TRUE;
}

static gboolean cpu_of(const DuetSample *sample, DuetMark headline_to, double *out_ns)
{
    (void)headline_to;
    if (sample->managing_cpu_ns == 0 || sample->payload_cpu_ns == 0)
        return FALSE;
    *out_ns = sample->managing_cpu_ns + sample->payload_cpu_ns;
    return TRUE;
}

gboolean duet_claim_start(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    (void)error;
    return of_boot(trial, duet_figure_start, 1, finding);
}

gboolean duet_claim_stop(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    (void)error;
    return of_boot(trial, stop_of, 2, finding);
}

gboolean duet_claim_cpu(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    (void)error;
    return of_boot(trial, cpu_of, 3, finding);
}

/* Without intervals where there are too few points. Returns: FALSE: there is no line. */
static gboolean contrast_slopes(const DuetMemoryAnalysis *analysis, guint a, guint b,
    DuetMemoryMetric metric, DuetContrast *out_contrast)
{
    const DuetMatch *match = &analysis->match;
    guint64 seed = duet_random_derive(match->seed, 100 + metric);
    gsize n;

    if (!match->measure->contrast(match, a, b, metric, seed, out_contrast, &n))
        return FALSE;
    if (n < DUET_STATS_INTERVAL_MIN)
        out_contrast->ratio_low = out_contrast->ratio_high = out_contrast->difference_low =
            out_contrast->difference_high = NAN;
    return TRUE;
}

static gboolean has_slope(const DuetMemoryAnalysis *analysis, guint arm, DuetMemoryMetric metric)
{
    return analysis->arms[arm].lines[metric].slope > 0;
}

DuetSlopes duet_figure_slopes(
    const DuetMemoryAnalysis *analysis, guint a, guint b, DuetMemoryMetric metric)
{
    DuetContrast contrast;

    /* A slope that is not above 0 is noise: there is no ratio to it. */
    if (!has_slope(analysis, a, metric) || !has_slope(analysis, b, metric) ||
        !contrast_slopes(analysis, a, b, metric, &contrast))
        return (DuetSlopes){ NAN, NAN, NAN };
    return (DuetSlopes){ contrast.ratio, contrast.ratio_low, contrast.ratio_high };
}

/* In what range the ratio is. Where a slope may be 0, as of a container that is small beside the
 * host's noise, no ratio has an interval: the difference tells the direction then, or that it is
 * not known. */
static void range_of(const DuetContrast *c, double *out_low, double *out_high)
{
    *out_low = c->ratio_low;
    *out_high = c->ratio_high;
    if (isnan(c->difference_low) || (isfinite(c->ratio_low) && isfinite(c->ratio_high)))
        return;
    *out_low = c->difference_low > 0 ? INFINITY : 0;
    *out_high = c->difference_high < 0 ? 0 : INFINITY;
}

/* Makes @all what all estimators can say together: the contrast of the largest p, but with the
 * ratio that is nearest to 1, and with an interval that holds each one's. */
static void add_estimator(const DuetContrast *one, DuetContrast *all)
{
    const DuetContrast before = *all;
    double low, high;

    range_of(one, &low, &high);
    if (one->p >= before.p)
        *all = *one;
    all->ratio =
        duet_contrast_effect(&before) < duet_contrast_effect(one) ? before.ratio : one->ratio;
    /* Not by fmin(), which passes over what is not known. */
    all->ratio_low = isnan(low) || low < before.ratio_low ? low : before.ratio_low;
    all->ratio_high = isnan(high) || high > before.ratio_high ? high : before.ratio_high;
}

/* All estimators that tell something must tell the same; the first of them is the figure. */
static void judge_memory(const DuetMemoryAnalysis *analysis, const Pair *pair, DuetFinding *finding)
{
    const DuetMemoryArm *vm = &analysis->arms[pair->vm];
    const DuetMemoryArm *container = &analysis->arms[pair->container];
    DuetContrast all = { .p = 0, .ratio = NAN, .ratio_low = INFINITY, .ratio_high = 0 };
    guint known = 0;

    for (guint metric = 0; metric < DUET_MEMORY_ESTIMATORS; metric++) {
        DuetContrast contrast;
        /* It may have seen neither: there may be no such cgroups. */
        if ((!has_slope(analysis, pair->vm, metric) &&
                !has_slope(analysis, pair->container, metric)) ||
            !contrast_slopes(analysis, pair->vm, pair->container, metric, &contrast))
            continue;
        if (known++ == 0)
            duet_finding_figure(
                finding, RATIO, contrast.ratio, contrast.ratio_low, contrast.ratio_high);
        add_estimator(&contrast, &all);
    }
    if (known == 0) {
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "the result has no line for each kind");
        return;
    }
    g_autofree char *vm_more = duet_text_bytes(vm->lines[DUET_MEMORY_PSS].slope);
    g_autofree char *container_more = duet_text_bytes(container->lines[DUET_MEMORY_PSS].slope);
    finding->seen = g_strdup_printf(
        _("one more VM takes %s, one more container %s (PSS); %u estimators say so"), vm_more,
        container_more, known);
    finding->contrast = all;
    finding->tcg = pair->tcg;
    finding->floor = pair->run->plan->floor;
    finding->contrasted = !isnan(all.ratio_low) && !isnan(all.ratio_high);
    if (!finding->contrasted)
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "too few samples for an interval");
}

gboolean duet_claim_memory(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    Pair pair;

    (void)error;
    if (!find_pair(trial->memory, finding, &pair) || !all_good(&pair, finding))
        return TRUE;
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(pair.run, FALSE);
    judge_memory(analysis, &pair, finding);
    return TRUE;
}

static gboolean all_answered(
    const DuetRun *run, guint arm, const DuetDensityOutcome *outcome, DuetFinding *finding)
{
    if (outcome->reached > 0 && outcome->answered == outcome->reached)
        return TRUE;
    duet_finding_set(finding, DUET_FINDING_UNDECIDED, "%u of %u instances of %s answered",
        outcome->answered, outcome->reached, duet_run_arm(run, arm)->name);
    return FALSE;
}

DuetReached duet_figure_reached(const DuetDensityOutcome *a, const DuetDensityOutcome *b)
{
    return (DuetReached){
        .ratio = a->reached / (double)b->reached,
        .low = duet_density_bound_is_limit(b->bound) ? a->reached / (b->reached + 1.0) : 0,
        .high = duet_density_bound_is_limit(a->bound) ? (a->reached + 1.0) / b->reached : INFINITY,
    };
}

/* There is one observation of each, and no p: the verdict rests on what the numbers rule out. */
static void judge_density(const Pair *pair, DuetFinding *finding)
{
    const DuetDensityOutcome *vm = g_ptr_array_index(pair->run->density, pair->vm);
    const DuetDensityOutcome *container = g_ptr_array_index(pair->run->density, pair->container);

    if (!all_answered(pair->run, pair->vm, vm, finding) ||
        !all_answered(pair->run, pair->container, container, finding))
        return;
    DuetReached reached = duet_figure_reached(container, vm);
    /* Its plan has none. */
    const double floor = DUET_BENCH_FLOOR_DEFAULT;
    g_autofree char *seen =
        g_strdup_printf(_("%u containers (bound by %s), %u VMs (bound by %s); one run of each"),
            container->reached, duet_density_bound_to_string(container->bound), vm->reached,
            duet_density_bound_to_string(vm->bound));
    duet_finding_figure(finding, "container / vm", reached.ratio, NAN, NAN);
    /* More of those that are fewer might have fit. */
    const DuetDensityBound fewer = reached.ratio > 1 ? vm->bound : container->bound;
    gboolean open = reached.low <= 1 && reached.high >= 1;
    if (open && !duet_density_bound_is_limit(fewer))
        duet_finding_set(finding, DUET_FINDING_UNDECIDED,
            "%s is no limit of the host, more might have fit: %s",
            duet_density_bound_to_string(fewer), seen);
    else if (open)
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "no limit told them apart: %s", seen);
    else if (reached.low <= 1 + floor && reached.high >= 1 / (1 + floor))
        duet_finding_set(finding, DUET_FINDING_UNDECIDED,
            "the difference may be below the floor of %g %%: %s", 100 * floor, seen);
    else
        duet_finding_direction(finding, reached.low, reached.high, pair->tcg, seen);
}

gboolean duet_claim_density(DuetClaimTrial *trial, DuetFinding *finding, GError **error)
{
    Pair pair;

    (void)error;
    if (!find_pair(trial->density, finding, &pair))
        return TRUE;
    if (pair.run->density && pair.run->density->len == pair.run->arms->len)
        judge_density(&pair, finding);
    else
        duet_finding_set(finding, DUET_FINDING_UNDECIDED, "not all arms came to their end");
    return TRUE;
}
