/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/analysis.h"
#include "bench/benchmark.h"
#include "bench/cost/share.h"
#include "bench/host/environment.h"
#include "bench/instance/instance-sampler.h"
#include "bench/random.h"
#include "bench/result/result.h"
#include "bench/runner.h"
#include "bench/table.h"

#define MS G_GINT64_CONSTANT(1000000)

/* ---- plan ---- */

static void test_plan(void)
{
    g_autoptr(DuetPlan) plan = duet_plan_new(3, 30, 42, 1000, 0.02);
    g_autoptr(DuetPlan) same = duet_plan_new(3, 30, 42, 1000, 0.02);
    g_autoptr(DuetPlan) other = duet_plan_new(3, 30, 43, 1000, 0.02);
    guint first[3] = { 0 };

    for (guint block = 0; block < 30; block++) {
        guint seen = 0;
        for (guint i = 0; i < 3; i++)
            seen |= 1u << plan->order[3 * block + i];
        g_assert_cmpuint(seen, ==, 7);
        first[plan->order[3 * block]]++;
    }
    for (guint arm = 0; arm < 3; arm++)
        g_assert_cmpuint(first[arm], >=, 3);
    g_assert_cmpmem(plan->order, 90 * sizeof(guint), same->order, 90 * sizeof(guint));
    g_assert_cmpint(memcmp(plan->order, other->order, 90 * sizeof(guint)), !=, 0);
}

/* ---- a lab of made-up instances ---- */

typedef struct {
    const char *name;
    const char *kind;
    const char *accel;
    gint64 output_ns;
    guint fail_every; /* each so-many-th good sample exits with 3; 0: none */
    guint timeout_every; /* the same, timed out */
    guint taken;
} FakeArm;

typedef struct {
    FakeArm *arms;
    const char *hypervisor; /* below the made-up host; NULL: it is bare metal */
    DuetRandom random;
    gint64 clock_ns;
    guint hopeless_after; /* from this sample on nothing can be run; 0: never */
    guint interrupt_at; /* the user stops the run in this sample; 0: never */
    guint taken;
} Lab;

static gint64 jitter(Lab *lab, gint64 ns)
{
    return ns + duet_random_below(&lab->random, ns / 50 + 1);
}

static gboolean take(DuetSample *sample, gpointer data, GError **error)
{
    Lab *lab = data;
    FakeArm *arm = &lab->arms[sample->arm];
    gboolean vm = g_str_equal(arm->kind, "vm");
    gint64 at = lab->clock_ns += 1000 * MS;

    g_assert_cmpuint(sample->seq, ==, lab->taken);
    lab->taken++;
    if (lab->hopeless_after > 0 && lab->taken >= lab->hopeless_after) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND, "there is no 'nonsense'");
        return FALSE;
    }
    sample->marks.ns[DUET_MARK_REQUEST] = at;
    sample->marks.ns[DUET_MARK_SPAWNED] = at += jitter(lab, arm->output_ns / 10);
    if (vm)
        sample->marks.ns[DUET_MARK_RUNNING] = at += jitter(lab, arm->output_ns / 10);
    sample->marks.ns[DUET_MARK_INIT] = at += jitter(lab, arm->output_ns / 2);
    sample->marks.ns[DUET_MARK_EXEC] = at += jitter(lab, arm->output_ns / 10);
    sample->marks.ns[DUET_MARK_OUTPUT] = at += jitter(lab, arm->output_ns / 10);
    sample->marks.ns[DUET_MARK_EXITED] = at += jitter(lab, arm->output_ns / 20);
    sample->marks.ns[DUET_MARK_RELEASED] = at += jitter(lab, arm->output_ns / 20);
    sample->managing_cpu_ns = jitter(lab, arm->output_ns / 8);
    sample->payload_cpu_ns = jitter(lab, arm->output_ns / 3);
    if (vm) {
        sample->guest_kernel_ns = jitter(lab, arm->output_ns / 3);
        sample->guest_agent_ns = jitter(lab, arm->output_ns / 30);
    }
    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    if (sample->discarded)
        return TRUE;
    arm->taken++;
    if (arm->fail_every > 0 && arm->taken % arm->fail_every == 0) {
        sample->status = DUET_SAMPLE_FAILED;
        sample->exit_code = 3;
    } else if (arm->timeout_every > 0 && arm->taken % arm->timeout_every == 0) {
        sample->status = DUET_SAMPLE_TIMEOUT;
        sample->exit_code = 137;
        sample->exit_signal = 9;
    }
    return TRUE;
}

