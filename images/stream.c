/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/stream.h"

#include <errno.h>
#include <string.h>

#include <duet/error.h>

#include "core/util.h"

#define BLOCK_BYTES (128 * 1024)
#define TAR_BLOCK 512
/* Where a header has the sum of its bytes, in octal; there they count as blanks. */
#define TAR_SUM_AT 148
#define TAR_SUM_BYTES 8

struct _DuetStream {
    struct archive *archive;
    char *what;
    GChecksum *sum;
    guint64 bytes;
    /* How many of the bytes before the current position are zeros, in a row. */
    guint64 zeros;
    gboolean ended;
    /* A failure inside libarchive's read callback, which can't carry one. */
    GError *error;
};

struct _DuetTar {
    struct archive *archive;
    DuetStream *stream;
    char *what;
};

DuetRawNames duet_raw_names_begin(void)
{
    DuetRawNames names = { .own = newlocale(LC_ALL_MASK, "C", NULL) };
    if (names.own)
        names.previous = uselocale(names.own);
    return names;
}

void duet_raw_names_end(DuetRawNames *names)
{
    if (!names->own)
        return;
    uselocale(names->previous);
    freelocale(names->own);
}

static gboolean set_archive_error(struct archive *archive, const char *what, GError **error)
{
    const char *why = archive_error_string(archive);
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is damaged or cut short: %s", what,
        why ? why : "unknown format");
    return FALSE;
}

DuetStream *duet_stream_new(int fd, const char *what, GError **error)
{
    g_autoptr(DuetStream) stream = g_new0(DuetStream, 1);
    stream->what = g_strdup(what);
    stream->sum = g_checksum_new(G_CHECKSUM_SHA256);
    stream->archive = archive_read_new();
    archive_read_support_filter_gzip(stream->archive);
    archive_read_support_filter_xz(stream->archive);
    archive_read_support_filter_zstd(stream->archive);
    archive_read_support_format_raw(stream->archive);
    archive_read_support_format_empty(stream->archive);
    struct archive_entry *entry = NULL;
    int r = archive_read_open_fd(stream->archive, fd, BLOCK_BYTES);
    if (r >= ARCHIVE_WARN)
        r = archive_read_next_header(stream->archive, &entry);
    if (r == ARCHIVE_EOF)
        stream->ended = TRUE;
    else if (r < ARCHIVE_WARN) {
        set_archive_error(stream->archive, what, error);
        return NULL;
    }
    return g_steal_pointer(&stream);
}

void duet_stream_free(DuetStream *stream)
{
    if (!stream)
        return;
    archive_read_free(stream->archive);
    g_free(stream->what);
    g_checksum_free(stream->sum);
    g_clear_error(&stream->error);
    g_free(stream);
}

const char *duet_stream_what(DuetStream *stream)
{
    return stream->what;
}

DuetCompression duet_stream_compression(DuetStream *stream)
{
    switch (archive_filter_code(stream->archive, 0)) {
    case ARCHIVE_FILTER_GZIP:
        return DUET_COMPRESSION_GZIP;
    case ARCHIVE_FILTER_ZSTD:
        return DUET_COMPRESSION_ZSTD;
    case ARCHIVE_FILTER_XZ:
        return DUET_COMPRESSION_XZ;
    default:
        return DUET_COMPRESSION_NONE;
    }
}

static void count_zeros(DuetStream *stream, const guint8 *bytes, gsize length)
{
    gsize n = 0;
    while (n < length && n < TAR_BLOCK && bytes[length - 1 - n] == 0)
        n++;
    stream->zeros = n == length ? stream->zeros + n : n;
}

/* *out_length is 0 at the end. */
static gboolean read_block(
    DuetStream *stream, const void **out_bytes, gsize *out_length, GError **error)
{
    *out_length = 0;
    while (!stream->ended && *out_length == 0) {
        la_int64_t offset = 0;
        int r = archive_read_data_block(stream->archive, out_bytes, out_length, &offset);
        if (r == ARCHIVE_EOF)
            stream->ended = TRUE;
        else if (r < ARCHIVE_WARN)
            return set_archive_error(stream->archive, stream->what, error);
    }
    if (*out_length > 0) {
        g_checksum_update(stream->sum, *out_bytes, (gssize)*out_length);
        stream->bytes += *out_length;
        count_zeros(stream, *out_bytes, *out_length);
    }
    return TRUE;
}

/* By its sum alone, which all kinds of tar have; some old ones took the bytes for signed. */
static gboolean is_tar_header(const guint8 *block)
{
    char text[TAR_SUM_BYTES + 1] = { 0 };
    gint64 sum = 0, signed_sum = 0;
    memcpy(text, block + TAR_SUM_AT, TAR_SUM_BYTES);
    for (int i = 0; i < TAR_BLOCK; i++) {
        gboolean own = i >= TAR_SUM_AT && i < TAR_SUM_AT + TAR_SUM_BYTES;
        sum += own ? ' ' : block[i];
        signed_sum += own ? ' ' : (gint8)block[i];
    }
    gint64 told = g_ascii_strtoll(text, NULL, 8);
    return told == sum || told == signed_sum;
}

/**
 * Begin: what is known of a tar's first block
 * @length: how much of it came
 */
typedef struct {
    guint8 block[TAR_BLOCK];
    gsize length;
} Begin;

