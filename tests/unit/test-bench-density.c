/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/bench.h>
#include <duet/driver.h>
#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/density/density-analysis.h"
#include "bench/density/density-probe.h"
#include "bench/density/density-sampler.h"
#include "bench/notes.h"
#include "bench/result/result.h"
#include "core/util.h"
#include "run-fixture.h"

#define MIB ((guint64)1 << 20)
#define S G_GINT64_CONSTANT(1000000000)

/* A host with much of everything, at a time of its clock. */
static DuetDensityHost host_at(gint64 at_ns)
{
    return (DuetDensityHost){
        .memory = {
            .at_ns = at_ns, .total_bytes = 16384 * MIB, .available_bytes = 12000 * MIB,
            .swap_in_pages = 77,
        },
        .has_pressure = TRUE,
        .stalled_us = 5000000,
        .refault_pages = 100000,
        .tasks = 300, .tasks_max = 32768,
        .files = 2000, .files_max = 1000000,
        .own_files = 20, .own_files_max = 1024,
    };
}

static DuetDensityBound check(
    DuetDensityWatch *watch, DuetDensityHost now, guint64 used, const char *says)
{
    g_autofree char *detail = NULL;
    DuetDensityBound bound = duet_density_watch_check(watch, &now, used, &detail);

    g_assert_true((bound == DUET_DENSITY_BOUND_NONE) == (detail == NULL));
    if (says)
        g_assert_nonnull(detail ? strstr(detail, says) : NULL);
    return bound;
}

static void watch_new(DuetDensityWatch *watch, DuetDensityLimits limits)
{
    DuetDensityHost first = host_at(S);

    duet_density_watch_init(watch, &limits, &first);
}

