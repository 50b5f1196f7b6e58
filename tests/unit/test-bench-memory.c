/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <glib.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/bench.h>
#include <duet/driver.h>
#include <duet/error.h>

#include "bench/against.h"
#include "bench/benchmark.h"
#include "bench/environment.h"
#include "bench/memory/equal-memory.h"
#include "bench/memory/memory-analysis.h"
#include "bench/memory/memory-sampler.h"
#include "bench/memory/memory-view.h"
#include "bench/notes.h"
#include "bench/reread.h"
#include "bench/result.h"
#include "bench/runner.h"
#include "core/memory.h"
#include "core/util.h"

#define MIB ((guint64)1 << 20)
#define MS G_GINT64_CONSTANT(1000000)

/* A made-up kind: what one instance is, and what the first one brings for all. */
typedef struct {
    const char *kind;
    const char *accel;
    guint64 guest, anon, kernel, managing; /* of each */
    guint64 file; /* shared by all: each has its share of it in PSS */
    guint64 cache; /* charged to each cgroup, mapped by nobody */
    guint64 host_extra; /* of each, that nobody accounts for */
    guint fail_count; /* with so many at a time the last does not start; 0: never */
} FakeKind;

typedef struct {
    const FakeKind *kinds;
    guint interrupt_at;
    guint taken;
    gboolean ksm; /* merges half of each guest but one */
} Lab;

static DuetInstanceMemory instance_of(const FakeKind *kind, guint count)
{
    guint64 file = kind->file / count;

    return (DuetInstanceMemory){
        .age_ns = 10100 * MS,
        .memory = {
            .payload_pss_bytes = kind->guest + kind->anon + file,
            .managing_pss_bytes = kind->managing,
            .guest_ram_pss_bytes = kind->guest,
            .anon_pss_bytes = kind->anon,
            .file_pss_bytes = file,
            .page_table_bytes = kind->kernel / 2,
            .cgroup_bytes = kind->guest + kind->anon + kind->kernel + kind->cache,
            .cgroup_anon_bytes = kind->guest + kind->anon,
            .cgroup_file_bytes = kind->cache,
            .cgroup_kernel_bytes = kind->kernel,
            .managing_cgroup_bytes = kind->managing,
            .managing_cgroup_anon_bytes = kind->managing,
        },
    };
}

static DuetHostMemory guest_of(const FakeKind *kind)
{
    return (DuetHostMemory){
        .at_ns = g_str_equal(kind->kind, "vm"),
        .total_bytes = 240 * MIB,
        .available_bytes = 200 * MIB,
        .free_bytes = 180 * MIB,
        .cached_bytes = 21 * MIB,
        .buffers_bytes = 2 * MIB,
    };
}

static DuetKsmOutcome merged(const FakeKind *kind, guint count)
{
    return (DuetKsmOutcome){
        .before = { .at_ns = 1, .sharing_pages = 100, .cpu_ns = 1000 * MS },
        .after = { .at_ns = 2,
            .full_scans = 3,
            .shared_pages = 7,
            .other_pages = 9,
            .sharing_pages = 100 + (count ? count - 1 : 0) * kind->guest / 2 / 4096,
            .cpu_ns = (1000 + 500 * count) * MS },
        .waited_ns = 12000 * MS,
        .settled = count < 8,
        .page_bytes = 4096,
    };
}

static DuetHostMemory host_with(const FakeKind *kind, guint count)
{
    guint64 anon = count * (kind->guest + kind->anon + kind->managing);
    guint64 kernel = count * kind->kernel;
    guint64 used = anon + kernel + count * kind->host_extra;

    return (DuetHostMemory){
        .at_ns = 1,
        .total_bytes = 16384 * MIB,
        .available_bytes = 12000 * MIB - used,
        .free_bytes = 11000 * MIB - used,
        .anon_bytes = 100 * MIB + anon,
        .page_table_bytes = 10 * MIB + kernel,
    };
}

