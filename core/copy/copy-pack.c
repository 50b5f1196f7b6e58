/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From files to a copy's stream. Plain C: the agent, a static program, has this file too, and the
 * files may be changed by others meanwhile: each is opened without following a link, and taken for
 * what its descriptor says it is.
 */
#include <duet/copy-stream.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define LINK_SLOTS 1024
#define XATTRS_BYTES (DUET_COPY_BUFFER_BYTES / 2)

/* A file of more than one name, as long as not all of them were met. */
struct known_file {
    struct known_file *next;
    dev_t device;
    ino_t inode;
    char name[];
};

struct pack {
    struct duet_copy *copy;
    char name[DUET_COPY_NAME_BYTES];
    size_t length;
    unsigned depth;
    bool is_root; /* the whole of a root directory is copied */
    struct known_file *known[LINK_SLOTS];
    /* Not on the stack: what calls itself for each directory must stay small. */
    char bytes[DUET_COPY_BUFFER_BYTES];
};

static bool failed(struct pack *pack, const char *what, int error)
{
    return duet_copy_fail(pack->copy, what, pack->length ? pack->name : pack->copy->name, error);
}

static struct duet_copy_entry entry_of(struct pack *pack, uint8_t type, const struct stat *st)
{
    return (struct duet_copy_entry){
        .type = type,
        .mode = st->st_mode & 07777,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .mtime_s = st->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
        .name = pack->name,
    };
}

/* Those that any program may set, and capabilities; others belong to the host or a policy. */
static bool xattr_travels(const char *name)
{
    return strncmp(name, "user.", 5) == 0 || strcmp(name, "security.capability") == 0;
}

static bool pack_xattrs(struct pack *pack, int fd)
{
    char *names = pack->bytes, *value = pack->bytes + XATTRS_BYTES;
    ssize_t length = flistxattr(fd, names, XATTRS_BYTES);

    for (ssize_t at = 0; at < length; at += (ssize_t)strlen(names + at) + 1) {
        struct duet_copy_entry entry = { .type = DUET_COPY_XATTR, .name = names + at };
        ssize_t size =
            xattr_travels(names + at) ? fgetxattr(fd, names + at, value, XATTRS_BYTES) : -1;

        if (size < 0)
            continue;
        entry.size = (uint64_t)size;
        if (!duet_copy_write(pack->copy, &entry) ||
            !duet_copy_write_bytes(pack->copy, value, (size_t)size))
            return false;
    }
    return true;
}

/* Returns: the first name of a file that is met again; else remembers it, and NULL. */
static const char *known_name(struct pack *pack, const struct stat *st)
{
    struct known_file **slot = &pack->known[(st->st_ino ^ st->st_dev) % LINK_SLOTS], *file;

    if (st->st_nlink < 2)
        return NULL;
    for (file = *slot; file; file = file->next)
        if (file->inode == st->st_ino && file->device == st->st_dev)
            return file->name;
    file = malloc(sizeof(*file) + pack->length + 1);
    if (!file)
        return NULL; /* then it is copied twice */
    file->device = st->st_dev;
    file->inode = st->st_ino;
    memcpy(file->name, pack->name, pack->length + 1);
    file->next = *slot;
    *slot = file;
    return NULL;
}

static bool pack_contents(struct pack *pack, int fd, uint64_t left)
{
    while (left > 0) {
        size_t most = left < sizeof(pack->bytes) ? (size_t)left : sizeof(pack->bytes);
        ssize_t got = read(fd, pack->bytes, most);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed(pack, "cannot read", errno);
        if (got == 0)
            return failed(pack, "it became shorter while it was copied:", 0);
        if (!duet_copy_write_bytes(pack->copy, pack->bytes, (size_t)got))
            return false;
        left -= (uint64_t)got;
    }
    return true;
}

static bool pack_file(struct pack *pack, int fd, const struct stat *st)
{
    struct duet_copy_entry entry = entry_of(pack, DUET_COPY_FILE, st);

    entry.link = known_name(pack, st);
    if (entry.link)
        entry.type = DUET_COPY_LINK;
    else
        entry.size = (uint64_t)st->st_size;
    if (!duet_copy_write(pack->copy, &entry))
        return false;
    return entry.link || (pack_contents(pack, fd, entry.size) && pack_xattrs(pack, fd));
}

static bool pack_symlink(struct pack *pack, int dir, const char *name, const struct stat *st)
{
    struct duet_copy_entry entry = entry_of(pack, DUET_COPY_SYMLINK, st);
    ssize_t length = readlinkat(dir, name, pack->bytes, PATH_MAX - 1);

    if (length < 0)
        return errno == ENOENT || failed(pack, "cannot read the link", errno);
    pack->bytes[length] = '\0';
    entry.link = pack->bytes;
    return duet_copy_write(pack->copy, &entry);
}

static bool pack_entry(struct pack *pack, int dir, const char *name);

/* What is no file of the instance's, or the machine's: podman leaves it out as well. */
static bool is_left_out(const struct pack *pack, const char *name)
{
    return pack->is_root && pack->depth == 1 &&
        (strcmp(name, "dev") == 0 || strcmp(name, "proc") == 0 || strcmp(name, "sys") == 0);
}

