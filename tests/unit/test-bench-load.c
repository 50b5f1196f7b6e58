/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <glib.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/instance/group.h"
#include "bench/load/load-analysis.h"
#include "bench/load/load-batch.h"
#include "bench/load/load-sampler.h"
#include "bench/notes.h"
#include "bench/random.h"
#include "bench/result/result.h"
#include "run-fixture.h"

#define SECOND (1000 * MS)

/* ---- the processes of a batch ---- */

typedef struct {
    guint work_ms[16];
    guint looks, bound_at;
} Bench;

static void wait_ms(guint ms)
{
    gint64 until = duet_now_ns() + ms * MS;

    while (duet_now_ns() < until)
        g_usleep(1000);
}

static void work(guint i, DuetLoadStart *start, gpointer data)
{
    const Bench *bench = data;

    duet_marks_set(&start->marks, DUET_MARK_REQUEST);
    wait_ms(bench->work_ms[i]);
    duet_marks_set(&start->marks, DUET_MARK_OUTPUT);
    start->status = DUET_SAMPLE_OK;
}

/* In a mark that no batch has, for which nothing is left. */
static void look_behind(guint i, DuetLoadStart *start, gpointer data)
{
    (void)i, (void)data;
    duet_marks_set(&start->marks, DUET_MARK_RELEASED);
}

static char *look(gpointer data)
{
    Bench *bench = data;

    return ++bench->looks == bench->bound_at ? g_strdup("the host is full") : NULL;
}

static DuetLoadPoint *run_batch(Bench *bench, guint n, const gint64 *offsets, DuetLoadEnd *end)
{
    DuetLoadBatch batch = { n, offsets, work, look_behind, look, bench, 10, 200 };
    DuetLoadPoint *point = duet_load_point_new(n, TRUE);
    GError *error = NULL;
    sigset_t old;

    duet_hold_signals(&old);
    gboolean ran = duet_load_batch_run(&batch, point, end, &error);
    duet_release_signals(&old);
    g_assert_no_error(error);
    g_assert_true(ran);
    g_assert_cmpuint(point->starts->len, ==, n);
    /* No process is left, nor one to reap. */
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    g_assert_cmpint(errno, ==, ECHILD);
    return point;
}

/* The first takes 300 ms; those after it, due every 20 ms, do not wait for it: a loop that serves
 * one after the other would begin the last one 240 ms late, and call its 1 ms of work a latency of
 * 1 ms. */
static void test_open_loop(void)
{
    Bench bench = { .work_ms = { 300, 1, 1, 1 } };
    gint64 offsets[] = { 0, 20 * MS, 40 * MS, 60 * MS };
    g_auto(DuetLoadEnd) end = { 0 };
    DuetLoadPoint *point = run_batch(&bench, 4, offsets, &end);
    const DuetLoadStart *first = duet_load_point_start(point, 0);

    g_assert_false(end.interrupted);
    g_assert_null(end.bound);
    for (guint i = 0; i < 4; i++) {
        const DuetLoadStart *start = duet_load_point_start(point, i);
        gint64 late = start->marks.ns[DUET_MARK_REQUEST] - start->intended_ns;
        g_assert_cmpint(start->intended_ns, ==, point->began_ns + offsets[i]);
        g_assert_cmpint(late, >=, 0);
        g_assert_cmpint(start->status, ==, DUET_SAMPLE_OK);
        /* Nobody looks behind before the last start is over. */
        g_assert_cmpint(start->marks.ns[DUET_MARK_RELEASED], >, first->marks.ns[DUET_MARK_OUTPUT]);
        if (i > 0)
            g_assert_cmpint(
                start->marks.ns[DUET_MARK_REQUEST], <, first->marks.ns[DUET_MARK_OUTPUT]);
    }
    g_assert_cmpint((gint64)duet_load_latency(first, TRUE, DUET_MARK_OUTPUT), >=, 300 * MS);
    duet_load_point_free(point);
}

