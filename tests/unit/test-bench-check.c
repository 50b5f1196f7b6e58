/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What makes a run weak. */
#include <glib.h>
#include <string.h>

#include "bench/check.h"
#include "bench/host/environment.h"
#include "bench/notes.h"
#include "run-fixture.h"

static GPtrArray *check(const DuetRun *run)
{
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autoptr(GPtrArray) notes = duet_bench_check_new(run, analysis);
    g_autofree char *text = duet_bench_check_text(run, notes);

    run_fixture_assert_fits(text);
    g_assert_cmpint(strstr(text, "Nothing weak") != NULL, ==, notes->len == 0);
    return g_steal_pointer(&notes);
}

static void test_nothing_weak(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 30);
    g_autoptr(GPtrArray) notes = check(run);

    if (notes->len > 0)
        g_error("weak: %s", ((DuetNote *)g_ptr_array_index(notes, 0))->text);
}

static JsonObject *of_host(DuetRun *run, const char *part)
{
    return json_object_get_object_member(run->host, part);
}
static void interrupted(DuetRun *run)
{
    run->interrupted = TRUE;
}
static void few(DuetRun *run)
{
    g_ptr_array_set_size(run->samples, 18);
}
static void failed(DuetRun *run)
{
    duet_run_sample(run, 5)->status = DUET_SAMPLE_FAILED;
}
static void timed_out(DuetRun *run)
{
    duet_run_sample(run, 5)->status = DUET_SAMPLE_TIMEOUT;
}
static void slow_first(DuetRun *run)
{
    duet_run_sample(run, 0)->marks.ns[DUET_MARK_OUTPUT] += 1000 * MS;
}
static void drift(DuetRun *run)
{
    for (guint i = 0; i < run->samples->len; i++)
        duet_run_sample(run, i)->marks.ns[DUET_MARK_OUTPUT] += i * 10 * MS;
}
/* Ten samples a third slower at the end, and neighbours that are not alike. */
static void short_drift(DuetRun *run)
{
    g_ptr_array_set_size(run->samples, 20);
    run->plan->n = 10;
    for (guint i = 0; i < run->samples->len; i++)
        duet_run_sample(run, i)->marks.ns[DUET_MARK_OUTPUT] += (i * 33 - i / 2 % 2 * 40) * MS;
}
static void waves(DuetRun *run)
{
    for (guint i = 0; i < run->samples->len; i++)
        duet_run_sample(run, i)->marks.ns[DUET_MARK_OUTPUT] += 60 * MS * (i / 12 % 2);
}
static void outliers(DuetRun *run)
{
    for (guint i = 2; i < run->samples->len; i += 12)
        duet_run_sample(run, i)->marks.ns[DUET_MARK_OUTPUT] += 1000 * MS;
}
static void imprecise(DuetRun *run)
{
    for (guint i = 0; i < run->samples->len; i++)
        duet_run_sample(run, i)->marks.ns[DUET_MARK_OUTPUT] += i * 7 % 11 * 200 * MS;
}
static void left_behind(DuetRun *run)
{
    duet_sample_warn(duet_run_sample(run, 4), "left behind: a mount");
}
static void silent(DuetRun *run)
{
    duet_run_sample(run, 4)->marks.ns[DUET_MARK_OUTPUT] = 0;
}
static void quantised(DuetRun *run)
{
    for (guint i = 0; i < run->samples->len; i++) {
        gint64 *ns = duet_run_sample(run, i)->marks.ns;
        gint64 rest = (ns[DUET_MARK_OUTPUT] - ns[DUET_MARK_REQUEST]) % (5 * MS);
        ns[DUET_MARK_OUTPUT] -= rest;
    }
}
static void clock_step(DuetRun *run)
{
    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        gint64 *ns = &duet_run_sample(run, 9)->marks.ns[mark];
        *ns -= *ns > 0 ? 3600000 * MS : 0;
    }
}
static void negative(DuetRun *run)
{
    duet_run_sample(run, 9)->marks.ns[DUET_MARK_OUTPUT] -= 100 * MS;
}
static void left_out(DuetRun *run)
{
    g_ptr_array_remove_index(run->samples, 20);
}
static void last_left_out(DuetRun *run)
{
    g_ptr_array_set_size(run->samples, run->samples->len - 1);
}
static void not_counted(DuetRun *run)
{
    duet_run_sample(run, 20)->discarded = TRUE;
}
static void not_interleaved(DuetRun *run)
{
    for (guint i = 0; i < 30; i++)
        duet_run_sample(run, i)->arm = 0;
    for (guint i = 30; i < 60; i++)
        duet_run_sample(run, i)->arm = 1;
}
static void repeated(DuetRun *run)
{
    DuetRandom random;

    duet_random_init(&random, 1);
    run_fixture_add_sample(run, &random, 0, 30, 2000);
}
static void load(DuetRun *run)
{
    json_object_set_double_member(run->host, "load_1min", 7);
}
static void governor(DuetRun *run)
{
    json_object_set_string_member(of_host(run, "cpu"), "governor", "performance, powersave");
}
static void ksm(DuetRun *run)
{
    json_object_set_int_member(of_host(run, "memory"), "ksm_run", 1);
}
static void swap(DuetRun *run)
{
    json_object_set_int_member(of_host(run, "memory"), "swap_bytes", 1 << 30);
}
static void damon(DuetRun *run)
{
    json_object_set_string_member(of_host(run, "memory"), "damon_reclaim", "Y");
}
static void steal(DuetRun *run)
{
    json_object_set_object_member(run->host, "during_run", run_fixture_object("{\"steal\": 0.2}"));
}
static void swapping(DuetRun *run)
{
    json_object_set_object_member(
        run->host, "during_run", run_fixture_object("{\"swapped_in_bytes\": 4096}"));
}
static void tcg(DuetRun *run)
{
    run_fixture_other_accel(run);
}
static void nested(DuetRun *run)
{
    json_object_set_string_member(of_host(run, "cpu"), "hypervisor", "tcg");
}
static void guest(DuetRun *run)
{
    json_object_set_string_member(of_host(run, "cpu"), "hypervisor", "kvm");
}
static void kernels(DuetRun *run)
{
    json_object_set_string_member(duet_run_arm(run, 0)->driver, "kernel_version", "6.6.6");
}
static void dirty(DuetRun *run)
{
    json_object_set_string_member(run->tool, "commit", "abc-dirty");
}
static void sanitized(DuetRun *run)
{
    json_object_set_string_member(run->tool, "build_flags", "sanitize=address");
}

