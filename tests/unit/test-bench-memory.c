/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <math.h>
#include <string.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/memory/balloon.h"
#include "bench/memory/memory-analysis.h"
#include "bench/memory/memory-view.h"
#include "bench/notes.h"
#include "bench/result/result.h"
#include "memory-fixture.h"

static void test_plan(void)
{
    g_autoptr(DuetPlan) plan =
        duet_plan_new_memory(2, memory_fixture_counts, MEMORY_FIXTURE_COUNTS, 3, 7, 1000, 0.02);
    g_autoptr(DuetPlan) same =
        duet_plan_new_memory(2, memory_fixture_counts, MEMORY_FIXTURE_COUNTS, 3, 7, 1000, 0.02);
    guint cells = duet_plan_cells(plan);

    g_assert_cmpuint(cells, ==, 10);
    g_assert_cmpmem(plan->order, 30 * sizeof(guint), same->order, 30 * sizeof(guint));
    for (guint block = 0; block < 3; block++) {
        guint seen = 0;
        for (guint i = 0; i < cells; i++) {
            guint variant, arm = duet_plan_cell(plan, plan->order[block * cells + i], &variant);
            g_assert_cmpuint(arm, <, 2);
            seen |= 1u << (arm * 9 + plan->counts[variant]);
        }
        g_assert_cmpuint(seen, ==, 0x117 | 0x117 << 9);
    }
    g_assert_cmpint(memcmp(plan->order, plan->order + cells, cells * sizeof(guint)), !=, 0);
}

/* With no noise the line is what the kind was made of. */
static void test_agree(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);
    const DuetMemoryArm *vm = &analysis->arms[0];

    g_assert_cmpuint(run->samples->len, ==, 2 + 3 * 10);
    g_assert_cmpuint(vm->ok, ==, 15);
    g_assert_cmpfloat(vm->lines[DUET_MEMORY_PSS].slope, ==, 125.0 * MIB);
    g_assert_cmpfloat(vm->lines[DUET_MEMORY_PSS].intercept, ==, 40.0 * MIB);
    g_assert_cmpfloat(vm->lines[DUET_MEMORY_PSS].slope_low, ==, 125.0 * MIB);
    g_assert_cmpuint(vm->lines[DUET_MEMORY_PSS].n, ==, 12);
    g_assert_cmpfloat(vm->lines[DUET_MEMORY_CGROUP].slope, ==, 126.0 * MIB);
    g_assert_cmpfloat(vm->lines[DUET_MEMORY_HOST].slope, ==, 126.0 * MIB);
    g_assert_cmpfloat(vm->lines[DUET_MEMORY_GUEST_RAM].slope, ==, 100.0 * MIB);
    g_assert_cmpfloat(vm->rows[0].median[DUET_MEMORY_HOST], ==, 0);
    g_assert_cmpfloat(vm->rows[4].median[DUET_MEMORY_PSS], ==, (8 * 125.0 + 40) * MIB);
    g_assert_cmpfloat(analysis->noise_bytes, ==, 2.0 * MIB);
    g_assert_cmpfloat(analysis->zero_noise_bytes, ==, 0);
    g_assert_null(strstr(table, "vm: the estimators"));
    g_assert_true(run_fixture_has_note(analysis->notes, "fixed"));
    g_assert_nonnull(strstr(table, "125 MiB"));
    /* The host's noise is more than a container takes. */
    g_assert_nonnull(strstr(table, "container: MemAvailable moved by 2.0 MiB"));
    g_assert_false(duet_memory_analysis_bad_arm(analysis));
    run_fixture_assert_fits(table);
}

static void assert_parts(
    const DuetMemoryAnalysis *analysis, DuetMemoryMetric a, DuetMemoryMetric b, const char *parts)
{
    g_autofree char *text = duet_memory_parts(analysis, 0, a, b);

    g_assert_cmpstr(text, ==, parts);
}

