/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a layer's archive takes for granted in the layers below: a directory that it does not name
 * (its owner and mode must go on to hold), and the file that a hard link points to.
 */
#include "images/unpack-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

#define MAX_XATTR (64 * 1024)

static gboolean set_error(DuetUnpack *unpack, const char *real, GError **error)
{
    return duet_error_set_errno(
        error, errno, "cannot copy '%s' of '%s' from a lower layer", real, unpack->what);
}

/* overlayfs' own marks describe the lower layer, not the file; a default ACL comes last. */
static gboolean copy_xattrs(int from, int to)
{
    g_autofree char *names = g_malloc(MAX_XATTR);
    g_autofree char *value = g_malloc(MAX_XATTR);
    ssize_t length = flistxattr(from, names, MAX_XATTR);
    if (length < 0)
        return errno == ENOTSUP;
    for (char *name = names; name < names + length; name += strlen(name) + 1) {
        if (g_str_has_prefix(name, "trusted.") || g_str_has_prefix(name, DUET_XATTR_USER_MARKS) ||
            g_str_equal(name, DUET_XATTR_DEFAULT_ACL))
            continue;
        ssize_t n = fgetxattr(from, name, value, MAX_XATTR);
        if (n < 0 || (fsetxattr(to, name, value, (size_t)n, 0) < 0 && errno != ENOTSUP))
            return FALSE;
    }
    return TRUE;
}

/* The order matters: chown(2) takes set-user-id bits and capabilities away. */
gboolean duet_copy_attributes(int from, int to, const struct stat *st)
{
    return fchown(to, st->st_uid, st->st_gid) == 0 && fchmod(to, st->st_mode & 07777) == 0 &&
        copy_xattrs(from, to);
}

static gboolean keep_default_acl(DuetUnpack *unpack, int from, const char *real, GError **error)
{
    g_autofree char *value = g_malloc(MAX_XATTR);
    ssize_t n = fgetxattr(from, DUET_XATTR_DEFAULT_ACL, value, MAX_XATTR);
    if (n < 0)
        return errno == ENODATA || errno == ENOTSUP || set_error(unpack, real, error);
    return duet_unpack_keep_default_acl(unpack, real, value, (gsize)n, error);
}

