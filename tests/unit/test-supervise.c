/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the monitor decides by itself: whether and when a payload is started again, and whether it
 * is well. */
#include "core/health.h"
#include "core/restart.h"
#include "core/state.h"

#include <duet/spec.h>

#include <string.h>

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

static gboolean note(DuetHealth *health, const DuetHealthCheck *check, gint64 ran_us, int code)
{
    return duet_health_note(health, check, ran_us, duet_health_result_new(1, 2, code, "out", 3));
}

static void test_health(void)
{
    const DuetHealthCheck check = {
        .retries = 3, .interval_us = 100, .start_interval_us = 10, .start_period_us = 1000
    };
    DuetHealth *health = duet_health_new();

    g_assert_cmpint(health->status, ==, DUET_HEALTH_STARTING);
    /* what fails at the start does not count */
    for (int i = 0; i < 10; i++)
        g_assert_false(note(health, &check, 999, 1));
    g_assert_cmpint(health->status, ==, DUET_HEALTH_STARTING);
    g_assert_cmpint(health->failing_streak, ==, 0);
    g_assert_cmpint(duet_health_interval(health, &check, 999), ==, 10);
    g_assert_cmpint(duet_health_interval(health, &check, 1000), ==, 100);
    /* until the first success */
    g_assert_false(note(health, &check, 500, 0));
    g_assert_cmpint(health->status, ==, DUET_HEALTH_HEALTHY);
    g_assert_cmpint(duet_health_interval(health, &check, 600), ==, 100);
    g_assert_false(note(health, &check, 600, 1));
    g_assert_false(note(health, &check, 600, DUET_HEALTH_LATE));
    g_assert_cmpint(health->status, ==, DUET_HEALTH_HEALTHY);
    /* a success in between begins anew */
    g_assert_false(note(health, &check, 700, 0));
    g_assert_false(note(health, &check, 2000, 1));
    g_assert_false(note(health, &check, 2000, 1));
    g_assert_true(note(health, &check, 2000, 1));
    g_assert_cmpint(health->status, ==, DUET_HEALTH_UNHEALTHY);
    /* told once */
    g_assert_false(note(health, &check, 2000, 1));
    g_assert_cmpint(health->failing_streak, ==, 4);
    g_assert_false(note(health, &check, 2000, 0));
    g_assert_cmpint(health->status, ==, DUET_HEALTH_HEALTHY);
    g_assert_cmpint(health->failing_streak, ==, 0);
    g_assert_cmpuint(health->log->len, ==, 5);
    duet_health_free(health);
    /* no checks but those that are asked for, in the start period as well */
    const DuetHealthCheck asked = {
        .retries = 1, .start_interval_us = 10, .start_period_us = 1000
    };
    health = duet_health_new();
    g_assert_cmpint(duet_health_interval(health, &asked, 1), ==, 0);
    duet_health_free(health);
}

/* What the monitor tells of it is what clients read. */
static void test_health_text(void)
{
    const DuetHealthCheck check = { .retries = 1 };
    g_autoptr(DuetSpec) spec = duet_spec_new();
    g_autoptr(DuetInfo) info = duet_info_new(NULL);
    g_autofree char *longer = g_strnfill(600, '\'');

    info->health = duet_health_new();
    duet_health_note(
        info->health, &check, 0, duet_health_result_new(7, 9, 3, longer, strlen(longer)));
    g_autofree char *text = duet_info_to_text(info);
    g_autoptr(DuetInfo) copy = duet_info_from_text(text, spec);
    g_assert_cmpint(copy->health->status, ==, DUET_HEALTH_UNHEALTHY);
    g_assert_cmpint(copy->health->failing_streak, ==, 1);
    g_assert_cmpuint(copy->health->log->len, ==, 1);
    const DuetHealthResult *result = copy->health->log->pdata[0];
    g_assert_cmpint(result->began_us, ==, 7);
    g_assert_cmpint(result->ended_us, ==, 9);
    g_assert_cmpint(result->exit_code, ==, 3);
    g_assert_cmpuint(strlen(result->output), ==, 500);
    g_autoptr(DuetInfo) none = duet_info_from_text("{'health-status': <9>}", spec);
    g_assert_null(none->health);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/supervise/restart/due", test_due);
    g_test_add_func("/supervise/restart/delay", test_delay);
    g_test_add_func("/supervise/restart/spec", test_spec);
    g_test_add_func("/supervise/health/states", test_health);
    g_test_add_func("/supervise/health/text", test_health_text);
    return g_test_run();
}
