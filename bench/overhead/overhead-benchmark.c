/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench overhead`: how fast work is in each kind of instance, by tools in the image. */
#include <duet/bench.h>

#include "bench/benchmark.h"
#include "bench/check.h"
#include "bench/export/export.h"
#include "bench/notes.h"
#include "bench/table.h"
#include "overhead-view.h"

static DuetPlan *new_plan(
    DuetJsonReader *reader, JsonObject *object, guint n_arms, guint n, guint64 seed)
{
    DuetPlan *plan = duet_benchmark_boot.new_plan(reader, object, n_arms, n, seed);

    plan->duration_s =
        duet_json_get_int(reader, object, "duration_s", 1, DUET_BENCH_DURATION_MAX_S, 1);
    return plan;
}

static void write_plan(const DuetPlan *plan, JsonObject *object)
{
    duet_benchmark_boot.write_plan(plan, object);
    json_object_set_int_member(object, "duration_s", plan->duration_s);
}

static void write_sample(const DuetSample *sample, JsonObject *object)
{
    if (sample->overhead)
        json_object_set_object_member(
            object, "overhead", duet_overhead_point_to_json(sample->overhead));
}

static void read_sample(DuetJsonReader *reader, JsonObject *object, DuetSample *sample)
{
    if (duet_json_member(object, "overhead"))
        sample->overhead =
            duet_overhead_point_from_json(reader, duet_json_get_object(reader, object, "overhead"));
}

static JsonObject *test_object(const DuetOverheadTest *test)
{
    JsonObject *object = json_object_new();
    JsonArray *values = json_array_new();

    json_object_set_string_member(object, "name", test->name);
    json_object_set_string_member(object, "summary", test->summary);
    for (const DuetOverheadValue *value = test->values; value->id; value++) {
        JsonObject *entry = json_object_new();
        json_object_set_string_member(entry, "id", value->id);
        json_object_set_string_member(entry, "unit", value->base_unit);
        json_object_set_boolean_member(entry, "higher_is_better", value->higher_is_better);
        json_array_add_object_element(values, entry);
    }
    json_object_set_array_member(object, "values", values);
    return object;
}

/* What the tests are, so that a reader needs no table of ours. */
static void write_root(const DuetRun *run, JsonObject *root)
{
    JsonArray *array = json_array_new();

    for (const DuetOverheadTest *test = duet_overhead_tests(); test->name; test++) {
        if (duet_overhead_run_has(run, test))
            json_array_add_object_element(array, test_object(test));
    }
    json_object_set_array_member(root, "tests", array);
}

/* Everything after this relies on it. */
static void read_root(DuetJsonReader *reader, JsonObject *root, DuetRun *run)
{
    (void)root;
    for (guint i = 0; i < run->arms->len; i++) {
        if (!duet_overhead_arm_test(duet_run_arm(run, i)))
            duet_json_complain(
                reader, "the name of arm %u begins with no test that this duet knows", i);
    }
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (sample->overhead &&
            sample->overhead->test != duet_overhead_arm_test(duet_run_arm(run, sample->arm)))
            duet_json_complain(reader, "sample %u is of another test than its arm", i);
    }
}

static char *csv(const DuetRun *run, const DuetOverheadAnalysis *analysis)
{
    (void)analysis;
    return duet_export_csv(run, NULL);
}

static const char *const formats[] = { "table", "json", "csv", "md", "openmetrics", "benchstat",
    "phoronix", NULL };
static char *(*const views[])(const DuetRun *, const DuetOverheadAnalysis *) = {
    duet_overhead_table, duet_overhead_result, csv, duet_overhead_markdown,
    duet_overhead_openmetrics, duet_overhead_benchstat, duet_overhead_phoronix
};

static char *show(const DuetRun *run, guint format, gboolean ratio_with_failures)
{
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, ratio_with_failures);

    return views[format](run, analysis);
}

static void check_arm(GPtrArray *notes, const DuetRun *run, guint index, const DuetOverheadArm *arm)
{
    const DuetOverheadTest *test = duet_overhead_arm_test(duet_run_arm(run, index));

    for (guint value = 0; test->values[value].id; value++) {
        const DuetSummary *summary = &arm->summary[value];
        g_auto(DuetColumn) column = { 0 };
        g_autofree char *name = duet_overhead_series_name(run, index, value);
        /* Of what a test is about, having no good sample is a weakness; the rest may be absent. */
        if (value > 0 && summary->n == 0)
            continue;
        duet_overhead_values(run, index, value, &column);
        DuetSeries series = duet_column_series(&column);
        gboolean is_time = g_str_equal(test->values[value].base_unit, "ns");
        duet_bench_check_series(notes, name, run->plan->n, summary, is_time ? &series : NULL);
    }
}

static gboolean same_test(const DuetRunArm *a, const DuetRunArm *b)
{
    return duet_overhead_arm_test(a) == duet_overhead_arm_test(b);
}

static GPtrArray *check(const DuetRun *run)
{
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);
    GPtrArray *notes = duet_overhead_notes_new(run, analysis);

    duet_notes_drop_known(notes);
    for (guint arm = 0; arm < analysis->n_arms; arm++)
        check_arm(notes, run, arm, &analysis->arms[arm]);
    duet_bench_check_clock(notes, run);
    duet_bench_check_plan(notes, run);
    /* That a guest's kernel is not the host's is told by the notes, once for all tests. */
    duet_bench_check_mixed(notes, run, same_test);
    duet_bench_check_host(notes, run);
    return notes;
}

const DuetBenchmark duet_benchmark_overhead = {
    .name = "overhead",
    .new_plan = new_plan,
    .write_plan = write_plan,
    .write_sample = write_sample,
    .read_sample = read_sample,
    .write_root = write_root,
    .read_root = read_root,
    .plan_text = duet_bench_table_plan,
    .formats = formats,
    .show = show,
    .check = check,
    .measure = &duet_measure_overhead,
};