static gboolean take(DuetSample *sample, gpointer data, GError **error)
{
    Lab *lab = data;
    const FakeKind *kind = &lab->kinds[sample->arm];
    DuetMemoryPoint *point = sample->memory;

    (void)error;
    lab->taken++;
    point->before = host_with(kind, 0);
    if (kind->fail_count && point->count >= kind->fail_count) {
        point->started = point->count - 1;
        sample->error = g_strdup("no luck");
        return TRUE;
    }
    for (point->started = 0; point->started < point->count; point->started++) {
        DuetInstanceMemory one = instance_of(kind, point->count);
        one.guest = guest_of(kind);
        g_array_append_val(point->instances, one);
    }
    point->host = host_with(kind, point->count);
    if (lab->ksm)
        point->ksm = merged(kind, point->count);
    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    return TRUE;
}

static gboolean interrupted(const DuetSample *sample, gpointer data)
{
    const Lab *lab = data;

    (void)sample;
    return lab->interrupt_at > 0 && lab->taken >= lab->interrupt_at;
}

static const guint counts[] = { 0, 1, 2, 4, 8 };

static DuetRun *lab_run(Lab *lab, guint n_arms, guint rounds)
{
    DuetRun *run = duet_run_new(&duet_benchmark_memory,
        duet_plan_new_memory(n_arms, counts, G_N_ELEMENTS(counts), rounds, 42, 10000, 0.02));
    DuetRunner runner = { .take = take, .interrupted = interrupted, .data = lab };

    for (guint i = 0; i < n_arms; i++) {
        DuetRunArm *arm = duet_run_arm_new(lab->kinds[i].kind, lab->kinds[i].kind);
        arm->argv = g_new0(char *, 1);
        if (lab->kinds[i].accel) {
            arm->driver = json_object_new();
            json_object_set_string_member(arm->driver, "accel", lab->kinds[i].accel);
        }
        g_ptr_array_add(run->arms, arm);
    }
    run->idle_noise = g_array_new(FALSE, FALSE, sizeof(DuetHostMemory));
    for (guint i = 0; i < 3; i++) {
        DuetHostMemory host = host_with(&lab->kinds[0], 0);
        host.available_bytes += i * MIB;
        g_array_append_val(run->idle_noise, host);
    }
    g_assert_true(duet_runner_run(&runner, run, NULL));
    return run;
}

static FakeKind vm_kind(void)
{
    return (FakeKind){ "vm", "kvm", 100 * MIB, 20 * MIB, 1 * MIB, 5 * MIB, 40 * MIB, 0, 0, 0 };
}

static FakeKind container_kind(void)
{
    return (FakeKind){ "container", NULL, 0, 1 * MIB, MIB / 16, MIB / 2, 0, 0, 0, 0 };
}

static void assert_fits(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (char **line = lines; *line; line++)
        if (g_utf8_strlen(*line, -1) > 80)
            g_error("over 80 columns: %s", *line);
}

static void test_plan(void)
{
    g_autoptr(DuetPlan) plan =
        duet_plan_new_memory(2, counts, G_N_ELEMENTS(counts), 3, 7, 1000, 0.02);
    g_autoptr(DuetPlan) same =
        duet_plan_new_memory(2, counts, G_N_ELEMENTS(counts), 3, 7, 1000, 0.02);
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
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 3);
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
    g_assert_nonnull(strstr(table, "125 MiB"));
    /* The host's noise is more than a container takes. */
    g_assert_nonnull(strstr(table, "container: MemAvailable moved by 2.0 MiB"));
    g_assert_false(duet_memory_analysis_bad_arm(analysis));
    assert_fits(table);
}

