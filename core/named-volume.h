/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/* Volumes that have a name and outlive instances; named-volume.c has the theory of operation. */

/**
 * DuetNamedVolume:
 * @path: of its files, on the host
 * @labels: "KEY=VALUE" strings, never NULL
 * @created_us: microseconds since 1970
 */
typedef struct {
    char *name;
    char *path;
    char **labels;
    gint64 created_us;
} DuetNamedVolume;

void duet_named_volume_free(DuetNamedVolume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetNamedVolume, duet_named_volume_free)

/** duet_named_volume_check: %DUET_ERROR_INVALID for what can be no volume's name. */
gboolean duet_named_volume_check(const char *name, GError **error);
/** duet_named_volume_path: Returns: (transfer full): where its files are, or will be. */
char *duet_named_volume_path(DuetContext *context, const char *name);
/**
 * duet_named_volume_create:
 * @labels: (nullable): "KEY=VALUE" strings
 * Returns: %FALSE with %DUET_ERROR_EXISTS if there is one of that name.
 */
gboolean duet_named_volume_create(
    DuetContext *context, const char *name, char *const *labels, GError **error);
/** duet_named_volume_open: Returns: (transfer full): NULL with %DUET_ERROR_NOT_FOUND. */
DuetNamedVolume *duet_named_volume_open(DuetContext *context, const char *name, GError **error);
/** duet_named_volume_list: Returns: (transfer full) (element-type DuetNamedVolume): by name. */
GPtrArray *duet_named_volume_list(DuetContext *context, GError **error);
/**
 * duet_named_volume_users:
 * @instances: (element-type DuetInstance): of duet_instance_list()
 * Returns: (transfer full) (element-type utf8): the names of those that have the volume.
 */
GPtrArray *duet_named_volume_users(GPtrArray *instances, const char *name);
/**
 * duet_named_volume_remove: removes it and all that is in it.
 * Returns: %FALSE with %DUET_ERROR_STATE while an instance, running or not, has it.
 */
gboolean duet_named_volume_remove(DuetContext *context, const char *name, GError **error);
/** duet_named_volume_prune: removes all that no instance has. Returns: (transfer full)
 * (element-type utf8): their names; NULL with @error. */
GPtrArray *duet_named_volume_prune(DuetContext *context, GError **error);

/* ---- named-volume-use.c ---- */

/**
 * DuetVolumesHold: as long as it is held no volume goes. Begin with %DUET_VOLUMES_HOLD_NONE.
 * @fd: the lock, or -1
 * @made: (nullable) (element-type utf8): the volumes that were made for this
 */
typedef struct {
    int fd;
    GPtrArray *made;
} DuetVolumesHold;
#define DUET_VOLUMES_HOLD_NONE                                                                     \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/**
 * duet_volumes_hold: makes those of @spec's volumes that are not there, and fills new ones with
 * what the image has in their place. Costs nothing without any.
 */
gboolean duet_volumes_hold(
    DuetContext *context, const DuetSpec *spec, DuetVolumesHold *hold, GError **error);
/** duet_volumes_undo: removes what was made for the hold. */
void duet_volumes_undo(DuetContext *context, DuetVolumesHold *hold);
void duet_volumes_hold_clear(DuetVolumesHold *hold);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(DuetVolumesHold, duet_volumes_hold_clear)

G_END_DECLS
