/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Whose the files of an unpacked layer are. Root gives them the owners that the archive names; an
 * ordinary user, in their user namespace, does the same, as far as their ids go, and refuses images
 * with others: a file with another owner would be another file. Where there is no user namespace,
 * all files are the user's own and stand for root's.
 */
#include "images/unpack-private.h"

#include <unistd.h>

#include <duet/error.h>

#include "core/rootless.h"

const char *duet_opaque_attribute(void)
{
    return duet_is_rootless() ? "user.overlay.opaque" : "trusted.overlay.opaque";
}

void duet_owners_init(DuetUnpack *unpack)
{
    unpack->rootless = duet_is_rootless();
    if (!unpack->rootless)
        return;
    unpack->own_ids[DUET_ID_USER] = duet_ids_own(DUET_ID_USER);
    unpack->own_ids[DUET_ID_GROUP] = duet_ids_own(DUET_ID_GROUP);
}

void duet_owners_clear(DuetUnpack *unpack)
{
    for (gsize i = 0; i < G_N_ELEMENTS(unpack->own_ids); i++)
        g_clear_pointer(&unpack->own_ids[i], g_array_unref);
}

gboolean duet_owner_check(
    DuetUnpack *unpack, DuetIdType type, guint32 id, const char *member, GError **error)
{
    if (!unpack->rootless || duet_ids_contain(unpack->own_ids[type], id))
        return TRUE;
    g_autofree char *advice = duet_ids_advice(id);
    g_autofree char *obstacle = duet_is_flat() ? duet_rootless_obstacle() : NULL;
    /* Not the image's fault for good: who gets more ids can use it. */
    g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
        "'%s' is refused: its member '%s' belongs to the %s %u, an id that you do not have; %s",
        unpack->what, member, type == DUET_ID_USER ? "user" : "group", id,
        obstacle ? obstacle : advice);
    return FALSE;
}

uid_t duet_owner_to_disk(gint64 id)
{
    return duet_is_flat() ? (uid_t)-1 : (uid_t)id;
}

guint32 duet_owner_from_disk(uid_t id)
{
    return duet_is_flat() ? 0 : id;
}
