/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* One layer's archive into an overlayfs layer; resolve.c has the theory of operation. */
#include "images/unpack-private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

#define WHITEOUT ".wh."
#define WHITEOUT_META ".wh..wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"

/* One member of the archive, and where it goes. */
typedef struct {
    DuetTar *tar;
    struct archive_entry *entry;
    char *path; /* clean */
    char *dir; /* clean */
    const char *name;
    int fd; /* the directory in the layer */
    char *real;
} Member;

static void member_clear(Member *member)
{
    g_clear_pointer(&member->path, g_free);
    g_clear_pointer(&member->dir, g_free);
    g_clear_pointer(&member->real, g_free);
}

static gboolean member_errno(DuetUnpack *unpack, Member *member, GError **error)
{
    return duet_error_set_errno(
        error, errno, "cannot unpack '%s' of '%s'", member->path, unpack->what);
}

static gboolean member_broken(DuetUnpack *unpack, Member *member, const char *why, GError **error)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is refused: its member '%s' %s",
        unpack->what, member->path, why);
    return FALSE;
}

static gboolean is_below(const char *path, const char *dir)
{
    gsize n = strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

static gboolean key_is_below(gpointer key, gpointer value, gpointer dir)
{
    (void)value;
    return is_below(key, dir);
}

/* A directory of this layer goes, with all that is known of what was in it. */
static gboolean remove_dir(DuetUnpack *unpack, Member *member, GError **error)
{
    GHashTable *tables[] = { unpack->dir_times, unpack->default_acls, unpack->whiteouts,
        unpack->opaques, unpack->copied };
    for (gsize i = 0; i < G_N_ELEMENTS(tables); i++)
        g_hash_table_foreach_remove(tables[i], key_is_below, member->real);
    g_hash_table_remove(unpack->dir_times, member->real);
    g_hash_table_remove(unpack->default_acls, member->real);
    g_hash_table_remove(unpack->opaques, member->real);
    /* What is remembered may be below it; the descriptor is in use until the next member. */
    g_clear_pointer(&unpack->last_dir, g_free);
    return duet_remove_tree(member->fd, member->name, error);
}

/* Makes room for something that is not a directory. */
static gboolean clear_place(DuetUnpack *unpack, Member *member, GError **error)
{
    struct stat st;
    if (fstatat(member->fd, member->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT || member_errno(unpack, member, error);
    g_hash_table_remove(unpack->copied, member->real);
    if (S_ISDIR(st.st_mode))
        return remove_dir(unpack, member, error);
    return unlinkat(member->fd, member->name, 0) == 0 || member_errno(unpack, member, error);
}

static void entry_times(struct archive_entry *entry, struct timespec times[2])
{
    times[0] = (struct timespec){ .tv_nsec = UTIME_NOW };
    times[1] = (struct timespec){ .tv_sec = archive_entry_mtime(entry),
        .tv_nsec = archive_entry_mtime_nsec(entry) };
}

static gboolean write_contents(DuetUnpack *unpack, Member *member, int fd, GError **error)
{
    const char *bytes = NULL;
    gsize length = 0;
    gint64 offset = 0;
    g_autoptr(GError) local = NULL;
    while (duet_tar_block(member->tar, (const void **)&bytes, &length, &offset, &local)) {
        while (length > 0) {
            ssize_t n = pwrite(fd, bytes, length, offset);
            if (n < 0 && errno == EINTR)
                continue;
            if (n < 0)
                return member_errno(unpack, member, error);
            bytes += n;
            length -= (gsize)n;
            offset += n;
        }
    }
    if (local) {
        g_propagate_error(error, g_steal_pointer(&local));
        return FALSE;
    }
    return ftruncate(fd, archive_entry_size(member->entry)) == 0 ||
        member_errno(unpack, member, error);
}

static gboolean unpack_regular(DuetUnpack *unpack, Member *member, GError **error)
{
    if (!clear_place(unpack, member, error))
        return FALSE;
    DUET_AUTO_FD fd = openat(
        member->fd, member->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return member_errno(unpack, member, error);
    struct timespec times[2];
    entry_times(member->entry, times);
    if (!write_contents(unpack, member, fd, error) ||
        !duet_entry_attributes(unpack, fd, member->path, NULL, member->entry, error))
        return FALSE;
    return futimens(fd, times) == 0 || member_errno(unpack, member, error);
}

static gboolean make_dir(DuetUnpack *unpack, Member *member, GError **error)
{
    struct stat st;
    if (fstatat(member->fd, member->name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        if (S_ISDIR(st.st_mode))
            return TRUE;
        if (!clear_place(unpack, member, error))
            return FALSE;
        /* The file that was here had hidden a lower layer's directory. */
        g_hash_table_add(unpack->opaques, g_strdup(member->real));
    }
    return mkdirat(member->fd, member->name, 0700) == 0 || member_errno(unpack, member, error);
}

static gboolean unpack_dir(DuetUnpack *unpack, Member *member, GError **error)
{
    if (*member->path && !make_dir(unpack, member, error))
        return FALSE;
    DUET_AUTO_FD fd = openat(member->fd, *member->path ? member->name : ".",
        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return member_errno(unpack, member, error);
    duet_unpack_set_dir_time(unpack, member->real, archive_entry_mtime(member->entry),
        archive_entry_mtime_nsec(member->entry));
    return duet_entry_attributes(
        unpack, fd, *member->path ? member->path : "/", member->real, member->entry, error);
}

/* Symlinks, devices and fifos: what has no descriptor to work on. */
static gboolean unpack_special(DuetUnpack *unpack, Member *member, GError **error)
{
    struct archive_entry *entry = member->entry;
    mode_t type = archive_entry_filetype(entry);
    const char *target = archive_entry_symlink(entry);
    if (type == AE_IFLNK && (!target || !*target))
        return member_broken(unpack, member, "is a symlink to nothing", error);
    if (!clear_place(unpack, member, error))
        return FALSE;
    int r = type == AE_IFLNK ? symlinkat(target, member->fd, member->name)
                             : mknodat(member->fd, member->name, type, archive_entry_rdev(entry));
    struct timespec times[2];
    entry_times(entry, times);
    if (r < 0 ||
        fchownat(member->fd, member->name, duet_owner_to_disk(archive_entry_uid(entry)),
            duet_owner_to_disk(archive_entry_gid(entry)), AT_SYMLINK_NOFOLLOW) < 0)
        return member_errno(unpack, member, error);
    /* It was made here a moment ago: not a symlink, which fchmodat(2) would follow. */
    if (type != AE_IFLNK &&
        fchmodat(member->fd, member->name, archive_entry_perm(entry) & 07777, 0) < 0)
        return member_errno(unpack, member, error);
    return utimensat(member->fd, member->name, times, AT_SYMLINK_NOFOLLOW) == 0 ||
        member_errno(unpack, member, error);
}

/* As podman and docker have it in a user namespace. The name is free then, also in layers below. */
static gboolean skip_device(DuetUnpack *unpack, Member *member, GError **error)
{
    duet_facts_warn(unpack->facts, "device nodes are left out: only root may make them");
    if (!clear_place(unpack, member, error))
        return FALSE;
    g_hash_table_add(unpack->whiteouts, g_strdup(member->real));
    return TRUE;
}

static gboolean link_place(DuetUnpack *unpack, Member *member, const char *target, GError **error)
{
    struct stat from, to;
    if (fstatat(unpack->root, target, &from, AT_SYMLINK_NOFOLLOW) < 0)
        return member_errno(unpack, member, error);
    if (S_ISDIR(from.st_mode))
        return member_broken(unpack, member, "is a hard link to a directory", error);
    if (fstatat(member->fd, member->name, &to, AT_SYMLINK_NOFOLLOW) == 0 &&
        from.st_dev == to.st_dev && from.st_ino == to.st_ino)
        return TRUE;
    if (!clear_place(unpack, member, error))
        return FALSE;
    return linkat(unpack->root, target, member->fd, member->name, 0) == 0 ||
        member_errno(unpack, member, error);
}

static gboolean link_to_lower(
    DuetUnpack *unpack, Member *member, const char *target, GError **error)
{
    struct stat st;
    gssize lower = duet_unpack_find_lower(unpack, target, &st);
    if (lower < 0)
        return member_broken(unpack, member, "is a hard link to a file that is not there", error);
    if (S_ISDIR(st.st_mode))
        return member_broken(unpack, member, "is a hard link to a directory", error);
    /* The other name is deleted in this same layer: only the contents live on. */
    if (duet_unpack_hides(unpack, target))
        return clear_place(unpack, member, error) &&
            duet_copy_file(unpack, (gsize)lower, target, member->fd, member->name, error);
    return duet_copy_up_file(unpack, (gsize)lower, target, error) &&
        link_place(unpack, member, target, error);
}

static gboolean unpack_link(DuetUnpack *unpack, Member *member, GError **error)
{
    g_autofree char *path =
        duet_member_name(archive_entry_hardlink(member->entry), unpack->what, error);
    g_autofree char *dir = NULL, *real_dir = NULL;
    if (!path)
        return FALSE;
    if (!*path)
        return member_broken(unpack, member, "is a hard link to a directory", error);
    const char *name = duet_split(path, &dir);
    if (!duet_unpack_resolve(unpack, dir, FALSE, &real_dir, error))
        return FALSE;
    if (!real_dir)
        return member_broken(unpack, member, "is a hard link to a file that is not there", error);
    g_autofree char *target = duet_join(real_dir, name);
    struct stat st;
    if (fstatat(unpack->root, target, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return link_place(unpack, member, target, error);
    return link_to_lower(unpack, member, target, error);
}

static gboolean is_device_whiteout(struct archive_entry *entry)
{
    return !archive_entry_hardlink(entry) && archive_entry_filetype(entry) == AE_IFCHR &&
        archive_entry_rdev(entry) == makedev(0, 0);
}

/* @name is what the archive deletes in the directory. */
static gboolean note_whiteout(DuetUnpack *unpack, Member *member, const char *name, GError **error)
{
    g_autofree char *real = NULL;
    if (!*name || g_str_equal(name, ".") || g_str_equal(name, ".."))
        return member_broken(unpack, member, "deletes nothing that can be", error);
    if (!duet_unpack_resolve(unpack, member->dir, FALSE, &real, error))
        return FALSE;
    if (real)
        g_hash_table_add(unpack->whiteouts, duet_join(real, name));
    return TRUE;
}

static gboolean note_opaque(DuetUnpack *unpack, Member *member, GError **error)
{
    char *real = NULL;
    if (!duet_unpack_resolve(unpack, member->dir, FALSE, &real, error))
        return FALSE;
    if (real)
        g_hash_table_add(unpack->opaques, real);
    return TRUE;
}

/* *out_done: it was a mark and not a file. */
static gboolean unpack_mark(DuetUnpack *unpack, Member *member, gboolean *out_done, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(member->dir, "/", -1);
    *out_done = TRUE;
    for (char **part = parts; *part; part++) {
        if (g_str_has_prefix(*part, WHITEOUT_META))
            return TRUE;
        if (g_str_has_prefix(*part, WHITEOUT))
            return member_broken(unpack, member, "is below a whiteout", error);
    }
    if (g_str_equal(member->name, WHITEOUT_OPAQUE))
        return note_opaque(unpack, member, error);
    /* What else aufs kept for itself. */
    if (g_str_has_prefix(member->name, WHITEOUT_META))
        return TRUE;
    if (g_str_has_prefix(member->name, WHITEOUT))
        return note_whiteout(unpack, member, member->name + strlen(WHITEOUT), error);
    if (is_device_whiteout(member->entry))
        return note_whiteout(unpack, member, member->name, error);
    *out_done = FALSE;
    return TRUE;
}

static gboolean unpack_file(DuetUnpack *unpack, Member *member, GError **error)
{
    if (archive_entry_hardlink(member->entry))
        return unpack_link(unpack, member, error);
    switch (archive_entry_filetype(member->entry)) {
    case AE_IFREG:
        return unpack_regular(unpack, member, error);
    case AE_IFDIR:
        return unpack_dir(unpack, member, error);
    case AE_IFCHR:
    case AE_IFBLK:
        if (unpack->rootless)
            return skip_device(unpack, member, error);
        return unpack_special(unpack, member, error);
    case AE_IFLNK:
    case AE_IFIFO:
        return unpack_special(unpack, member, error);
    default:
        return member_broken(unpack, member, "is of an unknown type", error);
    }
}

static gboolean unpack_member(DuetUnpack *unpack, Member *member, GError **error)
{
    member->path = duet_member_name(archive_entry_pathname(member->entry), unpack->what, error);
    if (!member->path)
        return FALSE;
    member->name = duet_split(member->path, &member->dir);
    if (!*member->path && archive_entry_filetype(member->entry) != AE_IFDIR)
        return member_broken(unpack, member, "is the root, but not a directory", error);
    gboolean done = FALSE;
    if (!unpack_mark(unpack, member, &done, error))
        return FALSE;
    if (done)
        return TRUE;
    g_autofree char *real_dir = NULL;
    member->fd = duet_unpack_dir(unpack, member->dir, &real_dir, error);
    if (member->fd < 0 || !duet_entry_ids(unpack, member->entry, error))
        return FALSE;
    member->real = duet_join(real_dir, member->name);
    return unpack_file(unpack, member, error);
}

static gboolean prepare_root(DuetUnpack *unpack, GError **error)
{
    if (unpack->n_lowers > 0)
        return duet_copy_up_dir(unpack, 0, "", error);
    duet_unpack_set_dir_time(unpack, "", 0, 0);
    return fchmod(unpack->root, 0755) == 0 ||
        duet_error_set_errno(error, errno, "cannot prepare '%s'", unpack->what);
}

static gboolean unpack_all(DuetUnpack *unpack, DuetStream *stream, GError **error)
{
    g_autoptr(DuetTar) tar = duet_tar_new(stream, error);
    if (!tar)
        return FALSE;
    for (;;) {
        Member member = { .tar = tar, .fd = -1 };
        if (!duet_tar_next(tar, &member.entry, error))
            return FALSE;
        if (!member.entry)
            return TRUE;
        gboolean good = unpack_member(unpack, &member, error);
        member_clear(&member);
        if (!good)
            return FALSE;
    }
}

static GHashTable *new_set(GDestroyNotify free_value)
{
    return g_hash_table_new_full(g_str_hash, g_str_equal, g_free, free_value);
}

gboolean duet_layer_unpack(DuetStream *stream, int root_fd, const int *lowers, gsize n_lowers,
    DuetFacts *facts, GError **error)
{
    DuetUnpack unpack = {
        .what = duet_stream_what(stream),
        .root = root_fd,
        .lowers = lowers,
        .n_lowers = n_lowers,
        .dir_times = new_set(g_free),
        .default_acls = new_set((GDestroyNotify)g_bytes_unref),
        .whiteouts = new_set(NULL),
        .opaques = new_set(NULL),
        .copied = new_set(NULL),
        .last_fd = -1,
        .facts = facts,
    };
    duet_owners_init(&unpack);
    gboolean good = prepare_root(&unpack, error) && unpack_all(&unpack, stream, error) &&
        duet_unpack_finish(&unpack, error);
    duet_unpack_forget_dir(&unpack);
    duet_owners_clear(&unpack);
    g_hash_table_unref(unpack.dir_times);
    g_hash_table_unref(unpack.default_acls);
    g_hash_table_unref(unpack.whiteouts);
    g_hash_table_unref(unpack.opaques);
    g_hash_table_unref(unpack.copied);
    return good;
}
