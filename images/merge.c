/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/merge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/stack.h"
#include "images/unpack-private.h"

#define COPY_BYTES (128 * 1024)
#define MAX_XATTR (64 * 1024)
/* tar2sqfs takes a map of 65536 entries; what lies behind is data with zeros in it. */
#define MAX_EXTENTS 32768
/*
 * A hole costs an image nothing, but tar2sqfs some 0.3 s for each GiB, and all writers of the store
 * wait for it.
 */
#define MAX_HOLES_GIB 64
/* libarchive cuts the name of a sparse file that is longer, or not ASCII. */
#define MAX_SPARSE_NAME 99
#define MAX_HOLE_BYTES ((guint64)MAX_HOLES_GIB << 30)

/**
 * Merge: one walk.
 * @links: (guint64 inode) -> the name under which it was written; all layers are on one file
 *     system, the store's
 * @hung_up: the reader is gone
 * @failed: nothing more is to be written
 * @hole_bytes: of all files so far
 * @zeros: of COPY_BYTES
 */
typedef struct {
    struct archive *archive;
    int socket_fd;
    GHashTable *links;
    gboolean hung_up;
    gboolean failed;
    guint64 hole_bytes;
    char *buffer;
    char *zeros;
} Merge;

static la_ssize_t on_write(struct archive *archive, void *data, const void *bytes, size_t length)
{
    Merge *merge = data;
    ssize_t n;
    if (merge->failed) {
        archive_set_error(archive, ECANCELED, "given up");
        return -1;
    }
    do
        n = send(merge->socket_fd, bytes, length, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        merge->hung_up = errno == EPIPE || errno == ECONNRESET;
        archive_set_error(archive, errno, "send");
        return -1;
    }
    return n;
}

static gboolean write_error(Merge *merge, const char *path, GError **error)
{
    if (merge->hung_up) {
        g_set_error(error, DUET_ERROR, DUET_ERROR_STATE, "the reader of the files is gone");
        return FALSE;
    }
    const char *why = archive_error_string(merge->archive);
    g_set_error(error, DUET_ERROR, DUET_ERROR_FAILED, "cannot pack '%s': %s", path,
        why ? why : "unknown error");
    return FALSE;
}

static gboolean read_error(const char *path, GError **error)
{
    return duet_error_set_errno(error, errno, "cannot read '%s' of an unpacked layer", path);
}

static gboolean is_packed_xattr(const char *name)
{
    return (g_str_has_prefix(name, "user.") && !g_str_has_prefix(name, DUET_XATTR_USER_MARKS)) ||
        g_str_equal(name, "security.capability");
}

/* By path below the descriptor, as devices can't be opened. */
static void add_xattrs(Merge *merge, struct archive_entry *entry, int fd, const char *name)
{
    char path[PATH_MAX];
    g_autofree char *names = g_malloc(MAX_XATTR);
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", fd, name);
    ssize_t length = llistxattr(path, names, MAX_XATTR);
    for (char *at = names; length > 0 && at < names + length; at += strlen(at) + 1) {
        ssize_t n = is_packed_xattr(at) ? lgetxattr(path, at, merge->buffer, MAX_XATTR) : -1;
        if (n >= 0)
            archive_entry_xattr_add_entry(entry, at, merge->buffer, (size_t)n);
    }
}

static struct archive_entry *entry_of(const char *path, const struct stat *st)
{
    struct archive_entry *entry = archive_entry_new();
    archive_entry_copy_pathname(entry, *path ? path : "./");
    archive_entry_set_filetype(entry, st->st_mode & S_IFMT);
    archive_entry_set_perm(entry, st->st_mode & 07777);
    archive_entry_set_uid(entry, duet_owner_from_disk(st->st_uid));
    archive_entry_set_gid(entry, duet_owner_from_disk(st->st_gid));
    archive_entry_set_mtime(entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
    archive_entry_set_size(entry, S_ISREG(st->st_mode) ? st->st_size : 0);
    if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode))
        archive_entry_set_rdev(entry, st->st_rdev);
    return entry;
}

