/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a result file says, and what it may not; what is recorded of the host. */
#include <glib.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <duet/error.h>

#include "bench/analysis.h"
#include "bench/host/environment.h"
#include "bench/result/result.h"
#include "bench/table.h"
#include "lab-fixture.h"

static void test_round_trip(void)
{
    LabArm arms[] = { lab_vm_tcg(), lab_container(), lab_native() };
    Lab lab = { .arms = arms };
    arms[1].fail_every = 7;
    arms[2].timeout_every = 11;
    g_autoptr(DuetRun) run = lab_run(&lab, 3, 30, NULL);
    g_autofree char *folder = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    g_autofree char *path = g_build_filename(folder, "run.json", NULL);
    g_autoptr(GError) error = NULL;

    duet_sample_warn(duet_run_sample(run, 9), "left behind: a \"mount\" \xff");
    g_ptr_array_add(run->warnings, g_strdup("the host was busy"));
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, TRUE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    g_assert_true(duet_result_save(path, json, &error));
    g_assert_no_error(error);
    g_autoptr(DuetRun) loaded = duet_result_load(path, &error);
    g_assert_no_error(error);
    g_autoptr(DuetAnalysis) again = duet_analysis_new(loaded, TRUE);
    g_autofree char *json_again = duet_result_to_json(loaded, again);
    g_assert_cmpstr(json, ==, json_again);
    /* The one byte that is no UTF-8 became U+FFFD on the way. */
    g_autofree char *table = duet_bench_table(run, analysis);
    g_autofree char *table_again = duet_bench_table(loaded, again);
    g_assert_cmpstr(table, ==, table_again);
    run_fixture_assert_fits(table);
    g_unlink(path);
    g_rmdir(folder);
}

static void test_json_is_json(void)
{
    /* One sample: deviation, interval, drift are not defined, and null in the file. */
    LabArm arms[] = { lab_container(), lab_native() };
    Lab lab = { .arms = arms };
    g_autoptr(DuetRun) run = lab_run(&lab, 2, 1, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    const char *python[] = { "python3", "-c",
        "import json, sys\n"
        "def no(x): raise ValueError(x)\n"
        "r = json.load(sys.stdin, parse_constant=no)\n"
        "s = r['summary'][0]['metrics']['request_to_output']\n"
        "assert s['sd_ns'] is None and s['median_low_ns'] is None and s['n'] == 1\n"
        "raw = [x for x in r['samples'] if not x['discarded'] and x['arm'] == 'container']\n"
        "assert raw[0]['marks_ns']['output'] - raw[0]['marks_ns']['request'] == s['median_ns']\n"
        "assert 'running' not in raw[0]['marks_ns'] and r['schema_version'] == 1\n",
        NULL };
    g_autoptr(GError) error = NULL;

    g_assert_null(strstr(json, "NaN"));
    g_assert_null(strstr(json, "nan"));
    g_autofree char *interpreter = g_find_program_in_path("python3");
    if (!interpreter)
        return;
    /* Through a pipe, as a user would. */
    int in = -1, status = -1;
    GPid pid;
    g_assert_true(g_spawn_async_with_pipes(NULL, (char **)python, NULL,
        G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid, &in, NULL, NULL,
        &error));
    g_assert_cmpint(write(in, json, strlen(json)), ==, (gssize)strlen(json));
    close(in);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    g_assert_cmpint(status, ==, 0);
}

static void assert_broken(const char *json, DuetError code)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(DuetRun) run = duet_result_parse(json, -1, &error);

    g_assert_null(run);
    g_assert_error(error, DUET_ERROR, (int)code);
}

