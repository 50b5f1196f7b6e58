/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "load-analysis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/random.h"

/* Streams of the plan's seed. */
#define LATENCY_STREAM G_GUINT64_CONSTANT(4000000000)
#define RATE_STREAM G_GUINT64_CONSTANT(5000000000)
#define BATCH_STREAM G_GUINT64_CONSTANT(6000000000)

gboolean duet_load_is_of(const DuetSample *sample, guint arm, guint level)
{
    return sample->arm == arm && !sample->discarded && sample->load && sample->load->level == level;
}

gboolean duet_load_by_rate(const DuetPlan *plan)
{
    return plan->load_starts > 0;
}

char *duet_load_variant_text(const DuetPlan *plan, guint variant)
{
    return duet_load_level_text(plan->counts[variant], duet_load_by_rate(plan));
}

gboolean duet_load_has(const DuetPlan *plan, guint level, gboolean rate)
{
    for (guint i = 0; duet_load_by_rate(plan) == rate && i < plan->n_variants; i++) {
        if (plan->counts[i] == level)
            return TRUE;
    }
    return FALSE;
}

DuetMark duet_load_headline(const DuetRun *run)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        for (guint k = 0; !sample->discarded && k < sample->load->starts->len; k++) {
            const DuetLoadStart *start = duet_load_point_start(sample->load, k);
            if (start->status == DUET_SAMPLE_OK && start->marks.ns[DUET_MARK_OUTPUT] == 0)
                return DUET_MARK_EXEC;
        }
    }
    return DUET_MARK_OUTPUT;
}

double duet_load_latency(const DuetLoadStart *start, gboolean rate, DuetMark headline_to)
{
    return (double)(start->marks.ns[headline_to] -
        (rate ? start->intended_ns : start->marks.ns[DUET_MARK_REQUEST]));
}

void duet_load_latencies(const DuetSample *sample, DuetMark headline_to, DuetColumn *latencies)
{
    for (guint k = 0; k < sample->load->starts->len; k++) {
        const DuetLoadStart *start = duet_load_point_start(sample->load, k);
        if (start->status == DUET_SAMPLE_OK)
            duet_column_add(latencies, duet_load_latency(start, sample->load->rate, headline_to),
                sample->block);
    }
}

void duet_load_batch_medians(
    const DuetRun *run, guint arm, guint level, DuetMark headline_to, DuetColumn *out_column)
{
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        g_auto(DuetColumn) latencies = { 0 };
        if (!duet_load_is_of(sample, arm, level))
            continue;
        duet_load_latencies(sample, headline_to, &latencies);
        double median = duet_column_median(&latencies);
        if (!isnan(median))
            duet_column_add(out_column, median, sample->block);
    }
}

typedef struct {
    double value;
    guint batch;
} Item;

static int compare_items(const void *a, const void *b)
{
    const Item *left = a, *right = b;

    return (left->value > right->value) - (left->value < right->value);
}

void duet_load_interval(const double *values, const guint *batch, gsize n, guint n_batches,
    guint64 seed, double *out_low, double *out_high)
{
    g_autofree Item *items = g_new(Item, n + 1);
    g_autofree double *sorted = g_new(double, n + 1);
    g_autofree double *medians = g_new(double, DUET_STATS_RESAMPLES);
    g_autofree guint *counts = g_new(guint, n + 1), *drawn = g_new(guint, n_batches + 1);
    DuetRandom random;

    if (n_batches < DUET_STATS_INTERVAL_MIN)
        return;
    for (gsize i = 0; i < n; i++)
        items[i] = (Item){ values[i], batch[i] };
    qsort(items, n, sizeof *items, compare_items);
    for (gsize i = 0; i < n; i++)
        sorted[i] = items[i].value;
    duet_random_init(&random, seed);
    for (guint r = 0; r < DUET_STATS_RESAMPLES; r++) {
        gsize total = 0;
        memset(drawn, 0, n_batches * sizeof *drawn);
        for (guint i = 0; i < n_batches; i++)
            drawn[duet_random_below(&random, n_batches)]++;
        for (gsize i = 0; i < n; i++)
            total += counts[i] = drawn[items[i].batch];
        medians[r] = duet_stats_counted_median(sorted, counts, total);
    }
    duet_stats_interval(medians, DUET_STATS_RESAMPLES, out_low, out_high);
}