static void test_max_and_time(void)
{
    g_auto(DuetDensityWatch) watch = { 0 };

    watch_new(&watch, (DuetDensityLimits){ .max = 2, .time_limit_ns = 60 * S });
    g_assert_cmpint(check(&watch, host_at(2 * S), 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    duet_density_watch_started(&watch, 5 * MS);
    g_assert_cmpint(check(&watch, host_at(3 * S), 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    g_assert_cmpint(check(&watch, host_at(61 * S - 1), 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    g_assert_cmpint(check(&watch, host_at(61 * S), 0, "60 s"), ==, DUET_DENSITY_BOUND_TIME);
    duet_density_watch_started(&watch, 5 * MS);
    g_assert_cmpint(check(&watch, host_at(4 * S), 0, "2 were"), ==, DUET_DENSITY_BOUND_MAX);
}

/* One more is taken to need what those that run need on average. */
static void test_budget(void)
{
    g_auto(DuetDensityWatch) watch = { 0 };

    watch_new(&watch, (DuetDensityLimits){ .budget_bytes = 100 * MIB });
    g_assert_cmpint(check(&watch, host_at(S), 900 * MIB, NULL), ==, DUET_DENSITY_BOUND_NONE);
    for (guint n = 1; n <= 10; n++)
        duet_density_watch_started(&watch, MS);
    g_assert_cmpint(check(&watch, host_at(S), 90 * MIB, NULL), ==, DUET_DENSITY_BOUND_NONE);
    g_assert_cmpint(
        check(&watch, host_at(S), 92 * MIB, "92.0 MiB of 100 MiB"), ==, DUET_DENSITY_BOUND_BUDGET);
}

static void test_host_memory(void)
{
    g_auto(DuetDensityWatch) watch = { 0 };
    DuetDensityHost now = host_at(2 * S);

    watch_new(&watch, (DuetDensityLimits){ 0 });
    now.memory.available_bytes = 2048 * MIB;
    g_assert_cmpint(check(&watch, now, 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    now.memory.available_bytes = 2047 * MIB;
    g_assert_cmpint(check(&watch, now, 0, "must keep"), ==, DUET_DENSITY_BOUND_HOST_MEMORY);
    now.memory.available_bytes = 2100 * MIB;
    now.memory.total_bytes = 65536 * MIB;
    g_assert_cmpint(check(&watch, now, 0, "6.4 GiB"), ==, DUET_DENSITY_BOUND_HOST_MEMORY);
    now = host_at(2 * S);
    now.memory.swap_in_pages = 78;
    g_assert_cmpint(check(&watch, now, 0, "1 page back"), ==, DUET_DENSITY_BOUND_SWAP_IN);
}

/* 5 % of the time, for 10 s: a shorter stall, or less, is none. */
static void test_pressure(void)
{
    g_auto(DuetDensityWatch) watch = { 0 };
    DuetDensityHost now = host_at(5 * S);

    watch_new(&watch, (DuetDensityLimits){ 0 });
    now.stalled_us += 3900000;
    g_assert_cmpint(check(&watch, now, 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    /* 4.1 s of 13.9 s since the first reading: the second is not old enough */
    now = host_at(14900 * MS);
    now.stalled_us += 4100000;
    g_assert_cmpint(check(&watch, now, 0, "29 %"), ==, DUET_DENSITY_BOUND_PRESSURE);
    /* since that one, nothing new */
    now.memory.at_ns = 25 * S;
    g_assert_cmpint(check(&watch, now, 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    now.memory.at_ns = 35 * S;
    now.stalled_us += 490000;
    g_assert_cmpint(check(&watch, now, 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    now.memory.at_ns = 45 * S;
    now.stalled_us += 510000;
    g_assert_cmpint(check(&watch, now, 0, "5 %"), ==, DUET_DENSITY_BOUND_PRESSURE);
}

static void test_refaults(void)
{
    g_auto(DuetDensityWatch) watch = { 0 };
    DuetDensityHost now = host_at(5 * S);

    watch_new(&watch, (DuetDensityLimits){ 0 });
    now.has_pressure = FALSE;
    now.stalled_us = 0;
    now.refault_pages += 100000;
    g_assert_cmpint(check(&watch, now, 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    now.memory.at_ns = 11 * S;
    now.refault_pages = 100000 + 5000;
    g_assert_cmpint(check(&watch, now, 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    now.refault_pages = 100000 + 5010;
    g_assert_cmpint(check(&watch, now, 0, "no PSI"), ==, DUET_DENSITY_BOUND_REFAULTS);
    /* With PSI refaults alone are none of our business. */
    now.has_pressure = TRUE;
    now.stalled_us = 5000000;
    g_assert_cmpint(check(&watch, now, 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
}

/* p95 of the last 20, not of all: a host that has become slow shows. */
static void test_latency(void)
{
    g_auto(DuetDensityWatch) watch = { 0 };

    watch_new(&watch, (DuetDensityLimits){ .max_latency_ns = 100 * MS });
    for (guint i = 0; i < 19; i++)
        duet_density_watch_started(&watch, 500 * MS);
    g_assert_cmpint(check(&watch, host_at(S), 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    duet_density_watch_started(&watch, 500 * MS);
    g_assert_cmpint(check(&watch, host_at(S), 0, "500 ms"), ==, DUET_DENSITY_BOUND_LATENCY);
    for (guint i = 0; i < 200; i++)
        duet_density_watch_started(&watch, 50 * MS);
    g_assert_cmpint(check(&watch, host_at(S), 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    duet_density_watch_started(&watch, 900 * MS);
    g_assert_cmpint(check(&watch, host_at(S), 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    duet_density_watch_started(&watch, 900 * MS);
    g_assert_cmpint(check(&watch, host_at(S), 0, "900 ms"), ==, DUET_DENSITY_BOUND_LATENCY);
}

static void test_failures(void)
{
    g_auto(DuetDensityWatch) watch = { 0 };

    watch_new(&watch, (DuetDensityLimits){ 0 });
    duet_density_watch_failed(&watch);
    duet_density_watch_failed(&watch);
    g_assert_cmpint(check(&watch, host_at(S), 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    duet_density_watch_started(&watch, MS);
    duet_density_watch_failed(&watch);
    duet_density_watch_failed(&watch);
    g_assert_cmpint(check(&watch, host_at(S), 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    duet_density_watch_failed(&watch);
    g_assert_cmpint(check(&watch, host_at(S), 0, "3 starts"), ==, DUET_DENSITY_BOUND_FAILURES);
}

static void test_tables(void)
{
    g_auto(DuetDensityWatch) watch = { 0 };
    DuetDensityHost now = host_at(S);

    watch_new(&watch, (DuetDensityLimits){ 0 });
    now.tasks = 31000;
    g_assert_cmpint(check(&watch, now, 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
    now.tasks = 31200;
    g_assert_cmpint(check(&watch, now, 0, "32768 tasks"), ==, DUET_DENSITY_BOUND_TASKS);
    now = host_at(S);
    now.own_files = 1000;
    g_assert_cmpint(check(&watch, now, 0, "ulimit -n"), ==, DUET_DENSITY_BOUND_FILES);
    now = host_at(S);
    now.files = 990000;
    g_assert_cmpint(check(&watch, now, 0, "files of the host"), ==, DUET_DENSITY_BOUND_FILES);
    /* What is not known forbids nothing. */
    now.files_max = now.tasks_max = now.own_files_max = 0;
    g_assert_cmpint(check(&watch, now, 0, NULL), ==, DUET_DENSITY_BOUND_NONE);
}

/* The rule ends the starts while the pool still has room. */
static void test_spare(void)
{
    DuetDensityHost host = host_at(S);

    g_assert_cmpuint(duet_density_host_spare(&host), ==, 12000 * MIB - 1024 * MIB);
    host.memory.total_bytes = 65536 * MIB;
    g_assert_cmpuint(duet_density_host_spare(&host), ==, 12000 * MIB - 65536 * MIB / 20);
    host.memory.available_bytes = 3000 * MIB;
    g_assert_cmpuint(duet_density_host_spare(&host), ==, 0);
}

static void test_this_host(void)
{
    g_autoptr(GError) error = NULL;
    DuetDensityHost host;

    g_assert_true(duet_density_host_read(&host, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(host.tasks, >, 1);
    g_assert_cmpuint(host.tasks_max, >, host.tasks);
    g_assert_cmpuint(host.files_max, >, 0);
    g_assert_cmpuint(host.own_files, >=, 3);
    for (guint bound = 0; bound <= DUET_DENSITY_BOUND_INTERRUPTED; bound++) {
        DuetDensityBound back;
        g_assert_true(duet_density_bound_from_string(duet_density_bound_to_string(bound), &back));
        g_assert_cmpint(back, ==, (int)bound);
    }
}

/* ---- reports ---- */

/* A run of @n instances of a kind, each 2 ms slower to start than the one before. */
static DuetRun *lab_run(const char *accel, guint n, DuetDensityBound bound)
{
    DuetDensityLimits limits = { .budget_bytes = 1024 * MIB, .time_limit_ns = 600 * S };
    DuetRun *run =
        duet_run_new(&duet_benchmark_density, duet_plan_new_density(1, &limits, 42, 2000));
    DuetRunArm *arm = duet_run_arm_new("vm", "vm");
    DuetDensityOutcome *outcome = duet_density_outcome_new();

    arm->argv = g_new0(char *, 1);
    arm->driver = json_object_new();
    json_object_set_string_member(arm->driver, "accel", accel);
    g_ptr_array_add(run->arms, arm);
    for (guint i = 1; i <= n; i++) {
        DuetSample *sample = duet_sample_new(0, 0, run->samples->len);
        sample->status = DUET_SAMPLE_OK;
        sample->exit_code = 0;
        sample->marks.ns[DUET_MARK_REQUEST] = i * S;
        sample->marks.ns[DUET_MARK_EXEC] = i * S + (100 + 2 * i) * MS;
        sample->density = g_new0(DuetDensityStart, 1);
        *sample->density = (DuetDensityStart){ i, (i - 1) * 10 * MIB, host_at(i * S) };
        g_ptr_array_add(run->samples, sample);
        DuetInstanceMemory one = {
            .age_ns = 2 * S,
            .memory = { .payload_pss_bytes = 14 * MIB,
                .managing_pss_bytes = 2 * MIB,
                .cgroup_bytes = 6 * MIB,
                .managing_cgroup_bytes = 2 * MIB },
        };
        g_array_append_val(outcome->memory->instances, one);
    }
    outcome->reached = outcome->answered = n;
    outcome->bound = bound;
    outcome->detail = g_strdup("of a test");
    outcome->used_bytes = n * 10 * MIB;
    outcome->reserved_bytes = 256 * MIB;
    outcome->pool_bytes = limits.budget_bytes;
    outcome->memory->count = outcome->memory->started = n;
    outcome->memory->before = host_at(S).memory;
    outcome->memory->host = host_at(S).memory;
    outcome->memory->host.available_bytes -= n * 32 * MIB;
    run->density = g_ptr_array_new_with_free_func((GDestroyNotify)duet_density_outcome_free);
    g_ptr_array_add(run->density, outcome);
    return run;
}

static void test_figures(void)
{
    g_autoptr(DuetRun) run = lab_run("kvm", 20, DUET_DENSITY_BOUND_FAILURES);
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    g_autofree char *table = duet_density_table(run, analysis);
    const DuetDensityArm *arm = &analysis->arms[0];

    g_assert_cmpuint(arm->ok, ==, 20);
    g_assert_cmpfloat(arm->latency.median, ==, 121.0 * MS);
    g_assert_cmpfloat_with_epsilon(arm->trend.slope, 2.0 * MS, 1e-3);
    g_assert_cmpfloat_with_epsilon(arm->trend.slope_low, 2.0 * MS, 1e-3);
    g_assert_cmpfloat_with_epsilon(arm->starts_per_s, 20 / 2.42, 1e-9);
    g_assert_cmpfloat(arm->each_bytes[DUET_DENSITY_BY_PSS], ==, 16.0 * MIB);
    g_assert_cmpfloat(arm->per_gib[DUET_DENSITY_BY_PSS], ==, 64);
    g_assert_cmpfloat(arm->per_gib[DUET_DENSITY_BY_CGROUP], ==, 128);
    g_assert_cmpfloat(arm->per_gib[DUET_DENSITY_BY_HOST], ==, 32);
    g_assert_cmpfloat(arm->per_gib[DUET_DENSITY_BY_RESERVED], ==, 4);
    g_assert_cmpfloat(arm->room_host, ==, (12000.0 - 2048) / 32);
    g_assert_cmpfloat_with_epsilon(arm->room_budget, 102.4, 1e-9);
    g_assert_cmpuint(arm->n_rows, ==, DUET_DENSITY_ROWS);
    guint next = 1;
    for (guint i = 0; i < arm->n_rows; i++) {
        const DuetDensityRow *row = &arm->rows[i];
        g_assert_cmpuint(row->from, ==, next);
        g_assert_cmpfloat(row->max_ns, ==, (100.0 + 2 * row->to) * MS);
        next = row->to + 1;
    }
    g_assert_cmpuint(next, ==, 21);
    g_assert_nonnull(strstr(table, "20 at the same time"));
    g_assert_nonnull(strstr(table, "failures: of a test"));
    g_assert_nonnull(strstr(table, "extrapolated"));
    g_assert_false(duet_density_analysis_bad_arm(analysis));
    run_fixture_assert_fits(table);
}

/* Thousands of starts: the line is the same, and takes no time. */
static void test_many(void)
{
    g_autoptr(DuetRun) run = lab_run("kvm", 5000, DUET_DENSITY_BOUND_TIME);
    gint64 began = duet_now_ns();
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);

    g_assert_cmpfloat_with_epsilon(analysis->arms[0].trend.slope, 2.0 * MS, 1e-3);
    g_assert_cmpfloat_with_epsilon(analysis->arms[0].trend.slope_high, 2.0 * MS, 1e-3);
    g_assert_cmpint(duet_now_ns() - began, <, 60 * S);
}

/* What was measured is not extrapolated as well, and nothing is from a few. */
static void test_no_extrapolation(void)
{
    g_autoptr(DuetRun) full = lab_run("kvm", 20, DUET_DENSITY_BOUND_BUDGET);
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(full);
    g_assert_true(isnan(analysis->arms[0].room_budget));
    g_assert_false(isnan(analysis->arms[0].room_host));

    g_autoptr(DuetRun) few = lab_run("kvm", 3, DUET_DENSITY_BOUND_MAX);
    g_autoptr(DuetDensityAnalysis) other = duet_density_analysis_new(few);
    g_autofree char *table = duet_density_table(few, other);
    g_assert_true(isnan(other->arms[0].room_host));
    g_assert_null(strstr(table, "extrapolated"));
    run_fixture_assert_fits(table);
}

/* Where no lack of anything ended an arm, the reader is told. */
static void test_not_full(void)
{
    for (guint bound = DUET_DENSITY_BOUND_MAX; bound <= DUET_DENSITY_BOUND_TIME; bound++) {
        g_autoptr(DuetRun) run = lab_run("kvm", 3, bound);
        g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
        g_assert_cmpint(run_fixture_has_note(analysis->notes, "not-full"), ==,
            !duet_density_bound_is_limit(bound));
    }
}

/* Of an arm that the user ended before it was asked, nothing is said of answers. */
static void test_interrupted(void)
{
    g_autoptr(DuetRun) run = lab_run("kvm", 12, DUET_DENSITY_BOUND_INTERRUPTED);
    DuetDensityOutcome *outcome = run->density->pdata[0];

    outcome->answered = 0;
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    g_autofree char *table = duet_density_table(run, analysis);
    g_autofree char *json = duet_density_result(run, analysis);
    g_assert_null(strstr(table, "of 12 at the end"));
    g_assert_nonnull(strstr(table, "not asked"));
    g_assert_nonnull(strstr(json, "\"verdict\" : \"interrupted\""));
    outcome->answered = 11;
    outcome->ended = 1;
    g_autofree char *asked = duet_density_table(run, analysis);
    g_assert_nonnull(strstr(asked, "11 of 12 at the end"));
}

/* A foreign engine has no marks: its starts are whole commands, and the reader is told. */
static void test_peer(void)
{
    g_autoptr(DuetRun) run = lab_run("kvm", 12, DUET_DENSITY_BOUND_BUDGET);

    g_free(duet_run_arm(run, 0)->kind);
    duet_run_arm(run, 0)->kind = g_strdup(DUET_RUN_ARM_PEER);
    g_ptr_array_add(run->skipped, g_strdup("the peer 'x' is left out: it is none"));
    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        memset(&sample->marks, 0, sizeof sample->marks);
        sample->command_exit_ns = (300 + 10 * (gint64)i) * MS;
    }
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    g_autofree char *json = duet_density_result(run, analysis);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) back = duet_result_parse(json, -1, &error);
    g_assert_no_error(error);
    g_autoptr(DuetDensityAnalysis) again = duet_density_analysis_new(back);
    g_assert_cmpfloat(again->arms[0].latency.median, ==, 355.0 * MS);
    g_assert_true(run_fixture_has_note(again->notes, "peer-starts"));
    g_assert_true(run_fixture_has_note(again->notes, "peer-skipped"));
    g_autofree char *table = duet_density_table(back, again);
    run_fixture_assert_fits(table);
}

/* Starts are compared where both runs have some; the numbers reached are told and not tested. */
static void test_against(void)
{
    g_autoptr(DuetRun) first = lab_run("kvm", 20, DUET_DENSITY_BOUND_BUDGET);
    g_autoptr(DuetRun) second = lab_run("kvm", 40, DUET_DENSITY_BOUND_FAILURES);
    DuetAgainstOptions options = { .floor = -1 };
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < second->samples->len; i++)
        duet_run_sample(second, i)->marks.ns[DUET_MARK_EXEC] += 121 * MS;
    g_autoptr(DuetAgainst) against = duet_against_new(first, "a", second, "b", &options, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(against->comparisons->len, ==, 1);
    const DuetComparison *c = &g_array_index(against->comparisons, DuetComparison, 0);
    g_assert_cmpint(c->verdict, ==, DUET_VERDICT_DIFFERS);
    g_assert_cmpfloat_with_epsilon(c->contrast.ratio, 2, 1e-9);
    g_assert_true(run_fixture_has_note(against->notes, "reached"));
    g_autofree char *table = duet_against_table(against);
    g_autofree char *json = duet_against_json(against);
    run_fixture_assert_fits(table);
    g_assert_nonnull(strstr(table, "start, second / first"));
    g_assert_nonnull(
        strstr(json, "first 20 (bound by memory-budget, 20 answered), second 40 (bound"));
    g_assert_nonnull(strstr(json, "ratio 2; one observation of each"));
    g_assert_nonnull(strstr(json, "\"first_median_ns\" : 121000000"));
    g_assert_nonnull(strstr(json, "\"second_median_ns\" : 242000000"));
}

static void test_lost(void)
{
    g_autoptr(DuetRun) run = lab_run("tcg", 12, DUET_DENSITY_BOUND_BUDGET);
    DuetDensityOutcome *outcome = run->density->pdata[0];
    outcome->answered = 9;
    outcome->ended = 2;
    outcome->silent = 1;
    outcome->no_pool = g_strdup("systemd makes them");
    duet_run_sample(run, 3)->density->host.has_pressure = FALSE;
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    g_autofree char *table = duet_density_table(run, analysis);
    g_autofree char *json = duet_density_result(run, analysis);
    g_autoptr(GPtrArray) weak = duet_density_check(run);

    g_assert_true(g_str_has_prefix(table, "*** No hardware virtualization"));
    g_assert_nonnull(strstr(table, "9 of 12"));
    g_assert_nonnull(strstr(table, "2 ended and 1 did not answer"));
    g_assert_nonnull(strstr(table, "systemd makes them"));
    g_assert_nonnull(strstr(table, "PSI is off"));
    g_assert_nonnull(strstr(json, "\"verdict\" : \"not all answered\""));
    g_assert_true(duet_density_analysis_bad_arm(analysis));
    g_assert_true(run_fixture_has_note(weak, "lost") && run_fixture_has_note(weak, "no-pool") &&
        run_fixture_has_note(weak, "tcg"));
    g_assert_false(run_fixture_has_note(weak, "no-psi"));
    run_fixture_assert_fits(table);
    /* Without a budget nothing is lost by it. */
    run->plan->density->budget_bytes = 0;
    g_autoptr(GPtrArray) unlimited = duet_density_check(run);
    g_assert_false(run_fixture_has_note(unlimited, "no-pool"));
}

static gboolean has_plan_finding(const DuetRun *run)
{
    g_autoptr(GPtrArray) weak = duet_density_check(run);

    return run_fixture_has_note(weak, "plan");
}

/* The starts that succeeded are held against the number reached. */
static void test_starts_left_out(void)
{
    g_autoptr(DuetRun) run = lab_run("kvm", 12, DUET_DENSITY_BOUND_BUDGET);
    DuetSample *failed = duet_run_sample(run, 5);

    g_assert_false(has_plan_finding(run));
    failed->status = DUET_SAMPLE_FAILED;
    g_assert_true(has_plan_finding(run));
    failed->status = DUET_SAMPLE_OK;
    failed->discarded = TRUE;
    g_assert_true(has_plan_finding(run));
    failed->discarded = FALSE;
    /* As many, but one of them twice. */
    failed->density->running = 5;
    g_assert_true(has_plan_finding(run));
    failed->density->running = 6;
    g_ptr_array_remove_index(run->samples, 11);
    g_assert_true(has_plan_finding(run));
    /* Nobody counted those of an arm that could not be measured. */
    ((DuetDensityOutcome *)run->density->pdata[0])->bound = DUET_DENSITY_BOUND_NONE;
    g_assert_false(has_plan_finding(run));
}

static void test_nested(void)
{
    g_autoptr(DuetRun) run = lab_run("tcg", 12, DUET_DENSITY_BOUND_BUDGET);
    JsonObject *cpu = json_object_new();

    json_object_set_string_member(cpu, "hypervisor", "tcg");
    json_object_set_object_member(run->host, "cpu", cpu);
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    g_autofree char *table = duet_density_table(run, analysis);
    g_autofree char *json = duet_density_result(run, analysis);

    g_assert_true(g_str_has_prefix(table, "*** Nested under TCG"));
    g_assert_nonnull(strstr(table, "withheld: nested under TCG"));
    g_assert_null(strstr(table, "at the same time"));
    g_assert_null(strstr(json, "starts_per_second"));
}

static void test_round_trip(void)
{
    g_autoptr(DuetRun) run = lab_run("kvm", 20, DUET_DENSITY_BOUND_BUDGET);
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    g_autofree char *json = duet_density_result(run, analysis);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) loaded = duet_result_parse(json, -1, &error);

    g_assert_no_error(error);
    g_autoptr(DuetDensityAnalysis) again = duet_density_analysis_new(loaded);
    g_autofree char *json_again = duet_density_result(loaded, again);
    g_assert_cmpstr(json, ==, json_again);
    g_autofree char *table = duet_density_table(run, analysis);
    g_autofree char *table_again = duet_density_table(loaded, again);
    g_assert_cmpstr(table, ==, table_again);
}

/* A spreadsheet gets what became of an arm, too, in the same columns. */
static void test_csv(void)
{
    g_autoptr(DuetRun) run = lab_run("kvm", 20, DUET_DENSITY_BOUND_BUDGET);
    g_autofree char *csv = run_fixture_shown(run, "csv");
    static const char *const rows[] = { "reached,20,instances", "answered,20,instances",
        "ended,0,instances", "used,209715200,bytes", "pool_limit,1073741824,bytes",
        "each_pss,16777216,bytes", "each_reserved,268435456,bytes" };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autofree char *row = g_strdup_printf(",vm,vm,kvm,,,,memory-budget,,%s\n", rows[i]);
        g_assert_nonnull(strstr(csv, row));
    }
    g_auto(GStrv) lines = g_strsplit(csv, "\n", -1);
    for (guint i = 0; lines[i][0]; i++) {
        g_auto(GStrv) cells = g_strsplit(lines[i], ",", -1);
        g_assert_cmpuint(g_strv_length(cells), ==, 12);
    }
}

/* What the table and the file have. */
static void test_other_formats(void)
{
    g_autoptr(DuetRun) run = lab_run("kvm", 20, DUET_DENSITY_BOUND_BUDGET);
    g_autofree char *markdown = run_fixture_shown(run, "md");
    g_autofree char *metrics = run_fixture_shown(run, "openmetrics");

    g_assert_nonnull(strstr(markdown, "\n| vm | 20 | 20 | "));
    g_assert_nonnull(strstr(markdown, "| vm | one instance | 16.0 MiB | "));
    g_assert_nonnull(strstr(markdown, "\n| vm | 20 | 20 | 0 | 0 | memory-budget: of a test |\n"));
    g_assert_nonnull(strstr(markdown, "| p95 |"));
    g_assert_nonnull(strstr(markdown, "| 2.00 ms more for each that runs (95 %: 2.00 to 2.00) |"));
    g_assert_nonnull(strstr(markdown, "\n| vm | 1 to 2 | 2 | 103 ms | 104 ms |\n"));
    g_assert_nonnull(strstr(markdown,
        "| vm | host | about 311 would leave no more than it must "
        "keep (extrapolated from 20, not measured) |"));
    g_assert_nonnull(strstr(metrics, ",arm=\"vm\",state=\"answered\"} 20\n"));
    g_assert_nonnull(strstr(metrics, ",arm=\"vm\",bound=\"memory-budget\"} 1\n"));
    g_assert_nonnull(strstr(metrics, "duet_start_seconds_count{"));
    g_assert_nonnull(strstr(metrics, ",arm=\"vm\",metric=\"pss\"} 16777216\n"));
    g_assert_true(g_str_has_suffix(metrics, "# EOF\n"));
    g_assert_null(strstr(metrics, "nan"));

    /* Of emulated CPUs no figure is shown. */
    JsonObject *cpu = json_object_new();
    json_object_set_string_member(cpu, "hypervisor", "tcg");
    json_object_set_object_member(run->host, "cpu", cpu);
    g_autofree char *nested = run_fixture_shown(run, "md");
    g_autofree char *nothing = run_fixture_shown(run, "openmetrics");
    g_assert_nonnull(strstr(nested, "| vm | withheld: nested under TCG | "));
    g_assert_null(strstr(nested, "one instance"));
    g_assert_null(strstr(nothing, "duet_start_seconds_count{"));
}

static void test_foreign_files(void)
{
    g_autoptr(DuetRun) run = lab_run("kvm", 2, DUET_DENSITY_BOUND_MAX);
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    g_autofree char *json = duet_density_result(run, analysis);
    static const char *const damage[][2] = {
        { "\"density\" : {", "\"density\" : 1, \"x\" : {" },
        { "\"density\" : [", "\"density\" : [ 3, " },
        { "\"density\" : [", "\"density\" : [ ], \"x\" : [" },
        { "\"bound\" : \"max\"", "\"bound\" : \"luck\"" },
        { "\"reached\" : 2", "\"reached\" : -2" },
        { "\"running\" : 1", "\"running\" : 1e300" },
        { "\"n\" : 1", "\"n\" : 2" },
        { "\"has_pressure\" : true", "\"has_pressure\" : 7" },
        { "\"budget_bytes\" : ", "\"budget_bytes\" : -" },
    };

    run_fixture_assert_refused(json, damage, G_N_ELEMENTS(damage));
}

/* ---- the sampler ---- */

/* Nothing can be started: an error of the whole benchmark, and nothing is left. */
static void test_hopeless(void)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *folder = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    static const DuetDriverEntry no_drivers[] = { { 0 } };
    g_autoptr(DuetContext) context = duet_context_new(folder, no_drivers, NULL);
    g_autoptr(DuetSpec) spec = duet_spec_new();
    DuetBenchArm arm = { "container", spec };
    DuetBenchRequest request = { .context = context, .arms = &arm, .n_arms = 1 };
    DuetDensityLimits limits = { .max = 2 };
    g_autoptr(DuetRun) run =
        duet_run_new(&duet_benchmark_density, duet_plan_new_density(1, &limits, 1, 1));
    g_ptr_array_add(run->arms, duet_run_arm_new("container", "container"));
    g_auto(DuetDensitySampler) sampler = { 0 };

    duet_density_sampler_init(&sampler, &request, run);
    g_assert_false(duet_density_sampler_run(&sampler, &error));
    g_assert_nonnull(strstr(error->message, "cannot measure 'container'"));
    g_assert_cmpuint(run->samples->len, ==, 1);
    g_assert_true(duet_run_sample(run, 0)->discarded);
    g_autoptr(GPtrArray) left = duet_instance_list(context, NULL);
    g_assert_cmpuint(left->len, ==, 0);
    g_assert_true(duet_remove_tree(AT_FDCWD, folder, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/density/rule/max-and-time", test_max_and_time);
    g_test_add_func("/density/rule/budget", test_budget);
    g_test_add_func("/density/rule/host-memory", test_host_memory);
    g_test_add_func("/density/rule/pressure", test_pressure);
    g_test_add_func("/density/rule/refaults", test_refaults);
    g_test_add_func("/density/rule/latency", test_latency);
    g_test_add_func("/density/rule/failures", test_failures);
    g_test_add_func("/density/rule/tables", test_tables);
    g_test_add_func("/density/spare", test_spare);
    g_test_add_func("/density/this-host", test_this_host);
    g_test_add_func("/density/figures", test_figures);
    g_test_add_func("/density/many", test_many);
    g_test_add_func("/density/no-extrapolation", test_no_extrapolation);
    g_test_add_func("/density/not-full", test_not_full);
    g_test_add_func("/density/interrupted", test_interrupted);
    g_test_add_func("/density/peer", test_peer);
    g_test_add_func("/density/against", test_against);
    g_test_add_func("/density/lost", test_lost);
    g_test_add_func("/density/starts-left-out", test_starts_left_out);
    g_test_add_func("/density/nested", test_nested);
    g_test_add_func("/density/round-trip", test_round_trip);
    g_test_add_func("/density/csv", test_csv);
    g_test_add_func("/density/other-formats", test_other_formats);
    g_test_add_func("/density/foreign-files", test_foreign_files);
    g_test_add_func("/density/hopeless", test_hopeless);
    return g_test_run();
}