static gboolean is_sparse(const struct stat *st)
{
    return (guint64)st->st_blocks * 512 < (guint64)st->st_size;
}

/* Where the next data or hole is from @at on. */
static off_t seek(int fd, off_t at, int whence, off_t size)
{
    off_t found = lseek(fd, at, whence);
    /* All is data where the file system does not tell. */
    if (found < 0)
        return whence == SEEK_DATA && errno != ENXIO ? at : size;
    return MIN(found, size);
}

static gboolean count_hole(Merge *merge, const char *path, off_t length, GError **error)
{
    merge->hole_bytes += (guint64)length;
    if (merge->hole_bytes <= MAX_HOLE_BYTES)
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_UNSUPPORTED,
        "'%s' is refused: with it the holes in the image's sparse files are more than %d GiB, too "
        "much for a root disk; run the image as a container",
        path, MAX_HOLES_GIB);
    return FALSE;
}

/* Counts the holes. libarchive writes only what is data then; else zeros are written. */
static gboolean add_extents(
    Merge *merge, struct archive_entry *entry, int fd, const char *path, off_t size, GError **error)
{
    gboolean can_name = strlen(path) <= MAX_SPARSE_NAME && g_str_is_ascii(path);
    guint n = 0;
    for (off_t at = 0, end; at < size; at = end, n++) {
        off_t data = seek(fd, at, SEEK_DATA, size);
        if (!count_hole(merge, path, data - at, error))
            return FALSE;
        end = seek(fd, data, SEEK_HOLE, size);
        /* The last one may be empty: it tells where the file ends. */
        if (can_name && n <= MAX_EXTENTS)
            archive_entry_sparse_add_entry(entry, data, (n < MAX_EXTENTS ? end : size) - data);
    }
    return TRUE;
}

static gboolean write_zeros(Merge *merge, const char *path, off_t length, GError **error)
{
    for (off_t n; length > 0; length -= n) {
        n = MIN(length, COPY_BYTES);
        if (archive_write_data(merge->archive, merge->zeros, (size_t)n) < 0)
            return write_error(merge, path, error);
    }
    return TRUE;
}

static gboolean write_data(
    Merge *merge, int fd, const char *path, off_t from, off_t to, GError **error)
{
    while (from < to) {
        ssize_t n = pread(fd, merge->buffer, (size_t)MIN(to - from, COPY_BYTES), from);
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0)
            errno = EIO;
        if (n <= 0)
            return read_error(path, error);
        if (archive_write_data(merge->archive, merge->buffer, (size_t)n) < 0)
            return write_error(merge, path, error);
        from += n;
    }
    return TRUE;
}

static gboolean write_contents(
    Merge *merge, int fd, const char *path, const struct stat *st, GError **error)
{
    off_t size = st->st_size;
    if (!is_sparse(st))
        return write_data(merge, fd, path, 0, size, error);
    for (off_t at = 0, data, end; at < size; at = end) {
        data = seek(fd, at, SEEK_DATA, size);
        end = seek(fd, data, SEEK_HOLE, size);
        if (!write_zeros(merge, path, data - at, error) ||
            !write_data(merge, fd, path, data, end, error))
            return FALSE;
    }
    return TRUE;
}

/* Makes @entry a hard link if its inode was written before. */
static void note_link(
    Merge *merge, struct archive_entry *entry, const struct stat *st, const char *path)
{
    if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
        return;
    guint64 inode = st->st_ino;
    const char *first = g_hash_table_lookup(merge->links, &inode);
    if (first) {
        archive_entry_copy_hardlink(entry, first);
        archive_entry_set_size(entry, 0);
        return;
    }
    g_hash_table_insert(merge->links, g_memdup2(&inode, sizeof inode), g_strdup(path));
}