/* An instant at which one more start waits for its headline, or one less. */
typedef struct {
    gint64 at_ns;
    int change;
} Event;

static int compare_events(const void *a, const void *b)
{
    const Event *left = a, *right = b;

    if (left->at_ns != right->at_ns)
        return left->at_ns < right->at_ns ? -1 : 1;
    return left->change - right->change;
}

/* What failed is no longer waited for when it had ended, or was given up. */
static gint64 over_ns(const DuetLoadStart *start, DuetMark headline_to)
{
    gint64 at = start->marks.ns[headline_to];

    for (int mark = DUET_MARK_COUNT - 1; at == 0 && mark >= 0; mark--)
        at = start->marks.ns[mark];
    return MAX(at, start->intended_ns);
}

static guint most_waiting(const DuetLoadPoint *point, DuetMark headline_to)
{
    guint n = 2 * point->starts->len, most = 0;
    g_autofree Event *events = g_new(Event, n + 1);
    int waiting = 0;

    for (guint i = 0; i < point->starts->len; i++) {
        const DuetLoadStart *start = duet_load_point_start(point, i);
        events[2 * i] = (Event){ start->intended_ns, 1 };
        events[2 * i + 1] = (Event){ over_ns(start, headline_to), -1 };
    }
    qsort(events, n, sizeof *events, compare_events);
    for (guint i = 0; i < n; i++) {
        waiting += events[i].change;
        most = MAX(most, (guint)MAX(waiting, 0));
    }
    return most;
}

/* @due_ns: what its lateness is counted from */
static void take_start(const DuetLoadStart *start, gint64 due_ns, DuetLoadRow *row)
{
    gint64 request = start->marks.ns[DUET_MARK_REQUEST];
    gint64 late_ns = request != 0 ? request - due_ns : 0;

    row->ok += start->status == DUET_SAMPLE_OK;
    row->failed += start->status == DUET_SAMPLE_FAILED;
    row->timeouts += start->status == DUET_SAMPLE_TIMEOUT;
    row->late += late_ns > DUET_LOAD_LATE_NS;
    row->latest_ns = MAX(row->latest_ns, late_ns);
    if (start->status != DUET_SAMPLE_OK && !row->first_error)
        row->first_error = *start->error ? start->error : "its payload failed";
}

/* Of the starts that are to be at once the first sets the time for all. */
static gint64 first_request(const DuetLoadPoint *point)
{
    gint64 first_ns = G_MAXINT64;

    for (guint i = 0; i < point->starts->len; i++) {
        gint64 request = duet_load_point_start(point, i)->marks.ns[DUET_MARK_REQUEST];
        if (request != 0)
            first_ns = MIN(first_ns, request);
    }
    return first_ns;
}

/* Appends a batch's latencies. Returns: its starts per second; NAN if none succeeded. */
double duet_load_take_batch(const DuetLoadPoint *point, DuetMark headline_to, guint batch,
    DuetLoadRow *row, DuetColumn *latencies)
{
    gint64 at_once_ns = first_request(point), first_ns = G_MAXINT64, last_ns = 0;
    guint ok = 0;

    for (guint i = 0; i < point->starts->len; i++) {
        const DuetLoadStart *start = duet_load_point_start(point, i);
        take_start(start, point->rate ? start->intended_ns : at_once_ns, row);
        if (start->status != DUET_SAMPLE_OK)
            continue;
        double latency = duet_load_latency(start, point->rate, headline_to);
        gint64 from = point->rate ? start->intended_ns : start->marks.ns[DUET_MARK_REQUEST];
        duet_column_add(latencies, latency, batch);
        first_ns = MIN(first_ns, from);
        last_ns = MAX(last_ns, start->marks.ns[headline_to]);
        ok++;
    }
    row->waiting = MAX(row->waiting, most_waiting(point, headline_to));
    return ok > 0 && last_ns > first_ns ? ok / ((last_ns - first_ns) / 1e9) : NAN;
}

