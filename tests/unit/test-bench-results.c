/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Results against each other, and in the formats of other programs. */
#include <glib.h>
#include <math.h>
#include <string.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/against/against.h"
#include "bench/check.h"
#include "bench/claims/figures.h"
#include "bench/export/export.h"
#include "bench/result/result.h"
#include "bench/table.h"
#include "run-fixture.h"

static DuetAgainst *against_of(
    const DuetRun *first, const DuetRun *second, gboolean force, GError **error)
{
    DuetAgainstOptions options = { .floor = -1, .force = force };

    return duet_against_new(first, "a.json", second, "b.json", &options, error);
}

static const DuetComparison *row(const DuetAgainst *against, guint i)
{
    return &g_array_index(against->comparisons, DuetComparison, i);
}

static void test_slower(void)
{
    g_autoptr(DuetRun) first = run_fixture_new(1, 10, 30), second = run_fixture_new(2, 13, 30);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetAgainst) against = against_of(first, second, FALSE, &error);
    g_assert_no_error(error);
    g_autofree char *table = duet_against_table(against);
    g_autofree char *json = duet_against_json(against);

    g_assert_cmpuint(against->comparisons->len, ==, 2);
    g_assert_cmpint(row(against, 0)->verdict, ==, DUET_VERDICT_SAME);
    g_assert_cmpint(row(against, 1)->verdict, ==, DUET_VERDICT_DIFFERS);
    /* The second over the first: it became slower. */
    g_assert_cmpfloat(row(against, 1)->contrast.ratio_low, <, 1.3);
    g_assert_cmpfloat(row(against, 1)->contrast.ratio_high, >, 1.29);
    g_assert_cmpfloat(row(against, 1)->contrast.cliffs_delta, ==, 1);
    /* Holm over both. */
    g_assert_cmpfloat(row(against, 1)->contrast.p_holm, ==, 2 * row(against, 1)->contrast.p);
    g_assert_nonnull(strstr(table, "differs"));
    g_assert_nonnull(strstr(table, "not interleaved"));
    g_assert_null(strstr(table, "Forced"));
    g_assert_null(strstr(table, "is weak"));
    run_fixture_assert_fits(table);
    g_autoptr(JsonObject) root = run_fixture_object(json);
    g_assert_cmpuint(
        json_array_get_length(json_object_get_array_member(root, "comparisons")), ==, 2);
    g_assert_false(json_object_get_boolean_member(root, "forced"));
}

/* Blocks pair samples of one run. What two runs have in common by the number of a block is chance:
 * here both drift by the half, and 3 % between them is nothing beside that. */
static void test_blocks_are_of_one_run(void)
{
    g_autoptr(DuetRun) first = run_fixture_new(1, 1000, 30);
    g_autoptr(DuetRun) second = run_fixture_new(2, 1000, 30);

    for (guint i = 1; i < first->samples->len; i += 2) {
        duet_run_sample(first, i)->marks.ns[DUET_MARK_OUTPUT] += i * 10 * MS;
        duet_run_sample(second, i)->marks.ns[DUET_MARK_OUTPUT] += (i * 10 + 40) * MS;
    }
    g_autoptr(DuetAgainst) against = against_of(first, second, FALSE, NULL);
    g_assert_cmpint(row(against, 1)->verdict, ==, DUET_VERDICT_SAME);
    g_assert_cmpfloat(row(against, 1)->contrast.ratio, >, 1.02);
    g_assert_cmpfloat(row(against, 1)->contrast.difference_low, <, 0);
}

