/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `duet cp -`: between tar archives and a copy's stream. */
#include <string.h>

#include <duet/copy.h>

#include "images/stream.h"

#define BLOCK_BYTES (128 * 1024)

/* ---- from an archive ---- */

typedef struct {
    struct duet_copy *copy;
    struct archive *archive;
    /* Their attributes come when all is in them. */
    GPtrArray *directories;
    guint8 bytes[BLOCK_BYTES];
} Packer;

static bool archive_failed(Packer *packer)
{
    const char *why = archive_error_string(packer->archive);
    return duet_copy_fail(
        packer->copy, "cannot read the tar archive:", why ? why : "it is none", 0);
}

/* As `tar` does: a "/" at the beginning is dropped, a ".." is refused. */
static char *clean_name(Packer *packer, const char *name)
{
    while (name && *name == '/')
        name++;
    char *clean = name ? duet_member_name(*name ? name : ".", "the archive", NULL) : NULL;
    if (!clean)
        duet_copy_fail(packer->copy, "the archive leads out of its place:", name ? name : "", 0);
    return clean;
}

static struct duet_copy_entry entry_of(struct archive_entry *from, guint8 type, const char *name)
{
    return (struct duet_copy_entry){ .type = type,
        .mode = archive_entry_perm(from) & 07777,
        .uid = (guint32)archive_entry_uid(from),
        .gid = (guint32)archive_entry_gid(from),
        .mtime_s = archive_entry_mtime(from),
        .mtime_ns = MIN((guint32)archive_entry_mtime_nsec(from), 999999999),
        .name = name };
}

static bool pack_xattrs(Packer *packer, struct archive_entry *from)
{
    const char *name;
    const void *value;
    size_t size;
    archive_entry_xattr_reset(from);
    while (archive_entry_xattr_next(from, &name, &value, &size) == ARCHIVE_OK) {
        struct duet_copy_entry entry = { .type = DUET_COPY_XATTR, .name = name, .size = size };
        if (size > DUET_COPY_BUFFER_BYTES)
            continue;
        if (!duet_copy_write(packer->copy, &entry) ||
            !duet_copy_write_bytes(packer->copy, value, size))
            return false;
    }
    return true;
}

static bool pack_contents(Packer *packer, guint64 left)
{
    while (left > 0) {
        gsize most = (gsize)MIN(left, sizeof packer->bytes);
        la_ssize_t got = archive_read_data(packer->archive, packer->bytes, most);
        if (got < 0)
            return archive_failed(packer);
        if (got == 0) {
            /* It ends in a hole. */
            memset(packer->bytes, 0, most);
            got = (la_ssize_t)most;
        }
        if (!duet_copy_write_bytes(packer->copy, packer->bytes, (size_t)got))
            return false;
        left -= (guint64)got;
    }
    return true;
}

static bool pack_file(Packer *packer, struct archive_entry *from, const char *name)
{
    struct duet_copy_entry entry = entry_of(from, DUET_COPY_FILE, name);
    entry.size = archive_entry_size_is_set(from) ? (guint64)MAX(archive_entry_size(from), 0) : 0;
    return duet_copy_write(packer->copy, &entry) && pack_contents(packer, entry.size) &&
        pack_xattrs(packer, from);
}

static bool pack_link(Packer *packer, struct archive_entry *from, const char *name)
{
    struct duet_copy_entry entry = entry_of(from, DUET_COPY_LINK, name);
    g_autofree char *target = clean_name(packer, archive_entry_hardlink(from));
    entry.link = target;
    return target && *target && duet_copy_write(packer->copy, &entry);
}

static bool pack_directory(Packer *packer, struct archive_entry *from, const char *name)
{
    struct duet_copy_entry entry = entry_of(from, DUET_COPY_DIRECTORY, name);
    struct archive_entry *kept = archive_entry_clone(from);
    archive_entry_copy_pathname(kept, name);
    g_ptr_array_add(packer->directories, kept);
    return duet_copy_write(packer->copy, &entry);
}

