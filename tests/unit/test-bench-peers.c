/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "bench/analysis.h"
#include "bench/instance/group.h"
#include "bench/peers/guard.h"
#include "bench/peers/peer-run.h"
#include "bench/peers/words.h"
#include "bench/result/result.h"
#include "bench/table.h"
#include "run-fixture.h"

/* ---- files ---- */

static DuetPeer *parse(const char *text, GError **error)
{
    return duet_peer_parse("test", "/x/test.peer", text, strlen(text), error);
}

static void test_bundled(void)
{
    g_auto(GStrv) names = duet_peer_names();

    g_assert_cmpuint(g_strv_length(names), >=, 9);
    for (char **name = names; *name; name++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(DuetPeer) peer = duet_peer_find(*name, &error);
        g_assert_no_error(error);
        g_assert_nonnull(peer->description);
        g_assert_nonnull(peer->version);
        g_assert_cmpuint(g_strv_length(peer->needs), >=, 1);
        /* Whatever it leaves is found and can be removed. */
        g_assert_true(peer->process || peer->cgroup || peer->commands[DUET_PEER_LEFT]->len > 0);
        g_assert_true(peer->process || peer->commands[DUET_PEER_REMOVE]->len > 0);
    }
}

static void test_parse(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetPeer) peer =
        parse("[peer]\nkind=vm\nneeds=a;/dev/b\n"
              "prepare=one 'a b';two\\;three {dir}\nrun=x \"{name}\" {argv...}\n"
              "[files]\nc.xml=<a/>\\n{rootfs}\n",
            &error);

    g_assert_no_error(error);
    g_assert_cmpstr(peer->kind, ==, "vm");
    g_assert_cmpstr(peer->needs[1], ==, "/dev/b");
    g_assert_cmpuint(peer->commands[DUET_PEER_PREPARE]->len, ==, 2);
    char **one = g_ptr_array_index(peer->commands[DUET_PEER_PREPARE], 0);
    char **two = g_ptr_array_index(peer->commands[DUET_PEER_PREPARE], 1);
    g_assert_cmpstr(one[1], ==, "a b");
    g_assert_cmpstr(two[0], ==, "two;three");
    g_assert_true(duet_peer_uses(peer, "dir"));
    g_assert_true(duet_peer_uses(peer, "rootfs"));
    g_assert_false(duet_peer_uses(peer, "image"));
    g_assert_cmpstr(g_hash_table_lookup(peer->files, "c.xml"), ==, "<a/>\n{rootfs}");
}

static void test_refused(void)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "run=x", "no peer's key file" },
        { "[peer]\nkind=vm\nrun=x\nruns=y\n", "key 'runs'" },
        { "[peer]\nkind=vm\nrun=x\n[file]\n", "key 'file'" },
        { "[peer]\nkind=box\nrun=x\n", "key 'kind'" },
        { "[peer]\nkind=vm\n", "key 'run'" },
        { "[peer]\nkind=vm\nrun=x;y\n", "key 'run'" },
        { "[peer]\nkind=vm\nrun=\n", "key 'run'" },
        { "[peer]\nkind=vm\nrun=x 'y\n", "key 'run'" },
        { "[peer]\nkind=vm\nrun=x {nme}\n", "'{nme}' is no placeholder" },
        { "[peer]\nkind=vm\nrun=x -{argv...}\n", "a word of its own" },
        { "[peer]\nkind=vm\nrun=x\ncgroup=/{nme}\n", "key 'cgroup'" },
        { "[peer]\nkind=vm\nrun=x\nprocess=podman\n", "key 'process'" },
        { "[peer]\nkind=vm\nrun=x\nprocess=\n", "key 'process'" },
        { "[peer]\nkind=vm\nrun=x\nprocess={hostname}\n", "others' processes" },
        { "[peer]\nkind=vm\nrun=x\npid-file=/run/x.pid\n", "key 'pid-file'" },
        { "[peer]\nkind=vm\nrun=x\ncgroup=/sys/fs/cgroup/*\n", "key 'cgroup'" },
        { "[peer]\nkind=vm\nrun=x\n[files]\na={argv...}\n", "key 'a'" },
        { "[peer]\nkind=vm\nrun=x\n[files]\n../a=b\n", "key '../a'" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        g_assert_null(parse(cases[i].text, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "/x/test.peer"));
        if (!strstr(error->message, cases[i].why))
            g_error("'%s' does not say '%s'", error->message, cases[i].why);
    }
}

