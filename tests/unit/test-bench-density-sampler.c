/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order in which `bench density` does things, and what is left of what was cut short. */
#include <glib.h>
#include <string.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/density/density-analysis.h"
#include "bench/density/density-sampler.h"
#include "bench/notes.h"
#include "run-fixture.h"

#define GIB ((guint64)1 << 30)

/* Arms whose instances are numbers. The two arms of a run are measured in their order.
 * @sampler: first: crowds are asked for of it
 * @hopeless: of this arm no instance can start
 * @broken: of this arm nothing comes after the warm-up
 * @seen: what happened, a letter each: W and w warm-ups of the arms, S and s starts */
typedef struct {
    DuetDensitySampler sampler;
    DuetBenchRequest request;
    DuetRun *run;
    int hopeless;
    int broken;
    GString *seen;
} Lab;

typedef struct {
    DuetDensityCrowd crowd;
    Lab *lab;
    guint arm;
    gboolean warm_up;
} Numbers;

static gboolean start(
    DuetDensityCrowd *crowd, DuetRun *run, DuetSample *sample, gint64 *out_ns, GError **error)
{
    const Numbers *numbers = (Numbers *)crowd;
    const char *letters = numbers->warm_up ? "Ww" : "Ss";

    (void)run;
    g_string_append_c(numbers->lab->seen, letters[numbers->arm]);
    if ((int)numbers->arm == numbers->lab->hopeless) {
        g_set_error_literal(
            error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND, "there is no such command");
        return FALSE;
    }
    crowd->count++;
    sample->marks.ns[DUET_MARK_REQUEST] = 1000 * MS;
    sample->marks.ns[DUET_MARK_EXEC] = 1005 * MS;
    *out_ns = 5 * MS;
    return TRUE;
}

static void drop_failed(DuetDensityCrowd *crowd, DuetSample *sample)
{
    (void)crowd;
    (void)sample;
}

static char *find_ended(DuetDensityCrowd *crowd, gboolean *out_oom)
{
    (void)crowd;
    *out_oom = FALSE;
    return NULL;
}

static guint64 used_bytes(DuetDensityCrowd *crowd)
{
    return crowd->count;
}

static void read_memory(DuetDensityCrowd *crowd, DuetMemoryPoint *point)
{
    for (guint i = 0; i < crowd->count; i++) {
        DuetInstanceMemory one = { .age_ns = MS, .memory = { .payload_pss_bytes = 1 } };
        g_array_append_val(point->instances, one);
    }
}

static void ask(DuetDensityCrowd *crowd, guint timeout_ms, DuetDensityAnswer *out_answers)
{
    (void)timeout_ms;
    for (guint i = 0; i < crowd->count; i++)
        out_answers[i] = DUET_DENSITY_ANSWERED;
}

static void clear(DuetDensityCrowd *crowd, GPtrArray *warnings)
{
    duet_group_clear(&crowd->group, warnings);
}

static const DuetDensityCrowdOps ops = {
    .start = start,
    .drop_failed = drop_failed,
    .find_ended = find_ended,
    .used_bytes = used_bytes,
    .read_memory = read_memory,
    .ask = ask,
    .clear = clear,
};

static gboolean read_memory_of_host(DuetHostMemory *out_memory, GError **error)
{
    (void)error;
    *out_memory = (DuetHostMemory){
        .at_ns = duet_now_ns(), .total_bytes = 16 * GIB, .available_bytes = 12 * GIB
    };
    return TRUE;
}

static gboolean read_host(DuetDensityHost *out_host, GError **error)
{
    *out_host = (DuetDensityHost){ .has_pressure = TRUE };
    return read_memory_of_host(&out_host->memory, error);
}

static DuetDensityCrowd *new_crowd(
    DuetDensitySampler *sampler, guint arm, guint64 budget_bytes, GError **error)
{
    Lab *lab = (Lab *)sampler;

    if (budget_bytes > 0 && (int)arm == lab->broken) {
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, "the host is broken");
        return NULL;
    }
    Numbers *numbers = g_new0(Numbers, 1);
    *numbers =
        (Numbers){ .crowd = { .ops = &ops }, .lab = lab, .arm = arm, .warm_up = budget_bytes == 0 };
    duet_group_init(&numbers->crowd.group, NULL, NULL);
    numbers->crowd.group.read_host = read_memory_of_host;
    return &numbers->crowd;
}