static gboolean write_entry(Merge *merge, int dir_fd, const char *name, const char *path,
    const struct stat *st, GError **error)
{
    struct archive_entry *entry = entry_of(path, st);
    note_link(merge, entry, st, path);
    gboolean linked = archive_entry_hardlink(entry) != NULL;
    gboolean good = TRUE, has_contents = S_ISREG(st->st_mode) && !linked;
    DUET_AUTO_FD fd =
        has_contents ? openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME) : -1;
    if (S_ISLNK(st->st_mode) && !linked) {
        char target[PATH_MAX];
        ssize_t n = readlinkat(dir_fd, name, target, sizeof target - 1);
        good = n >= 0 || read_error(path, error);
        target[MAX(n, 0)] = '\0';
        archive_entry_copy_symlink(entry, target);
    } else if (!linked) {
        add_xattrs(merge, entry, dir_fd, name);
    }
    if (good && has_contents)
        good = fd < 0 ? read_error(path, error)
                      : !is_sparse(st) || add_extents(merge, entry, fd, path, st->st_size, error);
    if (good && archive_write_header(merge->archive, entry) < ARCHIVE_WARN)
        good = write_error(merge, path, error);
    archive_entry_free(entry);
    if (good && has_contents)
        good = write_contents(merge, fd, path, st, error);
    return good;
}

static gboolean merge_dir(Merge *merge, const DuetStack *stack, const char *path, GError **error);

static gboolean merge_name(Merge *merge, const DuetStack *stack, guint layer, const char *name,
    const char *dir_path, GError **error)
{
    struct stat st;
    g_autofree char *path = duet_join(dir_path, name);
    if (fstatat(stack->fds[layer], name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return read_error(path, error);
    if (duet_is_whiteout(&st))
        return TRUE;
    if (!write_entry(merge, stack->fds[layer], name, path, &st, error))
        return FALSE;
    if (!S_ISDIR(st.st_mode))
        return TRUE;
    g_auto(DuetStack) below = { 0 };
    return duet_stack_enter(stack, layer, name, &below, error) &&
        merge_dir(merge, &below, path, error);
}

static gboolean merge_dir(Merge *merge, const DuetStack *stack, const char *path, GError **error)
{
    g_autoptr(GHashTable) names = duet_stack_names(stack, error);
    if (!names)
        return FALSE;
    g_autoptr(GList) sorted = g_list_sort(g_hash_table_get_keys(names), (GCompareFunc)strcmp);
    for (GList *at = sorted; at; at = at->next) {
        guint layer = GPOINTER_TO_UINT(g_hash_table_lookup(names, at->data));
        if (!merge_name(merge, stack, layer, at->data, path, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean merge_root(Merge *merge, char **layer_dirs, GError **error)
{
    g_auto(DuetStack) stack = { 0 };
    if (!duet_stack_open(layer_dirs, &stack, error))
        return FALSE;
    struct stat st;
    if (fstat(stack.fds[0], &st) < 0)
        return read_error("/", error);
    return write_entry(merge, stack.fds[0], ".", "", &st, error) &&
        merge_dir(merge, &stack, "", error);
}

gboolean duet_merge_write(char **layer_dirs, int socket_fd, GError **error)
{
    Merge merge = { .socket_fd = socket_fd };
    merge.links = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    merge.buffer = g_malloc(MAX(COPY_BYTES, MAX_XATTR));
    merge.zeros = g_malloc0(COPY_BYTES);
    merge.archive = archive_write_new();
    archive_write_set_format_pax(merge.archive);
    archive_write_set_options(merge.archive, "pax:hdrcharset=BINARY,pax:xattrheader=SCHILY");
    archive_write_set_bytes_per_block(merge.archive, COPY_BYTES);
    gboolean good =
        archive_write_open(merge.archive, &merge, NULL, on_write, NULL) >= ARCHIVE_WARN ||
        write_error(&merge, "/", error);
    good = good && merge_root(&merge, layer_dirs, error);
    /* archive_write_fail() would leak the archive's buffer. */
    merge.failed = !good;
    if (archive_write_close(merge.archive) < ARCHIVE_WARN && good)
        good = write_error(&merge, "/", error);
    archive_write_free(merge.archive);
    g_hash_table_unref(merge.links);
    g_free(merge.buffer);
    g_free(merge.zeros);
    return good;
}