static void test_disagree(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    kinds[0].host_extra = 30 * MIB;
    kinds[0].cache = 50 * MIB;
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);
    g_autofree char *json = duet_memory_result(run, analysis);
    const DuetMemoryArm *vm = &analysis->arms[0];

    g_assert_cmpint(vm->most, ==, DUET_MEMORY_CGROUP);
    g_assert_cmpint(vm->least, ==, DUET_MEMORY_PSS);
    g_assert_cmpfloat_with_epsilon(
        duet_memory_disagreement(vm, vm->most, vm->least), 176.0 / 125 - 1, 1e-12);
    assert_parts(analysis, DUET_MEMORY_CGROUP, DUET_MEMORY_PSS,
        "file 50.0 MiB (page cache that nobody maps is in no PSS)");
    assert_parts(analysis, DUET_MEMORY_PSS, DUET_MEMORY_CGROUP,
        "file -50.0 MiB (page cache that nobody maps is in no PSS)");
    assert_parts(analysis, DUET_MEMORY_HOST, DUET_MEMORY_PSS,
        "not attributed 30.0 MiB (all else that moved MemAvailable, which was 2.0 MiB on the idle "
        "host)");
    g_assert_nonnull(strstr(table, "vm: the estimators cgroups and sum of PSS disagree by 41 %"));
    g_assert_nonnull(strstr(json, "\"estimators_disagree\" : true"));
    run_fixture_assert_fits(table);

    /* The host alone: PSS and cgroups agree, and nothing else is said. */
    kinds[0].cache = 0;
    g_autoptr(DuetRun) second = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) other = duet_memory_analysis_new(second, FALSE);
    g_autofree char *other_table = duet_memory_table(second, other);
    g_assert_nonnull(
        strstr(other_table, "vm: the estimators host and sum of PSS disagree by 25 %"));
    g_assert_null(strstr(other_table, "cgroups and"));
}

/* Why parts differ is told by the run's own figures. */
static void test_reasons(void)
{
    MemoryKind kinds[] = { memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    kinds[0].kernel = MIB;
    kinds[0].host_extra = 2 * MIB;
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 1, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    DuetLine *lines = analysis->arms[0].lines;

    assert_parts(analysis, DUET_MEMORY_CGROUP, DUET_MEMORY_PSS,
        "kernel 1.0 MiB (no PSS has it; page tables are 512 KiB of it)");
    assert_parts(analysis, DUET_MEMORY_HOST, DUET_MEMORY_CGROUP,
        "not attributed 2.0 MiB (less than the 2.0 MiB that the idle host moved by)");
    lines[DUET_MEMORY_HOST_KERNEL].slope += 2 * MIB;
    assert_parts(analysis, DUET_MEMORY_HOST, DUET_MEMORY_CGROUP,
        "kernel 2.0 MiB (some is charged to no cgroup)");
    lines[DUET_MEMORY_PSS_ANON].slope += 4 * MIB;
    lines[DUET_MEMORY_PSS].slope += 4 * MIB;
    assert_parts(analysis, DUET_MEMORY_PSS, DUET_MEMORY_CGROUP,
        "anonymous 4.0 MiB (shared pages are charged to who touched them first), "
        "kernel -1.0 MiB (no PSS has it; page tables are 512 KiB of it)");
    assert_parts(analysis, DUET_MEMORY_PSS, DUET_MEMORY_HOST,
        "anonymous 4.0 MiB (the host's is that of all its processes), "
        "kernel -3.0 MiB (no PSS has it; page tables are 512 KiB of it)");
    lines[DUET_MEMORY_CGROUP].slope += 9 * MIB;
    analysis->noise_bytes = NAN;
    g_autofree char *batches = duet_memory_parts(analysis, 0, DUET_MEMORY_CGROUP, DUET_MEMORY_PSS);
    g_assert_nonnull(strstr(batches, "not attributed 9.0 MiB (cgroups are charged in batches"));
}

static void test_failures(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    kinds[0].fail_count = 8;
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);

    g_assert_cmpuint(analysis->arms[0].failed, ==, 3);
    g_assert_cmpuint(analysis->arms[0].rows[4].failed, ==, 3);
    g_assert_true(isnan(analysis->arms[0].rows[4].median[DUET_MEMORY_PSS]));
    g_assert_cmpfloat(analysis->arms[0].lines[DUET_MEMORY_PSS].slope, ==, 125.0 * MIB);
    g_assert_cmpuint(analysis->arms[0].lines[DUET_MEMORY_PSS].n, ==, 9);
    g_assert_nonnull(strstr(table, "vm: 3 of 15 samples are not in its figures: no luck (3)"));
    g_assert_false(duet_memory_analysis_bad_arm(analysis));
    run_fixture_assert_fits(table);

    kinds[0].fail_count = 1;
    g_autoptr(DuetRun) none = memory_fixture_run(&lab, 1, 2);
    g_autoptr(DuetMemoryAnalysis) nothing = duet_memory_analysis_new(none, FALSE);
    g_autofree char *nothing_table = duet_memory_table(none, nothing);
    g_assert_true(isnan(nothing->arms[0].lines[DUET_MEMORY_PSS].slope));
    g_assert_cmpuint(nothing->arms[0].ok, >, 0);
    g_assert_true(duet_memory_analysis_bad_arm(nothing));
    g_assert_nonnull(strstr(nothing_table, "n/a"));
    run_fixture_assert_fits(nothing_table);
}

