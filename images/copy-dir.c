/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a new volume gets of its image: one directory, as overlayfs would show it, copied. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <duet/error.h>

#include "core/util.h"
#include "images/catalog.h"
#include "images/stack.h"
#include "images/unpack-private.h"

#define MAX_ACL (64 * 1024)

/**
 * Copy: one walk.
 * @root_fd: where all of it goes
 * @links: (guint64 inode) -> its first name below @root_fd; all layers are on one file system, the
 *     store's
 */
typedef struct {
    int root_fd;
    GHashTable *links;
} Copy;

static gboolean copy_error(const char *path, GError **error)
{
    return duet_error_set_errno(error, errno, "cannot copy '%s' of the image", path);
}

/* Last: else the kernel would give what is made in there an ACL of its own. */
static gboolean copy_default_acl(int from, int to)
{
    g_autofree char *value = g_malloc(MAX_ACL);
    ssize_t n = fgetxattr(from, DUET_XATTR_DEFAULT_ACL, value, MAX_ACL);
    if (n < 0)
        return errno == ENODATA || errno == ENOTSUP;
    return fsetxattr(to, DUET_XATTR_DEFAULT_ACL, value, (size_t)n, 0) == 0 || errno == ENOTSUP;
}

static gboolean copy_below(
    Copy *copy, const DuetStack *stack, int to_fd, const char *path, GError **error);

/* Its own attributes come last: one that may not be written to is filled, too. */
static gboolean copy_stack(
    Copy *copy, const DuetStack *stack, int to_fd, const char *path, GError **error)
{
    struct stat st;
    int from = stack->fds[0];
    if (!copy_below(copy, stack, to_fd, path, error))
        return FALSE;
    if (fstat(from, &st) < 0 || !duet_copy_attributes(from, to_fd, &st) ||
        !copy_default_acl(from, to_fd))
        return copy_error(path, error);
    const struct timespec times[2] = { { .tv_nsec = UTIME_NOW }, st.st_mtim };
    return futimens(to_fd, times) == 0 || copy_error(path, error);
}

static gboolean copy_dir(Copy *copy, const DuetStack *stack, guint layer, const char *name,
    int to_fd, const char *path, GError **error)
{
    g_auto(DuetStack) below = { 0 };
    if (!duet_stack_enter(stack, layer, name, &below, error))
        return FALSE;
    if (mkdirat(to_fd, name, 0700) < 0)
        return copy_error(path, error);
    DUET_AUTO_FD fd = openat(to_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 ? copy_error(path, error) : copy_stack(copy, &below, fd, path, error);
}

static gboolean copy_file(Copy *copy, int from_fd, const char *name, int to_fd, const char *path,
    const struct stat *st, GError **error)
{
    guint64 inode = st->st_ino;
    const char *first = st->st_nlink > 1 ? g_hash_table_lookup(copy->links, &inode) : NULL;
    if (first)
        return linkat(copy->root_fd, first, to_fd, name, 0) == 0 || copy_error(path, error);
    if (st->st_nlink > 1)
        g_hash_table_insert(copy->links, g_memdup2(&inode, sizeof inode), g_strdup(path));
    return duet_copy_node(from_fd, name, to_fd, name, st) || copy_error(path, error);
}

static gboolean copy_below(
    Copy *copy, const DuetStack *stack, int to_fd, const char *path, GError **error)
{
    g_autoptr(GHashTable) names = duet_stack_names(stack, error);
    GHashTableIter iter;
    gpointer name, layer;
    gboolean good = names != NULL;
    if (names)
        g_hash_table_iter_init(&iter, names);
    while (good && g_hash_table_iter_next(&iter, &name, &layer)) {
        struct stat st;
        g_autofree char *below = duet_join(path, name);
        int from = stack->fds[GPOINTER_TO_UINT(layer)];
        if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return copy_error(below, error);
        if (duet_is_whiteout(&st))
            continue;
        good = S_ISDIR(st.st_mode)
            ? copy_dir(copy, stack, GPOINTER_TO_UINT(layer), name, to_fd, below, error)
            : copy_file(copy, from, name, to_fd, below, &st, error);
    }
    return good;
}

/*
 * Follows the links on the way to @path. *out_real is NULL if it leads to no directory. An empty
 * directory is taken for one more layer on top: the walk is that of unpacking.
 */
static gboolean resolve(
    const DuetStack *root, int empty_fd, const char *path, char **out_real, GError **error)
{
    DuetUnpack view = {
        .what = "the image", .root = empty_fd, .lowers = root->fds, .n_lowers = root->n
    };
    view.whiteouts = g_hash_table_new(g_str_hash, g_str_equal);
    view.opaques = g_hash_table_new(g_str_hash, g_str_equal);
    gboolean good = duet_unpack_resolve(&view, path, FALSE, out_real, error);
    g_hash_table_unref(view.whiteouts);
    g_hash_table_unref(view.opaques);
    return good;
}

/* Takes *stack down to @real. */
static gboolean enter(DuetStack *stack, const char *real, GError **error)
{
    g_auto(GStrv) names = g_strsplit(real, "/", -1);
    for (char **name = names; *name; name++) {
        DuetStack below = { 0 };
        gboolean good = !**name || duet_stack_enter(stack, 0, *name, &below, error);
        if (**name) {
            duet_stack_clear(stack);
            *stack = below;
        }
        if (!good)
            return FALSE;
    }
    return TRUE;
}

gboolean duet_images_copy_dir(
    char *const *layers, const char *path, int to_fd, gboolean *out_found, GError **error)
{
    g_auto(DuetStack) stack = { 0 };
    g_autofree char *real = NULL;
    if (!duet_stack_open(layers, &stack, error) || !resolve(&stack, to_fd, path, &real, error) ||
        (real && !enter(&stack, real, error)))
        return FALSE;
    *out_found = real && stack.n > 0;
    if (!*out_found)
        return TRUE;
    g_autoptr(GHashTable) links =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
    Copy copy = { .root_fd = to_fd, .links = links };
    return copy_stack(&copy, &stack, to_fd, "", error);
}