gboolean duet_copy_up_dir(DuetUnpack *unpack, gsize lower, const char *real, GError **error)
{
    DUET_AUTO_FD from = duet_open_beneath(unpack->lowers[lower], real);
    struct stat st;
    if (from < 0 || fstat(from, &st) < 0)
        return set_error(unpack, real, error);
    if (*real && mkdirat(unpack->root, real, 0700) < 0 && errno != EEXIST)
        return set_error(unpack, real, error);
    DUET_AUTO_FD to = duet_open_beneath(unpack->root, real);
    if (to < 0 || !duet_copy_attributes(from, to, &st))
        return set_error(unpack, real, error);
    if (!keep_default_acl(unpack, from, real, error))
        return FALSE;
    duet_unpack_set_dir_time(unpack, real, st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    return TRUE;
}

static gboolean copy_bytes(int from, int to, off_t size)
{
    off_t at = 0;
    /* Holes stay holes. */
    while ((at = lseek(from, at, SEEK_DATA)) >= 0 && at < size) {
        off_t end = lseek(from, at, SEEK_HOLE);
        off_t out = at;
        while (at < end) {
            ssize_t n = copy_file_range(from, &at, to, &out, (size_t)(end - at), 0);
            if (n <= 0)
                return FALSE;
        }
    }
    return ftruncate(to, size) == 0;
}

static gboolean copy_regular(
    int from_dir, const char *name, int to_dir, const char *to_name, const struct stat *st)
{
    DUET_AUTO_FD from = openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    DUET_AUTO_FD to =
        openat(to_dir, to_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    const struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, st->st_mtim };
    return from >= 0 && to >= 0 && copy_bytes(from, to, st->st_size) &&
        duet_copy_attributes(from, to, st) && futimens(to, times) == 0;
}

static gboolean make_special(
    int from_dir, const char *name, int to_dir, const char *to_name, const struct stat *st)
{
    if (!S_ISLNK(st->st_mode))
        return mknodat(to_dir, to_name, st->st_mode, st->st_rdev) == 0;
    char target[PATH_MAX];
    ssize_t n = readlinkat(from_dir, name, target, sizeof target - 1);
    if (n < 0)
        return FALSE;
    target[n] = '\0';
    return symlinkat(target, to_dir, to_name) == 0;
}

static gboolean copy_special(
    int from_dir, const char *name, int to_dir, const char *to_name, const struct stat *st)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, st->st_mtim };
    if (!make_special(from_dir, name, to_dir, to_name, st) ||
        fchownat(to_dir, to_name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return FALSE;
    if (!S_ISLNK(st->st_mode) && fchmodat(to_dir, to_name, st->st_mode & 07777, 0) < 0)
        return FALSE;
    return utimensat(to_dir, to_name, times, AT_SYMLINK_NOFOLLOW) == 0;
}

gboolean duet_copy_node(
    int from_dir, const char *name, int to_dir, const char *to_name, const struct stat *st)
{
    return S_ISREG(st->st_mode) ? copy_regular(from_dir, name, to_dir, to_name, st)
                                : copy_special(from_dir, name, to_dir, to_name, st);
}

gboolean duet_copy_file(DuetUnpack *unpack, gsize lower, const char *real, int to_fd,
    const char *to_name, GError **error)
{
    g_autofree char *dir = NULL;
    const char *name = duet_split(real, &dir);
    DUET_AUTO_FD from = duet_open_beneath(unpack->lowers[lower], dir);
    struct stat st;
    if (from < 0 || fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return set_error(unpack, real, error);
    return duet_copy_node(from, name, to_fd, to_name, &st) || set_error(unpack, real, error);
}

static gboolean copy_in_place(DuetUnpack *unpack, gsize lower, const char *real, GError **error)
{
    g_autofree char *dir = NULL, *same = NULL;
    const char *name = duet_split(real, &dir);
    if (!duet_unpack_resolve(unpack, dir, TRUE, &same, error))
        return FALSE;
    DUET_AUTO_FD to = duet_open_beneath(unpack->root, same);
    if (to < 0)
        return set_error(unpack, real, error);
    if (!duet_copy_file(unpack, lower, real, to, name, error))
        return FALSE;
    g_hash_table_add(unpack->copied, g_strdup(real));
    return TRUE;
}

/* The other names of one inode, found by walking its layer. */
typedef struct {
    DuetUnpack *unpack;
    gsize lower;
    const char *real;
    dev_t dev;
    ino_t ino;
} Aliases;

static gboolean link_alias(Aliases *aliases, const char *alias, GError **error)
{
    DuetUnpack *unpack = aliases->unpack;
    struct stat st;
    g_autofree char *dir = NULL, *same = NULL;
    duet_split(alias, &dir);
    /* Not if this layer has that name or another file above it, or a layer between hides it. */
    if (g_str_equal(alias, aliases->real) ||
        duet_look_in_layer(unpack->root, alias, &st) != DUET_LOOK_MISSING ||
        duet_unpack_find_visible(unpack, alias, &st) != (gssize)aliases->lower)
        return TRUE;
    if (!duet_unpack_resolve(unpack, dir, TRUE, &same, error))
        return FALSE;
    if (linkat(unpack->root, aliases->real, unpack->root, alias, 0) < 0)
        return set_error(unpack, alias, error);
    g_hash_table_add(unpack->copied, g_strdup(alias));
    return TRUE;
}

static gboolean walk_aliases(Aliases *aliases, int fd, const char *real, GError **error)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return set_error(aliases->unpack, real, error);
    }
    gboolean good = TRUE;
    struct dirent *row;
    while (good && (row = readdir(dir))) {
        struct stat st;
        if (g_str_equal(row->d_name, ".") || g_str_equal(row->d_name, "..") ||
            fstatat(dirfd(dir), row->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        g_autofree char *below = duet_join(real, row->d_name);
        if (S_ISDIR(st.st_mode)) {
            int sub =
                openat(dirfd(dir), row->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            good = sub < 0 ? set_error(aliases->unpack, below, error)
                           : walk_aliases(aliases, sub, below, error);
        } else if (st.st_ino == aliases->ino && st.st_dev == aliases->dev) {
            good = link_alias(aliases, below, error);
        }
    }
    closedir(dir);
    return good;
}

gboolean duet_copy_up_file(DuetUnpack *unpack, gsize lower, const char *real, GError **error)
{
    struct stat st;
    if (!copy_in_place(unpack, lower, real, error))
        return FALSE;
    if (fstatat(unpack->lowers[lower], real, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return set_error(unpack, real, error);
    if (st.st_nlink < 2)
        return TRUE;
    Aliases aliases = {
        .unpack = unpack, .lower = lower, .real = real, .dev = st.st_dev, .ino = st.st_ino
    };
    int root = duet_open_beneath(unpack->lowers[lower], "");
    return root < 0 ? set_error(unpack, real, error) : walk_aliases(&aliases, root, "", error);
}
