/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/instance.h>

#include <sys/socket.h>
#include <sys/un.h>

#include "core/cgroup/cgroup.h"

G_BEGIN_DECLS

/*
 * The files below one root directory:
 *
 *   images/            the store (images/ owns what is in it)
 *   instances/<id>/    spec, state, log, lock; the monitor's socket; the driver's writable layer
 *   names/<name>       symlink to the id: creating it is what takes a name
 *   live/<id>          exists from before the first file of an instance until it is whole, and from
 *                      before its monitor makes anything outside this tree until all of that is
 *                      gone; holds the path of its cgroup. With a free lock it means: clean up.
 *                      A second line says that it was started to copy files alone, or that
 *                      its layer is copied (layer.c).
 *   volumes/<name>/    a volume: its files in _data; named-volume.c
 *   trash/             what was renamed away to be removed later
 *
 * Beside it, on a file system of the machine: /run/duet/<id>/ with what of a VM may not survive,
 * and /run/duet/ids. An ordinary user's are elsewhere: rootless.h.
 */

struct _DuetContext {
    char *root;
    int root_fd;
    char *store_dir;
    char *run_base;
    gboolean rootless;
    const struct _DuetDriverEntry *drivers;
};

struct _DuetInstance {
    DuetContext *context;
    DuetSpec *spec;
    int dir_fd;
    /* Held from creation until a monitor has it or the instance is whole; -1 otherwise. */
    int lock_fd;
};

/** duet_instance_path: Returns: (transfer full): absolute path of an instance's directory. */
char *duet_instance_path(DuetContext *context, const char *id);
/** duet_run_path: Returns: (transfer full): "/run/duet/<id>", or a user's own. */
char *duet_run_path(DuetContext *context, const char *id);

/** DUET_SOCKET: the monitor's socket, in the instance's directory. */
#define DUET_SOCKET "sock"
/** duet_socket_address: of the instance whose directory @dir_fd is, however long its path. */
void duet_socket_address(int dir_fd, struct sockaddr_un *out_address);

/**
 * duet_lock_take: opens and locks an instance's lock file, at once or not at all.
 * @flags: O_CREAT makes it, if need be; else 0
 * Returns: a descriptor, or -1 with errno: EWOULDBLOCK when a living process holds it.
 */
int duet_lock_take(int dir_fd, int flags);

/** duet_live_mark: @borrowed: nothing is to be recorded of its end. */
gboolean duet_live_mark(
    DuetContext *context, const char *id, const char *cgroup, gboolean borrowed, GError **error);
/** duet_live_is_borrowed: whether it was marked so. */
gboolean duet_live_is_borrowed(DuetContext *context, const char *id);
/** duet_live_mark_layer: nothing runs of it: %DUET_COPY_DIR in its directory is to be removed. */
gboolean duet_live_mark_layer(DuetContext *context, const char *id, GError **error);
gboolean duet_live_is_layer(DuetContext *context, const char *id);
/** DUET_COPY_DIR: in an instance's directory: what is not whole yet, or not wanted any more. */
#define DUET_COPY_DIR "copy.new"
void duet_live_unmark(DuetContext *context, const char *id);
gboolean duet_live_is_marked(DuetContext *context, const char *id);
/** duet_live_recover: a sweep for one instance; no error if it lives, or is whole. */
void duet_live_recover(DuetContext *context, const char *id);
/**
 * duet_live_clean_up: ends what is left of an instance whose monitor died, and removes its runtime
 * directory. The caller holds its lock.
 * Returns: whether its processes and cgroup are gone; else its marker must stay.
 */
gboolean duet_live_clean_up(DuetContext *context, const char *id);
/** duet_live_tell_death: the event of a run's end that its monitor, which was killed, may not have
 * written. The caller holds the lock, and has recorded that end. */
void duet_live_tell_death(DuetContext *context, int dir_fd, const DuetSpec *spec);

/**
 * duet_instance_create_from: duet_instance_create() of an instance that has a layer from the start.
 * @layer: renamed out of @layer_fd into its directory; where there is none it has none
 */
DuetInstance *duet_instance_create_from(
    DuetContext *context, DuetSpec *spec, int layer_fd, const char *layer, GError **error);
/** duet_instance_discard: renames the directory to the trash and frees the name. */
gboolean duet_instance_discard(DuetContext *context, const DuetSpec *spec, GError **error);
void duet_trash_empty(DuetContext *context);

/** duet_info_to_text: Returns: (transfer full): the state without its spec, as text. */
char *duet_info_to_text(const DuetInfo *info);
/**
 * duet_info_new: of an instance of which nothing happened yet.
 * @spec: (transfer full) (nullable)
 */
DuetInfo *duet_info_new(DuetSpec *spec);
/**
 * duet_info_from_text: @spec is copied into the result.
 * Returns: (transfer full): never NULL; text that can't be read gives an exited instance of which
 * nothing more is known.
 */
DuetInfo *duet_info_from_text(const char *text, const DuetSpec *spec);

gboolean duet_variant_write(int dir_fd, const char *name, GVariant *variant, GError **error);
GVariant *duet_variant_read(int dir_fd, const char *name, GError **error);

/**
 * duet_ids_take: reserves one of the machine's ranges of 131072 ids for as long as the descriptor
 * is open. An ordinary user has none to take: *out_fd is -1 and *out_base 0 then.
 * Returns: %FALSE with @error when all are taken.
 */
gboolean duet_ids_take(
    DuetContext *context, const char *id, int *out_fd, guint32 *out_base, GError **error);

G_END_DECLS
