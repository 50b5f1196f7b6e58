/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "overhead-plan.h"

#include <duet/vm-limits.h>

#include "bench/instance/instance-sampler.h"
#include "overhead-cache.h"

static void free_spec(gpointer spec)
{
    duet_spec_free(spec);
}

/* Returns: 0: no arm has a limit. */
static guint64 smallest_memory(const DuetBenchRequest *request)
{
    guint64 smallest = 0;

    for (gsize i = 0; i < request->n_arms; i++) {
        const DuetSpec *spec = request->arms[i].spec;
        guint64 memory =
            spec->kind == DUET_KIND_VM ? duet_vm_memory_bytes(spec) : spec->memory_bytes;
        if (memory > 0 && (smallest == 0 || memory < smallest))
            smallest = memory;
    }
    return smallest;
}

static gboolean add_arm(DuetOverheadPlan *plan, const DuetOverheadTest *test,
    const DuetBenchArm *kind, const DuetBenchRequest *request, GError **error)
{
    guint64 cache = duet_overhead_cache_bytes(DUET_OVERHEAD_CACHES);
    DuetSpec *spec = duet_bench_spec_copy(kind->spec, error);

    if (!spec)
        return FALSE;
    g_strfreev(spec->argv);
    spec->argv = duet_overhead_test_argv(test, request->duration_s,
        duet_overhead_stream_bytes(cache, smallest_memory(request)), cache);
    char *name = g_strdup_printf("%s:%s", test->name, kind->name);
    DuetBenchArm arm = { .name = name, .spec = spec };
    g_ptr_array_add(plan->specs, spec);
    g_ptr_array_add(plan->names, name);
    g_array_append_val(plan->arms, arm);
    return TRUE;
}

DuetOverheadPlan *duet_overhead_plan_new(const DuetBenchRequest *request, GError **error)
{
    g_autoptr(GPtrArray) tests = duet_overhead_tests_choose(request->tests, error);
    g_autoptr(DuetOverheadPlan) plan = NULL;

    if (!tests)
        return NULL;
    plan = g_new0(DuetOverheadPlan, 1);
    plan->specs = g_ptr_array_new_with_free_func(free_spec);
    plan->names = g_ptr_array_new_with_free_func(g_free);
    plan->arms = g_array_new(FALSE, FALSE, sizeof(DuetBenchArm));
    for (guint test = 0; test < tests->len; test++) {
        for (gsize kind = 0; kind < request->n_arms; kind++) {
            if (!add_arm(
                    plan, g_ptr_array_index(tests, test), &request->arms[kind], request, error))
                return NULL;
        }
    }
    plan->request = *request;
    plan->request.arms = (const DuetBenchArm *)(void *)plan->arms->data;
    plan->request.n_arms = plan->arms->len;
    return g_steal_pointer(&plan);
}

void duet_overhead_plan_free(DuetOverheadPlan *plan)
{
    if (!plan)
        return;
    g_ptr_array_unref(plan->specs);
    g_ptr_array_unref(plan->names);
    g_array_unref(plan->arms);
    g_free(plan);
}