static void test_tcg_and_nested(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    kinds[0].accel = "tcg";
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 2);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);
    g_assert_true(g_str_has_prefix(table, "*** No hardware virtualization"));

    JsonObject *cpu = json_object_new();
    json_object_set_string_member(cpu, "hypervisor", "tcg");
    json_object_set_object_member(run->host, "cpu", cpu);
    g_autoptr(DuetMemoryAnalysis) nested = duet_memory_analysis_new(run, FALSE);
    g_autofree char *nested_table = duet_memory_table(run, nested);
    g_autofree char *json = duet_memory_result(run, nested);
    g_assert_nonnull(strstr(json, "\"verdict\" : \"withheld: nested under TCG\""));
    g_assert_null(strstr(json, "\"ratio\""));
    g_assert_true(g_str_has_prefix(nested_table, "*** Nested under TCG"));
    g_assert_nonnull(strstr(nested_table, "withheld: nested under TCG"));
    g_assert_null(strstr(nested_table, "one more instance is"));
    g_assert_null(strstr(json, "slope_bytes"));
    run_fixture_assert_fits(nested_table);
}

static void test_interrupted(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds, .interrupt_at = 9 };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);

    g_assert_true(run->interrupted);
    g_assert_cmpuint(run->samples->len, ==, 9);
    g_assert_true(duet_run_sample(run, 8)->discarded);
    g_assert_nonnull(strstr(table, "interrupted"));
    run_fixture_assert_fits(table);
}