static void analyse(const DuetRun *run, const DuetLoadAnalysis *analysis, guint arm, guint variant,
    DuetLoadRow *row)
{
    g_auto(DuetColumn) latencies = { 0 }, medians = { 0 };
    g_autoptr(GArray) rates = g_array_new(FALSE, FALSE, sizeof(double));
    guint64 cell = (guint64)arm * analysis->n_levels + variant;
    guint n_batches = 0; /* with a start that succeeded */

    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (!duet_load_is_of(sample, arm, run->plan->counts[variant]))
            continue;
        gsize before = duet_column_series(&latencies).n;
        double rate =
            duet_load_take_batch(sample->load, analysis->headline_to, n_batches, row, &latencies);
        n_batches += duet_column_series(&latencies).n > before;
        if (!isnan(rate))
            g_array_append_val(rates, rate);
        row->cut += sample->load->starts->len == 0 || sample->load->bound != NULL;
    }
    guint64 seed = duet_random_derive(run->plan->seed, LATENCY_STREAM + cell);
    DuetSeries series = duet_column_series(&latencies);
    if (!duet_stats_summary(series.values, series.n, seed, &row->latency, NULL))
        return;
    row->latency.low = row->latency.high = NAN;
    duet_load_interval(series.values, series.blocks, series.n, n_batches, seed, &row->latency.low,
        &row->latency.high);
    duet_stats_summary(duet_stats_doubles(rates), rates->len,
        duet_random_derive(run->plan->seed, RATE_STREAM + cell), &row->per_second, NULL);
    duet_load_batch_medians(run, arm, run->plan->counts[variant], analysis->headline_to, &medians);
    series = duet_column_series(&medians);
    duet_stats_summary(series.values, series.n,
        duet_random_derive(run->plan->seed, BATCH_STREAM + cell), &row->batches, NULL);
}

static void compare(const DuetRun *run, gboolean with_failures, DuetLoadAnalysis *analysis)
{
    analysis->match = (DuetMatch){
        .measure = &duet_measure_load,
        .a = run,
        .b = run,
        .headline_to = analysis->headline_to,
        .ratio_with_failures = with_failures,
        .seed = run->plan->seed,
        .floor = run->plan->floor,
    };
    analysis->nested = duet_match_nested(&analysis->match);
    for (guint a = 0; a < analysis->n_arms; a++) {
        for (guint b = a + 1; b < analysis->n_arms; b++) {
            for (guint variant = 0; variant < analysis->n_levels; variant++)
                duet_match_add(analysis->comparisons, a, b, variant);
        }
    }
    duet_match_judge(&analysis->match, analysis->comparisons);
}

DuetLoadAnalysis *duet_load_analysis_new(const DuetRun *run, gboolean ratio_with_failures)
{
    DuetLoadAnalysis *analysis = g_new0(DuetLoadAnalysis, 1);

    analysis->tcg = duet_run_tcg(run);
    analysis->headline_to = duet_load_headline(run);
    analysis->n_arms = run->arms->len;
    analysis->n_levels = run->plan->n_variants;
    analysis->rows = g_new0(DuetLoadRow, analysis->n_arms * analysis->n_levels + 1);
    analysis->comparisons = g_array_new(FALSE, FALSE, sizeof(DuetComparison));
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint variant = 0; variant < analysis->n_levels; variant++)
            analyse(
                run, analysis, arm, variant, &analysis->rows[arm * analysis->n_levels + variant]);
    }
    compare(run, ratio_with_failures, analysis);
    analysis->notes = duet_load_notes_new(run, analysis);
    return analysis;
}

void duet_load_analysis_free(DuetLoadAnalysis *analysis)
{
    if (!analysis)
        return;
    g_free(analysis->rows);
    g_array_unref(analysis->comparisons);
    g_ptr_array_unref(analysis->notes);
    g_free(analysis);
}

const DuetLoadRow *duet_load_row(const DuetLoadAnalysis *analysis, guint arm, guint variant)
{
    return &analysis->rows[arm * analysis->n_levels + variant];
}

DuetLoadTotal duet_load_total(const DuetLoadAnalysis *analysis, guint arm)
{
    DuetLoadTotal total = { 0 };

    for (guint variant = 0; variant < analysis->n_levels; variant++) {
        const DuetLoadRow *row = duet_load_row(analysis, arm, variant);
        total.ok += row->ok;
        total.failed += row->failed;
        total.timeouts += row->timeouts;
    }
    return total;
}

gboolean duet_load_analysis_bad_arm(const DuetLoadAnalysis *analysis)
{
    for (guint i = 0; i < analysis->n_arms * analysis->n_levels; i++) {
        if (analysis->rows[i].ok == 0)
            return TRUE;
    }
    return FALSE;
}
