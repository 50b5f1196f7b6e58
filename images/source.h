/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "images/descriptor.h"

G_BEGIN_DECLS

typedef enum {
    DUET_SOURCE_OCI,
    DUET_SOURCE_DOCKER,
    DUET_SOURCE_ROOTFS,
} DuetSourceKind;

/** DuetSource: where an image is read from: a directory or an archive with named members. */
typedef struct _DuetSource DuetSource;

/**
 * duet_source_open:
 * @path: a directory, or an archive, compressed or not; a pipe too
 * @spool_fd: an open directory on a disk with room: a compressed archive is unpacked there once
 *     (into a file without a name), as its members are needed in another order than they have
 */
DuetSource *duet_source_open(const char *path, int spool_fd, GError **error);
/** duet_source_open_store: a store as a source. @dir_fd: (transfer none) */
DuetSource *duet_source_open_store(int dir_fd, const char *what);
void duet_source_free(DuetSource *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetSource, duet_source_free)

DuetSourceKind duet_source_kind(DuetSource *source);
const char *duet_source_what(DuetSource *source);

gboolean duet_source_has(DuetSource *source, const char *member);

/**
 * duet_source_copy:
 * @out_fd: gets the contents, or -1
 * @out_hex: (out) (transfer full) (optional): their sha256
 * @out_bytes: (out) (optional): their length
 * @max_bytes: more is an error
 */
gboolean duet_source_copy(DuetSource *source, const char *member, int out_fd, guint64 max_bytes,
    char **out_hex, guint64 *out_bytes, GError **error);

/** duet_source_read: Returns: (transfer full): a small member's contents, NUL-terminated. */
char *duet_source_read(
    DuetSource *source, const char *member, gsize *out_length, char **out_hex, GError **error);

/** duet_source_read_blob: a JSON blob, its digest and size checked. Returns: (transfer full) */
char *duet_source_read_blob(
    DuetSource *source, const DuetDescriptor *descriptor, gsize *out_length, GError **error);

/** duet_source_newest: the latest time of an archive's members, in seconds since 1970. */
gint64 duet_source_newest(DuetSource *source);

/** duet_source_rewind: Returns: (transfer none): a plain root file system's tar, at its start. */
int duet_source_rewind(DuetSource *source, GError **error);

G_END_DECLS
