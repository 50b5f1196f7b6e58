/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/places.h"
#include "core/rootless.h"

#include <duet/error.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

/* Root's is @system; a user's is in @user_dir. */
static char *ours(const char *system, const char *user_dir)
{
    return duet_is_rootless() ? g_build_filename(user_dir, "duet", NULL) : g_strdup(system);
}

char *duet_place_root(void)
{
    const char *root = g_getenv("DUET_ROOT");
    return root && *root ? g_strdup(root) : ours("/var/lib/duet", g_get_user_data_dir());
}

char *duet_place_cache(void)
{
    const char *cache = g_getenv("DUET_CACHE_DIR");
    return cache && g_path_is_absolute(cache) ? g_strdup(cache)
                                              : ours("/var/cache/duet", g_get_user_cache_dir());
}

static gboolean is_mine(const char *path, gboolean *out_private)
{
    struct stat st;
    if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return FALSE;
    *out_private = (st.st_mode & 077) == 0;
    return TRUE;
}

/* Our part of a directory that is the user's alone; that it is there already is no error. */
static char *part_of(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "duet", NULL);
    (void)!mkdir(path, 0700);
    return g_steal_pointer(&path);
}

static char *user_run_dir(GError **error)
{
    gboolean is_private;
    uid_t uid = duet_rootless_uid();
    const char *wanted = g_getenv("XDG_RUNTIME_DIR");
    if (wanted && *wanted) {
        /* su(1) keeps the variable of the user that it was called by. */
        if (g_path_is_absolute(wanted) && is_mine(wanted, &is_private) && is_private)
            return part_of(wanted);
        g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
            "XDG_RUNTIME_DIR is '%s', which is no private directory of yours (mode 0700): log in "
            "anew (not by su), name such a directory, or unset it to use one in /tmp",
            wanted);
        return NULL;
    }
    g_autofree char *session = g_strdup_printf("/run/user/%u", uid);
    if (is_mine(session, &is_private) && is_private)
        return part_of(session);
    /* No session: a private one, whose name others may have taken. */
    g_autofree char *own = g_strdup_printf("/tmp/duet-run-%u", uid);
    if (mkdir(own, 0700) < 0 && errno != EEXIST) {
        duet_error_set_errno(error, errno, "cannot make '%s'; set XDG_RUNTIME_DIR", own);
        return NULL;
    }
    if (is_mine(own, &is_private) && is_private)
        return g_steal_pointer(&own);
    g_set_error(error, DUET_ERROR, DUET_ERROR_PERMISSION,
        "'%s' is there and is no private directory of yours: remove it, or set XDG_RUNTIME_DIR to "
        "a directory that only you may enter",
        own);
    return NULL;
}

char *duet_place_run(GError **error)
{
    return duet_is_rootless() ? user_run_dir(error) : g_strdup("/run/duet");
}