static void test_disagree(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    kinds[0].host_extra = 30 * MIB;
    kinds[0].cache = 50 * MIB;
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);
    g_autofree char *json = duet_memory_result(run, analysis);
    const DuetMemoryArm *vm = &analysis->arms[0];

    g_assert_cmpint(vm->most, ==, DUET_MEMORY_CGROUP);
    g_assert_cmpint(vm->least, ==, DUET_MEMORY_PSS);
    g_assert_cmpfloat_with_epsilon(
        duet_memory_disagreement(vm, vm->most, vm->least), 176.0 / 125 - 1, 1e-12);
    g_autofree char *parts = duet_memory_parts(vm, DUET_MEMORY_CGROUP, DUET_MEMORY_PSS);
    g_assert_cmpstr(parts, ==, "file 50.0 MiB");
    g_autofree char *back = duet_memory_parts(vm, DUET_MEMORY_PSS, DUET_MEMORY_CGROUP);
    g_assert_cmpstr(back, ==, "file -50.0 MiB");
    g_autofree char *host = duet_memory_parts(vm, DUET_MEMORY_HOST, DUET_MEMORY_PSS);
    g_assert_cmpstr(host, ==, "not attributed 30.0 MiB");
    g_assert_nonnull(strstr(table, "vm: the estimators cgroups and sum of PSS disagree by 41 %"));
    g_assert_nonnull(strstr(json, "\"estimators_disagree\" : true"));
    assert_fits(table);

    /* The host alone: PSS and cgroups agree, and nothing else is said. */
    kinds[0].cache = 0;
    g_autoptr(DuetRun) second = lab_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) other = duet_memory_analysis_new(second, FALSE);
    g_autofree char *other_table = duet_memory_table(second, other);
    g_assert_nonnull(
        strstr(other_table, "vm: the estimators host and sum of PSS disagree by 25 %"));
    g_assert_null(strstr(other_table, "cgroups and"));
}

static void test_failures(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    kinds[0].fail_count = 8;
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);

    g_assert_cmpuint(analysis->arms[0].failed, ==, 3);
    g_assert_cmpuint(analysis->arms[0].rows[4].failed, ==, 3);
    g_assert_true(isnan(analysis->arms[0].rows[4].median[DUET_MEMORY_PSS]));
    g_assert_cmpfloat(analysis->arms[0].lines[DUET_MEMORY_PSS].slope, ==, 125.0 * MIB);
    g_assert_cmpuint(analysis->arms[0].lines[DUET_MEMORY_PSS].n, ==, 9);
    g_assert_nonnull(strstr(table, "vm: 3 of 15 samples are not in its figures: no luck (3)"));
    assert_fits(table);

    kinds[0].fail_count = 1;
    g_autoptr(DuetRun) none = lab_run(&lab, 1, 2);
    g_autoptr(DuetMemoryAnalysis) nothing = duet_memory_analysis_new(none, FALSE);
    g_autofree char *nothing_table = duet_memory_table(none, nothing);
    g_assert_true(isnan(nothing->arms[0].lines[DUET_MEMORY_PSS].slope));
    g_assert_nonnull(strstr(nothing_table, "n/a"));
    assert_fits(nothing_table);
}

static void test_tcg_and_nested(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    kinds[0].accel = "tcg";
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 2);
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
    assert_fits(nested_table);
}

static void test_interrupted(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds, .interrupt_at = 9 };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *table = duet_memory_table(run, analysis);

    g_assert_true(run->interrupted);
    g_assert_cmpuint(run->samples->len, ==, 9);
    g_assert_true(duet_run_sample(run, 8)->discarded);
    g_assert_nonnull(strstr(table, "interrupted"));
    assert_fits(table);
}

static void test_round_trip(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    kinds[0].cache = 50 * MIB;
    kinds[1].fail_count = 8;
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 3);
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

static void test_ratio(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 3);
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

    /* That a VM takes more where TCG emulates it proves nothing. */
    kinds[0].accel = "tcg";
    g_autoptr(DuetRun) emulated = lab_run(&lab, 2, 3);
    g_autoptr(DuetMemoryAnalysis) undecided = duet_memory_analysis_new(emulated, FALSE);
    pss = &g_array_index(undecided->comparisons, DuetComparison, 0);
    g_assert_cmpint(pss->verdict, ==, DUET_VERDICT_NO_KVM);

    kinds[0].fail_count = 8;
    g_autoptr(DuetRun) failed = lab_run(&lab, 2, 3);
    for (guint all = 0; all < 2; all++) {
        g_autoptr(DuetMemoryAnalysis) some = duet_memory_analysis_new(failed, all);
        pss = &g_array_index(some->comparisons, DuetComparison, 0);
        g_assert_cmpint(pss->verdict, ==, all ? DUET_VERDICT_NO_KVM : DUET_VERDICT_FAILURES);
    }
}