/* Those that are due later are not tried; the one that works is ended; all are in the figures. */
static void test_bound(void)
{
    Bench bench = { .work_ms = { 1, 60000, 1 }, .bound_at = 8 };
    gint64 offsets[] = { 0, 1 * MS, 60 * SECOND };
    g_auto(DuetLoadEnd) end = { 0 };
    gint64 began = duet_now_ns();
    DuetLoadPoint *point = run_batch(&bench, 3, offsets, &end);

    g_assert_cmpint(duet_now_ns() - began, <, 20 * SECOND);
    g_assert_cmpstr(end.bound, ==, "the host is full");
    g_assert_cmpstr(point->bound, ==, "the host is full");
    g_assert_cmpint(duet_load_point_start(point, 0)->status, ==, DUET_SAMPLE_OK);
    /* It waited for the one that was killed, and looked behind. */
    g_assert_cmpint(duet_load_point_start(point, 0)->marks.ns[DUET_MARK_RELEASED], >, 0);
    g_assert_cmpint(duet_load_point_start(point, 1)->marks.ns[DUET_MARK_RELEASED], ==, 0);
    g_assert_cmpint(duet_load_point_start(point, 1)->status, ==, DUET_SAMPLE_FAILED);
    g_assert_cmpstr(duet_load_point_start(point, 1)->error, ==, "ended to keep the host alive");
    g_assert_cmpint(duet_load_point_start(point, 2)->status, ==, DUET_SAMPLE_FAILED);
    g_assert_cmpstr(
        duet_load_point_start(point, 2)->error, ==, "not tried, to keep the host alive");
    g_assert_cmpint(duet_load_point_start(point, 2)->marks.ns[DUET_MARK_REQUEST], ==, 0);
    duet_load_point_free(point);
}

static char *interrupt(gpointer data)
{
    Bench *bench = data;

    if (++bench->looks == 8)
        raise(SIGINT);
    return NULL;
}

static void test_interrupt(void)
{
    Bench bench = { .work_ms = { 60000, 1 } };
    gint64 offsets[] = { 0, 60 * SECOND };
    DuetLoadBatch batch = { 2, offsets, work, NULL, interrupt, &bench, 10, 100 };
    DuetLoadPoint *point = duet_load_point_new(2, TRUE);
    g_auto(DuetLoadEnd) end = { 0 };
    sigset_t old;

    duet_hold_signals(&old);
    g_assert_true(duet_load_batch_run(&batch, point, &end, NULL));
    g_assert_true(duet_release_signals(&old));
    g_assert_true(end.interrupted);
    /* It holds the signals as an instance's client does, and had to be killed. */
    g_assert_cmpuint(end.killed->len, ==, 1);
    g_assert_cmpint(duet_load_point_start(point, 1)->status, ==, DUET_SAMPLE_FAILED);
    g_assert_cmpint(waitpid(-1, NULL, WNOHANG), ==, -1);
    duet_load_point_free(point);
}

/* Mean and deviation of a Poisson process's gaps are both 1 / rate. */
static void test_schedule(void)
{
    enum { N = 20000 };
    g_autofree gint64 *offsets = g_new(gint64, N), *again = g_new(gint64, N);
    double sum = 0, squares = 0;

    duet_load_schedule(4, FALSE, 4, 1, offsets);
    for (guint i = 0; i < 4; i++)
        g_assert_cmpint(offsets[i], ==, 0);
    duet_load_schedule(2500, TRUE, N, 42, offsets);
    duet_load_schedule(2500, TRUE, N, 42, again);
    g_assert_cmpint(memcmp(offsets, again, N * sizeof *offsets), ==, 0);
    for (guint i = 0; i < N; i++) {
        double gap = (offsets[i] - (i > 0 ? offsets[i - 1] : 0)) / 1e9;
        g_assert_cmpfloat(gap, >=, 0);
        sum += gap;
        squares += gap * gap;
    }
    double mean = sum / N, deviation = sqrt(squares / N - mean * mean);
    g_assert_cmpfloat(fabs(mean - 0.4), <, 0.4 * 0.03);
    g_assert_cmpfloat(fabs(deviation - 0.4), <, 0.4 * 0.03);
    duet_load_schedule(2500, TRUE, N, 43, again);
    g_assert_cmpint(memcmp(offsets, again, N * sizeof *offsets), !=, 0);
}

/* ---- figures of made-up results ---- */

static void add_start(DuetLoadPoint *point, gint64 due, gint64 request, gint64 output)
{
    DuetLoadStart start = { .status = DUET_SAMPLE_OK, .intended_ns = point->began_ns + due };

    start.marks.ns[DUET_MARK_REQUEST] = point->began_ns + request;
    start.marks.ns[DUET_MARK_EXEC] = point->began_ns + output - 1;
    start.marks.ns[DUET_MARK_OUTPUT] = point->began_ns + output;
    start.marks.ns[DUET_MARK_RELEASED] = point->began_ns + output + MS;
    g_array_append_val(point->starts, start);
}

