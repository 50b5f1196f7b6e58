/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What two arms are compared by: what one more instance takes. */
#include <math.h>

#include "bench/text.h"
#include "memory-analysis.h"

static DuetPoints points_of(const GArray *x, const GArray *y)
{
    return (DuetPoints){ duet_stats_doubles(x), duet_stats_doubles(y), x->len };
}

static gboolean contrast(const DuetMatch *match, guint a, guint b, guint metric, guint64 seed,
    DuetContrast *out_contrast, gsize *out_n)
{
    g_autoptr(GArray) x_a = NULL, y_a = NULL, x_b = NULL, y_b = NULL;

    duet_memory_points(match->a, a, metric, G_MAXUINT, &x_a, &y_a);
    duet_memory_points(match->b, b, metric, G_MAXUINT, &x_b, &y_b);
    DuetPoints of_a = points_of(x_a, y_a), of_b = points_of(x_b, y_b);
    *out_n = MIN(of_a.n, of_b.n);
    return duet_contrast_lines(&of_a, &of_b, seed, DUET_STATS_RESAMPLES, out_contrast, NULL);
}

/* MemFree is shown, and not fitted. */
static char *id(const DuetMatch *match, guint metric)
{
    (void)match;
    return metric == DUET_MEMORY_FREE ? NULL : g_strdup(duet_memory_metric_id(metric));
}

static double slope(const DuetMatch *match, const DuetRun *run, guint arm, guint metric)
{
    g_autoptr(GArray) x = NULL, y = NULL;
    DuetLine line = { .slope = NAN };

    (void)match;
    duet_memory_points(run, arm, metric, G_MAXUINT, &x, &y);
    DuetPoints points = points_of(x, y);
    duet_stats_line(points.x, points.y, points.n, 0, 0, &line, NULL);
    return line.slope;
}

static char *text(guint metric, double bytes)
{
    (void)metric;
    return duet_text_bytes(bytes);
}

static char *difference(guint metric, const DuetContrast *c)
{
    (void)metric;
    g_autofree char *bytes = duet_text_bytes(c->difference);
    g_autofree char *range = duet_text_bytes_range(c->difference_low, c->difference_high);

    return g_strdup_printf("%s (%s)", bytes, range);
}

const DuetMeasure duet_measure_memory = {
    .n_metrics = DUET_MEMORY_METRIC_COUNT,
    .n_default = DUET_MEMORY_ESTIMATORS,
    .unit = "bytes",
    .estimate = "slope",
    .id = id,
    .value = slope,
    .text = text,
    .difference = difference,
    .contrast = contrast,
};
