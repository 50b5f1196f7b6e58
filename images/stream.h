/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <locale.h>

#include <archive.h>
#include <archive_entry.h>
#include <glib.h>

G_BEGIN_DECLS

/**
 * DUET_RAW_NAMES: until the end of the block, names in archives are bytes. In any other locale
 * than "C" libarchive converts them and normalises UTF-8.
 */
typedef struct {
    locale_t own, previous;
} DuetRawNames;
DuetRawNames duet_raw_names_begin(void);
void duet_raw_names_end(DuetRawNames *names);
#define DUET_RAW_NAMES                                                                             \
    __attribute__((cleanup(duet_raw_names_end), unused)) DuetRawNames duet_raw_names =             \
        duet_raw_names_begin()

/**
 * DuetStream: the bytes of a file after decompression (none, gzip, xz, zstd; several members or
 * frames are one stream), hashed as they pass.
 */
typedef struct _DuetStream DuetStream;

/**
 * duet_stream_new:
 * @fd: (transfer none): a file, read from its current position; must outlive the stream
 * @what: names it in messages
 */
DuetStream *duet_stream_new(int fd, const char *what, GError **error);
void duet_stream_free(DuetStream *stream);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetStream, duet_stream_free)

const char *duet_stream_what(DuetStream *stream);

typedef enum {
    DUET_COMPRESSION_NONE,
    DUET_COMPRESSION_GZIP,
    DUET_COMPRESSION_ZSTD,
    DUET_COMPRESSION_XZ,
} DuetCompression;
DuetCompression duet_stream_compression(DuetStream *stream);

/**
 * duet_stream_drain: reads up to the end, as what follows a tar's end counts for the digest too.
 * @out_fd: gets the bytes, or -1
 */
gboolean duet_stream_drain(DuetStream *stream, int out_fd, GError **error);
/** duet_stream_drain_tar: the same, and refuses at once what does not begin as a tar: what never
 * ends would fill the disk. */
gboolean duet_stream_drain_tar(DuetStream *stream, int out_fd, GError **error);

/* After the end: */
/** duet_stream_hex: the sha256 of all bytes, in hex. */
const char *duet_stream_hex(DuetStream *stream);
guint64 duet_stream_bytes(DuetStream *stream);
/** duet_stream_ends_a_tar: whether the last 512 bytes are zeros. */
gboolean duet_stream_ends_a_tar(DuetStream *stream);

/** DuetTar: the entries of a tar archive in a stream or in a seekable file. */
typedef struct _DuetTar DuetTar;
DuetTar *duet_tar_new(DuetStream *stream, GError **error);
/** duet_tar_new_fd: of an uncompressed tar file, from its start; contents are skipped by seeking.
 */
DuetTar *duet_tar_new_fd(int fd, const char *what, GError **error);
void duet_tar_free(DuetTar *tar);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DuetTar, duet_tar_free)

/** duet_tar_next: *out_entry is NULL after the last. */
gboolean duet_tar_next(DuetTar *tar, struct archive_entry **out_entry, GError **error);
/**
 * duet_tar_block: the next piece of an entry's contents; pieces that are left out are holes.
 * Returns: %FALSE at the end (*error not set) or on an error.
 */
gboolean duet_tar_block(
    DuetTar *tar, const void **out_bytes, gsize *out_length, gint64 *out_offset, GError **error);

/**
 * duet_member_name: the name of an archive's member or link target as a relative path without
 * "." and empty components.
 * Returns: (transfer full): "" for the root, or NULL with %DUET_ERROR_BROKEN when the name is
 *     absolute, has a ".." or is missing.
 */
char *duet_member_name(const char *name, const char *what, GError **error);

G_END_DECLS