static void test_ratio(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);
    const DuetComparison *pss = &g_array_index(analysis->comparisons, DuetComparison, 0);

    g_assert_cmpuint(analysis->comparisons->len, ==, DUET_MEMORY_ESTIMATORS);
    g_assert_cmpint(pss->verdict, ==, DUET_VERDICT_DIFFERS);
    g_assert_cmpfloat_with_epsilon(pss->contrast.ratio, 125.0 / 1.5, 1e-9);
    g_assert_cmpfloat_with_epsilon(pss->contrast.ratio_low, 125.0 / 1.5, 1e-9);
    g_assert_cmpfloat(pss->contrast.p_holm, >=, pss->contrast.p);
    g_assert_nonnull(strstr(table, "vm / container, pss"));
    g_assert_nonnull(strstr(table, "83.3"));

    /* What the host's noise made negative has no ratio; the difference stands. */
    kinds[1].host_extra = -2 * MIB;
    g_autoptr(DuetRun) noisy = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) sloped = duet_memory_analysis_new(noisy, FALSE);
    const DuetComparison *host =
        &g_array_index(sloped->comparisons, DuetComparison, DUET_MEMORY_HOST);
    g_assert_cmpuint(host->metric, ==, DUET_MEMORY_HOST);
    g_assert_true(isnan(host->contrast.ratio) && host->contrast.difference_low > 100 * MIB);
    g_assert_cmpint(host->verdict, ==, DUET_VERDICT_DIFFERS);
    kinds[1].host_extra = 0;

    /* That a VM takes more where TCG emulates it proves nothing. */
    kinds[0].accel = "tcg";
    g_autoptr(DuetRun) emulated = memory_fixture_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) undecided = duet_memory_analysis_new(emulated, FALSE);
    pss = &g_array_index(undecided->comparisons, DuetComparison, 0);
    g_assert_cmpint(pss->verdict, ==, DUET_VERDICT_NO_KVM);

    kinds[0].fail_count = 8;
    g_autoptr(DuetRun) failed = memory_fixture_run(&lab, 2, 3);
    for (guint all = 0; all < 2; all++) {
        g_autoptr(DuetMemoryAnalysis) some = duet_memory_analysis_new(failed, all);
        pss = &g_array_index(some->comparisons, DuetComparison, 0);
        g_assert_cmpint(pss->verdict, ==, all ? DUET_VERDICT_NO_KVM : DUET_VERDICT_FAILURES);
    }
}

static void test_check(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 3);
    json_object_set_string_member(run->tool, "commit", "abc");
    /* The container takes less than the host's noise, and nothing else is weak. */
    g_autoptr(GPtrArray) notes = run->benchmark->check(run);
    g_assert_true(run_fixture_has_note(notes, "noise"));
    g_assert_cmpuint(notes->len, ==, 1);
    duet_run_sample(run, 5)->memory->count++;
    g_autoptr(GPtrArray) other = run->benchmark->check(run);
    g_assert_true(run_fixture_has_note(other, "plan"));

    kinds[1].fail_count = 4;
    kinds[0].accel = "tcg";
    kinds[0].cache = 50 * MIB;
    g_autoptr(DuetRun) weak = memory_fixture_run(&lab, 2, 2);
    g_autoptr(GPtrArray) all = weak->benchmark->check(weak);
    g_assert_true(
        run_fixture_has_note(all, "failures") && run_fixture_has_note(all, "few-samples"));
    g_assert_true(run_fixture_has_note(all, "tcg") && run_fixture_has_note(all, "build"));
    /* That estimators disagree is a result, and one that leaves open which of them is right. */
    g_assert_true(run_fixture_has_note(all, "estimators"));
}

/* Each estimator's line is asked how well it is known. */
static void test_imprecise(void)
{
    MemoryKind kinds[] = { memory_fixture_vm() };
    MemoryLab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 1, 3);
    guint imprecise = 0;

    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        if (sample->memory->count > 0)
            sample->memory->host.available_bytes -= sample->block * 200 * MIB;
    }
    g_autoptr(GPtrArray) notes = run->benchmark->check(run);
    for (guint i = 0; i < notes->len; i++) {
        const DuetNote *note = g_ptr_array_index(notes, i);
        if (!g_str_equal(note->code, "imprecise"))
            continue;
        g_assert_nonnull(strstr(note->text, "vm: what one more takes (host) is known to +-"));
        imprecise++;
    }
    g_assert_cmpuint(imprecise, ==, 1);
}