static void test_unmatched(void)
{
    g_autoptr(DuetRun) first = run_fixture_new(1, 10, 10), second = run_fixture_new(2, 10, 10);
    g_autoptr(GError) error = NULL;

    g_free(duet_run_arm(second, 0)->name);
    duet_run_arm(second, 0)->name = g_strdup("peer");
    g_autoptr(DuetAgainst) against = against_of(first, second, FALSE, &error);
    g_assert_no_error(error);
    g_autofree char *table = duet_against_table(against);
    g_assert_cmpuint(against->comparisons->len, ==, 1);
    g_assert_nonnull(strstr(table, "'vm' is in 'a.json' only"));
    g_assert_nonnull(strstr(table, "'peer' is in 'b.json' only"));

    g_free(duet_run_arm(second, 1)->name);
    duet_run_arm(second, 1)->name = g_strdup("other");
    g_assert_null(against_of(first, second, TRUE, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "no arm"));
}

static void test_refused(void)
{
    static const struct {
        void (*change)(DuetRun *run);
        const char *says;
    } rows[] = {
        { run_fixture_other_host, "host: '0123' and '4567'" },
        { run_fixture_unknown_host, "host: '0123' and 'unknown'" },
        { run_fixture_other_cpu, "host cpu.model: 'A CPU' and 'Another CPU'" },
        { run_fixture_from_saved, "start of VMs: 'cold' and 'saved'" },
        { run_fixture_other_mode, "cache mode: 'warm' and 'cold-host'" },
        { run_fixture_other_accel, "vm accelerator: 'kvm' and 'tcg'" },
        { run_fixture_other_image, "container image:" },
        { run_fixture_other_command, "container command: 'echo' and 'true'" },
        { run_fixture_other_kind, "container kind: 'container' and 'native'" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
        g_autoptr(DuetRun) first = run_fixture_new(1, 10, 10), second = run_fixture_new(2, 10, 10);
        g_autoptr(GError) error = NULL;
        rows[i].change(second);
        g_assert_null(against_of(first, second, FALSE, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, rows[i].says));
        g_assert_nonnull(strstr(error->message, "--force"));

        g_autoptr(DuetAgainst) forced = against_of(first, second, TRUE, NULL);
        g_assert_nonnull(forced);
        g_autofree char *table = duet_against_table(forced);
        g_autofree char *markdown = duet_against_markdown(forced);
        g_autofree char *json = duet_against_json(forced);
        g_autoptr(JsonObject) root = run_fixture_object(json);
        g_assert_nonnull(strstr(table, "*** Forced"));
        g_assert_nonnull(strstr(markdown, "> **Forced"));
        g_assert_true(json_object_get_boolean_member(root, "forced"));
        run_fixture_assert_fits(table);
    }
    /* Neither tells its host: the size of the machine must do. */
    g_autoptr(DuetRun) first = run_fixture_new(1, 10, 10), second = run_fixture_new(2, 10, 10);
    run_fixture_unknown_host(first);
    run_fixture_unknown_host(second);
    g_autoptr(DuetAgainst) alike = against_of(first, second, FALSE, NULL);
    g_assert_nonnull(alike);
    json_object_set_int_member(
        json_object_get_object_member(second->host, "memory"), "ram_bytes", 1);
    g_assert_null(against_of(first, second, FALSE, NULL));
}

static void test_changes(void)
{
    g_autoptr(DuetRun) first = run_fixture_new(1, 10, 10), second = run_fixture_new(2, 10, 10);
    json_object_set_string_member(
        json_object_get_object_member(second->host, "kernel"), "release", "6.2.0");
    json_object_set_string_member(second->tool, "commit", "def");
    json_object_set_string_member(duet_run_arm(second, 0)->driver, "qemu_version", "8.0.0");
    g_autoptr(DuetAgainst) against = against_of(first, second, FALSE, NULL);

    /* That may be the very thing to compare: told, not refused. */
    g_assert_nonnull(against);
    g_autofree char *table = duet_against_table(against);
    g_assert_nonnull(strstr(table, "host kernel.release: '6.1.0' and '6.2.0'"));
    g_assert_nonnull(strstr(table, "duet commit: 'abc' and 'def'"));
    g_assert_nonnull(strstr(table, "vm qemu_version: '7.2.0' and '8.0.0'"));
}

/* Of what neither file tells nobody knows that it is the same. */
static void test_unknown(void)
{
    DuetRun *runs[] = { run_fixture_new(1, 10, 10), run_fixture_new(2, 10, 10) };

    for (gsize r = 0; r < G_N_ELEMENTS(runs); r++) {
        json_object_remove_member(runs[r]->host, "machine_hash");
        json_object_remove_member(runs[r]->host, "cpu");
        for (guint i = 0; i < runs[r]->arms->len; i++)
            g_clear_pointer(&duet_run_arm(runs[r], i)->image_digest, g_free);
    }
    g_autoptr(DuetAgainst) against = against_of(runs[0], runs[1], FALSE, NULL);
    g_assert_nonnull(against);
    g_autofree char *table = duet_against_table(against);
    g_assert_nonnull(strstr(table, "neither run tells on what host it was taken"));
    g_assert_nonnull(strstr(table, "neither run tells what image it ran"));
    run_fixture_assert_fits(table);
    duet_run_free(runs[0]);
    duet_run_free(runs[1]);
}

static void test_withheld(void)
{
    g_autoptr(DuetRun) first = run_fixture_new(1, 10, 10), second = run_fixture_new(2, 13, 10);
    DuetAgainstOptions asked = { .floor = -1, .ratio_with_failures = TRUE };

    duet_run_sample(second, 3)->status = DUET_SAMPLE_FAILED;
    g_autoptr(DuetAgainst) failed = against_of(first, second, FALSE, NULL);
    g_autofree char *table = duet_against_table(failed);
    g_assert_cmpint(row(failed, 0)->verdict, ==, DUET_VERDICT_SAME);
    g_assert_cmpint(row(failed, 1)->verdict, ==, DUET_VERDICT_FAILURES);
    g_assert_nonnull(strstr(table, "withheld: samples failed"));
    run_fixture_assert_fits(table);
    g_autoptr(DuetAgainst) insisted = duet_against_new(first, "a", second, "b", &asked, NULL);
    g_assert_cmpint(row(insisted, 1)->verdict, ==, DUET_VERDICT_DIFFERS);

    json_object_set_string_member(
        json_object_get_object_member(first->host, "cpu"), "hypervisor", "tcg");
    g_autoptr(DuetAgainst) nested = duet_against_new(first, "a", second, "b", &asked, NULL);
    g_autofree char *banner = duet_against_table(nested);
    g_assert_cmpint(row(nested, 0)->verdict, ==, DUET_VERDICT_NESTED);
    g_assert_true(g_str_has_prefix(banner, "*** Nested under TCG"));
}

/* That emulation made a VM slower is no finding, whichever run had it. */
static void test_tcg_against_kvm(void)
{
    g_autoptr(DuetRun) first = run_fixture_new(1, 10, 10), second = run_fixture_new(2, 10, 10);

    for (guint i = 0; i < second->samples->len; i += 2)
        duet_run_sample(second, i)->marks.ns[DUET_MARK_OUTPUT] += 4000 * MS;
    run_fixture_other_accel(second);
    g_autoptr(DuetAgainst) against = against_of(first, second, TRUE, NULL);
    g_autofree char *table = duet_against_table(against);
    g_assert_cmpint(row(against, 0)->verdict, ==, DUET_VERDICT_NO_KVM);
    g_assert_true(g_str_has_prefix(table, "*** No hardware virtualization"));
    run_fixture_other_accel(first);
    g_autoptr(DuetAgainst) both = against_of(first, second, FALSE, NULL);
    g_assert_cmpint(row(both, 0)->verdict, ==, DUET_VERDICT_DIFFERS);
}

static void test_metrics(void)
{
    g_autoptr(DuetRun) first = run_fixture_new(1, 10, 10), second = run_fixture_new(2, 10, 10);
    DuetAgainstOptions options = { .floor = -1, .metrics = "request_to_output, cpu_managing" };
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetAgainst) against = duet_against_new(first, "a", second, "b", &options, NULL);
    g_autofree char *table = duet_against_table(against);

    g_assert_cmpuint(against->comparisons->len, ==, 4);
    g_assert_nonnull(strstr(table, "\ncpu_managing, second / first\n"));
    /* Asked for twice, a metric is one comparison. */
    options.metrics = "cpu_managing,request_to_output,cpu_managing";
    g_autoptr(DuetAgainst) twice = duet_against_new(first, "A", second, "B", &options, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(twice->comparisons->len, ==, 4);
    options.metrics = "speed";
    g_assert_null(duet_against_new(first, "a", second, "b", &options, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "phase_init"));
    /* A metric that an arm does not have is no data, and no division by nothing. */
    options.metrics = "guest_clock_kernel";
    g_autoptr(DuetAgainst) none = duet_against_new(first, "a", second, "b", &options, NULL);
    g_assert_cmpint(row(none, 0)->verdict, ==, DUET_VERDICT_NO_DATA);
}

/* What one of two comparisons can show is less than what it could alone, and never less than the
 * floor. */
static void test_detectable(void)
{
    g_autoptr(DuetRun) first = run_fixture_new(1, 10, 10), second = run_fixture_new(2, 10, 10);
    DuetAgainstOptions options = { .floor = 0, .metrics = "request_to_output" };
    g_autoptr(DuetAgainst) two = duet_against_new(first, "a", second, "b", &options, NULL);
    options.metrics = "request_to_output,cpu_managing";
    g_autoptr(DuetAgainst) four = duet_against_new(first, "a", second, "b", &options, NULL);
    options.floor = 0.3;
    g_autoptr(DuetAgainst) floor = duet_against_new(first, "a", second, "b", &options, NULL);

    g_assert_cmpuint(two->comparisons->len, ==, 2);
    g_assert_cmpuint(four->comparisons->len, ==, 4);
    for (guint i = 0; i < 2; i++) {
        const DuetContrast *of_two = &row(two, i)->contrast, *of_four = &row(four, i)->contrast;
        /* z of 0.05 / 4 and of 0.05 / 2, each with 0.8416. */
        g_assert_cmpfloat_with_epsilon(
            log1p(of_four->detectable) / log1p(of_two->detectable), 1.083134, 1e-6);
        g_assert_cmpfloat(row(floor, i)->contrast.detectable, >, 0.3);
        g_assert_cmpfloat(row(floor, i)->contrast.detectable, <, 0.32);
    }
}

/* A record of wrong types is not known; GLib's criticals would end this test. */
static void test_foreign_record(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 10), other = run_fixture_new(2, 10, 10);

    json_object_unref(run->host);
    run->host =
        run_fixture_object("{\"cpu\": 5, \"memory\": [\"x\"], \"kernel\": {\"release\": {}},"
                           " \"load_1min\": \"high\", \"during_run\": null}");
    json_object_set_object_member(duet_run_arm(run, 0)->driver, "accel", json_object_new());
    json_object_set_int_member(run->tool, "commit", 7);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autoptr(GPtrArray) notes = duet_bench_check_new(run, analysis);
    g_autofree char *table = duet_bench_table(run, analysis);
    g_autofree char *metrics = duet_export_openmetrics(run, analysis);
    g_autofree char *go = duet_export_benchstat(run, analysis);
    g_autoptr(DuetAgainst) against = against_of(run, other, TRUE, NULL);
    g_assert_nonnull(against);
    g_assert_cmpuint(notes->len, >, 0);
    g_assert_true(g_str_has_suffix(metrics, "# EOF\n"));
    g_assert_nonnull(strstr(go, "\nBenchmarkBoot/arm=vm 1 "));
    run_fixture_assert_fits(table);
}