static gboolean has_note(GPtrArray *notes, const char *code)
{
    for (guint i = 0; i < notes->len; i++) {
        if (g_str_equal(((const DuetNote *)g_ptr_array_index(notes, i))->code, code))
            return TRUE;
    }
    return FALSE;
}

static void test_check(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 3);
    json_object_set_string_member(run->tool, "commit", "abc");
    /* The container takes less than the host's noise, and nothing else is weak. */
    g_autoptr(GPtrArray) notes = run->benchmark->check(run);
    g_assert_true(has_note(notes, "noise"));
    g_assert_cmpuint(notes->len, ==, 1);

    kinds[1].fail_count = 4;
    kinds[0].accel = "tcg";
    kinds[0].cache = 50 * MIB;
    g_autoptr(DuetRun) weak = lab_run(&lab, 2, 2);
    g_autoptr(GPtrArray) all = weak->benchmark->check(weak);
    g_assert_true(has_note(all, "failures") && has_note(all, "few-samples"));
    g_assert_true(has_note(all, "tcg") && has_note(all, "build"));
    /* That estimators disagree is a result. */
    g_assert_false(has_note(all, "estimators"));
}

static void test_density(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 2);
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
    assert_fits(table);
    duet_run_arm(run, 1)->memory_bytes = 64 * MIB;
    g_assert_cmpfloat(duet_memory_reserved(duet_run_arm(run, 1)), ==, 64.0 * MIB);
    /* What noise makes negative holds no number of instances. */
    g_assert_true(isnan(duet_memory_per_gib(-1)));
}

/* What a guest says of its own RAM is a part like any other; a container says nothing. */
static void test_guest(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 2);
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
    g_assert_false(has_note(weak, "equal-memory"));
    assert_fits(table);
    /* One that did not tell has no figure; a guest with less than the others is a weakness. */
    run->plan->equal_memory_bytes = 220 * MIB;
    g_autoptr(GPtrArray) unequal = run->benchmark->check(run);
    g_assert_true(has_note(unequal, "equal-memory"));
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
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds, .ksm = TRUE };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 2);
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
    assert_fits(table);

    /* A VM whose memory is not for KSM makes the run weak. */
    duet_run_arm(run, 0)->driver = json_object_new();
    json_object_set_string_member(duet_run_arm(run, 0)->driver, "domain_xml",
        "<domain><memoryBacking><nosharepages/></memoryBacking></domain>");
    g_autoptr(GPtrArray) weak = run->benchmark->check(run);
    g_assert_true(has_note(weak, "ksm"));

    g_autofree char *json = duet_memory_result(run, analysis);
    g_autoptr(DuetRun) loaded = duet_result_parse(json, -1, NULL);
    g_assert_nonnull(loaded);
    g_autoptr(DuetMemoryAnalysis) again = duet_memory_analysis_new(loaded, FALSE);
    g_autofree char *json_again = duet_memory_result(loaded, again);
    g_assert_cmpstr(json, ==, json_again);
}

static void test_equal_memory(void)
{
    /* Near enough; too little, too much; whole MiB; the least; nonsense from a guest. */
    g_assert_cmpuint(duet_equal_memory_next(128 * MIB, 190 * MIB, 129 * MIB, 80 * MIB), ==, 0);
    g_assert_cmpuint(
        duet_equal_memory_next(128 * MIB, 190 * MIB, 120 * MIB, 80 * MIB), ==, 198 * MIB);
    g_assert_cmpuint(
        duet_equal_memory_next(128 * MIB, 190 * MIB, 131 * MIB - 1, 80 * MIB), ==, 187 * MIB);
    g_assert_cmpuint(duet_equal_memory_next(16 * MIB, 80 * MIB, 25 * MIB, 80 * MIB), ==, 80 * MIB);
    g_assert_cmpuint(
        duet_equal_memory_next(128 * MIB, 190 * MIB, G_GUINT64_CONSTANT(1) << 50, 80 * MIB), ==,
        80 * MIB);
    g_assert_cmpuint(duet_equal_memory_next(1024 * MIB, 1090 * MIB, 1034 * MIB, 80 * MIB), ==, 0);
}

