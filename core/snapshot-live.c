/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A snapshot with the memory, of a VM that runs. libvirt makes such ones in qcow2 disks only; here
 * the VM is saved, its disk and memory are copied as what an instance that does not run has, and it
 * goes on. However that ends, it is running or saved.
 */
#include "core/disk-list.h"
#include "core/saved.h"
#include "core/session.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/save.h>
#include <duet/snapshot.h>

/* It is no file of the instance's, and so in no snapshot: once it is written the memory does not go
 * with it any more. virsh refuses it as well. */
static gboolean check_disks(const DuetSpec *spec, GError **error)
{
    g_autoptr(GPtrArray) disks = duet_disk_list_parse(spec->disks, error);
    for (guint i = 0; disks && i < disks->len; i++) {
        const DuetDataDisk *disk = disks->pdata[i];
        if (disk->readonly)
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "cannot keep the memory of '%s': its disk '%s' is in no snapshot, and can be written; "
            "give it readonly=on, detach it, or leave out --stateful",
            spec->name, disk->path);
        return FALSE;
    }
    return disks != NULL;
}

static gboolean check_state(DuetInstance *instance, DuetState *out_state, GError **error)
{
    g_autoptr(DuetInfo) info = duet_instance_info(instance, error);
    if (!info || !duet_save_check(instance->spec, error) || !check_disks(instance->spec, error))
        return FALSE;
    *out_state = info->state;
    if (info->state == DUET_STATE_RUNNING || info->state == DUET_STATE_SAVED)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "the instance '%s' is %s, and has no memory to keep; leave out --stateful to keep its "
        "files",
        instance->spec->name, duet_state_to_string(info->state));
    return FALSE;
}

static char *between_save_and_restore(DuetInstance *instance, const char *name, GError **error)
{
    g_autoptr(GError) failure = NULL;
    if (!duet_instance_save(instance, error))
        return NULL;
    char *made = duet_snapshot_create(instance, name, error);
    if (duet_instance_start(instance, &failure))
        return made;
    if (made)
        g_propagate_prefixed_error(error, g_steal_pointer(&failure),
            "the snapshot '%s' was made, but its instance does not go on: ", made);
    g_free(made);
    return NULL;
}

char *duet_snapshot_create_stateful(DuetInstance *instance, const char *name, GError **error)
{
    DuetState state;
    sigset_t old;
    if (!check_state(instance, &state, error) ||
        (name && !duet_snapshot_check_free(instance, name, error)))
        return NULL;
    if (state == DUET_STATE_SAVED)
        return duet_snapshot_create(instance, name, error);
    /* A signal ends us when it goes on. */
    duet_session_block_signals(&old);
    char *made = between_save_and_restore(instance, name, error);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return made;
}