static void test_foreign_files(void)
{
    LabArm arms[] = { lab_container() };
    Lab lab = { .arms = arms };
    g_autoptr(DuetRun) run = lab_run(&lab, 1, 2, NULL);
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    static const char *const damage[][2] = {
        { "\"schema_version\" : 1", "\"schema_version\" : \"1\"" },
        { "\"arm\" : \"container\"", "\"arm\" : \"nobody\"" },
        { "\"status\" : \"ok\"", "\"status\" : \"splendid\"" },
        { "\"exit_code\" : 0", "\"exit_code\" : 256" },
        { "\"exit_code\" : 0", "\"exit_code\" : 1e300" },
        { "\"load_1min\" :", "\"load_1min\" : 1e999, \"z\" :" },
        { "\"n\" : 2", "\"n\" : 3" },
        { "\"n\" : 2", "\"n\" : -1" },
        { "\"seed\" : 42", "\"seed\" : 9007199254740993" },
        { "\"marks_ns\" : {", "\"marks_ns\" : 5, \"x\" : {" },
        { "\"managing\" :", "\"managing\" : -" },
        { "\"samples\" : [", "\"samples\" : null, \"y\" : [" },
        { "\"discarded\" : true", "\"discarded\" : 1" },
    };

    for (gsize i = 0; i < G_N_ELEMENTS(damage); i++) {
        char *at = strstr(json, damage[i][0]);
        g_assert_nonnull(at);
        g_autofree char *before = g_strndup(json, at - json);
        g_autofree char *text = g_strconcat(before, damage[i][1], at + strlen(damage[i][0]), NULL);
        assert_broken(text, DUET_ERROR_BROKEN);
    }
    assert_broken("", DUET_ERROR_BROKEN);
    assert_broken("[]", DUET_ERROR_BROKEN);
    assert_broken("{}", DUET_ERROR_BROKEN);
    assert_broken("{\"schema_version\": 1}", DUET_ERROR_BROKEN);
    assert_broken("{\"schema_version\": 1, \"arms\": []}", DUET_ERROR_BROKEN);
    assert_broken("{\"schema_version\": 2}", DUET_ERROR_UNSUPPORTED);
    /* json-glib calls itself for each level: this took the whole stack. */
    g_autofree char *deep = g_strnfill(1000000, '[');
    assert_broken(deep, DUET_ERROR_BROKEN);
    g_autofree char *hidden = g_strconcat("/* \" */", deep, NULL);
    assert_broken(hidden, DUET_ERROR_BROKEN);
    g_autofree char *escaped = g_strconcat("[\"\\\\\", \"\\\"\", ", deep, NULL);
    assert_broken(escaped, DUET_ERROR_BROKEN);
    /* Brackets in a string nest nothing. */
    g_autofree char *sample = g_strdup_printf("\"error\" : \"%.99s\\\"\"", deep);
    char *at = strstr(json, "\"error\" : null");
    g_autofree char *before = g_strndup(json, at - json);
    g_autofree char *good = g_strconcat(before, sample, at + strlen("\"error\" : null"), NULL);
    g_autoptr(DuetRun) read = duet_result_parse(good, -1, NULL);
    g_assert_nonnull(read);
    for (gsize cut = 0; cut < strlen(json) - 2; cut += 97) {
        g_autofree char *part = g_strndup(json, cut);
        assert_broken(part, DUET_ERROR_BROKEN);
    }
}

static void test_environment(void)
{
    g_autoptr(JsonObject) host = duet_environment_host("/");
    g_autoptr(JsonObject) tool = duet_environment_tool();
    g_autoptr(GPtrArray) warnings = duet_environment_warnings(host, tool);
    JsonObject *cpu = json_object_get_object_member(host, "cpu");
    JsonObject *memory = json_object_get_object_member(host, "memory");
    JsonObject *kernel = json_object_get_object_member(host, "kernel");

    g_assert_cmpint(json_object_get_int_member(cpu, "online"), >=, 1);
    g_assert_cmpint(json_object_get_int_member(memory, "ram_bytes"), >, 1 << 20);
    g_assert_cmpstr(json_object_get_string_member(kernel, "release"), !=, "");
    g_assert_cmpstr(json_object_get_string_member(tool, "name"), ==, "duet");
    g_assert_true(json_object_has_member(host, "file_system"));
    g_assert_true(json_object_has_member(host, "cgroup_version"));
    g_assert_nonnull(warnings);

    /* A host made to be doubted. */
    json_object_set_double_member(host, "load_1min", 1000);
    json_object_set_string_member(cpu, "hypervisor", "tcg");
    json_object_set_string_member(cpu, "governor", "powersave");
    json_object_set_int_member(memory, "ksm_run", 1);
    json_object_set_int_member(memory, "swap_bytes", 4 << 20);
    json_object_set_int_member(memory, "swap_free_bytes", 1 << 20);
    g_autoptr(GPtrArray) many = duet_environment_warnings(host, tool);
    g_assert_cmpuint(many->len, >=, 5);
    g_assert_true(g_str_has_prefix(g_ptr_array_index(many, 0), "nested under TCG"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/result/round-trip", test_round_trip);
    g_test_add_func("/result/json-is-json", test_json_is_json);
    g_test_add_func("/result/foreign-files", test_foreign_files);
    g_test_add_func("/environment/host", test_environment);
    return g_test_run();
}
