/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <glib.h>
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>

#include <duet/error.h>

#include "bench/against/against.h"
#include "bench/benchmark.h"
#include "bench/notes.h"
#include "bench/overhead/overhead-cache.h"
#include "bench/overhead/overhead-parse.h"
#include "bench/overhead/overhead-sampler.h"
#include "bench/overhead/overhead-view.h"
#include "bench/result/result.h"
#include "overhead-fixture.h"

typedef gboolean (*Parse)(const char *output, DuetOverheadPoint *point, GError **error);

static char *recorded(const char *name)
{
    g_autofree char *path =
        g_build_filename(g_getenv("DUET_SOURCE_DIR"), "tests/unit/overhead-outputs", name, NULL);
    g_autoptr(GError) error = NULL;
    char *text = NULL;

    g_file_get_contents(path, &text, NULL, &error);
    g_assert_no_error(error);
    return text;
}

/* What Debian 12's tools wrote, word for word, and the figures that a person reads in it. */
static const struct {
    const char *file;
    Parse parse;
    const char *tool, *mode;
    double first, second;
} outputs[] = {
    { "sysbench-cpu.txt", duet_parse_sysbench_cpu, "sysbench-1.0.20", NULL, 89.08, NAN },
    { "sysbench-memory.txt", duet_parse_sysbench_memory, "sysbench-1.0.20", NULL, 238.99 * 1048576,
        NAN },
    { "dd.txt", duet_parse_dd, "coreutils-9.1", NULL, 1.21834e9 / (2 * 711), NAN },
    { "programs.txt", duet_parse_programs, "coreutils-9.1", NULL, 1e9 / 1648390808, NAN },
    { "stress-ng-switch.txt", duet_parse_stress_switch, "stress-ng-0.15.06", NULL, 271814703.941345,
        NAN },
    { "stress-ng-stream.txt", duet_parse_stress_stream, "stress-ng-0.15.06",
        "cache=8192K,host=32768K", (11258.125072 + 7505.416715) * 1048576, NAN },
    { "fio-read.json", duet_parse_fio, "fio-3.33", "direct=1", 668.993021, 1490408.622951 },
    { "fio-write.json", duet_parse_fio, "fio-3.33", "direct=1", 17.946162, 54860650.777778 },
    { "iperf3.json", duet_parse_iperf, "iperf-3.12", NULL, 2965077630.38786 / 8, NAN },
    { "sockperf.txt", duet_parse_sockperf, "sockperf-3.7-no.git", NULL, 126304, NAN },
};

static void assert_near(double got, double expected)
{
    if (isnan(expected))
        g_assert_true(isnan(got));
    else
        g_assert_cmpfloat_with_epsilon(got, expected, 1e-9 * expected);
}