static guint resident_pages(int fd, gsize size)
{
    gsize page = sysconf(_SC_PAGESIZE);
    unsigned char in_core[64];
    guint resident = 0;
    void *map = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

    g_assert_true(map != MAP_FAILED && size / page <= sizeof in_core);
    g_assert_cmpint(mincore(map, size, in_core), ==, 0);
    for (gsize i = 0; i < size / page; i++)
        resident += in_core[i] & 1;
    munmap(map, size);
    return resident;
}

static void test_reread(void)
{
    gsize size = 32 * sysconf(_SC_PAGESIZE);
    g_autofree char *data = g_malloc0(size), *folder = g_strdup("reread-XXXXXX");
    /* In the current directory: on tmpfs nothing can be evicted. */
    g_assert_nonnull(g_mkdtemp(folder));
    g_autofree char *below = g_build_filename(folder, "sub", NULL);
    g_autofree char *file = g_build_filename(below, "file", NULL);
    g_autofree char *link = g_build_filename(folder, "link", NULL);
    g_assert_cmpint(mkdir(below, 0700), ==, 0);
    g_assert_true(g_file_set_contents(file, data, size, NULL));
    g_assert_cmpint(symlink("/proc/kmsg", link), ==, 0);
    int fd = open(file, O_RDWR | O_CLOEXEC);
    g_assert_cmpint(fdatasync(fd), ==, 0);
    g_assert_cmpint(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), ==, 0);
    if (resident_pages(fd, size) > 0)
        g_test_message("this file system keeps its pages: they are not seen to come back");

    DuetReread reread = { 0 };
    duet_reread_path(folder, &reread);
    g_assert_cmpuint(reread.bytes, ==, size);
    g_assert_cmpuint(reread.files, ==, 1);
    g_assert_cmpuint(reread.failed, ==, 0);
    g_assert_cmpuint(resident_pages(fd, size), ==, 32);
    duet_reread_path("/nonexistent", &reread);
    g_assert_cmpuint(reread.failed, ==, 1);
    close(fd);
    g_assert_true(duet_remove_tree(AT_FDCWD, folder, NULL));
}

static void test_formats(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds };
    kinds[1].kind = "a|<b>";
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 2);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *csv = duet_memory_csv(run, analysis);
    g_autofree char *markdown = duet_memory_markdown(run, analysis);
    g_autofree char *metrics = duet_memory_openmetrics(run, analysis);

    g_assert_true(g_str_has_prefix(csv, "run_id,arm,kind,accel,block,seq,"));
    g_assert_nonnull(strstr(csv, ",ok,0,count,8,instances\n"));
    g_assert_nonnull(strstr(csv, ",ok,0,pss,1090519040,bytes\n"));
    g_assert_nonnull(strstr(markdown, "| vm | pss | 125 MiB | 125 to 125 MiB | 40.0 MiB |"));
    g_assert_nonnull(strstr(markdown, "## Ratios of one more"));
    g_assert_null(strstr(markdown, "<b>"));
    g_assert_nonnull(strstr(metrics, "arm=\"vm\",metric=\"pss\",bound=\"low\"} 131072000\n"));
    g_assert_nonnull(strstr(metrics, "duet_ratio{"));
    g_assert_true(g_str_has_suffix(metrics, "# EOF\n"));
}

static void test_against(void)
{
    FakeKind kinds[] = { vm_kind(), container_kind() }, larger[] = { vm_kind(), container_kind() };
    Lab lab = { .kinds = kinds }, later = { .kinds = larger };
    larger[0].guest += 25 * MIB;
    g_autoptr(DuetRun) first = lab_run(&lab, 2, 3);
    g_autoptr(DuetRun) second = lab_run(&later, 2, 3);
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
    assert_fits(table);
    g_autoptr(DuetAgainst) part = duet_against_new(first, "a", second, "b", &parts, NULL);
    g_assert_cmpuint(part->comparisons->len, ==, 2);
    g_assert_null(duet_against_new(first, "a", second, "b", &wrong, &unknown));
    g_assert_error(unknown, DUET_ERROR, DUET_ERROR_INVALID);
}

