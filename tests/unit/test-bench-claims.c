/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `bench claims` concludes, from made-up results and made-up sights. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/claims/claim.h"
#include "bench/claims/judge.h"
#include "bench/claims/published.h"
#include "bench/claims/tree.h"
#include "bench/memory/memory-view.h"
#include "bench/result.h"
#include "core/util.h"
#include "run-fixture.h"

#define MIB ((guint64)1 << 20)

static const DuetClaim *claim(const char *id)
{
    const DuetClaim *row = duet_claims_rows();

    while (row->id && !g_str_equal(row->id, id))
        row++;
    g_assert_nonnull(row->id);
    return row;
}

/* A run of VMs (2 s, KVM) and containers of @container_ms, whose ends and CPU time are like that.
 */
static DuetRun *boot_run(gint64 container_ms, guint n)
{
    DuetRun *run = run_fixture_new(7, container_ms, n);

    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        gint64 took = sample->marks.ns[DUET_MARK_OUTPUT] - sample->marks.ns[DUET_MARK_REQUEST];
        sample->marks.ns[DUET_MARK_RELEASED] = sample->marks.ns[DUET_MARK_OUTPUT] + took / 10;
        sample->managing_cpu_ns = took / 5;
        sample->payload_cpu_ns = took / 3;
    }
    return run;
}

/* @run: (transfer full). */
static DuetFinding try_boot(const char *id, DuetRun *run)
{
    DuetClaimsRequest request = { 0 };
    g_auto(DuetClaimTrial) trial = { .request = &request, .boot = run };
    DuetFinding finding;

    duet_finding_init(&finding);
    duet_claim_apply(claim(id), &trial, &finding);
    duet_claims_judge(&finding, 1);
    return finding;
}

static void expect(
    DuetFinding finding, DuetFindingVerdict verdict, gboolean figure, const char *why)
{
    if (finding.verdict != verdict || !strstr(finding.why, why))
        g_error("%s: %s", duet_finding_verdict_to_string(finding.verdict), finding.why);
    g_assert_cmpint(finding.unit != NULL, ==, figure);
    duet_finding_clear(&finding);
}

static const char *const of_boot[] = { "start", "stop", "cpu" };

static void test_boot_decided(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(of_boot); i++) {
        DuetFinding faster = try_boot(of_boot[i], boot_run(1000, 10));
        g_assert_cmpfloat(faster.low, <, 2.03);
        g_assert_cmpfloat(faster.high, >, 1.97);
        expect(faster, DUET_FINDING_HOLDS, TRUE, "p 0.00");
        expect(try_boot(of_boot[i], boot_run(4000, 10)), DUET_FINDING_FAILS, TRUE, "p 0.00");
        /* What emulation makes slower, and is faster all the same, is. */
        DuetRun *run = boot_run(4000, 10);
        run_fixture_other_accel(run);
        expect(try_boot(of_boot[i], run), DUET_FINDING_FAILS, TRUE, "p 0.00");
    }
}

static void test_boot_undecided(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(of_boot); i++) {
        const char *id = of_boot[i];
        DuetRun *tcg = boot_run(1000, 10), *nested = boot_run(1000, 10);
        run_fixture_other_accel(tcg);
        DuetFinding slower = try_boot(id, tcg);
        g_assert_cmpfloat(slower.value, >, 1.97);
        g_assert_cmpfloat(slower.low, >, 1.9);
        expect(slower, DUET_FINDING_UNDECIDED, TRUE, "no KVM");
        json_object_set_string_member(
            json_object_get_object_member(nested->host, "cpu"), "hypervisor", "tcg");
        expect(try_boot(id, nested), DUET_FINDING_UNDECIDED, FALSE, "nested");
        expect(try_boot(id, boot_run(2000, 10)), DUET_FINDING_UNDECIDED, TRUE, "no difference");
        expect(try_boot(id, boot_run(1000, 9)), DUET_FINDING_UNDECIDED, TRUE, "too few samples: 9");
        DuetRun *floor = boot_run(1900, 30);
        floor->plan->floor = 0.5;
        expect(try_boot(id, floor), DUET_FINDING_UNDECIDED, TRUE, "floor of 50 %");
        DuetRun *failed = boot_run(1000, 10);
        duet_run_sample(failed, 3)->status = DUET_SAMPLE_FAILED;
        expect(try_boot(id, failed), DUET_FINDING_UNDECIDED, FALSE, "samples of container failed");
        DuetRun *interrupted = boot_run(1000, 10);
        interrupted->interrupted = TRUE;
        expect(try_boot(id, interrupted), DUET_FINDING_UNDECIDED, FALSE, "interrupted");
        DuetRun *image = boot_run(1000, 10);
        run_fixture_other_image(image);
        expect(try_boot(id, image), DUET_FINDING_UNDECIDED, FALSE, "different images");
        DuetRun *kind = boot_run(1000, 10);
        run_fixture_other_kind(kind);
        expect(try_boot(id, kind), DUET_FINDING_NOT_RUN, FALSE, "no arm of kind container");
        expect(try_boot(id, NULL), DUET_FINDING_NOT_RUN, FALSE, "no image");
    }
    /* Without a cgroup nobody knows what the payload used. */
    expect(
        try_boot("cpu", run_fixture_new(7, 1000, 10)), DUET_FINDING_UNDECIDED, FALSE, "not tell");
}