static void test_recorded(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autofree char *text = recorded(outputs[i].file);
        g_autoptr(DuetOverheadPoint) point = duet_overhead_point_new(duet_overhead_tests());
        g_autoptr(GError) error = NULL;
        g_test_message("%s", outputs[i].file);
        g_assert_true(outputs[i].parse(text, point, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(point->tool, ==, outputs[i].tool);
        g_assert_cmpstr(point->mode, ==, outputs[i].mode);
        assert_near(point->values[0], outputs[i].first);
        assert_near(point->values[1], outputs[i].second);
    }
}

static void assert_broken(Parse parse, const char *text, const char *word)
{
    g_autoptr(DuetOverheadPoint) point = duet_overhead_point_new(duet_overhead_tests());
    g_autoptr(GError) error = NULL;

    g_test_message("%s: %.40s", word, text);
    g_assert_false(parse(text, point, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    g_assert_nonnull(strstr(error->message, word));
}

/* Cut anywhere, an output is refused, or has a figure that can be one. */
static void test_cut(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(outputs); i++) {
        g_autofree char *text = recorded(outputs[i].file);
        gsize length = strlen(text);
        guint refused = 0;
        for (gsize cut = 0; cut < length; cut += 7) {
            g_autofree char *part = g_strndup(text, cut);
            g_autoptr(DuetOverheadPoint) point = duet_overhead_point_new(duet_overhead_tests());
            g_autoptr(GError) error = NULL;
            if (outputs[i].parse(part, point, &error))
                g_assert_cmpfloat(point->values[0], >, 0);
            else
                g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
            refused += error != NULL;
        }
        g_assert_cmpuint(refused, >, 3);
    }
}

static void test_broken(void)
{
    g_autofree char *refused = recorded("iperf3-refused.json");

    for (gsize i = 0; i < G_N_ELEMENTS(outputs); i++)
        assert_broken(outputs[i].parse, "", "");
    assert_broken(duet_parse_iperf, refused, "Connection refused");
    assert_broken(
        duet_parse_iperf, "{\"start\": {\"version\": \"iperf 3.12\"}}", "bits_per_second");
    assert_broken(duet_parse_iperf, "[1]", "no JSON");
    assert_broken(duet_parse_sysbench_cpu, "sysbench 1.0\n events per second: nan\n", "events");
    assert_broken(duet_parse_sysbench_cpu, "sysbench 1.0\n events per second: 0\n", "events");
    assert_broken(duet_parse_sysbench_cpu, "sysbench 1.0\n events per second: 5,3\n", "events");
    assert_broken(duet_parse_sysbench_cpu, "events per second: 5\n", "version");
    assert_broken(duet_parse_sysbench_memory, "1 MiB transferred (-3 MiB/sec)", "MiB/sec");
    assert_broken(duet_parse_dd, "0 bytes copied, 1.2 s, 0 B/s\ndd (coreutils) 9.1\n", "bytes");
    assert_broken(duet_parse_dd, " copied, ", "bytes");
    assert_broken(duet_parse_programs, "programs: 5\nnanoseconds: 0\n", "count");
    assert_broken(duet_parse_fio, "{\"fio version\": \"fio-3.33\", \"jobs\": []}", "job");
    assert_broken(duet_parse_fio, "{\"fio version\": \"fio-3.33\", \"jobs\": [5]}", "job");
    assert_broken(duet_parse_fio,
        "{\"fio version\": \"x\", \"jobs\": [{\"read\": {\"total_ios\": 1, \"iops\": 1e999}}]}",
        "iops");
    assert_broken(duet_parse_sockperf, "sockperf: Summary: Round trip is 5x usec\n", "summary");
}

static void test_choose(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) all = duet_overhead_tests_choose(NULL, NULL);
    g_autoptr(GPtrArray) some = duet_overhead_tests_choose("process, disk", NULL);

    g_assert_cmpuint(all->len, ==, 11);
    g_assert_cmpuint(some->len, ==, 3);
    g_assert_cmpstr(((DuetOverheadTest *)g_ptr_array_index(some, 0))->name, ==, "disk-read");
    g_assert_cmpstr(((DuetOverheadTest *)g_ptr_array_index(some, 2))->name, ==, "process");
    g_assert_null(duet_overhead_tests_choose("cpu,dis", &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "'dis'"));
    g_clear_error(&error);
    g_assert_null(duet_overhead_tests_choose("", &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    g_auto(GStrv) argv = duet_overhead_test_argv(g_ptr_array_index(some, 0), 7, 5 << 20, 6 << 20);
    g_assert_cmpuint(g_strv_length(argv), ==, 5);
    g_assert_cmpstr(argv[4], ==, "7");
}

/* All arms get one size, which the smallest of them can hold. */
static void test_cache(void)
{
    const guint64 mib = 1 << 20;
    const DuetOverheadTest *stream = duet_overhead_test_find("memory-stream");
    g_autofree char *folder = g_dir_make_tmp("duet-caches-XXXXXX", NULL);
    static const char *const sizes[] = { "32K\n", "1024K\n", "33M\n" };

    g_assert_cmpuint(duet_overhead_cache_bytes(folder), ==, 0);
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *index = g_strdup_printf("%s/index%u", folder, i);
        g_autofree char *size = g_build_filename(index, "size", NULL);
        g_assert_cmpint(g_mkdir(index, 0700), ==, 0);
        g_assert_true(g_file_set_contents(size, sizes[i], -1, NULL));
    }
    g_assert_cmpuint(duet_overhead_cache_bytes(folder), ==, 33 * mib);
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        g_autofree char *index = g_strdup_printf("%s/index%u", folder, i);
        g_autofree char *size = g_build_filename(index, "size", NULL);
        g_unlink(size);
        g_rmdir(index);
    }
    g_rmdir(folder);
    g_assert_cmpuint(duet_overhead_stream_bytes(33 * mib, 0), ==, 33 * mib);
    g_assert_cmpuint(duet_overhead_stream_bytes(33 * mib, 1024 * mib), ==, 33 * mib);
    g_assert_cmpuint(duet_overhead_stream_bytes(33 * mib, 240 * mib), ==, 10 * mib);
    g_assert_cmpuint(duet_overhead_stream_bytes(0, 0), ==, 32 * mib);
    g_assert_cmpuint(duet_overhead_stream_bytes(33 * mib, 1), ==, mib);
    g_auto(GStrv) known = duet_overhead_test_argv(stream, 7, 10 * mib, 33 * mib);
    g_assert_cmpuint(g_strv_length(known), ==, 7);
    g_assert_cmpstr(known[5], ==, "10240");
    g_assert_cmpstr(known[6], ==, "33792K");
    g_auto(GStrv) unknown = duet_overhead_test_argv(stream, 7, 10 * mib, 0);
    g_assert_cmpstr(unknown[6], ==, "unknown");
}

static const DuetComparison *row(const DuetOverheadAnalysis *analysis, guint arm)
{
    const DuetComparison *comparison = duet_overhead_comparison(analysis, arm, 0);

    g_assert_nonnull(comparison);
    return comparison;
}

static void test_ratios(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1.25);
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);

    g_assert_cmpuint(analysis->comparisons->len, ==, 4);
    /* Against the native arm of the same test, whatever the direction. */
    g_assert_cmpuint(row(analysis, 1)->b, ==, 0);
    g_assert_cmpuint(row(analysis, 5)->b, ==, 3);
    g_assert_cmpint(row(analysis, 1)->verdict, ==, DUET_VERDICT_SAME);
    g_assert_cmpint(row(analysis, 2)->verdict, ==, DUET_VERDICT_DIFFERS);
    g_assert_cmpfloat_with_epsilon(row(analysis, 2)->contrast.ratio, 0.8, 0.01);
    g_assert_cmpfloat_with_epsilon(row(analysis, 5)->contrast.ratio, 1.25, 0.02);
    g_assert_cmpfloat(row(analysis, 2)->contrast.ratio_low, <, 0.81);
    /* Holm over the whole report: no p is below four times the smallest. */
    g_assert_cmpfloat(row(analysis, 2)->contrast.p_holm, >=,
        4 * MIN(row(analysis, 2)->contrast.p, row(analysis, 5)->contrast.p) - 1e-9);
}