static gboolean interrupted(const DuetSample *sample, gpointer data)
{
    Lab *lab = data;

    (void)sample;
    return lab->interrupt_at > 0 && lab->taken >= lab->interrupt_at;
}

static void count_lines(const char *line, gpointer data)
{
    guint *lines = data;

    if (line)
        g_assert_cmpuint(strlen(line), <, 78);
    *lines += line != NULL;
}

static DuetRun *lab_run(Lab *lab, guint n_arms, guint n, GError **error)
{
    DuetRun *run = duet_run_new(&duet_benchmark_boot, duet_plan_new(n_arms, n, 42, 10000, 0.02));
    guint lines = 0;
    DuetRunner runner = { take, interrupted, lab, count_lines, &lines };

    duet_random_init(&lab->random, 5);
    json_object_unref(run->host);
    run->host = duet_environment_host("/");
    json_object_set_string_member(json_object_get_object_member(run->host, "cpu"), "hypervisor",
        lab->hypervisor ? lab->hypervisor : "");
    json_object_unref(run->tool);
    run->tool = duet_environment_tool();
    for (guint i = 0; i < n_arms; i++) {
        static char *echo[] = { (char *)"echo", (char *)"it's", NULL };
        DuetRunArm *arm = duet_run_arm_new(lab->arms[i].name, lab->arms[i].kind);
        arm->image_ref = g_strdup("busybox:latest");
        arm->image_digest = g_strdup("sha256:0123456789abcdef");
        arm->argv = g_strdupv(echo);
        if (lab->arms[i].accel) {
            arm->driver = json_object_new();
            json_object_set_string_member(arm->driver, "accel", lab->arms[i].accel);
            json_object_set_string_member(arm->driver, "qemu_version", "7.2.0");
        }
        g_ptr_array_add(run->arms, arm);
    }
    gboolean done = duet_runner_run(&runner, run, error);
    if (done)
        g_assert_cmpuint(lines, ==, run->samples->len);
    else
        g_clear_pointer(&run, duet_run_free);
    return run;
}

static FakeArm vm_tcg(void)
{
    return (FakeArm){ .name = "vm", .kind = "vm", .accel = "tcg", .output_ns = 2400 * MS };
}

static FakeArm container(void)
{
    return (FakeArm){ .name = "container", .kind = "container", .output_ns = 14 * MS };
}

static FakeArm native(void)
{
    return (FakeArm){ .name = "native", .kind = "native", .output_ns = 3 * MS };
}

static DuetComparison *comparison(DuetAnalysis *analysis, guint i)
{
    return &g_array_index(analysis->comparisons, DuetComparison, i);
}

static void assert_fits(const char *table)
{
    g_auto(GStrv) lines = g_strsplit(table, "\n", -1);

    for (char **line = lines; *line; line++) {
        if (g_utf8_strlen(*line, -1) > 80)
            g_error("wider than 80 columns: %s", *line);
    }
    g_assert_null(strstr(table, "nan"));
    g_assert_null(strstr(table, "inf"));
}

/* ---- runner and analysis ---- */

static void test_three_arms(void)
{
    FakeArm arms[] = { vm_tcg(), container(), native() };
    Lab lab = { .arms = arms };
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) run = lab_run(&lab, 3, 30, &error);
    g_assert_no_error(error);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *table = duet_bench_table(run, analysis);

    g_assert_cmpuint(run->samples->len, ==, 93);
    for (guint i = 0; i < 93; i++)
        g_assert_cmpint(duet_run_sample(run, i)->discarded, ==, i < 3);
    for (guint arm = 0; arm < 3; arm++)
        g_assert_cmpuint(analysis->arms[arm].ok, ==, 30);
    g_assert_true(analysis->tcg);
    g_assert_cmpint(analysis->headline_to, ==, DUET_MARK_OUTPUT);
    /* Emulation makes a VM slow: that direction proves nothing. */
    g_assert_cmpint(comparison(analysis, 0)->verdict, ==, DUET_VERDICT_NO_KVM);
    g_assert_cmpint(comparison(analysis, 1)->verdict, ==, DUET_VERDICT_NO_KVM);
    g_assert_cmpint(comparison(analysis, 2)->verdict, ==, DUET_VERDICT_DIFFERS);
    /* A container's phases: `running` is not applicable, and init counts from spawned. */
    g_assert_cmpuint(analysis->arms[1].summary[duet_metric_of_phase(DUET_MARK_RUNNING)].n, ==, 0);
    g_assert_cmpfloat(
        analysis->arms[1].summary[duet_metric_of_phase(DUET_MARK_INIT)].median, >=, 7 * MS);
    g_assert_cmpuint(analysis->arms[1].summary[DUET_METRIC_GUEST_KERNEL].n, ==, 0);
    g_assert_nonnull(strstr(table, "No hardware virtualization"));
    g_assert_nonnull(strstr(table, "undecided (no KVM)"));
    g_assert_nonnull(strstr(table, "differs"));
    g_assert_nonnull(strstr(table, "n/a"));
    g_assert_nonnull(strstr(table, "guest clock"));
    assert_fits(table);
}