static bool pack_other(Packer *packer, struct archive_entry *from, const char *name)
{
    gboolean symlink = archive_entry_filetype(from) == AE_IFLNK;
    struct duet_copy_entry entry =
        entry_of(from, symlink ? DUET_COPY_SYMLINK : DUET_COPY_FIFO, name);
    if (symlink)
        entry.link = archive_entry_symlink(from);
    if (symlink || archive_entry_filetype(from) == AE_IFIFO)
        return duet_copy_write(packer->copy, &entry);
    if (packer->copy->warn)
        packer->copy->warn(packer->copy, "left out, it is a device or a socket:", name);
    return true;
}

static bool pack_member(Packer *packer, struct archive_entry *from)
{
    g_autofree char *name = clean_name(packer, archive_entry_pathname(from));
    if (!name)
        return false;
    if (strlen(name) >= DUET_COPY_NAME_BYTES)
        return duet_copy_fail(packer->copy, "too long a name:", name, 0);
    if (!*name)
        return true; /* the place itself */
    if (archive_entry_hardlink(from))
        return pack_link(packer, from, name);
    if (archive_entry_filetype(from) == AE_IFREG)
        return pack_file(packer, from, name);
    if (archive_entry_filetype(from) == AE_IFDIR)
        return pack_directory(packer, from, name);
    return pack_other(packer, from, name);
}

/* A directory's time is right only once all below it is. */
static bool pack_attributes(Packer *packer)
{
    for (guint i = packer->directories->len; i-- > 0;) {
        struct archive_entry *from = packer->directories->pdata[i];
        struct duet_copy_entry entry =
            entry_of(from, DUET_COPY_ATTRIBUTES, archive_entry_pathname(from));
        if (!duet_copy_write(packer->copy, &entry) || !pack_xattrs(packer, from))
            return false;
    }
    return true;
}

static bool pack_members(Packer *packer)
{
    struct duet_copy_entry top = { .type = DUET_COPY_TOP, .flags = DUET_COPY_TOP_DIRECTORY };
    struct duet_copy_entry end = { .type = DUET_COPY_END };
    struct archive_entry *from;
    int r;
    if (!duet_copy_write(packer->copy, &top))
        return false;
    while (
        (r = archive_read_next_header(packer->archive, &from)) >= ARCHIVE_WARN && r != ARCHIVE_EOF)
        if (!pack_member(packer, from))
            return false;
    if (r != ARCHIVE_EOF)
        return archive_failed(packer);
    return pack_attributes(packer) && duet_copy_write(packer->copy, &end) &&
        duet_copy_flush(packer->copy);
}

static bool tar_pack(struct duet_copy *copy, int fd)
{
    DUET_RAW_NAMES;
    g_autofree Packer *packer = g_new0(Packer, 1);
    packer->copy = copy;
    packer->archive = archive_read_new();
    packer->directories = g_ptr_array_new_with_free_func((GDestroyNotify)archive_entry_free);
    archive_read_support_filter_gzip(packer->archive);
    archive_read_support_filter_bzip2(packer->archive);
    archive_read_support_filter_xz(packer->archive);
    archive_read_support_filter_zstd(packer->archive);
    archive_read_support_format_tar(packer->archive);
    bool ok = archive_read_open_fd(packer->archive, fd, BLOCK_BYTES) >= ARCHIVE_WARN
        ? pack_members(packer)
        : archive_failed(packer);
    archive_read_free(packer->archive);
    g_ptr_array_unref(packer->directories);
    return ok;
}

/* ---- to an archive ---- */

typedef struct {
    struct duet_copy *copy;
    struct archive *archive;
    const char *name;
    guint8 bytes[BLOCK_BYTES];
} Unpacker;

static bool write_failed(Unpacker *unpacker)
{
    return duet_copy_fail(unpacker->copy, "cannot write the archive to", "standard output",
        archive_errno(unpacker->archive));
}

static char *member_name(const Unpacker *unpacker, const char *name)
{
    if (!unpacker->name)
        return g_strdup(name);
    return g_strconcat(unpacker->name, *name ? "/" : "", name, NULL);
}