static void test_density(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 2);
    json_object_set_int_member(duet_run_arm(run, 0)->driver, "memory_bytes", 256 * MIB);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autoptr(JsonObject) vm = duet_memory_density_json(run, analysis, 0);
    g_autoptr(JsonObject) container = duet_memory_density_json(run, analysis, 1);
    g_autofree char *table = duet_memory_table(run, analysis);

    g_assert_cmpfloat(json_object_get_double_member(vm, "resident"), ==, 1024 / 125.0);
    g_assert_cmpfloat(json_object_get_double_member(vm, "resident_low"), ==, 1024 / 125.0);
    g_assert_cmpfloat(json_object_get_double_member(vm, "reserved"), ==, 4);
    g_assert_cmpfloat(json_object_get_double_member(container, "resident"), ==, 1024 / 1.5);
    g_assert_true(json_object_get_null_member(container, "reserved"));
    g_assert_nonnull(strstr(table, "instances per GiB"));
    g_assert_cmpfloat(duet_memory_managing_share(&analysis->arms[0]), ==, 5 / 125.0);
    g_assert_nonnull(strstr(table, "  monitor and worker, share of PSS"));
    g_assert_nonnull(strstr(table, "33 %"));
    run_fixture_assert_fits(table);
    duet_run_arm(run, 1)->memory_bytes = 64 * MIB;
    g_assert_cmpfloat(duet_memory_reserved(duet_run_arm(run, 1)), ==, 64.0 * MIB);
    /* What noise makes negative holds no number of instances. */
    g_assert_true(isnan(duet_memory_per_gib(-1)));
}

/* What a guest says of its own RAM is a part like any other; a container says nothing. */
static void test_guest(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 2);
    run->plan->equal_memory_bytes = 200 * MIB;
    duet_run_arm(run, 0)->memory_bytes = 256 * MIB;
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);
    g_autofree char *json = duet_memory_result(run, analysis);
    const DuetMemoryArm *vm = &analysis->arms[0], *container = &analysis->arms[1];
    g_autoptr(GPtrArray) weak = run->benchmark->check(run);

    g_assert_cmpfloat(vm->lines[DUET_MEMORY_GUEST_CACHE].slope, ==, 23.0 * MIB);
    g_assert_cmpfloat(vm->lines[DUET_MEMORY_GUEST_FREE].slope, ==, 180.0 * MIB);
    g_assert_cmpfloat(vm->lines[DUET_MEMORY_GUEST_AVAILABLE].slope, ==, 200.0 * MIB);
    g_assert_true(isnan(container->lines[DUET_MEMORY_GUEST_CACHE].slope));
    g_assert_nonnull(
        strstr(table, "page cache in the guest                23.0 MiB            n/a"));
    g_autofree char *plan = duet_memory_plan_text(run);
    g_assert_nonnull(strstr(plan, ", 200 MiB for each payload"));
    g_assert_nonnull(strstr(json, "\"guest\" : {"));
    g_assert_nonnull(strstr(json, "\"equal_memory_bytes\" : 209715200"));
    g_assert_false(run_fixture_has_note(weak, "equal-memory"));
    run_fixture_assert_fits(table);
    /* One that did not tell has no figure; a guest with less than the others is a weakness. */
    run->plan->equal_memory_bytes = 220 * MIB;
    g_autoptr(GPtrArray) unequal = run->benchmark->check(run);
    g_assert_true(run_fixture_has_note(unequal, "equal-memory"));
    DuetSample *sample = NULL;
    for (guint i = 0; i < run->samples->len && !sample; i++)
        if (duet_run_sample(run, i)->memory->instances->len == 8)
            sample = duet_run_sample(run, i);
    double value;
    g_array_index(sample->memory->instances, DuetInstanceMemory, 7).guest.at_ns = 0;
    g_assert_false(duet_memory_metric_value(sample, DUET_MEMORY_GUEST_FREE, &value));
    g_assert_true(duet_memory_metric_value(sample, DUET_MEMORY_PSS, &value));
}

