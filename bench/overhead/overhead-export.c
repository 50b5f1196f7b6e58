/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A run of `bench overhead` in the formats of other programs. */
#include "overhead-view.h"

#include <math.h>
#include <string.h>

#include "bench/export/export.h"

/* ---- OpenMetrics ---- */

/* Base units, each a family: a family has one. */
static const struct {
    const char *base_unit;
    const char *family, *spread, *unit;
    double scale;
    const char *help;
} families[] = {
    { "ns", "duet_work_seconds", "duet_work_spread_seconds", "seconds", 1e-9,
        "Times that tools in instances measured." },
    { "bytes/s", "duet_work_bytes_per_second", "duet_work_spread_bytes_per_second",
        "bytes_per_second", 1, "Bytes per second that tools in instances measured." },
    { "1/s", "duet_work_operations_per_second", "duet_work_spread_operations_per_second",
        "operations_per_second", 1,
        "Other rates that tools in instances measured; the metric tells of what." },
};

/* @name: of a family of that base unit */
static void arm_figures(GString *out, const DuetRun *run, const DuetOverheadAnalysis *analysis,
    guint arm, gsize family, const char *name, DuetOpenmetricsFigures append)
{
    const DuetOverheadTest *test = duet_overhead_arm_test(duet_run_arm(run, arm));

    for (guint value = 0; test->values[value].id; value++) {
        const DuetSummary *summary = &analysis->arms[arm].summary[value];
        g_autofree char *metric = g_strdup_printf("%s.%s", test->name, test->values[value].id);
        if (summary->n > 0 &&
            g_str_equal(test->values[value].base_unit, families[family].base_unit))
            append(out, name, run, arm, metric, summary, families[family].scale);
    }
}

char *duet_overhead_openmetrics(const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    GString *out = g_string_new(NULL);
    DuetMatch match = { .measure = &duet_measure_overhead, .a = run, .b = run };

    duet_openmetrics_info(out, run);
    duet_openmetrics_samples_family(out);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetOverheadArm *of = &analysis->arms[arm];
        duet_openmetrics_samples(out, run, arm, of->ok, of->failed, of->timeouts);
    }
    for (gsize family = 0; family < G_N_ELEMENTS(families); family++) {
        duet_openmetrics_family(
            out, families[family].family, "summary", families[family].unit, families[family].help);
        for (guint arm = 0; arm < analysis->n_arms; arm++)
            arm_figures(
                out, run, analysis, arm, family, families[family].family, duet_openmetrics_summary);
        duet_openmetrics_family(out, families[family].spread, "gauge", families[family].unit,
            "95 % interval of the median of these, and their MAD.");
        for (guint arm = 0; arm < analysis->n_arms; arm++)
            arm_figures(
                out, run, analysis, arm, family, families[family].spread, duet_openmetrics_spread);
    }
    duet_openmetrics_ratios(out, &match, analysis->comparisons,
        "Ratio of the medians of a and b, 95 % interval; of rates, below 1 is slower.");
    g_string_append(out, "# EOF\n");
    return g_string_free(out, FALSE);
}

/* ---- benchstat ---- */

/* Returns: (transfer full): "ns/op" of what a test is about, "latency-mean-ns/op", "B/s",
 * "events/s": benchstat scales ns and B. */
static char *go_unit(const DuetOverheadTest *test, guint value)
{
    const DuetOverheadValue *of = &test->values[value];
    g_autofree char *name = g_strdup(of->id);

    if (g_str_equal(of->base_unit, "bytes/s"))
        return g_strdup("B/s");
    if (of->higher_is_better && g_str_has_suffix(name, "_per_s")) {
        name[strlen(name) - strlen("_per_s")] = '\0';
        return g_strconcat(g_strdelimit(name, "_", '-'), "/s", NULL);
    }
    return value == 0 ? g_strdup("ns/op") : g_strconcat(g_strdelimit(name, "_", '-'), "/op", NULL);
}

/* benchstat takes less for better unless told otherwise; what it is told of a unit holds for all
 * the file. */
static void go_rates(GString *out, const DuetRun *run)
{
    g_autoptr(GHashTable) told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (const DuetOverheadTest *test = duet_overhead_tests(); test->name; test++) {
        for (guint value = 0; duet_overhead_run_has(run, test) && test->values[value].id; value++) {
            g_autofree char *unit = go_unit(test, value);
            if (test->values[value].higher_is_better && !g_hash_table_contains(told, unit)) {
                g_string_append_printf(out, "Unit %s better=higher\n", unit);
                g_hash_table_add(told, g_steal_pointer(&unit));
            }
        }
    }
}