/* A quarter of what one waits for a VM, in all of its good samples; a container has no `running`.
 */
static void test_share(void)
{
    FakeArm arms[] = { vm_tcg(), container() };
    Lab lab = { .arms = arms };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 10, NULL);
    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        gint64 *ns = sample->marks.ns;
        if (sample->arm != 0)
            continue;
        ns[DUET_MARK_OUTPUT] = ns[DUET_MARK_REQUEST] + 400 * MS;
        ns[DUET_MARK_RUNNING] = ns[DUET_MARK_REQUEST] + (sample->discarded ? 300 : 100) * MS;
    }
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *line = duet_share_line(run, analysis);
    g_autofree char *table = duet_bench_table(run, analysis);

    g_assert_true(g_str_has_prefix(line, "vm: 25.0 % (25.0 to 25.0) of request -> output is"));
    g_assert_null(strstr(line, "container"));
    g_assert_nonnull(strstr(table, "managing    vm: 25.0 %"));
    assert_fits(table);
    /* What is emulated whole has no share that means anything. */
    analysis->nested = TRUE;
    g_assert_null(duet_share_line(run, analysis));
    arms[0] = container();
    Lab other = { .arms = arms };
    g_autoptr(DuetRun) none = lab_run(&other, 2, 10, NULL);
    g_autoptr(DuetAnalysis) no_vm = duet_analysis_new(none, FALSE);
    g_assert_null(duet_share_line(none, no_vm));
}

static void test_kvm_differs(void)
{
    FakeArm arms[] = { vm_tcg(), container() };
    Lab lab = { .arms = arms };
    arms[0].accel = "kvm";
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 10, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);

    g_assert_false(analysis->tcg);
    g_assert_cmpint(comparison(analysis, 0)->verdict, ==, DUET_VERDICT_DIFFERS);
    /* A VM that is faster in spite of emulation is a finding. */
    arms[0] = vm_tcg();
    arms[0].output_ns = MS;
    Lab again = { .arms = arms };
    g_autoptr(DuetRun) fast = lab_run(&again, 2, 10, NULL);
    g_autoptr(DuetAnalysis) finding = duet_analysis_new(fast, FALSE);
    g_assert_cmpint(comparison(finding, 0)->verdict, ==, DUET_VERDICT_DIFFERS);
}