static void fail_start(DuetLoadPoint *point, guint i, const char *error)
{
    DuetLoadStart *start = &g_array_index(point->starts, DuetLoadStart, i);

    start->status = DUET_SAMPLE_FAILED;
    g_strlcpy(start->error, error, sizeof start->error);
}

static DuetSample *add_batch(DuetRun *run, guint arm, guint block, guint level)
{
    DuetSample *sample = duet_sample_new(arm, block, run->samples->len);

    sample->load = duet_load_point_new(level, run->plan->load_starts > 0);
    sample->load->began_ns = (run->samples->len + 1) * 1000 * SECOND;
    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    g_ptr_array_add(run->samples, sample);
    return sample;
}

static DuetRun *new_run(const guint *levels, guint n_levels, guint n, guint starts)
{
    DuetPlan *plan = duet_plan_new_load(2, levels, n_levels, n, 7, starts);
    DuetRun *run = duet_run_new(&duet_benchmark_load, plan);

    plan->timeout_ms = 60000;
    plan->floor = 0.02;
    run_fixture_add_arm(run, "vm", "vm", "kvm");
    run_fixture_add_arm(run, "container", "container", NULL);
    return run;
}

/* At a level of k all take k times @each; the vm's are 10 times as slow. */
static DuetRun *parallel_run(guint n, gint64 each)
{
    static const guint levels[] = { 1, 4 };
    DuetRun *run = new_run(levels, 2, n, 0);
    DuetRandom random;

    duet_random_init(&random, 1);
    for (guint i = 0; i < n * 4; i++) {
        guint variant, arm = duet_plan_cell(run->plan, run->plan->order[i], &variant);
        DuetSample *sample = add_batch(run, arm, i / 4, levels[variant]);
        for (guint k = 0; k < levels[variant]; k++) {
            gint64 noise = duet_random_below(&random, 1000) * each / 100000;
            add_start(
                sample->load, 0, MS, MS + levels[variant] * each * (arm == 0 ? 10 : 1) + noise);
        }
    }
    return run;
}

static gboolean has_note(GPtrArray *notes, const char *code, const char *says)
{
    for (guint i = 0; i < notes->len; i++) {
        const DuetNote *note = g_ptr_array_index(notes, i);
        if (g_str_equal(note->code, code) && strstr(note->text, says))
            return TRUE;
    }
    return FALSE;
}

static void assert_near(double value, double wanted)
{
    g_assert_cmpfloat(fabs(value / wanted - 1), <, 0.02);
}

static void test_parallel(void)
{
    DuetRun *run = parallel_run(12, 20 * MS);
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(run, FALSE);
    const DuetLoadRow *one = duet_load_row(analysis, 1, 0), *four = duet_load_row(analysis, 1, 1);

    g_assert_cmpint(analysis->headline_to, ==, DUET_MARK_OUTPUT);
    g_assert_cmpuint(one->ok, ==, 12);
    g_assert_cmpuint(four->ok, ==, 48);
    assert_near(one->latency.median, 20e6);
    assert_near(four->latency.median, 80e6);
    /* One start in 20 ms; four in 80 ms and a bit. */
    assert_near(one->per_second.median, 50);
    assert_near(four->per_second.median, 50);
    g_assert_cmpuint(four->waiting, ==, 4);
    g_assert_cmpuint(four->late, ==, 0);
    g_assert_cmpfloat(four->latency.low, <=, four->latency.median);
    g_assert_cmpfloat(four->latency.high, >=, four->latency.median);
    g_assert_true(isnan(one->latency.p95));
    g_assert_false(isnan(four->latency.p95));
    g_assert_true(isnan(four->latency.p99));
    g_assert_cmpuint(analysis->comparisons->len, ==, 2);
    for (guint i = 0; i < 2; i++) {
        const DuetComparison *c = &g_array_index(analysis->comparisons, DuetComparison, i);
        g_assert_cmpint(c->verdict, ==, DUET_VERDICT_DIFFERS);
        assert_near(c->contrast.ratio, 10);
    }
    g_assert_false(duet_load_analysis_bad_arm(analysis));
    duet_run_free(run);
}

