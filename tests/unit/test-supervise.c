/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the monitor decides by itself: whether and when a payload is started again. */
#include "core/restart.h"

#include <duet/spec.h>

static void test_due(void)
{
    static const struct {
        DuetRestart restart;
        int retries;
        gint64 restarts;
        gboolean failed, due;
    } rows[] = {
        { DUET_RESTART_NO, 0, 0, FALSE, FALSE },
        { DUET_RESTART_NO, 0, 0, TRUE, FALSE },
        { DUET_RESTART_NO, 5, 0, TRUE, FALSE },
        { DUET_RESTART_ALWAYS, 0, 0, FALSE, TRUE },
        { DUET_RESTART_ALWAYS, 0, 1000000, TRUE, TRUE },
        { DUET_RESTART_ON_FAILURE, 0, 0, FALSE, FALSE },
        { DUET_RESTART_ON_FAILURE, 0, 0, TRUE, TRUE },
        { DUET_RESTART_ON_FAILURE, 0, 1000000, TRUE, TRUE },
        { DUET_RESTART_ON_FAILURE, 1, 0, TRUE, TRUE },
        { DUET_RESTART_ON_FAILURE, 1, 0, FALSE, FALSE },
        { DUET_RESTART_ON_FAILURE, 1, 1, TRUE, FALSE },
        { DUET_RESTART_ON_FAILURE, 5, 4, TRUE, TRUE },
        { DUET_RESTART_ON_FAILURE, 5, 5, TRUE, FALSE },
    };
    g_autoptr(DuetSpec) spec = duet_spec_new();

    for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
        spec->restart = rows[i].restart;
        spec->restart_retries = rows[i].retries;
        g_assert_cmpint(duet_restart_due(spec, rows[i].restarts, rows[i].failed), ==, rows[i].due);
    }
}

static void test_delay(void)
{
    static const guint delays[] = { 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200,
        60000, 60000 };
    guint last = 0;

    for (guint i = 0; i < G_N_ELEMENTS(delays); i++) {
        last = duet_restart_delay(last, G_GINT64_CONSTANT(9999999999));
        g_assert_cmpuint(last, ==, delays[i]);
    }
    /* what ran for 10 s is no crash at the start */
    g_assert_cmpuint(duet_restart_delay(last, G_GINT64_CONSTANT(10000000000)), ==, 100);
}

static void test_spec(void)
{
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(GVariant) bare = g_variant_ref_sink(duet_spec_to_variant(spec));

    /* of what was not asked for nothing is written */
    g_assert_null(g_variant_lookup_value(bare, "restart", NULL));
    spec->restart = DUET_RESTART_ON_FAILURE;
    spec->restart_retries = 7;
    g_autoptr(GVariant) variant = g_variant_ref_sink(duet_spec_to_variant(spec));
    g_autoptr(DuetSpec) copy = duet_spec_from_variant(variant, NULL);
    g_assert_cmpint(copy->restart, ==, DUET_RESTART_ON_FAILURE);
    g_assert_cmpint(copy->restart_retries, ==, 7);
    spec->restart = (DuetRestart)7;
    g_autoptr(GVariant) strange = g_variant_ref_sink(duet_spec_to_variant(spec));
    g_assert_null(duet_spec_from_variant(strange, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/supervise/restart/due", test_due);
    g_test_add_func("/supervise/restart/delay", test_delay);
    g_test_add_func("/supervise/restart/spec", test_spec);
    return g_test_run();
}