static bool drop_contents(Unpacker *unpacker, guint64 left)
{
    for (gsize got; left > 0; left -= got)
        if ((got = duet_copy_read_bytes(
                 unpacker->copy, unpacker->bytes, (gsize)MIN(left, sizeof unpacker->bytes))) == 0)
            return false;
    return true;
}

static bool write_contents(Unpacker *unpacker, guint64 left)
{
    for (gsize got; left > 0; left -= got) {
        got = duet_copy_read_bytes(
            unpacker->copy, unpacker->bytes, (gsize)MIN(left, sizeof unpacker->bytes));
        if (got == 0)
            return false;
        if (archive_write_data(unpacker->archive, unpacker->bytes, got) != (la_ssize_t)got)
            return write_failed(unpacker);
    }
    return true;
}

static unsigned file_type(guint8 type)
{
    switch (type) {
    case DUET_COPY_DIRECTORY:
        return AE_IFDIR;
    case DUET_COPY_SYMLINK:
        return AE_IFLNK;
    case DUET_COPY_FIFO:
        return AE_IFIFO;
    default:
        return AE_IFREG;
    }
}

static bool write_member(Unpacker *unpacker, const struct duet_copy_entry *entry)
{
    g_autofree char *name = member_name(unpacker, entry->name);
    if (!*name)
        return drop_contents(unpacker, entry->size);
    struct archive_entry *to = archive_entry_new();
    archive_entry_copy_pathname(to, name);
    archive_entry_set_filetype(to, file_type(entry->type));
    archive_entry_set_perm(to, (mode_t)(entry->mode & 07777));
    archive_entry_set_uid(to, entry->uid);
    archive_entry_set_gid(to, entry->gid);
    archive_entry_set_mtime(to, (time_t)entry->mtime_s, (long)entry->mtime_ns);
    archive_entry_set_size(to, (la_int64_t)entry->size);
    if (entry->type == DUET_COPY_SYMLINK)
        archive_entry_copy_symlink(to, entry->link);
    if (entry->type == DUET_COPY_LINK) {
        g_autofree char *target = member_name(unpacker, entry->link);
        archive_entry_copy_hardlink(to, target);
    }
    bool ok = archive_write_header(unpacker->archive, to) >= ARCHIVE_WARN
        ? write_contents(unpacker, entry->size)
        : write_failed(unpacker);
    archive_entry_free(to);
    return ok;
}

static bool write_members(Unpacker *unpacker)
{
    struct duet_copy_entry entry;
    while (duet_copy_read(unpacker->copy, &entry)) {
        bool ok = true;
        if (entry.type == DUET_COPY_END)
            return true;
        /* Said of a directory already when it began; a tar has attributes before the contents. */
        if (entry.type == DUET_COPY_XATTR)
            ok = drop_contents(unpacker, entry.size);
        else if (entry.type != DUET_COPY_TOP && entry.type != DUET_COPY_ATTRIBUTES)
            ok = write_member(unpacker, &entry);
        if (!ok)
            return false;
    }
    return false;
}

static bool tar_unpack(struct duet_copy *copy, int fd, const char *name)
{
    DUET_RAW_NAMES;
    g_autofree Unpacker *unpacker = g_new0(Unpacker, 1);
    unpacker->copy = copy;
    unpacker->name = name;
    unpacker->archive = archive_write_new();
    /* The whole of it: the restricted one drops what is less than a second. */
    archive_write_set_format_pax(unpacker->archive);
    bool ok = archive_write_open_fd(unpacker->archive, fd) >= ARCHIVE_WARN ? write_members(unpacker)
                                                                           : write_failed(unpacker);
    if (!ok)
        /* No end is written to what has none. */
        archive_write_fail(unpacker->archive);
    else if (archive_write_close(unpacker->archive) < ARCHIVE_WARN)
        ok = write_failed(unpacker);
    archive_write_free(unpacker->archive);
    return ok;
}

/* The one symbol that the executable looks up. */
__attribute__((visibility("default"))) const DuetTarOps duet_tar = {
    .pack = tar_pack,
    .unpack = tar_unpack,
};
