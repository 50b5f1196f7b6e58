/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <duet/image.h>

#include "images/descriptor.h"

G_BEGIN_DECLS

/*
 * The store's directory: an OCI image layout that other tools may read and write, and beside it
 * what is derived from it.
 *
 *   oci-layout index.json blobs/sha256/   the layout; 0700 from blobs/ on, as other users of the
 *                                         host have no business with what images hold
 *   layers/<chain id>/                    unpacked layers, as overlayfs wants them; 0700, as they
 *                                         hold other people's set-user-id programs
 *   vmroot/<chain id>.img                 root disks for VMs; 0711, as a libvirt daemon's QEMU is
 *                                         another user, who opens them by name
 *   records/                              see record.h; 0700
 *   tmp/<random>/                         work of the one writer that holds the lock
 *   lock                                  flock(2)ed by writers
 *
 * A layer's unpacked form depends on the layers below it (hard links into them, owners of
 * directories that it does not name), so its key is OCI's chain id: for a lowest layer that is its
 * diff id.
 */

/**
 * DuetStore: an open store.
 * @tmp: (nullable): "tmp/<random>", a writer's work directory; on the store's file system, so that
 *     rename(2) moves what it holds into place
 * @staged: how many names there are taken: a writer may have more than one transaction
 */
typedef struct {
    char *dir;
    int fd;
    int lock_fd;
    char *tmp;
    int tmp_fd;
    guint staged;
} DuetStore;

/** duet_store_open_read: %DUET_ERROR_NOT_FOUND where there is none. */
DuetStore *duet_store_open_read(const char *dir, GError **error);
/** duet_store_open_write: makes it if need be, waits for other writers, removes what dead ones
 * left. */
DuetStore *duet_store_open_write(const char *dir, GError **error);
/** duet_store_free: removes the work directory and unlocks. */
void duet_store_free(DuetStore *store);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetStore, duet_store_free)

/** duet_store_fresh_name: Returns: (transfer full): a new name in the work directory. */
char *duet_store_fresh_name(DuetStore *store);

/**
 * duet_store_discard: takes a file or directory away in one step, so that a kill leaves it whole or
 * not at all; the work directory's end deletes it.
 * @dir_fd: a directory of the store
 */
void duet_store_discard(DuetStore *store, int dir_fd, const char *path);

/** duet_store_tmpfile: a file without a name on the file system of @dir_fd, or -1. */
int duet_store_tmpfile(int dir_fd, GError **error);

/** duet_store_open_blob: Returns: the blob, opened to read, or -1. */
int duet_store_open_blob(DuetStore *store, const char *hex, GError **error);

/** DuetBytesFunc: takes the next bytes. */
typedef gboolean (*DuetBytesFunc)(gpointer data, const void *bytes, gsize length, GError **error);

/** duet_store_feed: hands all of @fd to @func; %DUET_ERROR_BROKEN if its sha256 is not @hex. */
gboolean duet_store_feed(
    DuetStore *store, int fd, const char *hex, DuetBytesFunc func, gpointer data, GError **error);

/** duet_store_has: @path is below the store. */
gboolean duet_store_has(DuetStore *store, const char *path);

/** duet_store_mkdir: one directory below the store; an existing one loses what @mode has not. */
gboolean duet_store_mkdir(DuetStore *store, const char *path, int mode, GError **error);

/**
 * DuetIndexStamp: which index.json it was; all 0 where there is none. Other tools take no lock:
 * with it a writer sees that one of them came between.
 */
typedef struct {
    guint64 mtime_ns;
    guint64 size_bytes;
    guint64 inode;
} DuetIndexStamp;

/** duet_index_stamp: of the file @name below @dir_fd. */
gboolean duet_index_stamp(int dir_fd, const char *name, DuetIndexStamp *out_stamp, GError **error);

/* The index of the layout: rows are descriptors of manifests or of indexes. */

/** duet_index_new: Returns: (transfer full): an index without rows. */
JsonNode *duet_index_new(void);
/** duet_index_load: Returns: (transfer full): the root object; an empty index where there is none.
 */
JsonNode *duet_index_load(DuetStore *store, GError **error);
/**
 * duet_index_add: a row for the manifest; drops other rows of the same name, and an unnamed row
 * of the same manifest if @name is given. A manifest that loses its last name keeps an unnamed row.
 */
void duet_index_add(JsonNode *index, const DuetDescriptor *manifest, const char *name);
/** duet_index_drop: drops the rows of @name, or, if that is NULL, all rows of @hex. */
void duet_index_drop(JsonNode *index, const char *name, const char *hex);

G_END_DECLS
