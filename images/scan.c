/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "images/unpack-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include <duet/error.h>

#include "core/util.h"

static gboolean has_acl(int dir_fd, const char *name)
{
    char path[64 + NAME_MAX], names[4096];
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir_fd, name);
    ssize_t length = llistxattr(path, names, sizeof names);
    for (char *at = names; length > 0 && at < names + length; at += strlen(at) + 1) {
        if (g_str_has_prefix(at, "system.posix_acl_"))
            return TRUE;
    }
    return FALSE;
}

static gboolean add_owners(
    DuetFacts *facts, const struct stat *st, const char *what, GError **error)
{
    return duet_facts_add_id(facts, duet_owner_from_disk(st->st_uid), what, error) &&
        duet_facts_add_id(facts, duet_owner_from_disk(st->st_gid), what, error);
}

static gboolean scan_dir(int fd, const char *what, DuetFacts *facts, GError **error);

static gboolean scan_file(
    int dir_fd, const char *name, const char *what, DuetFacts *facts, GError **error)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return duet_error_set_errno(error, errno, "cannot read '%s' of '%s'", name, what);
    if (!add_owners(facts, &st, what, error))
        return FALSE;
    if (!S_ISLNK(st.st_mode) && has_acl(dir_fd, name))
        duet_facts_warn(facts, DUET_WARN_ACL);
    if (!S_ISDIR(st.st_mode))
        return TRUE;
    int sub = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (sub < 0)
        return duet_error_set_errno(error, errno, "cannot open '%s' of '%s'", name, what);
    return scan_dir(sub, what, facts, error);
}

/* Takes @fd. */
static gboolean scan_dir(int fd, const char *what, DuetFacts *facts, GError **error)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        duet_error_set_errno(error, errno, "cannot read a directory of '%s'", what);
        duet_fd_clear(&fd);
        return FALSE;
    }
    gboolean good = TRUE;
    struct dirent *row;
    while (good && (row = readdir(dir))) {
        if (!g_str_equal(row->d_name, ".") && !g_str_equal(row->d_name, ".."))
            good = scan_file(dirfd(dir), row->d_name, what, facts, error);
    }
    closedir(dir);
    return good;
}

gboolean duet_layer_scan(int root_fd, const char *what, DuetFacts *facts, GError **error)
{
    /* A description of its own: readdir(3) moves the offset. */
    int fd = duet_open_beneath(root_fd, "");
    if (fd < 0)
        return duet_error_set_errno(error, errno, "cannot open '%s'", what);
    struct stat st;
    if (fstat(fd, &st) == 0 && !add_owners(facts, &st, what, error)) {
        duet_fd_clear(&fd);
        return FALSE;
    }
    return scan_dir(fd, what, facts, error);
}
