/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/source.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/store.h"
#include "images/stream.h"

/* Archives of images have a few dozen members; a root file system has many. */
#define MAX_LINKS 16

typedef struct {
    guint index;
    char *link; /* the member that a symlink or hard link stands for */
    gboolean plain;
} Member;

struct _DuetSource {
    char *what;
    int dir_fd; /* a directory, or -1 */
    int file_fd; /* an uncompressed archive, or -1 */
    gboolean own_dir;
    gint64 newest;
    GHashTable *members;
    DuetSourceKind kind;
};

static void member_free(gpointer data)
{
    Member *member = data;
    g_free(member->link);
    g_free(member);
}

static DuetSource *source_new(const char *what)
{
    DuetSource *source = g_new0(DuetSource, 1);
    source->what = g_strdup(what);
    source->dir_fd = source->file_fd = -1;
    source->members = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, member_free);
    return source;
}

void duet_source_free(DuetSource *source)
{
    if (!source)
        return;
    if (source->own_dir)
        duet_fd_clear(&source->dir_fd);
    duet_fd_clear(&source->file_fd);
    g_hash_table_unref(source->members);
    g_free(source->what);
    g_free(source);
}

DuetSourceKind duet_source_kind(DuetSource *source)
{
    return source->kind;
}

const char *duet_source_what(DuetSource *source)
{
    return source->what;
}

DuetSource *duet_source_open_store(int dir_fd, const char *what)
{
    DuetSource *source = source_new(what);
    source->dir_fd = dir_fd;
    source->kind = DUET_SOURCE_OCI;
    return source;
}

/* Resolves "../x.tar" as seen from the member @name; NULL where it leaves the archive. */
static char *resolve_link(const char *name, const char *target)
{
    g_autofree char *dir = g_path_get_dirname(name);
    g_autofree char *joined = g_build_filename("/", dir, target, NULL);
    g_autofree char *clean = g_canonicalize_filename(joined, "/");
    return *target == '/' ? NULL : g_strdup(clean + 1);
}

static gboolean add_member(
    DuetSource *source, guint index, struct archive_entry *entry, GError **error)
{
    g_autofree char *name = duet_member_name(archive_entry_pathname(entry), source->what, error);
    if (!name)
        return FALSE;
    Member *member = g_new0(Member, 1);
    member->index = index;
    source->newest = MAX(source->newest, (gint64)archive_entry_mtime(entry));
    if (archive_entry_hardlink(entry))
        member->link = duet_member_name(archive_entry_hardlink(entry), source->what, NULL);
    else if (archive_entry_filetype(entry) == AE_IFLNK && archive_entry_symlink(entry))
        member->link = resolve_link(name, archive_entry_symlink(entry));
    else
        member->plain =
            archive_entry_filetype(entry) == AE_IFREG && archive_entry_sparse_count(entry) == 0;
    g_hash_table_replace(source->members, g_steal_pointer(&name), member);
    return TRUE;
}

static gboolean list_members(DuetSource *source, GError **error)
{
    g_autoptr(DuetTar) tar = duet_tar_new_fd(source->file_fd, source->what, error);
    if (!tar)
        return FALSE;
    struct archive_entry *entry = NULL;
    for (guint i = 0;; i++) {
        if (!duet_tar_next(tar, &entry, error))
            return FALSE;
        if (!entry)
            return TRUE;
        if (!add_member(source, i, entry, error))
            return FALSE;
    }
}

/* Makes file_fd an uncompressed, seekable file. */
static gboolean spool(DuetSource *source, int spool_fd, GError **error)
{
    struct stat st;
    if (fstat(source->file_fd, &st) < 0)
        return duet_error_set_errno(error, errno, "cannot read '%s'", source->what);
    g_autoptr(DuetStream) stream = duet_stream_new(source->file_fd, source->what, error);
    if (!stream)
        return FALSE;
    if (S_ISREG(st.st_mode) && duet_stream_compression(stream) == DUET_COMPRESSION_NONE)
        return TRUE;
    DUET_AUTO_FD plain = duet_store_tmpfile(spool_fd, error);
    if (plain < 0 || !duet_stream_drain_tar(stream, plain, error))
        return FALSE;
    duet_fd_clear(&source->file_fd);
    source->file_fd = duet_fd_steal(&plain);
    return TRUE;
}

