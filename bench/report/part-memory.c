/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench memory`: what one more instance takes. */
#include "part.h"

#include <math.h>

#include "bench/benchmark.h"
#include "bench/memory/memory-view.h"
#include "bench/text.h"
#include "bench/words.h"

#define MIB (1024.0 * 1024)
#define BAND_STEPS 24

typedef struct {
    const char *name;
    double bytes;
} Unit;

static Unit unit_for(double bytes)
{
    static const Unit units[] = { { "GiB", 1024 * MIB }, { "MiB", MIB }, { "KiB", 1024 } };

    for (gsize i = 0; i < G_N_ELEMENTS(units); i++) {
        if (fabs(bytes) >= units[i].bytes)
            return units[i];
    }
    return units[G_N_ELEMENTS(units) - 1];
}

/* The arms that have a line. Returns: (transfer full) (element-type guint). */
static GArray *arms_with(const DuetMemoryAnalysis *analysis, DuetMemoryMetric metric)
{
    GArray *arms = g_array_new(FALSE, FALSE, sizeof(guint));

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (!isnan(analysis->arms[arm].lines[metric].slope))
            g_array_append_val(arms, arm);
    }
    return arms;
}

static double largest(const GArray *array)
{
    double most = 0;

    for (guint i = 0; i < array->len; i++)
        most = MAX(most, g_array_index(array, double, i));
    return most;
}

static void line_rows(GString *dots, GString *fits, GString *band, const DuetRun *run,
    const DuetMemoryAnalysis *analysis, guint arm, guint row, GPtrArray *labels)
{
    const DuetLine *line = &analysis->arms[arm].lines[DUET_MEMORY_HOST];
    g_autoptr(GArray) x = NULL, y = NULL;

    duet_memory_points(run, arm, DUET_MEMORY_HOST, G_MAXUINT, &x, &y);
    Unit unit = unit_for(largest(y));
    double most = largest(x);
    for (guint i = 0; i < x->len; i++)
        DUET_CHART_ROW(dots, g_array_index(x, double, i), g_array_index(y, double, i) / unit.bytes);
    DUET_CHART_ROW(fits, row, line->intercept / unit.bytes, line->slope / unit.bytes);
    for (guint i = 0; i <= BAND_STEPS && isfinite(line->slope_low); i++) {
        double at = most * i / BAND_STEPS;
        DUET_CHART_ROW(band, at, (line->intercept_low + line->slope_low * at) / unit.bytes,
            (line->intercept_high + line->slope_high * at) / unit.bytes);
    }
    if (!isfinite(line->slope_low))
        DUET_CHART_ROW(band, NAN, NAN, NAN);
    g_ptr_array_add(labels, g_strdup_printf(_("used of the host, %s"), unit.name));
    duet_chart_next_block(dots);
    duet_chart_next_block(band);
}

static void add_lines(
    DuetReport *report, const DuetRun *run, const DuetMemoryAnalysis *analysis, const char *id)
{
    g_autoptr(GArray) arms = arms_with(analysis, DUET_MEMORY_HOST);
    g_autoptr(GPtrArray) labels = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *name = g_strdup_printf("%s-line", id);

    if (arms->len == 0)
        return;
    DuetChart *chart = duet_chart_new("line", name);
    GString *dots = duet_chart_data(chart, "dots"), *fits = duet_chart_data(chart, "fits");
    GString *band = duet_chart_data(chart, "band");
    duet_report_arms(report, chart, run, arms);
    duet_chart_set_text(chart, "xlabel", _("instances at the same time"));
    for (guint i = 0; i < arms->len; i++)
        line_rows(dots, fits, band, run, analysis, g_array_index(arms, guint, i), i + 1, labels);
    duet_chart_set_texts(chart, "arm_ylabel", labels);
    duet_report_figure(report, chart, _("Memory of the host against the number of instances"),
        _("The slope of a line is what one more instance takes; where it begins is what the first "
          "one needs in any case. Each arm has a scale of its own."),
        _("How much less memory the host has available (MemAvailable) while they run than before. "
          "Lines by Theil and Sen; the band lies between the bounds (95 %) of slope and "
          "beginning."));
}

/* What PSS is a sum of: parts of the breakdown that don't overlap. */
static const DuetMemoryMetric pss_parts[] = { DUET_MEMORY_GUEST_RAM, DUET_MEMORY_OWN_ANON,
    DUET_MEMORY_OWN_FILE, DUET_MEMORY_OWN_SHMEM, DUET_MEMORY_HELPERS, DUET_MEMORY_MANAGING };

static const char *part_label(DuetMemoryMetric metric)
{
    const DuetMemoryPart *part = duet_memory_breakdown();

    while (part->label && part->metric != metric)
        part++;
    return part->label ? _(part->label) : duet_memory_metric_id(metric);
}

static void add_stack(
    DuetReport *report, const DuetRun *run, const DuetMemoryAnalysis *analysis, const char *id)
{
    g_autoptr(GArray) arms = arms_with(analysis, DUET_MEMORY_PSS);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_autoptr(GPtrArray) units = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *name = g_strdup_printf("%s-stack", id);

    if (arms->len == 0)
        return;
    DuetChart *chart = duet_chart_new("stack", name);
    GString *rows = duet_chart_data(chart, "parts");
    duet_report_arms(report, chart, run, arms);
    for (gsize part = 0; part < G_N_ELEMENTS(pss_parts); part++)
        g_ptr_array_add(names, (gpointer)part_label(pss_parts[part]));
    duet_chart_set_texts(chart, "part", names);
    duet_chart_set_text(chart, "xlabel", _("memory of one more instance (PSS)"));
    for (guint i = 0; i < arms->len; i++) {
        guint arm = g_array_index(arms, guint, i);
        const DuetLine *lines = analysis->arms[arm].lines;
        Unit unit = unit_for(lines[DUET_MEMORY_PSS].slope);
        gboolean vm = g_str_equal(duet_run_arm(run, arm)->kind, "vm");
        for (gsize part = 0; part < G_N_ELEMENTS(pss_parts); part++) {
            double slope = lines[pss_parts[part]].slope;
            gboolean vm_only =
                pss_parts[part] == DUET_MEMORY_GUEST_RAM || pss_parts[part] == DUET_MEMORY_HELPERS;
            if (isfinite(slope) && slope > 0 && (vm || !vm_only))
                DUET_CHART_ROW(rows, i + 1, part + 1, slope / unit.bytes);
        }
        g_ptr_array_add(units, g_strdup(unit.name));
    }
    duet_chart_set_texts(chart, "arm_unit", units);
    DuetReportFigure *figure = duet_report_figure(report, chart,
        _("What the memory of one more instance is"),
        _("Each bar is what one more instance takes, in its parts; the longer the part, the more "
          "of "
          "it. Each arm has a scale of its own."),
        _("Slopes of the parts over the number of instances, by PSS, which divides what several "
          "share; a part that does not grow is left out."));
    for (guint i = 0; i < arms->len; i++) {
        guint arm = g_array_index(arms, guint, i);
        double slope = analysis->arms[arm].lines[DUET_MEMORY_PSS].slope;
        g_autofree char *text = duet_text_bytes(slope);
        duet_report_bar(figure, duet_run_arm(run, arm)->name, text, MAX(slope, 0));
    }
}

static void add_estimators(
    DuetReport *report, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    static const char *const names[] = {
        [DUET_MEMORY_PSS] = N_("sum of PSS"),
        [DUET_MEMORY_CGROUP] = N_("cgroups"),
        [DUET_MEMORY_HOST] = N_("host, MemAvailable"),
    };
    DuetReportTable *table =
        duet_report_table(report, _("What one more instance takes, by each estimator"), "llrrrr");

    duet_report_row(table, _("arm"), _("by"), _("one more"), _("95 %"), _("fixed"), _("95 %"));
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint metric = 0; metric < DUET_MEMORY_ESTIMATORS; metric++) {
            const DuetLine *line = &analysis->arms[arm].lines[metric];
            g_autofree char *slope = duet_text_bytes(line->slope);
            g_autofree char *slopes = duet_text_bytes_range(line->slope_low, line->slope_high);
            g_autofree char *fixed = duet_text_bytes(line->intercept);
            g_autofree char *fixeds =
                duet_text_bytes_range(line->intercept_low, line->intercept_high);
            duet_report_row(table, metric == 0 ? duet_run_arm(run, arm)->name : "",
                _(names[metric]), slope, slopes, fixed, fixeds);
        }
    }
}

static void add_breakdown(
    DuetReport *report, const DuetRun *run, const DuetMemoryAnalysis *analysis)
{
    GPtrArray *head = g_ptr_array_new();

    g_ptr_array_add(head, g_strdup(_("part")));
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        g_ptr_array_add(head, g_strdup(duet_run_arm(run, arm)->name));
    DuetReportTable *table = duet_report_table_with(report,
        _("One more instance; what is in the guest is of its RAM, by its own kernel"), "l", 'r',
        head);
    for (const DuetMemoryPart *part = duet_memory_breakdown(); part->label; part++) {
        GPtrArray *cells = g_ptr_array_new();
        g_ptr_array_add(cells, g_strdup(_(part->label)));
        for (guint arm = 0; arm < analysis->n_arms; arm++)
            g_ptr_array_add(cells, duet_memory_part(run, analysis, arm, part));
        duet_report_cells(table, cells);
    }
}

static void add(DuetReport *report, const DuetRun *run, const char *id)
{
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);

    add_stack(report, run, analysis, id);
    add_lines(report, run, analysis, id);
    add_estimators(report, run, analysis);
    duet_report_comparisons(report, _("Arms against each other: ratios of one more instance"),
        &analysis->match, analysis->comparisons);
    add_breakdown(report, run, analysis);
    duet_report_notes(report, analysis->notes);
}

static void options(GString *command, const DuetRun *run)
{
    const DuetPlan *plan = run->plan;

    g_string_append(command, " --counts ");
    for (guint i = 0; i < plan->n_variants; i++)
        g_string_append_printf(command, "%s%u", i > 0 ? "," : "", plan->counts[i]);
    g_string_append_printf(command, " --rounds %u --age %g", plan->n, plan->age_ms / 1000.0);
    if (plan->equal_memory_bytes > 0)
        g_string_append_printf(
            command, " --equal-memory %" G_GUINT64_FORMAT, plan->equal_memory_bytes);
    if (plan->balloon_bytes > 0)
        g_string_append_printf(command, " --balloon %" G_GUINT64_FORMAT, plan->balloon_bytes);
    if (plan->ksm)
        duet_report_option(command, "ksm", plan->ksm);
}

const DuetReportPart duet_report_memory = {
    .benchmark = "memory",
    .title = N_("Memory"),
    .add = add,
    .options = options,
};