/* In a guest of TCG's all figures are made of emulation, a container's as well. */
static void test_nested_under_tcg(void)
{
    FakeArm arms[] = { vm_tcg(), container(), native() };
    Lab lab = { .arms = arms, .hypervisor = "tcg" };
    arms[0].accel = "kvm";
    g_autoptr(DuetRun) run = lab_run(&lab, 3, 10, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *table = duet_bench_table(run, analysis);
    g_autofree char *json = duet_result_to_json(run, analysis);

    g_assert_true(analysis->nested);
    for (guint i = 0; i < 3; i++)
        g_assert_cmpint(comparison(analysis, i)->verdict, ==, DUET_VERDICT_NESTED);
    g_assert_true(g_str_has_prefix(table, "*** Nested under TCG"));
    g_assert_nonnull(strstr(json, "\"withheld: nested under TCG\""));
    g_assert_null(strstr(json, "\"ratio\""));
    assert_fits(table);
}

static void test_floor(void)
{
    FakeArm arms[] = { container(), container() };
    Lab lab = { .arms = arms };
    arms[0].name = "first";
    g_autoptr(DuetRun) same = lab_run(&lab, 2, 30, NULL);
    g_autoptr(DuetAnalysis) none = duet_analysis_new(same, FALSE);
    g_assert_cmpint(comparison(none, 0)->verdict, ==, DUET_VERDICT_SAME);

    /* 1.5 %: found by the test, but below the floor of 2 %. */
    arms[0].output_ns = arms[0].output_ns * 1015 / 1000;
    Lab near_lab = { .arms = arms };
    g_autoptr(DuetRun) near_run = lab_run(&near_lab, 2, 200, NULL);
    g_autoptr(DuetAnalysis) small = duet_analysis_new(near_run, FALSE);
    g_assert_cmpfloat(comparison(small, 0)->contrast.p_holm, <, 0.05);
    g_assert_cmpint(comparison(small, 0)->verdict, ==, DUET_VERDICT_SAME);
}

static void test_too_few(void)
{
    FakeArm arms[] = { container(), native() };
    Lab lab = { .arms = arms };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 5, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *table = duet_bench_table(run, analysis);

    g_assert_cmpint(comparison(analysis, 0)->verdict, ==, DUET_VERDICT_TOO_FEW);
    g_assert_cmpfloat(comparison(analysis, 0)->contrast.ratio, >, 4);
    g_assert_cmpfloat(comparison(analysis, 0)->contrast.p, >, 0.05);
    g_assert_nonnull(strstr(table, "too few samples"));
    assert_fits(table);
}

/* Of six pairs p can be 2 in 64, too much where two comparisons are made; of seven it can't.
 * However far arms are apart, the run could not have told, and so it does not say that it saw
 * nothing. */
static void test_too_few_for_holm(void)
{
    FakeArm arms[] = { container(), native() };
    Lab lab = { .arms = arms }, again = { .arms = arms };
    g_autoptr(DuetRun) six = lab_run(&lab, 2, 6, NULL);
    g_autoptr(DuetAnalysis) few = duet_analysis_new(six, FALSE);
    g_autoptr(DuetRun) seven = lab_run(&again, 2, 7, NULL);
    g_autoptr(DuetAnalysis) enough = duet_analysis_new(seven, FALSE);

    g_assert_cmpuint(few->comparisons->len, ==, 2);
    g_assert_cmpint(comparison(few, 0)->verdict, ==, DUET_VERDICT_TOO_FEW);
    g_assert_cmpfloat(comparison(few, 0)->contrast.ratio_low, >, 3);
    g_assert_true(isnan(comparison(few, 0)->contrast.detectable));
    g_assert_cmpint(comparison(enough, 0)->verdict, ==, DUET_VERDICT_DIFFERS);
}

/* A failed run must never be the fastest. */
static void test_failures(void)
{
    FakeArm arms[] = { container(), native() };
    Lab lab = { .arms = arms };
    arms[0].fail_every = 3;
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 12, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *table = duet_bench_table(run, analysis);
    g_autofree char *json = duet_result_to_json(run, analysis);

    g_assert_cmpuint(analysis->arms[0].ok, ==, 8);
    g_assert_cmpuint(analysis->arms[0].failed, ==, 4);
    g_assert_cmpuint(analysis->arms[0].summary[DUET_METRIC_HEADLINE].n, ==, 8);
    g_assert_cmpint(comparison(analysis, 0)->verdict, ==, DUET_VERDICT_FAILURES);
    g_assert_nonnull(strstr(table, "withheld"));
    g_assert_nonnull(strstr(table, "4 of 12 samples are not in its figures: exit 3 (4)"));
    g_assert_null(strstr(table, "Cliff"));
    g_assert_null(strstr(json, "\"ratio\""));
    g_assert_nonnull(strstr(json, "\"exit_code\" : 3"));
    g_assert_false(duet_analysis_bad_arm(analysis));
    assert_fits(table);

    g_autoptr(DuetAnalysis) asked = duet_analysis_new(run, TRUE);
    g_assert_cmpint(comparison(asked, 0)->verdict, ==, DUET_VERDICT_DIFFERS);
    /* So is what the managing processes cost: an eighth of the time, in this made-up world. */
    g_assert_cmpuint(asked->comparisons->len, ==, 2);
    g_assert_cmpint(comparison(asked, 1)->metric, ==, DUET_METRIC_MANAGING_CPU);
    g_assert_cmpint(comparison(asked, 1)->verdict, ==, DUET_VERDICT_DIFFERS);
    g_assert_cmpfloat_with_epsilon(comparison(asked, 1)->contrast.ratio, 14.0 / 3, 0.5);
    /* Holm's method is over both. */
    const DuetContrast *time = &comparison(asked, 0)->contrast;
    const DuetContrast *cpu = &comparison(asked, 1)->contrast;
    g_assert_cmpfloat(time->p_holm + cpu->p_holm, >, time->p + cpu->p);
    g_autofree char *shown = duet_bench_table(run, asked);
    g_assert_nonnull(strstr(shown, "CPU time, managing       ratio"));
    assert_fits(shown);
}

static void test_all_failed(void)
{
    FakeArm arms[] = { container(), native() };
    Lab lab = { .arms = arms };
    arms[0].fail_every = 1;
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 9, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, TRUE);
    g_autofree char *table = duet_bench_table(run, analysis);

    g_assert_true(duet_analysis_bad_arm(analysis));
    g_assert_cmpuint(analysis->arms[0].summary[DUET_METRIC_HEADLINE].n, ==, 0);
    g_assert_cmpint(comparison(analysis, 0)->verdict, ==, DUET_VERDICT_NO_DATA);
    g_assert_nonnull(strstr(table, "no good sample"));
    assert_fits(table);
}

