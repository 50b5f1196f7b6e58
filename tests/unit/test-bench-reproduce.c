/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `bench reproduce` makes of published figures beside made-up results. */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "bench/claims/claim.h"
#include "bench/claims/published.h"
#include "claims-fixture.h"
#include "run-fixture.h"

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
    DuetRun *run = claims_boot_run(300, 10);

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

/* Two engines whose guests were told their size, if @mib is not 0; the first takes 6 times as long.
 */
static DuetRun *engines_run(const char *second, guint64 mib, gint64 cpus)
{
    DuetRun *run = peers_run(300);

    rename_arm(run, 2, "qemu");
    rename_arm(run, 4, second);
    for (guint i = 2; i <= 4 && mib > 0; i += 2) {
        JsonObject *driver = duet_run_arm(run, i)->driver = json_object_new();
        json_object_set_int_member(driver, DUET_RUN_PEER_GUEST_MEMORY, (gint64)(mib * MIB));
        json_object_set_int_member(driver, DUET_RUN_PEER_GUEST_CPUS, cpus);
    }
    return run;
}

static void test_engines(void)
{
    const DuetReproductionVerdict no = DUET_REPRODUCTION_NOT_COMPARABLE;
    DuetRun *half = engines_run("cloud-hypervisor", 256, 1);

    reproduce("nsdi-cloud-hypervisor", engines_run("cloud-hypervisor", 256, 1),
        DUET_REPRODUCTION_WITHIN, 3, NULL);
    reproduce("nsdi-firecracker", engines_run("firecracker", 256, 1), no, NAN, "timed by itself");
    reproduce("nsdi-cloud-hypervisor", engines_run("cloud-hypervisor", 128, 1), no, 3,
        "another guest size: 128 MiB and 1 CPUs, not 256 MiB and 1");
    reproduce("nsdi-cloud-hypervisor", engines_run("cloud-hypervisor", 256, 2), no, 3,
        "256 MiB and 2 CPUs");
    reproduce("nsdi-cloud-hypervisor", engines_run("cloud-hypervisor", 0, 0), no, 3,
        "size of the guests of qemu");
    json_object_remove_member(duet_run_arm(half, 4)->driver, DUET_RUN_PEER_GUEST_CPUS);
    reproduce("nsdi-cloud-hypervisor", half, no, 3, "size of the guests of cloud-hypervisor");
    /* Whatever was measured: of another thing. */
    const ClaimsUse use = { 50 * MIB, 2 * MIB, 0, 0, "kvm", 3 };
    reproduce("nsdi-memory", claims_memory_run(&use), no, NAN, "beside its guest's RAM");
}

/* The first arm takes 2 s, the second this: 6.69 times as long was published. */
static void test_reproduced(void)
{
    reproduce("idlab-start", claims_boot_run(300, 10), DUET_REPRODUCTION_WITHIN, 6.67, NULL);
    reproduce("idlab-start", claims_boot_run(20, 10), DUET_REPRODUCTION_DIRECTION, 100, NULL);
    reproduce("idlab-start", claims_boot_run(4000, 10), DUET_REPRODUCTION_CONTRARY, 0.5, NULL);
    reproduce("idlab-start", claims_boot_run(2000, 10), DUET_REPRODUCTION_NOT_SHOWN, 1, NULL);
    /* Smaller than any run may call a difference, however narrow the interval. */
    DuetRun *close = claims_boot_run(1985, 10);
    for (guint i = 0; i < close->samples->len; i++) {
        DuetSample *sample = duet_run_sample(close, i);
        sample->marks.ns[DUET_MARK_OUTPUT] = sample->marks.ns[DUET_MARK_REQUEST] +
            (sample->arm == 0 ? 2000 : 1985) * MS + sample->block * 1000;
    }
    reproduce("idlab-start", close, DUET_REPRODUCTION_NOT_SHOWN, 1.008, NULL);
    const ClaimsUse alike = { 50 * MIB, 2 * MIB, 0, 0, "kvm", 3 },
                    far = { 500 * MIB, 2 * MIB, 0, 0, "kvm", 3 };
    reproduce("idlab-memory", claims_memory_run(&alike), DUET_REPRODUCTION_WITHIN, 25, NULL);
    reproduce("idlab-memory", claims_memory_run(&far), DUET_REPRODUCTION_DIRECTION, 250, NULL);
    reproduce("idlab-start", peers_run(300), DUET_REPRODUCTION_WITHIN, 6, NULL);
    reproduce("crun", peers_run(300), DUET_REPRODUCTION_WITHIN, 3, NULL);
    /* Of the sizes that the source's guests had. */
    DuetRun *nsdi = claims_boot_run(1000, 10);
    rename_arm(nsdi, 0, "qemu");
    rename_arm(nsdi, 1, "cloud-hypervisor");
    reproduce("nsdi-cloud-hypervisor", nsdi, DUET_REPRODUCTION_WITHIN, 2, NULL);
}