/* All figures of an arm, and no unit beside one that is not known: of five samples no interval, of
 * less than 200 no p99; with a time-out the largest may be another. */
static void test_markdown(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 30), few = run_fixture_new(1, 10, 5);

    duet_run_sample(few, 0)->status = DUET_SAMPLE_TIMEOUT;
    g_autofree char *markdown = run_fixture_shown(run, "md"),
                    *short_one = run_fixture_shown(few, "md");
    g_assert_nonnull(strstr(markdown,
        "| arm | ok | failed | median | IQR | 95 % of median | p95 | p99 | min | max | MAD |\n"));
    g_autoptr(GRegex) row = g_regex_new("^\\| container \\| 30 \\| 0 "
                                        "(\\| [0-9.]+( to [0-9.]+)? [mu]s ){4}\\| n/a "
                                        "(\\| [0-9.]+ [mu]s ){3}\\|$",
        G_REGEX_MULTILINE, 0, NULL);
    g_assert_true(g_regex_match(row, markdown, 0, NULL));
    g_autoptr(GRegex) cut =
        g_regex_new("^\\| vm \\| 4 \\| 1 \\| [0-9.]+ s \\| [0-9.]+ ms "
                    "\\| n/a \\| n/a \\| n/a \\| [0-9.]+ s \\| n/a \\| [0-9.]+ ms \\|$",
            G_REGEX_MULTILINE, 0, NULL);
    g_assert_true(g_regex_match(cut, short_one, 0, NULL));
    g_assert_null(strstr(short_one, "n/a s"));
    g_assert_null(strstr(short_one, "n/a ms"));
}

