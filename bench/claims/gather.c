/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gather.h"

#include <duet/bench.h>
#include <duet/error.h>

#include "bench/benchmark.h"
#include "bench/instance/instance-sampler.h"
#include "bench/result/result.h"

/* What is measured at once is small: a verdict in minutes, not one to publish. */
#define BOOT_N DUET_BENCH_N_MIN
#define MEMORY_ROUNDS 2
#define MEMORY_AGE_MS 2000
/* Some VMs fit, and as many containers as can be started in that time. */
#define DENSITY_BUDGET_BYTES (G_GUINT64_CONSTANT(1) << 30)
#define DENSITY_TIME_LIMIT_NS (30 * G_GINT64_CONSTANT(1000000000))

static const guint memory_counts[] = { 0, 1, 2, 4 };

static void run_free(gpointer data)
{
    duet_run_free(data);
}

static gboolean is_second(const GPtrArray *runs, const DuetRun *run)
{
    for (guint i = 0; i < runs->len; i++)
        if (((const DuetRun *)g_ptr_array_index(runs, i))->benchmark == run->benchmark)
            return TRUE;
    return FALSE;
}

GPtrArray *duet_claims_load(char *const *paths, GError **error)
{
    g_autoptr(GPtrArray) runs = g_ptr_array_new_with_free_func(run_free);

    for (char *const *path = paths; *path; path++) {
        g_autoptr(DuetRun) run = duet_result_load(*path, error);
        if (!run)
            return NULL;
        if (is_second(runs, run)) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
                "'%s' is another result of `duet bench %s`: give one of each", *path,
                run->benchmark->name);
            return NULL;
        }
        g_ptr_array_add(runs, g_steal_pointer(&run));
    }
    return g_steal_pointer(&runs);
}

static DuetRun *take(GPtrArray *runs, const char *benchmark)
{
    for (guint i = 0; i < runs->len; i++) {
        const DuetRun *run = g_ptr_array_index(runs, i);
        if (g_str_equal(run->benchmark->name, benchmark))
            return g_ptr_array_steal_index(runs, i);
    }
    return NULL;
}

static gboolean load_all(DuetClaimTrial *trial, GError **error)
{
    g_autoptr(GPtrArray) runs = duet_claims_load(trial->request->results, error);

    if (!runs)
        return FALSE;
    trial->boot = take(runs, "boot");
    trial->memory = take(runs, "memory");
    trial->density = take(runs, "density");
    trial->no_boot = g_strdup("give a result of `duet bench boot`");
    trial->no_memory = g_strdup("give a result of `duet bench memory`");
    trial->no_density = g_strdup("give a result of `duet bench density`");
    if (runs->len == 0)
        return TRUE;
    const DuetRun *left = g_ptr_array_index(runs, 0);
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "no claim rests on a result of `duet bench %s`", left->benchmark->name);
    return FALSE;
}

typedef gboolean (*Measure)(
    const DuetBenchRequest *request, char **out_text, int *out_exit_code, GError **error);

static DuetRun *measure(
    DuetClaimTrial *trial, Measure benchmark, const DuetBenchRequest *how, GError **error)
{
    const DuetClaimsRequest *request = trial->request;
    const DuetSpec *specs[] = { request->vm, request->container };
    DuetBenchArm arms[] = { { "vm", NULL }, { "container", NULL } };
    g_autoptr(DuetSpec) vm = duet_bench_spec_copy(specs[0], error);
    g_autoptr(DuetSpec) container = vm ? duet_bench_spec_copy(specs[1], error) : NULL;
    DuetBenchRequest whole = *how;
    g_autofree char *text = NULL;
    int code = 0;

    if (!container)
        return NULL;
    vm->idle = container->idle = benchmark != duet_bench.boot;
    arms[0].spec = vm;
    arms[1].spec = container;
    whole.context = request->context;
    whole.arms = arms;
    whole.n_arms = G_N_ELEMENTS(arms);
    whole.seed = request->seed;
    whole.json = TRUE;
    whole.progress = request->progress;
    whole.progress_data = request->progress_data;
    if (!benchmark(&whole, &text, &code, error))
        return NULL;
    trial->interrupted = code == DUET_BENCH_EXIT_INTERRUPTED;
    return duet_result_parse(text, -1, error);
}

/* @out_why: why there is none, if there is none. */
static DuetRun *measure_one(DuetClaimTrial *trial, gboolean needed, Measure benchmark,
    const DuetBenchRequest *how, char **out_why)
{
    const DuetClaimsRequest *request = trial->request;
    const char *why = !request->container ? request->no_container
        : !request->vm                    ? request->no_vm
                                          : NULL;
    g_autoptr(GError) error = NULL;
    DuetRun *run = NULL;

    if (needed && !why && request->container && !trial->interrupted)
        run = measure(trial, benchmark, how, &error);
    *out_why = g_strdup(error ? error->message : why);
    return run;
}

static void measure_all(DuetClaimTrial *trial, guint needs)
{
    const DuetBenchRequest boot = { .n = BOOT_N, .floor = DUET_BENCH_FLOOR_DEFAULT };
    const DuetBenchRequest memory = {
        .n = MEMORY_ROUNDS,
        .counts = memory_counts,
        .n_counts = G_N_ELEMENTS(memory_counts),
        .age_ms = MEMORY_AGE_MS,
        .floor = DUET_BENCH_FLOOR_DEFAULT,
    };
    const DuetBenchRequest density = {
        .n = 1,
        .age_ms = DUET_BENCH_DENSITY_AGE_DEFAULT_MS,
        .density = { .budget_bytes = DENSITY_BUDGET_BYTES, .time_limit_ns = DENSITY_TIME_LIMIT_NS },
        .floor = DUET_BENCH_FLOOR_DEFAULT,
    };

    trial->boot =
        measure_one(trial, needs & DUET_CLAIM_BOOT, duet_bench.boot, &boot, &trial->no_boot);
    trial->memory = measure_one(
        trial, needs & DUET_CLAIM_MEMORY, duet_bench.memory, &memory, &trial->no_memory);
    trial->density = measure_one(
        trial, needs & DUET_CLAIM_DENSITY, duet_bench.density, &density, &trial->no_density);
}

gboolean duet_claims_gather(DuetClaimTrial *trial, guint needs, GError **error)
{
    if (trial->request->results)
        return load_all(trial, error);
    measure_all(trial, needs);
    return TRUE;
}