static void lab_up(Lab *lab, gconstpointer data)
{
    DuetDensityLimits limits = { .max = 2, .budget_bytes = GIB, .time_limit_ns = 60000 * MS };

    (void)data;
    lab->run = duet_run_new(&duet_benchmark_density, duet_plan_new_density(2, &limits, 1, 1));
    lab->run->plan->order[0] = 0;
    lab->run->plan->order[1] = 1;
    run_fixture_add_arm(lab->run, "container", "container", NULL);
    run_fixture_add_arm(lab->run, "vm", "vm", "kvm");
    lab->hopeless = lab->broken = -1;
    lab->seen = g_string_new(NULL);
    duet_density_sampler_init(&lab->sampler, &lab->request, lab->run);
    lab->sampler.read_host = read_host;
    lab->sampler.new_crowd = new_crowd;
}

static void lab_down(Lab *lab, gconstpointer data)
{
    (void)data;
    duet_density_sampler_clear(&lab->sampler);
    duet_run_free(lab->run);
    g_string_free(lab->seen, TRUE);
}

static const DuetDensityOutcome *outcome_of(const Lab *lab, guint arm)
{
    return g_ptr_array_index(lab->run->density, arm);
}

static void test_order(Lab *lab, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    (void)data;
    g_assert_true(duet_density_sampler_run(&lab->sampler, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(lab->seen->str, ==, "WwSSss");
    for (guint arm = 0; arm < 2; arm++) {
        g_assert_cmpint(outcome_of(lab, arm)->bound, ==, DUET_DENSITY_BOUND_MAX);
        g_assert_cmpuint(outcome_of(lab, arm)->answered, ==, 2);
    }
}

/* That of the second arm can't start shows before the first takes its time. */
static void test_hopeless(Lab *lab, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    (void)data;
    lab->hopeless = 1;
    g_assert_false(duet_density_sampler_run(&lab->sampler, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND);
    g_assert_nonnull(strstr(error->message, "cannot measure 'vm'"));
    g_assert_cmpstr(lab->seen->str, ==, "Ww");
}

/* What fails in an arm is told, and the other is there, whichever comes first. */
static void test_broken(Lab *lab, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    guint broken = GPOINTER_TO_UINT(data), good = 1 - broken;

    lab->broken = (int)broken;
    g_assert_true(duet_density_sampler_run(&lab->sampler, &error));
    g_assert_no_error(error);
    g_assert_cmpuint(outcome_of(lab, good)->reached, ==, 2);
    g_assert_cmpint(outcome_of(lab, broken)->bound, ==, DUET_DENSITY_BOUND_NONE);
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(lab->run);
    g_autofree char *table = duet_density_table(lab->run, analysis);
    g_assert_nonnull(strstr(table, "2 at the same time"));
    g_assert_nonnull(strstr(table, "not measured"));
    g_assert_nonnull(strstr(table, "the host is broken"));
    g_assert_true(duet_density_analysis_bad_arm(analysis));
    run_fixture_assert_fits(table);
}

static void test_all_broken(Lab *lab, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    (void)data;
    lab->broken = 0;
    lab->run->plan->order[1] = 0;
    g_assert_false(duet_density_sampler_run(&lab->sampler, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_FAILED);
}

#define ADD(name, data, test) g_test_add(name, Lab, data, lab_up, test, lab_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/density-sampler/order", NULL, test_order);
    ADD("/density-sampler/hopeless", NULL, test_hopeless);
    ADD("/density-sampler/broken-first", GUINT_TO_POINTER(0), test_broken);
    ADD("/density-sampler/broken-second", GUINT_TO_POINTER(1), test_broken);
    ADD("/density-sampler/all-broken", NULL, test_all_broken);
    return g_test_run();
}