/* p99 needs 200 starts. */
static void test_p99(void)
{
    static const guint levels[] = { 100 };
    DuetRun *run = new_run(levels, 1, 2, 0);

    for (guint block = 0; block < 2; block++) {
        DuetSample *sample = add_batch(run, 1, block, 100);
        for (guint k = 0; k < 100; k++)
            add_start(sample->load, 0, 0, (k + 1) * MS);
    }
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(run, FALSE);
    const DuetLoadRow *row = duet_load_row(analysis, 1, 0);
    g_assert_cmpuint(row->latency.n, ==, 200);
    assert_near(row->latency.median, 50.5e6);
    /* (200 - 1) * 0.99 = 197.01, among 1, 1, 2, 2, ... 100, 100 */
    g_assert_cmpfloat(fabs(row->latency.p99 - 99.01e6), <, 1);
    g_assert_true(isnan(row->latency.low));
    /* The other arm has nothing. */
    g_assert_true(duet_load_analysis_bad_arm(analysis));
    duet_run_free(run);
}

/* Starts of a batch are alike: as if independent, 8 batches of 50 would know the median well. */
static void test_interval_of_batches(void)
{
    enum { BATCHES = 8, EACH = 50 };
    double values[BATCHES * EACH], low = NAN, high = NAN;
    guint batch[BATCHES * EACH];
    DuetSummary naive;

    for (guint i = 0; i < BATCHES * EACH; i++) {
        batch[i] = i / EACH;
        values[i] = 100 + 10 * batch[i] + 0.001 * (i % EACH);
    }
    g_assert_true(duet_stats_summary(values, BATCHES * EACH, 1, &naive, NULL));
    duet_load_interval(values, batch, BATCHES * EACH, BATCHES, 1, &low, &high);
    g_assert_cmpfloat(low, <=, 115);
    g_assert_cmpfloat(high, >=, 155);
    g_assert_cmpfloat(high - low, >, 1.5 * (naive.high - naive.low));
    low = NAN;
    duet_load_interval(values, batch, 5 * EACH, 5, 1, &low, &high);
    g_assert_true(isnan(low));
    /* One value each: the same as of independent values. */
    guint own[40];
    for (guint i = 0; i < 40; i++)
        own[i] = i;
    g_assert_true(duet_stats_summary(values + 100, 40, 1, &naive, NULL));
    duet_load_interval(values + 100, own, 40, 40, 1, &low, &high);
    g_assert_cmpfloat(fabs(low - naive.low), <, 0.003);
    g_assert_cmpfloat(fabs(high - naive.high), <, 0.003);
}

/* Due every 10 ms, each served for 30 ms one after the other: the latency grows though each start
 * takes 30 ms, and that is told. */
static void test_backlog(void)
{
    static const guint rates[] = { 100 * 1000 };
    DuetRun *run = new_run(rates, 1, 6, 10);

    for (guint block = 0; block < 6; block++) {
        for (guint arm = 0; arm < 2; arm++) {
            DuetSample *sample = add_batch(run, arm, block, rates[0]);
            for (guint k = 0; k < 10; k++)
                add_start(sample->load, k * 10 * MS, k * 30 * MS, (k + 1) * 30 * MS);
        }
    }
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(run, FALSE);
    const DuetLoadRow *row = duet_load_row(analysis, 0, 0);
    /* 30, 50, 70, ... 210 ms */
    assert_near(row->latency.median, 120e6);
    assert_near(row->latency.max, 210e6);
    assert_near(row->per_second.median, 10 / 0.3);
    g_assert_cmpuint(row->late, ==, 6 * 9);
    g_assert_cmpint(row->latest_ns, ==, 180 * MS);
    /* When the last is due, at 90 ms, three are done in that instant. */
    g_assert_cmpuint(row->waiting, ==, 7);
    g_assert_true(has_note(analysis->notes, "backlog", "up to 7 of 10"));
    g_assert_true(has_note(analysis->notes, "late-starts", "54 of 60"));
    g_autofree char *table = duet_load_table(run, analysis);
    run_fixture_assert_fits(table);
    g_assert_nonnull(strstr(table, "from when a start was due to output"));
    g_assert_nonnull(strstr(table, "100/s"));
    duet_run_free(run);
}