static bool pack_child(struct pack *pack, int dir, const char *name)
{
    size_t before = pack->length, length = strlen(name);
    bool ok;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || is_left_out(pack, name))
        return true;
    if (before + 1 + length >= sizeof(pack->name))
        return failed(pack, "the names are too long below", ENAMETOOLONG);
    if (before > 0)
        pack->name[pack->length++] = '/';
    memcpy(pack->name + pack->length, name, length + 1);
    pack->length += length;
    ok = pack_entry(pack, dir, name);
    pack->length = before;
    pack->name[before] = '\0';
    return ok;
}

/* Takes @fd. */
static bool pack_directory(struct pack *pack, int fd, const struct stat *st)
{
    struct duet_copy_entry entry = entry_of(pack, DUET_COPY_DIRECTORY, st);
    DIR *stream = pack->depth < DUET_COPY_DEPTH_MAX ? fdopendir(fd) : NULL;
    struct dirent *next;
    bool ok = true;

    if (!stream)
        close(fd);
    if (!stream && pack->depth == DUET_COPY_DEPTH_MAX)
        return failed(pack, "too many directories in each other:", 0);
    if (!stream)
        return failed(pack, "cannot read the directory", ENOMEM);
    pack->depth++;
    ok = duet_copy_write(pack->copy, &entry);
    while (ok && (errno = 0, next = readdir(stream)))
        ok = pack_child(pack, fd, next->d_name);
    if (ok && errno != 0)
        ok = failed(pack, "cannot read the directory", errno);
    pack->depth--;
    entry.type = DUET_COPY_ATTRIBUTES;
    ok = ok && duet_copy_write(pack->copy, &entry) && pack_xattrs(pack, fd);
    closedir(stream);
    return ok;
}

/* Takes @fd. */
static bool pack_opened(struct pack *pack, int fd)
{
    struct stat st;
    bool ok = true;

    if (fstat(fd, &st) < 0)
        ok = failed(pack, "cannot look at", errno);
    else if (S_ISDIR(st.st_mode))
        return pack_directory(pack, fd, &st);
    else if (S_ISREG(st.st_mode))
        ok = pack_file(pack, fd, &st);
    close(fd);
    return ok;
}

static bool leave_out(struct pack *pack, const char *why)
{
    if (pack->copy->warn)
        pack->copy->warn(pack->copy, why, pack->name);
    return true;
}

static bool pack_entry(struct pack *pack, int dir, const char *name)
{
    struct duet_copy_entry entry;
    struct stat st;
    int fd;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || failed(pack, "cannot look at", errno);
    if (S_ISLNK(st.st_mode))
        return pack_symlink(pack, dir, name, &st);
    if (S_ISFIFO(st.st_mode)) {
        entry = entry_of(pack, DUET_COPY_FIFO, &st);
        return duet_copy_write(pack->copy, &entry);
    }
    if (S_ISSOCK(st.st_mode))
        return leave_out(pack, "left out, it is a socket:");
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return leave_out(pack, "left out, it is a device:");
    fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 && errno == ELOOP)
        return leave_out(pack, "left out, it changed while it was copied:");
    if (fd < 0)
        return errno == ENOENT || failed(pack, "cannot open", errno);
    return pack_opened(pack, fd);
}

/* Takes @fd. */
static bool pack_top(struct pack *pack, const struct stat *st, int fd)
{
    struct duet_copy_entry entry = { .type = DUET_COPY_TOP };
    struct stat root;

    pack->is_root = stat("/", &root) == 0 && root.st_dev == st->st_dev && root.st_ino == st->st_ino;
    if (S_ISDIR(st->st_mode))
        entry.flags = DUET_COPY_TOP_DIRECTORY;
    if (duet_copy_write(pack->copy, &entry))
        return pack_opened(pack, fd);
    close(fd);
    return false;
}

static void forget(struct pack *pack)
{
    for (size_t i = 0; i < LINK_SLOTS; i++)
        for (struct known_file *file = pack->known[i], *next; file; file = next) {
            next = file->next;
            free(file);
        }
}

bool duet_copy_pack(struct duet_copy *copy, const char *path)
{
    struct pack pack;
    struct duet_copy_entry end = { .type = DUET_COPY_END };
    struct stat st;
    int fd;
    bool ok;

    if (strlen(path) >= PATH_MAX)
        return duet_copy_fail(copy, "cannot find", path, ENAMETOOLONG);
    if (stat(path, &st) < 0)
        return duet_copy_fail(copy, "cannot find", path, errno);
    /* To open a device may do something. */
    if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
        return duet_copy_fail(copy, "cannot copy what is neither file nor directory:", path, 0);
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return duet_copy_fail(copy, "cannot open", path, errno);
    pack.copy = copy;
    pack.length = pack.depth = 0;
    pack.name[0] = '\0';
    memset(pack.known, 0, sizeof(pack.known));
    /* Failures of the top itself are told by the name that was given. */
    memcpy(copy->name, path, strlen(path) + 1);
    ok = pack_top(&pack, &st, fd) && duet_copy_write(copy, &end) && duet_copy_flush(copy);
    forget(&pack);
    return ok;
}
