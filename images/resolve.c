/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Theory of operation
 *
 * A layer's archive is hostile: its names and symlinks must never lead out of the layer's own
 * directory. So:
 * - A file is only ever made as a last component in a directory that openat2(2) opened below the
 *   layer's root with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS. The kernel never follows a symlink
 *   of an archive for us.
 * - Names with ".." and absolute names were refused before (duet_member_name).
 * - Where a directory of a name is a symlink of the image ("bin" -> "usr/bin"), it is resolved
 *   here, component by component, inside the root, in the merged view of this layer and those
 *   below. A ".." that climbs above the root is refused; so is an absolute target if the symlink
 *   is from this same archive: no tool writes such an archive but to break out.
 * - Layers below are only read, again with no symlink followed.
 */
#include "images/unpack-private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"

#define MAX_FOLLOWS 40

char *duet_join(const char *dir, const char *name)
{
    return *dir ? g_strconcat(dir, "/", name, NULL) : g_strdup(name);
}

const char *duet_split(const char *path, char **out_dir)
{
    const char *slash = strrchr(path, '/');
    *out_dir = slash ? g_strndup(path, (gsize)(slash - path)) : g_strdup("");
    return slash ? slash + 1 : path;
}

int duet_open_beneath(int root, const char *real)
{
    struct open_how how = {
        .flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, root, *real ? real : ".", &how, sizeof how);
}

gboolean duet_is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

gboolean duet_dir_is_opaque(int fd, const char *name)
{
    DUET_AUTO_FD dir = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    char value = 0;
    return dir >= 0 && fgetxattr(dir, duet_opaque_attribute(), &value, 1) == 1 && value == 'y';
}

/* Every prefix is checked to be a directory before a longer one is used: no symlink is passed. */
DuetLook duet_look_in_layer(int root, const char *real, struct stat *out_st)
{
    g_autofree char *prefix = g_strdup(real);
    gboolean opaque = FALSE;
    for (char *end = prefix;; end++) {
        end = strchr(end, '/');
        if (end)
            *end = '\0';
        if (fstatat(root, prefix, out_st, AT_SYMLINK_NOFOLLOW) < 0)
            return opaque ? DUET_LOOK_HIDDEN : DUET_LOOK_MISSING;
        if (duet_is_whiteout(out_st))
            return DUET_LOOK_HIDDEN;
        if (!end)
            return DUET_LOOK_FOUND;
        if (!S_ISDIR(out_st->st_mode))
            return DUET_LOOK_HIDDEN;
        opaque = opaque || duet_dir_is_opaque(root, prefix);
        *end = '/';
    }
}

gboolean duet_unpack_hides(DuetUnpack *unpack, const char *real)
{
    g_autofree char *prefix = g_strdup(real);
    if (g_hash_table_contains(unpack->opaques, ""))
        return TRUE;
    for (;;) {
        if (g_hash_table_contains(unpack->whiteouts, prefix))
            return TRUE;
        char *slash = strrchr(prefix, '/');
        if (!slash)
            return FALSE;
        *slash = '\0';
        if (g_hash_table_contains(unpack->opaques, prefix))
            return TRUE;
    }
}

gssize duet_unpack_find_lower(DuetUnpack *unpack, const char *real, struct stat *out_st)
{
    for (gsize i = 0; i < unpack->n_lowers; i++) {
        DuetLook look = duet_look_in_layer(unpack->lowers[i], real, out_st);
        if (look == DUET_LOOK_FOUND)
            return (gssize)i;
        if (look == DUET_LOOK_HIDDEN)
            return -1;
    }
    return -1;
}

gssize duet_unpack_find_visible(DuetUnpack *unpack, const char *real, struct stat *out_st)
{
    return duet_unpack_hides(unpack, real) ? -1 : duet_unpack_find_lower(unpack, real, out_st);
}

void duet_unpack_set_dir_time(DuetUnpack *unpack, const char *real, gint64 seconds, gint64 ns)
{
    gint64 *time = g_new(gint64, 2);
    time[0] = seconds;
    time[1] = ns;
    g_hash_table_replace(unpack->dir_times, g_strdup(real), time);
}

/* A walk along a path; @pending holds the components to come. */
typedef struct {
    DuetUnpack *unpack;
    const char *path;
    GQueue pending;
    GString *real;
    int follows;
} Walk;

static void push_components(Walk *walk, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    for (guint i = g_strv_length(parts); i-- > 0;) {
        if (*parts[i] && !g_str_equal(parts[i], "."))
            g_queue_push_head(&walk->pending, g_strdup(parts[i]));
    }
}

static gboolean walk_error(Walk *walk, const char *why, GError **error)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_BROKEN, "'%s' is refused: its member below '%s' %s",
        walk->unpack->what, walk->path, why);
    return FALSE;
}

static gboolean walk_up(Walk *walk, GError **error)
{
    if (walk->real->len == 0)
        return walk_error(walk, "climbs out through a symlink", error);
    char *slash = strrchr(walk->real->str, '/');
    g_string_truncate(walk->real, slash ? (gsize)(slash - walk->real->str) : 0);
    return TRUE;
}