/* Emulation makes a VM slow: as a lower rate or as a longer time, that is no finding. A VM that is
 * faster all the same is one. */
static void test_tcg(void)
{
    g_autoptr(DuetRun) slower = overhead_fixture_run("tcg", 8),
                       faster = overhead_fixture_run("tcg", 0.5);
    g_autoptr(DuetOverheadAnalysis) slow = duet_overhead_analysis_new(slower, FALSE);
    g_autoptr(DuetOverheadAnalysis) fast = duet_overhead_analysis_new(faster, FALSE);
    g_autofree char *table = duet_overhead_table(slower, slow);

    g_assert_cmpint(row(slow, 2)->verdict, ==, DUET_VERDICT_NO_KVM);
    g_assert_cmpint(row(slow, 5)->verdict, ==, DUET_VERDICT_NO_KVM);
    g_assert_cmpint(row(slow, 1)->verdict, ==, DUET_VERDICT_SAME);
    g_assert_cmpint(row(fast, 2)->verdict, ==, DUET_VERDICT_DIFFERS);
    g_assert_cmpint(row(fast, 5)->verdict, ==, DUET_VERDICT_DIFFERS);
    g_assert_true(g_str_has_prefix(table, "*** No hardware virtualization"));
    g_assert_nonnull(strstr(table, "vm: tcg, QEMU 7.2.0"));
    g_assert_null(strstr(table, "cpu:vm: tcg"));
    run_fixture_assert_fits(table);
}

static void set_guest_kernel(DuetRun *run, const char *release)
{
    for (guint arm = 2; arm < 6; arm += 3)
        json_object_set_string_member(duet_run_arm(run, arm)->driver, "kernel_version", release);
}

/* With another kernel in the guest, what is slower may be that kernel: no finding in either
 * direction. Emulation, where it favours the direction, is the stronger reason. */
