/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What makes a run of `bench overhead` weak. */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "bench/notes.h"
#include "overhead-fixture.h"

typedef struct {
    void (*weaken)(DuetOverheadPoint *point, guint block);
    const char *code, *says;
    guint arm;
} Weakness;

static void no_change(DuetOverheadPoint *point, guint block)
{
    (void)point;
    (void)block;
}
static void far_off(DuetOverheadPoint *point, guint block)
{
    point->values[0] *= block % 4 == 2 ? 50 : 1;
}
static void low_first(DuetOverheadPoint *point, guint block)
{
    point->values[0] /= block == 0 ? 3 : 1;
}
static void high_first(DuetOverheadPoint *point, guint block)
{
    point->values[0] *= block == 0 ? 3 : 1;
}
static void spread(DuetOverheadPoint *point, guint block)
{
    point->values[0] *= 1 + block * 7 % 10;
}
static void waves(DuetOverheadPoint *point, guint block)
{
    static const guint heights[] = { 0, 0, 1, 2, 3, 3, 2, 1, 0, 0 };

    point->values[0] *= 1 + heights[block] / 10.0;
}
static void coarse(DuetOverheadPoint *point, guint block)
{
    point->values[0] = (block * 3 % 5 + 1) * 5e6;
}
/* The second value of a test that has two. */
static void second_drifts(DuetOverheadPoint *point, guint block)
{
    point->values[1] = 1000 + 100 * block;
}
static void second_few(DuetOverheadPoint *point, guint block)
{
    point->values[1] = block < 8 ? 1000 + block : NAN;
}

/* What each series of values has against it, whichever test, kind and value it is of. */
static void test_series(void)
{
    static const Weakness rows[] = {
        { no_change, NULL, NULL, 0 },
        { far_off, "outliers", "cpu:container: 2 of 10 samples", 1 },
        { low_first, "slow-first", "cpu:vm: the first", 2 },
        { high_first, "slow-first", "syscall:native: the first", 3 },
        { spread, "imprecise", "cpu:native: its median", 0 },
        { waves, "autocorrelated", "syscall:vm: neighbouring", 5 },
        { coarse, "quantised", "syscall:native: all times", 3 },
        { second_drifts, "drift", "disk-read:vm latency_mean_ns: drifts", 2 },
        { second_few, "few-samples", "disk-read:vm latency_mean_ns: 8 good", 2 },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1);
        const char *named = rows[i].says ? strstr(rows[i].says, "disk-read") : NULL;
        for (guint k = 0; k < run->samples->len; k++) {
            DuetSample *sample = duet_run_sample(run, k);
            if (named && sample->arm < 3)
                sample->overhead->test = duet_overhead_test_find("disk-read");
            if (sample->arm == rows[i].arm)
                rows[i].weaken(sample->overhead, sample->block);
        }
        for (guint arm = 0; named && arm < 3; arm++) {
            DuetRunArm *of = duet_run_arm(run, arm);
            g_free(of->name);
            of->name = g_strdup_printf("disk-read:%s", of->kind);
        }
        g_autoptr(GPtrArray) notes = run->benchmark->check(run);
        g_autoptr(GString) all = g_string_new(NULL);
        for (guint n = 0; n < notes->len; n++) {
            const DuetNote *note = g_ptr_array_index(notes, n);
            /* Made-up samples are in no order of chance. */
            if (!g_str_equal(note->code, "plan"))
                g_string_append_printf(all, "%s %s\n", note->code, note->text);
        }
        g_autofree char *wanted =
            rows[i].code ? g_strdup_printf("%s %s", rows[i].code, rows[i].says) : NULL;
        if (wanted ? !strstr(all->str, wanted) : all->len > 0)
            g_error("row %" G_GSIZE_FORMAT ": %s", i, all->str);
    }
}

/* Of a rate a first value that is high is no slow one. */
static void test_fast_first(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1);

    for (guint i = 0; i < run->samples->len; i++)
        high_first(duet_run_sample(run, i)->overhead, duet_run_sample(run, i)->block);
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);
    for (guint arm = 0; arm < 6; arm++)
        g_assert_cmpint(analysis->arms[arm].summary[0].slow_first, ==, arm >= 3);
}

static void all_tests_commands(DuetRun *run)
{
    for (guint arm = 0; arm < run->arms->len; arm++) {
        DuetRunArm *of = duet_run_arm(run, arm);
        g_strfreev(of->argv);
        of->argv = duet_overhead_test_argv(duet_overhead_arm_test(of), 3, 1 << 20, 1 << 20);
    }
}
static void longer(DuetRun *run)
{
    DuetRunArm *of = duet_run_arm(run, 4);

    all_tests_commands(run);
    g_free(of->argv[4]);
    of->argv[4] = g_strdup("4");
}
static void other_qemu(DuetRun *run)
{
    json_object_set_string_member(duet_run_arm(run, 5)->driver, "qemu_version", "9.9.9");
}
static void other_accel(DuetRun *run)
{
    json_object_set_string_member(duet_run_arm(run, 5)->driver, "accel", "tcg");
}
static void other_image(DuetRun *run)
{
    g_free(duet_run_arm(run, 4)->image_digest);
    duet_run_arm(run, 4)->image_digest = g_strdup("sha256:other");
}

/* Each test has a command of its own, which its arms share; the rest is that of all arms. */
static void test_mixed(void)
{
    static const struct {
        void (*change)(DuetRun *run);
        const char *what;
    } rows[] = {
        { all_tests_commands, NULL },
        { longer, "arms differ in command" },
        { other_qemu, "arms differ in qemu_version" },
        { other_accel, "arms differ in accel" },
        { other_image, "arms differ in image" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1);
        rows[i].change(run);
        g_autoptr(GPtrArray) notes = run->benchmark->check(run);
        guint told = 0;
        for (guint n = 0; n < notes->len; n++) {
            const DuetNote *note = g_ptr_array_index(notes, n);
            if (!g_str_equal(note->code, "mixed"))
                continue;
            g_test_message("%s", note->text);
            g_assert_true(rows[i].what && g_str_has_prefix(note->text, rows[i].what));
            told++;
        }
        g_assert_cmpuint(told, ==, rows[i].what ? 1 : 0);
    }
}

/* A guest's other kernel is told once, not by each test and not by two codes. */
static void test_kernels(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1);
    guint told = 0;

    for (guint arm = 2; arm < 6; arm += 3)
        json_object_set_string_member(duet_run_arm(run, arm)->driver, "kernel_version", "6.12.0");
    g_autoptr(GPtrArray) notes = run->benchmark->check(run);
    for (guint n = 0; n < notes->len; n++)
        told += strstr(((DuetNote *)g_ptr_array_index(notes, n))->text, "6.12.0") != NULL;
    g_assert_cmpuint(told, ==, 1);
}

static void test_clock(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1);

    duet_run_sample(run, 9)->marks.ns[DUET_MARK_OUTPUT] =
        duet_run_sample(run, 9)->marks.ns[DUET_MARK_REQUEST] - 1;
    g_autoptr(GPtrArray) notes = run->benchmark->check(run);
    g_assert_true(run_fixture_has_note(notes, "clock"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/overhead-check/series", test_series);
    g_test_add_func("/overhead-check/fast-first", test_fast_first);
    g_test_add_func("/overhead-check/mixed", test_mixed);
    g_test_add_func("/overhead-check/kernels", test_kernels);
    g_test_add_func("/overhead-check/clock", test_clock);
    return g_test_run();
}