/* An archive of layers whose table of contents is gone; not a root file system. */
static gboolean looks_like_layers(DuetSource *source)
{
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, source->members);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        const char *name = key;
        const char *slash = strchr(name, '/');
        if ((slash && g_str_equal(slash, "/layer.tar")) ||
            g_str_has_prefix(name, "blobs/sha256/") ||
            (g_str_has_suffix(name, ".json") && strlen(name) == 64 + 5 &&
                strspn(name, "0123456789abcdef") == 64))
            return TRUE;
    }
    return FALSE;
}

static gboolean classify(DuetSource *source, GError **error)
{
    if (duet_source_has(source, "index.json") &&
        (duet_source_has(source, "oci-layout") || looks_like_layers(source)))
        source->kind = DUET_SOURCE_OCI;
    else if (duet_source_has(source, "manifest.json") &&
        (source->dir_fd >= 0 || !duet_source_has(source, "bin")))
        source->kind = DUET_SOURCE_DOCKER;
    else
        source->kind = DUET_SOURCE_ROOTFS;
    if (source->kind == DUET_SOURCE_ROOTFS && (source->dir_fd >= 0 || looks_like_layers(source))) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is not a whole image: it has neither an index.json (OCI) nor a manifest.json "
            "(docker save)",
            source->what);
        return FALSE;
    }
    return TRUE;
}

/* An OVA is a tar of a virtual machine's disks, not of files. */
static gboolean refuse_appliance(DuetSource *source, GError **error)
{
    GHashTableIter iter;
    gpointer key;
    g_hash_table_iter_init(&iter, source->members);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        if (strchr(key, '/') || !g_str_has_suffix(key, ".ovf"))
            continue;
        g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
            "'%s' is an appliance (OVA): unpack it with tar and import the disk in it",
            source->what);
        return FALSE;
    }
    return TRUE;
}

DuetSource *duet_source_open(const char *path, int spool_fd, GError **error)
{
    g_autoptr(DuetSource) source = source_new(path);
    DUET_AUTO_FD fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0) {
        duet_error_set_errno(error, errno, "cannot open '%s'", path);
        return NULL;
    }
    if (S_ISDIR(st.st_mode)) {
        source->dir_fd = duet_fd_steal(&fd);
        source->own_dir = TRUE;
    } else {
        source->file_fd = duet_fd_steal(&fd);
        if (!spool(source, spool_fd, error) || !list_members(source, error))
            return NULL;
        if (g_hash_table_size(source->members) == 0) {
            g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
                "'%s' holds nothing: it is not an image archive", path);
            return NULL;
        }
    }
    return refuse_appliance(source, error) && classify(source, error) ? g_steal_pointer(&source)
                                                                      : NULL;
}

/* Follows links inside the archive. */
static Member *find_member(DuetSource *source, const char *name)
{
    Member *member = g_hash_table_lookup(source->members, name);
    for (int i = 0; member && member->link && i < MAX_LINKS; i++)
        member = g_hash_table_lookup(source->members, member->link);
    return member;
}

gboolean duet_source_has(DuetSource *source, const char *member)
{
    if (source->dir_fd >= 0)
        return faccessat(source->dir_fd, member, F_OK, 0) == 0;
    return find_member(source, member) != NULL;
}

/* Where copies go: a descriptor, a checksum, or both. */
typedef struct {
    const char *what;
    int fd;
    GByteArray *bytes;
    GChecksum *sum;
    guint64 total, max;
} Sink;

static gboolean sink_add(Sink *sink, const void *bytes, gsize length, GError **error)
{
    sink->total += length;
    if (sink->total > sink->max) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is longer than the %" G_GUINT64_FORMAT " bytes it may have", sink->what,
            sink->max);
        return FALSE;
    }
    g_checksum_update(sink->sum, bytes, (gssize)length);
    if (sink->bytes)
        g_byte_array_append(sink->bytes, bytes, (guint)length);
    if (sink->fd >= 0 && !duet_write_all(sink->fd, bytes, length))
        return duet_error_set_errno(error, errno, "cannot store '%s'", sink->what);
    return TRUE;
}

/*
 * A regular file of a directory that may be anyone's: a device is not even opened, as that alone
 * starts a watchdog or rewinds a tape. The store's own directory may be spread over several by
 * symlinks; others' lead nowhere else.
 */