static void test_timeouts(void)
{
    FakeArm arms[] = { container() };
    Lab lab = { .arms = arms };
    arms[0].timeout_every = 5;
    g_autoptr(DuetRun) run = lab_run(&lab, 1, 10, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *table = duet_bench_table(run, analysis);
    const DuetArmAnalysis *arm = &analysis->arms[0];

    g_assert_cmpuint(arm->timeouts, ==, 2);
    g_assert_cmpuint(arm->failed, ==, 0);
    g_assert_nonnull(strstr(table, "timed out (2)"));
    g_assert_null(strstr(table, "10.0 s"));
    /* The eight good ones and two above them all. */
    g_assert_cmpfloat(arm->censored_median_ns, >=, arm->summary[DUET_METRIC_HEADLINE].median);
    /* The slowest of all is one of them. */
    g_assert_true(isnan(arm->summary[DUET_METRIC_HEADLINE].max));
    Lab longer = { .arms = arms };
    arms[0].timeout_every = 30;
    g_autoptr(DuetRun) one = lab_run(&longer, 1, 30, NULL);
    g_autoptr(DuetAnalysis) known = duet_analysis_new(one, FALSE);
    g_assert_cmpuint(known->arms[0].timeouts, ==, 1);
    /* Between number 28 and 29 of 30, which are good; of three time-outs number 29 is one. */
    g_assert_true(isfinite(known->arms[0].summary[DUET_METRIC_HEADLINE].p95));
    Lab thrice = { .arms = arms };
    arms[0].timeout_every = 10;
    g_autoptr(DuetRun) three = lab_run(&thrice, 1, 30, NULL);
    g_autoptr(DuetAnalysis) unknown = duet_analysis_new(three, FALSE);
    g_assert_true(isnan(unknown->arms[0].summary[DUET_METRIC_HEADLINE].p95));
    arms[0].timeout_every = 1;
    Lab hanging = { .arms = arms };
    g_autoptr(DuetRun) never = lab_run(&hanging, 1, 4, NULL);
    g_autoptr(DuetAnalysis) nothing = duet_analysis_new(never, FALSE);
    g_assert_true(isnan(nothing->arms[0].censored_median_ns));
}

static void test_hopeless(void)
{
    FakeArm arms[] = { container(), native() };
    Lab lab = { .arms = arms, .hopeless_after = 2 };
    g_autoptr(GError) error = NULL;

    /* The second arm's warm-up can't be run: no use in trying thirty times. */
    g_assert_null(lab_run(&lab, 2, 30, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "'native'"));
    g_assert_cmpuint(lab.taken, ==, 2);

    Lab late = { .arms = arms, .hopeless_after = 6 };
    g_autoptr(DuetRun) run = lab_run(&late, 2, 10, NULL);
    g_assert_cmpuint(run->samples->len, ==, 22);
    g_assert_cmpint(duet_run_sample(run, 5)->status, ==, DUET_SAMPLE_FAILED);
    g_assert_cmpstr(duet_run_sample(run, 5)->error, ==, "there is no 'nonsense'");
}

static void test_interrupted(void)
{
    FakeArm arms[] = { container(), native() };
    Lab lab = { .arms = arms, .interrupt_at = 9 };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 30, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *table = duet_bench_table(run, analysis);

    g_assert_true(run->interrupted);
    g_assert_cmpuint(run->samples->len, ==, 9);
    /* What the user ended is in the file, in no figure and no failure. */
    g_assert_true(duet_run_sample(run, 8)->discarded);
    g_assert_cmpuint(analysis->arms[0].ok + analysis->arms[1].ok, ==, 6);
    g_assert_nonnull(strstr(table, "interrupted"));
}

static void test_silent_payload(void)
{
    FakeArm arms[] = { container() };
    Lab lab = { .arms = arms };
    g_autoptr(DuetRun) run = lab_run(&lab, 1, 10, NULL);
    duet_run_sample(run, 4)->marks.ns[DUET_MARK_OUTPUT] = 0;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *table = duet_bench_table(run, analysis);

    g_assert_cmpint(analysis->headline_to, ==, DUET_MARK_EXEC);
    g_assert_cmpuint(analysis->arms[0].summary[DUET_METRIC_HEADLINE].n, ==, 10);
    g_assert_nonnull(strstr(table, "request -> exec"));
}

static void test_mark_order(void)
{
    g_autoptr(DuetSample) sample = duet_sample_new(0, 0, 0);

    sample->marks.ns[DUET_MARK_REQUEST] = 10;
    sample->marks.ns[DUET_MARK_EXEC] = 30;
    duet_sample_check_marks(sample);
    g_assert_cmpuint(sample->warnings->len, ==, 0);
    sample->marks.ns[DUET_MARK_OUTPUT] = 20;
    duet_sample_check_marks(sample);
    g_assert_cmpuint(sample->warnings->len, ==, 1);
}

static void take_facts(
    DuetRun *run, const char *qemu_version, const char *seccomp, DuetSample *sample)
{
    g_autoptr(GVariantDict) facts = g_variant_dict_new(NULL);

    g_variant_dict_insert(facts, "accel", "s", "kvm");
    g_variant_dict_insert(facts, "qemu_version", "s", qemu_version);
    g_variant_dict_insert(facts, "seccomp", "s", seccomp);
    g_autoptr(GVariant) variant = g_variant_ref_sink(g_variant_dict_end(facts));
    duet_bench_take_facts(run, 0, variant, sample);
}

/* As where the host was upgraded before a run was resumed. */
static void test_mixed_facts(void)
{
    FakeArm arms[] = { container() };
    Lab lab = { .arms = arms };
    g_autoptr(DuetRun) run = lab_run(&lab, 1, 1, NULL);
    g_autoptr(DuetSample) alike = duet_sample_new(0, 0, 0), other = duet_sample_new(0, 0, 1);

    g_clear_pointer(&duet_run_arm(run, 0)->driver, json_object_unref);
    take_facts(run, "7.2", "builtin", alike);
    take_facts(run, "7.2", "builtin", alike);
    g_assert_cmpuint(alike->warnings->len, ==, 0);
    take_facts(run, "8.0", "unconfined", other);
    g_assert_cmpuint(other->warnings->len, ==, 2);
    g_assert_cmpstr(g_ptr_array_index(other->warnings, 0), ==,
        "its qemu_version is '8.0', that of others of its arm '7.2'");
    g_assert_cmpstr(g_ptr_array_index(other->warnings, 1), ==,
        "its seccomp is 'unconfined', that of others of its arm 'builtin'");
}

/* ---- result file ---- */

static void test_round_trip(void)
{
    FakeArm arms[] = { vm_tcg(), container(), native() };
    Lab lab = { .arms = arms };
    arms[1].fail_every = 7;
    arms[2].timeout_every = 11;
    g_autoptr(DuetRun) run = lab_run(&lab, 3, 30, NULL);
    g_autofree char *folder = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "run.json", NULL);
    g_autoptr(GError) error = NULL;

    duet_sample_warn(duet_run_sample(run, 9), "left behind: a \"mount\" \xff");
    g_ptr_array_add(run->warnings, g_strdup("the host was busy"));
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, TRUE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    g_assert_true(duet_result_save(path, json, &error));
    g_assert_no_error(error);
    g_autoptr(DuetRun) loaded = duet_result_load(path, &error);
    g_assert_no_error(error);
    g_autoptr(DuetAnalysis) again = duet_analysis_new(loaded, TRUE);
    g_autofree char *json_again = duet_result_to_json(loaded, again);
    g_assert_cmpstr(json, ==, json_again);
    /* The one byte that is no UTF-8 became U+FFFD on the way. */
    g_autofree char *table = duet_bench_table(run, analysis);
    g_autofree char *table_again = duet_bench_table(loaded, again);
    g_assert_cmpstr(table, ==, table_again);
    assert_fits(table);
    g_unlink(path);
    g_rmdir(folder);
}