static void test_other_kernel(void)
{
    const struct {
        const char *accel;
        double slow;
        DuetVerdict verdict;
    } cases[] = {
        { "kvm", 1.25, DUET_VERDICT_OTHER_KERNEL },
        { "kvm", 0.5, DUET_VERDICT_OTHER_KERNEL },
        { "kvm", 1, DUET_VERDICT_SAME },
        { "tcg", 8, DUET_VERDICT_NO_KVM },
        { "tcg", 0.5, DUET_VERDICT_OTHER_KERNEL },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(DuetRun) run = overhead_fixture_run(cases[i].accel, cases[i].slow);
        set_guest_kernel(run, "6.12.0");
        g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);
        g_assert_cmpint(row(analysis, 2)->verdict, ==, cases[i].verdict);
        g_assert_cmpint(row(analysis, 5)->verdict, ==, cases[i].verdict);
        g_assert_cmpint(row(analysis, 1)->verdict, ==, DUET_VERDICT_SAME);
    }
}

/* Figures stay beside it, in all views. Two VMs of one kernel are not confounded, nor is what is
 * not known to differ. */
static void test_other_kernel_views(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1.25);

    set_guest_kernel(run, "6.12.0");
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);
    g_autofree char *table = duet_overhead_table(run, analysis);
    g_autofree char *markdown = duet_overhead_markdown(run, analysis);
    g_autofree char *json = duet_overhead_result(run, analysis);
    g_assert_nonnull(strstr(table, "  undecided (other kernel)\n"));
    g_assert_nonnull(strstr(markdown, "| undecided (other kernel) |"));
    g_assert_nonnull(strstr(json, "\"verdict\" : \"undecided (other kernel)\""));
    g_assert_nonnull(strstr(json, "\"ratio\""));
    run_fixture_assert_fits(table);
    for (guint arm = 0; arm < 6; arm += 3)
        duet_run_arm(run, arm)->driver = json_object_ref(duet_run_arm(run, arm + 2)->driver);
    g_autoptr(DuetOverheadAnalysis) vms = duet_overhead_analysis_new(run, FALSE);
    g_assert_cmpint(row(vms, 2)->verdict, ==, DUET_VERDICT_DIFFERS);
    json_object_remove_member(run->host, "kernel");
    for (guint arm = 0; arm < 6; arm += 3)
        g_clear_pointer(&duet_run_arm(run, arm)->driver, json_object_unref);
    g_autoptr(DuetOverheadAnalysis) unknown = duet_overhead_analysis_new(run, FALSE);
    g_assert_cmpint(row(unknown, 2)->verdict, ==, DUET_VERDICT_DIFFERS);
}

static void test_nested(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 2);

    json_object_set_string_member(
        json_object_get_object_member(run->host, "cpu"), "hypervisor", "tcg");
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);
    g_autofree char *json = duet_overhead_result(run, analysis);
    g_autofree char *table = duet_overhead_table(run, analysis);

    g_assert_cmpint(row(analysis, 2)->verdict, ==, DUET_VERDICT_NESTED);
    g_assert_null(strstr(json, "\"ratio\""));
    g_assert_true(g_str_has_prefix(table, "*** Nested under TCG"));
    run_fixture_assert_fits(table);
}

/* Without a native arm the first of a test is what the others are compared with. */
static void test_baseline(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1);

    for (guint arm = 0; arm < 6; arm += 3) {
        g_free(duet_run_arm(run, arm)->kind);
        duet_run_arm(run, arm)->kind = g_strdup("container");
    }
    g_assert_cmpuint(duet_overhead_baseline(run, 5), ==, 3);
    g_assert_cmpuint(duet_overhead_baseline(run, 3), ==, 3);
}