static int open_in_dir(DuetSource *source, const char *name, GError **error)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_NO_MAGICLINKS | (source->own_dir ? RESOLVE_BENEATH : 0),
    };
    DUET_AUTO_FD place = (int)syscall(SYS_openat2, source->dir_fd, name, &how, sizeof how);
    struct stat st;
    if (place < 0 && errno == EXDEV) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' of '%s' is a symlink that leads out of the directory", name, source->what);
        return -1;
    }
    if (place >= 0 && fstat(place, &st) == 0 && !S_ISREG(st.st_mode)) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' of '%s' is not a regular file",
            name, source->what);
        return -1;
    }
    char path[64];
    g_snprintf(path, sizeof path, "/proc/self/fd/%d", place);
    int fd = place < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        duet_error_set_errno(error, errno, "cannot open '%s' of '%s'", name, source->what);
    return fd;
}

static gboolean copy_from_dir(DuetSource *source, const char *name, Sink *sink, GError **error)
{
    DUET_AUTO_FD fd = open_in_dir(source, name, error);
    if (fd < 0)
        return FALSE;
    g_autofree char *buffer = g_malloc(128 * 1024);
    for (;;) {
        ssize_t n = read(fd, buffer, 128 * 1024);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return duet_error_set_errno(error, errno, "cannot read '%s'", name);
        if (n == 0)
            return TRUE;
        if (!sink_add(sink, buffer, (gsize)n, error))
            return FALSE;
    }
}

static gboolean copy_from_archive(DuetSource *source, const char *name, Sink *sink, GError **error)
{
    Member *member = find_member(source, name);
    if (!member || !member->plain) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' is not whole: its member '%s' is missing or not a plain file", source->what,
            name);
        return FALSE;
    }
    g_autoptr(DuetTar) tar = duet_tar_new_fd(source->file_fd, source->what, error);
    struct archive_entry *entry = NULL;
    for (guint i = 0; tar && i <= member->index; i++) {
        if (!duet_tar_next(tar, &entry, error))
            return FALSE;
    }
    if (!tar || !entry)
        return FALSE;
    const void *bytes = NULL;
    gsize length = 0;
    gint64 offset = 0;
    g_autoptr(GError) local = NULL;
    while (duet_tar_block(tar, &bytes, &length, &offset, &local)) {
        if (!sink_add(sink, bytes, length, error))
            return FALSE;
    }
    if (!local)
        return TRUE;
    g_propagate_error(error, g_steal_pointer(&local));
    return FALSE;
}

static gboolean copy_to_sink(DuetSource *source, const char *name, Sink *sink, GError **error)
{
    return source->dir_fd >= 0 ? copy_from_dir(source, name, sink, error)
                               : copy_from_archive(source, name, sink, error);
}

gboolean duet_source_copy(DuetSource *source, const char *member, int out_fd, guint64 max_bytes,
    char **out_hex, guint64 *out_bytes, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    Sink sink = { .what = member, .fd = out_fd, .sum = sum, .max = max_bytes };
    if (!copy_to_sink(source, member, &sink, error))
        return FALSE;
    if (out_hex)
        *out_hex = g_strdup(g_checksum_get_string(sum));
    if (out_bytes)
        *out_bytes = sink.total;
    return TRUE;
}

char *duet_source_read(
    DuetSource *source, const char *member, gsize *out_length, char **out_hex, GError **error)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA256);
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    Sink sink = {
        .what = member, .fd = -1, .bytes = bytes, .sum = sum, .max = DUET_JSON_MAX_BYTES
    };
    if (!copy_to_sink(source, member, &sink, error))
        return NULL;
    *out_length = bytes->len;
    if (out_hex)
        *out_hex = g_strdup(g_checksum_get_string(sum));
    g_byte_array_append(bytes, (const guint8 *)"", 1);
    return (char *)g_byte_array_free(g_steal_pointer(&bytes), FALSE);
}

char *duet_source_read_blob(
    DuetSource *source, const DuetDescriptor *descriptor, gsize *out_length, GError **error)
{
    g_autofree char *path = duet_blob_path(descriptor->hex);
    g_autofree char *hex = NULL;
    g_autofree char *bytes = duet_source_read(source, path, out_length, &hex, error);
    if (!bytes)
        return NULL;
    if (!g_str_equal(hex, descriptor->hex) || (gint64)*out_length != descriptor->size_bytes) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN,
            "'%s' lies: the contents of blob 'sha256:%s' have another digest or size", source->what,
            descriptor->hex);
        return NULL;
    }
    return g_steal_pointer(&bytes);
}

gint64 duet_source_newest(DuetSource *source)
{
    return source->newest;
}

int duet_source_rewind(DuetSource *source, GError **error)
{
    if (lseek(source->file_fd, 0, SEEK_SET) < 0) {
        duet_error_set_errno(error, errno, "cannot rewind '%s'", source->what);
        return -1;
    }
    return source->file_fd;
}
