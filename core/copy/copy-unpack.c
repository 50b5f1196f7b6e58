/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation: from a copy's stream to files.
 *
 * On the host the stream is an instance's, and hostile; inside of an instance the files around are.
 * Plain C: the agent, a static program, has this file too.
 *
 *  - A name has no "..", and no part of it is empty: duet_copy_read() lets no other through.
 *  - A name is gone down part by part from the target's descriptor, and on the host no part may be
 *    a link, wherever it came from. Inside of an instance links to directories are followed, as an
 *    image's "/lib" often is one: they lead nowhere but to its own files, as the process's root
 *    directory is the instance's.
 *  - A file is always a new one (O_EXCL), made 0600, in place of what had its name: neither a link
 *    nor another name of the same file is written through. A file that can't be taken away as it is
 *    a mount point is written in place, by a descriptor that tells what it is.
 *  - Devices are neither made nor replaced.
 *  - Owners are changed only where they differ, and all else by descriptor, or without following.
 */
#include <duet/copy-stream.h>
#include "copy-unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

bool duet_unpack_fail(struct duet_unpack *unpack, const char *what, int error)
{
    return duet_copy_fail(unpack->copy, what, unpack->path[0] ? unpack->path : ".", error);
}

static bool set_owner(struct duet_unpack *unpack, const struct duet_copy_entry *entry, int dir,
    const char *base, const struct stat *st)
{
    bool keep = unpack->copy->options & DUET_COPY_KEEP_OWNERS;
    uid_t uid = keep ? entry->uid : unpack->copy->uid;
    gid_t gid = keep ? entry->gid : unpack->copy->gid;

    if (st->st_uid == uid && st->st_gid == gid)
        return true;
    if (fchownat(dir, base, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0)
        return true;
    return duet_unpack_fail(unpack,
        errno == EINVAL ? "there is no such user here as should own" : "cannot give an owner to",
        errno);
}

/* Of a file or directory that is open. An owner first: to change it takes mode bits away. */
static bool set_attributes(struct duet_unpack *unpack, const struct duet_copy_entry *entry, int fd)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
        { .tv_sec = (time_t)entry->mtime_s, .tv_nsec = (long)entry->mtime_ns } };
    struct stat st;

    if (fstat(fd, &st) < 0)
        return duet_unpack_fail(unpack, "cannot look at", errno);
    if (!set_owner(unpack, entry, fd, "", &st))
        return false;
    if (fchmod(fd, entry->mode & 07777) < 0)
        return duet_unpack_fail(unpack, "cannot change the mode of", errno);
    if (futimens(fd, times) < 0)
        return duet_unpack_fail(unpack, "cannot change the time of", errno);
    return true;
}

static bool set_link_attributes(
    struct duet_unpack *unpack, const struct duet_copy_entry *entry, int dir, const char *base)
{
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
        { .tv_sec = (time_t)entry->mtime_s, .tv_nsec = (long)entry->mtime_ns } };
    struct stat st;

    if (fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return duet_unpack_fail(unpack, "cannot look at", errno);
    if (!set_owner(unpack, entry, dir, base, &st))
        return false;
    /* Not all file systems can: no reason to give up. */
    utimensat(dir, base, times, AT_SYMLINK_NOFOLLOW);
    return true;
}

static void leave_last(struct duet_unpack *unpack)
{
    if (unpack->last >= 0)
        close(unpack->last);
    unpack->last = -1;
}

static bool write_contents(struct duet_unpack *unpack, int fd, uint64_t left)
{
    while (left > 0) {
        size_t most = left < sizeof(unpack->bytes) ? (size_t)left : sizeof(unpack->bytes);
        size_t got = duet_copy_read_bytes(unpack->copy, unpack->bytes, most);

        if (got == 0)
            return false;
        for (size_t done = 0; done < got;) {
            ssize_t put = write(fd, unpack->bytes + done, got - done);

            if (put < 0 && errno == EINTR)
                continue;
            if (put < 0)
                return duet_unpack_fail(unpack, "cannot write", errno);
            done += (size_t)put;
        }
        left -= got;
    }
    return true;
}

