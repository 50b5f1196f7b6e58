/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What inference.c and inference-large.c share; nobody else includes this. */

#include "inference.h"
#include "random.h"

G_BEGIN_DECLS

/* A value, where it stands among all values of both series and where in its own. */
typedef struct {
    double value;
    guint block;
    guint rank; /* in its own series, ascending */
    double place; /* among all, from 1, ascending; equal values share the mean of theirs */
    gboolean of_b;
} Item;

/*
 * Both series as items in ascending order of value, and the same items grouped by block:
 * by_block[start[k]] .. by_block[start[k + 1] - 1] are the indices of block k's items.
 */
typedef struct {
    Item *items;
    gsize n, n_a, n_b;
    guint *by_block;
    guint *start;
    gsize n_blocks;
    gboolean blocked;
    gboolean large; /* too large for resampling as it is written down */
    double *sorted_a, *sorted_b;
} Pool;

/*
 * For series of more than DUET_STATS_LARGE values, where to draw every value of every resample
 * would take minutes.
 */

/** duet_pool_has_pairs: Returns: whether no block has two values of one series. */
gboolean duet_pool_has_pairs(const Pool *pool);

/**
 * duet_pool_correlation: Returns: of where the medians of both series come to lie in one resample
 * of blocks: that of "is at most its median" over all blocks; 0 without blocks.
 */
double duet_pool_correlation(const Pool *pool);

/**
 * duet_pool_draw_medians: of one bootstrap resample, by duet_stats_drawn_median().
 */
void duet_pool_draw_medians(
    const Pool *pool, double correlation, DuetRandom *random, double *out_a, double *out_b);

/* Of a block: how many values it has, how many of them are a's, and the mean of their places. */
typedef struct {
    guint n, n_a;
    double mean_place;
} PoolBlock;

PoolBlock duet_pool_block(const Pool *pool, gsize block);

/**
 * duet_pool_normal_p: the permutation test of small series, by the normal distribution that the sum
 * of the places tends to (Hoeffding 1951, Annals of Mathematical Statistics 22, 558).
 * @off: by how much a's sum of places is off from what it is on average
 */
double duet_pool_normal_p(const Pool *pool, double off);

G_END_DECLS
