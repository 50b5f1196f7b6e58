/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "inference.h"

G_BEGIN_DECLS

/**
 * DuetColumn: the values of one arm while they are collected, in the order of measuring, and the
 * block of each. All zero is an empty one.
 */
typedef struct {
    GArray *values, *blocks;
} DuetColumn;

void duet_column_add(DuetColumn *column, double value, guint block);

/** duet_column_series: Returns: the column's values and blocks, which stay the column's. */
DuetSeries duet_column_series(const DuetColumn *column);

/** duet_column_median: Returns: NaN if there is no value. */
double duet_column_median(const DuetColumn *column);

/**
 * duet_column_contrast: duet_contrast() of two columns.
 * @blocked: whether a block of one is the same block of the other, so that they pair
 * @out_n: how many values the shorter one has
 */
gboolean duet_column_contrast(const DuetColumn *a, const DuetColumn *b, gboolean blocked,
    guint64 seed, DuetContrast *out_contrast, gsize *out_n);

void duet_column_clear(DuetColumn *column);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetColumn, duet_column_clear)

G_END_DECLS
