/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "density-rules.h"

#include "bench/stats.h"
#include "bench/text.h"

static const char *const bound_names[] = {
    [DUET_DENSITY_BOUND_NONE] = "none",
    [DUET_DENSITY_BOUND_MAX] = "max",
    [DUET_DENSITY_BOUND_BUDGET] = "memory-budget",
    [DUET_DENSITY_BOUND_HOST_MEMORY] = "host-memory",
    [DUET_DENSITY_BOUND_SWAP_IN] = "swap-in",
    [DUET_DENSITY_BOUND_PRESSURE] = "memory-pressure",
    [DUET_DENSITY_BOUND_REFAULTS] = "refaults",
    [DUET_DENSITY_BOUND_LATENCY] = "start-latency",
    [DUET_DENSITY_BOUND_FAILURES] = "failures",
    [DUET_DENSITY_BOUND_TASKS] = "tasks",
    [DUET_DENSITY_BOUND_FILES] = "files",
    [DUET_DENSITY_BOUND_TIME] = "time-limit",
    [DUET_DENSITY_BOUND_ENDED] = "instance-ended",
    [DUET_DENSITY_BOUND_INTERRUPTED] = "interrupted",
};

const char *duet_density_bound_to_string(DuetDensityBound bound)
{
    g_return_val_if_fail((gsize)bound < G_N_ELEMENTS(bound_names), "none");
    return bound_names[bound];
}

gboolean duet_density_bound_from_string(const char *text, DuetDensityBound *out_bound)
{
    for (gsize i = 0; i < G_N_ELEMENTS(bound_names); i++) {
        if (g_strcmp0(text, bound_names[i]) == 0) {
            *out_bound = i;
            return TRUE;
        }
    }
    return FALSE;
}

gboolean duet_density_bound_is_limit(DuetDensityBound bound)
{
    switch (bound) {
    case DUET_DENSITY_BOUND_BUDGET:
    case DUET_DENSITY_BOUND_HOST_MEMORY:
    case DUET_DENSITY_BOUND_SWAP_IN:
    case DUET_DENSITY_BOUND_PRESSURE:
    case DUET_DENSITY_BOUND_REFAULTS:
    case DUET_DENSITY_BOUND_TASKS:
    case DUET_DENSITY_BOUND_FILES:
        return TRUE;
    default:
        return FALSE;
    }
}

void duet_density_watch_init(
    DuetDensityWatch *watch, const DuetDensityLimits *limits, const DuetDensityHost *first)
{
    *watch = (DuetDensityWatch){
        .limits = *limits,
        .first = *first,
        .readings = g_array_new(FALSE, FALSE, sizeof(DuetDensityHost)),
        .latencies_ns = g_array_new(FALSE, FALSE, sizeof(double)),
    };
    g_array_append_val(watch->readings, *first);
}

void duet_density_watch_clear(DuetDensityWatch *watch)
{
    g_clear_pointer(&watch->readings, g_array_unref);
    g_clear_pointer(&watch->latencies_ns, g_array_unref);
}

void duet_density_watch_started(DuetDensityWatch *watch, gint64 latency_ns)
{
    double value = latency_ns;

    g_array_append_val(watch->latencies_ns, value);
    watch->running++;
    watch->failures = 0;
}

void duet_density_watch_failed(DuetDensityWatch *watch)
{
    watch->failures++;
}

/* ---- the rules: each Returns: (nullable) (transfer full): why there may be no further start ----
 */

typedef char *(*Rule)(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes);

static char *max_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    (void)now;
    (void)used_bytes;
    if (watch->limits.max == 0 || watch->running < watch->limits.max)
        return NULL;
    return g_strdup_printf("%u were asked for", watch->limits.max);
}

/* One more is taken to need as much as those that run do on average. */
static char *budget_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    guint64 budget = watch->limits.budget_bytes;

    (void)now;
    if (budget == 0 || watch->running == 0 || used_bytes + used_bytes / watch->running <= budget)
        return NULL;
    g_autofree char *used = duet_text_bytes(used_bytes);
    g_autofree char *all = duet_text_bytes(budget);
    g_autofree char *one = duet_text_bytes(used_bytes / watch->running);
    return g_strdup_printf("%s of %s used; one more takes %s", used, all, one);
}

static char *host_memory_rule(
    DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    (void)watch;
    (void)used_bytes;
    if (duet_host_memory_check(&now->memory, NULL, NULL))
        return NULL;
    g_autofree char *left = duet_text_bytes(now->memory.available_bytes);
    g_autofree char *floor = duet_text_bytes(duet_host_memory_floor(&now->memory));
    return g_strdup_printf("the host has %s available and must keep %s", left, floor);
}

static char *swap_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    guint64 pages = now->memory.swap_in_pages - watch->first.memory.swap_in_pages;

    (void)used_bytes;
    if (pages == 0)
        return NULL;
    return g_strdup_printf(
        "the host read %" G_GUINT64_FORMAT " page%s back from swap", pages, pages == 1 ? "" : "s");
}

