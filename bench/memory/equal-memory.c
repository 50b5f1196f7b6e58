/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "equal-memory.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include "bench/instance/group.h"
#include "bench/instance/instance-sampler.h"
#include "bench/result/resume.h"
#include "core/util.h"
#include "guest-memory.h"

#define MIB (G_GUINT64_CONSTANT(1) << 20)
/* What a guest's kernel keeps, about: where the search begins. */
#define KEPT_BYTES (56 * MIB)
#define TRIES 6
/* After its start a guest is busy for a moment. */
#define REST_MS 2000

guint64 duet_equal_memory_next(guint64 wanted, guint64 ram, guint64 available, guint64 least)
{
    gint64 missing = (gint64)wanted - (gint64)available;

    if ((guint64)ABS(missing) <= MAX(MIB, wanted / 100))
        return 0;
    gint64 next = ((gint64)ram + missing + (gint64)MIB / 2) / (gint64)MIB * (gint64)MIB;
    return MAX((guint64)MAX(next, 0), least);
}

static gboolean available_in(
    const DuetBenchRequest *request, DuetSpec *spec, guint64 *out_available, GError **error)
{
    g_autoptr(GPtrArray) warnings = g_ptr_array_new_with_free_func(g_free);
    DuetHostMemory guest;
    DuetGroup group;

    duet_group_init(&group, request->context, spec);
    gboolean done = duet_group_start(&group, error) && duet_group_wait(&group, REST_MS, error) &&
        duet_guest_memory_read(duet_group_instance(&group, 0), &guest, error);
    duet_group_clear(&group, warnings);
    if (done)
        *out_available = guest.available_bytes;
    return done;
}

static gboolean refuse(guint64 wanted, guint64 ram, guint64 available, GError **error)
{
    g_autofree char *asked = duet_format_bytes(wanted), *has = duet_format_bytes(ram),
                    *left = duet_format_bytes(available);

    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "--equal-memory %s: a VM with %s of RAM leaves %s to its payload, and none comes nearer: "
        "ask for %s or more",
        asked, has, left, left);
    return FALSE;
}

/* The image's command may need more than a guest of the wrong size has: without it, then. */
static gboolean fit(
    const DuetBenchRequest *request, const DuetSpec *spec, guint64 *out_ram, GError **error)
{
    g_autoptr(DuetSpec) idle = duet_bench_spec_copy(spec, error);
    guint64 wanted = request->equal_memory_bytes, available = 0;
    guint64 ram = MAX((wanted + wanted / 64 + KEPT_BYTES) / MIB * MIB, DUET_VM_MEMORY_MIN_BYTES);

    if (!idle)
        return FALSE;
    idle->idle = TRUE;
    for (guint i = 0; i < TRIES; i++) {
        g_autofree char *size = duet_format_bytes(ram);
        g_autofree char *line = g_strdup_printf("what a VM with %s leaves its payload", size);
        if (request->progress)
            request->progress(line, request->progress_data);
        idle->memory_bytes = ram;
        if (!available_in(request, idle, &available, error))
            return FALSE;
        guint64 next = duet_equal_memory_next(wanted, ram, available, DUET_VM_MEMORY_MIN_BYTES);
        *out_ram = ram;
        if (next == 0)
            return TRUE;
        if (next == ram)
            break;
        ram = next;
    }
    return refuse(wanted, *out_ram, available, error);
}

/* Returns: the RAM of that arm in the run that is resumed; 0: there is none. */
static guint64 ram_of_then(const DuetBenchRequest *request, const char *name)
{
    if (!request->resume || !request->output_path)
        return 0;
    g_autofree char *part = g_strconcat(request->output_path, ".part", NULL);
    g_autoptr(DuetRun) run = duet_resume_load(request->output_path, part, NULL);
    for (guint i = 0; run && i < run->arms->len; i++) {
        const DuetRunArm *arm = duet_run_arm(run, i);
        if (run->plan->equal_memory_bytes == request->equal_memory_bytes &&
            g_str_equal(arm->name, name) && arm->memory_bytes >= DUET_VM_MEMORY_MIN_BYTES)
            return arm->memory_bytes;
    }
    return 0;
}

static gboolean add_arm(DuetEqualMemory *equal, const DuetBenchArm *arm, GError **error)
{
    const DuetBenchRequest *request = &equal->request;
    DuetSpec *spec = duet_bench_spec_copy(arm->spec, error);
    DuetBenchArm with = *arm;

    if (!spec)
        return FALSE;
    g_ptr_array_add(equal->specs, spec);
    spec->memory_bytes = request->equal_memory_bytes;
    if (spec->kind == DUET_KIND_VM) {
        spec->memory_bytes = ram_of_then(request, arm->name);
        if (spec->memory_bytes == 0 && !fit(request, arm->spec, &spec->memory_bytes, error))
            return FALSE;
    }
    with.spec = spec;
    g_array_append_val(equal->arms, with);
    return TRUE;
}

static void free_spec(gpointer spec)
{
    duet_spec_free(spec);
}

DuetEqualMemory *duet_equal_memory_new(const DuetBenchRequest *asked, GError **error)
{
    g_autoptr(DuetEqualMemory) equal = g_new0(DuetEqualMemory, 1);

    equal->request = *asked;
    equal->arms = g_array_new(FALSE, FALSE, sizeof(DuetBenchArm));
    equal->specs = g_ptr_array_new_with_free_func(free_spec);
    if (asked->equal_memory_bytes == 0)
        return g_steal_pointer(&equal);
    for (gsize i = 0; i < asked->n_arms; i++) {
        if (!add_arm(equal, &asked->arms[i], error))
            return NULL;
    }
    equal->request.arms = (const DuetBenchArm *)(void *)equal->arms->data;
    return g_steal_pointer(&equal);
}

void duet_equal_memory_free(DuetEqualMemory *equal)
{
    if (!equal)
        return;
    g_array_unref(equal->arms);
    g_ptr_array_unref(equal->specs);
    g_free(equal);
}