static void test_failures(void)
{
    DuetRun *run = parallel_run(12, 20 * MS);
    DuetSample *sample = NULL;

    for (guint i = 0; i < run->samples->len; i++) {
        sample = duet_run_sample(run, i);
        if (sample->arm == 1 && sample->load->level == 4)
            break;
    }
    fail_start(sample->load, 2, "no luck");
    sample->status = DUET_SAMPLE_FAILED;
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(run, FALSE);
    const DuetLoadRow *row = duet_load_row(analysis, 1, 1);
    g_assert_cmpuint(row->ok, ==, 47);
    g_assert_cmpuint(row->failed, ==, 1);
    g_assert_true(has_note(analysis->notes, "failures", "container x4: 1 of 48 starts"));
    g_assert_true(has_note(analysis->notes, "failures", "no luck"));
    const DuetComparison *c = &g_array_index(analysis->comparisons, DuetComparison, 1);
    g_assert_cmpint(c->verdict, ==, DUET_VERDICT_FAILURES);
    g_autoptr(DuetLoadAnalysis) forced = duet_load_analysis_new(run, TRUE);
    c = &g_array_index(forced->comparisons, DuetComparison, 1);
    g_assert_cmpint(c->verdict, ==, DUET_VERDICT_DIFFERS);
    duet_run_free(run);
}

/* ---- files ---- */

static void round_trip(DuetRun *run)
{
    GError *error = NULL;
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(run, FALSE);
    g_autofree char *json = duet_load_result(run, analysis);
    g_autoptr(DuetRun) loaded = duet_result_parse(json, -1, &error);

    g_assert_no_error(error);
    g_autofree char *again = duet_benchmark_load.show(loaded, 1, FALSE);
    g_assert_cmpstr(again, ==, json);
    g_autofree char *table = duet_load_table(run, analysis);
    g_autofree char *shown = duet_benchmark_load.show(loaded, 0, FALSE);
    g_assert_cmpstr(table, ==, shown);
    run_fixture_assert_fits(table);
    g_autofree char *markdown = duet_benchmark_load.show(loaded, 3, FALSE);
    g_assert_nonnull(strstr(markdown, "## Many starts"));
    g_autofree char *csv = duet_benchmark_load.show(loaded, 2, FALSE);
    g_assert_nonnull(strstr(csv, ".0.output,"));
    /* In long form: each line has as many cells as the first. */
    g_auto(GStrv) lines = g_strsplit(csv, "\n", -1);
    for (guint i = 0; lines[i] && *lines[i]; i++) {
        g_auto(GStrv) cells = g_strsplit(lines[i], ",", -1);
        g_assert_cmpuint(g_strv_length(cells), ==, 12);
    }
}

static void test_round_trip(void)
{
    static const guint rates[] = { 500, 2500 };
    DuetRun *run = parallel_run(7, 20 * MS);
    DuetRun *rate = new_run(rates, 2, 1, 3);

    round_trip(run);
    for (guint i = 0; i < 4; i++) {
        guint variant, arm = duet_plan_cell(rate->plan, rate->plan->order[i], &variant);
        DuetSample *sample = add_batch(rate, arm, 0, rates[variant]);
        add_start(sample->load, 0, MS, 20 * MS);
        add_start(sample->load, 3 * MS, 4 * MS, 30 * MS);
        add_start(sample->load, 3 * MS, 4 * MS, 30 * MS);
        fail_start(sample->load, 2, "no \"luck\"");
    }
    duet_run_sample(rate, 3)->load->bound = g_strdup("host-memory: little left");
    round_trip(rate);
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(rate, FALSE);
    g_assert_true(
        has_note(analysis->notes, "bound", "1 of 1 batches were cut short or not tried: host-"));
    duet_run_free(run);
    duet_run_free(rate);
}

/* A batch of another level than the plan's, though of its arm and block. */
static void test_check(void)
{
    DuetRun *run = parallel_run(7, 20 * MS);

    g_autoptr(GPtrArray) whole = run->benchmark->check(run);
    g_assert_false(run_fixture_has_note(whole, "plan"));
    for (guint i = 0; i < run->samples->len; i++) {
        DuetLoadPoint *batch = duet_run_sample(run, i)->load;
        batch->level = batch->level == 1 ? 4 : 1;
    }
    g_autoptr(GPtrArray) other = run->benchmark->check(run);
    g_assert_true(run_fixture_has_note(other, "plan"));
    duet_run_free(run);
}

