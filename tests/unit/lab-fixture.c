/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab-fixture.h"

#include <string.h>

#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/host/environment.h"
#include "bench/runner.h"

static gint64 jitter(Lab *lab, gint64 ns)
{
    return ns + duet_random_below(&lab->random, ns / 50 + 1);
}

static gboolean take(DuetSample *sample, gpointer data, GError **error)
{
    Lab *lab = data;
    LabArm *arm = &lab->arms[sample->arm];
    gboolean vm = g_str_equal(arm->kind, "vm");
    gint64 at = lab->clock_ns += 1000 * MS;

    g_assert_cmpuint(sample->seq, ==, lab->taken);
    lab->taken++;
    if (lab->hopeless_after > 0 && lab->taken >= lab->hopeless_after) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_COMMAND_NOT_FOUND, "there is no 'nonsense'");
        return FALSE;
    }
    sample->marks.ns[DUET_MARK_REQUEST] = at;
    sample->marks.ns[DUET_MARK_SPAWNED] = at += jitter(lab, arm->output_ns / 10);
    if (vm)
        sample->marks.ns[DUET_MARK_RUNNING] = at += jitter(lab, arm->output_ns / 10);
    sample->marks.ns[DUET_MARK_INIT] = at += jitter(lab, arm->output_ns / 2);
    sample->marks.ns[DUET_MARK_EXEC] = at += jitter(lab, arm->output_ns / 10);
    sample->marks.ns[DUET_MARK_OUTPUT] = at += jitter(lab, arm->output_ns / 10);
    sample->marks.ns[DUET_MARK_EXITED] = at += jitter(lab, arm->output_ns / 20);
    sample->marks.ns[DUET_MARK_RELEASED] = at += jitter(lab, arm->output_ns / 20);
    sample->managing_cpu_ns = jitter(lab, arm->output_ns / 8);
    sample->payload_cpu_ns = jitter(lab, arm->output_ns / 3);
    if (vm) {
        sample->guest_kernel_ns = jitter(lab, arm->output_ns / 3);
        sample->guest_agent_ns = jitter(lab, arm->output_ns / 30);
    }
    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    if (sample->discarded)
        return TRUE;
    arm->taken++;
    if (arm->fail_every > 0 && arm->taken % arm->fail_every == 0) {
        sample->status = DUET_SAMPLE_FAILED;
        sample->exit_code = 3;
    } else if (arm->timeout_every > 0 && arm->taken % arm->timeout_every == 0) {
        sample->status = DUET_SAMPLE_TIMEOUT;
        sample->exit_code = 137;
        sample->exit_signal = 9;
    }
    return TRUE;
}

static gboolean interrupted(const DuetSample *sample, gpointer data)
{
    Lab *lab = data;

    (void)sample;
    return lab->interrupt_at > 0 && lab->taken >= lab->interrupt_at;
}

static void count_lines(const char *line, gpointer data)
{
    guint *lines = data;

    if (line)
        g_assert_cmpuint(strlen(line), <, 78);
    *lines += line != NULL;
}

DuetRun *lab_run(Lab *lab, guint n_arms, guint n, GError **error)
{
    DuetRun *run = duet_run_new(&duet_benchmark_boot, duet_plan_new(n_arms, n, 42, 10000, 0.02));
    guint lines = 0;
    DuetRunner runner = { take, interrupted, lab, count_lines, &lines };

    duet_random_init(&lab->random, 5);
    json_object_unref(run->host);
    run->host = duet_environment_host("/");
    json_object_set_string_member(json_object_get_object_member(run->host, "cpu"), "hypervisor",
        lab->hypervisor ? lab->hypervisor : "");
    json_object_unref(run->tool);
    run->tool = duet_environment_tool();
    for (guint i = 0; i < n_arms; i++) {
        static char *echo[] = { (char *)"echo", (char *)"it's", NULL };
        DuetRunArm *arm = duet_run_arm_new(lab->arms[i].name, lab->arms[i].kind);
        arm->image_ref = g_strdup("busybox:latest");
        arm->image_digest = g_strdup("sha256:0123456789abcdef");
        arm->argv = g_strdupv(echo);
        if (lab->arms[i].accel) {
            arm->driver = json_object_new();
            json_object_set_string_member(arm->driver, "accel", lab->arms[i].accel);
            json_object_set_string_member(arm->driver, "qemu_version", "7.2.0");
        }
        g_ptr_array_add(run->arms, arm);
    }
    gboolean done = duet_runner_run(&runner, run, error);
    if (done)
        g_assert_cmpuint(lines, ==, run->samples->len);
    else
        g_clear_pointer(&run, duet_run_free);
    return run;
}

LabArm lab_vm_tcg(void)
{
    return (LabArm){ .name = "vm", .kind = "vm", .accel = "tcg", .output_ns = 2400 * MS };
}

LabArm lab_container(void)
{
    return (LabArm){ .name = "container", .kind = "container", .output_ns = 14 * MS };
}

LabArm lab_native(void)
{
    return (LabArm){ .name = "native", .kind = "native", .output_ns = 3 * MS };
}
