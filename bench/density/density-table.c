/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>

#include "density-analysis.h"

#include "bench/arm-label.h"
#include "bench/table.h"
#include "bench/text.h"
#include "bench/words.h"

char *duet_density_plan_text(const DuetRun *run)
{
    const DuetDensityLimits *limits = run->plan->density;
    GString *out = g_string_new(_("one after the other until a rule ends it"));
    g_autofree char *budget = duet_text_bytes(limits->budget_bytes);
    g_autofree char *latency = duet_text_time(limits->max_latency_ns);

    if (limits->budget_bytes > 0)
        g_string_append_printf(out, _(", memory budget %s"), budget);
    if (limits->max > 0)
        g_string_append_printf(out, _(", at most %u"), limits->max);
    if (limits->max_latency_ns > 0)
        g_string_append_printf(out, _(", p95 at most %s"), latency);
    g_autofree char *seed = g_strdup_printf("%" G_GUINT64_FORMAT, run->plan->seed);
    g_string_append_printf(out, _(", at most %.0f s, memory at age %g s, seed %s"),
        limits->time_limit_ns / 1e9, run->plan->age_ms / 1000.0, seed);
    return g_string_free(out, FALSE);
}

char *duet_density_trend_text(const DuetDensityArm *arm)
{
    const DuetLine *trend = &arm->trend;

    if (isnan(trend->slope))
        return NULL;
    DuetUnit unit = duet_unit_for(fabs(trend->slope));
    g_autofree char *slope = duet_unit_format(unit, trend->slope);
    g_autofree char *range = duet_text_interval(unit, trend->slope_low, trend->slope_high);
    return g_strdup_printf("%s %s more for each that runs (95 %%: %s)", slope, unit.name, range);
}

char *duet_density_budget_text(const DuetDensityArm *arm)
{
    g_autofree char *room = duet_text_ratio(arm->room_budget);

    return isnan(arm->room_budget)
        ? NULL
        : g_strdup_printf("about %s would use it up (extrapolated from %u, not measured)", room,
              arm->outcome->memory->instances->len);
}

char *duet_density_host_text(const DuetDensityArm *arm)
{
    g_autofree char *room = duet_text_ratio(arm->room_host);

    return isnan(arm->room_host)
        ? NULL
        : g_strdup_printf("about %s would leave no more than it must keep (extrapolated from %u, "
                          "not measured)",
              room, arm->outcome->memory->instances->len);
}

char *duet_density_row_text(const DuetDensityRow *row)
{
    return row->from == row->to ? g_strdup_printf("%u", row->from)
                                : g_strdup_printf("%u to %u", row->from, row->to);
}

static void append_row(GString *out, const char *label, const char *format, ...)
    G_GNUC_PRINTF(3, 4);
static void append_row(GString *out, const char *label, const char *format, ...)
{
    g_autofree char *first = g_strdup_printf("  %-10s ", label);
    va_list args;

    va_start(args, format);
    g_autofree char *text = g_strdup_vprintf(format, args);
    va_end(args);
    duet_text_append_wrapped(out, first, "             ", text);
}

static void append_starts(GString *out, const DuetDensityArm *arm)
{
    const DuetSummary *s = &arm->latency;

    if (s->n == 0)
        return;
    DuetUnit unit = duet_unit_for(s->median);
    g_autofree char *interval = duet_unit_format(unit, s->median);
    g_autofree char *range = duet_text_interval(unit, s->low, s->high);
    g_autofree char *p95 = duet_text_time(s->p95);
    g_autofree char *trend = duet_density_trend_text(arm);
    append_row(out, "start", "median %s %s (95 %%: %s), p95 %s; %.3g starts per second", interval,
        unit.name, range, p95, arm->starts_per_s);
    if (trend)
        append_row(out, "", "%s", trend);
}

static void append_memory(GString *out, const DuetDensityArm *arm)
{
    static const char *const labels[] = {
        [DUET_DENSITY_BY_PSS] = "sum of PSS",
        [DUET_DENSITY_BY_CGROUP] = "cgroups",
        [DUET_DENSITY_BY_HOST] = "MemAvailable",
        [DUET_DENSITY_BY_RESERVED] = "reserved",
    };

    g_string_append_printf(out, "  %-24s%15s%15s\n", "memory by", "one instance", "in a GiB");
    for (guint meter = 0; meter < DUET_DENSITY_METERS; meter++) {
        g_autofree char *each = duet_text_bytes(arm->each_bytes[meter]);
        g_autofree char *per =
            isnan(arm->per_gib[meter]) ? g_strdup("n/a") : duet_text_ratio(arm->per_gib[meter]);
        g_string_append_printf(out, "    %-22s%15s%15s\n", labels[meter], each, per);
    }
}

static void append_room(GString *out, const DuetDensityArm *arm)
{
    g_autofree char *budget = duet_density_budget_text(arm);
    g_autofree char *host = duet_density_host_text(arm);

    if (budget)
        append_row(out, "budget", "%s", budget);
    if (host)
        append_row(out, "host", "%s", host);
}

static void append_curve(GString *out, const DuetDensityArm *arm)
{
    if (arm->n_rows == 0)
        return;
    g_string_append_printf(
        out, "  %-24s%15s%15s%15s\n", "start latency at N", "starts", "median", "slowest");
    for (guint i = 0; i < arm->n_rows; i++) {
        const DuetDensityRow *row = &arm->rows[i];
        g_autofree char *range = duet_density_row_text(row);
        g_autofree char *median = duet_text_time(row->median_ns);
        g_autofree char *max = duet_text_time(row->max_ns);
        g_string_append_printf(out, "    %-22s%15u%15s%15s\n", range, row->n, median, max);
    }
}

static void append_arm(
    GString *out, const DuetRun *run, const DuetDensityAnalysis *analysis, guint index)
{
    const DuetDensityArm *arm = &analysis->arms[index];
    const DuetDensityOutcome *outcome = arm->outcome;
    g_autofree char *detail = outcome->detail ? duet_text_line(outcome->detail) : NULL;

    g_string_append_c(out, '\n');
    duet_bench_table_arm(out, run, index, 13);
    if (outcome->bound == DUET_DENSITY_BOUND_NONE) {
        g_string_append(out, "not measured\n");
        return;
    }
    if (analysis->nested) {
        g_string_append(out, "withheld: nested under TCG\n");
        return;
    }
    g_string_append_printf(out, "%u at the same time\n", outcome->reached);
    append_row(out, "bound by", "%s%s%s", duet_density_bound_to_string(outcome->bound),
        detail ? ": " : "", detail ? detail : "");
    if (duet_density_was_asked(outcome))
        append_row(out, "answered", "%u of %u at the end", outcome->answered, outcome->reached);
    else
        append_row(out, "answered", "not asked: it was cut short before");
    append_starts(out, arm);
    append_memory(out, arm);
    append_room(out, arm);
    append_curve(out, arm);
}

char *duet_density_table(const DuetRun *run, const DuetDensityAnalysis *analysis)
{
    GString *out = g_string_new(NULL);
    const DuetRunArm *first = duet_run_arm(run, 0);
    g_autofree char *command = duet_bench_table_command(first);
    g_autofree char *plan = duet_density_plan_text(run);

    duet_bench_table_banner(out, analysis->nested, analysis->tcg);
    duet_bench_table_head(out, run, command, plan);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        append_arm(out, run, analysis, arm);
    duet_arm_label_legend(out, run);
    duet_bench_table_notes(out, analysis->notes);
    return g_string_free(out, FALSE);
}
