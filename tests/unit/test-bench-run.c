/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <math.h>
#include <string.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/analysis.h"
#include "bench/benchmark.h"
#include "bench/cost/share.h"
#include "bench/instance/instance-sampler.h"
#include "bench/result/result.h"
#include "bench/table.h"
#include "lab-fixture.h"

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

static DuetComparison *comparison(DuetAnalysis *analysis, guint i)
{
    return &g_array_index(analysis->comparisons, DuetComparison, i);
}

/* ---- runner and analysis ---- */

static void test_three_arms(void)
{
    LabArm arms[] = { lab_vm_tcg(), lab_container(), lab_native() };
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
    run_fixture_assert_fits(table);
}

/* A quarter of what one waits for a VM, in all of its good samples; a container has no `running`.
 */
static void test_share(void)
{
    LabArm arms[] = { lab_vm_tcg(), lab_container() };
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
    run_fixture_assert_fits(table);
    /* What is emulated whole has no share that means anything. */
    analysis->nested = TRUE;
    g_assert_null(duet_share_line(run, analysis));
    arms[0] = lab_container();
    Lab other = { .arms = arms };
    g_autoptr(DuetRun) none = lab_run(&other, 2, 10, NULL);
    g_autoptr(DuetAnalysis) no_vm = duet_analysis_new(none, FALSE);
    g_assert_null(duet_share_line(none, no_vm));
}

static void test_kvm_differs(void)
{
    LabArm arms[] = { lab_vm_tcg(), lab_container() };
    Lab lab = { .arms = arms };
    arms[0].accel = "kvm";
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 10, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);

    g_assert_false(analysis->tcg);
    g_assert_cmpint(comparison(analysis, 0)->verdict, ==, DUET_VERDICT_DIFFERS);
    /* A VM that is faster in spite of emulation is a finding. */
    arms[0] = lab_vm_tcg();
    arms[0].output_ns = MS;
    Lab again = { .arms = arms };
    g_autoptr(DuetRun) fast = lab_run(&again, 2, 10, NULL);
    g_autoptr(DuetAnalysis) finding = duet_analysis_new(fast, FALSE);
    g_assert_cmpint(comparison(finding, 0)->verdict, ==, DUET_VERDICT_DIFFERS);
}

/* In a guest of TCG's all figures are made of emulation, a container's as well. */
static void test_nested_under_tcg(void)
{
    LabArm arms[] = { lab_vm_tcg(), lab_container(), lab_native() };
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
    run_fixture_assert_fits(table);
}

static void test_floor(void)
{
    LabArm arms[] = { lab_container(), lab_container() };
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
    LabArm arms[] = { lab_container(), lab_native() };
    Lab lab = { .arms = arms };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 5, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *table = duet_bench_table(run, analysis);

    g_assert_cmpint(comparison(analysis, 0)->verdict, ==, DUET_VERDICT_TOO_FEW);
    g_assert_cmpfloat(comparison(analysis, 0)->contrast.ratio, >, 4);
    g_assert_cmpfloat(comparison(analysis, 0)->contrast.p, >, 0.05);
    g_assert_nonnull(strstr(table, "too few samples"));
    run_fixture_assert_fits(table);
}

/* Of six pairs p can be 2 in 64, too much where two comparisons are made; of seven it can't.
 * However far arms are apart, the run could not have told, and so it does not say that it saw
 * nothing. */
static void test_too_few_for_holm(void)
{
    LabArm arms[] = { lab_container(), lab_native() };
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
    LabArm arms[] = { lab_container(), lab_native() };
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
    run_fixture_assert_fits(table);

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
    run_fixture_assert_fits(shown);
}

static void test_all_failed(void)
{
    LabArm arms[] = { lab_container(), lab_native() };
    Lab lab = { .arms = arms };
    arms[0].fail_every = 1;
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 9, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, TRUE);
    g_autofree char *table = duet_bench_table(run, analysis);

    g_assert_true(duet_analysis_bad_arm(analysis));
    g_assert_cmpuint(analysis->arms[0].summary[DUET_METRIC_HEADLINE].n, ==, 0);
    g_assert_cmpint(comparison(analysis, 0)->verdict, ==, DUET_VERDICT_NO_DATA);
    g_assert_nonnull(strstr(table, "no good sample"));
    run_fixture_assert_fits(table);
}

static void test_timeouts(void)
{
    LabArm arms[] = { lab_container() };
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
    LabArm arms[] = { lab_container(), lab_native() };
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
    LabArm arms[] = { lab_container(), lab_native() };
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
    LabArm arms[] = { lab_container() };
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
    LabArm arms[] = { lab_container() };
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
    return g_test_run();
}