/* What a summary of OpenMetrics has no place for; what is not known is absent. */
static void test_openmetrics_spread(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 30), few = run_fixture_new(1, 10, 5);
    g_autofree char *all = run_fixture_shown(run, "openmetrics"),
                    *some = run_fixture_shown(few, "openmetrics");
    static const char *const figures[] = { "median_low\"} 0.0", "median_high\"} 0.0", "mad\"} " };

    g_assert_nonnull(strstr(
        all, "# TYPE duet_time_spread_seconds gauge\n# UNIT duet_time_spread_seconds seconds\n"));
    for (gsize i = 0; i < G_N_ELEMENTS(figures); i++) {
        g_autofree char *end = g_strdup_printf(
            "arm=\"container\",metric=\"request_to_output\",figure=\"%s", figures[i]);
        g_assert_nonnull(strstr(all, end));
        g_assert_cmpint(strstr(some, end) != NULL, ==, i == 2);
    }
    g_assert_null(strstr(some, "nan"));
}

#define HOSTILE "=cmd()|'x'\"<script>\n\x1b[31m\\`*_"

static void test_hostile(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 10);
    g_free(duet_run_arm(run, 0)->name);
    duet_run_arm(run, 0)->name = g_strdup(HOSTILE);
    g_free(duet_run_arm(run, 0)->argv[0]);
    duet_run_arm(run, 0)->argv[0] = g_strdup("[x](http://y) | <b>\n# title");
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *csv = duet_export_csv(run, analysis);
    g_autofree char *markdown = duet_export_markdown(run, analysis);
    g_autofree char *metrics = duet_export_openmetrics(run, analysis);
    g_autofree char *go = duet_export_benchstat(run, analysis);
    g_autofree char *table = duet_bench_table(run, analysis);

    /* A spreadsheet sees text, a CSV reader one cell. */
    g_assert_nonnull(strstr(csv, ",\"'=cmd()|'x'\"\"<script>\n"));
    g_assert_nonnull(strstr(markdown, "=cmd()\\|'x'\"&lt;script&gt;^J^\\[\\[31m\\\\\\`\\*\\_"));
    g_assert_null(strstr(markdown, "<script>"));
    g_assert_null(strstr(markdown, "\n# title"));
    g_assert_nonnull(strstr(metrics, "arm=\"=cmd()|'x'\\\"<script>\\n\x1b[31m\\\\`*_\""));
    g_assert_nonnull(strstr(go, "BenchmarkBoot/arm=%3Dcmd%28%29%7C%27x%27%22%3Cscript%3E%0A%1B"));
    g_assert_null(strchr(table, '\x1b'));
    g_assert_null(strchr(markdown, '\x1b'));
    run_fixture_assert_fits(table);
}

