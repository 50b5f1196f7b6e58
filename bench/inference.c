/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inference-private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <duet/error.h>

#include "random.h"
#include "stats.h"

static void pool_clear(Pool *pool)
{
    g_free(pool->items);
    g_free(pool->by_block);
    g_free(pool->start);
    g_free(pool->sorted_a);
    g_free(pool->sorted_b);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pool, pool_clear)

static int compare_items(const void *a, const void *b)
{
    const Item *left = a, *right = b;

    if (left->value != right->value)
        return left->value < right->value ? -1 : 1;
    /* A total order: qsort is not stable, and equal runs must give equal results. */
    if (left->of_b != right->of_b)
        return left->of_b - right->of_b;
    return (left->block > right->block) - (left->block < right->block);
}

static int compare_by_block(const void *a, const void *b, void *data)
{
    const Item *items = data;
    guint left = *(const guint *)a, right = *(const guint *)b;

    if (items[left].block != items[right].block)
        return items[left].block < items[right].block ? -1 : 1;
    return (left > right) - (left < right);
}

static void pool_group(Pool *pool)
{
    pool->by_block = g_new(guint, pool->n);
    pool->start = g_new(guint, pool->n + 1);
    for (gsize i = 0; i < pool->n; i++)
        pool->by_block[i] = i;
    qsort_r(pool->by_block, pool->n, sizeof *pool->by_block, compare_by_block, pool->items);
    for (gsize i = 0; i < pool->n; i++) {
        const Item *item = &pool->items[pool->by_block[i]];
        if (i == 0 || item->block != pool->items[pool->by_block[i - 1]].block)
            pool->start[pool->n_blocks++] = i;
    }
    pool->start[pool->n_blocks] = pool->n;
}

static void rank(Pool *pool)
{
    guint ranks[2] = { 0, 0 };

    for (gsize i = 0; i < pool->n; i++)
        pool->items[i].rank = ranks[pool->items[i].of_b]++;
    for (gsize first = 0, next; first < pool->n; first = next) {
        for (next = first; next < pool->n && pool->items[next].value == pool->items[first].value;)
            next++;
        for (gsize i = first; i < next; i++)
            pool->items[i].place = (first + 1 + next) / 2.0;
    }
}

static void pool_init(Pool *pool, const DuetSeries *a, const DuetSeries *b)
{
    pool->n_a = a->n;
    pool->n_b = b->n;
    pool->n = a->n + b->n;
    pool->blocked = a->blocks && b->blocks;
    pool->items = g_new0(Item, pool->n);
    for (gsize i = 0; i < pool->n; i++) {
        const DuetSeries *series = i < a->n ? a : b;
        gsize own = i < a->n ? i : i - a->n;
        pool->items[i].value = series->values[own];
        pool->items[i].block = pool->blocked ? series->blocks[own] : 0;
        pool->items[i].of_b = series == b;
    }
    qsort(pool->items, pool->n, sizeof *pool->items, compare_items);
    rank(pool);
    pool->sorted_a = duet_stats_sorted(a->values, a->n);
    pool->sorted_b = duet_stats_sorted(b->values, b->n);
    pool_group(pool);
    pool->large = MIN(a->n, b->n) > DUET_STATS_LARGE && duet_pool_has_pairs(pool);
}

/* One bootstrap resample as counts of each sorted value; the totals may differ when blocks lack a
 * value of one arm. */
static void resample(const Pool *pool, DuetRandom *random, guint *counts[2], gsize totals[2])
{
    memset(counts[0], 0, pool->n_a * sizeof **counts);
    memset(counts[1], 0, pool->n_b * sizeof **counts);
    totals[0] = totals[1] = 0;
    if (!pool->blocked) {
        for (gsize i = 0; i < pool->n_a; i++)
            counts[0][duet_random_below(random, pool->n_a)]++;
        for (gsize i = 0; i < pool->n_b; i++)
            counts[1][duet_random_below(random, pool->n_b)]++;
        totals[0] = pool->n_a;
        totals[1] = pool->n_b;
        return;
    }
    for (gsize k = 0; k < pool->n_blocks; k++) {
        guint block = duet_random_below(random, pool->n_blocks);
        for (guint i = pool->start[block]; i < pool->start[block + 1]; i++) {
            const Item *item = &pool->items[pool->by_block[i]];
            counts[item->of_b][item->rank]++;
            totals[item->of_b]++;
        }
    }
}