/* The figures themselves, as `bench import` has them. */
static void test_imported(void)
{
    DuetRun *run = claims_boot_run(1757, 10);

    duet_plan_set_mode(run->plan, DUET_PLAN_IMPORTED);
    for (guint i = 0; i < 2; i++) {
        g_free(duet_run_arm(run, i)->kind);
        duet_run_arm(run, i)->kind = g_strdup("imported");
        g_clear_pointer(&duet_run_arm(run, i)->driver, json_object_unref);
    }
    for (guint i = 0; i < run->samples->len; i++)
        duet_run_sample(run, i)->marks.ns[DUET_MARK_RELEASED] = 0;
    rename_arm(run, 0, "qemu");
    rename_arm(run, 1, "qemu-qboot");
    reproduce("nsdi-qboot", run, DUET_REPRODUCTION_WITHIN, 1.138, NULL);
}

static void test_not_comparable(void)
{
    const DuetReproductionVerdict no = DUET_REPRODUCTION_NOT_COMPARABLE;
    DuetRun *tcg = claims_boot_run(300, 10), *nested = claims_boot_run(300, 10),
            *failed = claims_boot_run(300, 10);
    DuetRun *large = claims_boot_run(1000, 10), *smp = claims_boot_run(1000, 10),
            *kind = claims_boot_run(300, 10);
    DuetRun *cut = claims_boot_run(300, 10), *image = claims_boot_run(300, 10),
            *command = claims_boot_run(300, 10);
    const ClaimsUse few = { 50 * MIB, 2 * MIB, 0, 0, "kvm", 1 };

    run_fixture_other_accel(tcg);
    /* What is told beside it is no less true. */
    reproduce("idlab-start", tcg, no, 6.67, "no KVM");
    json_object_set_string_member(
        json_object_get_object_member(nested->host, "cpu"), "hypervisor", "tcg");
    reproduce("idlab-start", nested, no, NAN, "nested");
    cut->interrupted = TRUE;
    reproduce("idlab-start", cut, no, 6.67, "interrupted");
    run_fixture_other_image(image);
    reproduce("idlab-start", image, no, 6.67, "ran different images");
    run_fixture_other_command(command);
    reproduce("idlab-start", command, no, 6.67, "ran different commands");
    duet_run_sample(failed, 2)->status = DUET_SAMPLE_TIMEOUT;
    reproduce("idlab-start", failed, no, 6.67, "samples of vm failed");
    /* And what failed is not in it: most VMs, which took ten times as long. */
    DuetRun *slow = claims_boot_run(300, 10);
    for (guint block = 0; block < 6; block++) {
        DuetSample *sample = duet_run_sample(slow, 2 * block);
        sample->status = block % 2 == 0 ? DUET_SAMPLE_FAILED : DUET_SAMPLE_TIMEOUT;
        sample->marks.ns[DUET_MARK_OUTPUT] += 18000 * MS;
    }
    reproduce("idlab-start", slow, no, 6.67, "samples of vm failed");
    reproduce("idlab-start", claims_boot_run(300, 9), no, 6.67, "too few samples: 9");
    run_fixture_other_kind(kind);
    reproduce("idlab-start", kind, no, NAN, "neither kata and runc nor vm and container");
    reproduce("idlab-start", NULL, no, NAN, "no result of `duet bench boot`");
    reproduce(
        "idlab-memory", claims_boot_run(300, 10), no, NAN, "no result of `duet bench memory`");
    reproduce("idlab-memory", claims_memory_run(&few), no, 25, "too few samples");
    reproduce("crun", claims_boot_run(300, 10), no, NAN, "has not both runc and crun");
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

static void test_density(void)
{
    const DuetReproductionVerdict no = DUET_REPRODUCTION_NOT_COMPARABLE;
    const ClaimsReached few = { 4, 4, DUET_DENSITY_BOUND_BUDGET };
    const ClaimsReached five = { 5, 5, DUET_DENSITY_BOUND_BUDGET };
    const ClaimsReached many = { 56, 56, DUET_DENSITY_BOUND_TASKS };
    const ClaimsReached most = { 900, 900, DUET_DENSITY_BOUND_BUDGET };
    const ClaimsReached asked = { 56, 56, DUET_DENSITY_BOUND_MAX };
    const ClaimsReached broken = { 4, 4, DUET_DENSITY_BOUND_FAILURES };
    const ClaimsReached late = { 56, 56, DUET_DENSITY_BOUND_LATENCY };
    const ClaimsReached lost = { 56, 50, DUET_DENSITY_BOUND_BUDGET };
    const char *id = "canonical-density";

    reproduce(id, claims_density_run("kvm", few, many), DUET_REPRODUCTION_WITHIN, 14, NULL);
    reproduce(id, claims_density_run("kvm", few, most), DUET_REPRODUCTION_DIRECTION, 225, NULL);
    reproduce(id, claims_density_run("kvm", many, few), DUET_REPRODUCTION_CONTRARY, 4 / 56.0, NULL);
    reproduce(id, claims_density_run("kvm", few, five), DUET_REPRODUCTION_NOT_SHOWN, 1.25, NULL);
    reproduce(id, claims_density_run("kvm", few, asked), no, 14, "container was ended by max");
    reproduce(id, claims_density_run("kvm", broken, many), no, 14, "vm was ended by failures");
    reproduce(id, claims_density_run("kvm", few, late), no, 14, "ended by start-latency");
    reproduce(id, claims_density_run("kvm", few, lost), no, NAN, "50 of 56 instances of container");
    reproduce(id, claims_density_run("tcg", few, many), no, 14, "no KVM");
}

/* One run of each has no interval, in no view; what the numbers rule out is called that. */
static void test_density_view(void)
{
    const ClaimsReached few = { 4, 4, DUET_DENSITY_BOUND_BUDGET };
    const ClaimsReached many = { 56, 56, DUET_DENSITY_BOUND_TASKS };
    g_autoptr(DuetRun) run = claims_density_run("kvm", few, many);
    g_autoptr(GPtrArray) runs = g_ptr_array_new();
    g_auto(DuetReproduction) seen = { 0 };

    g_ptr_array_add(runs, run);
    duet_reproduce(published("canonical-density"), runs, &seen);
    for (guint format = 0; format < 3; format++) {
        g_autofree char *page =
            duet_reproduction_show(published("canonical-density"), &seen, format);
        g_assert_null(strstr(page, "95 %"));
        if (format != 1)
            g_assert_nonnull(strstr(page, "14.0 (one run of each; by the numbers reached 11.2"));
    }
    g_autofree char *json = duet_reproduction_show(published("canonical-density"), &seen, 1);
    g_autoptr(JsonObject) object = run_fixture_object(json);
    g_assert_true(json_object_get_null_member(object, "our_ratio_low"));
    g_assert_true(json_object_get_null_member(object, "our_ratio_high"));
    g_assert_cmpfloat(json_object_get_double_member(object, "our_ratio_reached_low"), ==, 56 / 5.0);
    g_assert_cmpfloat(
        json_object_get_double_member(object, "our_ratio_reached_high"), ==, 57 / 4.0);
}

static void test_reproduce_page(void)
{
    g_auto(ClaimsFiles) files = { 0 };
    g_autofree char *list = NULL, *text = NULL;
    g_autoptr(GError) none = NULL, unknown = NULL, twice = NULL;

    claims_files_up(&files);
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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/reproduce/reproduced", test_reproduced);
    g_test_add_func("/reproduce/imported", test_imported);
    g_test_add_func("/reproduce/not-comparable", test_not_comparable);
    g_test_add_func("/reproduce/engines", test_engines);
    g_test_add_func("/reproduce/density", test_density);
    g_test_add_func("/reproduce/density-view", test_density_view);
    g_test_add_func("/reproduce/page", test_reproduce_page);
    return g_test_run();
}
