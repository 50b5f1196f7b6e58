/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "column.h"

#include "stats.h"

void duet_column_add(DuetColumn *column, double value, guint block)
{
    if (!column->values) {
        column->values = g_array_new(FALSE, FALSE, sizeof(double));
        column->blocks = g_array_new(FALSE, FALSE, sizeof(guint));
    }
    g_array_append_val(column->values, value);
    g_array_append_val(column->blocks, block);
}

DuetSeries duet_column_series(const DuetColumn *column)
{
    if (!column->values)
        return (DuetSeries){ 0 };
    /* A GArray's memory is aligned for anything. */
    return (DuetSeries){ duet_stats_doubles(column->values),
        (const guint *)(void *)column->blocks->data, column->values->len };
}

double duet_column_median(const DuetColumn *column)
{
    DuetSeries series = duet_column_series(column);

    return duet_stats_median(series.values, series.n);
}

gboolean duet_column_contrast(const DuetColumn *a, const DuetColumn *b, gboolean blocked,
    guint64 seed, DuetContrast *out_contrast, gsize *out_n)
{
    DuetSeries series_a = duet_column_series(a), series_b = duet_column_series(b);

    if (!blocked)
        series_a.blocks = series_b.blocks = NULL;
    *out_n = MIN(series_a.n, series_b.n);
    return duet_contrast(&series_a, &series_b, seed, DUET_STATS_RESAMPLES, out_contrast, NULL);
}

void duet_column_clear(DuetColumn *column)
{
    g_clear_pointer(&column->values, g_array_unref);
    g_clear_pointer(&column->blocks, g_array_unref);
}
