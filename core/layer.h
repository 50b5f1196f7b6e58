/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/state.h"

#include <signal.h>

G_BEGIN_DECLS

/* What snapshots and clones are made of: the writable layer of a stopped instance, and copies. */

/** DUET_SNAPSHOTS: in the instance's directory: one directory for each, with the layer's copy. */
#define DUET_SNAPSHOTS "snapshots"

/**
 * DuetLayer: where a kind's driver keeps what its instance writes.
 * @name: of a directory or file in the instance's directory; it is there once the instance has run
 * @scratch: (nullable): what is there for @name's sake, and made anew where it is missing
 */
typedef struct {
    const char *name;
    const char *scratch;
} DuetLayer;

/**
 * DuetLayerWork: the lock of an instance that does not run, and a directory in it for what is not
 * whole yet. However its holder ends, all that is in there goes.
 * @layer: of the instance's kind
 * @new_fd: the directory
 * @new_path: below the root directory
 */
typedef struct {
    DuetInstance *instance;
    const DuetLayer *layer;
    int lock_fd;
    int new_fd;
    char *new_path;
    sigset_t old_mask;
} DuetLayerWork;

/**
 * duet_layer_work_begin: holds back the signals that would end the process. The instance's spec is
 * as of now.
 * Returns: %FALSE with @error, and nothing to end.
 */
gboolean duet_layer_work_begin(DuetLayerWork *work, DuetInstance *instance, GError **error);
void duet_layer_work_end(DuetLayerWork *work);

/**
 * duet_layer_work_copy: copies the layer, and a saved memory, into the directory; nothing if there
 * is none yet.
 * @snapshot: (nullable): that of a snapshot; none of that name is %DUET_ERROR_NOT_FOUND
 */
gboolean duet_layer_work_copy(DuetLayerWork *work, const char *snapshot, GError **error);

/** duet_layer_no_snapshot: Returns: %FALSE, with %DUET_ERROR_NOT_FOUND. */
gboolean duet_layer_no_snapshot(DuetInstance *instance, const char *name, GError **error);

/* ---- layer-commit.c ---- */

/** duet_layer_has_memory: whether what was copied, or what is to be replaced, is a disk with a
 * saved memory (saved.h) beside it. */
gboolean duet_layer_has_memory(const DuetLayerWork *work);
/** duet_layer_commit: both are what was copied, or as before. */
gboolean duet_layer_commit(const DuetLayerWork *work, GError **error);
/** duet_layer_finish: what a maker that was killed had decided. Returns: whether nothing of it is
 * left to do. @dir_fd: the instance's directory, whose lock the caller has */
gboolean duet_layer_finish(int dir_fd);

/* ---- tree-copy.c ---- */

/**
 * duet_tree_copy: copies a file, or a directory and all below it, with all that the file system
 * knows of them; @to is not there yet, and may be there in part after a failure. SIGINT, SIGTERM,
 * SIGHUP and SIGQUIT are held back by the caller; one that is pending ends it.
 * @dir_fd: both paths are below it
 * @lock_fd: a lock that lives as long as the copying does, whoever is killed
 * @mask: of the signals that the program which copies holds back
 */
gboolean duet_tree_copy(int dir_fd, const char *from, const char *to, int lock_fd,
    const sigset_t *mask, GError **error);

/** duet_tree_bytes: Returns: what @path, and all below it, has of the disk. */
guint64 duet_tree_bytes(const char *path);

G_END_DECLS
