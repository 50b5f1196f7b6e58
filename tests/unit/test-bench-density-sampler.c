/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order in which `bench density` does things, and what is left of what was cut short. */
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/density/density-analysis.h"
#include "bench/density/density-sampler.h"
#include "bench/result/result.h"
#include "run-fixture.h"

#define GIB ((guint64)1 << 30)

/* Arms whose instances are numbers. The two arms of a run are measured in their order.
 * @sampler: first: crowds are asked for of it
 * @hopeless: of this arm no instance can start
 * @broken: of this arm nothing comes after the warm-up
 * @read_memory: of the host, while nothing starts
 * @before: (nullable): called before a start
 * @at: of the start after so many
 * @seen: what happened, a letter each: W and w warm-ups of the arms, S and s starts */
typedef struct {
    DuetDensitySampler sampler;
    DuetBenchRequest request;
    DuetRun *run;
    int hopeless;
    int broken;
    gboolean (*read_memory)(DuetHostMemory *out_memory, GError **error);
    void (*before)(void);
    gsize at;
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
    if (numbers->lab->before && numbers->lab->at == numbers->lab->seen->len)
        numbers->lab->before();
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
    numbers->crowd.group.read_host = lab->read_memory;
    return &numbers->crowd;
}

static DuetRun *new_run(void)
{
    DuetDensityLimits limits = { .max = 2, .budget_bytes = GIB, .time_limit_ns = 60000 * MS };
    DuetRun *run = duet_run_new(&duet_benchmark_density, duet_plan_new_density(2, &limits, 1, 1));

    run->plan->order[0] = 0;
    run->plan->order[1] = 1;
    run_fixture_add_arm(run, "container", "container", NULL);
    run_fixture_add_arm(run, "vm", "vm", "kvm");
    return run;
}

