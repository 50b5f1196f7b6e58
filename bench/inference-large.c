/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "inference-private.h"

#include <math.h>

#include "stats.h"

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

/* Of what is dealt out within a block: the variance of the sum of a's places. So many of a finite
 * population are drawn without replacement. */
static double block_variance(const Pool *pool, gsize block)
{
    PoolBlock of = duet_pool_block(pool, block);
    const guint *items = pool->by_block + pool->start[block];
    double squares = 0;

    for (guint i = 0; i < of.n; i++)
        squares += pow(pool->items[items[i]].place - of.mean_place, 2);
    return of.n < 2 ? 0 : squares * of.n_a * (of.n - of.n_a) / ((double)of.n * (of.n - 1));
}

double duet_pool_normal_p(const Pool *pool, double off)
{
    double variance = 0;

    for (gsize k = 0; k < pool->n_blocks; k++)
        variance += block_variance(pool, k);
    return variance > 0 ? erfc(fabs(off) / sqrt(2 * variance)) : 1;
}
