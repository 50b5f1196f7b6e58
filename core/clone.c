/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clones: the copy is made in the source's directory, under its lock, and joins the new instance
 * while that is made, in one instant: before it has a name nobody sees it, and a clone that was
 * killed leaves none. The source has its image's layers in use meanwhile, so they stay.
 */
#include "core/layer.h"
#include "core/saved.h"
#include "core/update.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/snapshot.h>

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TRIES 10000

/* As podman has it: "box-clone", "box-clone1", ... Returns: (nullable): NULL: one of its image. */
static char *name_for(DuetContext *context, const char *source)
{
    for (guint i = 0; i < TRIES; i++) {
        g_autofree char *number = i ? g_strdup_printf("%u", i) : g_strdup("");
        g_autofree char *name = g_strconcat(source, "-clone", number, NULL);
        if (!duet_name_is_valid(name))
            return NULL;
        if (duet_name_check_free(context, name, NULL))
            return g_steal_pointer(&name);
    }
    return NULL;
}

static DuetSpec *spec_for(const DuetSpec *source, const char *name)
{
    g_autoptr(DuetSpec) fresh = duet_spec_new();
    DuetSpec *spec = duet_spec_copy(source);
    if (g_str_equal(spec->hostname, spec->id)) {
        g_free(spec->hostname);
        spec->hostname = g_strdup(fresh->id);
    }
    g_free(spec->id);
    spec->id = g_steal_pointer(&fresh->id);
    g_free(spec->name);
    spec->name = g_strdup(name);
    /* Another process knows nothing of this one. */
    if (spec->owner_pid != getpid())
        spec->owner_pid = 0;
    return spec;
}

/* A memory goes on in another VM only under the name and uuid that it was saved with; those of a
 * libvirt of our own nobody else has. */
static gboolean check_memory(DuetInstance *instance, const char *snapshot, GError **error)
{
    const char *name = instance->spec->name;
    g_autofree char *folder = snapshot ? g_build_filename(DUET_SNAPSHOTS, snapshot, NULL) : NULL;
    DUET_AUTO_FD fd = folder ? openat(instance->dir_fd, folder, O_PATH | O_NOFOLLOW | O_CLOEXEC)
                             : fcntl(instance->dir_fd, F_DUPFD_CLOEXEC, 3);
    if (!instance->spec->connect || fd < 0 || !duet_saved_is_there(fd))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "cannot clone '%s' with its memory: '%s' gives a saved memory to no VM of another name; "
        "clone it after `duet restore %s` and `duet stop %s`, or a snapshot without a memory",
        name, instance->spec->connect, name, name);
    return FALSE;
}

DuetInstance *duet_instance_clone(
    DuetInstance *instance, const char *snapshot, const char *name, GError **error)
{
    DuetContext *context = instance->context;
    DuetLayerWork work;
    /* Before the work, not after it; who takes it meanwhile was faster. */
    if (name && (!duet_name_check(name, error) || !duet_name_check_free(context, name, error)))
        return NULL;
    if (!duet_layer_work_begin(&work, instance, error))
        return NULL;
    DuetInstance *clone = NULL;
    if (check_memory(instance, snapshot, error) && duet_layer_work_copy(&work, snapshot, error)) {
        g_autofree char *chosen = name ? g_strdup(name) : name_for(context, instance->spec->name);
        clone = duet_instance_create_from(
            context, spec_for(instance->spec, chosen), work.new_fd, work.layer->name, error);
    }
    duet_layer_work_end(&work);
    return clone;
}
