/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "run.h"

#include <duet/bench.h>

#include "record.h"

static const char *const status_names[] = {
    [DUET_SAMPLE_OK] = "ok",
    [DUET_SAMPLE_FAILED] = "failed",
    [DUET_SAMPLE_TIMEOUT] = "timeout",
};

const char *duet_sample_status_to_string(DuetSampleStatus status)
{
    g_return_val_if_fail((gsize)status < G_N_ELEMENTS(status_names), "failed");
    return status_names[status];
}

gboolean duet_sample_status_from_string(const char *text, DuetSampleStatus *out_status)
{
    for (gsize i = 0; i < G_N_ELEMENTS(status_names); i++) {
        if (g_strcmp0(text, status_names[i]) == 0) {
            *out_status = i;
            return TRUE;
        }
    }
    return FALSE;
}

DuetSample *duet_sample_new(guint arm, guint block, guint seq)
{
    DuetSample *sample = g_new0(DuetSample, 1);

    sample->arm = arm;
    sample->block = block;
    sample->seq = seq;
    sample->status = DUET_SAMPLE_FAILED;
    sample->exit_code = -1;
    sample->warnings = g_ptr_array_new_with_free_func(g_free);
    return sample;
}

void duet_sample_free(DuetSample *sample)
{
    if (!sample)
        return;
    g_free(sample->error);
    duet_memory_point_free(sample->memory);
    g_free(sample->density);
    duet_overhead_point_free(sample->overhead);
    duet_load_point_free(sample->load);
    g_ptr_array_unref(sample->warnings);
    g_free(sample);
}

void duet_sample_warn(DuetSample *sample, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(sample->warnings, g_strdup_vprintf(format, args));
    va_end(args);
}

void duet_sample_check_marks(DuetSample *sample)
{
    int last = -1;

    for (int mark = 0; mark < DUET_MARK_COUNT; mark++) {
        if (sample->marks.ns[mark] == 0)
            continue;
        if (last >= 0 && sample->marks.ns[mark] < sample->marks.ns[last])
            duet_sample_warn(sample, "the mark '%s' was taken before '%s'",
                duet_mark_to_string(mark), duet_mark_to_string(last));
        last = mark;
    }
}

DuetRunArm *duet_run_arm_new(const char *name, const char *kind)
{
    DuetRunArm *arm = g_new0(DuetRunArm, 1);

    arm->name = g_strdup(name);
    arm->kind = g_strdup(kind);
    return arm;
}

void duet_run_arm_free(DuetRunArm *arm)
{
    if (!arm)
        return;
    g_free(arm->name);
    g_free(arm->kind);
    g_free(arm->image_ref);
    g_free(arm->image_digest);
    g_strfreev(arm->argv);
    g_clear_pointer(&arm->driver, json_object_unref);
    g_free(arm);
}

const char *const duet_run_arm_facts[] = { "qemu_version", "libvirt_version", "machine",
    "cpu_model", "kernel_version", "kernel_sha256", "kernel_cmdline", "initramfs_sha256",
    "peer_version", "peer_file", "peer_run", "peer_start", NULL };

const char *const duet_run_arm_walls[] = { "seccomp", "capabilities", "apparmor", "user_namespace",
    NULL };

const char *duet_run_arm_accel(const DuetRunArm *arm)
{
    return duet_record_string(arm->driver, "accel");
}

const char *duet_run_arm_kernel(const DuetRun *run, const DuetRunArm *arm)
{
    const char *guest = duet_record_string(arm->driver, "kernel_version");

    return guest ? guest : duet_record_string(run->host, "kernel.release");
}

gboolean duet_run_arm_is_peer(const DuetRunArm *arm)
{
    return g_strcmp0(arm->kind, DUET_RUN_ARM_PEER) == 0;
}

gboolean duet_run_arm_is_saved(const DuetRunArm *arm)
{
    return g_str_equal(arm->name, DUET_BENCH_ARM_SAVED);
}

DuetRun *duet_run_new(const DuetBenchmark *benchmark, DuetPlan *plan)
{
    DuetRun *run = g_new0(DuetRun, 1);
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();

    run->benchmark = benchmark;
    run->run_id = g_uuid_string_random();
    run->started = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");
    run->tool = json_object_new();
    run->host = json_object_new();
    run->plan = plan;
    run->arms = g_ptr_array_new_with_free_func((GDestroyNotify)duet_run_arm_free);
    run->samples = g_ptr_array_new_with_free_func((GDestroyNotify)duet_sample_free);
    run->skipped = g_ptr_array_new_with_free_func(g_free);
    run->warnings = g_ptr_array_new_with_free_func(g_free);
    return run;
}

void duet_run_free(DuetRun *run)
{
    if (!run)
        return;
    g_free(run->run_id);
    g_free(run->started);
    json_object_unref(run->tool);
    json_object_unref(run->host);
    duet_plan_free(run->plan);
    g_ptr_array_unref(run->arms);
    g_ptr_array_unref(run->samples);
    g_clear_pointer(&run->idle_noise, g_array_unref);
    g_ptr_array_unref(run->skipped);
    g_clear_pointer(&run->density, g_ptr_array_unref);
    g_clear_pointer(&run->compared, json_object_unref);
    g_ptr_array_unref(run->warnings);
    g_free(run);
}

DuetRunArm *duet_run_arm(const DuetRun *run, guint arm)
{
    return g_ptr_array_index(run->arms, arm);
}

gboolean duet_run_arm_tcg(const DuetRunArm *arm)
{
    return g_strcmp0(duet_run_arm_accel(arm), "tcg") == 0;
}

gboolean duet_run_tcg(const DuetRun *run)
{
    for (guint i = 0; i < run->arms->len; i++) {
        if (duet_run_arm_tcg(duet_run_arm(run, i)))
            return TRUE;
    }
    return FALSE;
}

DuetSample *duet_run_sample(const DuetRun *run, guint i)
{
    return g_ptr_array_index(run->samples, i);
}
