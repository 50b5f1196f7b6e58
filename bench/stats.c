/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <duet/error.h>

#include "random.h"

static int compare_doubles(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

static double *copy_of(const double *values, gsize n)
{
    double *copy = g_new(double, MAX(n, 1));

    if (n > 0)
        memcpy(copy, values, n * sizeof *copy);
    return copy;
}

double *duet_stats_sorted(const double *values, gsize n)
{
    double *sorted = copy_of(values, n);

    qsort(sorted, n, sizeof *sorted, compare_doubles);
    return sorted;
}

double duet_stats_percentile(const double *sorted, gsize n, double share)
{
    g_return_val_if_fail(n >= 1 && share >= 0 && share <= 1, NAN);
    double position = (n - 1) * share;
    gsize below = floor(position);

    if (below + 1 >= n)
        return sorted[n - 1];
    return sorted[below] + (position - below) * (sorted[below + 1] - sorted[below]);
}

double duet_stats_counted_median(const double *sorted, const guint *counts, gsize total)
{
    gsize lower_rank = (total - 1) / 2, upper_rank = total / 2;
    gsize seen = 0, i = 0;

    while (seen + counts[i] <= lower_rank)
        seen += counts[i++];
    double lower = sorted[i];
    while (seen + counts[i] <= upper_rank)
        seen += counts[i++];
    return lower + (sorted[i] - lower) / 2;
}

const double *duet_stats_doubles(const GArray *array)
{
    return (const double *)(void *)array->data;
}

static double middle_of(double a, double b, double c)
{
    return fmax(fmin(a, b), fmin(fmax(a, b), c));
}

/* One of @values near their median, whatever their order: Tukey's ninther (Bentley and McIlroy
 * 1993). */
static double pivot_of(const double *values, gsize n)
{
    gsize step = n / 9;
    double thirds[3];

    for (gsize k = 0; k < G_N_ELEMENTS(thirds); k++, values += 3 * step)
        thirds[k] = middle_of(values[0], values[step], values[2 * step]);
    return middle_of(thirds[0], thirds[1], thirds[2]);
}

/* Moves what is below @pivot, or @equal to it, to the front. Returns: how many. There is no branch:
 * no CPU guesses on which side of its median a value lies. */
static gsize partition(double *values, gsize n, double pivot, gboolean equal)
{
    gsize front = 0;

    for (gsize i = 0; i < n; i++) {
        double value = values[i];
        values[i] = values[front];
        values[front] = value;
        front += (value < pivot) | (equal & (value == pivot));
    }
    return front;
}

/* Puts the value there that sorting would put at @rank, with none before it that is larger and none
 * behind it that is smaller (Hoare's Find). */
static void select_rank(double *values, gsize n, gsize rank)
{
    gsize from = 0, to = n;

    while (to - from > 1) {
        double pivot = pivot_of(values + from, to - from);
        gsize below = from + partition(values + from, to - from, pivot, FALSE);
        if (rank < below) {
            to = below;
        } else if (below > from) {
            from = below;
        } else {
            /* It is the smallest one, there are many of it, or it is NAN, which has no place. */
            from += partition(values + from, to - from, pivot, TRUE);
            if (rank < from || isnan(pivot))
                return;
        }
    }
}

double duet_stats_take_median(double *values, gsize n)
{
    if (n == 0)
        return NAN;
    gsize rank = (n - 1) / 2;
    select_rank(values, n, rank);
    for (gsize i = rank + 2; i < n; i++) {
        double value = values[i];
        if (value < values[rank + 1]) {
            values[i] = values[rank + 1];
            values[rank + 1] = value;
        }
    }
    /* It looks at these two ranks alone. */
    return duet_stats_percentile(values, n, 0.5);
}

double duet_stats_median(const double *values, gsize n)
{
    g_autofree double *copy = copy_of(values, n);

    return duet_stats_take_median(copy, n);
}

double duet_stats_array_median(const GArray *values)
{
    return duet_stats_median(duet_stats_doubles(values), values->len);
}

void duet_stats_interval(double *values, gsize n, double *out_low, double *out_high)
{
    qsort(values, n, sizeof *values, compare_doubles);
    *out_low = duet_stats_percentile(values, n, 0.025);
    *out_high = duet_stats_percentile(values, n, 0.975);
}

static double mad_of(const double *values, gsize n, double median)
{
    g_autofree double *deviations = g_new(double, n);

    for (gsize i = 0; i < n; i++)
        deviations[i] = fabs(values[i] - median);
    return duet_stats_take_median(deviations, n);
}

/* Two passes: the naive sum of squares loses all digits of nanoseconds that hardly vary. */
static void moments(const double *values, gsize n, DuetSummary *summary)
{
    double sum = 0, squares = 0, lagged = 0;

    for (gsize i = 0; i < n; i++)
        sum += values[i];
    summary->mean = sum / n;
    for (gsize i = 0; i < n; i++) {
        double deviation = values[i] - summary->mean;
        squares += deviation * deviation;
        if (i + 1 < n)
            lagged += deviation * (values[i + 1] - summary->mean);
    }
    summary->sd = n > 1 ? sqrt(squares / (n - 1)) : NAN;
    summary->standard_error = n > 1 ? summary->sd / sqrt(n) : NAN;
    summary->autocorrelation = n > 2 && squares > 0 ? lagged / squares : NAN;
}

static void outliers(const double *values, gsize n, DuetSummary *summary)
{
    double reach = 1.5 * (summary->q3 - summary->q1);
    double low = summary->q1 - reach, high = summary->q3 + reach;

    summary->outliers = 0;
    for (gsize i = 0; i < n; i++)
        summary->outliers += values[i] < low || values[i] > high;
    summary->slow_first = values[0] > high;
    summary->low_first = values[0] < low;
}

static double drift_of(const double *values, gsize n)
{
    if (n < DUET_STATS_DRIFT_MIN)
        return NAN;
    gsize fifth = n / 5;
    double first = duet_stats_median(values, fifth),
           last = duet_stats_median(values + n - fifth, fifth);
    return first > 0 ? last / first - 1 : NAN;
}

/* Of pairs, how many rise less how many fall. */
static double trend_of(const double *values, const double *sorted, gsize n)
{
    double variance = n * (n - 1.0) * (2.0 * n + 5) / 18;
    gint64 score = 0;

    if (n < DUET_STATS_DRIFT_MIN || n > DUET_STATS_LARGE)
        return NAN;
    for (gsize i = 0; i < n; i++)
        for (gsize k = i + 1; k < n; k++)
            score += (values[k] > values[i]) - (values[k] < values[i]);
    for (gsize first = 0, next; first < n; first = next) {
        for (next = first; next < n && sorted[next] == sorted[first];)
            next++;
        double equal = next - first;
        variance -= equal * (equal - 1) * (2 * equal + 5) / 18;
    }
    return variance > 0 ? score / sqrt(variance) : 0;
}

double duet_stats_drawn_median(const double *sorted, gsize n, double z)
{
    double share = 0.5 + z / (2 * sqrt((double)n));

    return duet_stats_percentile(sorted, n, CLAMP(share, 0, 1));
}

static void draw_medians(const double *sorted, gsize n, DuetRandom *random, double *medians)
{
    double pair[2];

    for (gsize r = 0; r < DUET_STATS_RESAMPLES; r++) {
        if (r % 2 == 0)
            duet_random_normal(random, pair);
        medians[r] = duet_stats_drawn_median(sorted, n, pair[r % 2]);
    }
}

static void count_medians(const double *sorted, gsize n, DuetRandom *random, double *medians)
{
    g_autofree guint *counts = g_new(guint, n);

    for (gsize r = 0; r < DUET_STATS_RESAMPLES; r++) {
        memset(counts, 0, n * sizeof *counts);
        for (gsize i = 0; i < n; i++)
            counts[duet_random_below(random, n)]++;
        medians[r] = duet_stats_counted_median(sorted, counts, n);
    }
}

static void bootstrap(const double *sorted, gsize n, guint64 seed, DuetSummary *summary)
{
    summary->low = summary->high = NAN;
    if (n < DUET_STATS_INTERVAL_MIN)
        return;

    g_autofree double *medians = g_new(double, DUET_STATS_RESAMPLES);
    DuetRandom random;
    duet_random_init(&random, seed);
    if (n > DUET_STATS_LARGE)
        draw_medians(sorted, n, &random, medians);
    else
        count_medians(sorted, n, &random, medians);
    duet_stats_interval(medians, DUET_STATS_RESAMPLES, &summary->low, &summary->high);
}

gboolean duet_stats_summary(
    const double *values, gsize n, guint64 seed, DuetSummary *out_summary, GError **error)
{
    if (n == 0 || n > G_MAXINT32) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot describe %" G_GSIZE_FORMAT " values: there must be at least one", n);
        return FALSE;
    }
    for (gsize i = 0; i < n; i++) {
        if (!isfinite(values[i])) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "cannot describe a series: value %" G_GSIZE_FORMAT " is not a finite number",
                i + 1);
            return FALSE;
        }
    }

    g_autofree double *sorted = duet_stats_sorted(values, n);
    DuetSummary summary = {
        .n = n,
        .min = sorted[0],
        .max = sorted[n - 1],
        .median = duet_stats_percentile(sorted, n, 0.5),
        .q1 = duet_stats_percentile(sorted, n, 0.25),
        .q3 = duet_stats_percentile(sorted, n, 0.75),
        .p95 = n >= DUET_STATS_P95_MIN ? duet_stats_percentile(sorted, n, 0.95) : NAN,
        .p99 = n >= DUET_STATS_P99_MIN ? duet_stats_percentile(sorted, n, 0.99) : NAN,
        .drift = drift_of(values, n),
        .trend = trend_of(values, sorted, n),
    };
    summary.mad = mad_of(values, n, summary.median);
    moments(values, n, &summary);
    outliers(values, n, &summary);
    bootstrap(sorted, n, seed, &summary);
    *out_summary = summary;
    return TRUE;
}

double duet_stats_sd(const double *values, gsize n)
{
    double sum = 0, squares = 0;

    for (gsize i = 0; i < n; i++)
        sum += values[i];
    for (gsize i = 0; i < n; i++)
        squares += (values[i] - sum / n) * (values[i] - sum / n);
    return n > 1 ? sqrt(squares / (n - 1)) : 0;
}

/* Beyond which a share of @tails of the normal distribution lies, on both sides together: bisected,
 * as nobody waits for it. */
static double normal_quantile(double tails)
{
    double low = 0, high = 40;

    for (guint step = 0; step < 60; step++) {
        double middle = (low + high) / 2;
        if (erfc(middle / G_SQRT2) > tails)
            low = middle;
        else
            high = middle;
    }
    return low;
}

double duet_stats_detectable(double log_sd, guint tests, double floor)
{
    double level = DUET_STATS_SIGNIFICANT / MAX(tests, 1);
    double beyond = fmax(normal_quantile(level) * log_sd, log1p(floor));

    return expm1(beyond + normal_quantile(2 * (1 - DUET_STATS_POWER)) * log_sd);
}
