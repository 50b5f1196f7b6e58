/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>

#include "core/rootless.h"
#include "images/unpack.h"

G_BEGIN_DECLS

/** The marks of overlayfs in a user namespace; in a layer of root's they mean nothing. */
#define DUET_XATTR_USER_MARKS "user.overlay."

/**
 * DuetUnpack: one layer while it is unpacked. A "real" path is relative to the root, clean, and
 * has no symlink in it.
 * @lowers: the layers below, nearest first
 * @dir_times: real path -> gint64[2], the time that a directory gets at the end
 * @default_acls: real path -> GBytes, the default ACL that a directory gets at the end: the kernel
 *     would give what is made in it meanwhile an ACL of its own; @acl_bytes in all
 * @whiteouts, @opaques: real paths that the layer hides in the layers below; applied at the end, so
 *     that they never touch the layer's own files whatever the order
 * @copied: real paths that came from the layers below and are not in the archive
 * @rootless, @own_ids: an ordinary user unpacks, and has these ids (owners.c)
 * @last_dir, @last_fd: the directory that was used last: archives list files by directory
 */
typedef struct {
    const char *what;
    int root;
    const int *lowers;
    gsize n_lowers;
    GHashTable *dir_times;
    GHashTable *default_acls;
    gsize acl_bytes;
    GHashTable *whiteouts;
    GHashTable *opaques;
    GHashTable *copied;
    char *last_dir;
    int last_fd;
    gboolean rootless;
    GArray *own_ids[2];
    DuetFacts *facts;
} DuetUnpack;

/* owners.c */

/** duet_opaque_attribute: the extended attribute of a directory that hides those below it. */
const char *duet_opaque_attribute(void);
void duet_owners_init(DuetUnpack *unpack);
void duet_owners_clear(DuetUnpack *unpack);
/** duet_owner_check: %DUET_ERROR_PERMISSION for an id that the user does not have. */
gboolean duet_owner_check(
    DuetUnpack *unpack, DuetIdType type, guint32 id, const char *member, GError **error);
/** duet_owner_to_disk: Returns: what to give chown(2) for the archive's @id. */
uid_t duet_owner_to_disk(gint64 id);
/** duet_owner_from_disk: Returns: the id that an unpacked file's owner stands for. */
guint32 duet_owner_from_disk(uid_t id);

/* resolve.c */

/** duet_open_beneath: a directory of a layer by its real path, or -1 with errno. */
int duet_open_beneath(int root, const char *real);
/** duet_is_whiteout: overlayfs' form of a deleted file. */
gboolean duet_is_whiteout(const struct stat *st);
/** duet_dir_is_opaque: @name below the directory @fd. */
gboolean duet_dir_is_opaque(int fd, const char *name);

typedef enum {
    DUET_LOOK_FOUND,
    DUET_LOOK_MISSING, /* the layers below may have it */
    DUET_LOOK_HIDDEN, /* this layer hides it in those below */
} DuetLook;
/** duet_look_in_layer: what one layer has to say of a path. @out_st: set if it is found */
DuetLook duet_look_in_layer(int root, const char *real, struct stat *out_st);
/**
 * duet_unpack_find_lower: looks a real path up in the merged view of the layers below.
 * Returns: the index of the layer that shows it, or -1
 */
gssize duet_unpack_find_lower(DuetUnpack *unpack, const char *real, struct stat *out_st);
/** duet_unpack_hides: whether the archive so far deletes @real, or a directory above it, below. */
gboolean duet_unpack_hides(DuetUnpack *unpack, const char *real);
/** duet_unpack_find_visible: the same as find_lower for what is not hidden. */
gssize duet_unpack_find_visible(DuetUnpack *unpack, const char *real, struct stat *out_st);
/**
 * duet_unpack_resolve:
 * @path: a clean path of a directory
 * @create: makes what is missing in this layer; else *out_real is NULL if there is no such
 * directory
 * @out_real: (out) (transfer full)
 */
gboolean duet_unpack_resolve(
    DuetUnpack *unpack, const char *path, gboolean create, char **out_real, GError **error);
/** duet_unpack_dir: Returns: an open directory of this layer that belongs to @unpack, or -1. */
int duet_unpack_dir(DuetUnpack *unpack, const char *path, char **out_real, GError **error);
void duet_unpack_forget_dir(DuetUnpack *unpack);
void duet_unpack_set_dir_time(DuetUnpack *unpack, const char *real, gint64 seconds, gint64 ns);

/* marks.c */

/** duet_unpack_finish: applies what waits for the archive's end: marks, default ACLs, times. */
gboolean duet_unpack_finish(DuetUnpack *unpack, GError **error);

/* copy-up.c */

gboolean duet_copy_up_dir(DuetUnpack *unpack, gsize lower, const char *real, GError **error);
/** duet_copy_up_file: any other kind of file, with all the names that it has in its layer. */
gboolean duet_copy_up_file(DuetUnpack *unpack, gsize lower, const char *real, GError **error);

/** duet_copy_attributes: owner, mode and extended attributes, but for a default ACL. Returns:
 * %FALSE with errno. */
gboolean duet_copy_attributes(int from, int to, const struct stat *st);
/** duet_copy_node: one file that is no directory. Returns: %FALSE with errno. */
gboolean duet_copy_node(
    int from_dir, const char *name, int to_dir, const char *to_name, const struct stat *st);
/** duet_copy_file: one file as @to_name below @to_fd. */
gboolean duet_copy_file(DuetUnpack *unpack, gsize lower, const char *real, int to_fd,
    const char *to_name, GError **error);

/* attributes.c */

#define DUET_XATTR_DEFAULT_ACL "system.posix_acl_default"

/**
 * duet_entry_attributes: owner, mode, extended attributes and ACLs of an open file.
 * @real: a directory's real path, under which its default ACL is kept for the end; else NULL
 */
gboolean duet_entry_attributes(DuetUnpack *unpack, int fd, const char *name, const char *real,
    struct archive_entry *entry, GError **error);
/** duet_unpack_keep_default_acl: @value: in the kernel's form */
gboolean duet_unpack_keep_default_acl(
    DuetUnpack *unpack, const char *real, const void *value, gsize length, GError **error);
/** duet_unpack_set_default_acls: those that were kept. */
gboolean duet_unpack_set_default_acls(DuetUnpack *unpack, GError **error);
gboolean duet_entry_ids(DuetUnpack *unpack, struct archive_entry *entry, GError **error);

/** duet_join: Returns: (transfer full): "dir/name", or "name" if @dir is "". */
char *duet_join(const char *dir, const char *name);
/** duet_split: Returns: the last component, *out_dir (transfer full) what is before it. */
const char *duet_split(const char *path, char **out_dir);

G_END_DECLS
