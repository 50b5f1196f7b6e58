/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/module.h"
#include "core/monitor/worker.h"

#include <duet/driver.h>
#include <duet/error.h>

DuetCheck *duet_check_new(
    const char *name, DuetCheckStatus status, const char *detail, const char *advice)
{
    DuetCheck *check = g_new0(DuetCheck, 1);
    check->name = g_strdup(name);
    check->status = status;
    check->detail = g_strdup(detail);
    check->advice = g_strdup(advice);
    return check;
}

void duet_check_free(DuetCheck *check)
{
    if (!check)
        return;
    g_free(check->name);
    g_free(check->detail);
    g_free(check->advice);
    g_free(check);
}

const DuetDriverEntry *duet_driver_find(const DuetDriverEntry *drivers, DuetKind kind)
{
    while (drivers->kind != kind && (drivers->ops || drivers->module))
        drivers++;
    return drivers->ops || drivers->module ? drivers : NULL;
}

const DuetDriverOps *duet_driver_load(const DuetDriverEntry *entry, GError **error)
{
    const DuetDriverOps *ops = entry->ops;
    if (!ops)
        ops = duet_module_symbol(entry->module, entry->symbol, error);
    if (!ops) {
        g_prefix_error(error, "no driver for the kind '%s': ", duet_kind_to_string(entry->kind));
        return NULL;
    }
    g_assert(ops->name && ops->create && ops->kind == entry->kind);
    return ops;
}

gboolean duet_place_meanwhile(const DuetPlace *place, GError **error)
{
    return !place->meanwhile || place->meanwhile(place->data, error);
}

DuetRuntime *duet_runtime_new(
    const DuetDriverEntry *entry, const DuetSpec *spec, const DuetPlace *place, GError **error)
{
    DuetRuntime *runtime = NULL;
    if (entry->module) {
        runtime = duet_worker_new(entry, spec, place, error);
    } else {
        const DuetDriverOps *ops = duet_driver_load(entry, error);
        runtime = ops ? ops->create(spec, place, error) : NULL;
        if (runtime)
            runtime->driver_name = ops->name;
    }
    if (runtime)
        g_assert(runtime->ops->start && runtime->ops->kill && runtime->ops->release &&
            runtime->ops->free);
    return runtime;
}

gboolean duet_runtime_start(
    DuetRuntime *runtime, DuetMarks *marks, DuetStarted *out_started, GError **error)
{
    return runtime->ops->start(runtime, marks, out_started, error);
}

gboolean duet_runtime_kill(DuetRuntime *runtime, GError **error)
{
    return runtime->ops->kill(runtime, error);
}

gboolean duet_runtime_release(DuetRuntime *runtime, GError **error)
{
    return runtime->ops->release(runtime, error);
}

static gboolean unsupported(DuetRuntime *runtime, const char *what, GError **error)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED, "the driver '%s' can't %s an instance",
        runtime->driver_name, what);
    return FALSE;
}

char *duet_runtime_console_tail(DuetRuntime *runtime)
{
    return runtime->ops->console_tail ? runtime->ops->console_tail(runtime) : NULL;
}

DuetEnd duet_runtime_how_ended(DuetRuntime *runtime, GError **error)
{
    return runtime->ops->how_ended ? runtime->ops->how_ended(runtime, error) : DUET_END_UNKNOWN;
}

gboolean duet_runtime_pause(DuetRuntime *runtime, GError **error)
{
    if (!runtime->ops->pause)
        return unsupported(runtime, "pause", error);
    return runtime->ops->pause(runtime, error);
}

gboolean duet_runtime_resume(DuetRuntime *runtime, GError **error)
{
    if (!runtime->ops->resume)
        return unsupported(runtime, "resume", error);
    return runtime->ops->resume(runtime, error);
}

gboolean duet_runtime_is_paused(DuetRuntime *runtime, gboolean *out_paused, GError **error)
{
    if (!runtime->ops->is_paused)
        return unsupported(runtime, "look at", error);
    return runtime->ops->is_paused(runtime, out_paused, error);
}

gboolean duet_runtime_update(
    DuetRuntime *runtime, GVariant *changes, guint64 *out_left, GError **error)
{
    if (!runtime->ops->update)
        return unsupported(runtime, "change the machine of", error);
    return runtime->ops->update(runtime, changes, out_left, error);
}

gboolean duet_runtime_save(DuetRuntime *runtime, GVariant **out_facts, GError **error)
{
    if (!runtime->ops->save)
        return unsupported(runtime, "save", error);
    return runtime->ops->save(runtime, out_facts, error);
}

void duet_runtime_free(DuetRuntime *runtime)
{
    if (runtime)
        runtime->ops->free(runtime);
}