static void test_foreign_files(void)
{
    FakeKind kinds[] = { vm_kind() };
    Lab lab = { .kinds = kinds };
    g_autoptr(DuetRun) run = lab_run(&lab, 1, 1);
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

    for (gsize i = 0; i < G_N_ELEMENTS(damage); i++) {
        char *at = strstr(json, damage[i][0]);
        g_assert_nonnull(at);
        g_autofree char *before = g_strndup(json, at - json);
        g_autofree char *text = g_strconcat(before, damage[i][1], at + strlen(damage[i][0]), NULL);
        g_autoptr(GError) error = NULL;
        g_assert_null(duet_result_parse(text, -1, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    }
    /* A sample that claims more instances than it has numbers for is in no figure. */
    DuetSample *liar = duet_run_sample(run, 2);
    double value;
    liar->memory->count += 1;
    g_assert_false(duet_memory_metric_value(liar, DUET_MEMORY_PSS, &value));
}

/* ---- the host must survive ---- */

static gboolean poor_host(DuetHostMemory *out_memory, GError **error)
{
    (void)error;
    *out_memory = (DuetHostMemory){
        .at_ns = 1, .total_bytes = 64 * 1024 * MIB, .available_bytes = 6 * 1024 * MIB
    };
    return TRUE;
}

static void test_host_is_protected(void)
{
    g_autoptr(GError) error = NULL, refused = NULL;
    DuetHostMemory host;

    g_assert_true(duet_host_memory_read(&host, &error));
    g_assert_no_error(error);
    for (const DuetHostField *field = duet_host_fields(); field->json; field++)
        if (!g_str_has_prefix(field->json, "swap") && !g_str_equal(field->json, "shmem_bytes"))
            g_assert_cmpuint(G_STRUCT_MEMBER(guint64, &host, field->offset), >, 0);

    /* 10 % of 64 GiB are more than 6; of 8 GiB, 2 GiB are the floor. */
    poor_host(&host, NULL);
    g_assert_false(duet_host_memory_check(&host, NULL, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_STATE);
    g_assert_true(g_str_has_suffix(error->message, "end what else runs"));
    g_clear_error(&error);
    g_assert_false(duet_host_memory_check(&host, "--max", &error));
    g_assert_true(g_str_has_suffix(error->message, "or take a smaller --max"));
    host.total_bytes = 8 * 1024 * MIB;
    g_assert_true(duet_host_memory_check(&host, NULL, NULL));
    host.available_bytes = 2047 * MIB;
    g_assert_false(duet_host_memory_check(&host, NULL, NULL));

    /* Refused at the start; in a sample, told and not tried again with as many or more. */
    g_autofree char *folder = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    static const DuetDriverEntry no_drivers[] = { { 0 } };
    g_autoptr(DuetContext) context = duet_context_new(folder, no_drivers, NULL);
    g_autoptr(DuetSpec) spec = duet_spec_new();
    DuetBenchArm arm = { "container", spec };
    DuetBenchRequest request = { .context = context, .arms = &arm, .n_arms = 1 };
    static const guint some[] = { 1, 2 };
    g_autoptr(DuetRun) run =
        duet_run_new(&duet_benchmark_memory, duet_plan_new_memory(1, some, 2, 1, 1, 1, 0.02));
    g_ptr_array_add(run->arms, duet_run_arm_new("container", "container"));
    g_auto(DuetMemorySampler) sampler = { 0 };
    duet_memory_sampler_init(&sampler, &request, run);
    sampler.read_host = poor_host;
    g_assert_false(duet_memory_sampler_begin(&sampler, &refused));
    g_assert_error(refused, DUET_ERROR, DUET_ERROR_STATE);
    g_assert_nonnull(strstr(refused->message, "--counts"));
    for (guint count = 1; count <= 2; count++) {
        g_autoptr(DuetSample) sample = duet_sample_new(0, 0, 0);
        sample->memory = duet_memory_point_new(count);
        g_assert_true(duet_memory_sampler_take(sample, &sampler, NULL));
        g_assert_cmpint(sample->status, ==, DUET_SAMPLE_FAILED);
        g_assert_cmpuint(sample->memory->started, ==, 0);
        g_assert_nonnull(strstr(sample->error, count == 1 ? "must keep" : "not tried"));
    }
    g_assert_false(sampler.interrupted);
    g_assert_true(duet_remove_tree(AT_FDCWD, folder, NULL));
}

static void test_guest_ram(void)
{
    static const char smaps[] =
        "7f69b4000000-7f69b52b3000 rw-p 00000000 00:00 0 \n"
        "Size:              19148 kB\nPss:                7496 kB\nVmFlags: rd wr\n"
        "7f69c3e00000-7f69d3e00000 rw-p 00000000 00:00 0 \n"
        "Size:             262144 kB\nRss: 90000 kB\nPss:               88064 kB\n"
        "7f69d4000000-7f69d7fff000 rw-s 00000000 00:01 4711   /memfd:ram (deleted)\n"
        "Size:              65532 kB\nPss:               53248 kB\n";
    gboolean shared = TRUE;

    g_assert_cmpuint(duet_smaps_guest_ram(smaps, 256 * MIB, &shared), ==, 86 * MIB);
    g_assert_false(shared);
    g_assert_cmpuint(duet_smaps_guest_ram(smaps, 65532 * 1024, &shared), ==, 52 * MIB);
    g_assert_true(shared);
    g_assert_cmpuint(duet_smaps_guest_ram(smaps, 128 * MIB, &shared), ==, 0);
    g_assert_cmpuint(duet_smaps_guest_ram(NULL, 128 * MIB, &shared), ==, 0);
}

static void test_warnings(void)
{
    g_autoptr(JsonObject) host = json_object_new();
    JsonObject *memory = json_object_new();
    g_autoptr(GPtrArray) few = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) many = g_ptr_array_new_with_free_func(g_free);

    json_object_set_object_member(host, "memory", memory);
    json_object_set_string_member(memory, "damon_reclaim", "N");
    json_object_set_string_member(memory, "zswap", "N");
    json_object_set_null_member(memory, "mglru");
    duet_environment_memory_warnings(host, few);
    g_assert_cmpuint(few->len, ==, 0);
    json_object_set_string_member(memory, "mglru", "0x0000");
    duet_environment_memory_warnings(host, few);
    g_assert_cmpuint(few->len, ==, 0);
    json_object_set_string_member(memory, "damon_reclaim", "Y");
    json_object_set_string_member(memory, "zswap", "Y");
    json_object_set_string_member(memory, "mglru", "0x0007");
    duet_environment_memory_warnings(host, many);
    g_assert_cmpuint(many->len, ==, 2);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/bench/memory/ratio", test_ratio);
    g_test_add_func("/bench/memory/check", test_check);
    g_test_add_func("/bench/memory/density", test_density);
    g_test_add_func("/bench/memory/reread", test_reread);
    g_test_add_func("/bench/memory/formats", test_formats);
    g_test_add_func("/bench/memory/against", test_against);
    g_test_add_func("/memory/guest", test_guest);
    g_test_add_func("/memory/ksm", test_ksm);
    g_test_add_func("/memory/equal-memory", test_equal_memory);
    g_test_add_func("/memory/plan", test_plan);
    g_test_add_func("/memory/agree", test_agree);
    g_test_add_func("/memory/disagree", test_disagree);
    g_test_add_func("/memory/failures", test_failures);
    g_test_add_func("/memory/tcg-and-nested", test_tcg_and_nested);
    g_test_add_func("/memory/interrupted", test_interrupted);
    g_test_add_func("/memory/round-trip", test_round_trip);
    g_test_add_func("/memory/foreign-files", test_foreign_files);
    g_test_add_func("/memory/host-is-protected", test_host_is_protected);
    g_test_add_func("/memory/guest-ram", test_guest_ram);
    g_test_add_func("/memory/warnings", test_warnings);
    return g_test_run();
}
