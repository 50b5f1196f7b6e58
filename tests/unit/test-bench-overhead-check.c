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

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/overhead-check/series", test_series);
    g_test_add_func("/overhead-check/fast-first", test_fast_first);
    return g_test_run();
}