static void no_change(DuetLoadStart *start, guint block)
{
    (void)start;
    (void)block;
}
static void later(DuetLoadStart *start, gint64 by)
{
    start->marks.ns[DUET_MARK_OUTPUT] += by;
    start->marks.ns[DUET_MARK_RELEASED] += by;
}
static void far_off(DuetLoadStart *start, guint block)
{
    later(start, block % 4 == 2 ? 900 * MS : 0);
}
static void slow_first(DuetLoadStart *start, guint block)
{
    later(start, block == 0 ? 900 * MS : 0);
}
static void spread(DuetLoadStart *start, guint block)
{
    later(start, block * 5 % 12 * 100 * MS);
}
static void drift(DuetLoadStart *start, guint block)
{
    later(start, block * 10 * MS);
}
static void waves(DuetLoadStart *start, guint block)
{
    static const gint64 heights[] = { 0, 0, 1, 2, 3, 4, 4, 3, 2, 1, 0, 0 };

    later(start, heights[block] * 2 * MS);
}
static void coarse(DuetLoadStart *start, guint block)
{
    gint64 *ns = start->marks.ns;

    (void)block;
    later(start, -(ns[DUET_MARK_OUTPUT] - ns[DUET_MARK_REQUEST]) % MS);
}
static void failing(DuetLoadStart *start, guint block)
{
    start->status = block % 4 == 2 ? DUET_SAMPLE_FAILED : DUET_SAMPLE_OK;
}

/* What the medians of an arm's batches at a level have against them. */
static void test_series(void)
{
    static const struct {
        void (*weaken)(DuetLoadStart *start, guint block);
        const char *code;
    } rows[] = {
        { no_change, NULL },
        { far_off, "outliers" },
        { slow_first, "slow-first" },
        { spread, "imprecise" },
        { drift, "drift" },
        { waves, "autocorrelated" },
        { coarse, "quantised" },
        { failing, "few-samples" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        DuetRun *run = parallel_run(12, 20 * MS);
        for (guint k = 0; k < run->samples->len; k++) {
            DuetSample *sample = duet_run_sample(run, k);
            GArray *starts = sample->load->starts;
            for (guint s = 0; sample->arm == 1 && sample->load->level == 4 && s < starts->len; s++)
                rows[i].weaken(&g_array_index(starts, DuetLoadStart, s), sample->block);
        }
        g_autoptr(GPtrArray) notes = run->benchmark->check(run);
        gboolean any = FALSE;
        for (guint n = 0; n < notes->len; n++) {
            const DuetNote *note = g_ptr_array_index(notes, n);
            g_test_message("%s", note->text);
            any |= g_str_has_prefix(note->text, "container x4: ");
        }
        if (rows[i].code ? !has_note(notes, rows[i].code, "container x4: ") : any)
            g_error("row %" G_GSIZE_FORMAT, i);
        duet_run_free(run);
    }
}

/* A run that is resumed knows what endangered the host before it was cut. */
static void test_recall(void)
{
    DuetRun *run = parallel_run(2, 20 * MS);
    DuetBenchRequest request = { .n_arms = 2 };
    DuetSample *cut = NULL;

    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm == 1 && sample->load->level == 4)
            cut = sample;
    }
    cut->load->bound = g_strdup("host-memory: little left");
    g_auto(DuetLoadSampler) sampler = { 0 };
    duet_load_sampler_init(&sampler, &request, run);
    g_autoptr(DuetSample) next = duet_sample_new(1, 2, 99);
    next->load = duet_load_point_new(4, FALSE);
    g_assert_true(duet_load_sampler_take(next, &sampler, NULL));
    g_assert_cmpstr(next->error, ==, "not tried: x4 was too much for the host");
    g_assert_cmpuint(sampler.too_much[0], ==, 0);
    duet_run_free(run);
}