static gboolean check_begin(
    Begin *begin, const char *what, const void *bytes, gsize length, GError **error)
{
    gsize room = MIN(TAR_BLOCK - begin->length, length);
    if (room == 0)
        return TRUE;
    memcpy(begin->block + begin->length, bytes, room);
    begin->length += room;
    if (begin->length < TAR_BLOCK || is_tar_header(begin->block))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
        "'%s' is not an image archive: it does not begin as a tar, nor as one that was compressed "
        "with gzip, xz or zstd",
        what);
    return FALSE;
}

/* @begin: (nullable): it is to be a tar */
static gboolean drain(DuetStream *stream, Begin *begin, int out_fd, GError **error)
{
    const void *bytes = NULL;
    gsize length = 0;
    do {
        if (!read_block(stream, &bytes, &length, error) ||
            (begin && !check_begin(begin, stream->what, bytes, length, error)))
            return FALSE;
        if (out_fd >= 0 && !duet_write_all(out_fd, bytes, length))
            return duet_error_set_errno(error, errno, "cannot store '%s'", stream->what);
    } while (length > 0);
    return TRUE;
}

gboolean duet_stream_drain(DuetStream *stream, int out_fd, GError **error)
{
    return drain(stream, NULL, out_fd, error);
}

gboolean duet_stream_drain_tar(DuetStream *stream, int out_fd, GError **error)
{
    Begin begin = { .length = 0 };
    return drain(stream, &begin, out_fd, error);
}

const char *duet_stream_hex(DuetStream *stream)
{
    return g_checksum_get_string(stream->sum);
}

guint64 duet_stream_bytes(DuetStream *stream)
{
    return stream->bytes;
}

gboolean duet_stream_ends_a_tar(DuetStream *stream)
{
    return stream->zeros >= TAR_BLOCK;
}

static la_ssize_t on_read(struct archive *archive, void *data, const void **out_bytes)
{
    DuetStream *stream = data;
    gsize length = 0;
    if (!read_block(stream, out_bytes, &length, &stream->error)) {
        archive_set_error(archive, EIO, "%s", stream->error->message);
        return ARCHIVE_FATAL;
    }
    return (la_ssize_t)length;
}

static DuetTar *tar_new(const char *what)
{
    DuetTar *tar = g_new0(DuetTar, 1);
    tar->what = g_strdup(what);
    tar->archive = archive_read_new();
    archive_read_support_format_tar(tar->archive);
    archive_read_support_format_empty(tar->archive);
    return tar;
}

static gboolean set_tar_error(DuetTar *tar, GError **error)
{
    if (tar->stream && tar->stream->error) {
        g_propagate_error(error, g_steal_pointer(&tar->stream->error));
        return FALSE;
    }
    return set_archive_error(tar->archive, tar->what, error);
}

DuetTar *duet_tar_new(DuetStream *stream, GError **error)
{
    g_autoptr(DuetTar) tar = tar_new(stream->what);
    tar->stream = stream;
    if (archive_read_open(tar->archive, stream, NULL, on_read, NULL) < ARCHIVE_WARN) {
        set_tar_error(tar, error);
        return NULL;
    }
    return g_steal_pointer(&tar);
}

DuetTar *duet_tar_new_fd(int fd, const char *what, GError **error)
{
    g_autoptr(DuetTar) tar = tar_new(what);
    if (lseek(fd, 0, SEEK_SET) < 0) {
        duet_error_set_errno(error, errno, "cannot rewind '%s'", what);
        return NULL;
    }
    if (archive_read_open_fd(tar->archive, fd, BLOCK_BYTES) < ARCHIVE_WARN) {
        set_archive_error(tar->archive, what, error);
        return NULL;
    }
    return g_steal_pointer(&tar);
}

void duet_tar_free(DuetTar *tar)
{
    if (!tar)
        return;
    archive_read_free(tar->archive);
    g_free(tar->what);
    g_free(tar);
}

gboolean duet_tar_next(DuetTar *tar, struct archive_entry **out_entry, GError **error)
{
    int r;
    do
        r = archive_read_next_header(tar->archive, out_entry);
    while (r == ARCHIVE_RETRY);
    if (r == ARCHIVE_EOF) {
        *out_entry = NULL;
        return TRUE;
    }
    /* A warning is what a name that is not in the locale's charset gives; its bytes are whole. */
    return r >= ARCHIVE_WARN || set_tar_error(tar, error);
}

gboolean duet_tar_block(
    DuetTar *tar, const void **out_bytes, gsize *out_length, gint64 *out_offset, GError **error)
{
    la_int64_t offset = 0;
    int r = archive_read_data_block(tar->archive, out_bytes, out_length, &offset);
    *out_offset = offset;
    if (r == ARCHIVE_EOF)
        return FALSE;
    return r >= ARCHIVE_WARN || set_tar_error(tar, error);
}

static gboolean name_error(GError **error, const char *what, const char *name, const char *why)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is refused: its member '%s' %s", what,
        name, why);
    return FALSE;
}

char *duet_member_name(const char *name, const char *what, GError **error)
{
    if (!name || !*name) {
        name_error(error, what, "", "has no name");
        return NULL;
    }
    if (*name == '/') {
        name_error(error, what, name, "has an absolute name");
        return NULL;
    }
    g_auto(GStrv) parts = g_strsplit(name, "/", -1);
    g_autoptr(GString) clean = g_string_new(NULL);
    for (char **part = parts; *part; part++) {
        if (!**part || g_str_equal(*part, "."))
            continue;
        if (g_str_equal(*part, "..")) {
            name_error(error, what, name, "climbs out with '..'");
            return NULL;
        }
        if (clean->len > 0)
            g_string_append_c(clean, '/');
        g_string_append(clean, *part);
    }
    return g_string_free(g_steal_pointer(&clean), FALSE);
}
