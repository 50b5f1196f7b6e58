/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The way from the root of a copy to a name, and what is in the way there. See copy-unpack.c. */
#include "copy-unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool duet_unpack_follows(const struct duet_unpack *unpack, int dir)
{
    struct stat st;

    return unpack->copy->options & DUET_COPY_FOLLOW && fstat(dir, &st) == 0 && st.st_uid == 0 &&
        !(st.st_mode & (S_IWGRP | S_IWOTH));
}

static int open_directory(const struct duet_unpack *unpack, int dir, const char *name)
{
    return openat(dir, name,
        O_PATH | O_DIRECTORY | O_CLOEXEC | (duet_unpack_follows(unpack, dir) ? 0 : O_NOFOLLOW));
}

void duet_unpack_join(const struct duet_unpack *unpack, const char *name, char *out_path)
{
    size_t top = strlen(unpack->top), length = strlen(name);

    memcpy(out_path, unpack->top, top);
    if (top > 0 && length > 0)
        out_path[top++] = '/';
    memcpy(out_path + top, name, length + 1);
}

/* Removes a tree below an open directory, and never through a link. */
static bool remove_tree(int dir, const char *name, unsigned depth)
{
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *stream = fd >= 0 && depth < DUET_COPY_DEPTH_MAX ? fdopendir(fd) : NULL;
    struct dirent *next;
    bool ok = stream != NULL;

    if (!stream && fd >= 0)
        close(fd);
    while (ok && (next = readdir(stream)))
        if (strcmp(next->d_name, ".") != 0 && strcmp(next->d_name, "..") != 0)
            ok = unlinkat(fd, next->d_name, 0) == 0 ||
                ((errno == EISDIR || errno == EPERM) && remove_tree(fd, next->d_name, depth + 1));
    if (stream)
        closedir(stream);
    return ok && unlinkat(dir, name, AT_REMOVEDIR) == 0;
}

/* An archive need not name the directories that its files are in. */
static int make_parent(struct duet_unpack *unpack, int dir, const char *name)
{
    if (mkdirat(dir, name, 0755) < 0)
        return -1;
    if (!(unpack->copy->options & DUET_COPY_KEEP_OWNERS) &&
        fchownat(dir, name, unpack->copy->uid, unpack->copy->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    return open_directory(unpack, dir, name);
}

int duet_unpack_open_parent(struct duet_unpack *unpack, const char *path, const char **out_base)
{
    char part[NAME_MAX + 1];
    int dir = dup(unpack->root);

    while (dir >= 0) {
        const char *slash = strchr(path, '/');
        size_t length = slash ? (size_t)(slash - path) : strlen(path);
        int next;

        *out_base = path;
        if (!slash)
            return dir;
        if (length > NAME_MAX) {
            errno = ENAMETOOLONG;
            break;
        }
        memcpy(part, path, length);
        part[length] = '\0';
        next = open_directory(unpack, dir, part);
        if (next < 0 && errno == ENOENT)
            next = make_parent(unpack, dir, part);
        if (next < 0 && errno == ELOOP)
            errno = ENOTDIR; /* what it means: it is a link */
        if (next < 0)
            break;
        close(dir);
        dir = next;
        path = slash + 1;
    }
    if (dir >= 0) {
        int error = errno;

        close(dir);
        errno = error;
    }
    duet_unpack_fail(unpack, "cannot go down to", errno);
    return -1;
}

int duet_unpack_enter(struct duet_unpack *unpack, const char **out_base)
{
    const char *slash = strrchr(unpack->path, '/');
    size_t length = slash ? (size_t)(slash - unpack->path) : 0;

    *out_base = slash ? slash + 1 : unpack->path;
    if (unpack->parent >= 0 && strlen(unpack->parent_path) == length &&
        memcmp(unpack->parent_path, unpack->path, length) == 0)
        return unpack->parent;
    if (unpack->parent >= 0)
        close(unpack->parent);
    unpack->parent = duet_unpack_open_parent(unpack, unpack->path, out_base);
    memcpy(unpack->parent_path, unpack->path, length);
    unpack->parent_path[length] = '\0';
    return unpack->parent;
}

bool duet_unpack_clear_way(
    struct duet_unpack *unpack, int dir, const char *base, bool *out_in_place)
{
    struct stat st;

    *out_in_place = false;
    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || duet_unpack_fail(unpack, "cannot look at", errno);
    if (S_ISDIR(st.st_mode) && !(unpack->copy->options & DUET_COPY_OVERWRITE))
        return duet_unpack_fail(
            unpack, "there is a directory, which is not replaced without --overwrite:", 0);
    if (S_ISDIR(st.st_mode))
        return remove_tree(dir, base, 0) || duet_unpack_fail(unpack, "cannot remove", errno);
    if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
        return duet_unpack_fail(unpack, "there is a device, which is not replaced:", 0);
    if (unlinkat(dir, base, 0) == 0 || errno == ENOENT)
        return true;
    *out_in_place = errno == EBUSY && S_ISREG(st.st_mode);
    return *out_in_place || duet_unpack_fail(unpack, "cannot replace", errno);
}
