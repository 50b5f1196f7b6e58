/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What keeps a run through a kill, and going on with it. */
#include <fcntl.h>
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "bench/result/journal.h"
#include "bench/result/result.h"
#include "bench/runner.h"
#include "run-fixture.h"

#define N 5

/* A folder with, maybe, a result and its journal in it. */
typedef struct {
    char *folder, *result, *part;
    DuetBenchRequest request;
} Place;

static void place_up(Place *place, gconstpointer data)
{
    (void)data;
    place->folder = g_dir_make_tmp("duet-journal-XXXXXX", NULL);
    place->result = g_build_filename(place->folder, "run.json", NULL);
    place->part = g_strconcat(place->result, ".part", NULL);
    place->request = (DuetBenchRequest){ .output_path = place->result };
}

static void place_down(Place *place, gconstpointer data)
{
    (void)data;
    g_unlink(place->result);
    g_unlink(place->part);
    /* Nothing else is in it. */
    g_assert_cmpint(g_rmdir(place->folder), ==, 0);
    g_free(place->folder);
    g_free(place->result);
    g_free(place->part);
}

/* What would be measured: arms, host and plan, but no samples and no facts of drivers. */
static DuetRun *fresh(guint64 seed)
{
    DuetRun *run = run_fixture_new(seed, 10, N);

    duet_plan_free(run->plan);
    run->plan = duet_plan_new(2, N, seed, 60000, 0.02);
    g_ptr_array_set_size(run->samples, 0);
    g_clear_pointer(&duet_run_arm(run, 0)->driver, json_object_unref);
    return run;
}

/* A killed process writes no more: here, its sampler refuses. */
typedef struct {
    DuetRun *run;
    guint before_kill;
    guint taken;
} Lab;

static gboolean take(DuetSample *sample, gpointer data, GError **error)
{
    Lab *lab = data;
    DuetRunArm *arm = duet_run_arm(lab->run, sample->arm);

    (void)error;
    lab->taken++;
    if (sample->arm == 0 && !arm->driver) {
        arm->driver = json_object_new();
        json_object_set_string_member(arm->driver, "accel", "kvm");
    }
    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    sample->marks.ns[DUET_MARK_REQUEST] = 1000 * MS * (1 + lab->run->samples->len);
    sample->marks.ns[DUET_MARK_EXEC] = sample->marks.ns[DUET_MARK_REQUEST] + MS;
    sample->marks.ns[DUET_MARK_RELEASED] = sample->marks.ns[DUET_MARK_EXEC] + MS;
    duet_sample_warn(sample, "a \"warning\"\nof two lines");
    return TRUE;
}

typedef struct {
    DuetJournal *journal;
    Lab *lab;
} Recorder;

static gboolean record(const DuetRun *run, gpointer data, GError **error)
{
    Recorder *recorder = data;

    g_assert_true(duet_journal_add(run, recorder->journal, error));
    if (recorder->lab->taken < recorder->lab->before_kill)
        return TRUE;
    g_set_error_literal(error, DUET_ERROR, DUET_ERROR_FAILED, "killed");
    return FALSE;
}

/* Takes so many samples, warm-ups among them, and no more; @kill: 0: all. */
static void measure(Place *place, guint64 seed, guint kill)
{
    g_autoptr(DuetRun) run = fresh(seed);
    g_autoptr(DuetJournal) journal = NULL;
    g_autoptr(GError) error = NULL;

    gboolean opened = duet_journal_open(&place->request, &run, &journal, &error);
    g_assert_no_error(error);
    g_assert_true(opened);
    Lab lab = { run, kill > 0 ? kill : G_MAXUINT, 0 };
    Recorder recorder = { journal, &lab };
    DuetRunner runner = { .take = take, .data = &lab, .record = record, .record_data = &recorder };
    g_assert_cmpint(duet_runner_run(&runner, run, NULL), ==, kill == 0);
    if (kill > 0)
        return;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    g_assert_true(duet_result_save(place->result, json, NULL));
    duet_journal_finish(journal);
}

static DuetRun *load(const char *path)
{
    g_autoptr(GError) error = NULL;
    DuetRun *run = duet_result_load(path, &error);

    g_assert_no_error(error);
    return run;
}

static char *contents(const char *path)
{
    char *text = NULL;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    return text;
}

static void test_part(Place *place, gconstpointer data)
{
    (void)data;
    measure(place, 7, 6);
    g_autoptr(DuetRun) run = load(place->part);
    g_assert_cmpuint(run->samples->len, ==, 6);
    g_assert_cmpuint(duet_run_taken(run), ==, 4);
    g_assert_true(run->interrupted);
    g_assert_cmpuint(run->plan->seed, ==, 7);
    /* What was not known when it was begun. */
    g_assert_cmpstr(duet_run_arm_accel(duet_run_arm(run, 0)), ==, "kvm");
    g_assert_null(duet_run_arm(run, 1)->driver);
    g_assert_cmpstr(
        g_ptr_array_index(duet_run_sample(run, 5)->warnings, 0), ==, "a \"warning\"\nof two lines");
    g_assert_false(g_file_test(place->result, G_FILE_TEST_EXISTS));
}

