/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inference-private.h"

#include <math.h>

#include "stats.h"

/* So many looks at a value take some hundredths of a second; without blocks each takes four times
 * as long, as chance is asked for each. */
#define LOOKS_MAX 30000000
#define LOOKS_UNBLOCKED 4
#define RESAMPLES_MIN 999

gboolean duet_pool_has_pairs(const Pool *pool)
{
    for (gsize k = 0; pool->blocked && k < pool->n_blocks; k++) {
        const guint *first = pool->by_block + pool->start[k];
        guint n = pool->start[k + 1] - pool->start[k];
        if (n > 2 || (n == 2 && pool->items[first[0]].of_b == pool->items[first[1]].of_b))
            return FALSE;
    }
    return TRUE;
}

static gboolean is_pair(const Pool *pool, gsize block)
{
    return pool->start[block + 1] - pool->start[block] == 2;
}

double duet_pool_correlation(const Pool *pool)
{
    double sum = 0;

    if (!pool->blocked)
        return 0;
    for (gsize k = 0; k < pool->n_blocks; k++) {
        if (!is_pair(pool, k))
            continue;
        const Item *x = &pool->items[pool->by_block[pool->start[k]]];
        const Item *y = &pool->items[pool->by_block[pool->start[k] + 1]];
        gboolean x_below = x->rank < (x->of_b ? pool->n_b : pool->n_a) / 2;
        gboolean y_below = y->rank < (y->of_b ? pool->n_b : pool->n_a) / 2;
        sum += x_below == y_below ? 1 : -1;
    }
    return sum / sqrt((double)pool->n_a * pool->n_b);
}

void duet_pool_draw_medians(
    const Pool *pool, double correlation, DuetRandom *random, double *out_a, double *out_b)
{
    double z[2];

    duet_random_normal(random, z);
    *out_a = duet_stats_drawn_median(pool->sorted_a, pool->n_a, z[0]);
    z[1] = correlation * z[0] + sqrt(1 - correlation * correlation) * z[1];
    *out_b = duet_stats_drawn_median(pool->sorted_b, pool->n_b, z[1]);
}

/* ---- the permutation test ---- */

/* Of one series of a permutation, as its values go by in ascending order. */
typedef struct {
    gsize seen, lower, upper;
    double low, high;
} Median;

static void see(Median *median, double value)
{
    if (median->seen == median->lower)
        median->low = value;
    if (median->seen == median->upper)
        median->high = value;
    median->seen++;
}

static gboolean is_done(const Median *median)
{
    return median->seen > median->upper;
}

static void begin(const Pool *pool, Median *medians)
{
    medians[0] = (Median){ .lower = (pool->n_a - 1) / 2, .upper = pool->n_a / 2 };
    medians[1] = (Median){ .lower = (pool->n_b - 1) / 2, .upper = pool->n_b / 2 };
}

static double difference(const Median *medians)
{
    return medians[0].low + (medians[0].high - medians[0].low) / 2 -
        (medians[1].low + (medians[1].high - medians[1].low) / 2);
}

/* Which block each value is of, in the order of the values. */
static guint *blocks_of(const Pool *pool)
{
    guint *block = g_new(guint, pool->n);

    for (gsize k = 0; k < pool->n_blocks; k++)
        for (guint i = pool->start[k]; i < pool->start[k + 1]; i++)
            block[pool->by_block[i]] = k;
    return block;
}

/* Each pair is swapped or not. */
static double swapped_difference(
    const Pool *pool, const guint *block, guint8 *swap, DuetRandom *random)
{
    Median medians[2];
    guint64 bits = 0;

    for (gsize k = 0; k < pool->n_blocks; k++, bits >>= 1) {
        if (k % 64 == 0)
            bits = duet_random_next(random);
        swap[k] = (bits & 1) && is_pair(pool, k);
    }
    begin(pool, medians);
    for (gsize i = 0; i < pool->n && !(is_done(&medians[0]) && is_done(&medians[1])); i++)
        see(&medians[pool->items[i].of_b ^ swap[block[i]]], pool->items[i].value);
    return difference(medians);
}

/* Without blocks: so many of the values are a's, whichever (Knuth's selection sampling). */
static double dealt_difference(const Pool *pool, DuetRandom *random)
{
    gsize left = pool->n, left_of_a = pool->n_a;
    Median medians[2];

    begin(pool, medians);
    for (gsize i = 0; i < pool->n && !(is_done(&medians[0]) && is_done(&medians[1])); i++, left--) {
        gboolean of_a = duet_random_below(random, left) < left_of_a;
        left_of_a -= of_a;
        see(&medians[!of_a], pool->items[i].value);
    }
    return difference(medians);
}

double duet_pool_permutation(const Pool *pool, guint64 seed, guint resamples)
{
    gsize looks = pool->n * (pool->blocked ? 1 : LOOKS_UNBLOCKED);
    guint rounds = MIN(resamples, MAX(RESAMPLES_MIN, LOOKS_MAX / looks));
    g_autofree guint *block = pool->blocked ? blocks_of(pool) : NULL;
    g_autofree guint8 *swap = g_new(guint8, pool->n_blocks);
    double observed = duet_stats_percentile(pool->sorted_a, pool->n_a, 0.5) -
        duet_stats_percentile(pool->sorted_b, pool->n_b, 0.5);
    /* Equal arrangements must count as hits although sums of doubles round. */
    double threshold = fabs(observed) * (1 - 1e-12);
    guint hits = 0;
    DuetRandom random;

    duet_random_init(&random, seed);
    for (guint r = 0; r < rounds; r++) {
        double d = pool->blocked ? swapped_difference(pool, block, swap, &random)
                                 : dealt_difference(pool, &random);
        hits += fabs(d) >= threshold;
    }
    return (1.0 + hits) / (1.0 + rounds);
}