/* Returns: a descriptor of a file that nothing else leads to, or -1 with a failure. */
static int create_file(struct duet_unpack *unpack, int dir, const char *base)
{
    int flags = O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, fd;
    bool in_place = false;
    struct stat st;

    fd = openat(dir, base, flags | O_CREAT | O_EXCL, 0600);
    if (fd < 0 && errno == EEXIST) {
        if (!duet_unpack_clear_way(unpack, dir, base, &in_place))
            return -1;
        fd = openat(dir, base, in_place ? flags : flags | O_CREAT | O_EXCL, 0600);
    }
    if (fd < 0)
        duet_unpack_fail(unpack, "cannot create", errno);
    if (fd >= 0 && in_place &&
        (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || ftruncate(fd, 0) < 0)) {
        duet_unpack_fail(unpack, "cannot write", errno);
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool unpack_file(struct duet_unpack *unpack, const struct duet_copy_entry *entry)
{
    const char *base;
    int dir = duet_unpack_enter(unpack, &base);

    if (dir < 0)
        return false;
    unpack->last = create_file(unpack, dir, base);
    return unpack->last >= 0 && write_contents(unpack, unpack->last, entry->size) &&
        set_attributes(unpack, entry, unpack->last);
}

static bool is_directory(struct duet_unpack *unpack, int dir, const char *base)
{
    struct stat st;
    int flags = duet_unpack_follows(unpack, dir) ? 0 : AT_SYMLINK_NOFOLLOW;

    return fstatat(dir, base, &st, flags) == 0 && S_ISDIR(st.st_mode);
}

/* The root itself is there, or has just been made. */
static bool unpack_directory(struct duet_unpack *unpack)
{
    const char *base;
    bool in_place;
    int dir;

    if (!unpack->path[0])
        return true;
    dir = duet_unpack_enter(unpack, &base);
    if (dir < 0)
        return false;
    if (mkdirat(dir, base, 0700) == 0 || (errno == EEXIST && is_directory(unpack, dir, base)))
        return true;
    if (errno != EEXIST && errno != ENOENT)
        return duet_unpack_fail(unpack, "cannot make the directory", errno);
    if (!(unpack->copy->options & DUET_COPY_OVERWRITE))
        return duet_unpack_fail(
            unpack, "there is no directory, which is not replaced without --overwrite:", 0);
    if (!duet_unpack_clear_way(unpack, dir, base, &in_place))
        return false;
    return mkdirat(dir, base, 0700) == 0 ||
        duet_unpack_fail(unpack, "cannot make the directory", errno);
}

static bool unpack_attributes(struct duet_unpack *unpack, const struct duet_copy_entry *entry)
{
    const char *base;
    int dir;

    if (!unpack->path[0])
        return true;
    dir = duet_unpack_enter(unpack, &base);
    if (dir < 0)
        return false;
    unpack->last = openat(dir, base,
        O_RDONLY | O_DIRECTORY | O_CLOEXEC | (duet_unpack_follows(unpack, dir) ? 0 : O_NOFOLLOW));
    if (unpack->last < 0)
        return duet_unpack_fail(unpack, "cannot open the directory", errno);
    return set_attributes(unpack, entry, unpack->last);
}

static bool unpack_symlink(struct duet_unpack *unpack, const struct duet_copy_entry *entry)
{
    const char *base;
    int dir = duet_unpack_enter(unpack, &base);
    bool in_place;

    if (dir < 0 || !duet_unpack_clear_way(unpack, dir, base, &in_place))
        return false;
    if (symlinkat(entry->link, dir, base) < 0)
        return duet_unpack_fail(unpack, "cannot make the link", errno);
    return set_link_attributes(unpack, entry, dir, base);
}

static bool unpack_link(struct duet_unpack *unpack, const struct duet_copy_entry *entry)
{
    const char *base, *other;
    int dir = duet_unpack_enter(unpack, &base), from;
    bool in_place, ok;

    duet_unpack_join(unpack, entry->link, unpack->other);
    if (dir < 0 || strcmp(unpack->other, unpack->path) == 0)
        return dir >= 0 && duet_unpack_fail(unpack, "what came is no stream of", 0);
    from = duet_unpack_open_parent(unpack, unpack->other, &other);
    if (from < 0)
        return false;
    ok = duet_unpack_clear_way(unpack, dir, base, &in_place);
    if (ok && linkat(from, other, dir, base, 0) < 0)
        ok = duet_unpack_fail(unpack, "cannot link", errno);
    close(from);
    return ok;
}

static bool unpack_fifo(struct duet_unpack *unpack, const struct duet_copy_entry *entry)
{
    const char *base;
    int dir = duet_unpack_enter(unpack, &base);
    bool in_place;

    if (dir < 0 || !duet_unpack_clear_way(unpack, dir, base, &in_place))
        return false;
    if (mknodat(dir, base, S_IFIFO | (entry->mode & 0777), 0) < 0)
        return duet_unpack_fail(unpack, "cannot make the FIFO", errno);
    return set_link_attributes(unpack, entry, dir, base);
}

/* On the host, of a program that root copied out nobody shall get its capabilities. */
static bool xattr_is_wanted(const struct duet_unpack *unpack, const char *name)
{
    return strncmp(name, "user.", 5) == 0 ||
        (unpack->copy->options & DUET_COPY_FOLLOW && strcmp(name, "security.capability") == 0);
}

static bool unpack_xattr(struct duet_unpack *unpack, const struct duet_copy_entry *entry)
{
    uint64_t size = entry->size;

    if (size > sizeof(unpack->bytes))
        return duet_unpack_fail(unpack, "too large an attribute of", 0);
    for (size_t done = 0, got; done < size; done += got)
        if ((got = duet_copy_read_bytes(unpack->copy, unpack->bytes + done, (size_t)size - done)) ==
            0)
            return false;
    if (unpack->last < 0 || !xattr_is_wanted(unpack, entry->name) ||
        fsetxattr(unpack->last, entry->name, unpack->bytes, (size_t)size, 0) == 0)
        return true;
    /* Not all file systems have them, and not everyone may set them. */
    if (errno != EOPNOTSUPP && errno != EPERM)
        return duet_unpack_fail(unpack, "cannot set an attribute of", errno);
    if (unpack->copy->warn)
        unpack->copy->warn(unpack->copy, "an extended attribute is lost of", unpack->path);
    return true;
}

/* What is copied is one file, or a directory, and then that alone has the empty name. */
static bool fits(const struct duet_unpack *unpack, const struct duet_copy_entry *entry)
{
    bool directory = entry->type == DUET_COPY_DIRECTORY || entry->type == DUET_COPY_ATTRIBUTES;

    if (!unpack->is_directory)
        return entry->name_length == 0 && entry->type == DUET_COPY_FILE;
    return entry->name_length > 0 || directory;
}

static bool unpack_entry(struct duet_unpack *unpack, const struct duet_copy_entry *entry)
{
    if (entry->type == DUET_COPY_XATTR)
        return unpack_xattr(unpack, entry);
    leave_last(unpack);
    duet_unpack_join(unpack, entry->name, unpack->path);
    if (!fits(unpack, entry))
        return duet_unpack_fail(unpack, "what came is no stream of", 0);
    switch (entry->type) {
    case DUET_COPY_FILE:
        return unpack_file(unpack, entry);
    case DUET_COPY_DIRECTORY:
        return unpack_directory(unpack);
    case DUET_COPY_ATTRIBUTES:
        return unpack_attributes(unpack, entry);
    case DUET_COPY_SYMLINK:
        return unpack_symlink(unpack, entry);
    case DUET_COPY_LINK:
        return unpack_link(unpack, entry);
    case DUET_COPY_FIFO:
        return unpack_fifo(unpack, entry);
    default:
        return duet_unpack_fail(unpack, "what came is no stream of", 0);
    }
}

static bool unpack_all(struct duet_unpack *unpack, const char *target, const char *name)
{
    struct duet_copy_entry entry;

    if (!duet_copy_read(unpack->copy, &entry))
        return false;
    unpack->is_directory = entry.flags & DUET_COPY_TOP_DIRECTORY;
    if (entry.type != DUET_COPY_TOP)
        return duet_copy_fail(unpack->copy, "what came is no stream of", "files", 0);
    if (!duet_unpack_open_target(unpack, target, name))
        return false;
    if (!unpack->top[0] && !unpack->is_directory)
        return duet_copy_fail(unpack->copy, "what came is no stream of", "files", 0);
    while (duet_copy_read(unpack->copy, &entry)) {
        if (entry.type == DUET_COPY_END)
            break;
        if (!unpack_entry(unpack, &entry))
            return false;
    }
    if (!unpack->copy->what && unpack->copy->options & DUET_COPY_SYNC)
        sync();
    return unpack->copy->what == NULL;
}

bool duet_copy_unpack(struct duet_copy *copy, const char *target, const char *name)
{
    struct duet_unpack unpack;
    bool ok;

    unpack.copy = copy;
    unpack.root = unpack.parent = unpack.last = -1;
    unpack.top[0] = unpack.path[0] = unpack.parent_path[0] = '\0';
    ok = unpack_all(&unpack, target, name);
    leave_last(&unpack);
    if (unpack.parent >= 0)
        close(unpack.parent);
    if (unpack.root >= 0)
        close(unpack.root);
    return ok;
}