static void test_notes(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1);

    json_object_set_string_member(duet_run_arm(run, 2)->driver, "kernel_version", "6.12.0");
    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        sample->overhead->mode = g_strdup(sample->arm == 1 ? "direct=0" : "direct=1");
    }
    duet_run_sample(run, 3)->status = DUET_SAMPLE_FAILED;
    duet_run_sample(run, 3)->exit_code = 3;
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);
    g_autofree char *table = duet_overhead_table(run, analysis);
    g_autofree char *markdown = duet_overhead_markdown(run, analysis);
    g_auto(GStrv) words = g_strsplit_set(table, " \n", -1);
    g_autoptr(GString) flat = g_string_new(NULL);
    for (char **word = words; *word; word++)
        g_string_append_printf(flat, "%s%s", **word ? " " : "", *word);

    g_assert_nonnull(strstr(flat->str, "the guest's kernel is 6.12.0, the host's 6.1.0"));
    g_assert_nonnull(
        strstr(flat->str, "cpu:container was measured with direct=0, cpu:native with direct=1"));
    g_assert_nonnull(strstr(flat->str, "syscall:native: 1 of 10 samples are not in its figures"));
    g_assert_nonnull(strstr(flat->str, "exit 3 (1)"));
    g_assert_cmpint(row(analysis, 4)->verdict, ==, DUET_VERDICT_FAILURES);
    g_assert_cmpint(row(analysis, 1)->verdict, ==, DUET_VERDICT_MODES);
    g_assert_cmpint(row(analysis, 2)->verdict, ==, DUET_VERDICT_SAME);
    g_assert_nonnull(strstr(table, "withheld: measured in different modes\n"));
    g_assert_nonnull(strstr(markdown, "withheld: samples failed"));
    g_assert_nonnull(strstr(markdown, "| withheld: measured in different modes |"));
    run_fixture_assert_fits(table);
}

/* What a run could have found, and the rest of a comparison, stands in the table and in Markdown,
 * of rates, times and few samples alike. */
static void test_details(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1.25);
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);
    g_autofree char *table = duet_overhead_table(run, analysis);
    g_autofree char *markdown = duet_overhead_markdown(run, analysis);

    g_auto(GStrv) rows = g_strsplit(table, "detectable 2", -1);
    g_auto(GStrv) cells = g_strsplit(markdown, ", smallest detectable 2", -1);
    g_assert_cmpuint(g_strv_length(rows), ==, 1 + 4);
    g_assert_cmpuint(g_strv_length(cells), ==, 1 + 4);
    g_assert_nonnull(strstr(table, "\n    difference -20"));
    g_assert_nonnull(strstr(table, " ns ("));
    g_assert_nonnull(strstr(table, ", p 0.0"));
    g_assert_nonnull(strstr(table, "Cliff's delta -1.00"));
    g_assert_nonnull(strstr(markdown, "| verdict | details |\n"));
    g_assert_nonnull(strstr(markdown, "| baseline |  |\n"));
    run_fixture_assert_fits(table);
    g_ptr_array_set_size(run->samples, 12);
    g_autoptr(DuetOverheadAnalysis) few = duet_overhead_analysis_new(run, FALSE);
    g_autofree char *short_table = duet_overhead_table(run, few);
    g_assert_nonnull(strstr(short_table, "/s (n/a), p "));
    g_assert_null(strstr(short_table, "nan"));
    g_assert_null(strstr(short_table, "n/a/s"));
    run_fixture_assert_fits(short_table);
}

static void set_modes(DuetRun *run, guint arm, const char *even, const char *odd)
{
    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        g_free(sample->overhead->mode);
        sample->overhead->mode = g_strdup(sample->arm != arm ? "direct=1"
                : sample->block % 2 == 0                     ? even
                                                             : odd);
    }
}

/* Without a ratio there is no test: it is none of those that Holm's method counts. */
static void test_modes(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1.25);

    set_modes(run, 2, "direct=1", "direct=1");
    g_autoptr(DuetOverheadAnalysis) same = duet_overhead_analysis_new(run, FALSE);
    g_assert_cmpint(row(same, 2)->verdict, ==, DUET_VERDICT_DIFFERS);
    /* All of an arm in another mode than its baseline, or every second sample of it. */
    for (guint i = 0; i < 2; i++) {
        set_modes(run, 2, i == 0 ? "direct=0" : "direct=1", "direct=0");
        g_autoptr(DuetOverheadAnalysis) apart = duet_overhead_analysis_new(run, TRUE);
        g_autofree char *json = duet_overhead_result(run, apart);
        g_assert_cmpint(row(apart, 2)->verdict, ==, DUET_VERDICT_MODES);
        g_assert_true(isnan(row(apart, 2)->contrast.p));
        g_assert_cmpint(row(apart, 1)->verdict, ==, DUET_VERDICT_SAME);
        g_assert_cmpfloat(row(apart, 5)->contrast.p_holm, <=, 3 * row(apart, 5)->contrast.p);
        g_auto(GStrv) parts = g_strsplit(json, "\"withheld: measured in different modes\"\n", -1);
        g_assert_cmpuint(g_strv_length(parts), ==, 2);
    }
}