static void test_json_is_json(void)
{
    /* One sample: deviation, interval, drift are not defined, and null in the file. */
    FakeArm arms[] = { container(), native() };
    Lab lab = { .arms = arms };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 1, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    const char *python[] = { "python3", "-c",
        "import json, sys\n"
        "def no(x): raise ValueError(x)\n"
        "r = json.load(sys.stdin, parse_constant=no)\n"
        "s = r['summary'][0]['metrics']['request_to_output']\n"
        "assert s['sd_ns'] is None and s['median_low_ns'] is None and s['n'] == 1\n"
        "raw = [x for x in r['samples'] if not x['discarded'] and x['arm'] == 'container']\n"
        "assert raw[0]['marks_ns']['output'] - raw[0]['marks_ns']['request'] == s['median_ns']\n"
        "assert 'running' not in raw[0]['marks_ns'] and r['schema_version'] == 1\n",
        NULL };
    g_autoptr(GError) error = NULL;

    g_assert_null(strstr(json, "NaN"));
    g_assert_null(strstr(json, "nan"));
    g_autofree char *interpreter = g_find_program_in_path("python3");
    if (!interpreter)
        return;
    /* Through a pipe, as a user would. */
    int in = -1, status = -1;
    GPid pid;
    g_assert_true(g_spawn_async_with_pipes(NULL, (char **)python, NULL,
        G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &in, NULL, NULL,
        &error));
    g_assert_cmpint(write(in, json, strlen(json)), ==, (gssize)strlen(json));
    close(in);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
}

