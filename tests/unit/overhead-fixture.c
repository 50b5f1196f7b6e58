/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-fixture.h"

static void add_point(
    DuetRun *run, DuetRandom *random, guint arm, guint block, double value, const char *mode)
{
    DuetOverheadPoint *point =
        duet_overhead_point_new(duet_overhead_arm_test(duet_run_arm(run, arm)));

    run_fixture_add_sample(run, random, arm, block, 1000);
    point->tool = g_strdup("tool-1.0");
    point->mode = g_strdup(mode);
    /* Within 1 %, so that only what was made different differs. */
    point->values[0] = value * (1 + duet_random_below(random, 1000) / 1e5);
    duet_run_sample(run, run->samples->len - 1)->overhead = point;
}

DuetRun *overhead_fixture_run(const char *accel, double slow)
{
    static const char *const tests[] = { "cpu", "syscall" };
    static const char *const kinds[] = { "native", "container", "vm" };
    DuetRun *run = run_fixture_new(5, 10, 0);
    DuetRandom random;

    duet_random_init(&random, 5);
    g_ptr_array_set_size(run->arms, 0);
    duet_plan_free(run->plan);
    run->plan = duet_plan_new(6, 10, 5, 60000, 0.02);
    run->plan->duration_s = 3;
    run->benchmark = &duet_benchmark_overhead;
    for (guint i = 0; i < 6; i++) {
        g_autofree char *name = g_strdup_printf("%s:%s", tests[i / 3], kinds[i % 3]);
        run_fixture_add_arm(run, name, kinds[i % 3], i % 3 == 2 ? accel : NULL);
    }
    for (guint block = 0; block < 10; block++) {
        for (guint arm = 0; arm < 6; arm++) {
            double factor = arm % 3 == 2 ? slow : 1;
            add_point(run, &random, arm, block, arm < 3 ? 1000 / factor : 200 * factor, NULL);
        }
    }
    return run;
}