/* Wherever it is cut: what loads are all whole lines, and none of the file's is lost. */
static void test_cut(Place *place, gconstpointer data)
{
    (void)data;
    measure(place, 7, 6);
    g_autofree char *text = contents(place->part);
    const char *first = strchr(text, '\n') + 1;
    guint lines = 0, seen = 0;

    for (const char *end = first; *end; end++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DuetRun) run = duet_result_parse(text, end - text, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(run->samples->len, >=, seen);
        seen = run->samples->len;
        lines += *end == '\n';
    }
    g_assert_cmpuint(seen, ==, 5);
    g_assert_cmpuint(lines, ==, 6 + 1);
    /* Without its first line it is nothing. */
    g_autoptr(GError) error = NULL;
    g_assert_null(duet_result_parse(text, first - text - 1, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
}

static void test_resume(Place *place, gconstpointer data)
{
    guint before = GPOINTER_TO_UINT(data);
    g_autoptr(DuetPlan) plan = duet_plan_new(2, N, 7, 60000, 0.02);

    measure(place, 7, before);
    g_autoptr(DuetRun) cut = load(place->part);
    /* The last line was being written. */
    g_autofree char *text = contents(place->part);
    g_assert_true(g_file_set_contents(place->part, text, (gssize)strlen(text) - 5, NULL));
    place->request.resume = TRUE;
    measure(place, 99, 0);
    g_assert_false(g_file_test(place->part, G_FILE_TEST_EXISTS));

    g_autoptr(DuetRun) run = load(place->result);
    g_assert_false(run->interrupted);
    g_assert_cmpstr(run->run_id, ==, cut->run_id);
    g_assert_cmpuint(run->plan->seed, ==, 7);
    g_assert_cmpmem(run->plan->order, 2 * N * sizeof(guint), plan->order, 2 * N * sizeof(guint));
    /* All of the plan, a warm-up of each arm on both sides of the cut. */
    guint taken = 0;
    for (guint i = 0; i < run->samples->len; i++) {
        const DuetSample *sample = duet_run_sample(run, i);
        g_assert_cmpuint(sample->seq, ==, i);
        if (sample->discarded)
            continue;
        g_assert_cmpuint(sample->arm, ==, plan->order[taken]);
        g_assert_cmpuint(sample->block, ==, taken / 2);
        taken++;
    }
    g_assert_cmpuint(taken, ==, 2 * N);
    g_assert_cmpuint(run->samples->len, ==, 2 * N + 2 + 2);
    const char *warning = g_ptr_array_index(run->warnings, run->warnings->len - 1);
    g_autofree char *told = g_strdup_printf("resumed after %u of %u", before - 3, 2 * N);
    g_assert_nonnull(strstr(warning, told));
}

static void refused(Place *place, DuetRun *run, DuetError code, const char *word)
{
    g_autoptr(DuetRun) owned = run;
    g_autoptr(DuetJournal) journal = NULL;
    g_autoptr(GError) error = NULL;

    g_assert_false(duet_journal_open(&place->request, &owned, &journal, &error));
    g_assert_error(error, DUET_ERROR, (int)code);
    if (!strstr(error->message, word))
        g_error("no '%s' in: %s", word, error->message);
}

static DuetRun *changed(void (*change)(DuetRun *run))
{
    DuetRun *run = fresh(7);

    change(run);
    return run;
}

static void other_version(DuetRun *run)
{
    json_object_set_string_member(run->tool, "commit", "def");
}
static void other_limit(DuetRun *run)
{
    duet_run_arm(run, 1)->memory_bytes = 64;
}
static void other_n(DuetRun *run)
{
    run->plan->n++;
}
static void other_arm(DuetRun *run)
{
    g_free(duet_run_arm(run, 1)->name);
    duet_run_arm(run, 1)->name = g_strdup("native");
}

static void test_refused(Place *place, gconstpointer data)
{
    (void)data;
    measure(place, 7, 6);
    g_autofree char *text = contents(place->part);
    refused(place, fresh(7), DUET_ERROR_EXISTS, "--resume");
    place->request.resume = TRUE;
    refused(place, changed(other_version), DUET_ERROR_INVALID, "commit");
    refused(place, changed(other_limit), DUET_ERROR_INVALID, "limits");
    refused(place, changed(other_n), DUET_ERROR_INVALID, "\"n\":6");
    refused(place, changed(other_arm), DUET_ERROR_INVALID, "vm,native");
    refused(place, changed(run_fixture_other_host), DUET_ERROR_INVALID, "host");
    refused(place, changed(run_fixture_other_image), DUET_ERROR_INVALID, "image");
    refused(place, changed(run_fixture_other_command), DUET_ERROR_INVALID, "command");
    refused(place, changed(run_fixture_other_mode), DUET_ERROR_INVALID, "cold-host");
    place->request.seed_given = TRUE;
    refused(place, fresh(8), DUET_ERROR_INVALID, "seed");
    place->request.output_path = NULL;
    refused(place, fresh(7), DUET_ERROR_INVALID, "-o");
    /* Nothing of that touched it. */
    g_autofree char *after = contents(place->part);
    g_assert_cmpstr(text, ==, after);
}

static void test_nothing_to_resume(Place *place, gconstpointer data)
{
    (void)data;
    place->request.resume = TRUE;
    refused(place, fresh(7), DUET_ERROR_NOT_FOUND, "neither");
    place->request.resume = FALSE;
    measure(place, 7, 0);
    place->request.resume = TRUE;
    refused(place, fresh(7), DUET_ERROR_STATE, "complete");
}

static void test_hostile(Place *place, gconstpointer data)
{
    (void)data;
    measure(place, 7, 6);
    g_autofree char *text = contents(place->part);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GError) error = NULL;

    /* A sample twice is none that follows. */
    g_autofree char *twice = g_strconcat(text, lines[g_strv_length(lines) - 2], "\n", NULL);
    g_assert_true(g_file_set_contents(place->part, twice, -1, NULL));
    place->request.resume = TRUE;
    refused(place, fresh(7), DUET_ERROR_BROKEN, "not the next");
    static const char *const bad[] = { "[1]", "", "1e999", "{\"driver\": 3, \"arm\": {}}{",
        "{\"arm\": \"vm\", \"driver\": 3}", "{\"arm\": \"nobody\"}", "/* */ {}", "{\"root\": 3}",
        "{\"root\": {\"arms\": 3}}", "{\"root\": {\"schema_version\": {}}}" };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *broken = g_strconcat(text, bad[i], "\n", NULL);
        g_autoptr(DuetRun) run = duet_result_parse(broken, -1, &error);
        g_assert_null(run);
        g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
        g_clear_error(&error);
    }
}