static void lab_up(Lab *lab, gconstpointer data)
{
    (void)data;
    lab->run = new_run();
    lab->hopeless = lab->broken = -1;
    lab->read_memory = read_memory_of_host;
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

static void collect(const char *line, gpointer data)
{
    g_string_append_printf(data, "%s\n", line ? line : "end");
}

/* What people watch: how far it is, and how long it still takes where that is known. */
static void test_progress(Lab *lab, gconstpointer data)
{
    g_autoptr(GString) lines = g_string_new(NULL);

    (void)data;
    lab->request.progress = collect;
    lab->request.progress_data = lines;
    g_assert_true(duet_density_sampler_run(&lab->sampler, NULL));
    static const char *const expected =
        "^warm-up: container\nwarm-up: vm\n"
        "container: 0 running, \\d s gone, at most \\d+ s left\n"
        "container: 1 running, 1 B of 1.0 GiB, \\d s gone, about \\d s left\n"
        "container: 2 running, 2 B of 1.0 GiB, \\d s gone, about 0 s left\n"
        "vm: 0 running, \\d s gone, at most \\d+ s left\n"
        "vm: 1 running, 1 B of 1.0 GiB, \\d s gone, about \\d s left\n"
        "vm: 2 running, 2 B of 1.0 GiB, \\d s gone, about 0 s left\nend\n$";
    if (!g_regex_match_simple(expected, lines->str, 0, 0))
        g_error("not as expected: %s", lines->str);
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

static gboolean read_memory_of_full_host(DuetHostMemory *out_memory, GError **error)
{
    read_memory_of_host(out_memory, error);
    out_memory->available_bytes = GIB;
    return TRUE;
}

static gboolean read_memory_of_no_host(DuetHostMemory *out_memory, GError **error)
{
    (void)out_memory;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, "there is no /proc");
    return FALSE;
}

/* Where there is no room for the first, the reading is told as well. */
static void test_full_host(Lab *lab, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    (void)data;
    lab->read_memory = read_memory_of_full_host;
    g_assert_true(duet_density_sampler_run(&lab->sampler, &error));
    g_assert_no_error(error);
    g_assert_cmpstr(lab->seen->str, ==, "Ww");
    for (guint arm = 0; arm < 2; arm++) {
        g_assert_cmpint(outcome_of(lab, arm)->bound, ==, DUET_DENSITY_BOUND_HOST_MEMORY);
        g_assert_nonnull(strstr(outcome_of(lab, arm)->detail, "1.0 GiB"));
        g_assert_nonnull(strstr(outcome_of(lab, arm)->detail, "must keep 2.0 GiB"));
    }
}

/* What can't be read is not full. */
static void test_no_host(Lab *lab, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    (void)data;
    lab->read_memory = read_memory_of_no_host;
    g_assert_false(duet_density_sampler_run(&lab->sampler, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_FAILED);
    g_assert_nonnull(strstr(error->message, "no /proc"));
}

/* ---- what a kill leaves ---- */

/* A lab whose result goes into a folder of its own. */
typedef struct {
    Lab lab;
    char *folder, *result, *part;
} Place;

static void place_up(Place *place, gconstpointer data)
{
    lab_up(&place->lab, data);
    place->folder = g_dir_make_tmp("duet-density-XXXXXX", NULL);
    place->result = g_build_filename(place->folder, "run.json", NULL);
    place->part = g_strconcat(place->result, ".part", NULL);
    place->lab.request.output_path = place->result;
}

static void place_down(Place *place, gconstpointer data)
{
    lab_down(&place->lab, data);
    g_unlink(place->part);
    g_assert_cmpint(g_rmdir(place->folder), ==, 0);
    g_free(place->folder);
    g_free(place->result);
    g_free(place->part);
}

/* With a journal, as the job does. */
static void measure(Lab *lab)
{
    g_autoptr(DuetJournal) journal = NULL;
    g_autoptr(GError) error = NULL;

    duet_journal_open(&lab->request, &lab->run, &journal, &error);
    g_assert_no_error(error);
    lab->sampler.run = lab->run;
    lab->sampler.journal = journal;
    duet_density_sampler_run(&lab->sampler, &error);
    g_assert_no_error(error);
}

/* In a child: something happens to it before the start after @at others. Returns: how it ended. */
static int measure_until(Lab *lab, gsize at, void (*before)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        lab->before = before;
        lab->at = at;
        measure(lab);
        _exit(lab->run->warnings->len == 0 ? 0 : 10);
    }
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
}

static DuetRun *load_part(const Place *place)
{
    g_autoptr(GError) error = NULL;
    DuetRun *run = duet_result_load(place->part, &error);

    g_assert_no_error(error);
    return run;
}

static void assert_measured(const DuetDensityOutcome *outcome)
{
    g_assert_cmpint(outcome->bound, ==, DUET_DENSITY_BOUND_MAX);
    g_assert_cmpuint(outcome->reached, ==, 2);
    g_assert_cmpuint(outcome->answered, ==, 2);
    g_assert_cmpuint(outcome->memory->instances->len, ==, 2);
}

/* Killed in the second arm's second start: the first arm is whole, the second was cut. */
static void test_part(Place *place, gconstpointer data)
{
    (void)data;
    int status = measure_until(&place->lab, strlen("WwSSs"), die);
    g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    g_autoptr(DuetRun) run = load_part(place);
    g_assert_true(run->interrupted);
    g_assert_cmpuint(run->samples->len, ==, 5);
    assert_measured(run->density->pdata[0]);
    const DuetDensityOutcome *cut = run->density->pdata[1];
    g_assert_cmpint(cut->bound, ==, DUET_DENSITY_BOUND_INTERRUPTED);
    g_assert_cmpuint(cut->reached, ==, 1);
    g_assert_cmpuint(cut->memory->before.available_bytes, ==, 12 * GIB);
    g_autoptr(DuetDensityAnalysis) analysis = duet_density_analysis_new(run);
    g_autofree char *table = duet_density_table(run, analysis);
    g_assert_nonnull(strstr(table, "2 of 2 at the end"));
    g_assert_nonnull(strstr(table, "bound by   interrupted"));
    g_assert_nonnull(strstr(table, "not asked: it was cut short before"));
}

/* Nothing of the arm that was cut counts any more; of the other no start is taken again. */
static void test_resume(Place *place, gconstpointer data)
{
    Lab *lab = &place->lab;

    (void)data;
    measure_until(lab, strlen("WwSSs"), die);
    lab->request.resume = TRUE;
    measure(lab);
    g_assert_cmpstr(lab->seen->str, ==, "wss");
    assert_measured(outcome_of(lab, 0));
    assert_measured(outcome_of(lab, 1));
    g_assert_cmpuint(lab->run->samples->len, ==, 5 + 3);
    g_assert_cmpuint(duet_run_taken(lab->run), ==, 4);
    g_assert_true(duet_run_sample(lab->run, 4)->discarded);
    g_assert_false(lab->run->interrupted);
    const char *warning = g_ptr_array_index(lab->run->warnings, lab->run->warnings->len - 1);
    g_assert_cmpstr(warning, ==, "it was cut short and resumed after 1 of 2 arms");
    /* The journal has all of it by now. */
    g_autoptr(DuetRun) run = load_part(place);
    g_assert_cmpuint(run->samples->len, ==, 8);
    assert_measured(run->density->pdata[1]);
}

static void fill_disk(void)
{
    struct rlimit none = { 1, 1 };

    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &none);
}

/* What can't be kept is measured all the same. */
static void test_full_disk(Place *place, gconstpointer data)
{
    (void)data;
    int status = measure_until(&place->lab, strlen("WwS"), fill_disk);
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, 10);
    g_autoptr(DuetRun) run = load_part(place);
    g_assert_cmpuint(run->samples->len, ==, 3);
}

#define ADD(name, data, test) g_test_add(name, Lab, data, lab_up, test, lab_down)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/density-sampler/order", NULL, test_order);
    ADD("/density-sampler/progress", NULL, test_progress);
    ADD("/density-sampler/hopeless", NULL, test_hopeless);
    ADD("/density-sampler/broken-first", GUINT_TO_POINTER(0), test_broken);
    ADD("/density-sampler/broken-second", GUINT_TO_POINTER(1), test_broken);
    ADD("/density-sampler/all-broken", NULL, test_all_broken);
    ADD("/density-sampler/full-host", NULL, test_full_host);
    ADD("/density-sampler/no-host", NULL, test_no_host);
    g_test_add("/density-sampler/part", Place, NULL, place_up, test_part, place_down);
    g_test_add("/density-sampler/resume", Place, NULL, place_up, test_resume, place_down);
    g_test_add("/density-sampler/full-disk", Place, NULL, place_up, test_full_disk, place_down);
    return g_test_run();
}