static void assert_broken(DuetRun *run, const char *from, const char *to, const char *says)
{
    GError *error = NULL;
    g_autoptr(DuetLoadAnalysis) analysis = duet_load_analysis_new(run, FALSE);
    g_autofree char *json = duet_load_result(run, analysis);
    g_auto(GStrv) parts = g_strsplit(json, from, -1);
    g_autofree char *edited = g_strjoinv(to, parts);

    g_assert_cmpuint(g_strv_length(parts), >, 1);
    g_assert_null(duet_result_parse(edited, -1, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    g_assert_nonnull(strstr(error->message, says));
    g_error_free(error);
}

static void test_foreign_files(void)
{
    DuetRun *run = parallel_run(2, 20 * MS);

    assert_broken(run, "\"level\" : 4", "\"level\" : 3", "a level that the plan has not");
    assert_broken(run, "\"level\" : 4", "\"level\" : 4000000000", "a level is not from 1 to 1000");
    assert_broken(run, "\"level\" : 4", "\"rate_per_s\" : 4", "a level that the plan has not");
    assert_broken(run, "\"starts\" : [", "\"stars\" : [", "starts");
    assert_broken(run, "\"levels\" : [", "\"levees\" : [", "levels");
    assert_broken(run, "\"load\" : {", "\"lode\" : {", "load");
    duet_run_free(run);
}

/* What no start of a level reached is in no format, no format has NaN, and a ratio that is withheld
 * is not there. */
static void test_exports(void)
{
    g_autoptr(DuetRun) run = parallel_run(12, 20 * MS);

    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm != 0 || sample->load->level != 4)
            continue;
        sample->status = DUET_SAMPLE_FAILED;
        for (guint k = 0; k < 4; k++)
            g_array_index(sample->load->starts, DuetLoadStart, k).status = DUET_SAMPLE_FAILED;
    }
    g_autofree char *metrics = run_fixture_shown(run, "openmetrics"),
                    *go = run_fixture_shown(run, "benchstat"),
                    *phoronix = run_fixture_shown(run, "phoronix");
    g_assert_true(g_str_has_suffix(metrics, "\n# EOF\n"));
    g_assert_nonnull(strstr(metrics, "arm=\"vm\",metric=\"x4\",status=\"failed\"} 48\n"));
    g_assert_nonnull(strstr(metrics, "# UNIT duet_starts_per_second per_second\n"));
    g_assert_nonnull(strstr(metrics, "arm=\"container\",metric=\"x4\",quantile=\"0.5\"} 0.08"));
    g_assert_nonnull(strstr(metrics, "# UNIT duet_starts_spread_per_second per_second\n"));
    g_assert_nonnull(
        strstr(metrics, "arm=\"container\",metric=\"x4\",figure=\"median_high\"} 0.08"));
    g_assert_null(strstr(metrics, "arm=\"vm\",metric=\"x4\",quantile="));
    g_assert_null(strstr(metrics, "duet_ratio{"));
    g_assert_null(strstr(metrics, "nan"));
    g_assert_nonnull(strstr(go, "# vm: 12 of 24 samples failed and are left out\n"));
    g_assert_nonnull(strstr(go, "\nUnit starts/s better=higher\n"));
    g_auto(GStrv) lines = g_strsplit(go, "\nBenchmarkLoad/load=x", -1);
    g_assert_cmpuint(g_strv_length(lines), ==, 1 + 36);
    g_assert_nonnull(strstr(go, "load=x4/arm=container 1 80"));
    g_assert_null(strstr(go, "load=x4/arm=vm"));
    g_auto(GStrv) entries = g_strsplit(phoronix, "<Entry>", -1);
    g_assert_cmpuint(g_strv_length(entries), ==, 1 + 6);
    g_assert_nonnull(strstr(phoronix, "<Title>duet: x4.starts_per_s</Title>"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/load/open-loop", test_open_loop);
    g_test_add_func("/load/bound", test_bound);
    g_test_add_func("/load/interrupt", test_interrupt);
    g_test_add_func("/load/schedule", test_schedule);
    g_test_add_func("/load/parallel", test_parallel);
    g_test_add_func("/load/p99", test_p99);
    g_test_add_func("/load/interval-of-batches", test_interval_of_batches);
    g_test_add_func("/load/backlog", test_backlog);
    g_test_add_func("/load/failures", test_failures);
    g_test_add_func("/load/round-trip", test_round_trip);
    g_test_add_func("/load/check", test_check);
    g_test_add_func("/load/check/series", test_series);
    g_test_add_func("/load/recall", test_recall);
    g_test_add_func("/load/exports", test_exports);
    g_test_add_func("/load/foreign-files", test_foreign_files);
    return g_test_run();
}