static void test_words(void)
{
    g_autoptr(GHashTable) texts = g_hash_table_new(g_str_hash, g_str_equal);
    char *argv[] = { (char *)"echo", (char *)"{name}", NULL };
    char *command[] = { (char *)"a{name}b", (char *)"{{.V}}", (char *)"--m={memory-limit}",
        (char *)"{a,b}", (char *)"{argv...}", NULL };
    const char *expected[] = { "ax yb", "{{.V}}", "{a,b}", "echo", "{name}", NULL };
    DuetPeerValues values = { texts, argv };

    g_hash_table_insert(texts, (char *)"name", (char *)"x y");
    g_auto(GStrv) words = duet_peer_words(command, &values);
    g_assert_cmpstrv(words, expected);
}

/* ---- the stopwatch ---- */

static DuetLap lap_of(const char *script, gint64 timeout_ms, char **out_text)
{
    const char *argv[] = { "sh", "-c", script, NULL };
    g_autoptr(GError) error = NULL;
    DuetLap lap;

    duet_lap_take((char *const *)argv, FALSE, NULL, timeout_ms, &lap, out_text, &error);
    g_assert_no_error(error);
    return lap;
}

static void test_lap(void)
{
    g_autofree char *text = NULL;
    g_auto(DuetLap) lap =
        lap_of("sleep 0.1; echo hello; sleep 0.2; echo amiss >&2; exit 3", 0, &text);

    g_assert_cmpint(lap.output_ns, >=, 100 * MS);
    g_assert_cmpint(lap.exit_ns, >=, lap.output_ns + 200 * MS);
    g_assert_cmpint(lap.exit_code, ==, 3);
    g_assert_cmpstr(lap.words, ==, "amiss");
    g_assert_cmpstr(text, ==, "hello\n");
    g_auto(DuetLap) silent = lap_of("exit 0", 0, NULL);
    g_assert_cmpint(silent.output_ns, ==, 0);
    g_assert_cmpint(silent.exit_ns, >, 0);
    g_assert_null(silent.words);
    g_auto(DuetLap) killed = lap_of("kill -KILL $$", 0, NULL);
    g_assert_cmpint(killed.exit_signal, ==, SIGKILL);
    g_assert_cmpint(killed.exit_code, ==, 137);
}

/* What a pipe can't hold must not stall the command, and one that leaves its output to a child has
 * ended all the same. */
static void test_lap_long(void)
{
    g_auto(DuetLap) much = lap_of("head -c 1000000 /dev/zero", 10000, NULL);
    g_assert_cmpint(much.exit_code, ==, 0);
    g_auto(DuetLap) child = lap_of("sleep 3 & echo x", 2000, NULL);
    g_assert_false(child.timed_out);
    g_assert_cmpint(child.exit_ns, <, 2000 * MS);
}

static void test_lap_ends(void)
{
    sigset_t old;

    g_auto(DuetLap) late = lap_of("trap '' TERM; sleep 20 & wait; sleep 20", 100, NULL);
    g_assert_true(late.timed_out);
    g_assert_cmpint(late.exit_ns, <, 10000 * MS);
    g_assert_cmpint(duet_lap_status(&late), ==, DUET_SAMPLE_TIMEOUT);
    duet_hold_signals(&old);
    raise(SIGINT);
    g_auto(DuetLap) cut = lap_of("sleep 20", 0, NULL);
    g_assert_true(cut.interrupted);
    /* It is the caller's to take. */
    g_assert_true(duet_release_signals(&old));
    g_assert_cmpint(duet_lap_status(&cut), ==, DUET_SAMPLE_FAILED);
}

