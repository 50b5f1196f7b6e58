/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inference-private.h"

#include <math.h>

#include "stats.h"

/* So many looks at a value take some hundredths of a second. */
#define LOOKS_MAX 30000000
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

/* Where in ascending order the middle values of both groups of a permutation are. */
typedef struct {
    gsize seen[2], lower[2], upper[2];
    gsize low[2], high[2];
    guint done;
} Middle;

static void begin(const Pool *pool, Middle *middle)
{
    *middle = (Middle){
        .lower = { (pool->n_a - 1) / 2, (pool->n_b - 1) / 2 },
        .upper = { pool->n_a / 2, pool->n_b / 2 },
    };
}

/* Value number @i is of @group. Returns: whether the middle of both is known. */
static inline gboolean see(Middle *middle, gsize i, guint group)
{
    gsize seen = middle->seen[group]++;

    if (seen == middle->lower[group])
        middle->low[group] = i;
    if (seen == middle->upper[group]) {
        middle->high[group] = i;
        middle->done++;
    }
    return middle->done == 2;
}

static double difference(const Pool *pool, const Middle *middle)
{
    double median[2];

    for (guint group = 0; group < 2; group++) {
        double low = pool->items[middle->low[group]].value;
        median[group] = low + (pool->items[middle->high[group]].value - low) / 2;
    }
    return median[0] - median[1];
}

/* Of each value, in ascending order: twice the number of its block, and 1 for b. What has no
 * partner is never swapped: it is of a block behind the last one. */
static guint *codes_of(const Pool *pool)
{
    guint *codes = g_new(guint, pool->n);

    for (gsize k = 0; k < pool->n_blocks; k++) {
        guint block = is_pair(pool, k) ? k : pool->n_blocks;
        for (guint i = pool->start[k]; i < pool->start[k + 1]; i++)
            codes[pool->by_block[i]] = 2 * block + pool->items[pool->by_block[i]].of_b;
    }
    return codes;
}

/* Each pair is swapped or not: a bit of chance for each block. */
static double swapped_difference(
    const Pool *pool, const guint *codes, guint64 *swaps, DuetRandom *random)
{
    Middle middle;

    for (gsize k = 0; k < pool->n_blocks; k += 64)
        swaps[k / 64] = duet_random_next(random);
    swaps[pool->n_blocks / 64] &= (G_GUINT64_CONSTANT(1) << pool->n_blocks % 64) - 1;
    begin(pool, &middle);
    for (gsize i = 0; i < pool->n; i++) {
        guint block = codes[i] / 2;
        if (see(&middle, i, (codes[i] ^ swaps[block / 64] >> block % 64) & 1))
            break;
    }
    return difference(pool, &middle);
}

/* Without blocks: so many of the values are a's, whichever (Knuth's selection sampling). */
static double dealt_difference(const Pool *pool, DuetRandom *random)
{
    gsize left = pool->n, left_of_a = pool->n_a;
    guint64 chance = 0;
    Middle middle;

    begin(pool, &middle);
    for (gsize i = 0; i < pool->n; i++, left--) {
        chance = i % 2 == 0 ? duet_random_next(random) : chance >> 32;
        gboolean of_a = ((chance & G_MAXUINT32) * left >> 32) < left_of_a;
        left_of_a -= of_a;
        if (see(&middle, i, !of_a))
            break;
    }
    return difference(pool, &middle);
}

double duet_pool_permutation(const Pool *pool, guint64 seed, guint resamples)
{
    guint rounds = MIN(resamples, MAX(RESAMPLES_MIN, LOOKS_MAX / pool->n));
    g_autofree guint *codes = pool->blocked ? codes_of(pool) : NULL;
    g_autofree guint64 *swaps = g_new0(guint64, pool->n_blocks / 64 + 1);
    double observed = duet_stats_percentile(pool->sorted_a, pool->n_a, 0.5) -
        duet_stats_percentile(pool->sorted_b, pool->n_b, 0.5);
    /* Equal arrangements must count as hits although sums of doubles round. */
    double threshold = fabs(observed) * (1 - 1e-12);
    guint hits = 0;
    DuetRandom random;

    duet_random_init(&random, seed);
    for (guint r = 0; r < rounds; r++) {
        double d = pool->blocked ? swapped_difference(pool, codes, swaps, &random)
                                 : dealt_difference(pool, &random);
        hits += fabs(d) >= threshold;
    }
    return (1.0 + hits) / (1.0 + rounds);
}
