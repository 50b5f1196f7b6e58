/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench boot --parallel` and `--rate`: many starts at once, or arriving at a rate. */
#include <duet/bench.h>

#include "bench/benchmark.h"
#include "bench/check.h"
#include "bench/notes.h"
#include "load-analysis.h"

static JsonNode *write_level(const DuetPlan *plan, guint variant)
{
    return duet_load_level_to_json(plan->counts[variant], duet_load_by_rate(plan));
}

static int read_level(const DuetPlan *plan, JsonNode *node)
{
    DuetJsonReader reader = { 0 };
    guint level = duet_load_level_from_json(&reader, node, duet_load_by_rate(plan));

    g_free(reader.broken);
    for (guint i = 0; level > 0 && i < plan->n_variants; i++) {
        if (plan->counts[i] == level)
            return (int)i;
    }
    return -1;
}

static const DuetVariants variants = { "order_levels", write_level, read_level };

static DuetPlan *new_plan(
    DuetJsonReader *reader, JsonObject *object, guint n_arms, guint n, guint64 seed)
{
    guint starts = (guint)duet_json_get_int(reader, object, "starts", 1, DUET_BENCH_LEVEL_MAX, 0);
    JsonArray *array = duet_json_get_array(
        reader, object, starts > 0 ? "rates_per_s" : "levels", DUET_BENCH_COUNTS_MAX);
    guint levels[DUET_BENCH_COUNTS_MAX] = { 0 };
    guint n_levels = array ? json_array_get_length(array) : 0;

    for (guint i = 0; i < n_levels; i++)
        levels[i] = duet_load_level_from_json(reader, json_array_get_element(array, i), starts > 0);
    if (n_levels == 0 || n > DUET_BENCH_ROUNDS_MAX)
        duet_json_complain(
            reader, "there are no levels, or 'n' is above %d", DUET_BENCH_ROUNDS_MAX);
    DuetPlan *plan = duet_plan_new_load(
        n_arms, levels, MAX(n_levels, 1), MIN(n, DUET_BENCH_ROUNDS_MAX), seed, starts);
    plan->timeout_ms = duet_json_get_int(reader, object, "timeout_ms", 0, G_MAXINT64, 0);
    plan->floor = duet_json_get_double(reader, object, "floor");
    return plan;
}

static void write_plan(const DuetPlan *plan, JsonObject *object)
{
    JsonArray *levels = json_array_new();

    for (guint i = 0; i < plan->n_variants; i++)
        json_array_add_element(levels, write_level(plan, i));
    json_object_set_array_member(
        object, duet_load_by_rate(plan) ? "rates_per_s" : "levels", levels);
    if (duet_load_by_rate(plan))
        json_object_set_int_member(object, "starts", plan->load_starts);
    json_object_set_int_member(object, "timeout_ms", plan->timeout_ms);
    json_object_set_double_member(object, "floor", plan->floor);
}

static void new_sample(const DuetPlan *plan, int variant, DuetSample *sample)
{
    /* A warm-up is one start, which is told as any other benchmark's. */
    sample->load = duet_load_point_new(
        variant < 0 ? plan->counts[0] : plan->counts[variant], duet_load_by_rate(plan));
}

static char *describe(const DuetSample *sample)
{
    return sample->discarded ? g_strdup("")
                             : duet_load_level_text(sample->load->level, sample->load->rate);
}

static void write_sample(const DuetSample *sample, JsonObject *object)
{
    json_object_set_object_member(object, "load", duet_load_point_to_json(sample->load));
}

/* Which of the two the plan has is not known here: the member that is there says it. */
static void read_sample(DuetJsonReader *reader, JsonObject *object, DuetSample *sample)
{
    JsonObject *load = duet_json_get_object(reader, object, "load");

    sample->load =
        duet_load_point_from_json(reader, load, load && json_object_has_member(load, "rate_per_s"));
}

/* Everything after this relies on it. */
static void read_root(DuetJsonReader *reader, JsonObject *root, DuetRun *run)
{
    (void)root;
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (!duet_load_has(run->plan, sample->load->level, sample->load->rate))
            duet_json_complain(reader, "sample %u has a level that the plan has not", i);
    }
}

static const char *const formats[] = { "table", "json", "csv", "md", "openmetrics", "benchstat",
    "phoronix", NULL };
static char *(*const views[])(const DuetRun *, const DuetLoadAnalysis *) = { duet_load_table,
    duet_load_result, duet_load_csv, duet_load_markdown, duet_load_openmetrics, duet_load_benchstat,
    duet_load_phoronix };

static char *show(const DuetRun *run, guint format, gboolean ratio_with_failures)
{
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(run, ratio_with_failures);

    return views[format](run, analysis);
}

static void check_row(GPtrArray *notes, const DuetRun *run, const DuetLoadAnalysis *analysis,
    guint arm, guint variant)
{
    g_autofree char *level = duet_load_variant_text(run->plan, variant);
    g_autofree char *name = g_strdup_printf("%s %s", duet_run_arm(run, arm)->name, level);
    g_auto(DuetColumn) latencies = { 0 };

    /* Of all starts: the median of an even number is none of theirs. */
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        if (duet_load_is_of(sample, arm, run->plan->counts[variant]))
            duet_load_latencies(sample, analysis->headline_to, &latencies);
    }
    DuetSeries times = duet_column_series(&latencies);
    duet_bench_check_series(
        notes, name, run->plan->n, &duet_load_row(analysis, arm, variant)->batches, &times);
}

static GPtrArray *check(const DuetRun *run)
{
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(run, FALSE);
    GPtrArray *notes = duet_load_notes_new(run, analysis);

    duet_notes_drop_known(notes);
    for (guint arm = 0; arm < analysis->n_arms; arm++) {
        for (guint variant = 0; variant < analysis->n_levels; variant++)
            check_row(notes, run, analysis, arm, variant);
    }
    duet_bench_check_plan(notes, run);
    duet_bench_check_record(notes, run);
    return notes;
}

const DuetBenchmark duet_benchmark_load = {
    .name = "load",
    .variants = &variants,
    .new_plan = new_plan,
    .write_plan = write_plan,
    .new_sample = new_sample,
    .describe = describe,
    .write_sample = write_sample,
    .read_sample = read_sample,
    .read_root = read_root,
    .plan_text = duet_load_plan_text,
    .formats = formats,
    .show = show,
    .check = check,
    .measure = &duet_measure_load,
};
