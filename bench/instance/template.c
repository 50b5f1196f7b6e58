/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "template.h"

#include <duet/error.h>
#include <duet/save.h>
#include <duet/snapshot.h>

#include "core/saved.h"
#include "cache.h"
#include "group.h"
#include "instance-sampler.h"

#define SETTLE_NS G_GINT64_CONSTANT(1000000000)
#define PAUSE_US 50000

static DuetSpec *spec_of(const DuetSpec *spec, GError **error)
{
    DuetSpec *own = duet_bench_spec_copy(spec, error);

    if (!own)
        return NULL;
    own->remove_at_exit = FALSE;
    /* That of a restored one would count on; a sample has its own. */
    own->timeout_ms = 0;
    return own;
}

gboolean duet_template_check(const DuetSpec *spec, const char *name, GError **error)
{
    g_autoptr(DuetSpec) own = spec_of(spec, error);

    if (!own)
        return FALSE;
    own->name = g_strdup(name);
    if (own->connect)
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot clone '%s' with its memory: a libvirt daemon (--connect) gives a saved memory "
            "to no VM of another name; leave --connect (DUET_CONNECT) out",
            name);
    else if (duet_save_check(own, error))
        return TRUE;
    g_prefix_error_literal(error, "--from saved: ");
    return FALSE;
}

/* What a boot leaves for later is not for every sample to do again. */
static gboolean settle(GError **error)
{
    for (gint64 end_ns = duet_now_ns() + SETTLE_NS; duet_now_ns() < end_ns; g_usleep(PAUSE_US)) {
        if (!duet_signal_waits())
            continue;
        g_set_error_literal(error, DUET_ERROR, DUET_ERROR_STATE, "the user interrupted");
        return FALSE;
    }
    return TRUE;
}

static gboolean save(DuetInstance *instance, const DuetProbe *probe, gint64 timeout_ms,
    gboolean *out_interrupted, GError **error)
{
    gint64 ready_ns;

    return duet_instance_start_quietly(instance, error) &&
        duet_probe_wait(probe, instance, duet_now_ns() + timeout_ms * 1000000, &ready_ns,
            out_interrupted, error) &&
        settle(error) && duet_instance_save(instance, error);
}

/* What the payload did tells more than that nothing was there to be saved. */
static void explain(DuetInstance *instance, GError **error)
{
    g_autoptr(DuetInfo) info = duet_instance_info(instance, NULL);

    if (info && info->state == DUET_STATE_EXITED && info->marks.ns[DUET_MARK_EXEC] != 0 &&
        !info->error) {
        g_clear_error(error);
        g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
            "its payload ended by itself, with exit code %d; a state is saved of one that stays: "
            "give a command such as `sleep 1000000`, or none for an idle VM",
            info->exit_code);
    }
    g_prefix_error_literal(error, "cannot save the VM that all samples go on from: ");
}

gboolean duet_template_make(DuetTemplate *template, DuetContext *context, const DuetSpec *spec,
    const DuetProbe *probe, gint64 timeout_ms, gboolean *out_interrupted, GError **error)
{
    DuetSpec *own = spec_of(spec, error);
    g_autoptr(DuetInstance) instance = own ? duet_instance_create(context, own, error) : NULL;

    if (!instance)
        return FALSE;
    if (save(instance, probe, timeout_ms, out_interrupted, error)) {
        template->instance = g_steal_pointer(&instance);
        return TRUE;
    }
    *out_interrupted |= duet_signal_waits();
    explain(instance, error);
    duet_instance_remove(instance, TRUE, NULL);
    return FALSE;
}

DuetInstance *duet_template_clone(const DuetTemplate *template, DuetContext *context,
    const char *mode, JsonObject *facts, DuetSample *sample, GError **error)
{
    gint64 began_ns = duet_now_ns();
    DuetInstance *clone = duet_instance_clone(template->instance, NULL, NULL, error);

    if (!clone)
        return NULL;
    sample->clone_ns = duet_now_ns() - began_ns;
    const DuetSpec *spec = duet_instance_spec(clone);
    g_autofree char *folder = duet_instance_path(context, spec->id);
    g_autofree char *saved = g_build_filename(folder, DUET_SAVED, NULL);
    duet_cache_cool(mode, spec, saved, facts, sample);
    return clone;
}

void duet_template_clear(DuetTemplate *template, GPtrArray *warnings)
{
    g_autoptr(GError) error = NULL;

    if (template->instance && !duet_instance_remove(template->instance, TRUE, &error))
        g_ptr_array_add(warnings, g_strdup(error->message));
    g_clear_pointer(&template->instance, duet_instance_free);
}