static void test_nothing_dropped(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 10);
    DuetSample *sample = duet_run_sample(run, 3);

    sample->status = DUET_SAMPLE_FAILED;
    sample->exit_code = -1;
    sample->marks = (DuetMarks){ { 0 } };
    sample->managing_cpu_ns = 0;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *csv = duet_export_csv(run, analysis);
    g_autofree char *go = duet_export_benchstat(run, analysis);
    g_auto(GStrv) rows = g_strsplit(csv, "\n", -1);

    /* Four marks and one counter of 19 samples, one row of the other, the title, the end. */
    g_assert_cmpuint(g_strv_length(rows), ==, 19 * 5 + 1 + 2);
    g_assert_nonnull(strstr(csv, ",container,container,,1,3,false,failed,,,,\n"));
    g_assert_nonnull(strstr(go, "# container: 1 of 10 samples failed and are left out\n"));
}

/* What --ready is for, and the way from the stop to the end, in the formats of others. */
static void test_ready(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 10);
    g_autoptr(DuetAnalysis) before = duet_analysis_new(run, FALSE);
    g_autofree char *plain = duet_export_csv(run, before);
    g_autofree char *plain_go = duet_export_benchstat(run, before);

    g_assert_null(strstr(plain, ",ready,"));
    g_assert_null(strstr(plain_go, "ready-ns/op"));
    g_assert_null(strstr(plain_go, "stopping-ns/op"));
    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        gint64 request = sample->marks.ns[DUET_MARK_REQUEST];
        sample->ready_ns = request + 3000 * MS + i;
        sample->marks.ns[DUET_MARK_STOP] = request + 3001 * MS;
        sample->marks.ns[DUET_MARK_RELEASED] = request + 3051 * MS + 7;
    }
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *csv = duet_export_csv(run, analysis);
    g_autofree char *go = duet_export_benchstat(run, analysis);
    g_auto(GStrv) rows = g_strsplit(csv, ",ready,", -1);
    g_assert_cmpuint(g_strv_length(rows), ==, 20 + 1);
    g_assert_nonnull(strstr(csv, ",vm,vm,kvm,0,0,false,ok,0,ready,3000000000,ns\n"));
    g_assert_nonnull(strstr(csv, ",container,container,,9,19,false,ok,0,ready,3000000019,ns\n"));
    g_assert_nonnull(strstr(go, " 3000000019 ready-ns/op 50000007 stopping-ns/op 3051000007 rel"));
}

