/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Theory of operation
 *
 * names/<name> leads to an instance's id, and the instance's spec has its name: the two together
 * are a name. A link to an instance of another name is none: what is left of a change of names that
 * was killed, or is at work.
 *
 * A name is taken by making its link, which only one can do; the spec that has it was written
 * before. It is changed in three steps: a second link is made, the spec is replaced, the old link
 * goes. At any time the name in the spec has its link, and the second step is the change. Links
 * that are none are taken away by who finds them in the way. So that this is never one of a change
 * that is at work, both hold a lock: of the folder, for an instant. The sweep tidies as well, by
 * the file `renaming`, in which both names are.
 */
#include "core/events.h"
#include "core/update.h"
#include "core/util.h"

#include <duet/error.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_BYTES 63
#define RENAMING "renaming"
#define LOCK_TRIES 200
#define LOCK_PAUSE_US 10000

gboolean duet_name_is_valid(const char *name)
{
    if (!g_ascii_isalnum(name[0]) || strlen(name) > NAME_MAX_BYTES)
        return FALSE;
    for (const char *c = name; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr("_.-", *c))
            return FALSE;
    return TRUE;
}

gboolean duet_name_check(const char *name, GError **error)
{
    if (duet_name_is_valid(name))
        return TRUE;
    g_set_error(error, DUET_ERROR, DUET_ERROR_INVALID,
        "'%s' is no name for an instance: use letters, digits, '_', '.' and '-', at most %d", name,
        NAME_MAX_BYTES);
    return FALSE;
}

static int lock_names(DuetContext *context, GError **error)
{
    DUET_AUTO_FD fd = openat(context->root_fd, "names", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (guint i = 0; fd >= 0; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return duet_fd_steal(&fd);
        if (errno != EWOULDBLOCK || i == LOCK_TRIES)
            break;
        g_usleep(LOCK_PAUSE_US);
    }
    duet_error_set_errno(error, errno, "cannot lock '%s/names'", context->root);
    return -1;
}

/* Returns: (nullable) (transfer full): the id that a name's link leads to. */
static char *target_of(DuetContext *context, const char *name)
{
    char id[64];
    g_autofree char *link = g_strconcat("names/", name, NULL);
    ssize_t n = readlinkat(context->root_fd, link, id, sizeof id - 1);
    return n > 0 ? g_strndup(id, (gsize)n) : NULL;
}

static void unlink_name(DuetContext *context, const char *name, const char *id)
{
    g_autofree char *target = target_of(context, name);
    g_autofree char *link = g_strconcat("names/", name, NULL);
    if (g_strcmp0(target, id) == 0)
        unlinkat(context->root_fd, link, 0);
}

/* Whether @id is an instance of that name, or one of which that can't be told. */
static gboolean has_name(DuetContext *context, const char *id, const char *name)
{
    g_autofree char *path = g_strconcat("instances/", id, NULL);
    DUET_AUTO_FD dir_fd =
        openat(context->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir_fd < 0)
        return errno != ENOENT;
    g_autoptr(GVariant) spec = duet_variant_read(dir_fd, "spec", NULL);
    const char *own;
    return !spec || !g_variant_lookup(spec, "name", "^&ay", &own) || g_str_equal(own, name);
}

void duet_name_recover(DuetContext *context, const char *name)
{
    g_autofree char *owner = target_of(context, name);
    if (owner)
        duet_live_recover(context, owner);
}

static gboolean in_use(const char *name, const char *owner, GError **error)
{
    g_set_error(error, DUET_ERROR, DUET_ERROR_EXISTS,
        "the name '%s' is in use by the instance %s; choose another or remove it with `duet rm %s`",
        name, owner ? owner : "", name);
    return FALSE;
}

gboolean duet_name_check_free(DuetContext *context, const char *name, GError **error)
{
    duet_name_recover(context, name);
    g_autofree char *owner = target_of(context, name);
    return !owner || !has_name(context, owner, name) || in_use(name, owner, error);
}

/* The caller has locked the names, or @is_locked is FALSE and none needs to be taken away. */
static gboolean take(
    DuetContext *context, const char *name, const char *id, gboolean is_locked, GError **error)
{
    g_autofree char *link = g_strconcat("names/", name, NULL);
    g_autofree char *owner = NULL;
    for (int attempt = 0; attempt < 3; attempt++) {
        if (symlinkat(id, context->root_fd, link) == 0)
            return TRUE;
        if (errno != EEXIST)
            return duet_error_set_errno(error, errno, "cannot take the name '%s'", name);
        if (!is_locked)
            duet_name_recover(context, name);
        g_free(owner);
        owner = target_of(context, name);
        if (owner && has_name(context, owner, name))
            break;
        DUET_AUTO_FD lock_fd = is_locked ? -1 : lock_names(context, error);
        if (!is_locked && lock_fd < 0)
            return FALSE;
        /* Its instance is gone, or has another name now. */
        g_autofree char *again = target_of(context, name);
        if (again && !has_name(context, again, name))
            unlinkat(context->root_fd, link, 0);
    }
    return in_use(name, owner, error);
}

gboolean duet_name_take(DuetContext *context, const char *name, const char *id, GError **error)
{
    return take(context, name, id, FALSE, error);
}

/* The list of instances is in the order of their specs' ages: it stays as old as it is. */
static gboolean write_spec(int dir_fd, const DuetSpec *spec, GError **error)
{
    struct stat st;
    gboolean known = fstatat(dir_fd, "spec", &st, 0) == 0;
    if (!duet_variant_write(dir_fd, "spec", duet_spec_to_variant(spec), error))
        return FALSE;
    const struct timespec times[] = { st.st_atim, st.st_mtim };
    if (known)
        utimensat(dir_fd, "spec", times, 0);
    return TRUE;
}

static gboolean change_name(
    DuetContext *context, int dir_fd, const DuetSpec *from, const DuetSpec *to, GError **error)
{
    DUET_AUTO_FD lock_fd = lock_names(context, error);
    g_autofree char *both = g_strdup_printf("%s\n%s\n", from->name, to->name);
    if (lock_fd < 0 || !duet_file_replace_private(dir_fd, RENAMING, both, strlen(both), error))
        return FALSE;
    gboolean taken = take(context, to->name, to->id, TRUE, error);
    gboolean ok = taken && write_spec(dir_fd, to, error);
    if (taken)
        unlink_name(context, ok ? from->name : to->name, to->id);
    unlinkat(dir_fd, RENAMING, 0);
    return ok;
}

gboolean duet_spec_replace(
    DuetContext *context, int dir_fd, const DuetSpec *from, const DuetSpec *to, GError **error)
{
    gboolean ok = g_str_equal(from->name, to->name) ? write_spec(dir_fd, to, error)
                                                    : change_name(context, dir_fd, from, to, error);
    if (ok)
        duet_event_emit_changes(context, from, to);
    return ok;
}

void duet_name_settle(DuetContext *context, int dir_fd, const DuetSpec *spec)
{
    g_autofree char *text = duet_file_read(dir_fd, RENAMING, 4 * NAME_MAX_BYTES, NULL, NULL);
    DUET_AUTO_FD lock_fd = text ? lock_names(context, NULL) : -1;
    if (lock_fd < 0)
        return;
    g_auto(GStrv) names = g_strsplit(text, "\n", -1);
    for (char **name = names; *name; name++)
        if (duet_name_is_valid(*name) && !g_str_equal(*name, spec->name))
            unlink_name(context, *name, spec->id);
    unlinkat(dir_fd, RENAMING, 0);
}