/* Only a warm-up was taken: nothing is worth keeping. */
static void test_nothing_taken(Place *place, gconstpointer data)
{
    (void)data;
    measure(place, 7, 1);
    g_assert_false(g_file_test(place->part, G_FILE_TEST_EXISTS));
}

static void test_busy(Place *place, gconstpointer data)
{
    (void)data;
    measure(place, 7, 6);
    int ends[2];
    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
        int fd = open(place->part, O_WRONLY);
        if (fcntl(fd, F_SETLK, &lock) == 0 && write(ends[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    char byte;
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
    place->request.resume = TRUE;
    refused(place, fresh(7), DUET_ERROR_STATE, "still writing");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    measure(place, 7, 0);
}

static DuetJournal *open_journal(Place *place)
{
    g_autoptr(DuetRun) run = fresh(7);
    g_autoptr(GError) error = NULL;
    DuetJournal *journal = NULL;

    duet_journal_open(&place->request, &run, &journal, &error);
    g_assert_no_error(error);
    return journal;
}

/* Two at once: the second is refused before it measures, whatever the first has by then. */
static void test_second(Place *place, gconstpointer data)
{
    int ends[2];
    char byte;

    (void)data;
    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        DuetJournal *journal = open_journal(place);
        if (journal && write(ends[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    g_assert_cmpint(read(ends[0], &byte, 1), ==, 1);
    refused(place, fresh(7), DUET_ERROR_STATE, "still writing");
    place->request.resume = TRUE;
    refused(place, fresh(7), DUET_ERROR_STATE, "still writing");
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    /* Of what was killed before it had measured there is nothing to resume, nor in the way. */
    refused(place, fresh(7), DUET_ERROR_NOT_FOUND, "neither");
    place->request.resume = FALSE;
    measure(place, 7, 0);
    g_assert_false(g_file_test(place->part, G_FILE_TEST_EXISTS));
}

/* What nothing came of leaves nothing, and what came in its place is another's. */
static void test_own(Place *place, gconstpointer data)
{
    (void)data;
    duet_journal_free(open_journal(place));
    g_assert_false(g_file_test(place->part, G_FILE_TEST_EXISTS));
    DuetJournal *journal = open_journal(place);
    g_assert_cmpint(g_unlink(place->part), ==, 0);
    g_assert_true(g_file_set_contents(place->part, "", 0, NULL));
    g_assert_true(g_file_set_contents(place->result, "x", 1, NULL));
    duet_journal_finish(journal);
    duet_journal_free(journal);
    g_assert_true(g_file_test(place->part, G_FILE_TEST_EXISTS));
}

static void add(const char *path, gconstpointer data, void (*test)(Place *, gconstpointer))
{
    g_test_add(path, Place, data, place_up, test, place_down);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("/journal/part", NULL, test_part);
    add("/journal/cut", NULL, test_cut);
    add("/journal/resume-early", GUINT_TO_POINTER(4), test_resume);
    add("/journal/resume-late", GUINT_TO_POINTER(2 * N + 2), test_resume);
    add("/journal/refused", NULL, test_refused);
    add("/journal/nothing-to-resume", NULL, test_nothing_to_resume);
    add("/journal/hostile", NULL, test_hostile);
    add("/journal/nothing-taken", NULL, test_nothing_taken);
    add("/journal/busy", NULL, test_busy);
    add("/journal/second", NULL, test_second);
    add("/journal/own", NULL, test_own);
    return g_test_run();
}