static void assert_broken(const char *json, DuetError code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) run = duet_result_parse(json, -1, &error);

    g_assert_null(run);
    g_assert_error(error, DUET_ERROR, (int)code);
}

static void test_foreign_files(void)
{
    FakeArm arms[] = { container() };
    Lab lab = { .arms = arms };
    g_autoptr(DuetRun) run = lab_run(&lab, 1, 2, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    static const char *const damage[][2] = {
        { "\"schema_version\" : 1", "\"schema_version\" : \"1\"" },
        { "\"arm\" : \"container\"", "\"arm\" : \"nobody\"" },
        { "\"status\" : \"ok\"", "\"status\" : \"splendid\"" },
        { "\"exit_code\" : 0", "\"exit_code\" : 256" },
        { "\"exit_code\" : 0", "\"exit_code\" : 1e300" },
        { "\"load_1min\" :", "\"load_1min\" : 1e999, \"z\" :" },
        { "\"n\" : 2", "\"n\" : 3" },
        { "\"n\" : 2", "\"n\" : -1" },
        { "\"seed\" : 42", "\"seed\" : 9007199254740993" },
        { "\"marks_ns\" : {", "\"marks_ns\" : 5, \"x\" : {" },
        { "\"managing\" :", "\"managing\" : -" },
        { "\"samples\" : [", "\"samples\" : null, \"y\" : [" },
        { "\"discarded\" : true", "\"discarded\" : 1" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(damage); i++) {
        char *at = strstr(json, damage[i][0]);
        g_assert_nonnull(at);
        g_autofree char *before = g_strndup(json, at - json);
        g_autofree char *text = g_strconcat(before, damage[i][1], at + strlen(damage[i][0]), NULL);
        assert_broken(text, DUET_ERROR_BROKEN);
    }
    assert_broken("", DUET_ERROR_BROKEN);
    assert_broken("[]", DUET_ERROR_BROKEN);
    assert_broken("{}", DUET_ERROR_BROKEN);
    assert_broken("{\"schema_version\": 1}", DUET_ERROR_BROKEN);
    assert_broken("{\"schema_version\": 1, \"arms\": []}", DUET_ERROR_BROKEN);
    assert_broken("{\"schema_version\": 2}", DUET_ERROR_UNSUPPORTED);
    /* json-glib calls itself for each level: this took the whole stack. */
    g_autofree char *deep = g_strnfill(1000000, '[');
    assert_broken(deep, DUET_ERROR_BROKEN);
    g_autofree char *hidden = g_strconcat("/* \" */", deep, NULL);
    assert_broken(hidden, DUET_ERROR_BROKEN);
    g_autofree char *escaped = g_strconcat("[\"\\\\\", \"\\\"\", ", deep, NULL);
    assert_broken(escaped, DUET_ERROR_BROKEN);
    /* Brackets in a string nest nothing. */
    g_autofree char *sample = g_strdup_printf("\"error\" : \"%.99s\\\"\"", deep);
    char *at = strstr(json, "\"error\" : null");
    g_autofree char *before = g_strndup(json, at - json);
    g_autofree char *good = g_strconcat(before, sample, at + strlen("\"error\" : null"), NULL);
    g_autoptr(DuetRun) read = duet_result_parse(good, -1, NULL);
    g_assert_nonnull(read);
    for (gsize cut = 0; cut < strlen(json) - 2; cut += 97) {
        g_autofree char *part = g_strndup(json, cut);
        assert_broken(part, DUET_ERROR_BROKEN);
    }
}

static void test_environment(void)
{
    g_autoptr(JsonObject) host = duet_environment_host("/");
    g_autoptr(JsonObject) tool = duet_environment_tool();
    g_autoptr(GPtrArray) warnings = duet_environment_warnings(host, tool);
    JsonObject *cpu = json_object_get_object_member(host, "cpu");
    JsonObject *memory = json_object_get_object_member(host, "memory");
    JsonObject *kernel = json_object_get_object_member(host, "kernel");

    g_assert_cmpint(json_object_get_int_member(cpu, "online"), >=, 1);
    g_assert_cmpint(json_object_get_int_member(memory, "ram_bytes"), >, 1 << 20);
    g_assert_cmpstr(json_object_get_string_member(kernel, "release"), !=, "");
    g_assert_cmpstr(json_object_get_string_member(tool, "name"), ==, "duet");
    g_assert_true(json_object_has_member(host, "file_system"));
    g_assert_true(json_object_has_member(host, "cgroup_version"));
    g_assert_nonnull(warnings);

    /* A host made to be doubted. */
    json_object_set_double_member(host, "load_1min", 1000);
    json_object_set_string_member(cpu, "hypervisor", "tcg");
    json_object_set_string_member(cpu, "governor", "powersave");
    json_object_set_int_member(memory, "ksm_run", 1);
    json_object_set_int_member(memory, "swap_bytes", 4 << 20);
    json_object_set_int_member(memory, "swap_free_bytes", 1 << 20);
    g_autoptr(GPtrArray) many = duet_environment_warnings(host, tool);
    g_assert_cmpuint(many->len, >=, 5);
    g_assert_true(g_str_has_prefix(g_ptr_array_index(many, 0), "nested under TCG"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bench/plan", test_plan);
    g_test_add_func("/bench/three-arms", test_three_arms);
    g_test_add_func("/bench/share", test_share);
    g_test_add_func("/bench/kvm-differs", test_kvm_differs);
    g_test_add_func("/bench/nested-under-tcg", test_nested_under_tcg);
    g_test_add_func("/bench/floor", test_floor);
    g_test_add_func("/bench/too-few", test_too_few);
    g_test_add_func("/bench/too-few-for-holm", test_too_few_for_holm);
    g_test_add_func("/bench/failures", test_failures);
    g_test_add_func("/bench/all-failed", test_all_failed);
    g_test_add_func("/bench/timeouts", test_timeouts);
    g_test_add_func("/bench/hopeless", test_hopeless);
    g_test_add_func("/bench/interrupted", test_interrupted);
    g_test_add_func("/bench/silent-payload", test_silent_payload);
    g_test_add_func("/bench/mixed-facts", test_mixed_facts);
    g_test_add_func("/bench/mark-order", test_mark_order);
    g_test_add_func("/result/round-trip", test_round_trip);
    g_test_add_func("/result/json-is-json", test_json_is_json);
    g_test_add_func("/result/foreign-files", test_foreign_files);
    g_test_add_func("/environment/host", test_environment);
    return g_test_run();
}