/* An arm without a good sample and a ratio of two modes are in no format, and no format has NaN;
 * what failed is told. */
static void test_exports(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1.25);

    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        if (sample->arm == 5)
            sample->status = DUET_SAMPLE_FAILED;
        else if (sample->arm < 2)
            sample->overhead->mode = g_strdup(sample->arm == 1 ? "direct=0" : "direct=1");
    }
    g_autofree char *metrics = run_fixture_shown(run, "openmetrics"),
                    *go = run_fixture_shown(run, "benchstat"),
                    *phoronix = run_fixture_shown(run, "phoronix");
    g_assert_true(g_str_has_suffix(metrics, "\n# EOF\n"));
    g_assert_null(strstr(metrics, "nan"));
    g_assert_nonnull(strstr(metrics, "# UNIT duet_work_seconds seconds\n"));
    g_assert_nonnull(strstr(metrics, "# TYPE duet_work_spread_bytes_per_second gauge\n"));
    g_assert_nonnull(strstr(metrics, "metric=\"syscall.call_ns\",figure=\"median_low\"} 2.0"));
    g_assert_nonnull(strstr(metrics, "arm=\"syscall:vm\",status=\"failed\"} 10\n"));
    g_assert_null(strstr(metrics, "arm=\"syscall:vm\",metric="));
    g_assert_nonnull(strstr(metrics, "a=\"cpu:vm\",b=\"cpu:native\",metric=\"cpu.events_per_s\""));
    g_assert_null(strstr(metrics, "a=\"cpu:container\",b="));
    g_assert_nonnull(strstr(go, "\nUnit events/s better=higher\n"));
    g_assert_null(strstr(go, "Unit ns/op"));
    g_assert_nonnull(strstr(go, "# syscall%3Avm: 10 of 10 samples failed and are left out\n"));
    g_assert_null(strstr(go, "test=syscall/arm=vm"));
    g_assert_nonnull(strstr(go, "\nBenchmarkOverhead/test=cpu/arm=container/mode=direct%3D0 1 "));
    g_assert_nonnull(strstr(go, "\nBenchmarkOverhead/test=syscall/arm=native 1 20"));
    g_assert_null(strstr(go, "nan"));
    g_assert_nonnull(strstr(phoronix, "<Proportion>HIB</Proportion>"));
    g_assert_nonnull(strstr(phoronix, "<Proportion>LIB</Proportion>"));
    g_assert_nonnull(strstr(phoronix, "10 ok, 10 failed, 0 timed out"));
    g_auto(GStrv) entries = g_strsplit(phoronix, "<Entry>", -1);
    g_assert_cmpuint(g_strv_length(entries), ==, 1 + 5);
}

/* What was written is read again, and says the same. */
static void test_round_trip(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("tcg", 4);
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);
    g_autofree char *json = duet_overhead_result(run, analysis);
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) again = duet_result_parse(json, -1, &error);

    g_assert_no_error(error);
    g_assert_true(again->benchmark == &duet_benchmark_overhead);
    g_assert_cmpuint(again->plan->duration_s, ==, 3);
    g_autofree char *text = again->benchmark->show(again, 1, FALSE);
    g_assert_cmpstr(text, ==, json);
    g_autofree char *csv = again->benchmark->show(again, 2, FALSE);
    g_assert_nonnull(strstr(csv, ",ok,0,events_per_s,"));
    g_assert_nonnull(strstr(csv, ",ok,0,call_ns,"));
    g_autoptr(GPtrArray) weak = again->benchmark->check(again);
    g_assert_cmpuint(weak->len, >, 0);
}

