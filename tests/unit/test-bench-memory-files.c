/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `bench memory` writes and reads. */
#include <string.h>

#include <duet/error.h>

#include "bench/against/against.h"
#include "bench/benchmark.h"
#include "bench/memory/memory-analysis.h"
#include "bench/memory/memory-view.h"
#include "bench/result/result.h"
#include "memory-fixture.h"

static void test_round_trip(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    kinds[0].cache = 50 * MIB;
    kinds[1].fail_count = 8;
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *json = duet_memory_result(run, analysis);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) loaded = duet_result_parse(json, -1, &error);

    g_assert_no_error(error);
    g_assert_true(loaded->benchmark == &duet_benchmark_memory);
    g_assert_cmpmem(loaded->plan->order, run->plan->n * duet_plan_cells(run->plan) * sizeof(guint),
        run->plan->order, run->plan->n * duet_plan_cells(run->plan) * sizeof(guint));
    g_autoptr(DuetMemoryAnalysis) again = duet_memory_analysis_new(loaded, FALSE);
    g_autofree char *json_again = duet_memory_result(loaded, again);
    g_assert_cmpstr(json, ==, json_again);
    g_autofree char *table = duet_memory_table(run, analysis);
    g_autofree char *table_again = duet_memory_table(loaded, again);
    g_assert_cmpstr(table, ==, table_again);
}

static void test_formats(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    kinds[1].kind = "a|<b>";
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 2);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *csv = duet_memory_csv(run, analysis);
    g_autofree char *markdown = duet_memory_markdown(run, analysis);
    g_autofree char *metrics = duet_memory_openmetrics(run, analysis);

    g_assert_true(g_str_has_prefix(csv, "run_id,arm,kind,accel,block,seq,"));
    g_assert_nonnull(strstr(csv, ",ok,0,count,8,instances\n"));
    g_assert_nonnull(strstr(csv, ",ok,0,pss,1090519040,bytes\n"));
    g_assert_nonnull(strstr(markdown, "| vm | pss | 125 MiB | 125 to 125 MiB | 40.0 MiB |"));
    g_assert_nonnull(strstr(markdown, "## Ratios of one more"));
    g_assert_nonnull(strstr(markdown, "| noise | MemAvailable of the idle host moved by 2.0 MiB "));
    g_assert_nonnull(strstr(markdown, "| monitor and worker, share of PSS | 4 % | 33 % |"));
    g_assert_null(strstr(markdown, "<b>"));
    g_assert_nonnull(strstr(metrics, "arm=\"vm\",metric=\"pss\",bound=\"low\"} 131072000\n"));
    g_assert_nonnull(strstr(metrics, "duet_ratio{"));
    g_assert_true(g_str_has_suffix(metrics, "# EOF\n"));
}

static void test_against(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() },
               larger[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds }, later = { .kinds = larger };
    larger[0].guest += 25 * MIB;
    g_autoptr(DuetRun) first = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetRun) second = memory_fixture_run(&later, 2, 3);
    DuetAgainstOptions options = { .floor = -1 }, parts = { .floor = -1, .metrics = "guest_ram" };
    DuetAgainstOptions wrong = { .floor = -1, .metrics = "host_free" };
    g_autoptr(GError) error = NULL, unknown = NULL;

    g_autoptr(DuetAgainst) against = duet_against_new(first, "a", second, "b", &options, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(against->comparisons->len, ==, 2 * DUET_MEMORY_ESTIMATORS);
    const DuetComparison *vm = &g_array_index(against->comparisons, DuetComparison, 0);
    const DuetComparison *container = &g_array_index(against->comparisons, DuetComparison, 1);
    g_assert_cmpint(vm->verdict, ==, DUET_VERDICT_DIFFERS);
    g_assert_cmpfloat_with_epsilon(vm->contrast.ratio, 150.0 / 125, 1e-9);
    g_assert_cmpint(container->verdict, ==, DUET_VERDICT_SAME);
    g_autofree char *table = duet_against_table(against);
    g_autofree char *json = duet_against_json(against);
    g_assert_nonnull(strstr(table, "pss, second / first"));
    g_assert_nonnull(strstr(table, "150 MiB"));
    g_assert_nonnull(strstr(json, "\"second_slope_bytes\" : 157286400"));
    g_assert_nonnull(strstr(json, "\"difference_bytes\" : 26214400"));
    run_fixture_assert_fits(table);
    second->plan->age_ms = 60000; /* a guest grows with its age */
    g_assert_null(duet_against_new(first, "a", second, "b", &options, &error));
    g_assert_nonnull(strstr(error->message, "plan age_ms: '10000' and '60000'"));
    second->plan->age_ms = first->plan->age_ms;
    g_autoptr(DuetAgainst) part = duet_against_new(first, "a", second, "b", &parts, NULL);
    g_assert_cmpuint(part->comparisons->len, ==, 2);
    g_assert_null(duet_against_new(first, "a", second, "b", &wrong, &unknown));
    g_assert_error(unknown, DUET_ERROR, DUET_ERROR_INVALID);
}

static void test_foreign_files(void)
{
    MemoryKind kinds[] = { memory_fixture_vm() };
    MemoryLab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 1, 1);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *json = duet_memory_result(run, analysis);
    static const char *const damage[][2] = {
        { "\"counts\" : [", "\"counts\" : [ 77, " },
        { "\"counts\" : [", "\"counts\" : [ -1, " },
        { "\"counts\" : [", "\"counts\" : 5, \"x\" : [" },
        { "\"order_counts\" : [", "\"order_counts\" : null, \"x\" : [" },
        { "\"count\" : 1", "\"count\" : 1e300" },
        { "\"count\" : 1", "\"count\" : -1" },
        { "\"instances\" : [", "\"instances\" : 7, \"x\" : [" },
        { "\"cgroup_bytes\" : ", "\"cgroup_bytes\" : -" },
        { "\"idle_noise\" : [", "\"idle_noise\" : [ 3, " },
        { "\"memory\" : {", "\"memory\" : 1, \"x\" : {" },
        { "\"age_ms\" : 10000", "\"age_ms\" : -1" },
        { "\"n\" : 1", "\"n\" : 101" },
        { "\"guest\" : {", "\"guest\" : 1, \"x\" : {" },
        { "\"age_ms\" : ", "\"ksm\" : \"maybe\", \"age_ms\" : " },
    };

    run_fixture_assert_refused(json, damage, G_N_ELEMENTS(damage));
    /* A sample that claims more instances than it has numbers for is in no figure. */
    DuetSample *liar = duet_run_sample(run, 2);
    double value;
    liar->memory->count += 1;
    g_assert_false(duet_memory_metric_value(liar, DUET_MEMORY_PSS, &value));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/round-trip", test_round_trip);
    g_test_add_func("/memory/formats", test_formats);
    g_test_add_func("/memory/against", test_against);
    g_test_add_func("/memory/foreign-files", test_foreign_files);
    return g_test_run();
}