static void bootstrap(const Pool *pool, guint64 seed, guint resamples, DuetContrast *contrast)
{
    contrast->ratio_low = contrast->ratio_high = NAN;
    contrast->difference_low = contrast->difference_high = NAN;
    contrast->log_sd = contrast->detectable = NAN;
    if (MIN(pool->n_a, pool->n_b) < DUET_STATS_INTERVAL_MIN)
        return;

    g_autofree double *differences = g_new(double, resamples);
    g_autofree double *ratios = g_new(double, resamples);
    g_autofree double *logs = g_new(double, resamples);
    g_autofree guint *counts_a = g_new(guint, pool->n_a);
    g_autofree guint *counts_b = g_new(guint, pool->n_b);
    guint *counts[2] = { counts_a, counts_b };
    gboolean positive = pool->sorted_a[0] > 0 && pool->sorted_b[0] > 0;
    double correlation = pool->large ? duet_pool_correlation(pool) : 0;
    DuetRandom random;
    duet_random_init(&random, seed);
    for (guint r = 0; r < resamples; r++) {
        gsize totals[2];
        double a, b;
        if (pool->large) {
            duet_pool_draw_medians(pool, correlation, &random, &a, &b);
        } else {
            do
                resample(pool, &random, counts, totals);
            while (totals[0] == 0 || totals[1] == 0);
            a = duet_stats_counted_median(pool->sorted_a, counts_a, totals[0]);
            b = duet_stats_counted_median(pool->sorted_b, counts_b, totals[1]);
        }
        differences[r] = a - b;
        ratios[r] = positive ? a / b : 0;
        logs[r] = positive ? log(a / b) : 0;
    }
    duet_stats_interval(
        differences, resamples, &contrast->difference_low, &contrast->difference_high);
    if (positive) {
        duet_stats_interval(ratios, resamples, &contrast->ratio_low, &contrast->ratio_high);
        contrast->log_sd = duet_stats_sd(logs, resamples);
        contrast->detectable = duet_stats_detectable(contrast->log_sd, 1, 0);
    }
}

PoolBlock duet_pool_block(const Pool *pool, gsize block)
{
    guint begin = pool->start[block], end = pool->start[block + 1];
    PoolBlock of = { .n = end - begin };
    double places = 0;

    for (guint i = begin; i < end; i++) {
        places += pool->items[pool->by_block[i]].place;
        of.n_a += !pool->items[pool->by_block[i]].of_b;
    }
    of.mean_place = places / of.n;
    return of;
}

/* What the sum of a's places is on average over all ways to deal out the blocks. */
static double expected_places(const Pool *pool)
{
    double sum = 0;

    for (gsize k = 0; k < pool->n_blocks; k++) {
        PoolBlock block = duet_pool_block(pool, k);
        sum += block.mean_place * block.n_a;
    }
    return sum;
}

/* Whose the values are that stand in pool->by_block. */
static double places_of_a(const Pool *pool, const guint *labels)
{
    double sum = 0;

    for (gsize i = 0; i < pool->n; i++)
        sum += labels[i] == 0 ? pool->items[pool->by_block[i]].place : 0;
    return sum;
}

static double permutation(const Pool *pool, guint64 seed, guint resamples)
{
    g_autofree guint *labels = g_new(guint, pool->n);

    for (gsize i = 0; i < pool->n; i++)
        labels[i] = pool->items[pool->by_block[i]].of_b;
    double expected = expected_places(pool), off = places_of_a(pool, labels) - expected;
    if (pool->large)
        return duet_pool_normal_p(pool, off);

    /* Equal arrangements must count as hits although sums of doubles round. */
    double threshold = fabs(off) - 1e-9 * pool->n;
    guint hits = 0;
    DuetRandom random;
    duet_random_init(&random, seed);
    for (guint r = 0; r < resamples; r++) {
        for (gsize k = 0; k < pool->n_blocks; k++)
            duet_random_shuffle(
                &random, labels + pool->start[k], pool->start[k + 1] - pool->start[k]);
        hits += fabs(places_of_a(pool, labels) - expected) >= threshold;
    }
    return (1.0 + hits) / (1.0 + resamples);
}