static void test_lap_missing(void)
{
    char *argv[] = { (char *)"no-such-program-of-duet", NULL };
    g_autoptr(GError) error = NULL;
    DuetLap lap;

    g_assert_false(duet_lap_take(argv, FALSE, NULL, 0, &lap, NULL, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_NOT_FOUND);
}

/* ---- whose processes are found ---- */

/* Has @mark in its command line when this returns: posix_spawnp() does so when there is none. */
static pid_t start_marked(const char *mark)
{
    char *argv[] = { (char *)mark, (char *)"60", NULL };
    g_autofree char *line = NULL, *path = NULL;
    pid_t pid;

    g_assert_cmpint(posix_spawnp(&pid, "sleep", NULL, NULL, argv, environ), ==, 0);
    path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    do
        g_clear_pointer(&line, g_free);
    while (g_file_get_contents(path, &line, NULL, NULL) && *line == '\0');
    g_assert_cmpstr(line, ==, mark);
    return pid;
}

static int end_of(pid_t pid, int options)
{
    int status = -1;

    return waitpid(pid, &status, options) == pid ? status : -1;
}

/* @found: the only one; 0: none. Before anything is killed. */
static void assert_member(DuetPeerArm *arm, pid_t found)
{
    g_autoptr(GArray) pids = duet_peer_arm_members(arm);

    g_assert_cmpuint(pids->len, ==, found > 0);
    if (found > 0)
        g_assert_cmpint(g_array_index(pids, gint, 0), ==, found);
}

/* @line: the key that finds them, with {name}. */
static DuetPeerArm *arm_with(const char *line, const char *dir)
{
    g_autofree char *text = g_strdup_printf("[peer]\nkind=vm\nrun=x\n%s\n", line);
    DuetPeerArm *arm = g_new0(DuetPeerArm, 1);
    g_autoptr(GError) error = NULL;

    arm->peer = parse(text, &error);
    g_assert_no_error(error);
    arm->values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_hash_table_insert(arm->values, g_strdup("dir"), g_strdup(dir));
    return arm;
}

static void name_arm(DuetPeerArm *arm, const char *dir)
{
    g_hash_table_insert(arm->values, g_strdup("name"), g_path_get_basename(dir));
}

/* A bystander that matches but ran before lives on; what the peer left is ended. */
static void test_bystander(void)
{
    static const char *const keys[] = { "process={name}-mark", "pid-file={dir}/{name}" };
    g_autofree char *dir = g_dir_make_tmp("duet-peers-XXXXXX", NULL);
    g_autofree char *name = g_path_get_basename(dir);
    g_autofree char *mark = g_strconcat(name, "-mark", NULL);
    g_autofree char *file = g_build_filename(dir, name, NULL);
    pid_t before = start_marked(mark);

    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_autoptr(DuetPeerArm) arm = arm_with(keys[i], dir);
        duet_peer_arm_begin(arm);
        name_arm(arm, dir);
        assert_member(arm, 0);
        pid_t left = start_marked(mark);
        g_autofree char *numbers = g_strdup_printf(
            "1\n%d\n%d\n%d\n%d\n", (int)getppid(), (int)getpid(), (int)before, (int)left);
        g_assert_true(g_file_set_contents(file, numbers, -1, NULL));
        assert_member(arm, left);
        duet_peer_arm_remove(arm);
        int status = end_of(left, 0);
        g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        g_unlink(file);
    }
    g_assert_cmpint(end_of(before, WNOHANG), ==, -1);
    kill(before, SIGKILL);
    end_of(before, 0);
    g_assert_cmpint(g_rmdir(dir), ==, 0);
}

/* Of a name that is not given yet nothing remains that others might have. */
static void test_unnamed(void)
{
    g_autoptr(DuetPeerArm) arm = arm_with("process=duet-unnamed-{name}", "/nowhere");

    duet_peer_arm_begin(arm);
    pid_t pid = start_marked("duet-unnamed-x");
    assert_member(arm, 0);
    g_hash_table_insert(arm->values, g_strdup("name"), g_strdup("x"));
    assert_member(arm, pid);
    kill(pid, SIGKILL);
    end_of(pid, 0);
}

/* ---- the guard ---- */

static void note_remove(gint who, const char *name, gpointer data)
{
    dprintf(GPOINTER_TO_INT(data), "%d %s\n", who, name);
}

static void note_undo(gpointer data)
{
    dprintf(GPOINTER_TO_INT(data), "undo\n");
}

static const DuetPeerGuardOps notes = { .remove = note_remove, .undo = note_undo };