/* Holm: what one claim alone would show, three together may not. */
static void test_holm(void)
{
    DuetFinding findings[3];

    for (guint i = 0; i < 3; i++) {
        duet_finding_init(&findings[i]);
        findings[i].contrasted = TRUE;
        findings[i].contrast =
            (DuetContrast){ .ratio = 2, .ratio_low = 1.5, .ratio_high = 3, .p = 0.03 };
        findings[i].floor = 0.02;
    }
    duet_claims_judge(findings, 1);
    expect(findings[0], DUET_FINDING_HOLDS, FALSE, "p 0.030");
    findings[0].why = NULL;
    duet_claims_judge(findings, 3);
    for (guint i = 0; i < 3; i++)
        expect(findings[i], DUET_FINDING_UNDECIDED, FALSE, "no difference shown (p 0.090)");
}

typedef struct {
    guint64 vm, container; /* of each instance */
    gint64 host_vm; /* the host's view of a VM, where it is another */
    const char *accel;
    guint rounds;
} Use;

static void add_point(DuetRun *run, guint arm, guint block, guint count, const Use *use)
{
    DuetSample *sample = duet_sample_new(arm, block, run->samples->len);
    guint64 each = arm == 0 ? use->vm : use->container;
    guint64 host = arm == 0 && use->host_vm ? (guint64)use->host_vm : each;
    DuetInstanceMemory one = { .memory = { .payload_pss_bytes = each + block * 1024 } };

    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    sample->memory = duet_memory_point_new(count);
    for (guint i = 0; i < count; i++)
        g_array_append_val(sample->memory->instances, one);
    sample->memory->before = (DuetHostMemory){ .at_ns = 1, .available_bytes = 8192 * MIB };
    sample->memory->host =
        (DuetHostMemory){ .at_ns = 2, .available_bytes = 8192 * MIB - count * host };
    sample->memory->started = count;
    g_ptr_array_add(run->samples, sample);
}

static DuetRun *memory_run(const Use *use)
{
    static const guint counts[] = { 1, 2, 4 };
    DuetRun *run = duet_run_new(&duet_benchmark_memory,
        duet_plan_new_memory(2, counts, G_N_ELEMENTS(counts), use->rounds, 5, 10000, 0.02));

    run_fixture_add_arm(run, "vm", "vm", use->accel);
    run_fixture_add_arm(run, "container", "container", NULL);
    for (guint block = 0; block < use->rounds; block++)
        for (guint i = 0; i < G_N_ELEMENTS(counts); i++)
            for (guint arm = 0; arm < 2; arm++)
                add_point(run, arm, block, counts[i], use);
    return run;
}

static DuetFinding try_memory(Use use)
{
    DuetClaimsRequest request = { 0 };
    g_auto(DuetClaimTrial) trial = { .request = &request, .memory = memory_run(&use) };
    DuetFinding finding;

    duet_finding_init(&finding);
    duet_claim_apply(claim("memory"), &trial, &finding);
    duet_claims_judge(&finding, 1);
    return finding;
}

static void test_memory(void)
{
    DuetFinding more = try_memory((Use){ 100 * MIB, 2 * MIB, 0, "kvm", 3 });

    g_assert_cmpfloat(fabs(more.value - 50), <, 0.5);
    expect(more, DUET_FINDING_HOLDS, TRUE, "one more VM takes 100 MiB");
    expect(try_memory((Use){ 2 * MIB, 100 * MIB, 0, "kvm", 3 }), DUET_FINDING_FAILS, TRUE,
        "one more VM takes 2.0 MiB");
    expect(try_memory((Use){ 100 * MIB, 2 * MIB, 0, "tcg", 3 }), DUET_FINDING_UNDECIDED, TRUE,
        "no KVM");
    expect(try_memory((Use){ 2 * MIB, 2 * MIB, 0, "kvm", 3 }), DUET_FINDING_UNDECIDED, TRUE,
        "includes 1");
    /* What the processes say and the host does not is not shown. */
    expect(try_memory((Use){ 100 * MIB, 2 * MIB, 1 * MIB, "kvm", 3 }), DUET_FINDING_UNDECIDED, TRUE,
        "includes 1");
    expect(try_memory((Use){ 100 * MIB, 2 * MIB, 0, "kvm", 1 }), DUET_FINDING_UNDECIDED, TRUE,
        "too few");
}

static void free_outcome(gpointer outcome)
{
    duet_density_outcome_free(outcome);
}

