/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "claims-fixture.h"

#include <fcntl.h>

#include "bench/benchmark.h"
#include "bench/memory/memory-view.h"
#include "bench/result/result.h"
#include "core/util.h"
#include "run-fixture.h"

DuetRun *claims_boot_run(gint64 container_ms, guint n)
{
    DuetRun *run = run_fixture_new(7, container_ms, n);

    for (guint i = 0; i < run->samples->len; i++) {
        DuetSample *sample = duet_run_sample(run, i);
        gint64 took = sample->marks.ns[DUET_MARK_OUTPUT] - sample->marks.ns[DUET_MARK_REQUEST];
        sample->marks.ns[DUET_MARK_RELEASED] = sample->marks.ns[DUET_MARK_OUTPUT] + took / 10;
        sample->managing_cpu_ns = took / 5;
        sample->payload_cpu_ns = took / 3;
    }
    return run;
}

static void add_point(DuetRun *run, guint arm, guint block, guint count, const ClaimsUse *use)
{
    DuetSample *sample = duet_sample_new(arm, block, run->samples->len);
    guint64 each = arm == 0 ? use->vm : use->container;
    gint64 other = arm == 0 ? use->host_vm : use->host_container;
    gint64 host = other ? other : (gint64)each;
    DuetInstanceMemory one = { .memory = { .payload_pss_bytes = each + block * 1024 } };

    sample->status = DUET_SAMPLE_OK;
    sample->exit_code = 0;
    sample->memory = duet_memory_point_new(count);
    for (guint i = 0; i < count; i++)
        g_array_append_val(sample->memory->instances, one);
    sample->memory->before = (DuetHostMemory){ .at_ns = 1, .available_bytes = 8192 * MIB };
    sample->memory->host =
        (DuetHostMemory){ .at_ns = 2, .available_bytes = 8192 * MIB - (gint64)count * host };
    sample->memory->started = count;
    g_ptr_array_add(run->samples, sample);
}

DuetRun *claims_memory_run(const ClaimsUse *use)
{
    static const guint counts[] = { 1, 2, 4 };
    DuetRun *run = duet_run_new(&duet_benchmark_memory,
        duet_plan_new_memory(2, counts, G_N_ELEMENTS(counts), use->rounds, 5, 10000, 0.02));

    run_fixture_add_arm(run, "vm", "vm", use->accel);
    run_fixture_add_arm(run, "container", "container", NULL);
    for (guint block = 0; block < use->rounds; block++)
        for (guint i = 0; i < G_N_ELEMENTS(counts); i++)
            for (guint arm = 0; arm < 2; arm++)
                add_point(run, arm, block, counts[i], use);
    return run;
}

static void free_outcome(gpointer outcome)
{
    duet_density_outcome_free(outcome);
}

DuetRun *claims_density_run(const char *accel, ClaimsReached vm, ClaimsReached container)
{
    DuetDensityLimits limits = { .budget_bytes = 1024 * MIB };
    DuetRun *run =
        duet_run_new(&duet_benchmark_density, duet_plan_new_density(2, &limits, 42, 2000));
    const ClaimsReached arms[] = { vm, container };

    run_fixture_add_arm(run, "vm", "vm", accel);
    run_fixture_add_arm(run, "container", "container", NULL);
    run->density = g_ptr_array_new_with_free_func(free_outcome);
    for (guint i = 0; i < G_N_ELEMENTS(arms); i++) {
        DuetDensityOutcome *outcome = duet_density_outcome_new();
        outcome->reached = arms[i].reached;
        outcome->answered = arms[i].answered;
        outcome->bound = arms[i].bound;
        g_ptr_array_add(run->density, outcome);
    }
    return run;
}

/* @taken: (transfer full). */
static char *save_boot(const char *folder, const char *name, DuetRun *taken)
{
    g_autoptr(DuetRun) run = taken;
    g_autoptr(DuetAnalysis) analysis = duet_analysis_new(run, FALSE);
    g_autofree char *json = duet_result_to_json(run, analysis);
    char *path = g_build_filename(folder, name, NULL);

    g_assert_true(duet_result_save(path, json, NULL));
    return path;
}

void claims_files_up(ClaimsFiles *files)
{
    const ClaimsUse use = { 100 * MIB, 2 * MIB, 0, 0, "kvm", 3 };
    g_autoptr(DuetRun) run = claims_memory_run(&use);
    g_autoptr(DuetMemoryAnalysis) analysis = duet_memory_analysis_new(run, FALSE);
    g_autofree char *json = duet_memory_result(run, analysis);

    files->folder = g_dir_make_tmp("duet-test-XXXXXX", NULL);
    files->fast = save_boot(files->folder, "fast.json", claims_boot_run(1000, 10));
    files->slow = save_boot(files->folder, "slow run.json", claims_boot_run(4000, 10));
    files->memory = g_build_filename(files->folder, "memory.json", NULL);
    g_assert_true(duet_result_save(files->memory, json, NULL));
}

void claims_files_clear(ClaimsFiles *files)
{
    g_assert_true(duet_remove_tree(AT_FDCWD, files->folder, NULL));
    g_free(files->folder);
    g_free(files->fast);
    g_free(files->slow);
    g_free(files->memory);
}