/* The natural logarithm of n over k. */
static double log_choose(guint n, guint k)
{
    return lgamma(n + 1.0) - lgamma(k + 1.0) - lgamma(n - k + 1.0);
}

/* Of all ways to deal out the blocks, the two that are the furthest apart. */
static double least_p(const Pool *pool, guint resamples)
{
    double log_ways = 0;

    for (gsize k = 0; k < pool->n_blocks; k++) {
        PoolBlock block = duet_pool_block(pool, k);
        log_ways += log_choose(block.n, block.n_a);
    }
    double least = MIN(1, 2 * exp(-log_ways));
    return pool->large ? least : MAX(least, 1 / (1.0 + resamples));
}

static double cliffs_delta(const Pool *pool)
{
    gint64 score = 0;
    gsize below = 0, not_above = 0;

    for (gsize i = 0; i < pool->n_a; i++) {
        while (below < pool->n_b && pool->sorted_b[below] < pool->sorted_a[i])
            below++;
        while (not_above < pool->n_b && pool->sorted_b[not_above] <= pool->sorted_a[i])
            not_above++;
        score += (gint64)below - (gint64)(pool->n_b - not_above);
    }
    return (double)score / ((double)pool->n_a * pool->n_b);
}

static gboolean check_series(const DuetSeries *series, GError **error)
{
    gboolean good = series->n > 0 && series->n <= G_MAXINT32 / 2;

    for (gsize i = 0; good && i < series->n; i++)
        good = isfinite(series->values[i]);
    if (!good)
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_INVALID,
            "cannot compare two series: one is empty or holds a value that is not finite");
    return good;
}

gboolean duet_contrast(const DuetSeries *a, const DuetSeries *b, guint64 seed, guint resamples,
    DuetContrast *out_contrast, GError **error)
{
    if (!check_series(a, error) || !check_series(b, error))
        return FALSE;

    g_auto(Pool) pool = { 0 };
    pool_init(&pool, a, b);
    double median_a = duet_stats_percentile(pool.sorted_a, pool.n_a, 0.5);
    double median_b = duet_stats_percentile(pool.sorted_b, pool.n_b, 0.5);
    DuetContrast contrast = {
        .ratio = median_a > 0 && median_b > 0 ? median_a / median_b : NAN,
        .difference = median_a - median_b,
        .cliffs_delta = cliffs_delta(&pool),
    };
    contrast.p = permutation(&pool, duet_random_derive(seed, 1), resamples);
    contrast.p_least = least_p(&pool, resamples);
    contrast.p_holm = contrast.p;
    bootstrap(&pool, duet_random_derive(seed, 2), resamples, &contrast);
    *out_contrast = contrast;
    return TRUE;
}

double duet_contrast_effect(const DuetContrast *contrast)
{
    double ratio = contrast->ratio;

    return isnan(ratio) ? INFINITY : fmax(ratio, 1 / ratio) - 1;
}

static int compare_p(const void *a, const void *b, void *data)
{
    const double *p = data;
    gsize left = *(const gsize *)a, right = *(const gsize *)b;

    if (p[left] != p[right])
        return p[left] < p[right] ? -1 : 1;
    return (left > right) - (left < right);
}

void duet_holm(const double *p, gsize n, double *out_adjusted)
{
    g_autofree gsize *order = g_new(gsize, MAX(n, 1));
    gsize tests = 0;

    for (gsize i = 0; i < n; i++) {
        out_adjusted[i] = NAN;
        if (!isnan(p[i]))
            order[tests++] = i;
    }
    qsort_r(order, tests, sizeof *order, compare_p, (void *)p);
    double largest = 0;
    for (gsize i = 0; i < tests; i++) {
        largest = MAX(largest, MIN(1.0, p[order[i]] * (tests - i)));
        out_adjusted[order[i]] = largest;
    }
}
