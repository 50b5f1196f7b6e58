/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run-fixture.h"

#include <string.h>

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/notes.h"
#include "bench/result/result.h"

static const char host_json[] =
    "{\"machine_hash\": \"0123\", \"os\": \"Debian\", \"load_1min\": 0.1,"
    " \"cpu\": {\"model\": \"A CPU\", \"online\": 8, \"governor\": \"performance\","
    "  \"hypervisor\": null},"
    " \"memory\": {\"ram_bytes\": 4294967296, \"swap_bytes\": 0, \"swap_free_bytes\": 0,"
    "  \"ksm_run\": 0},"
    " \"kernel\": {\"release\": \"6.1.0\", \"machine\": \"x86_64\"}}";

JsonObject *run_fixture_object(const char *json)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = json_from_string(json, &error);

    g_assert_no_error(error);
    return json_object_ref(json_node_get_object(node));
}

void run_fixture_add_arm(DuetRun *run, const char *name, const char *kind, const char *accel)
{
    static char *echo[] = { (char *)"echo", NULL };
    DuetRunArm *arm = duet_run_arm_new(name, kind);

    arm->image_ref = g_strdup("busybox:latest");
    arm->image_digest = g_strdup("sha256:0123456789abcdef");
    arm->argv = g_strdupv(echo);
    if (accel) {
        arm->driver = json_object_new();
        json_object_set_string_member(arm->driver, "accel", accel);
        json_object_set_string_member(arm->driver, "qemu_version", "7.2.0");
        json_object_set_string_member(arm->driver, "kernel_version", "6.1.0");
    }
    g_ptr_array_add(run->arms, arm);
}

void run_fixture_add_sample(DuetRun *run, DuetRandom *random, guint arm, guint block, gint64 ms)
{
    DuetSample *sample = duet_sample_new(arm, block, run->samples->len);
    gint64 at = (10000 + 10 * run->samples->len) * 1000 * MS;

    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    sample->marks.ns[DUET_MARK_REQUEST] = at;
    sample->marks.ns[DUET_MARK_EXEC] = at + ms * MS / 2;
    sample->marks.ns[DUET_MARK_OUTPUT] = at += ms * MS + duet_random_below(random, ms * MS / 50);
    sample->marks.ns[DUET_MARK_RELEASED] = at + MS;
    sample->managing_cpu_ns = MS + duet_random_below(random, MS / 50);
    g_ptr_array_add(run->samples, sample);
}

DuetRun *run_fixture_new(guint64 seed, gint64 container_ms, guint n)
{
    DuetRun *run = duet_run_new(&duet_benchmark_boot, duet_plan_new(2, n, seed, 60000, 0.02));
    DuetRandom random;

    duet_random_init(&random, seed);
    json_object_unref(run->host);
    run->host = run_fixture_object(host_json);
    json_object_unref(run->tool);
    run->tool =
        run_fixture_object("{\"version\": \"0.1.0\", \"commit\": \"abc\", \"build_flags\": \"\"}");
    run_fixture_add_arm(run, "vm", "vm", "kvm");
    run_fixture_add_arm(run, "container", "container", NULL);
    for (guint block = 0; block < n; block++) {
        for (guint arm = 0; arm < 2; arm++) {
            run->plan->order[2 * block + arm] = arm;
            run_fixture_add_sample(run, &random, arm, block, arm == 0 ? 2000 : container_ms);
        }
    }
    return run;
}

char *run_fixture_shown(const DuetRun *run, const char *format)
{
    const char *const *formats = run->benchmark->formats;

    for (guint i = 0; formats[i]; i++) {
        if (g_str_equal(formats[i], format))
            return run->benchmark->show(run, i, FALSE);
    }
    g_assert_not_reached();
}

void run_fixture_assert_fits(const char *table)
{
    g_auto(GStrv) lines = g_strsplit(table, "\n", -1);

    for (char **line = lines; *line; line++) {
        if (g_utf8_strlen(*line, -1) > 80)
            g_error("wider than 80 columns: %s", *line);
    }
    g_assert_null(strstr(table, "nan"));
    g_assert_null(strstr(table, "inf"));
}

gboolean run_fixture_has_note(GPtrArray *notes, const char *code)
{
    for (guint i = 0; i < notes->len; i++) {
        if (g_str_equal(((const DuetNote *)g_ptr_array_index(notes, i))->code, code))
            return TRUE;
    }
    return FALSE;
}

void run_fixture_assert_refused(const char *json, const char *const damage[][2], gsize n)
{
    for (gsize i = 0; i < n; i++) {
        const char *at = strstr(json, damage[i][0]);
        g_assert_nonnull(at);
        g_autofree char *before = g_strndup(json, at - json);
        g_autofree char *text = g_strconcat(before, damage[i][1], at + strlen(damage[i][0]), NULL);
        g_autoptr(GError) error = NULL;
        g_test_message("%s", damage[i][1]);
        g_assert_null(duet_result_parse(text, -1, &error));
        g_assert_error(error, DUET_ERROR, DUET_ERROR_BROKEN);
    }
}

void run_fixture_other_host(DuetRun *run)
{
    json_object_set_string_member(run->host, "machine_hash", "4567");
}
void run_fixture_unknown_host(DuetRun *run)
{
    json_object_set_null_member(run->host, "machine_hash");
}
void run_fixture_other_cpu(DuetRun *run)
{
    json_object_set_string_member(
        json_object_get_object_member(run->host, "cpu"), "model", "Another CPU");
}
void run_fixture_from_saved(DuetRun *run)
{
    run->plan->from = g_strdup(DUET_BENCH_FROM_SAVED);
}

void run_fixture_other_mode(DuetRun *run)
{
    g_free(run->plan->mode);
    run->plan->mode = g_strdup("cold-host");
}
void run_fixture_other_accel(DuetRun *run)
{
    json_object_set_string_member(duet_run_arm(run, 0)->driver, "accel", "tcg");
}
void run_fixture_other_image(DuetRun *run)
{
    g_free(duet_run_arm(run, 1)->image_digest);
    duet_run_arm(run, 1)->image_digest = g_strdup("sha256:fedc");
}
void run_fixture_other_command(DuetRun *run)
{
    g_free(duet_run_arm(run, 1)->argv[0]);
    duet_run_arm(run, 1)->argv[0] = g_strdup("true");
}
void run_fixture_other_kind(DuetRun *run)
{
    g_free(duet_run_arm(run, 1)->kind);
    duet_run_arm(run, 1)->kind = g_strdup("native");
}
