/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Saving and restoring, as it is asked for. The work is the monitor's: monitor-save.c. */
#include "core/control.h"
#include "core/saved.h"
#include "core/util.h"

#include <duet/error.h>
#include <duet/protocol.h>
#include <duet/save.h>

gboolean duet_instance_save(DuetInstance *instance, GError **error)
{
    const char *name = instance->spec->name;
    if (!duet_save_check(instance->spec, error))
        return FALSE;
    DUET_AUTO_FD fd = duet_control_connect(instance);
    if (fd < 0 && duet_saved_is_there(instance->dir_fd)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
            "the instance '%s' is saved already; `duet restore %s` lets it go on", name, name);
        return FALSE;
    }
    if (fd < 0)
        fd = duet_control_connect_or_fail(instance, error);
    g_autofree char *text = fd < 0
        ? NULL
        : duet_control_ask(instance, fd, DUET_FRAME_SAVE, NULL, 0, DUET_FRAME_RELEASED, error);
    if (!text)
        return FALSE;
    g_autoptr(DuetInfo) info = duet_info_from_text(text, instance->spec);
    if (info->state == DUET_STATE_SAVED)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "the instance '%s' ended before it was saved%s%s", name, info->error ? ": " : "",
        info->error ? info->error : "");
    return FALSE;
}

gboolean duet_instance_restore(DuetInstance *instance, GError **error)
{
    g_autoptr(DuetInfo) info = duet_instance_info(instance, error);
    const char *name = instance->spec->name;
    if (!info)
        return FALSE;
    if (info->state == DUET_STATE_SAVED)
        return duet_instance_start(instance, error);
    if (!duet_save_check(instance->spec, error))
        return FALSE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_STATE,
        "the instance '%s' has no saved state: it is %s; `duet save` makes one of a running VM",
        name, duet_state_to_string(info->state));
    return FALSE;
}

gboolean duet_instance_forget_saved(DuetInstance *instance, GError **error)
{
    DUET_AUTO_FD lock_fd = duet_control_lock_stopped(instance, error);
    return lock_fd >= 0 &&
        duet_saved_drop(instance->context, instance->dir_fd, instance->spec->id, error);
}