/* VMs that boot, and VMs that go on from a saved state, beside containers. */
static DuetRun *saved_run(void)
{
    DuetRun *run = run_fixture_new(1, 10, 10);
    DuetRandom random;

    duet_plan_free(run->plan);
    run->plan = duet_plan_new(3, 10, 1, 60000, 0.02);
    run->plan->from = g_strdup(DUET_BENCH_FROM_BOTH);
    run->plan->ready = g_strdup("exec");
    run_fixture_add_arm(run, DUET_BENCH_ARM_SAVED, "vm", "kvm");
    duet_random_init(&random, 3);
    for (guint block = 0; block < 10; block++) {
        run_fixture_add_sample(run, &random, 2, block, 400);
        duet_run_sample(run, run->samples->len - 1)->clone_ns = 7 * MS;
    }
    return run;
}

static void test_saved(void)
{
    g_autoptr(DuetRun) run = saved_run();
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) again = duet_result_parse(json, -1, &error);
    g_assert_no_error(error);
    g_autoptr(DuetAnalysis) analysis_again = duet_analysis_new(again, FALSE);
    g_autofree char *json_again = duet_result_to_json(again, analysis_again);
    g_autofree char *table = duet_bench_table(again, analysis_again);
    g_autofree char *csv = duet_export_csv(again, analysis_again);
    g_autofree char *plan = duet_bench_table_plan(again);

    g_assert_cmpstr(json, ==, json_again);
    g_assert_cmpstr(again->plan->from, ==, "saved,cold");
    g_assert_nonnull(strstr(plan, "from a saved state, and cold"));
    g_assert_nonnull(strstr(table, "clone, before request"));
    g_assert_true(run_fixture_has_note(analysis_again->notes, "saved"));
    g_assert_nonnull(strstr(csv, ",vm-saved,vm,kvm,0,20,false,ok,0,clone,7000000,ns\n"));
    g_assert_null(strstr(csv, ",container,container,,0,1,false,ok,0,clone,"));
    run_fixture_assert_fits(table);
    /* Claims are of VMs that boot. */
    g_assert_cmpint(duet_figure_arm(again, "vm"), ==, 0);
    duet_run_arm(again, 0)->kind[0] = 'x';
    g_assert_cmpint(duet_figure_arm(again, "vm"), ==, -1);
    static const char *const damage[][2] = {
        { "\"from\" : \"saved,cold\"", "\"from\" : \"warm\"" },
        { "\"from\" : \"saved,cold\"", "\"from\" : 3" },
        { "\"clone_ns\" : 7000000", "\"clone_ns\" : -1" },
    };
    run_fixture_assert_refused(json, damage, G_N_ELEMENTS(damage));
}