typedef struct {
    guint reached, answered;
    DuetDensityBound bound;
} Reached;

static DuetRun *density_run(const char *accel, Reached vm, Reached container)
{
    DuetDensityLimits limits = { .budget_bytes = 1024 * MIB };
    DuetRun *run =
        duet_run_new(&duet_benchmark_density, duet_plan_new_density(2, &limits, 42, 2000));
    const Reached arms[] = { vm, container };

    run_fixture_add_arm(run, "vm", "vm", accel);
    run_fixture_add_arm(run, "container", "container", NULL);
    run->density = g_ptr_array_new_with_free_func(free_outcome);
    for (guint i = 0; i < G_N_ELEMENTS(arms); i++) {
        DuetDensityOutcome *outcome = duet_density_outcome_new();
        outcome->reached = arms[i].reached;
        outcome->answered = arms[i].answered;
        outcome->bound = arms[i].bound;
        g_ptr_array_add(run->density, outcome);
    }
    return run;
}

static DuetFinding try_density(const char *accel, Reached vm, Reached container)
{
    DuetClaimsRequest request = { 0 };
    g_auto(DuetClaimTrial) trial = { .request = &request };
    DuetFinding finding;

    trial.density = density_run(accel, vm, container);
    duet_finding_init(&finding);
    duet_claim_apply(claim("density"), &trial, &finding);
    return finding;
}

static void test_density(void)
{
    const Reached few = { 4, 4, DUET_DENSITY_BOUND_BUDGET },
                  many = { 80, 80, DUET_DENSITY_BOUND_BUDGET };
    const Reached asked = { 80, 80, DUET_DENSITY_BOUND_MAX },
                  few_asked = { 4, 4, DUET_DENSITY_BOUND_MAX };
    const Reached one_more = { 5, 5, DUET_DENSITY_BOUND_BUDGET };
    const Reached silent = { 80, 79, DUET_DENSITY_BOUND_BUDGET },
                  none = { 0, 0, DUET_DENSITY_BOUND_FAILURES };
    DuetFinding denser = try_density("kvm", few, many);

    g_assert_cmpfloat(denser.value, ==, 20);
    expect(denser, DUET_FINDING_HOLDS, TRUE, "80 containers (bound by memory-budget), 4 VMs");
    expect(try_density("kvm", many, few), DUET_FINDING_FAILS, TRUE, "4 containers");
    expect(try_density("tcg", few, many), DUET_FINDING_UNDECIDED, TRUE, "no KVM");
    expect(try_density("tcg", many, few), DUET_FINDING_FAILS, TRUE, "4 containers");
    /* More were not asked for: those that fit fit. */
    expect(try_density("kvm", few, asked), DUET_FINDING_HOLDS, TRUE, "bound by max");
    expect(try_density("kvm", asked, few), DUET_FINDING_FAILS, TRUE, "80 VMs (bound by max)");
    expect(try_density("kvm", few_asked, many), DUET_FINDING_UNDECIDED, TRUE, "no limit");
    expect(try_density("kvm", many, few_asked), DUET_FINDING_UNDECIDED, TRUE, "no limit");
    expect(try_density("kvm", few, one_more), DUET_FINDING_UNDECIDED, TRUE, "no limit");
    expect(try_density("kvm", few, silent), DUET_FINDING_UNDECIDED, FALSE,
        "79 of 80 instances of container");
    expect(try_density("kvm", none, many), DUET_FINDING_UNDECIDED, FALSE, "0 of 0 instances of vm");
}

/* What judges sights gives a finding. */
#define JUDGED(call)                                                                               \
    __extension__({                                                                                \
        DuetFinding finding;                                                                       \
        duet_finding_init(&finding);                                                               \
        call;                                                                                      \
        finding;                                                                                   \
    })

