/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory-fixture.h"

#include "bench/benchmark.h"
#include "bench/runner.h"

static DuetInstanceMemory instance_of(const MemoryKind *kind, guint count)
{
    guint64 file = kind->file / count;

    return (DuetInstanceMemory){
        .age_ns = 10100 * MS,
        .memory = {
            .payload_pss_bytes = kind->guest + kind->anon + file,
            .managing_pss_bytes = kind->managing,
            .guest_ram_pss_bytes = kind->guest,
            .anon_pss_bytes = kind->anon,
            .file_pss_bytes = file,
            .page_table_bytes = kind->kernel / 2,
            .cgroup_bytes = kind->guest + kind->anon + kind->kernel + kind->cache,
            .cgroup_anon_bytes = kind->guest + kind->anon,
            .cgroup_file_bytes = kind->cache,
            .cgroup_kernel_bytes = kind->kernel,
            .managing_cgroup_bytes = kind->managing,
            .managing_cgroup_anon_bytes = kind->managing,
        },
    };
}

static DuetHostMemory guest_of(const MemoryKind *kind)
{
    return (DuetHostMemory){
        .at_ns = g_str_equal(kind->kind, "vm"),
        .total_bytes = 240 * MIB,
        .available_bytes = 200 * MIB,
        .free_bytes = 180 * MIB,
        .cached_bytes = 21 * MIB,
        .buffers_bytes = 2 * MIB,
    };
}

static DuetKsmOutcome merged(const MemoryKind *kind, guint count)
{
    return (DuetKsmOutcome){
        .before = { .at_ns = 1, .sharing_pages = 100, .cpu_ns = 1000 * MS },
        .after = { .at_ns = 2,
            .full_scans = 3,
            .shared_pages = 7,
            .other_pages = 9,
            .sharing_pages = 100 + (count ? count - 1 : 0) * kind->guest / 2 / 4096,
            .cpu_ns = (1000 + 500 * count) * MS },
        .waited_ns = 12000 * MS,
        .settled = count < 8,
        .page_bytes = 4096,
    };
}

static DuetHostMemory host_with(const MemoryKind *kind, guint count)
{
    guint64 anon = count * (kind->guest + kind->anon + kind->managing);
    guint64 kernel = count * kind->kernel;
    guint64 used = anon + kernel + count * kind->host_extra;

    return (DuetHostMemory){
        .at_ns = 1,
        .total_bytes = 16384 * MIB,
        .available_bytes = 12000 * MIB - used,
        .free_bytes = 11000 * MIB - used,
        .anon_bytes = 100 * MIB + anon,
        .page_table_bytes = 10 * MIB + kernel,
    };
}

static void read_all(const MemoryKind *kind, DuetMemoryPoint *point)
{
    for (guint i = 0; i < point->count; i++) {
        DuetInstanceMemory one = instance_of(kind, point->count);
        one.guest = guest_of(kind);
        g_array_append_val(point->instances, one);
    }
    point->host = host_with(kind, point->count);
}

/* A container has nothing to give back. */
static DuetMemoryPoint *shrink(const MemoryLab *lab, const MemoryKind *kind, guint count)
{
    MemoryKind less = *kind;
    DuetMemoryPoint *point = duet_memory_point_new(count);

    less.guest -= g_str_equal(kind->kind, "vm") ? lab->freed : 0;
    point->before = host_with(kind, 0);
    read_all(&less, point);
    for (guint i = 0; i < count; i++) {
        DuetInstanceMemory *one = &g_array_index(point->instances, DuetInstanceMemory, i);
        one->shrink_ns = (300 + i) * MS;
        one->guest.total_bytes -= one->guest.total_bytes ? 128 * MIB : 0;
    }
    return point;
}

static gboolean take(DuetSample *sample, gpointer data, GError **error)
{
    MemoryLab *lab = data;
    const MemoryKind *kind = &lab->kinds[sample->arm];
    DuetMemoryPoint *point = sample->memory;

    (void)error;
    lab->taken++;
    point->before = host_with(kind, 0);
    if (kind->fail_count && point->count >= kind->fail_count) {
        point->started = point->count - 1;
        sample->error = g_strdup("no luck");
        return TRUE;
    }
    point->started = point->count;
    read_all(kind, point);
    if (lab->freed && point->count < 8)
        point->shrunk = shrink(lab, kind, point->count);
    if (lab->ksm)
        point->ksm = merged(kind, point->count);
    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    return TRUE;
}

static gboolean interrupted(const DuetSample *sample, gpointer data)
{
    const MemoryLab *lab = data;

    (void)sample;
    return lab->interrupt_at > 0 && lab->taken >= lab->interrupt_at;
}

const guint memory_fixture_counts[MEMORY_FIXTURE_COUNTS] = { 0, 1, 2, 4, 8 };

DuetRun *memory_fixture_run(MemoryLab *lab, guint n_arms, guint rounds)
{
    DuetRun *run = duet_run_new(&duet_benchmark_memory,
        duet_plan_new_memory(
            n_arms, memory_fixture_counts, MEMORY_FIXTURE_COUNTS, rounds, 42, 10000, 0.02));
    DuetRunner runner = { .take = take, .interrupted = interrupted, .data = lab };

    for (guint i = 0; i < n_arms; i++) {
        DuetRunArm *arm = duet_run_arm_new(lab->kinds[i].kind, lab->kinds[i].kind);
        arm->argv = g_new0(char *, 1);
        if (lab->kinds[i].accel) {
            arm->driver = json_object_new();
            json_object_set_string_member(arm->driver, "accel", lab->kinds[i].accel);
        }
        g_ptr_array_add(run->arms, arm);
    }
    run->idle_noise = g_array_new(FALSE, FALSE, sizeof(DuetHostMemory));
    for (guint i = 0; i < 3; i++) {
        DuetHostMemory host = host_with(&lab->kinds[0], 0);
        host.available_bytes += i * MIB;
        g_array_append_val(run->idle_noise, host);
    }
    g_assert_true(duet_runner_run(&runner, run, NULL));
    return run;
}

MemoryKind memory_fixture_vm(void)
{
    return (MemoryKind){ "vm", "kvm", 100 * MIB, 20 * MIB, 1 * MIB, 5 * MIB, 40 * MIB, 0, 0, 0 };
}

MemoryKind memory_fixture_container(void)
{
    return (MemoryKind){ "container", NULL, 0, 1 * MIB, MIB / 16, MIB / 2, 0, 0, 0, 0 };
}