static void test_many_arms(void)
{
    g_autoptr(DuetRun) run = run_fixture_new(1, 10, 1);

    duet_plan_free(run->plan);
    run->plan = duet_plan_new(14, 1, 1, 60000, 0.02);
    for (guint i = 2; i < 14; i++) {
        g_autofree char *name = g_strdup_printf("a-peer-with-a-long-name-%u", i);
        DuetRandom random;
        duet_random_init(&random, i);
        run_fixture_add_arm(run, name, "container", NULL);
        run_fixture_add_sample(run, &random, i, 0, 10);
    }
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *table = duet_bench_table(run, analysis);
    g_auto(GStrv) parts = g_strsplit(table, "\nphases (medians)", -1);
    run_fixture_assert_fits(table);
    /* Six, six and two beside each other: none is cut. */
    g_assert_cmpuint(g_strv_length(parts), ==, 4);
    g_assert_cmpuint(strlen("phases (medians)") + strcspn(parts[1], "\n"), ==, 22 + 6 * 9);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/results/slower", test_slower);
    g_test_add_func("/results/blocks-are-of-one-run", test_blocks_are_of_one_run);
    g_test_add_func("/results/unmatched", test_unmatched);
    g_test_add_func("/results/refused", test_refused);
    g_test_add_func("/results/changes", test_changes);
    g_test_add_func("/results/unknown", test_unknown);
    g_test_add_func("/results/withheld", test_withheld);
    g_test_add_func("/results/tcg-against-kvm", test_tcg_against_kvm);
    g_test_add_func("/results/metrics", test_metrics);
    g_test_add_func("/results/detectable", test_detectable);
    g_test_add_func("/results/foreign-record", test_foreign_record);
    g_test_add_func("/results/markdown", test_markdown);
    g_test_add_func("/results/openmetrics-spread", test_openmetrics_spread);
    g_test_add_func("/results/hostile", test_hostile);
    g_test_add_func("/results/nothing-dropped", test_nothing_dropped);
    g_test_add_func("/results/ready", test_ready);
    g_test_add_func("/results/saved", test_saved);
    g_test_add_func("/results/many-arms", test_many_arms);
    return g_test_run();
}