static void go_line(GString *out, const DuetRun *run, const DuetSample *sample)
{
    const DuetOverheadPoint *point = sample->overhead;
    char text[G_ASCII_DTOSTR_BUF_SIZE];

    if (sample->discarded || sample->status != DUET_SAMPLE_OK || !point || isnan(point->values[0]))
        return;
    g_string_append(out, "BenchmarkOverhead/test=");
    duet_benchstat_name(out, point->test->name);
    g_string_append(out, "/arm=");
    duet_benchstat_name(out, duet_run_arm(run, sample->arm)->kind);
    /* Direct I/O and the page cache are two benchmarks. */
    if (point->mode) {
        g_string_append(out, "/mode=");
        duet_benchstat_name(out, point->mode);
    }
    g_string_append(out, " 1");
    for (guint value = 0; point->test->values[value].id; value++) {
        g_autofree char *unit = go_unit(point->test, value);
        if (!isnan(point->values[value]))
            g_string_append_printf(out, " %s %s",
                g_ascii_formatd(text, sizeof text, "%.12g", point->values[value]), unit);
    }
    g_string_append_c(out, '\n');
}

char *duet_overhead_benchstat(const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    GString *out = g_string_new(NULL);

    duet_benchstat_head(out, run, analysis->nested, analysis->tcg);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetOverheadArm *of = &analysis->arms[arm];
        duet_benchstat_failures(
            out, duet_run_arm(run, arm)->name, of->ok, of->failed + of->timeouts);
    }
    go_rates(out, run);
    for (guint i = 0; i < run->samples->len; i++)
        go_line(out, run, duet_run_sample(run, i));
    return g_string_free(out, FALSE);
}

/* ---- Phoronix ---- */

/* A system is a kind, so that a test shows the kinds beside one another. */
static gboolean is_first_of_kind(const DuetRun *run, guint arm)
{
    for (guint i = 0; i < arm; i++) {
        if (g_str_equal(duet_run_arm(run, i)->kind, duet_run_arm(run, arm)->kind))
            return FALSE;
    }
    return TRUE;
}

static void add_system(
    DuetPhoronix *file, const DuetRun *run, const DuetOverheadAnalysis *analysis, guint arm)
{
    const char *kind = duet_run_arm(run, arm)->kind;
    guint ok = 0, failed = 0, timeouts = 0;

    for (guint i = arm; i < analysis->n_arms; i++) {
        if (!g_str_equal(duet_run_arm(run, i)->kind, kind))
            continue;
        ok += analysis->arms[i].ok;
        failed += analysis->arms[i].failed;
        timeouts += analysis->arms[i].timeouts;
    }
    duet_phoronix_system(file, kind, arm, ok, failed, timeouts);
}

static void add_result(DuetPhoronix *file, const DuetRun *run, const DuetOverheadAnalysis *analysis,
    const DuetOverheadTest *test, guint value)
{
    const DuetOverheadValue *of = &test->values[value];
    g_autofree char *id = g_strdup_printf("%s.%s", test->name, of->id);

    duet_phoronix_result(file, "local/duet-overhead", id, of->unit, of->higher_is_better);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        const DuetSummary *summary = &analysis->arms[arm].summary[value];
        g_auto(DuetColumn) column = { 0 };
        if (duet_overhead_arm_test(duet_run_arm(run, arm)) != test || summary->n == 0)
            continue;
        duet_overhead_values(run, arm, value, &column);
        DuetSeries series = duet_column_series(&column);
        duet_phoronix_entry(
            file, duet_run_arm(run, arm)->kind, summary->median, &series, of->scale);
    }
    duet_phoronix_result_end(file);
}

static gboolean anybody_has(const DuetRun *run, const DuetOverheadAnalysis *analysis,
    const DuetOverheadTest *test, guint value)
{
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (duet_overhead_arm_test(duet_run_arm(run, arm)) == test &&
            analysis->arms[arm].summary[value].n > 0)
            return TRUE;
    }
    return FALSE;
}

char *duet_overhead_phoronix(const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    DuetPhoronix *file = duet_phoronix_new(run, "duet bench overhead",
        "samples of each test and kind", analysis->nested, analysis->tcg);

    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        if (is_first_of_kind(run, arm))
            add_system(file, run, analysis, arm);
    }
    for (const DuetOverheadTest *test = duet_overhead_tests(); test->name; test++) {
        for (guint value = 0; test->values[value].id; value++) {
            if (anybody_has(run, analysis, test, value))
                add_result(file, run, analysis, test, value);
        }
    }
    return duet_phoronix_finish(file);
}