static void test_kernels(void)
{
    DuetKernelSeen host = { (char *)"6.1", (char *)"Linux version 6.1", (char *)"aaaa" };
    DuetKernelSeen anew = { (char *)"6.1", (char *)"Linux version 6.1", (char *)"bbbb" };
    DuetKernelSeen other = { (char *)"6.2", (char *)"Linux version 6.2", (char *)"cccc" };
    g_auto(DuetKernelSeen) parsed = { 0 };
    g_autoptr(GError) error = NULL;

    expect(JUDGED(duet_judge_kernel_shared(&host, &host, &finding)), DUET_FINDING_HOLDS, FALSE,
        "both say 6.1");
    expect(JUDGED(duet_judge_kernel_shared(&host, &anew, &finding)), DUET_FINDING_FAILS, FALSE,
        "boot id");
    expect(JUDGED(duet_judge_kernel_shared(&host, &other, &finding)), DUET_FINDING_FAILS, FALSE,
        "release");
    expect(JUDGED(duet_judge_kernel_own(&host, &host, &finding)), DUET_FINDING_FAILS, FALSE,
        "the host's");
    expect(JUDGED(duet_judge_kernel_own(&host, &anew, &finding)), DUET_FINDING_HOLDS, FALSE,
        "started anew");
    expect(JUDGED(duet_judge_kernel_own(&host, &other, &finding)), DUET_FINDING_HOLDS, FALSE,
        "the VM's is 6.2, the host's 6.1");
    g_assert_true(duet_kernel_seen_parse("Linux version 6.1\naaaa\n6.1\n", &parsed, &error));
    g_assert_cmpstr(parsed.boot_id, ==, "aaaa");
    g_assert_false(duet_kernel_seen_parse("Linux version 6.1\n\n6.1\n", &parsed, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_FAILED);
}

static void test_processes(void)
{
    const DuetProcessesSeen good = { .own = { TRUE, TRUE }, .by_host = { TRUE, TRUE } };
    DuetProcessesSeen seen = good;

    expect(JUDGED(duet_judge_processes(&seen, &finding)), DUET_FINDING_HOLDS, FALSE, "neither");
    seen.other[1] = TRUE;
    expect(JUDGED(duet_judge_processes(&seen, &finding)), DUET_FINDING_FAILS, FALSE, "the other's");
    seen = good;
    seen.host[0] = TRUE;
    expect(JUDGED(duet_judge_processes(&seen, &finding)), DUET_FINDING_FAILS, FALSE, "of the host");
    /* A search that finds nothing at all proves nothing. */
    seen = good;
    seen.own[1] = FALSE;
    expect(JUDGED(duet_judge_processes(&seen, &finding)), DUET_FINDING_UNDECIDED, FALSE,
        "a container did not find");
    seen = good;
    seen.by_host[0] = FALSE;
    expect(JUDGED(duet_judge_processes(&seen, &finding)), DUET_FINDING_UNDECIDED, FALSE,
        "the host did not find");
}

static void test_throttle(void)
{
    static const struct {
        double share, idle;
        DuetFindingVerdict verdict;
        const char *why;
    } rows[] = {
        { 0.500, 1.0, DUET_FINDING_HOLDS, "off by +0.0 %" },
        { 0.524, 1.0, DUET_FINDING_HOLDS, "off by +4.8 %" },
        { 0.476, 0.0, DUET_FINDING_HOLDS, "off by -4.8 %" },
        { 0.530, 1.0, DUET_FINDING_FAILS, "6.0 % more" },
        { 0.300, 1.0, DUET_FINDING_FAILS, "40.0 % less" },
        { 0.300, 0.0, DUET_FINDING_UNDECIDED, "no CPU time left" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        DuetThrottleSeen seen = { rows[i].share, 0.5, rows[i].idle };
        expect(JUDGED(duet_judge_throttle(&seen, &finding)), rows[i].verdict, TRUE, rows[i].why);
    }
}

static void test_layers(void)
{
    DuetDiskSeen seen = { 10 * MIB, 4, 2, MIB, 0 };

    expect(JUDGED(duet_judge_layers(&seen, &finding)), DUET_FINDING_HOLDS, TRUE, "took 1.0 MiB");
    seen.root_bytes = 40 * MIB;
    expect(JUDGED(duet_judge_layers(&seen, &finding)), DUET_FINDING_FAILS, TRUE, "40.0 MiB");
    seen.root_bytes = 30 * MIB;
    expect(JUDGED(duet_judge_layers(&seen, &finding)), DUET_FINDING_UNDECIDED, TRUE, "too small");
    seen.root_bytes = MIB;
    seen.store_bytes = 10 * MIB;
    expect(JUDGED(duet_judge_layers(&seen, &finding)), DUET_FINDING_FAILS, TRUE, "by 10.0 MiB");
}

static void test_panic(void)
{
    DuetPanicSeen seen = { TRUE, "panicked", TRUE, TRUE, TRUE };

    expect(JUDGED(duet_judge_panic(&seen, &finding)), DUET_FINDING_HOLDS, FALSE, "panicked");
    seen.vm = FALSE;
    expect(JUDGED(duet_judge_panic(&seen, &finding)), DUET_FINDING_FAILS, FALSE, "the other VM");
    seen.container = FALSE;
    expect(JUDGED(duet_judge_panic(&seen, &finding)), DUET_FINDING_FAILS, FALSE, "the container");
    seen.host = FALSE;
    expect(JUDGED(duet_judge_panic(&seen, &finding)), DUET_FINDING_FAILS, FALSE, "the host");
    /* Then it does not matter who is well. */
    seen.panicked = FALSE;
    seen.end = NULL;
    expect(JUDGED(duet_judge_panic(&seen, &finding)), DUET_FINDING_UNDECIDED, FALSE, "still runs");
    seen.end = "it ended with code 1";
    expect(JUDGED(duet_judge_panic(&seen, &finding)), DUET_FINDING_UNDECIDED, FALSE, "code 1");
    DuetClaimsRequest request = { 0 };
    g_auto(DuetClaimTrial) trial = { .request = &request };
    expect(JUDGED(duet_claim_apply(claim("panic-container"), &trial, &finding)),
        DUET_FINDING_NOT_RUN, FALSE, "the host's kernel");
}

/* What a claim lacks is told, with the reason that there is. */
static void test_needs(void)
{
    DuetClaimsRequest request = { .no_vm = "no module 'duet-vm'" };
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_auto(DuetClaimTrial) trial = { .request = &request };

    expect(JUDGED(duet_claim_apply(claim("throttle"), &trial, &finding)), DUET_FINDING_NOT_RUN,
        FALSE, "no image was given");
    expect(JUDGED(duet_claim_apply(claim("kernel-own"), &trial, &finding)), DUET_FINDING_NOT_RUN,
        FALSE, "no module 'duet-vm'");
    request.container = spec;
    expect(JUDGED(duet_claim_apply(claim("panic"), &trial, &finding)), DUET_FINDING_NOT_RUN, FALSE,
        "no module 'duet-vm'");
    trial.no_density = g_strdup("give a result");
    expect(JUDGED(duet_claim_apply(claim("density"), &trial, &finding)), DUET_FINDING_NOT_RUN,
        FALSE, "give a result");
    trial.interrupted = TRUE;
    expect(JUDGED(duet_claim_apply(claim("panic-container"), &trial, &finding)),
        DUET_FINDING_NOT_RUN, FALSE, "interrupted");
}

typedef struct {
    char *folder;
    char *fast, *slow, *memory;
} Files;

/* @taken: (transfer full). */
static char *save_boot(const char *folder, const char *name, DuetRun *taken)
{
    g_autoptr(DuetRun) run = taken;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(duet_result_save(path, json, NULL));
    return path;
}

static void files_up(Files *files)
{
    const Use use = { 100 * MIB, 2 * MIB, 0, "kvm", 3 };
    g_autoptr(DuetRun) run = memory_run(&use);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *json = duet_memory_result(run, analysis);

    files->folder = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    files->fast = save_boot(files->folder, "fast.json", boot_run(1000, 10));
    files->slow = save_boot(files->folder, "slow run.json", boot_run(4000, 10));
    files->memory = g_build_filename(files->folder, "memory.json", NULL);
    g_assert_true(duet_result_save(files->memory, json, NULL));
}

static void files_down(Files *files)
{
    g_assert_true(duet_remove_tree(AT_FDCWD, files->folder, NULL));
    g_free(files->folder);
    g_free(files->fast);
    g_free(files->slow);
    g_free(files->memory);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Files, files_down)

static int claims(const char *const *results, const char *only, const char *format, char **out_text,
    GError **error)
{
    const char *command[] = { "duet", "bench", "claims", "--results", results[0], NULL };
    DuetClaimsRequest request = { .results = (char *const *)results,
        .only = only,
        .format = format,
        .command = (char *const *)command };
    int code = -1;

    g_clear_pointer(out_text, g_free);
    return duet_claims.claims(&request, out_text, &code, error) ? code : -1;
}

static void test_page(void)
{
    g_auto(Files) files = { 0 };
    g_autofree char *text = NULL;

    files_up(&files);
    const char *const good[] = { files.fast, files.memory, NULL },
                      *const bad[] = { files.slow, NULL };
    g_assert_cmpint(claims(good, NULL, NULL, &text, NULL), ==, 0);
    run_fixture_assert_fits(text);
    g_assert_nonnull(strstr(text, "4 hold, 0 do not hold, 0 undecided, 10 not run"));
    g_assert_cmpint(claims(bad, NULL, "md", &text, NULL), ==, 1);
    g_assert_nonnull(strstr(text, "| A container starts faster than a VM. | does not hold |"));
    g_assert_cmpint(claims(bad, "memory,density", NULL, &text, NULL), ==, 0);
    g_assert_nonnull(strstr(text, "give a result of `duet bench memory`"));
    g_assert_cmpint(claims(bad, "start", "json", &text, NULL), ==, 1);
    g_autoptr(JsonObject) root = run_fixture_object(text);
    JsonArray *rows = json_object_get_array_member(root, "claims");
    g_assert_cmpuint(json_array_get_length(rows), ==, 1);
    JsonObject *row = json_array_get_object_element(rows, 0);
    g_assert_cmpstr(json_object_get_string_member(row, "verdict"), ==, "does not hold");
    g_assert_cmpfloat(fabs(json_object_get_double_member(row, "value") - 0.5), <, 0.02);
    g_assert_true(g_str_has_suffix(
        json_object_get_string_member(row, "command"), "slow run.json' --only start"));
}

static void test_refused(void)
{
    g_auto(Files) files = { 0 };
    g_autofree char *text = NULL;
    g_autofree char *missing = NULL;

    files_up(&files);
    missing = g_build_filename(files.folder, "missing.json", NULL);
    const char *const twice[] = { files.fast, files.slow, NULL };
    const char *const nothing[] = { missing, NULL }, *const good[] = { files.fast, NULL };
    const struct {
        const char *const *results;
        const char *only, *format, *says;
    } rows[] = {
        { twice, NULL, NULL, "give one of each" },
        { nothing, NULL, NULL, "missing.json" },
        { good, "speed", NULL, "'speed' is no claim: choose from memory, start" },
        { good, "", NULL, "is no claim" },
        { good, NULL, "xml", "'xml' is no format" },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(
            claims(rows[i].results, rows[i].only, rows[i].format, &text, &error), ==, -1);
        g_assert_nonnull(strstr(error->message, rows[i].says));
    }
}

static const DuetPublished *published(const char *id)
{
    const DuetPublished *row = duet_published_rows();

    while (row->id && !g_str_equal(row->id, id))
        row++;
    g_assert_nonnull(row->id);
    return row;
}

static void rename_arm(DuetRun *run, guint arm, const char *name)
{
    g_free(duet_run_arm(run, arm)->name);
    duet_run_arm(run, arm)->name = g_strdup(name);
}

/* @run: (transfer full) (nullable). */
static void reproduce(
    const char *id, DuetRun *run, DuetReproductionVerdict verdict, double ratio, const char *why)
{
    g_autoptr(GPtrArray) runs = g_ptr_array_new();
    g_auto(DuetReproduction) seen = { 0 };

    if (run)
        g_ptr_array_add(runs, run);
    duet_reproduce(published(id), runs, &seen);
    if (seen.verdict != verdict || (why && !(seen.why && strstr(seen.why, why))))
        g_error("%s: %s, %s", id, duet_reproduction_verdict_to_string(seen.verdict), seen.why);
    g_assert_true(isnan(ratio) ? isnan(seen.ratio) : fabs(seen.ratio / ratio - 1) < 0.03);
    g_autofree char *table = duet_reproduction_show(published(id), &seen, 0);
    run_fixture_assert_fits(table);
    g_assert_nonnull(strstr(table, duet_reproduction_verdict_to_string(verdict)));
    g_autofree char *json = duet_reproduction_show(published(id), &seen, 1);
    g_autoptr(JsonObject) object = run_fixture_object(json);
    g_assert_cmpstr(json_object_get_string_member(object, "verdict"), ==,
        duet_reproduction_verdict_to_string(verdict));
    if (run)
        duet_run_free(run);
}

/* Our arms, and beside them kata, runc and crun as whole commands: crun takes @ms to its output,
 * runc that as well, kata 6 times as long; to their ends crun takes twice as long, the others 6
 * times. */
static DuetRun *peers_run(gint64 ms)
{
    static const struct {
        const char *name;
        gint64 output, end;
    } peers[] = { { "kata", 6, 6 }, { "runc", 1, 6 }, { "crun", 1, 2 } };
    DuetRun *run = boot_run(300, 10);

    for (guint i = 0; i < G_N_ELEMENTS(peers); i++) {
        run_fixture_add_arm(run, peers[i].name, DUET_RUN_ARM_PEER, NULL);
        for (guint block = 0; block < 10; block++) {
            DuetSample *sample = duet_sample_new(2 + i, block, run->samples->len);
            sample->status = DUET_SAMPLE_OK;
            sample->exit_code = 0;
            sample->command_output_ns = ms * MS * peers[i].output + block * 1000;
            sample->command_exit_ns = ms * MS * peers[i].end + block * 1000;
            g_ptr_array_add(run->samples, sample);
        }
    }
    return run;
}

/* The first arm takes 2 s, the second this: 6.69 times as long was published. */
static void test_reproduced(void)
{
    reproduce("idlab-start", boot_run(300, 10), DUET_REPRODUCTION_WITHIN, 6.67, NULL);
    reproduce("idlab-start", boot_run(20, 10), DUET_REPRODUCTION_DIRECTION, 100, NULL);
    reproduce("idlab-start", boot_run(4000, 10), DUET_REPRODUCTION_CONTRARY, 0.5, NULL);
    reproduce("idlab-start", boot_run(2000, 10), DUET_REPRODUCTION_NOT_SHOWN, 1, NULL);
    const Use alike = { 50 * MIB, 2 * MIB, 0, "kvm", 3 }, far = { 500 * MIB, 2 * MIB, 0, "kvm", 3 };
    reproduce("idlab-memory", memory_run(&alike), DUET_REPRODUCTION_WITHIN, 25, NULL);
    reproduce("idlab-memory", memory_run(&far), DUET_REPRODUCTION_DIRECTION, 250, NULL);
    reproduce("idlab-start", peers_run(300), DUET_REPRODUCTION_WITHIN, 6, NULL);
    reproduce("crun", peers_run(300), DUET_REPRODUCTION_WITHIN, 3, NULL);
    /* Of the sizes that the source's guests had. */
    DuetRun *nsdi = boot_run(1000, 10);
    rename_arm(nsdi, 0, "qemu");
    rename_arm(nsdi, 1, "cloud-hypervisor");
    reproduce("nsdi-cloud-hypervisor", nsdi, DUET_REPRODUCTION_WITHIN, 2, NULL);
}

static void test_not_comparable(void)
{
    const DuetReproductionVerdict no = DUET_REPRODUCTION_NOT_COMPARABLE;
    DuetRun *tcg = boot_run(300, 10), *nested = boot_run(300, 10), *failed = boot_run(300, 10);
    DuetRun *large = boot_run(1000, 10), *smp = boot_run(1000, 10), *kind = boot_run(300, 10);
    const Use few = { 50 * MIB, 2 * MIB, 0, "kvm", 1 };

    run_fixture_other_accel(tcg);
    /* What is told beside it is no less true. */
    reproduce("idlab-start", tcg, no, 6.67, "no KVM");
    json_object_set_string_member(
        json_object_get_object_member(nested->host, "cpu"), "hypervisor", "tcg");
    reproduce("idlab-start", nested, no, NAN, "nested");
    duet_run_sample(failed, 2)->status = DUET_SAMPLE_TIMEOUT;
    reproduce("idlab-start", failed, no, 6.67, "samples of vm failed");
    reproduce("idlab-start", boot_run(300, 9), no, 6.67, "too few samples: 9");
    run_fixture_other_kind(kind);
    reproduce("idlab-start", kind, no, NAN, "neither kata and runc nor vm and container");
    reproduce("idlab-start", NULL, no, NAN, "no result of `duet bench boot`");
    reproduce("idlab-memory", boot_run(300, 10), no, NAN, "no result of `duet bench memory`");
    reproduce("idlab-memory", memory_run(&few), no, 25, "too few samples");
    reproduce("crun", boot_run(300, 10), no, NAN, "has not both runc and crun");
    for (guint i = 0; i < 2; i++) {
        DuetRun *run = i == 0 ? large : smp;
        rename_arm(run, 0, "qemu");
        rename_arm(run, 1, "cloud-hypervisor");
    }
    duet_run_arm(large, 0)->memory_bytes = 512 * MIB;
    reproduce("nsdi-cloud-hypervisor", large, no, 2, "another guest size: 512 MiB");
    duet_run_arm(smp, 0)->cpus = 2;
    reproduce("nsdi-cloud-hypervisor", smp, no, 2, "256 MiB and 2 CPUs, not 256 MiB and 1");
    DuetRun *unknown = peers_run(300);
    rename_arm(unknown, 2, "qemu");
    rename_arm(unknown, 3, "cloud-hypervisor");
    reproduce("nsdi-cloud-hypervisor", unknown, no, 1, "size of the guests of qemu");
    /* Each row can be asked for, and tells why there is nothing where nothing is given. */
    for (const DuetPublished *row = duet_published_rows(); row->id; row++)
        reproduce(row->id, NULL, no, NAN, row->no_ratio ? row->no_ratio : "no result of");
}

static void test_reproduced_density(void)
{
    const DuetReproductionVerdict no = DUET_REPRODUCTION_NOT_COMPARABLE;
    const Reached few = { 4, 4, DUET_DENSITY_BOUND_BUDGET };
    const Reached five = { 5, 5, DUET_DENSITY_BOUND_BUDGET };
    const Reached many = { 56, 56, DUET_DENSITY_BOUND_FAILURES };
    const Reached most = { 900, 900, DUET_DENSITY_BOUND_BUDGET };
    const Reached asked = { 56, 56, DUET_DENSITY_BOUND_MAX };
    const Reached lost = { 56, 50, DUET_DENSITY_BOUND_BUDGET };
    const char *id = "canonical-density";

    reproduce(id, density_run("kvm", few, many), DUET_REPRODUCTION_WITHIN, 14, NULL);
    reproduce(id, density_run("kvm", few, most), DUET_REPRODUCTION_DIRECTION, 225, NULL);
    reproduce(id, density_run("kvm", many, few), DUET_REPRODUCTION_CONTRARY, 4 / 56.0, NULL);
    reproduce(id, density_run("kvm", few, five), DUET_REPRODUCTION_NOT_SHOWN, 1.25, NULL);
    reproduce(id, density_run("kvm", few, asked), no, 14, "container was ended by max");
    reproduce(id, density_run("kvm", few, lost), no, NAN, "50 of 56 instances of container");
    reproduce(id, density_run("tcg", few, many), no, 14, "no KVM");
}

static void test_reproduce_page(void)
{
    g_auto(Files) files = { 0 };
    g_autofree char *list = NULL, *text = NULL;
    g_autoptr(GError) none = NULL, unknown = NULL, twice = NULL;

    files_up(&files);
    char *good[] = { files.memory, files.fast, NULL }, *bad[] = { files.slow, files.fast, NULL };
    g_assert_true(duet_claims.reproduce(NULL, NULL, NULL, &list, NULL));
    run_fixture_assert_fits(list);
    for (const DuetPublished *row = duet_published_rows(); row->id; row++)
        g_assert_nonnull(strstr(list, row->id));
    g_assert_true(duet_claims.reproduce("idlab-start", good, "md", &text, NULL));
    g_assert_nonnull(strstr(text, "| verdict | direction holds |"));
    g_clear_pointer(&text, g_free);
    g_assert_false(duet_claims.reproduce("idlab-start", NULL, NULL, &text, &none));
    g_assert_nonnull(strstr(none->message, "--results"));
    g_assert_false(duet_claims.reproduce("idlab", good, NULL, &text, &unknown));
    g_assert_nonnull(strstr(unknown->message, "'idlab' is no published figure"));
    g_assert_false(duet_claims.reproduce("idlab-start", bad, NULL, &text, &twice));
    g_assert_nonnull(strstr(twice->message, "give one of each"));
    g_assert_null(text);
}

/* Everything that an instance could do to a file of the image shows in its digest. */
static void test_tree(void)
{
    g_autofree char *folder = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    g_autofree char *file = g_build_filename(folder, "file", NULL);
    g_autofree char *link = g_build_filename(folder, "link", NULL);
    g_autofree char *hard = g_build_filename(folder, "hard", NULL);
    char *paths[] = { folder, NULL };
    const struct timespec old[] = { { 1, 0 }, { 1, 0 } }, newer[] = { { 1, 0 }, { 1, 1 } };
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    guint64 before, after;

    for (guint step = 0; step < 7; step++) {
        switch (step) {
        case 1:
            g_assert_true(g_file_set_contents(file, "aaaa", 4, NULL));
            break;
        case 2:
            g_assert_cmpint(chmod(file, 0600), ==, 0);
            break;
        case 3:
            g_assert_cmpint(symlink("here", link), ==, 0);
            break;
        case 4:
            g_assert_cmpint(unlink(link) | symlink("gone", link), ==, 0);
            break;
        case 5:
            g_assert_true(g_file_set_contents(file, "aaba", 4, NULL));
            g_assert_cmpint(chmod(file, 0600), ==, 0);
            break;
        case 6:
            g_assert_cmpint(utimensat(AT_FDCWD, file, newer, 0), ==, 0);
            break;
        }
        if (step > 0 && step < 6)
            g_assert_cmpint(utimensat(AT_FDCWD, file, old, 0), ==, 0);
        g_assert_cmpint(utimensat(AT_FDCWD, link, old, AT_SYMLINK_NOFOLLOW) == 0, ==, step > 2);
        g_assert_cmpint(utimensat(AT_FDCWD, folder, old, 0), ==, 0);
        g_autofree char *again = duet_tree_digest(paths, NULL);
        char *digest = duet_tree_digest(paths, NULL);
        g_assert_cmpstr(digest, ==, again);
        g_assert_true(g_hash_table_add(seen, digest));
    }
    /* Another name takes no room, another file does. */
    g_autofree char *big = g_strnfill(100000, 'x');
    g_assert_true(g_file_set_contents(file, big, -1, NULL));
    g_assert_true(duet_tree_disk_use(paths, &before, NULL));
    g_assert_cmpint(linkat(AT_FDCWD, file, AT_FDCWD, hard, 0), ==, 0);
    g_assert_true(duet_tree_disk_use(paths, &after, NULL));
    g_assert_cmpuint(after, <, before + 50000);
    g_assert_cmpint(unlink(hard), ==, 0);
    g_assert_true(g_file_set_contents(hard, big, -1, NULL));
    g_assert_true(duet_tree_disk_use(paths, &after, NULL));
    g_assert_cmpuint(after, >=, before + 50000);
    g_assert_true(duet_remove_tree(AT_FDCWD, folder, NULL));
    g_autoptr(GError) error = NULL;
    g_assert_null(duet_tree_digest(paths, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/claims/boot-decided", test_boot_decided);
    g_test_add_func("/claims/boot-undecided", test_boot_undecided);
    g_test_add_func("/claims/holm", test_holm);
    g_test_add_func("/claims/memory", test_memory);
    g_test_add_func("/claims/density", test_density);
    g_test_add_func("/claims/kernels", test_kernels);
    g_test_add_func("/claims/processes", test_processes);
    g_test_add_func("/claims/throttle", test_throttle);
    g_test_add_func("/claims/layers", test_layers);
    g_test_add_func("/claims/panic", test_panic);
    g_test_add_func("/claims/needs", test_needs);
    g_test_add_func("/claims/page", test_page);
    g_test_add_func("/claims/refused", test_refused);
    g_test_add_func("/claims/reproduced", test_reproduced);
    g_test_add_func("/claims/reproduced-density", test_reproduced_density);
    g_test_add_func("/claims/not-comparable", test_not_comparable);
    g_test_add_func("/claims/reproduce-page", test_reproduce_page);
    g_test_add_func("/claims/tree", test_tree);
    return g_test_run();
}