static void test_ksm(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds, .ksm = TRUE };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 2);
    run->plan->ksm = g_strdup("on");
    run->plan->ksm_limit_ms = 90000;
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);
    g_autofree char *csv = duet_memory_csv(run, analysis);
    g_autofree char *markdown = duet_memory_markdown(run, analysis);
    const DuetMemoryRow *four = &analysis->arms[0].rows[3], *eight = &analysis->arms[0].rows[4];

    g_assert_cmpfloat(four->ksm_saved_bytes, ==, 150.0 * MIB);
    g_assert_cmpfloat(four->ksm_cpu_ns, ==, 2000.0 * MS);
    g_assert_cmpfloat(four->ksm_waited_ns, ==, 12000.0 * MS);
    g_assert_cmpuint(four->ksm_settled, ==, 2);
    g_assert_cmpuint(eight->ksm_settled, ==, 0);
    g_assert_cmpfloat(analysis->arms[0].lines[DUET_MEMORY_KSM_SAVED].slope, ==, 50.0 * MIB);
    g_autofree char *plan = duet_memory_plan_text(run);
    g_assert_true(g_str_has_suffix(plan, ", KSM on"));
    g_assert_nonnull(strstr(table, "CPU of ksmd"));
    g_assert_nonnull(strstr(table, "container: KSM merges only what a program offers"));
    g_assert_null(strstr(table, "is not offered to it"));
    g_assert_nonnull(strstr(csv, ",ok,0,ksm_saved,157286400,bytes\n"));
    g_assert_nonnull(strstr(csv, ",ok,0,ksmd_cpu,2000000000,ns\n"));
    g_assert_nonnull(strstr(markdown, "| vm | 4 | 2 of 2 | 150 MiB | 12.0 s | 2.00 s |"));
    run_fixture_assert_fits(table);

    /* A VM whose memory is not for KSM makes the run weak. */
    duet_run_arm(run, 0)->driver = json_object_new();
    json_object_set_string_member(duet_run_arm(run, 0)->driver, "domain_xml",
        "<domain><memoryBacking><nosharepages/></memoryBacking></domain>");
    g_autoptr(GPtrArray) weak = run->benchmark->check(run);
    g_assert_true(run_fixture_has_note(weak, "ksm"));

    g_autofree char *json = duet_memory_result(run, analysis);
    g_autoptr(DuetRun) loaded = duet_result_parse(json, -1, NULL);
    g_assert_nonnull(loaded);
    g_autoptr(DuetMemoryAnalysis) again = duet_memory_analysis_new(loaded, FALSE);
    g_autofree char *json_again = duet_memory_result(loaded, again);
    g_assert_cmpstr(json, ==, json_again);
}

