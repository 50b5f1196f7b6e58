/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "balloon.h"

#include <duet/error.h>
#include <duet/vm-limits.h>

#include "core/util.h"

static gboolean refuse(guint64 bytes, const char *arm, const char *why, GError **error)
{
    g_autofree char *size = duet_format_bytes(bytes);

    g_set_error(
        error, DUET_ERROR, DUET_ERROR_INVALID, "--balloon %s: the arm '%s' %s", size, arm, why);
    return FALSE;
}

gboolean duet_balloon_check(const DuetBenchRequest *request, GError **error)
{
    guint64 bytes = request->balloon_bytes;

    for (gsize i = 0; bytes > 0 && i < request->n_arms; i++) {
        const DuetSpec *spec = request->arms[i].spec;
        gboolean vm = spec->kind == DUET_KIND_VM;
        guint64 has = vm ? duet_vm_memory_bytes(spec) : spec->memory_bytes;
        g_autofree char *has_text = duet_format_bytes(has);
        g_autofree char *why = NULL;
        if (vm && bytes < DUET_VM_MEMORY_MIN_BYTES)
            why = g_strdup("can't be left so little; give 80m or more");
        else if (has > 0 && bytes >= has)
            why = g_strdup_printf("has %s from its start; give less", has_text);
        if (why)
            return refuse(bytes, request->arms[i].name, why, error);
    }
    return TRUE;
}

/* Returns when a guest's balloon has what it was to take. */
static gboolean shrink(DuetInstance *instance, guint64 bytes, GError **error)
{
    const DuetSpec *from = duet_instance_spec(instance);
    g_autoptr(DuetSpec) to = duet_spec_copy(from);

    to->memory_bytes = bytes;
    return duet_instance_update(instance, duet_spec_changes(from, to), NULL, error);
}

gboolean duet_balloon_shrink(
    DuetGroup *group, guint64 bytes, DuetSample *sample, GArray **out_took, GError **error)
{
    g_autoptr(GArray) took = g_array_new(FALSE, FALSE, sizeof(gint64));

    *out_took = NULL;
    for (guint i = 0; i < group->members->len; i++) {
        g_autoptr(GError) failure = NULL;
        gint64 began_ns = duet_now_ns();
        if (!duet_group_pause(group, 0, error))
            return FALSE;
        if (!shrink(duet_group_instance(group, i), bytes, &failure)) {
            duet_sample_warn(sample, "not shrunk: %s", failure->message);
            return TRUE;
        }
        gint64 ns = duet_now_ns() - began_ns;
        g_array_append_val(took, ns);
    }
    *out_took = g_steal_pointer(&took);
    return TRUE;
}