/* A run whose VM became slower: each test's values against the same of the other run. */
static void test_against(void)
{
    g_autoptr(DuetRun) first = overhead_fixture_run("kvm", 1),
                       second = overhead_fixture_run("kvm", 1.25);
    DuetAgainstOptions options = { .floor = -1 };
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetAgainst) against = duet_against_new(first, "a", second, "b", &options, &error);

    g_assert_no_error(error);
    g_assert_cmpuint(against->comparisons->len, ==, 6);
    for (guint i = 0; i < 6; i++) {
        const DuetComparison *c = &g_array_index(against->comparisons, DuetComparison, i);
        gboolean vm = c->a % 3 == 2;
        g_assert_cmpuint(c->a, ==, c->b);
        g_assert_cmpint(c->verdict, ==, vm ? DUET_VERDICT_DIFFERS : DUET_VERDICT_SAME);
        g_assert_cmpfloat_with_epsilon(c->contrast.ratio, !vm ? 1 : c->a < 3 ? 0.8 : 1.25, 0.02);
    }
    g_autofree char *table = duet_against_table(against);
    g_autofree char *json = duet_against_json(against);
    run_fixture_assert_fits(table);
    g_assert_nonnull(strstr(table, "\ncpu.events_per_s, second / first\n"));
    g_assert_nonnull(strstr(table, "\nsyscall.call_ns, second / first\n"));
    g_assert_nonnull(strstr(json, "\"metric\" : \"syscall.call_ns\""));
    /* Work that went on for longer is other work. */
    second->plan->duration_s++;
    g_assert_null(duet_against_new(first, "a", second, "b", &options, &error));
    g_assert_nonnull(strstr(error->message, "plan duration_s: '3' and '4'"));
    g_clear_error(&error);
    second->plan->duration_s--;
    /* Blocks pair samples of one run only: those of two runs have nothing in common. */
    for (guint i = 0; i < second->samples->len; i++) {
        DuetSample *sample = g_ptr_array_index(second->samples, i);
        sample->block = second->plan->n - 1 - sample->block;
    }
    g_autoptr(DuetAgainst) shuffled = duet_against_new(first, "a", second, "b", &options, NULL);
    g_autofree char *same = duet_against_json(shuffled);
    g_assert_cmpstr(same, ==, json);
    /* A VM against a VM: another kernel is a change that is told, not a doubt. */
    set_guest_kernel(second, "6.12.0");
    g_autoptr(DuetAgainst) changed = duet_against_new(first, "a", second, "b", &options, NULL);
    g_autofree char *told = duet_against_table(changed);
    g_assert_cmpint(
        g_array_index(changed->comparisons, DuetComparison, 2).verdict, ==, DUET_VERDICT_DIFFERS);
    g_assert_nonnull(strstr(told, "kernel_version"));
    options.metrics = "syscall.call_ns";
    g_autoptr(DuetAgainst) part = duet_against_new(first, "a", second, "b", &options, NULL);
    g_assert_cmpuint(part->comparisons->len, ==, 3);
    options.metrics = "call_ns";
    g_assert_null(duet_against_new(first, "a", second, "b", &options, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, "cpu.events_per_s, syscall.call_ns"));
}

/* A tool that had to measure in another way is told of, once, and gives no ratio. */
static void test_against_mode(void)
{
    g_autoptr(DuetRun) first = overhead_fixture_run("kvm", 1),
                       second = overhead_fixture_run("kvm", 1);
    DuetAgainstOptions options = { .floor = -1 };
    g_autoptr(GError) error = NULL;
    guint told = 0;

    for (guint i = 0; i < second->samples->len; i++) {
        DuetSample *sample = duet_run_sample(second, i);
        duet_run_sample(first, i)->overhead->mode = g_strdup("direct=1");
        sample->overhead->mode = g_strdup(sample->arm == 4 ? "direct=0" : "direct=1");
    }
    g_autoptr(DuetAgainst) against = duet_against_new(first, "a", second, "b", &options, &error);
    g_assert_no_error(error);
    for (guint i = 0; i < against->notes->len; i++)
        told += g_str_equal(((DuetNote *)against->notes->pdata[i])->code, "mode");
    g_assert_cmpuint(told, ==, 1);
    for (guint i = 0; i < against->comparisons->len; i++) {
        const DuetComparison *c = &g_array_index(against->comparisons, DuetComparison, i);
        g_assert_cmpint(c->verdict, ==, c->a == 4 ? DUET_VERDICT_MODES : DUET_VERDICT_SAME);
    }
    g_autofree char *table = duet_against_table(against);
    g_autofree char *json = duet_against_json(against);
    run_fixture_assert_fits(table);
    g_assert_nonnull(strstr(table, "withheld: measured in different modes\n"));
    g_assert_nonnull(strstr(json, "\"withheld: measured in different modes\"\n"));
}