static gboolean walk_follow(
    Walk *walk, int root, const char *candidate, gboolean own, GError **error)
{
    char target[PATH_MAX];
    ssize_t n = readlinkat(root, candidate, target, sizeof target - 1);
    if (n < 0)
        return duet_error_set_errno(error, errno, "cannot read the symlink '%s'", candidate);
    target[n] = '\0';
    if (++walk->follows > MAX_FOLLOWS)
        return walk_error(walk, "goes through too many symlinks", error);
    if (*target == '/' && own)
        return walk_error(walk, "goes through an absolute symlink of the same archive", error);
    if (*target == '/')
        g_string_truncate(walk->real, 0);
    push_components(walk, target);
    return TRUE;
}

/* A directory that nothing describes. */
static gboolean make_plain_dir(DuetUnpack *unpack, const char *real, GError **error)
{
    if (mkdirat(unpack->root, real, 0755) < 0 || fchmodat(unpack->root, real, 0755, 0) < 0)
        return duet_error_set_errno(error, errno, "cannot make '%s' of '%s'", real, unpack->what);
    duet_unpack_set_dir_time(unpack, real, 0, 0);
    return TRUE;
}

/* The component is a file of this layer, but a later name says that it is a directory. */
static gboolean replace_by_dir(DuetUnpack *unpack, const char *real, GError **error)
{
    if (unlinkat(unpack->root, real, 0) < 0)
        return duet_error_set_errno(error, errno, "cannot replace '%s'", real);
    g_hash_table_remove(unpack->copied, real);
    g_hash_table_add(unpack->opaques, g_strdup(real));
    return make_plain_dir(unpack, real, error);
}

static gboolean walk_lower(
    Walk *walk, const char *candidate, gboolean create, gboolean *out_absent, GError **error)
{
    struct stat st;
    gssize lower = duet_unpack_find_visible(walk->unpack, candidate, &st);
    if (lower >= 0 && S_ISLNK(st.st_mode))
        return walk_follow(walk, walk->unpack->lowers[lower], candidate, FALSE, error);
    gboolean is_dir = lower >= 0 && S_ISDIR(st.st_mode);
    *out_absent = !is_dir && !create;
    if (create && is_dir && !duet_copy_up_dir(walk->unpack, (gsize)lower, candidate, error))
        return FALSE;
    if (create && !is_dir && !make_plain_dir(walk->unpack, candidate, error))
        return FALSE;
    g_string_assign(walk->real, candidate);
    return TRUE;
}

static gboolean walk_step(
    Walk *walk, const char *name, gboolean create, gboolean *out_absent, GError **error)
{
    if (g_str_equal(name, ".."))
        return walk_up(walk, error);
    g_autofree char *candidate = duet_join(walk->real->str, name);
    struct stat st;
    int root = walk->unpack->root;
    if (fstatat(root, candidate, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno != ENOENT)
            return duet_error_set_errno(
                error, errno, "cannot find '%s' of '%s'", candidate, walk->unpack->what);
        return walk_lower(walk, candidate, create, out_absent, error);
    }
    if (S_ISLNK(st.st_mode))
        return walk_follow(walk, root, candidate, TRUE, error);
    if (!S_ISDIR(st.st_mode)) {
        *out_absent = !create;
        if (create && !replace_by_dir(walk->unpack, candidate, error))
            return FALSE;
    }
    g_string_assign(walk->real, candidate);
    return TRUE;
}

gboolean duet_unpack_resolve(
    DuetUnpack *unpack, const char *path, gboolean create, char **out_real, GError **error)
{
    g_autoptr(GString) real = g_string_new(NULL);
    Walk walk = { .unpack = unpack, .path = path, .pending = G_QUEUE_INIT, .real = real };
    push_components(&walk, path);
    gboolean good = TRUE, absent = FALSE;
    while (good && !absent && !g_queue_is_empty(&walk.pending)) {
        g_autofree char *name = g_queue_pop_head(&walk.pending);
        good = walk_step(&walk, name, create, &absent, error);
    }
    g_queue_clear_full(&walk.pending, g_free);
    if (good)
        *out_real = absent ? NULL : g_strdup(real->str);
    return good;
}

void duet_unpack_forget_dir(DuetUnpack *unpack)
{
    g_clear_pointer(&unpack->last_dir, g_free);
    duet_fd_clear(&unpack->last_fd);
}

int duet_unpack_dir(DuetUnpack *unpack, const char *path, char **out_real, GError **error)
{
    if (unpack->last_dir && g_str_equal(unpack->last_dir, path)) {
        *out_real = g_strdup(path);
        return unpack->last_fd;
    }
    g_autofree char *real = g_strdup(path);
    DUET_AUTO_FD fd = duet_open_beneath(unpack->root, path);
    if (fd < 0) {
        g_clear_pointer(&real, g_free);
        if (!duet_unpack_resolve(unpack, path, TRUE, &real, error))
            return -1;
        fd = duet_open_beneath(unpack->root, real);
    }
    if (fd < 0) {
        duet_error_set_errno(error, errno, "cannot open '%s' of '%s'", real, unpack->what);
        return -1;
    }
    duet_unpack_forget_dir(unpack);
    unpack->last_fd = duet_fd_steal(&fd);
    /* Only a path without symlinks stays true when other members are added. */
    if (g_str_equal(real, path))
        unpack->last_dir = g_strdup(path);
    *out_real = g_steal_pointer(&real);
    return unpack->last_fd;
}