/* In a child: dies while two names are there and a command runs. */
static void die_guarded(int fd)
{
    g_autoptr(DuetPeerGuard) guard = duet_peer_guard_new(&notes, GINT_TO_POINTER(fd), NULL);

    duet_peer_guard_tell(guard, 3, "removed", TRUE);
    duet_peer_guard_tell(guard, 3, "removed", FALSE);
    duet_peer_guard_tell(guard, -1, "ours", TRUE);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        execlp("sleep", "sleep", "60", NULL);
        _exit(127);
    }
    *duet_peer_guard_session(guard) = pid;
    /* The new one knows what the old one was told. */
    g_assert_true(duet_peer_guard_renew(guard, NULL));
    duet_peer_guard_tell(guard, 7, "theirs", TRUE);
    kill(getpid(), SIGKILL);
}

/* The pipe has no writer left once the child, the command and the guard have ended. */
static char *what_was_noted(void (*child)(int fd))
{
    GString *text = g_string_new(NULL);
    char chunk[256];
    int ends[2];
    ssize_t n;

    g_assert_cmpint(pipe(ends), ==, 0);
    pid_t pid = fork();
    if (pid == 0) {
        child(ends[1]);
        _exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], chunk, sizeof chunk)) > 0)
        g_string_append_len(text, chunk, n);
    close(ends[0]);
    waitpid(pid, NULL, 0);
    return g_string_free(text, FALSE);
}

static void test_guard(void)
{
    gint64 start_us = g_get_monotonic_time();
    g_autofree char *text = what_was_noted(die_guarded);

    g_assert_cmpint(g_get_monotonic_time() - start_us, <, 20 * G_USEC_PER_SEC);
    g_assert_nonnull(strstr(text, "-1 ours\n"));
    g_assert_nonnull(strstr(text, "7 theirs\n"));
    g_assert_null(strstr(text, "removed"));
    g_assert_true(g_str_has_suffix(text, "\nundo\n"));
    g_assert_cmpuint(strlen(text), ==, strlen("-1 ours\n7 theirs\nundo\n"));
}

static void end_guarded(int fd)
{
    g_autoptr(DuetPeerGuard) guard = duet_peer_guard_new(&notes, GINT_TO_POINTER(fd), NULL);

    duet_peer_guard_tell(guard, 0, "left", TRUE);
}

/* Who ends by himself has removed what he wanted to. */
static void test_guard_done(void)
{
    g_autofree char *text = what_was_noted(end_guarded);

    g_assert_cmpstr(text, ==, "");
}

/* ---- reports ---- */

/* Arms vm and container, and two peers, of which one is a VM under TCG. */
static DuetRun *run_with_peers(void)
{
    static const gint64 command_ms[] = { 2100, 310, 400, 9000 };
    DuetRun *run = run_fixture_new(1, 300, 12);
    DuetRandom random;

    duet_random_init(&random, 3);
    run_fixture_add_arm(run, "podman", DUET_RUN_ARM_PEER, NULL);
    run_fixture_add_arm(run, "qemu", DUET_RUN_ARM_PEER, "tcg");
    duet_plan_free(run->plan);
    run->plan = duet_plan_new(4, 12, 1, 60000, 0.02);
    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        gint64 jitter = (gint64)duet_random_below(&random, 1000) * 1000;
        sample->command_output_ns = command_ms[sample->arm] * MS + jitter;
        sample->command_exit_ns = sample->command_output_ns + 20 * MS;
    }
    for (guint block = 0; block < 12; block++) {
        for (guint arm = 2; arm < 4; arm++) {
            DuetSample *sample = duet_sample_new(arm, block, run->samples->len);
            sample->status = DUET_SAMPLE_OK;
            sample->exit_code = 0;
            sample->command_output_ns =
                command_ms[arm] * MS + (gint64)duet_random_below(&random, 1000) * 1000;
            sample->command_exit_ns = sample->command_output_ns + 20 * MS;
            g_ptr_array_add(run->samples, sample);
        }
    }
    return run;
}

static const DuetComparison *find(const DuetAnalysis *analysis, guint a, guint b)
{
    for (guint i = 0; i < analysis->comparisons->len; i++) {
        const DuetComparison *c = &g_array_index(analysis->comparisons, DuetComparison, i);
        if (c->a == a && c->b == b)
            return c;
    }
    return NULL;
}

