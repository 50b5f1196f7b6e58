/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <glib.h>
#include <sys/stat.h>

G_BEGIN_DECLS

/*
 * What the VM driver derives once and every VM uses: kernels, initramfs, the template of the
 * writable disk, libvirt's capabilities. Below /var/cache/duet ($DUET_CACHE_DIR; a user's is in
 * $XDG_CACHE_HOME/duet). All of it may be deleted while no VM is being started.
 */

/** duet_vm_cache_path: Returns: (transfer full): a path in the cache; the last argument is NULL. */
char *duet_vm_cache_path(const char *first, ...) G_GNUC_NULL_TERMINATED;

/** duet_vm_cache_lock: waits for the cache's lock @name. Returns: a descriptor that holds it. */
int duet_vm_cache_lock(const char *name, GError **error);

/**
 * duet_vm_cache_begin: waits until nobody else makes anything in the folder of @path, and takes
 * away what one that was killed left there.
 * @out_lock_fd: to be closed when @path is there, or was given up
 * Returns: (transfer full): where to make it: a path in a folder that goes with the next beginning,
 * or NULL with @error.
 */
char *duet_vm_cache_begin(const char *path, int *out_lock_fd, GError **error);

/**
 * duet_vm_cache_commit: renames the finished file @fresh, of duet_vm_cache_begin(), to @path, so
 * readers never see a part; the folder goes.
 */
gboolean duet_vm_cache_commit(const char *fresh, const char *path, GError **error);

/** duet_vm_cache_abandon: removes @fresh and its folder instead. Returns: %FALSE. */
gboolean duet_vm_cache_abandon(const char *fresh);

/** duet_vm_file_identity: Returns: (transfer full): changes when the file at @path does. */
char *duet_vm_file_identity(const char *path, const struct stat *st);

/** duet_vm_file_sha256: Returns: (transfer full): 64 hex digits, or NULL with @error. */
char *duet_vm_file_sha256(const char *path, GError **error);

G_END_DECLS
