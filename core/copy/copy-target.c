/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where a copy begins: what the words of the command mean, given what is there. See copy-unpack.c.
 */
#include "copy-unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40

static bool target_failed(struct duet_unpack *unpack, const char *what, const char *path, int error)
{
    return duet_copy_fail(unpack->copy, what, path, error);
}

static bool open_root(struct duet_unpack *unpack, const char *path, const char *name)
{
    size_t length = strlen(name);

    if (length > NAME_MAX)
        return target_failed(unpack, "too long a name:", name, 0);
    memcpy(unpack->top, name, length + 1);
    unpack->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return unpack->root >= 0 || target_failed(unpack, "cannot open the directory", path, errno);
}

/* Under the last part of @path, in the directory that the rest of it is. */
static bool open_above(struct duet_unpack *unpack, char *path)
{
    char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;

    if (!base[0] || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        return target_failed(unpack, "cannot find", path, ENOENT);
    if (!slash)
        return open_root(unpack, ".", base);
    *slash = '\0';
    return open_root(unpack, path[0] ? path : "/", base);
}

/* What the last part leads to, if there is anything yet or not. */
static void follow_links(char *path)
{
    char target[PATH_MAX];

    for (int i = 0; i < LINKS_MAX; i++) {
        char *slash = strrchr(path, '/');
        size_t above = slash ? (size_t)(slash + 1 - path) : 0;
        ssize_t length = readlink(path, target, sizeof(target));

        if (length <= 0)
            return;
        if (target[0] == '/')
            above = 0;
        if (above + (size_t)length >= PATH_MAX)
            return;
        memcpy(path + above, target, (size_t)length);
        path[above + (size_t)length] = '\0';
    }
}

/* What is there is no directory. */
static bool may_replace(struct duet_unpack *unpack, const char *target, const struct stat *st)
{
    if (unpack->copy->options & DUET_COPY_ARCHIVE)
        return target_failed(unpack, "an archive needs a directory, which is not", target, 0);
    if (!S_ISREG(st->st_mode))
        return target_failed(unpack, "the target is neither directory nor file:", target, 0);
    if (unpack->is_directory && !(unpack->copy->options & DUET_COPY_OVERWRITE))
        return target_failed(
            unpack, "a directory can be copied to a directory only, which is not", target, 0);
    return true;
}

/* Whether @path is a link in an instance that somebody beside its root can have made. */
static bool is_planted(const struct duet_unpack *unpack, const char *path)
{
    char above[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    struct stat st;
    int dir;
    bool follows;

    if (!(unpack->copy->options & DUET_COPY_FOLLOW) || lstat(path, &st) < 0 ||
        !S_ISLNK(st.st_mode) || length >= sizeof(above))
        return false;
    memcpy(above, path, length);
    above[length] = '\0';
    dir = open(length ? above : slash ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    follows = dir >= 0 && duet_unpack_follows(unpack, dir);
    if (dir >= 0)
        close(dir);
    return !follows;
}

bool duet_unpack_open_target(struct duet_unpack *unpack, const char *target, const char *name)
{
    char path[PATH_MAX];
    size_t length = strlen(target);
    struct stat st;
    bool found = stat(target, &st) == 0;

    if (is_planted(unpack, target))
        return target_failed(unpack,
            "it is a link that others beside root can change: name what it leads to, not", target,
            0);
    if (!found && (errno != ENOENT || (length > 0 && target[length - 1] == '/')))
        return target_failed(unpack, "cannot find", target, errno);
    if (found && S_ISDIR(st.st_mode)) {
        bool contents = unpack->copy->options & DUET_COPY_CONTENTS;

        return open_root(unpack, target, contents || !name ? "" : name);
    }
    if (found && !may_replace(unpack, target, &st))
        return false;
    if (!found && unpack->copy->options & DUET_COPY_ARCHIVE)
        return target_failed(unpack, "cannot find", target, ENOENT);
    if (length >= sizeof(path))
        return target_failed(unpack, "cannot find", target, ENAMETOOLONG);
    memcpy(path, target, length + 1);
    follow_links(path);
    return open_above(unpack, path);
}