static void test_comparisons(void)
{
    g_autoptr(DuetRun) run = run_with_peers();
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);

    /* That peers have no marks does not make the run a silent one. */
    g_assert_cmpint(analysis->headline_to, ==, DUET_MARK_OUTPUT);
    /* Of ours CPU time is compared as well; of a peer it is not known. */
    g_assert_cmpuint(analysis->comparisons->len, ==, 6);
    g_assert_cmpint(g_array_index(analysis->comparisons, DuetComparison, 5).metric, ==,
        DUET_METRIC_MANAGING_CPU);
    g_assert_cmpint(find(analysis, 0, 1)->metric, ==, DUET_METRIC_HEADLINE);
    const DuetComparison *podman = find(analysis, 1, 2);
    g_assert_cmpint(podman->metric, ==, DUET_METRIC_COMMAND_OUTPUT);
    g_assert_cmpint(podman->verdict, ==, DUET_VERDICT_DIFFERS);
    g_assert_cmpfloat_with_epsilon(podman->contrast.ratio, 310.0 / 400, 0.01);
    /* That a foreign VM is slower is as undecided without KVM as that ours is. */
    g_assert_cmpint(find(analysis, 1, 3)->verdict, ==, DUET_VERDICT_NO_KVM);
    g_assert_null(find(analysis, 2, 3));
    g_autofree char *table = duet_bench_table(run, analysis);
    run_fixture_assert_fits(table);
    g_assert_nonnull(strstr(table, "command -> exit"));
    g_assert_nonnull(strstr(table, "container / podman"));
    /* Phases are of ours. */
    const char *phases = strstr(table, "phases (medians)");
    g_assert_null(strstr(phases, "podman"));
}

static void test_silent(void)
{
    g_autoptr(DuetRun) run = run_with_peers();

    for (guint i = 0; i < run->samples->len; i++)
        duet_run_sample(run, i)->command_output_ns = 0;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_assert_cmpint(find(analysis, 1, 2)->metric, ==, DUET_METRIC_COMMAND_EXIT);
}

static void test_file(void)
{
    g_autoptr(DuetRun) run = run_with_peers();
    g_autoptr(GError) error = NULL;

    g_ptr_array_add(run->skipped, g_strdup("the peer 'x' is left out: no"));
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    g_autoptr(DuetRun) again = duet_result_parse(json, -1, &error);
    g_assert_no_error(error);
    g_assert_true(duet_run_arm_is_peer(duet_run_arm(again, 2)));
    g_assert_cmpstr(g_ptr_array_index(again->skipped, 0), ==, "the peer 'x' is left out: no");
    g_autoptr(DuetAnalysis) analysis_again = duet_analysis_new(again, FALSE);
    g_autofree char *json_again = duet_result_to_json(again, analysis_again);
    g_assert_cmpstr(json, ==, json_again);
}

/* Whose samples they were, nothing would tell. */
static void test_same_name(void)
{
    g_autoptr(DuetRun) run = run_with_peers();
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    g_auto(GStrv) parts = g_strsplit(json, "podman", -1);
    g_autofree char *damaged = g_strjoinv("container", parts);
    g_autoptr(GError) error = NULL;

    g_assert_null(duet_result_parse(damaged, -1, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    g_assert_nonnull(strstr(error->message, "two arms are named 'container'"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peers/bundled", test_bundled);
    g_test_add_func("/peers/parse", test_parse);
    g_test_add_func("/peers/refused", test_refused);
    g_test_add_func("/peers/words", test_words);
    g_test_add_func("/peers/lap", test_lap);
    g_test_add_func("/peers/lap-long", test_lap_long);
    g_test_add_func("/peers/lap-ends", test_lap_ends);
    g_test_add_func("/peers/lap-missing", test_lap_missing);
    g_test_add_func("/peers/bystander", test_bystander);
    g_test_add_func("/peers/unnamed", test_unnamed);
    g_test_add_func("/peers/guard", test_guard);
    g_test_add_func("/peers/guard-done", test_guard_done);
    g_test_add_func("/peers/comparisons", test_comparisons);
    g_test_add_func("/peers/silent", test_silent);
    g_test_add_func("/peers/file", test_file);
    g_test_add_func("/peers/same-name", test_same_name);
    return g_test_run();
}