/* The youngest reading that is old enough: pressure has to last. Those before it are dropped. */
static const DuetDensityHost *then(DuetDensityWatch *watch, const DuetDensityHost *now)
{
    guint old = 0;

    while (old < watch->readings->len &&
        now->memory.at_ns - g_array_index(watch->readings, DuetDensityHost, old).memory.at_ns >=
            DUET_DENSITY_PRESSURE_NS)
        old++;
    if (old == 0)
        return NULL;
    g_array_remove_range(watch->readings, 0, old - 1);
    return &g_array_index(watch->readings, DuetDensityHost, 0);
}

static char *pressure_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    const DuetDensityHost *before = now->has_pressure ? then(watch, now) : NULL;

    (void)used_bytes;
    if (!before)
        return NULL;
    double s = (now->memory.at_ns - before->memory.at_ns) / 1e9;
    double share = (now->stalled_us - before->stalled_us) / 1e6 / s;
    if (share <= DUET_DENSITY_PRESSURE_SHARE)
        return NULL;
    return g_strdup_printf(
        "all tasks waited for memory %.0f %% of the last %.0f s (PSI)", 100 * share, s);
}

static char *refault_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    const DuetDensityHost *before = now->has_pressure ? NULL : then(watch, now);

    (void)used_bytes;
    if (!before)
        return NULL;
    double s = (now->memory.at_ns - before->memory.at_ns) / 1e9;
    double rate = (now->refault_pages - before->refault_pages) / s;
    if (rate <= DUET_DENSITY_REFAULTS_PER_S)
        return NULL;
    return g_strdup_printf("%.0f pages per second had to be read again for %.0f s (the kernel has "
                           "no PSI)",
        rate, s);
}

static char *latency_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    const GArray *all = watch->latencies_ns;

    (void)now;
    (void)used_bytes;
    if (watch->limits.max_latency_ns == 0 || all->len < DUET_DENSITY_LATENCY_WINDOW)
        return NULL;
    const double *last = duet_stats_doubles(all) + all->len - DUET_DENSITY_LATENCY_WINDOW;
    g_autofree double *sorted = duet_stats_sorted(last, DUET_DENSITY_LATENCY_WINDOW);
    double p95 = duet_stats_percentile(sorted, DUET_DENSITY_LATENCY_WINDOW, 0.95);
    if (p95 <= watch->limits.max_latency_ns)
        return NULL;
    g_autofree char *text = duet_text_time(p95);
    g_autofree char *limit = duet_text_time(watch->limits.max_latency_ns);
    return g_strdup_printf(
        "p95 of the last %d starts is %s, over %s", DUET_DENSITY_LATENCY_WINDOW, text, limit);
}

static char *failure_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    (void)now;
    (void)used_bytes;
    if (watch->failures < DUET_DENSITY_FAILURES)
        return NULL;
    return g_strdup_printf("%u starts failed one after the other", watch->failures);
}

static char *table_rule(guint64 used, guint64 max, const char *what)
{
    if (max == 0 || used <= DUET_DENSITY_TABLE_SHARE * max)
        return NULL;
    return g_strdup_printf(
        "%" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " %s are in use", used, max, what);
}

static char *task_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    (void)watch;
    (void)used_bytes;
    return table_rule(now->tasks, now->tasks_max, "tasks of the host");
}

static char *file_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    (void)watch;
    (void)used_bytes;
    char *host = table_rule(now->files, now->files_max, "open files of the host");
    return host
        ? host
        : table_rule(now->own_files, now->own_files_max, "open files of this process (ulimit -n)");
}

static char *time_rule(DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes)
{
    gint64 gone = now->memory.at_ns - watch->first.memory.at_ns;

    (void)used_bytes;
    if (watch->limits.time_limit_ns == 0 || gone < watch->limits.time_limit_ns)
        return NULL;
    return g_strdup_printf("%.0f s were over", watch->limits.time_limit_ns / 1e9);
}

static const Rule rules[] = {
    [DUET_DENSITY_BOUND_MAX] = max_rule,
    [DUET_DENSITY_BOUND_BUDGET] = budget_rule,
    [DUET_DENSITY_BOUND_HOST_MEMORY] = host_memory_rule,
    [DUET_DENSITY_BOUND_SWAP_IN] = swap_rule,
    [DUET_DENSITY_BOUND_PRESSURE] = pressure_rule,
    [DUET_DENSITY_BOUND_REFAULTS] = refault_rule,
    [DUET_DENSITY_BOUND_LATENCY] = latency_rule,
    [DUET_DENSITY_BOUND_FAILURES] = failure_rule,
    [DUET_DENSITY_BOUND_TASKS] = task_rule,
    [DUET_DENSITY_BOUND_FILES] = file_rule,
    [DUET_DENSITY_BOUND_TIME] = time_rule,
};

DuetDensityBound duet_density_watch_check(
    DuetDensityWatch *watch, const DuetDensityHost *now, guint64 used_bytes, char **out_detail)
{
    DuetDensityBound bound = DUET_DENSITY_BOUND_NONE;

    for (gsize i = 1; i < G_N_ELEMENTS(rules) && bound == DUET_DENSITY_BOUND_NONE; i++) {
        char *why = rules[i](watch, now, used_bytes);
        if (why) {
            *out_detail = why;
            bound = i;
        }
    }
    g_array_append_val(watch->readings, *now);
    return bound;
}
