/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `bench boot` and `bench cost`: start and end of one instance at a time. */
#include <duet/bench.h>

#include "bench/benchmark.h"
#include "bench/check.h"
#include "bench/cost/cost.h"
#include "bench/export/export.h"
#include "bench/peers/peer-result.h"
#include "bench/result/result.h"
#include "bench/table.h"

static DuetPlan *new_plan(
    DuetJsonReader *reader, JsonObject *object, guint n_arms, guint n, guint64 seed)
{
    DuetPlan *plan = duet_plan_new(n_arms, n, seed,
        duet_json_get_int(reader, object, "timeout_ms", 0, G_MAXINT64, 0),
        duet_json_get_double(reader, object, "floor"));

    plan->ready = g_strdup(duet_json_get_string(reader, object, "ready"));
    plan->from = g_strdup(duet_json_get_string(reader, object, "from"));
    if (plan->from && !g_str_equal(plan->from, DUET_BENCH_FROM_SAVED) &&
        !g_str_equal(plan->from, DUET_BENCH_FROM_BOTH))
        duet_json_complain(
            reader, "'from' is neither " DUET_BENCH_FROM_SAVED " nor " DUET_BENCH_FROM_BOTH);
    return plan;
}

static void write_plan(const DuetPlan *plan, JsonObject *object)
{
    json_object_set_int_member(object, "timeout_ms", plan->timeout_ms);
    json_object_set_double_member(object, "floor", plan->floor);
    if (plan->ready)
        duet_json_set_string(object, "ready", plan->ready);
    if (plan->from)
        duet_json_set_string(object, "from", plan->from);
}

static void write_sample(const DuetSample *sample, JsonObject *object)
{
    duet_cost_sample_write(sample, object);
    duet_peer_sample_write(sample, object);
    if (sample->clone_ns != 0)
        json_object_set_int_member(object, "clone_ns", sample->clone_ns);
}

static void read_sample(DuetJsonReader *reader, JsonObject *object, DuetSample *sample)
{
    duet_cost_sample_read(reader, object, sample);
    duet_peer_sample_read(reader, object, sample);
    sample->clone_ns = duet_json_get_int(reader, object, "clone_ns", 0, G_MAXINT64, 0);
}

/* What `duet compare` adds to its one sample of each arm. */
static void read_compared(JsonObject *root, DuetRun *run)
{
    static const char *const members[] = { "outputs", "idle_memory" };

    if (!duet_json_member(root, members[0]))
        return;
    run->compared = json_object_new();
    for (gsize i = 0; i < G_N_ELEMENTS(members); i++) {
        if (duet_json_member(root, members[i]))
            json_object_set_member(
                run->compared, members[i], json_node_copy(duet_json_member(root, members[i])));
    }
}

static void read_root(DuetJsonReader *reader, JsonObject *root, DuetRun *run)
{
    duet_peer_root_read(reader, root, run);
    read_compared(root, run);
}

static const char *const formats[] = { "table", "json", "csv", "md", "openmetrics", "benchstat",
    "phoronix", NULL };
static char *(*const views[])(const DuetRun *, const DuetAnalysis *) = { duet_bench_table,
    duet_result_to_json, duet_export_csv, duet_export_markdown, duet_export_openmetrics,
    duet_export_benchstat, duet_export_phoronix };

static char *show(const DuetRun *run, guint format, gboolean ratio_with_failures)
{
    /* It lists the samples, and waits for nothing that is made of them. */
    if (views[format] == duet_export_csv)
        return duet_export_csv(run, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, ratio_with_failures);

    return views[format](run, analysis);
}

static GPtrArray *check(const DuetRun *run)
{
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);

    return duet_bench_check_new(run, analysis);
}

/* What duet itself costs is told by samples of the same shape, and is never compared with those of
 * `bench boot`, which come between VMs. */
#define BENCHMARK(NAME)                                                                            \
    {                                                                                              \
        .name = NAME, .new_plan = new_plan, .write_plan = write_plan,                              \
        .write_sample = write_sample, .read_sample = read_sample,                                  \
        .write_root = duet_peer_root_write, .read_root = read_root,                                \
        .plan_text = duet_bench_table_plan, .formats = formats, .show = show, .check = check,      \
        .measure = &duet_measure_boot,                                                             \
    }

const DuetBenchmark duet_benchmark_boot = BENCHMARK("boot");
const DuetBenchmark duet_benchmark_cost = BENCHMARK("cost");