static void test_weak(void)
{
    static const struct {
        void (*weaken)(DuetRun *run);
        const char *code;
    } rows[] = {
        { interrupted, "interrupted" },
        { few, "few-samples" },
        { failed, "failures" },
        { timed_out, "failures" },
        { slow_first, "slow-first" },
        { drift, "drift" },
        { short_drift, "drift" },
        { waves, "autocorrelated" },
        { outliers, "outliers" },
        { imprecise, "imprecise" },
        { left_behind, "sample-warnings" },
        { silent, "silent" },
        { quantised, "quantised" },
        { clock_step, "clock" },
        { negative, "clock" },
        { left_out, "plan" },
        { last_left_out, "plan" },
        { not_counted, "plan" },
        { not_interleaved, "plan" },
        { repeated, "plan" },
        { load, "host" },
        { governor, "host" },
        { ksm, "host" },
        { swap, "host" },
        { damon, "host" },
        { steal, "host" },
        { swapping, "host" },
        { tcg, "tcg" },
        { nested, "host" },
        { guest, "virtual-host" },
        { kernels, "mixed" },
        { run_fixture_other_image, "mixed" },
        { run_fixture_other_command, "mixed" },
        { dirty, "build" },
        { sanitized, "host" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(DuetRun) run = run_fixture_new(1, 10, 30);
        gboolean found = FALSE;
        rows[i].weaken(run);
        g_autoptr(GPtrArray) notes = check(run);
        for (guint n = 0; n < notes->len; n++)
            found |= g_str_equal(((DuetNote *)g_ptr_array_index(notes, n))->code, rows[i].code);
        if (!found)
            g_error("row %" G_GSIZE_FORMAT ": no '%s'", i, rows[i].code);
    }
}

/* What the run itself warned of is not told twice. */
static void test_told_once(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 30);

    load(run);
    g_ptr_array_extend_and_steal(run->warnings, duet_environment_warnings(run->host, run->tool));
    g_autoptr(GPtrArray) notes = check(run);
    g_assert_cmpuint(notes->len, ==, 1);
}

/* The load that `bench all` finds before each of its benchmarks is for the most part its own. */
static void test_own_load(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 30);

    load(run);
    g_autoptr(GPtrArray) foreign = duet_environment_warnings(run->host, run->tool);
    json_object_set_boolean_member(run->host, DUET_ENVIRONMENT_LOAD_OWN, TRUE);
    g_autoptr(GPtrArray) own = duet_environment_warnings(run->host, run->tool);

    g_assert_null(strstr(g_ptr_array_index(foreign, 0), "the same command"));
    g_assert_nonnull(strstr(g_ptr_array_index(own, 0), "load 7.00 on 8 CPUs (an average of"));
    g_assert_nonnull(strstr(g_ptr_array_index(own, 0), "with what the same command measured"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/check/nothing-weak", test_nothing_weak);
    g_test_add_func("/check/weak", test_weak);
    g_test_add_func("/check/told-once", test_told_once);
    g_test_add_func("/check/own-load", test_own_load);
    return g_test_run();
}
