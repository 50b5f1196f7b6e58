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
#include "bench/claims/tree.h"
#include "claims-fixture.h"
#include "core/util.h"
#include "run-fixture.h"

static const DuetClaim *claim(const char *id)
{
    const DuetClaim *row = duet_claims_rows();

    while (row->id && !g_str_equal(row->id, id))
        row++;
    g_assert_nonnull(row->id);
    return row;
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
        DuetFinding faster = try_boot(of_boot[i], claims_boot_run(1000, 10));
        g_assert_cmpfloat(faster.low, <, 2.03);
        g_assert_cmpfloat(faster.high, >, 1.97);
        expect(faster, DUET_FINDING_HOLDS, TRUE, "p 0.00");
        expect(try_boot(of_boot[i], claims_boot_run(4000, 10)), DUET_FINDING_FAILS, TRUE, "p 0.00");
        /* What emulation makes slower, and is faster all the same, is. */
        DuetRun *run = claims_boot_run(4000, 10);
        run_fixture_other_accel(run);
        expect(try_boot(of_boot[i], run), DUET_FINDING_FAILS, TRUE, "p 0.00");
    }
}

static void test_boot_undecided(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(of_boot); i++) {
        const char *id = of_boot[i];
        DuetRun *tcg = claims_boot_run(1000, 10), *nested = claims_boot_run(1000, 10);
        run_fixture_other_accel(tcg);
        DuetFinding slower = try_boot(id, tcg);
        g_assert_cmpfloat(slower.value, >, 1.97);
        g_assert_cmpfloat(slower.low, >, 1.9);
        expect(slower, DUET_FINDING_UNDECIDED, TRUE, "no KVM");
        json_object_set_string_member(
            json_object_get_object_member(nested->host, "cpu"), "hypervisor", "tcg");
        expect(try_boot(id, nested), DUET_FINDING_UNDECIDED, FALSE, "nested");
        expect(
            try_boot(id, claims_boot_run(2000, 10)), DUET_FINDING_UNDECIDED, TRUE, "no difference");
        expect(try_boot(id, claims_boot_run(1000, 9)), DUET_FINDING_UNDECIDED, TRUE,
            "too few samples: 9");
        DuetRun *floor = claims_boot_run(1900, 30);
        floor->plan->floor = 0.5;
        expect(try_boot(id, floor), DUET_FINDING_UNDECIDED, TRUE, "floor of 50 %");
        DuetRun *failed = claims_boot_run(1000, 10);
        duet_run_sample(failed, 3)->status = DUET_SAMPLE_FAILED;
        expect(try_boot(id, failed), DUET_FINDING_UNDECIDED, FALSE, "samples of container failed");
        DuetRun *interrupted = claims_boot_run(1000, 10);
        interrupted->interrupted = TRUE;
        expect(try_boot(id, interrupted), DUET_FINDING_UNDECIDED, FALSE, "interrupted");
        DuetRun *image = claims_boot_run(1000, 10);
        run_fixture_other_image(image);
        expect(try_boot(id, image), DUET_FINDING_UNDECIDED, FALSE, "different images");
        DuetRun *kind = claims_boot_run(1000, 10);
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

static DuetFinding try_memory(ClaimsUse use)
{
    DuetClaimsRequest request = { 0 };
    g_auto(DuetClaimTrial) trial = { .request = &request, .memory = claims_memory_run(&use) };
    DuetFinding finding;

    duet_finding_init(&finding);
    duet_claim_apply(claim("memory"), &trial, &finding);
    duet_claims_judge(&finding, 1);
    return finding;
}

static void test_memory(void)
{
    DuetFinding more = try_memory((ClaimsUse){ 100 * MIB, 2 * MIB, 0, 0, "kvm", 3 });

    g_assert_cmpfloat(fabs(more.value - 50), <, 0.5);
    expect(more, DUET_FINDING_HOLDS, TRUE, "one more VM takes 100 MiB");
    expect(try_memory((ClaimsUse){ 2 * MIB, 100 * MIB, 0, 0, "kvm", 3 }), DUET_FINDING_FAILS, TRUE,
        "one more VM takes 2.0 MiB");
    expect(try_memory((ClaimsUse){ 100 * MIB, 2 * MIB, 0, 0, "tcg", 3 }), DUET_FINDING_UNDECIDED,
        TRUE, "no KVM");
    expect(try_memory((ClaimsUse){ 2 * MIB, 2 * MIB, 0, 0, "kvm", 3 }), DUET_FINDING_UNDECIDED,
        TRUE, "no difference shown");
    /* Sure as it is, 0.6 % is no difference, whichever estimator says so. */
    const guint64 bit_more = 1006 * MIB / 10;
    expect(try_memory((ClaimsUse){ bit_more, 100 * MIB, 0, 0, "kvm", 3 }), DUET_FINDING_UNDECIDED,
        TRUE, "floor of 2 %");
    expect(try_memory((ClaimsUse){ 200 * MIB, 2 * MIB, bit_more, 100 * MIB, "kvm", 3 }),
        DUET_FINDING_UNDECIDED, TRUE, "floor of 2 %");
    /* What the processes say and the host does not is not shown. */
    expect(try_memory((ClaimsUse){ 100 * MIB, 2 * MIB, 1 * MIB, 0, "kvm", 3 }),
        DUET_FINDING_UNDECIDED, TRUE, "includes 1");
    expect(try_memory((ClaimsUse){ 100 * MIB, 2 * MIB, -1 * (gint64)MIB, 0, "kvm", 3 }),
        DUET_FINDING_UNDECIDED, TRUE, "includes 1");
    /* A container that is lost in the host's noise has no ratio there, but a VM is more. */
    expect(try_memory((ClaimsUse){ 100 * MIB, 2 * MIB, 0, -1 * (gint64)MIB, "kvm", 3 }),
        DUET_FINDING_HOLDS, TRUE, "2 estimators say so");
    expect(try_memory((ClaimsUse){ 100 * MIB, 2 * MIB, 0, 0, "kvm", 1 }), DUET_FINDING_UNDECIDED,
        TRUE, "too few");
}

/* Its p is one of the page's, and what a page with more claims does not show does not hold. */
static void test_memory_holm(void)
{
    DuetFinding page[3];

    for (guint i = 0; i < 3; i++)
        duet_finding_init(&page[i]);
    page[0] = try_memory((ClaimsUse){ 100 * MIB, 2 * MIB, 0, 0, "kvm", 3 });
    g_assert_cmpint(page[0].verdict, ==, DUET_FINDING_HOLDS);
    g_assert_nonnull(strstr(page[0].why, "estimators say so; p "));
    g_assert_cmpfloat(page[0].contrast.p_holm, <, 0.05);
    page[0].contrast.p = 0.03;
    page[1].contrast.p = page[2].contrast.p = 0.5;
    duet_claims_judge(page, 3);
    expect(page[0], DUET_FINDING_UNDECIDED, TRUE, "no difference shown (p 0.090)");
}

static DuetFinding try_density(const char *accel, ClaimsReached vm, ClaimsReached container)
{
    DuetClaimsRequest request = { 0 };
    g_auto(DuetClaimTrial) trial = { .request = &request };
    DuetFinding finding;

    trial.density = claims_density_run(accel, vm, container);
    duet_finding_init(&finding);
    duet_claim_apply(claim("density"), &trial, &finding);
    return finding;
}

static void test_density(void)
{
    const ClaimsReached few = { 4, 4, DUET_DENSITY_BOUND_BUDGET },
                        many = { 80, 80, DUET_DENSITY_BOUND_BUDGET };
    const ClaimsReached asked = { 80, 80, DUET_DENSITY_BOUND_MAX },
                        few_asked = { 4, 4, DUET_DENSITY_BOUND_MAX };
    const ClaimsReached one_more = { 5, 5, DUET_DENSITY_BOUND_BUDGET };
    const ClaimsReached hundred = { 100, 100, DUET_DENSITY_BOUND_BUDGET },
                        few_more = { 102, 102, DUET_DENSITY_BOUND_BUDGET },
                        more = { 104, 104, DUET_DENSITY_BOUND_BUDGET };
    const ClaimsReached silent = { 80, 79, DUET_DENSITY_BOUND_BUDGET },
                        none = { 0, 0, DUET_DENSITY_BOUND_FAILURES };
    DuetFinding denser = try_density("kvm", few, many);

    g_assert_cmpfloat(denser.value, ==, 20);
    g_assert_true(isnan(denser.low) && isnan(denser.high));
    g_assert_nonnull(strstr(denser.why, "; one run of each"));
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
    /* 102 over 100 may be 102 over 101, which is 1 % more; 104 are more than 2 %, whatever fits. */
    expect(try_density("kvm", hundred, few_more), DUET_FINDING_UNDECIDED, TRUE, "floor of 2 %");
    expect(try_density("kvm", few_more, hundred), DUET_FINDING_UNDECIDED, TRUE, "floor of 2 %");
    expect(try_density("kvm", hundred, more), DUET_FINDING_HOLDS, TRUE, "104 containers");
    expect(try_density("kvm", more, hundred), DUET_FINDING_FAILS, TRUE, "100 containers");
    expect(try_density("kvm", few, silent), DUET_FINDING_UNDECIDED, FALSE,
        "79 of 80 instances of container");
    expect(try_density("kvm", none, many), DUET_FINDING_UNDECIDED, FALSE, "0 of 0 instances of vm");
}

/* That a start fails, or takes longer than the user would wait, does not say that no more fit. */
static void test_density_no_limit(void)
{
    const ClaimsReached broken = { 6, 6, DUET_DENSITY_BOUND_FAILURES },
                        late = { 6, 6, DUET_DENSITY_BOUND_LATENCY },
                        full = { 6, 6, DUET_DENSITY_BOUND_BUDGET };
    const ClaimsReached asked = { 12, 12, DUET_DENSITY_BOUND_MAX },
                        many_broken = { 12, 12, DUET_DENSITY_BOUND_FAILURES };

    expect(try_density("kvm", broken, asked), DUET_FINDING_UNDECIDED, TRUE,
        "failures is no limit of the host, more might have fit: 12 containers (bound by max)");
    expect(try_density("kvm", late, asked), DUET_FINDING_UNDECIDED, TRUE,
        "start-latency is no limit of the host");
    expect(try_density("kvm", asked, broken), DUET_FINDING_UNDECIDED, TRUE,
        "failures is no limit of the host");
    expect(try_density("kvm", broken, many_broken), DUET_FINDING_UNDECIDED, TRUE, "no limit");
    /* Those that did start fit, whatever became of the next. */
    expect(try_density("kvm", full, many_broken), DUET_FINDING_HOLDS, TRUE, "bound by failures");
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
    g_auto(ClaimsFiles) files = { 0 };
    g_autofree char *text = NULL;

    claims_files_up(&files);
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
    g_auto(ClaimsFiles) files = { 0 };
    g_autofree char *text = NULL;
    g_autofree char *missing = NULL;

    claims_files_up(&files);
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
    g_test_add_func("/claims/memory-holm", test_memory_holm);
    g_test_add_func("/claims/density", test_density);
    g_test_add_func("/claims/density-no-limit", test_density_no_limit);
    g_test_add_func("/claims/kernels", test_kernels);
    g_test_add_func("/claims/processes", test_processes);
    g_test_add_func("/claims/throttle", test_throttle);
    g_test_add_func("/claims/layers", test_layers);
    g_test_add_func("/claims/panic", test_panic);
    g_test_add_func("/claims/needs", test_needs);
    g_test_add_func("/claims/page", test_page);
    g_test_add_func("/claims/refused", test_refused);
    g_test_add_func("/claims/tree", test_tree);
    return g_test_run();
}
