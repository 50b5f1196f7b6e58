/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

G_BEGIN_DECLS

/*
 * Copies of what an instance wrote to its files, the same for every kind. The instance does not run
 * meanwhile: one that does is %DUET_ERROR_STATE, and so is one that another command is busy with.
 * One that was saved (save.h) is copied with its memory. All of these fork: the caller has no
 * threads. A signal that ends the caller does so when all is as before, or done.
 */

/**
 * DuetSnapshot:
 * @name: unique in its instance
 * @created_us: wall clock
 * @size_bytes: what its files have of the disk; those that share blocks with others are counted
 * @stateful: it has the memory of a VM that was saved
 */
typedef struct {
    char *name;
    gint64 created_us;
    guint64 size_bytes;
    gboolean stateful;
} DuetSnapshot;

void duet_snapshot_free(DuetSnapshot *snapshot);

/**
 * duet_snapshot_create:
 * @name: (nullable): as of an instance; NULL: the first of snap0, snap1, ... behind all there are
 *
 * Returns: (transfer full): its name, or NULL; a name that is taken is %DUET_ERROR_EXISTS.
 */
char *duet_snapshot_create(DuetInstance *instance, const char *name, GError **error);

/**
 * duet_snapshot_create_stateful: the same with the memory. A VM that runs is saved and goes on; see
 * duet_instance_save() for what is refused. If that fails in between, it is saved.
 */
char *duet_snapshot_create_stateful(DuetInstance *instance, const char *name, GError **error);
/** duet_snapshot_check_free: Returns: %FALSE with %DUET_ERROR_INVALID or %DUET_ERROR_EXISTS if no
 * snapshot can be called @name. */
gboolean duet_snapshot_check_free(DuetInstance *instance, const char *name, GError **error);

/**
 * duet_snapshot_list: those of one instance, whatever its state.
 * @id: of the instance
 *
 * Returns: (transfer full) (element-type DuetSnapshot): sorted by age; no error: what can't be read
 *     is not there.
 */
GPtrArray *duet_snapshot_list(DuetContext *context, const char *id);

/**
 * duet_snapshot_restore: the instance's files are as they were; what it wrote since is gone. If it
 * fails, or is killed, they are as before, or restored, never in between.
 */
gboolean duet_snapshot_restore(DuetInstance *instance, const char *name, GError **error);

/** duet_snapshot_remove: the instance may run. */
gboolean duet_snapshot_remove(DuetInstance *instance, const char *name, GError **error);

/**
 * duet_instance_clone: a new instance, which was never started, of the same spec but for id and
 * name (and a host name that was the id), with a copy of the files.
 * @snapshot: (nullable): of that, in place of the present ones
 * @name: (nullable): NULL: that of @instance and "-clone", with a number where that is taken
 *
 * Returns: (transfer full): as duet_instance_create() does.
 */
DuetInstance *duet_instance_clone(
    DuetInstance *instance, const char *snapshot, const char *name, GError **error);

G_END_DECLS