static void test_balloon(void)
{
    MemoryKind kinds[] = { memory_fixture_vm(), memory_fixture_container() };
    MemoryLab lab = { .kinds = kinds, .freed = 40 * MIB };
    g_autoptr(DuetRun) run = memory_fixture_run(&lab, 2, 2);
    run->plan->balloon_bytes = 128 * MIB;
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);
    g_autofree char *markdown = duet_memory_markdown(run, analysis);
    g_autofree char *plan = duet_memory_plan_text(run);
    const DuetMemoryRow *zero = analysis->arms[0].rows, *four = zero + 3, *eight = zero + 4;
    const DuetMemoryRow *container = &analysis->arms[1].rows[3];

    for (guint metric = 0; metric < DUET_MEMORY_ESTIMATORS; metric++) {
        g_assert_cmpfloat(four->shrunk[metric], ==, 40.0 * MIB);
        g_assert_cmpfloat(container->shrunk[metric], ==, 0);
    }
    g_assert_cmpfloat(four->shrunk[DUET_SHRUNK_TOOK], ==, 301.5 * MS);
    g_assert_cmpfloat(
        four->shrunk[DUET_SHRUNK_TOTAL_BEFORE] - four->shrunk[DUET_SHRUNK_TOTAL], ==, 128.0 * MIB);
    g_assert_true(isnan(container->shrunk[DUET_SHRUNK_TOTAL]));
    g_assert_true(isnan(container->shrunk[DUET_SHRUNK_RAM]));
    g_assert_cmpuint(four->n_shrunk, ==, 2);
    /* What was measured before stays as it is without. */
    g_assert_cmpfloat(analysis->arms[0].lines[DUET_MEMORY_PSS].slope, ==, 125.0 * MIB);
    /* A guest that kept more than it was to is in no figure, which is told. */
    g_assert_cmpuint(eight->n_shrunk, ==, 0);
    g_assert_true(isnan(eight->shrunk[DUET_MEMORY_PSS]));
    g_assert_true(isnan(zero->shrunk[DUET_MEMORY_PSS]));
    g_autoptr(GPtrArray) weak = run->benchmark->check(run);
    g_assert_true(run_fixture_has_note(weak, "balloon"));
    g_assert_true(g_str_has_suffix(plan, ", then each shrunk to 128 MiB"));
    g_assert_nonnull(strstr(table, "each, once it is shrunk to 128 MiB"));
    g_assert_nonnull(strstr(table, "vm: in 2 of 8 samples an instance did not give all back"));
    g_assert_nonnull(
        strstr(markdown, "| vm | 4 | 2 | 40.0 MiB | 40.0 MiB | 40.0 MiB | 40.0 MiB | 302 ms |"));
    run_fixture_assert_fits(table);

    g_autofree char *json = duet_memory_result(run, analysis);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) loaded = duet_result_parse(json, -1, &error);
    g_assert_no_error(error);
    g_autoptr(DuetMemoryAnalysis) again = duet_memory_analysis_new(loaded, FALSE);
    g_autofree char *json_again = duet_memory_result(loaded, again);
    g_assert_cmpstr(json, ==, json_again);
    g_assert_nonnull(strstr(json, "\"median_freed_pss_bytes\" : 41943040"));
    static const char *const damage[][2] = {
        { "\"shrunk\" : {", "\"shrunk\" : 1, \"x\" : {" },
        { "\"shrink_ns\" : 300", "\"shrink_ns\" : -300" },
        { "\"balloon_bytes\" : 134217728", "\"balloon_bytes\" : \"128m\"" },
    };
    run_fixture_assert_refused(json, damage, G_N_ELEMENTS(damage));
}

/* Refused before anything is started. */
static void test_balloon_refusals(void)
{
    static const struct {
        guint64 balloon, memory;
        const char *says;
    } rows[] = {
        { 79 * MIB, 0, "can't be left so little" },
        { 256 * MIB, 0, "has 256.0 MiB from its start" },
        { 200 * MIB, 128 * MIB, "has 128.0 MiB from its start" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(DuetSpec) spec = duet_spec_new();
        g_autoptr(GError) error = NULL;
        DuetBenchArm arm = { .name = "vm", .spec = spec };
        DuetBenchRequest request = { .arms = &arm, .n_arms = 1, .balloon_bytes = rows[i].balloon };
        spec->kind = DUET_KIND_VM;
        spec->memory_bytes = rows[i].memory;
        g_assert_false(duet_balloon_check(&request, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_test_message("%s", error->message);
        g_assert_nonnull(strstr(error->message, rows[i].says));
        request.balloon_bytes = 0;
        g_assert_true(duet_balloon_check(&request, NULL));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/memory/plan", test_plan);
    g_test_add_func("/memory/agree", test_agree);
    g_test_add_func("/memory/disagree", test_disagree);
    g_test_add_func("/memory/reasons", test_reasons);
    g_test_add_func("/memory/failures", test_failures);
    g_test_add_func("/memory/tcg-and-nested", test_tcg_and_nested);
    g_test_add_func("/memory/interrupted", test_interrupted);
    g_test_add_func("/memory/ratio", test_ratio);
    g_test_add_func("/memory/check", test_check);
    g_test_add_func("/memory/imprecise", test_imprecise);
    g_test_add_func("/memory/density", test_density);
    g_test_add_func("/memory/guest", test_guest);
    g_test_add_func("/memory/ksm", test_ksm);
    g_test_add_func("/memory/balloon", test_balloon);
    g_test_add_func("/memory/balloon-refusals", test_balloon_refusals);
    return g_test_run();
}