static void assert_refused(const char *json, const char *from, const char *to)
{
    g_auto(GStrv) parts = g_strsplit(json, from, 2);
    g_autofree char *changed = g_strjoinv(to, parts);
    g_autoptr(GError) error = NULL;

    g_test_message("%s", to);
    g_assert_cmpuint(g_strv_length(parts), ==, 2);
    g_assert_null(duet_result_parse(changed, -1, &error));
    g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
}

static void test_foreign(void)
{
    g_autoptr(DuetRun) run = overhead_fixture_run("kvm", 1);
    g_autoptr(DuetOverheadAnalysis) analysis = duet_overhead_analysis_new(run, FALSE);
    g_autofree char *json = duet_overhead_result(run, analysis);
    g_autofree char *plain = g_strdup(json);

    assert_refused(json, "\"test\" : \"cpu\"", "\"test\" : \"speed\"");
    assert_refused(json, "\"test\" : \"cpu\"", "\"test\" : \"switch\"");
    assert_refused(json, "\"test\" : \"cpu\"", "\"test\" : 5");
    assert_refused(json, "\"duration_s\" : 3", "\"duration_s\" : 0");
    assert_refused(json, "\"events_per_s\" : ", "\"events_per_s\" : -");
    /* All names of an arm at once: else it is the order that is broken. */
    g_auto(GStrv) parts = g_strsplit(plain, "cpu:vm", -1);
    g_autofree char *renamed = g_strjoinv("speed:vm", parts);
    g_assert_null(duet_result_parse(renamed, -1, NULL));
}

static DuetCaptured *captured(const char *text)
{
    DuetCaptured *out = g_new0(DuetCaptured, 1);

    out->total = strlen(text);
    out->kept = g_bytes_new(text, strlen(text));
    return out;
}

static void test_sample(void)
{
    const DuetOverheadTest *cpu = duet_overhead_test_find("cpu");
    g_autofree char *text = recorded("sysbench-cpu.txt");
    g_autoptr(DuetCaptured) good = captured(text), bad = captured("no tool of mine\n"),
                            nothing = captured("");
    g_autoptr(DuetSample) read = duet_sample_new(0, 0, 0), unread = duet_sample_new(0, 0, 1),
                          failed = duet_sample_new(0, 0, 2);

    read->status = unread->status = DUET_SAMPLE_OK;
    failed->status = DUET_SAMPLE_FAILED;
    duet_overhead_sampler_read(read, cpu, good, nothing);
    g_assert_cmpint(read->status, ==, DUET_SAMPLE_OK);
    g_assert_cmpfloat(read->overhead->values[0], ==, 89.08);
    g_assert_cmpuint(read->warnings->len, ==, 0);
    /* It ended well, but what it measured is not known. */
    duet_overhead_sampler_read(unread, cpu, bad, nothing);
    g_assert_cmpint(unread->status, ==, DUET_SAMPLE_FAILED);
    g_assert_null(unread->overhead);
    g_assert_nonnull(strstr(unread->error, "sysbench's output"));
    g_assert_cmpstr(g_ptr_array_index(unread->warnings, 0), ==, "its tool wrote: no tool of mine");
    /* A figure of a tool that failed is none. */
    duet_overhead_sampler_read(failed, cpu, good, bad);
    g_assert_null(failed->overhead);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/overhead/recorded", test_recorded);
    g_test_add_func("/overhead/broken", test_broken);
    g_test_add_func("/overhead/cut", test_cut);
    g_test_add_func("/overhead/choose", test_choose);
    g_test_add_func("/overhead/cache", test_cache);
    g_test_add_func("/overhead/ratios", test_ratios);
    g_test_add_func("/overhead/tcg", test_tcg);
    g_test_add_func("/overhead/other-kernel", test_other_kernel);
    g_test_add_func("/overhead/other-kernel/views", test_other_kernel_views);
    g_test_add_func("/overhead/nested", test_nested);
    g_test_add_func("/overhead/baseline", test_baseline);
    g_test_add_func("/overhead/notes", test_notes);
    g_test_add_func("/overhead/details", test_details);
    g_test_add_func("/overhead/modes", test_modes);
    g_test_add_func("/overhead/exports", test_exports);
    g_test_add_func("/overhead/round-trip", test_round_trip);
    g_test_add_func("/overhead/against", test_against);
    g_test_add_func("/overhead/against/mode", test_against_mode);
    g_test_add_func("/overhead/foreign", test_foreign);
    g_test_add_func("/overhead/sample", test_sample);
    return g_test_run();
}
